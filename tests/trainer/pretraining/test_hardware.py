"""A busy machine spoils a measurement, never the figure that is kept."""

import json

import pytest
import torch
from trainer import hardware
from trainer.hardware import LOOKS, choose_precision, matrix_peaks

CPU = torch.device("cpu")


@pytest.fixture
def measured(monkeypatch) -> list[float]:
    """What the next products will be measured at, first fp32, then bf16."""
    figures: list[float] = []
    monkeypatch.setattr(
        hardware, "measure_product", lambda _device, _dtype: figures.pop(0)
    )
    return figures


def test_the_largest_figure_counts(tmp_path, measured):
    measured += [2.0, 800.0, 150.0, 300.0]
    assert matrix_peaks(CPU, tmp_path) == {"fp32": 2.0, "bf16": 800.0}
    assert matrix_peaks(CPU, tmp_path) == {"fp32": 150.0, "bf16": 800.0}


def test_after_some_runs_nothing_is_measured_any_more(tmp_path, measured):
    measured += [1.0, 2.0] * LOOKS
    for _ in range(LOOKS + 2):
        assert matrix_peaks(CPU, tmp_path) == {"fp32": 1.0, "bf16": 2.0}
    assert not measured


def test_an_unreadable_file_is_measured_anew(tmp_path, measured):
    (tmp_path / hardware.FILE).write_text("{")
    measured += [1.0, 2.0]
    assert matrix_peaks(CPU, tmp_path) == {"fp32": 1.0, "bf16": 2.0}
    json.loads((tmp_path / hardware.FILE).read_text())


def test_measuring_draws_no_random_numbers():
    before = torch.get_rng_state()
    assert hardware.measure_product(CPU, torch.float32) > 0
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("wanted", "bf16", "chosen"),
    [("auto", 3.0, "bf16"), ("auto", 1.1, "fp32"), ("fp32", 9.0, "fp32")],
)
def test_bf16_is_chosen_where_it_is_clearly_faster(wanted, bf16, chosen):
    assert choose_precision(wanted, {"fp32": 1.0, "bf16": bf16}) == chosen
