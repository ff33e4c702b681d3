"""Training: it learns, resumes to the bit, and writes what plain loaders read."""

import json
from pathlib import Path

import pytest
from runspec import events
from sft_lab import COLOURS, Lab, instructions, turns
from stage_lab import curve, read_events, result_of
from trainer.errors import BadInputError, Stopped
from trainer.sft import stage

pytestmark = [
    # PEFT tells that it saves embeddings which grew: in a checkpoint that is right.
    pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`"),
    # PEFT asks transformers by an old name.
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning"),
]
CURVES = (
    "train/loss",
    "train/gradient_norm",
    "train/learning_rate",
    "validation/loss",
    "validation/exact_match",
)


@pytest.fixture
def talk(lab: Lab) -> str:
    return lab.rows("talk", "instructions", instructions()[:48], instructions()[48:])


@pytest.fixture
def pairs(lab: Lab) -> str:
    rows = [{k: r[k] for k in ("prompt", "completion")} for r in instructions()]
    return lab.rows("pairs", "text-to-text", rows[:48], rows[48:])


@pytest.fixture
def labelled(lab: Lab) -> str:
    rows = [
        {"text": f"{colour} number {number}", "label": colour}
        for number in range(12)
        for colour in COLOURS
    ]
    return lab.rows("labelled", "labelled", rows[:40], rows[40:])


def checkpoints(folder: Path) -> list[int]:
    names = (folder / "checkpoints").iterdir()
    return sorted(int(path.name.removeprefix("step-")) for path in names)


@pytest.mark.parametrize(
    "changes",
    [{}, {"method": "lora", "lora_rank": 4, "lora_dropout": 0.2}, {"accumulation": 2}],
    ids=["full", "lora", "accumulated"],
)
def test_a_resumed_curve_is_the_same_to_the_bit(lab, talk, changes):
    spec = lab.spec("decoder", talk, **changes)
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


def test_an_evaluation_that_was_broken_off_is_made_up_for(lab, talk, monkeypatch):
    spec = lab.spec("decoder", talk)
    whole = lab.run(spec, "whole")
    answered = stage.write_answers

    def stop_at_second(*args, **options):
        if patient.step == 8:
            raise Stopped
        return answered(*args, **options)

    monkeypatch.setattr(stage, "write_answers", stop_at_second)
    context = lab.context("broken")
    patient = stage.Finetuning(stage.build_parts(spec, context), context)
    with pytest.raises(Stopped):
        patient.run()
    patient.parts.close()
    context.report.close()
    monkeypatch.undo()
    resume = context.folder / "checkpoints/step-8"
    lab.run(spec, "broken", fence=2, resume=resume)
    for name in CURVES:
        assert curve(context.folder, name, 1, 2) == curve(whole, name), name


def test_a_run_that_was_done_but_for_its_output_is_finished(lab, talk):
    spec = lab.spec("decoder", talk)
    whole = lab.run(spec, "whole")
    resume = whole / "checkpoints/step-12"
    lab.run(spec, "whole", fence=2, resume=resume)
    assert result_of(whole, 2)["steps"] == 12
    assert (whole / "output/model.safetensors").is_file()


def test_a_chat_model_loads_speaks_and_stops(lab, talk):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    spec = lab.spec("decoder", talk, max_steps=60, learning_rate=1e-2, eval_every=30)
    folder = lab.run(spec)
    losses = [float(value) for value in curve(folder, "train/loss").values()]
    assert losses[-1] < losses[0] / 3
    model = AutoModelForCausalLM.from_pretrained(folder / "output")
    tokenizer = AutoTokenizer.from_pretrained(folder / "output")
    ids = tokenizer.apply_chat_template(
        [{"role": "user", "content": instructions()[0]["prompt"]}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
        tokenizer_kwargs={"split_special_tokens": False},
    )
    out = model.generate(**ids, max_new_tokens=40, do_sample=False)
    written = out[0, ids["input_ids"].shape[1] :].tolist()
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert end in model.generation_config.eos_token_id
    assert written[-1] == end, tokenizer.decode(written)
    assert tokenizer.decode(written).startswith("It is ")
    assert tokenizer.eos_token == "<|im_end|>"


def test_an_adapter_is_kept_beside_the_merged_weights(lab, talk):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    spec = lab.spec("decoder", talk, method="lora", lora_rank=4, chat_template="plain")
    output = lab.run(spec) / "output"
    merged = AutoModelForCausalLM.from_pretrained(output)
    base = AutoModelForCausalLM.from_pretrained(lab.models["decoder"])
    ids = torch.tensor([[5, 6, 7, 8]])
    before = base(ids).logits
    adapted = PeftModel.from_pretrained(base, output / "adapter")
    torch.testing.assert_close(merged(ids).logits, adapted(ids).logits)
    assert not torch.allclose(merged(ids).logits, before)
    facts = result_of(output.parent)
    assert facts["trained_parameters"] < facts["parameters"] / 2


def test_text_to_text_is_measured_by_rouge_and_exact_match(lab, pairs):
    from transformers import AutoModelForSeq2SeqLM

    folder = lab.run(lab.spec("encoder-decoder", pairs, best_metric="rouge_l"))
    for name in ("exact_match", "rouge_l", "loss"):
        assert set(curve(folder, f"validation/{name}")) == {0, 4, 8, 12}
    losses = [float(value) for value in curve(folder, "train/loss").values()]
    assert losses[-1] < losses[0]
    AutoModelForSeq2SeqLM.from_pretrained(folder / "output")


def test_a_classifier_beats_the_majority(lab, labelled):
    from transformers import AutoModelForSequenceClassification

    spec = lab.spec("encoder", labelled, max_steps=60, best_metric="accuracy")
    folder = lab.run(spec)
    measured = result_of(folder)["measured"]
    assert measured["accuracy"] > 0.6  # a quarter each
    assert 0 < measured["f1"] <= 1
    model = AutoModelForSequenceClassification.from_pretrained(folder / "output")
    assert set(model.config.id2label.values()) == set(COLOURS)


def test_the_best_evaluation_is_published_and_stopped_for(lab, talk):
    """A rate that ruins the model: the first evaluation stays the best."""
    spec = lab.spec(
        "decoder",
        talk,
        max_steps=40,
        early_stopping=2,
        eval_every=2,
        schedule="constant",
    )
    ruined = spec.model_copy(update={"learning_rate": 0.5, "warmup_share": 0.0})
    folder = lab.run(ruined)
    facts = result_of(folder)
    assert facts["steps"] < 40
    losses = {
        int(step): float(value)
        for step, value in curve(folder, "validation/loss").items()
    }
    trained = {step: loss for step, loss in losses.items() if step}
    assert facts["best_step"] == min(trained, key=trained.__getitem__)
    assert facts["validation_loss"] == min(trained.values())
    spoken = [e for e in read_events(folder) if isinstance(e, events.Warning)]
    assert any("stopped early" in event.message for event in spoken)


def test_datasets_are_mixed_by_weight(lab):
    from trainer.sft.parts import build_parts

    first = lab.rows("first", "instructions", instructions()[:30])
    second = lab.rows("second", "conversations", [turns("Hi?", "Ho.")] * 30)
    spec = lab.spec("decoder", first, second, weights=(3.0, 1.0))
    context = lab.context("mixed")
    parts = build_parts(spec, context)
    parts.close()
    context.report.close()
    counts = [parts.train["source"][:].count(number) for number in (0, 1)]
    assert counts == [45, 15]
    # Rows that stand several times do so equally often.
    rows = [
        r
        for r, s in zip(parts.train["row"], parts.train["source"], strict=True)
        if not s
    ]
    assert {rows.count(row) for row in set(rows)} == {1, 2}


def test_further_datasets_are_answered_at_start_and_end(lab, talk):
    other = lab.rows("sums", "instructions", instructions()[:5])
    folder = lab.run(lab.spec("decoder", talk, evaluate_on=(other,)))
    assert set(curve(folder, "answers/sums")) == {0, 12}


def test_samples_are_the_prompts_asked_for(lab, talk):
    folder = lab.run(lab.spec("decoder", talk, sample_prompts=("Who are you?",)))
    samples = [e for e in read_events(folder) if isinstance(e, events.Sample)]
    assert {e.step for e in samples if e.prompt == "Who are you?"} == {0, 4, 8, 12}


def test_qlora_without_a_gpu_is_refused_in_words(lab, talk):
    with pytest.raises(BadInputError, match="qlora needs a CUDA device"):
        lab.run(lab.spec("decoder", talk, method="qlora"))


def test_an_unknown_lora_layer_is_refused_with_those_there_are(lab, talk):
    spec = lab.spec("decoder", talk, method="lora", lora_modules=("query",))
    with pytest.raises(BadInputError, match=r"no layer 'query'; it has .*q_proj"):
        lab.run(spec)


def test_a_checkpoint_is_verified_before_it_is_resumed(lab, talk):
    from runspec.manifest import BrokenCheckpointError

    folder = lab.run(lab.spec("decoder", talk))
    weights = folder / "checkpoints/step-8/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(BrokenCheckpointError, match="altered"):
        lab.run(lab.spec("decoder", talk), fence=2, resume=weights.parent)


def test_checkpoints_name_the_metric_retention_keeps_by(lab, talk):
    folder = lab.run(lab.spec("decoder", talk))
    saved = [e for e in read_events(folder) if isinstance(e, events.Checkpoint)]
    losses = curve(folder, "validation/loss")
    assert [event.step for event in saved] == [4, 8, 12]
    assert [json.dumps(event.metric) for event in saved] == [
        losses[step] for step in (4, 8, 12)
    ]


def test_trying_the_longest_batch_leaves_no_trace(lab, talk, monkeypatch):
    """As a GPU would do it first: the same curve to the bit, and the same tokens."""
    spec = lab.spec("decoder", talk)
    whole = lab.run(spec, "whole")
    evaluate = stage.Finetuning.evaluate

    def try_after(self):
        evaluate(self)
        if self.step == 0:
            self.try_longest_batch()

    monkeypatch.setattr(stage.Finetuning, "evaluate", try_after)
    tried = lab.run(spec, "tried")
    for name in CURVES:
        assert curve(tried, name) == curve(whole, name), name
    facts = result_of(tried)
    assert facts["peak_memory_bytes"] > 0
    assert facts["tokens"] == result_of(whole)["tokens"]
