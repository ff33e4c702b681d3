"""The preflight of pretraining: what each objective is asked, and what is refused."""

import json
import shutil
from typing import Any

import pytest
from runspec import PreflightSpec, PretrainSpec
from runspec.events import Result
from stage_lab import context_for, read_events
from trainer.errors import BadInputError
from trainer.loop import Trainer
from trainer.preflight import run_preflight

SENTINEL = "<extra_id_0>"


@pytest.fixture
def check(lab):
    def run(spec: PretrainSpec, name: str = "check", **values: Any) -> dict[str, Any]:
        context = context_for(lab.root / name)
        try:
            run_preflight(PreflightSpec(training=spec, **values), context=context)
        except BadInputError:
            pass
        finally:
            context.report.close()
        events = read_events(context.folder)
        (result,) = [event for event in events if isinstance(event, Result)]
        report: dict[str, Any] = result.values["report"]
        return report

    return run


def check_of(report: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [item for item in report["checks"] if item["name"] == name]
    return found


def text_of(pieces: list[dict[str, Any]], *, is_trained: bool) -> str:
    return "".join(p["text"] for p in pieces if p["is_trained"] is is_trained)


def test_a_decoder_learns_from_every_token(lab, check):
    report = check(lab.spec())
    assert {item["status"] for item in report["checks"]} <= {"ok", "warning"}
    row = report["batch"][0]
    assert text_of(row["pieces"], is_trained=False) == ""
    assert row["trained_tokens"] == row["tokens"] == 24
    assert report["facts"]["parameters"] > 1000
    assert 0 < report["facts"]["peak_memory_bytes"] < report["facts"]["memory_bytes"]


def test_an_encoder_learns_from_what_is_hidden(lab, check):
    row = check(lab.spec(family="bert"))["batch"][0]
    assert 0 < row["trained_tokens"] < row["tokens"] / 2
    hidden = text_of(row["target"], is_trained=True)
    assert hidden
    assert "<|mask|>" not in hidden


def test_an_encoder_decoder_writes_what_was_cut_out(lab, check):
    row = check(lab.spec(family="t5"))["batch"][0]
    assert SENTINEL in text_of(row["pieces"], is_trained=False)
    assert SENTINEL in text_of(row["target"], is_trained=True)


def test_the_batch_shown_is_the_batch_trained(lab, check, monkeypatch):
    report = check(lab.spec(family="bert"))
    seen: list[list[int]] = []
    take_step = Trainer.take_step

    def watch(self: Trainer, batches: Any, **options: Any) -> None:
        batches = list(batches)
        if not seen:
            seen.extend(batches[0][0].tolist())
        take_step(self, batches, **options)

    monkeypatch.setattr(Trainer, "take_step", watch)
    output = lab.run(lab.spec(family="bert", max_steps=2, warmup_steps=1)) / "output"
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(output / "tokenizer.json"))
    shown = [
        "".join(piece["text"] for piece in row["pieces"]) for row in report["batch"]
    ]
    assert shown == [tokenizer.decode(ids, skip_special_tokens=False) for ids in seen]


def test_a_text_too_short_is_refused(dataset_of, lab, check):
    short = dataset_of(train=["1 and 2"])
    report = check(lab.spec(dataset=str(short)))
    failed = check_of(report, "reading")
    assert failed["status"] == "failed"
    assert "not more than one window" in failed["sentence"]


def test_a_tokenizer_that_does_not_know_the_text_is_refused(dataset_of, lab, check):
    foreign = dataset_of(train=["吾輩は猫である。名前はまだ無い。" * 40])
    failed = check_of(check(lab.spec(dataset=str(foreign))), "unknown")
    assert failed["status"] == "failed"
    assert "unknown to the tokenizer" in failed["sentence"]


def test_a_base_model_with_another_ones_tokenizer_is_refused(lab, check):
    base = lab.root / "base"
    output = lab.run(lab.spec(max_steps=2, warmup_steps=1), "first") / "output"
    shutil.copytree(output, base)
    tokenizer = json.loads((base / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    for number in range(40):
        vocabulary[f"word{number}"] = 1000 + number
    (base / "tokenizer.json").write_text(json.dumps(tokenizer))
    spec = PretrainSpec(
        dataset=str(lab.dataset), base_model=str(base), context=24, max_steps=5,
        warmup_steps=1, batch_size=4,
    )  # fmt: skip
    failed = check_of(check(spec), "vocabulary")
    assert "belongs to another model" in failed["sentence"]


def test_much_reading_and_nothing_held_out_are_told(dataset_of, lab, check):
    from pretraining_lab import LINES

    whole = dataset_of(train=LINES[:40])
    report = check(lab.spec(dataset=str(whole), max_steps=2000))
    assert "learnt by heart" in check_of(report, "text")["sentence"]
    assert check_of(report, "leak")["status"] == "warning"


def test_what_a_gpu_shall_train_is_checked_without_one(lab, check):
    report = check(lab.spec(device="cuda"), trains_on="gpu")
    assert "on the GPU itself" in check_of(report, "memory")["sentence"]
    assert report["batch"]
