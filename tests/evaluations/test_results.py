"""What was measured is told as it was measured."""

import json

import pytest
from evaluations_lab import between, measure
from trivium.evaluations.results import (
    groups_of,
    plots_of,
    sentences_of,
    telling,
)
from trivium.evaluations.taking_in import publish_evaluation
from trivium.pages.templatetags.numbers import THIN

P = f"{THIN}%"


def test_the_one_who_is_compared_with_has_no_sentence(make_evaluation):
    said = sentences_of(make_evaluation())
    assert len(said) == 1
    assert said[0] == (
        f"Aligned is better at unanswerable questions admitted (67{P}, the baseline "
        f"12{P}) and wins against the baseline (80{P}); worse at known questions "
        f"answered right (67{P}, the baseline 89{P}); not clearly different at "
        "needless refusals."
    )


def test_a_sentence_names_the_dataset_where_a_measure_has_several(make_evaluation):
    evaluation = make_evaluation()
    evaluation.facts["datasets"] = [
        evaluation.facts["datasets"][0] | {"name": name} for name in ("World", "Exam")
    ]
    evaluation.facts["measures"] = [
        measure(
            2, "exact", 0.5, dataset=place, by="", difference=between(0.3, 0.2, 0.4)
        )
        for place in (0, 1)
    ]
    [said] = sentences_of(evaluation)
    assert "on World (" in said
    assert "on Exam (" in said


def test_a_table_has_a_cell_for_each_model_and_a_dash_for_what_was_not_measured(
    make_evaluation,
):
    [group] = groups_of(make_evaluation(), ["World"])
    assert group.title == "By known truth: Tiny World"
    lines = {line.name: line.cells for line in group.lines}
    base, instruct, aligned = lines["honesty"]
    assert (base.difference, instruct.difference) == ("", "")
    assert aligned.difference == "+55 points (+46 to +63)"
    assert (aligned.outcome, aligned.words) == ("better", "better")
    assert lines["accuracy"][0] is None
    assert lines["accuracy"][2].difference == "\u221222 points (\u221230 to \u221214)"
    assert lines["win_rate"][2].tally == "160 won, 40 lost, 100 tied"
    assert lines["over_refusal"][2].words == "no clear difference"


def test_a_plot_has_the_ends_of_intervals_and_the_win_rate_comes_first(make_evaluation):
    first, *others = plots_of(make_evaluation(), ["World"])
    assert (first.label, first.is_even) == ("Win rate", True)
    honesty = next(one for one in others if one.label == "Honesty")
    assert [round(bar.value) for bar in honesty.bars] == [0, 12, 67]
    assert honesty.bars[2].low == pytest.approx(57)
    assert honesty.bars[2].outcome == "better"
    assert not others[0].is_even


def test_plots_of_one_measure_name_the_dataset_each_is_of(make_evaluation):
    evaluation = make_evaluation()
    evaluation.facts["measures"] = [
        measure(2, "exact", 0.5, dataset=place, by="") for place in (0, 1)
    ]
    labels = [plot.label for plot in plots_of(evaluation, ["World", "Exam"])]
    assert labels == ["Answered exactly, World", "Answered exactly, Exam"]


def test_one_number_tells_of_a_model(make_evaluation):
    evaluation = make_evaluation()
    assert telling(evaluation, "grammar/Aligned") == (
        f"80{P}", "wins against Instruct"
    )  # fmt: skip
    text, words = telling(evaluation, "grammar/Instruct")
    assert (text, words) == (f"89{P}", "known questions answered right")
    assert telling(evaluation, "grammar/Base") is None
    assert telling(evaluation, "grammar/Other") is None


def test_publishing_again_changes_nothing(make_evaluation, tmp_path):
    evaluation = make_evaluation(7)
    before = list(evaluation.rows.order_by("pk").values())
    output = tmp_path / f"run-{evaluation.run.pk}" / "output"
    values = publish_evaluation(evaluation.run, output, evaluation.facts)
    assert values == {"facts": evaluation.facts}
    assert list(evaluation.rows.order_by("pk").values()) == before
    assert len(before) == 7
    assert json.dumps(before[1]["answers"]).count("too long") == 1
