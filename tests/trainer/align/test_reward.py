"""Reward models: they learn, are judged beside length, and the engine reads them."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from align_lab import AlignLab, polite
from runspec.labels import Source
from runspec.serving import ModelRef, Prompt, Sampling
from stage_lab import curve, result_of
from trainer.align.measures import (
    calibration,
    calibration_error,
    histogram,
    length_baseline,
    wilson,
)
from trainer.asking.local import load
from trainer.asking.questions import Question

pytestmark = pytest.mark.filterwarnings(
    "ignore:`is_gradient_checkpointing`:FutureWarning"
)


def scores_of(
    folder: Path, asked: dict[str, Any], answers: list[str]
) -> list[float | None]:
    """Ask the engine itself."""
    ref = ModelRef(key="model-1", url=folder.as_uri(), sha256="")
    source = Source(id="tiny", title="Tiny", model=ref)
    user = {"role": "user", "content": asked["prompt"][0]["content"]}
    questions = [
        Question(
            number,
            Prompt(messages=(user, {"role": "assistant", "content": answer})),
            Sampling(),
        )
        for number, answer in enumerate(answers)
    ]
    with load(source, cache=folder.parent, tick=lambda: None) as model:
        assert model.is_scorer
        assert model.labels == ()
        return [reply.score for reply in model.scores(questions) if reply]


def test_a_trained_one_scores_the_preferred_answer_higher(lab: AlignLab):
    folder = lab.run(lab.reward(lab.pairs(), center_rewards=0.01, learning_rate=1e-2))
    losses = [float(value) for value in curve(folder, "train/loss").values()]
    assert losses[-1] < losses[0] / 2
    found = result_of(folder)["preference"]
    assert found["pairs"] == sum(one["pairs"] for one in found["calibration"]) == 11
    assert found["accuracy"]["value"] == 1.0
    assert found["by_length"]["picks"] == "longer"
    assert sum(one["pairs"] for one in found["margins"]) == 11
    asked = polite()[-1]
    better, worse = scores_of(folder / "output", asked, ["Thank you!", "No, 9."])
    assert better > worse
    assert better - worse == pytest.approx(found["margin"], rel=0.5)
    assert "- reward\n" in (folder / "output/README.md").read_text()


def test_a_pair_people_were_divided_on_is_learnt_as_that(lab: AlignLab):
    divided = [row | {"chosen_share": 0.5} for row in polite()]
    pairs = lab.pairs("divided", divided[:29], divided[29:])
    found = {
        is_soft: result_of(
            lab.run(
                lab.reward(pairs, soft_labels=is_soft, learning_rate=1e-2),
                f"soft-{is_soft}",
            )
        )["preference"]
        for is_soft in (True, False)
    }
    assert abs(found[True]["margin"]) < 0.2
    assert found[False]["margin"] > 2


def test_its_preflight_tries_a_step_with_the_votes(lab: AlignLab):
    divided = [row | {"chosen_share": 0.75} for row in polite()]
    report = lab.check(lab.reward(lab.pairs("tried", divided[:29], divided[29:])))
    by_name = {check["name"]: check for check in report["checks"]}
    assert by_name["pairs"]["status"] == "ok"
    assert by_name["memory"]["status"] == "ok"


def test_a_stronger_preference_shall_be_told_apart_by_more(lab: AlignLab):
    strong = [row | {"strength": 3.0} for row in polite()]
    pairs = lab.pairs("strong", strong[:29], strong[29:])
    folder = lab.run(lab.reward(pairs, strength_margin=1.0))
    first = float(min(curve(folder, "train/loss").items())[1])
    assert first == pytest.approx(math.log1p(math.exp(3)), abs=0.3)


def test_a_resumed_curve_is_the_same_to_the_bit(lab: AlignLab):
    spec = lab.reward(lab.pairs())
    whole = lab.run(spec, "whole")
    broken = lab.run(spec, "broken", stop_at=6)
    steps = [int(path.name[5:]) for path in (broken / "checkpoints").iterdir()]
    resume = broken / f"checkpoints/step-{max(steps)}"
    lab.run(spec, "broken", fence=2, resume=resume)
    for name in ("train/loss", "validation/loss", "validation/accuracy"):
        assert curve(broken, name, 1, 2) == curve(whole, name), name


def test_the_baseline_learns_its_direction_from_the_training_pairs():
    found = length_baseline([-3, -1, 2], [-1, -1, 0, 5])
    assert found["picks"] == "shorter"
    assert found["value"] == pytest.approx(2.5 / 4)
    assert length_baseline([3, 1, -2], [-1, -1, 0, 5])["value"] == 1.5 / 4


def test_wilson_is_what_it_is_in_textbooks():
    # 81 of 263, Newcombe 1998, table I: 0.2553 to 0.3662.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 0) == (0.0, 1.0)


def test_calibration_compares_how_sure_with_how_right():
    # 75 % sure of four pairs, and right in three of them.
    margin = np.log(3)
    margins = np.array([margin, margin, margin, -margin, 9.0])
    sure, surest = calibration(margins)
    assert (sure["pairs"], sure["observed"]) == (4, 0.75)
    assert sure["predicted"] == pytest.approx(0.75)
    assert surest["pairs"] == 1
    assert calibration_error([sure]) == pytest.approx(0, abs=1e-9)


def test_a_histogram_of_margins_is_parted_at_0():
    found = histogram(np.array([-1.0, -0.01, 0.01, 2.0]))
    assert (found[0]["from"], found[-1]["to"]) == (-2, 2)
    wrong = [one["pairs"] for one in found if one["to"] <= 0]
    assert (len(wrong), sum(wrong)) == (len(found) // 2, 2)
    assert found[-1]["pairs"] == 1
    assert sum(one["pairs"] for one in histogram(np.zeros(3))) == 3
    assert sum(one["pairs"] for one in histogram(np.zeros(0))) == 0
