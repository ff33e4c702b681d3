"""The preflight: what it shows, and what it refuses with which words and button."""

import json
from typing import Any

import pytest
from sft_lab import Lab, instructions, turns, write_model

# PEFT asks transformers by an old name.
pytestmark = pytest.mark.filterwarnings(
    "ignore:`is_gradient_checkpointing`:FutureWarning"
)


def check_of(report: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [check for check in report["checks"] if check["name"] == name]
    return found


@pytest.fixture
def talk(lab: Lab) -> str:
    return lab.rows("talk", "instructions", instructions()[:48], instructions()[48:])


def test_a_good_run_passes_and_shows_its_first_batch(lab, talk):
    report = lab.check(lab.spec("decoder", talk))
    assert {check["status"] for check in report["checks"]} == {"ok"}
    assert len(report["batch"]) == 8
    pieces = report["batch"][0]["pieces"]
    trained = [piece["text"] for piece in pieces if piece["is_trained"]]
    assert len(trained) == 1
    assert trained[0].startswith("It is ")
    assert trained[0].endswith(".<|im_end|>")
    assert pieces[0]["text"].startswith("<|im_start|>user\nWhat colour")
    facts = report["facts"]
    assert facts["rows"] == 48
    assert facts["steps"] == 12
    assert 0 < facts["peak_memory_bytes"] < facts["memory_bytes"]


def test_the_batch_shown_is_the_batch_trained(lab, talk, monkeypatch):
    from trainer.sft import training

    report = lab.check(lab.spec("decoder", talk))
    seen: list[list[int]] = []
    step = training.Watched.training_step

    def watch(self, model, inputs, *args):
        if not seen:
            seen.extend(inputs["input_ids"].tolist())
        return step(self, model, inputs, *args)

    monkeypatch.setattr(training.Watched, "training_step", watch)
    folder = lab.run(lab.spec("decoder", talk))
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder / "output")
    shown = ["".join(p["text"] for p in row["pieces"]) for row in report["batch"]]
    pad = tokenizer.pad_token
    trained = [tokenizer.decode(ids).replace(pad, "") for ids in seen]
    assert shown == trained


def test_rows_without_an_answer_are_refused(lab):
    rows = lab.rows("mute", "conversations", [turns("Hello?"), turns("Anyone?")])
    failed = check_of(lab.check(lab.spec("decoder", rows)), "trained")
    assert failed["status"] == "failed"
    assert "row 1 of mute.jsonl" in failed["sentence"]
    assert failed["changes"] == {"loss_on": "all"}


def test_one_such_row_is_named_and_left_out(lab):
    rows = lab.rows("some", "conversations", [turns("Hi", "Ho"), turns("Hello?")])
    found = check_of(lab.check(lab.spec("decoder", rows, batch_size=1)), "trained")
    assert found["status"] == "warning"
    assert "row 2 of some.jsonl" in found["sentence"]


def test_a_template_without_an_end_token_is_refused_with_a_way_out(lab, talk):
    endless = (
        "{% for m in messages %}{{ m.role }}: {% if m.role == 'assistant' %}"
        "{% generation %}{{ m.content }}{% endgeneration %}{% else %}{{ m.content }}"
        "{% endif %}\n{% endfor %}"
    )
    spec = lab.spec("decoder", talk, chat_template="custom", custom_template=endless)
    failed = check_of(lab.check(spec), "reading")
    assert "would never stop writing" in failed["sentence"]
    assert failed["changes"]["chat_template"] == "chatml"


def test_a_prompt_that_training_never_saw_is_refused(lab):
    """Byte-level BPE joins a space with the word behind it: the classic trap."""
    folder = write_model(lab.root / "merging", "decoder")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["model"]["merges"] = [["\u0120", "I"]]
    tokenizer["model"]["vocab"]["\u0120I"] = 260
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    spaced = (
        "{% for m in messages %}{{ m.role }}: {% if m.role == 'assistant' %}"
        "{% generation %}{{ m.content }}{{ eos_token }}{% endgeneration %}{% else %}"
        "{{ m.content }}\n{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    )
    rows = lab.rows("spaced", "conversations", [turns("Who is it?", "It is I.")] * 9)
    spec = lab.spec("decoder", rows, chat_template="custom", custom_template=spaced)
    spec = spec.model_copy(update={"model": str(folder)})
    failed = check_of(lab.check(spec), "prompt")
    assert "ends with 't: '" in failed["sentence"]
    mended = spec.model_copy(update=failed["changes"])
    assert check_of(lab.check(mended, "mended"), "prompt")["status"] == "ok"


def test_a_hostile_template_is_refused(lab, talk):
    spec = lab.spec(
        "decoder", talk, chat_template="custom", custom_template="{{ 'a' * 10**9 }}"
    )
    failed = check_of(lab.check(spec), "reading")
    assert "more than 512 MB of memory" in failed["sentence"]


def test_a_model_with_the_wrong_tokenizer_is_refused(lab, talk):
    folder = write_model(lab.root / "mixed-up", "decoder")
    config = folder / "tokenizer.json"
    wrong = json.loads(config.read_text())
    for number in range(40):
        wrong["model"]["vocab"][f"word{number}"] = 260 + number
    config.write_text(json.dumps(wrong))
    spec = lab.spec("decoder", talk).model_copy(update={"model": str(folder)})
    failed = check_of(lab.check(spec), "vocabulary")
    assert failed["status"] == "failed"
    assert "do not belong together" in failed["sentence"]


def test_endless_rows_are_refused_cut_or_left_out(lab):
    long = turns("Tell me all", "word " * 40_000)
    only = lab.rows("endless", "conversations", [long])
    failed = check_of(lab.check(lab.spec("decoder", only)), "length")
    assert failed["status"] == "failed"
    assert failed["changes"] == {"too_long": "truncate"}
    assert "row 1 of endless.jsonl (200," in failed["sentence"]

    both = lab.rows("both", "conversations", [long, turns("Hi", "Ho")])
    spec = lab.spec("decoder", both, batch_size=1)
    warned = check_of(lab.check(spec, "dropped"), "length")
    assert warned["status"] == "warning"
    assert "left out" in warned["sentence"]
    strict = spec.model_copy(update={"too_long": "refuse"})
    assert check_of(lab.check(strict, "strict"), "length")["status"] == "failed"


def test_rows_of_the_wrong_kind_are_refused(lab):
    rows = lab.rows("labels", "labelled", [{"text": "a", "label": "b"}] * 2)
    failed = check_of(lab.check(lab.spec("decoder", rows)), "reading")
    assert "holds labelled rows; chat learns from" in failed["sentence"]


def test_rows_in_both_splits_are_told(lab):
    rows = instructions()
    leaky = lab.rows("leaky", "instructions", rows[:20], [*rows[18:24]])
    found = check_of(lab.check(lab.spec("decoder", leaky)), "leak")
    assert found["status"] == "warning"
    assert found["sentence"].startswith("2 validation rows")


def test_labels_and_targets_are_shown(lab):
    rows = [{"text": f"n{at}", "label": "ab"[at % 2]} for at in range(20)]
    report = lab.check(lab.spec("encoder", lab.rows("ab", "labelled", rows)))
    assert {row["label"] for row in report["batch"]} == {"a", "b"}
    pairs = [{"prompt": f"n{at}", "completion": f"m{at}"} for at in range(20)]
    spec = lab.spec("encoder-decoder", lab.rows("nm", "text-to-text", pairs))
    row = lab.check(spec, "pairs")["batch"][0]
    assert row["target"][0]["text"].startswith("m")
    assert row["target"][0]["is_trained"]


@pytest.mark.parametrize(
    "changes",
    [{"device": "cuda"}, {"device": "auto", "method": "qlora", "learning_rate": 1e-4}],
    ids=["cuda", "qlora"],
)
def test_what_a_gpu_shall_train_is_checked_without_one(lab, talk, changes):
    spec = lab.spec("decoder", talk, **changes)
    report = lab.check(spec, trains_on="gpu")
    assert {check["status"] for check in report["checks"]} == {"ok"}
    assert "on the GPU itself" in check_of(report, "memory")["sentence"]
    assert len(report["batch"]) == 8


def test_qlora_is_refused_before_it_starts_where_no_gpu_is(lab, talk):
    report = lab.check(lab.spec("decoder", talk, method="qlora"))
    (failed,) = [c for c in report["checks"] if c["status"] == "failed"]
    assert "needs a CUDA device" in failed["sentence"]
