"""What alignment found of held-out pairs, told beside length alone."""

from typing import Any

import numpy as np
import pytest
from trainer.align.measures import judged, length_baseline
from trivium.runs.models import Run
from trivium.runs.preference import judged_of

pytestmark = pytest.mark.django_db(databases="__all__")


def found(margins: list[float], lengths: list[int]) -> dict[str, Any]:
    """Return what the trainer would have reported."""
    values = judged(np.array(margins), np.zeros(len(margins)))
    return values | {"by_length": length_baseline([-1], lengths)}


@pytest.fixture
def aligned(project, bob) -> Run:
    margins = [3.0] * 70 + [0.2] * 20 + [-1.0] * 10
    return Run.objects.create(
        project=project, kind="reward", name="Judge", spec={"kind": "reward"},
        spec_sha256="", state=Run.State.SUCCEEDED, created_by=bob,
        result={"preference": found(margins, [-1] * 55 + [1] * 45)},
    )  # fmt: skip


def page_of(bobs, run: Run, **query: str) -> str:
    return bobs.get(f"/p/grammar/runs/{run.pk}/", query).text


def test_the_accuracy_stands_beside_what_length_alone_does(bobs, aligned):
    text = " ".join(page_of(bobs, aligned, tab="preference").split())
    assert "90 %</strong> of 100 pairs it has not seen" in text
    assert "Picking the shorter answer is right in <strong>55 %</strong>" in text
    assert "It is better than picking the shorter answer." in text
    assert text.count('class="plot__point"') == 3
    assert text.count("plot__bar--wrong") == 10
    assert "Held-out pairs" in page_of(bobs, aligned, tab="log")


@pytest.mark.parametrize(
    ("num_right", "words"),
    [(58, "cannot be told from"), (30, "worse than picking the shorter")],
)
def test_what_is_not_surely_better_is_not_called_so(num_right, words, bobs, aligned):
    margins = [1.0] * num_right + [-1.0] * (100 - num_right)
    aligned.result = {"preference": found(margins, [-1] * 55 + [1] * 45)}
    aligned.save()
    assert words in page_of(bobs, aligned, tab="preference")


def test_a_run_without_held_out_pairs_has_no_such_tab(bobs, aligned):
    Run.objects.update(result={})
    assert "Held-out pairs" not in page_of(bobs, aligned)
    assert "No held-out pairs yet" in page_of(bobs, aligned, tab="preference")
    aligned.refresh_from_db()
    assert judged_of(aligned) is None


def test_runs_from_before_margins_were_kept_show_the_rest(bobs, aligned):
    del aligned.result["preference"]["margins"]
    aligned.save()
    text = page_of(bobs, aligned, tab="preference")
    assert "plot__bar" not in text
    assert 'class="plot__point"' in text
