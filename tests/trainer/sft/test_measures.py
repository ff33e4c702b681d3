"""Measures against numbers worked out by hand, and twins found or told apart."""

import threading

from trainer.sft.answers import classifier_scores, exact_share, rouge_l
from trainer.sft.duplicates import find_twins

LONG = (
    "The miller carried two sacks of flour over the old bridge before the rain began, "
    "and the baker thanked him with a loaf that was still warm from the oven."
)


def twins_of(train: list[str], validation: list[str] | None = None):
    return find_twins(
        ((text, (0, at)) for at, text in enumerate(train, start=1)),
        ((text, (0, at)) for at, text in enumerate(validation or [], start=1)),
        stop=threading.Event(),
    )


def test_macro_f1_and_accuracy():
    # Label 0: precision 2/3, recall 1, F1 0.8; label 1: 1 and 1/2, F1 2/3.
    scores = classifier_scores([0, 0, 0, 1], [0, 0, 1, 1], 3)
    assert scores["accuracy"] == 0.75
    assert abs(scores["f1"] - (0.8 + 2 / 3) / 2) < 1e-9


def test_rouge_l_is_the_longest_common_run_in_order():
    # "the cat sat" of "the cat sat down" (4) and "the fat cat sat" (4): 3 / 4 each.
    assert abs(rouge_l(["the fat cat sat"], ["the cat sat down"]) - 0.75) < 1e-9
    assert rouge_l(["yes"], ["no"]) == 0


def test_exact_means_to_the_letter():
    assert exact_share(["a b", " c ", "D"], ["a b", "c", "d"]) == 2 / 3


def test_the_same_row_is_found():
    found = twins_of(["one", "two", "one"])
    assert (found.exact, found.near) == (1, 0)
    assert found.pairs == [((0, 1), (0, 3))]


def test_the_same_words_in_other_dress_are_near():
    found = twins_of(["Where is the mill?", "where is   the MILL"])
    assert (found.exact, found.near) == (0, 1)


def test_a_long_row_with_one_word_changed_is_near():
    changed = LONG.replace("warm", "hot")
    assert twins_of([LONG, changed]).near == 1


def test_questions_made_by_one_form_are_no_twins():
    rows = [f"Where does {name} live? {name} lives here." for name in ("Ada", "Bob")]
    found = twins_of(rows)
    assert (found.exact, found.near) == (0, 0)


def test_a_validation_row_is_found_in_training():
    assert twins_of([LONG, "x"], ["x", LONG.upper(), "y"]).shared == 2
