"""Items: what their votes amount to."""

import numpy as np
import pytest
from trivium.statistics.choices import MISSING, Choice
from trivium.statistics.majority import decide_items


@pytest.mark.parametrize(
    ("choices", "p_chosen", "majority", "margin", "is_low"),
    [
        ("A", 1.0, Choice.A, 1.0, False),  # one vote is no disagreement
        ("AB", 0.5, MISSING, 0.0, True),
        ("AAB", 2 / 3, Choice.A, 1 / 3, True),
        ("AAAB", 0.75, Choice.A, 0.5, False),
        ("AT", 0.75, MISSING, 0.0, True),
        ("XX", 0.5, Choice.BOTH_BAD, 1.0, False),
        ("BBTX", 0.25, Choice.B, 0.25, True),
    ],
)
def test_votes_on_an_item_are_summed_up(choices, p_chosen, majority, margin, is_low):
    choice = np.array(["ABTX".index(letter) for letter in choices])
    found = decide_items(np.full(len(choice), 42), choice)
    assert found.item_U.tolist() == [42]
    assert found.num_votes_U[0] == len(choices)
    assert found.p_chosen_U[0] == pytest.approx(p_chosen)
    assert found.majority_U[0] == majority
    assert found.margin_U[0] == pytest.approx(margin)
    assert found.is_low_U[0] == is_low


def test_disagreement_goes_from_none_to_all_there_can_be():
    item = np.array([3, 3, 5, 5, 5, 5, 8, 8])
    found = decide_items(item, np.array([1, 1, 0, 1, 2, 3, 0, 1]))
    assert found.item_U.tolist() == [3, 5, 8]
    np.testing.assert_allclose(found.disagreement_U, [0, 1, 0.5], atol=1e-12)


def test_no_votes_are_no_items():
    nothing = np.empty(0, np.int64)
    assert len(decide_items(nothing, nothing).p_chosen_U) == 0
