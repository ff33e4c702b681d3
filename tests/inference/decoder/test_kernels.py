"""The loops themselves, against numpy."""

import numpy as np
import pytest
from inference.decoder import kernels
from inference.decoder.kernels import NUM_WORDS, PANEL
from tiny_decoders import panels_of

NO_TEAM = np.zeros(NUM_WORDS, np.int64)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


@pytest.mark.parametrize("num_rows", [1, 2, 3, 5, 8, 15, 33])
def test_products_of_any_number_of_rows(rng, num_rows):
    x = rng.standard_normal((num_rows, 70), dtype=np.float32)
    weights = rng.standard_normal((3 * PANEL, 70), dtype=np.float32)
    y = np.ones((num_rows, 3 * PANEL), np.float32)
    kernels.multiply(x, 70, panels_of(weights), 0, y, 3 * PANEL, True, NO_TEAM, 1)
    np.testing.assert_allclose(y, 1 + x @ weights.T, rtol=1e-4, atol=1e-4)


def test_exponentials_are_exact_to_float32():
    values = np.linspace(-80, 80, 10_001).astype(np.float32)
    found = values.copy()
    kernels.exponentiate(found, np.empty(len(found), np.int32), len(found))
    np.testing.assert_allclose(found, np.exp(values.astype(np.float64)), rtol=1e-5)


def test_exponentials_of_anything_are_finite():
    values = np.array([-1e30, -np.float32(np.inf), 1e30, 0], np.float32)
    kernels.exponentiate(values, np.empty(4, np.int32), 4)
    assert np.isfinite(values).all()
    assert values[3] == 1


def test_softmax_is_a_distribution(rng):
    scores = rng.standard_normal(77).astype(np.float32) * 20
    expected = np.exp(scores * 0.5 - (scores * 0.5).max())
    expected /= expected.sum()
    kernels.softmax(scores, np.empty(77, np.int32), 77, 0.5)
    np.testing.assert_allclose(scores, expected, atol=1e-6)
