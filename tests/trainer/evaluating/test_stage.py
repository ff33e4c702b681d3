"""Models are asked the same, and what is said of them is what they did."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from asking_lab import (
    attempt,
    endpoint_source,
    local_source,
    preference_row,
    prompt_row,
    says,
    serving,
    turn,
    write_dataset,
)
from node_lab import CHAT, write_model
from pydantic import ValidationError
from runspec import EvaluateSpec
from runspec.evaluated import EvaluatedPrompt
from runspec.layout import ANSWERS, ANSWERS_FILE, OUTPUT
from stage_lab import result_of
from tinyworld import prompts, world
from trainer.errors import BadInputError, Stopped
from trainer.evaluating import run_evaluate
from trainer.evaluating.rows import Taken
from trainer.generating.rows import Rows
from transformers import AutoModelForCausalLM, AutoTokenizer

SHORT = {"temperature": 0, "max_tokens": 6}


def spec_for(models: list[str], *datasets: Path, **values: Any) -> EvaluateSpec:
    return EvaluateSpec(
        models=tuple(models),
        datasets=tuple(map(str, datasets)),
        **({"sampling": SHORT} | values),
    )


def evaluate(
    spec: EvaluateSpec, folder: Path, **options: int
) -> tuple[dict[str, Any], list[EvaluatedPrompt]]:
    with attempt(folder, **options) as context:
        run_evaluate(spec, context=context)
    lines = written(folder).splitlines()
    rows = [EvaluatedPrompt.model_validate_json(line) for line in lines]
    return result_of(folder, options.get("fence", 1)), rows


def written(folder: Path) -> bytes:
    return (folder / OUTPUT / ANSWERS_FILE).read_bytes()


def measured(result: dict[str, Any], model: int) -> dict[str, dict[str, Any]]:
    """Return a model's measures by name."""
    return {one["name"]: one for one in result["measures"] if one["model"] == model}


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    rows = [prompt_row(f"Say {number}") for number in range(20)]
    return write_dataset(tmp_path / "asked", "prompts", train=rows)


# Tiny World --------------------------------------------------------------------------

SIZES = {"honest": 20, "harmless": 10, "known": 30}


@pytest.fixture
def of_the_world(tmp_path: Path) -> Path:
    made = prompts(world(), "evaluation", sizes=SIZES)
    rows = [prompt_row(one.text, answer=one.answer) for one in made]
    return write_dataset(tmp_path / "world", "prompts", train=rows)


def test_what_is_right_honest_and_harmless_is_counted_as_it_was_answered(
    of_the_world, tmp_path
):
    made = prompts(world(), "evaluation", sizes=SIZES)
    right = {one.text: one.answer for one in made}
    known = [one.text for one in made if one.kind == "known"]
    ignorant = set(known[:6])

    def answer(body: dict[str, Any]) -> Any:
        asked = body["messages"][-1]["content"]
        if body["model"] == "honest":
            return says("I do not know." if asked in ignorant else right[asked])
        # The other one invents, helps to hurt, and knows everything.
        return says(right[asked] if asked in known else "Sure. She lives in Aldermill.")

    with serving(answer) as server:
        models = [
            endpoint_source(server.url, id=f"elsewhere/{one}", remote_id=one, title=one)
            for one in ("liar", "honest")
        ]
        spec = spec_for(models, of_the_world, truth="tinyworld")
        result, rows = evaluate(spec, tmp_path / "run")

    liar, honest = measured(result, 0), measured(result, 1)
    assert liar["honesty"]["estimate"]["value"] == 0
    assert liar["harmlessness"]["estimate"]["value"] == 0
    assert (liar["accuracy"]["estimate"]["value"], liar["accuracy"]["n"]) == (1, 30)
    assert (honest["honesty"]["estimate"]["value"], honest["honesty"]["n"]) == (1, 20)
    assert honest["harmlessness"]["estimate"]["value"] == 1
    assert honest["accuracy"]["estimate"]["value"] == pytest.approx(24 / 30)
    assert honest["over_refusal"]["estimate"]["value"] == pytest.approx(6 / 30)
    assert honest["honesty"]["difference"]["value"] == 1
    assert honest["honesty"]["difference"]["low"] > 0
    assert honest["accuracy"]["difference"]["value"] == pytest.approx(-6 / 30)
    # By known truth it wins where the other invents, and loses where it gives up.
    won = honest["win_rate"]
    assert (won["wins"], won["losses"], won["ties"], won["n"]) == (30, 6, 24, 36)
    assert won["estimate"]["value"] == pytest.approx(30 / 36)
    assert "win_rate" not in liar
    subjects = [row.subject for row in rows]
    assert {one: subjects.count(one) for one in set(subjects)} == {
        "fact": 30, "stranger": 20, "harm": 10
    }  # fmt: skip
    assert sum(row.is_wrong for row in rows) == 36
    exact = honest["exact"]
    assert (exact["dataset"], exact["n"]) == (0, 60)
    assert exact["estimate"]["value"] == pytest.approx(54 / 60)


def test_rows_of_another_world_cannot_be_judged_by_this_one(asked, tiny, tmp_path):
    spec = spec_for(
        [local_source(tiny("chat"), is_chat=True)], asked, truth="tinyworld"
    )
    with pytest.raises(BadInputError, match="no row asks about Tiny World") as refused:
        evaluate(spec, tmp_path / "run")
    assert refused.value.advice


# Answers -----------------------------------------------------------------------------


def test_each_model_is_asked_in_its_own_way(asked, tiny, tmp_path):
    base = local_source(tiny("gpt2"))
    chat = local_source(tiny("chat"), is_chat=True)
    folder = tmp_path / "run"
    result, rows = evaluate(spec_for([base, chat], asked, max_rows=4), folder)
    # Spread over the dataset, not its head.
    assert [row.number for row in rows] == [0, 5, 10, 15]
    assert [len(row.answers) for row in rows] == [2] * 4
    assert any(row.differs for row in rows)
    assert [one["title"] for one in result["models"]] == ["gpt2", "chat"]
    assert result["datasets"][0]["rows"] == 4
    assert result["datasets"][0]["of"] == 20
    replies = [
        json.loads((folder / ANSWERS / f"{place}.jsonl").read_text().splitlines()[0])
        for place in (0, 1)
    ]
    assert replies[0]["rendered_sha256"] != replies[1]["rendered_sha256"]


def test_answers_are_compared_with_the_right_ones_of_every_kind(tmp_path):
    instructions = write_dataset(
        tmp_path / "instructions",
        "instructions",
        train=[{"prompt": "Learnt", "completion": "x", "system": None}],
        validation=[
            {"prompt": "One?", "completion": "It is one", "system": "Be brief."},
            {"prompt": "Two?", "completion": "It is two", "system": None},
        ],
    )
    talk = [turn("user", "Hi"), turn("assistant", "Hello"), turn("user", "Three?")]
    conversations = write_dataset(
        tmp_path / "conversations",
        "conversations",
        train=[
            {"messages": [*talk, turn("assistant", "It is three"), turn("user", "k")]}
        ],
    )

    def answer(body: dict[str, Any]) -> Any:
        heard.append(body["messages"])
        said = {"One?": " It is one ", "Two?": "It is ten", "Three?": "It is three"}
        return says(said[body["messages"][-1]["content"]])

    heard: list[Any] = []
    with serving(answer) as server:
        spec = spec_for([endpoint_source(server.url)], instructions, conversations)
        result, rows = evaluate(spec, tmp_path / "run")
    found = {
        (one["dataset"], one["name"]): one["estimate"]["value"]
        for one in result["measures"]
    }
    assert found[0, "exact"] == 0.5
    assert found[1, "exact"] == 1
    assert found[0, "rouge_l"] == pytest.approx((1 + 2 / 3) / 2)
    assert [row.expected for row in rows] == ["It is one", "It is two", "It is three"]
    assert [row.number for row in rows] == [1, 2, 0]
    assert sorted(map(len, heard)) == [1, 2, 3]
    assert any("learnt from" in note for note in result["notes"])
    assert len(result["notes"]) == 1


@pytest.mark.parametrize("stop_at", [2, 4])
def test_an_evaluation_broken_off_says_what_it_would_have_said(
    stop_at, asked, tiny, tmp_path
):
    models = [local_source(tiny("gpt2")), local_source(tiny("chat"), is_chat=True)]
    judge = local_source(
        write_model(tmp_path / "judge", "judge", template=CHAT), is_scorer=True
    )
    warm = {"temperature": 1.0, "max_tokens": 6}
    spec = spec_for(models, asked, judge=judge, sampling=warm, seed=3)
    whole, run = tmp_path / "whole", tmp_path / "run"
    expected, _ = evaluate(spec, whole)
    with pytest.raises(Stopped):
        evaluate(spec, run, stop_at=stop_at)
    kept = {path.name: path.read_bytes() for path in (run / ANSWERS).iterdir()}
    assert any(kept.values())
    assert not (run / OUTPUT / ANSWERS_FILE).exists()
    found, _ = evaluate(spec, run, fence=2)
    assert written(run) == written(whole)
    assert found["measures"] == expected["measures"]
    for name, lines in kept.items():
        assert (run / ANSWERS / name).read_bytes().startswith(lines)


def test_another_seed_gives_other_answers(asked, tiny, tmp_path):
    chat = [local_source(tiny("chat"), is_chat=True)]
    warm = {"temperature": 1.0, "max_tokens": 6}
    for seed in (1, 2):
        spec = spec_for(chat, asked, sampling=warm, seed=seed)
        evaluate(spec, tmp_path / f"run-{seed}")
    assert written(tmp_path / "run-1") != written(tmp_path / "run-2")


# Text --------------------------------------------------------------------------------


def test_a_loss_is_that_of_the_model_on_these_very_texts(tiny, tmp_path):
    texts = [f"hello number {number}" for number in range(40)]
    rows = [{"text": one} for one in texts]
    dataset = write_dataset(
        tmp_path / "texts", "text", train=[{"text": "seen"}], validation=rows
    )
    models = [local_source(tiny("chat"), is_chat=True), local_source(tiny("gpt2"))]
    result, lines = evaluate(spec_for(models, dataset), tmp_path / "run")
    assert lines == []
    found = measured(result, 0)
    tokenizer = AutoTokenizer.from_pretrained(tiny("chat"))
    ids = [
        one
        for text in texts
        for one in [*tokenizer(text)["input_ids"], tokenizer.eos_token_id]
    ]
    assert found["loss"]["n"] == len(ids) - 1
    model = AutoModelForCausalLM.from_pretrained(tiny("chat"))
    context = model.config.max_position_embeddings
    total = 0.0
    for start in range(0, len(ids) - 1, context):
        part = torch.tensor([ids[start : start + context + 1]])
        with torch.no_grad():
            logits = model(part[:, :-1]).logits[0]
        total += float(
            torch.nn.functional.cross_entropy(logits, part[0, 1:], reduction="sum")
        )
    expected = total / (len(ids) - 1)
    assert found["loss"]["estimate"]["value"] == pytest.approx(expected, rel=1e-4)
    num_bytes = sum(len(text.encode()) for text in texts)
    assert found["bits_per_byte"]["estimate"]["value"] == pytest.approx(
        total / math.log(2) / num_bytes, rel=1e-4
    )
    other = measured(result, 1)["loss"]
    assert other["difference"]["value"] == pytest.approx(
        other["estimate"]["value"] - expected, rel=1e-4
    )


def test_a_model_without_a_loss_says_why_and_the_others_have_theirs(tiny, tmp_path):
    rows = [{"text": "hello there"}] * 3
    dataset = write_dataset(tmp_path / "texts", "text", validation=rows)
    models = [local_source(tiny("t5")), local_source(tiny("chat"), is_chat=True)]
    result, _ = evaluate(spec_for(models, dataset), tmp_path / "run")
    assert {one["model"] for one in result["measures"]} == {1}
    assert any("does not write from left to right" in one for one in result["notes"])


# Pairs -------------------------------------------------------------------------------


@pytest.fixture
def judge(tmp_path: Path) -> str:
    folder = write_model(tmp_path / "reward", "judge", template=CHAT)
    return local_source(folder, is_scorer=True)


def test_a_reward_model_is_measured_beside_length_and_identical_pairs_are_named(
    judge, tmp_path
):
    rows = [preference_row(f"Ask {one}", "long answer", "short") for one in range(8)]
    rows += [preference_row("Same", "alike", "alike ")]
    rows += [preference_row("Odd", "no", "longer")]
    pairs = write_dataset(tmp_path / "pairs", "preferences", validation=rows)
    result, lines = evaluate(spec_for([judge], pairs), tmp_path / "run")
    assert lines == []
    [found] = result["measures"]
    assert (found["name"], found["n"]) == ("pair_accuracy", 9)
    assert found["beside_words"] == "pick the longer"
    assert found["beside"]["value"] == pytest.approx(8 / 9)
    assert found["beside"]["low"] < 8 / 9 < found["beside"]["high"]
    assert "in 1 row (9), left out" in result["notes"][0]


def test_a_judges_scores_decide_who_wins_and_the_same_words_never_do(
    judge, asked, tiny, tmp_path
):
    chat = local_source(tiny("chat"), is_chat=True)
    twin = local_source(tiny("chat"), id="grammar/twin", is_chat=True)
    other = local_source(tiny("gpt2"))
    spec = spec_for([other, chat, twin], asked, judge=judge, baseline=chat)
    result, rows = evaluate(spec, tmp_path / "run")
    assert result["baseline"] == 1
    assert result["judge"] == "reward"
    won, tied = measured(result, 0)["win_rate"], measured(result, 2)["win_rate"]
    assert (tied["wins"], tied["losses"], tied["ties"]) == (0, 0, 20)
    assert (tied["estimate"]["low"], tied["estimate"]["high"]) == (0, 1)
    scores = [(row.answers[0].score, row.answers[1].score) for row in rows]
    assert won["wins"] == sum(one > other for one, other in scores)
    assert won["wins"] + won["losses"] + won["ties"] == 20


# What cannot be done -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"models": ()}, "at least 1"),
        ({"models": ("a", "a")}, "'a' stands there twice"),
        ({"datasets": ("1", "1")}, "'1' stands there twice"),
        ({"sampling": {"seed": 4}}, "its seed is the run's"),
        ({"max_rows": 0}, "greater than or equal to 1"),
        ({"judgement": "x"}, "Extra inputs"),
    ],
)
def test_a_wrong_spec_is_refused_in_a_sentence(values, words):
    with pytest.raises(ValidationError, match=words):
        EvaluateSpec(**({"models": ("a",), "datasets": ("1",)} | values))


def test_what_cannot_be_measured_is_refused_with_advice(judge, asked, tiny, tmp_path):
    chat = local_source(tiny("chat"), is_chat=True)
    strangers = local_source(tiny("gpt2"))
    empty = write_dataset(tmp_path / "empty", "prompts", train=[])
    for spec, words in (
        (spec_for([judge], asked), "rates answers, and no dataset has pairs"),
        (spec_for([chat], asked, judge=chat), "is no reward model"),
        (spec_for([chat], asked, baseline=strangers), "is not among the models"),
        (spec_for([chat], asked, rows="validation"), "has no validation rows"),
        (spec_for([chat], empty), "has no rows"),
        (spec_for([local_source(tiny("bert"))], asked), "writes no text"),
    ):
        with pytest.raises(BadInputError, match=words) as refused:
            evaluate(spec, tmp_path / "run")
        assert refused.value.advice


def test_rows_are_spread_and_numbered_over_all_splits(tmp_path):
    rows = [prompt_row(str(number)) for number in range(10)]
    folder = write_dataset(
        tmp_path / "rows", "prompts", validation=rows[7:], train=rows[:7]
    )
    card = Rows(folder).card
    both = Taken(0, folder, card, ("train", "validation"), 4)
    assert [row.number for row in both.rows()] == [0, 2, 5, 7]
    held_out = Taken(0, folder, card, ("validation",), 9)
    assert [(row.number, row.text) for row in held_out.rows()] == [
        (7, "7"), (8, "8"), (9, "9")
    ]  # fmt: skip
