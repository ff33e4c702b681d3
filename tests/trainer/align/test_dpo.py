"""DPO: it starts at ln 2, learns, resumes to the bit, and writes a whole model."""

import math

import pytest
from align_lab import AlignLab, pair, polite
from stage_lab import curve, result_of
from trainer.errors import BadInputError

pytestmark = [
    pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`"),
    # PEFT asks transformers by an old name.
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning"),
]
CURVES = (
    "train/loss",
    "train/gradient_norm",
    "train/learning_rate",
    "train/reward_chosen",
    "train/reward_rejected",
    "train/margin",
    "train/accuracy",
    "validation/loss",
    "validation/margin",
    "validation/accuracy",
)
SHARES = (0.6, 1.0, 0.5)
"""Of people who chose the chosen answer, from pair to pair."""
METHODS = {
    "full": {},
    "lora": {"method": "lora", "lora_rank": 4},
    "precomputed": {"precompute_reference": True},
    "with imitation": {"sft_weight": 0.5},
}


def checkpoints(folder):
    names = (folder / "checkpoints").iterdir()
    return sorted(int(path.name.removeprefix("step-")) for path in names)


@pytest.mark.parametrize("changes", METHODS.values(), ids=METHODS)
def test_a_resumed_curve_is_the_same_to_the_bit(lab: AlignLab, changes):
    spec = lab.dpo(lab.voted(*SHARES), **changes)
    whole = lab.run(spec, "whole")
    broken = lab.run(spec, "broken", stop_at=6)
    newest = max(checkpoints(broken))
    assert newest < spec.max_steps
    resume = broken / f"checkpoints/step-{newest}"
    lab.run(spec, "broken", fence=2, resume=resume)
    for name in CURVES:
        assert curve(broken, name, 1, 2) == curve(whole, name), name
        assert len(curve(whole, name)) >= 4
    assert result_of(broken, 2)["tokens"] == result_of(whole)["tokens"]
    assert result_of(broken, 2)["preference"] == result_of(whole)["preference"]


@pytest.mark.parametrize("method", ["full", "lora", "precomputed"])
def test_the_loss_begins_at_ln_2(lab: AlignLab, method):
    spec = lab.dpo(lab.voted(*SHARES), max_steps=1, **METHODS[method])
    folder = lab.run(spec)
    for name, step in (("train/loss", 1), ("validation/loss", 0)):
        loss = float(curve(folder, name)[step])
        assert loss == pytest.approx(math.log(2), abs=1e-6)


def test_it_learns_and_writes_an_aligned_model(lab: AlignLab):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    spec = lab.dpo(lab.pairs(), method="lora", lora_rank=4, learning_rate=1e-2)
    folder = lab.run(spec)
    losses = [float(value) for value in curve(folder, "train/loss").values()]
    assert losses[-1] < losses[0] / 2
    found = result_of(folder)["preference"]
    assert found["pairs"] == 11
    assert found["accuracy"]["value"] == 1.0
    assert 0.5 < found["accuracy"]["low"] < found["accuracy"]["high"] == 1.0
    card = (folder / "output/README.md").read_text()
    assert "- aligned\n" in card
    assert "accuracy, 95 % from" in card
    model = AutoModelForCausalLM.from_pretrained(folder / "output")
    tokenizer = AutoTokenizer.from_pretrained(folder / "output")
    assert model.config.eos_token_id == tokenizer.eos_token_id
    assert "assistant" in tokenizer.chat_template


def test_rows_without_a_usable_pair_are_named(lab: AlignLab):
    same = pair("Say it.", "It.", "It.")
    data = lab.pairs("same", [same, same])
    with pytest.raises(BadInputError, match=r"row 1 of same\.jsonl, row 2"):
        lab.run(lab.dpo(data))
    long = pair("Say it.", "It " * 100, "No.")
    data = lab.pairs("long", [long])
    with pytest.raises(BadInputError, match=r"longer .*row 1 of long\.jsonl"):
        lab.run(lab.dpo(data))


def test_a_preflight_shows_both_answers_of_a_pair(lab: AlignLab):
    data = lab.pairs("mixed", [*polite()[:9], pair("Say it.", "It.", "It.")])
    report = lab.check(lab.dpo(data, precompute_reference=True))
    by_name = {check["name"]: check for check in report["checks"]}
    assert by_name["pairs"]["status"] == "warning"
    assert "row 10 of mixed.jsonl" in by_name["pairs"]["sentence"]
    assert by_name["validation"]["status"] == "warning"
    assert by_name["memory"]["status"] == "ok"
    chosen, rejected = report["batch"][:2]
    assert [chosen["label"], rejected["label"]] == ["chosen", "rejected"]
    learnt = ["".join(p["text"] for p in row["pieces"] if p["is_trained"])
              for row in (chosen, rejected)]  # fmt: skip
    assert learnt[0] == "Thank you!<|im_end|>"
    assert learnt[1].startswith("No, ")
    assert learnt[1].endswith(".<|im_end|>")


def test_a_preflight_says_which_pairs_nothing_is_measured_on(lab: AlignLab):
    held = [*polite()[:3], pair("Say it.", "It.", "It."), pair("a " * 200, "b", "c")]
    data = lab.pairs("held", polite()[3:9], held)
    report = lab.check(lab.dpo(data, too_long="drop"))
    by_name = {check["name"]: check for check in report["checks"]}
    assert by_name["validation"]["sentence"].startswith("3 pairs are measured on")
    assert by_name["held_out"]["status"] == "warning"
    assert by_name["held_out"]["sentence"].startswith("2 of 5 validation rows")
    assert "row 5 of held.jsonl" in by_name["held_out"]["sentence"]
    whole = lab.check(lab.dpo(lab.pairs()), "whole")
    assert "held_out" not in {check["name"] for check in whole["checks"]}


def test_a_plain_pair_is_its_text_and_an_end(lab: AlignLab):
    data = lab.pairs("plain", [pair("One ", "two", "six", is_chat=False)] * 2)
    report = lab.check(lab.dpo(data))
    pieces = [[p["text"] for p in row["pieces"]] for row in report["batch"][:2]]
    end = pieces[0][1].removeprefix("two")
    assert end.startswith("<|")
    assert pieces == [["One ", "two" + end], ["One ", "six" + end]]


def test_a_last_batch_of_few_pairs_counts_by_its_pairs(lab: AlignLab):
    # 11 validation pairs in batches of 8 and 3: what is drawn is what all pairs give.
    folder = lab.run(lab.dpo(lab.pairs(), learning_rate=1e-3, publish="last"))
    found = result_of(folder)["preference"]
    margins = curve(folder, "validation/margin")
    assert float(margins[12]) == pytest.approx(found["margin"], rel=1e-5)
