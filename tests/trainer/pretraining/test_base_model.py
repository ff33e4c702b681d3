"""Continued pretraining goes on from what is there, and refuses what does not fit."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from pretraining_lab import Lab
from runspec import PretrainSpec
from runspec import events as spoken
from runspec.layout import OUTPUT
from safetensors.torch import load_file, save_file
from stage_lab import curve, read_events, result_of
from tokenizers import Tokenizer
from trainer.errors import BadInputError
from trainer.forward import TrainingForward
from trainer.library_forward import training_forward
from trainer.tokenizer import load_tokenizer
from transformers import AutoModelForCausalLM

FAMILIES = ["llama", "gpt2", "mixtral", "bert", "roberta", "modernbert", "t5", "bart"]
SHAPE = ("tokenizer", "layers", "heads", "width")


def go_on(lab, model: Path, **changes) -> PretrainSpec:
    values = lab.spec(sample_every=0).model_dump(exclude_defaults=True)
    kept = {name: value for name, value in values.items() if name not in SHAPE}
    return PretrainSpec(**{**kept, "base_model": str(model), **changes})


@pytest.fixture(scope="session")
def made(texts, tmp_path_factory):
    """Return the finished model of a family, after a few steps; made once."""
    lab = Lab(tmp_path_factory.mktemp("models"), *texts)

    def make(family: str) -> Path:
        if not (lab.root / family).exists():
            few = {"max_steps": 10, "sample_every": 0, "learning_rate": 5e-3}
            lab.run(lab.spec(family=family, **few), family)
        return lab.root / family / OUTPUT

    return make


@pytest.fixture
def altered(made, tmp_path):
    """Return a copy of a model, with other settings in its config.json."""

    def alter(family: str = "bert", **config) -> Path:
        folder = tmp_path / "altered"
        shutil.copytree(made(family), folder)
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | config))
        return folder

    return alter


@pytest.mark.parametrize("family", FAMILIES)
def test_it_begins_where_the_model_was(lab, made, family):
    model = made(family)
    before = result_of(model.parent)
    folder = lab.run(go_on(lab, model, family=family, max_steps=6), "second")
    after = result_of(folder)
    # The validation text is the same, and read whole only at the end.
    again = lab.run(
        go_on(lab, model, family=family, max_steps=5, eval_batches=999), "third"
    )
    found = result_of(again)["initial_validation_loss"]
    assert found == pytest.approx(before["validation_loss"], rel=1e-5)
    assert after["validation_loss"] < before["validation_loss"]
    assert after["parameters"] == before["parameters"]
    assert not [e for e in read_events(folder) if isinstance(e, spoken.Warning)]
    first, second = (model, folder / OUTPUT)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    assert "from a base model's weights" in (second / "README.md").read_text()


def test_it_resumes_to_the_bit(lab, made):
    spec = go_on(lab, made("bert"), family="bert", max_steps=16, dropout=0.1)
    whole = lab.run(spec, "whole")
    parted = lab.run(spec, "parted", stop_at=6)
    [*_, newest] = sorted(
        (parted / "checkpoints").iterdir(), key=lambda path: int(path.name[5:])
    )
    lab.run(spec, "parted", fence=2, resume=newest)
    for name in ("train/loss", "validation/loss"):
        assert curve(parted, name, 1, 2) == curve(whole, name), name


def test_another_family_is_refused(lab, made):
    with pytest.raises(BadInputError, match="is a BERT, but family is roberta") as e:
        lab.run(go_on(lab, made("bert"), family="roberta"))
    assert e.value.advice == "Set family to bert: a model goes on as what it is."


def test_a_model_of_no_known_family_is_refused(lab, altered):
    model = altered(model_type="rwkv")
    with pytest.raises(BadInputError, match="of the type 'rwkv'") as e:
        lab.run(go_on(lab, model, family="bert"))
    assert "modernbert" in e.value.advice


@pytest.mark.parametrize("family", ["llama", "gpt2", "bert", "roberta", "bart"])
def test_a_context_longer_than_the_models_is_refused(lab, made, family):
    model = made(family)
    longer = 32 if family == "roberta" else 25  # RoBERTa keeps some rows in reserve
    with pytest.raises(BadInputError, match="longer than the 2") as e:
        lab.run(go_on(lab, model, family=family, context=longer))
    assert "or less" in e.value.advice


def test_t5_can_see_any_length(lab, made):
    folder = lab.run(go_on(lab, made("t5"), family="t5", context=40, max_steps=5))
    assert result_of(folder)["tokens"] == 5 * 8 * 40


def test_a_tokenizer_larger_than_the_model_is_refused(lab, made, tmp_path):
    model = tmp_path / "foreign"
    shutil.copytree(made("bert"), model)
    tokenizer = json.loads((model / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    for number in range(50):
        vocabulary[chr(0x4E00 + number)] = 200 + number
    (model / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(BadInputError, match="it belongs to another model") as e:
        lab.run(go_on(lab, model, family="bert"))
    assert "250 tokens" in str(e.value)


def test_a_tokenizer_without_a_mask_is_refused(lab, made, tmp_path):
    model = tmp_path / "maskless"
    shutil.copytree(made("bert"), model)
    text = (model / "tokenizer.json").read_text()
    (model / "tokenizer.json").write_text(text.replace("<|mask|>", "<|task|>"))
    with pytest.raises(BadInputError, match=r"knows no token for <\|mask\|>"):
        lab.run(go_on(lab, model, family="bert"))


def test_a_model_without_tokenizer_is_refused(lab, altered):
    model = altered()
    (model / "tokenizer.json").unlink()
    with pytest.raises(BadInputError, match=r"no tokenizer\.json"):
        lab.run(go_on(lab, model, family="bert"))


def test_an_adapter_is_refused(lab, altered):
    model = altered()
    (model / "adapter_config.json").write_text("{}")
    with pytest.raises(BadInputError, match="is an adapter"):
        lab.run(go_on(lab, model, family="bert"))


def test_weights_that_cannot_be_read_are_refused(lab, altered):
    model = altered()
    (model / "model.safetensors").write_bytes(b"\x00" * 100)
    with pytest.raises(BadInputError, match="cannot be loaded"):
        lab.run(go_on(lab, model, family="bert"))


def test_weights_of_another_shape_are_refused(lab, altered):
    with pytest.raises(BadInputError, match="cannot be loaded"):
        lab.run(go_on(lab, altered(hidden_size=64), family="bert"))


def test_missing_weights_are_said_aloud(lab, altered):
    model = altered()
    weights = load_file(model / "model.safetensors")
    body = {name: item for name, item in weights.items() if not name.startswith("cls.")}
    assert len(body) < len(weights)
    save_file(body, model / "model.safetensors", {"format": "pt"})
    folder = lab.run(go_on(lab, model, family="bert", max_steps=5))
    [said] = [e for e in read_events(folder) if isinstance(e, spoken.Warning)]
    assert "lacks some weights" in said.message
    assert "cls.predictions" in said.message


def test_another_end_token_is_said_aloud(lab, altered):
    model = altered("llama", eos_token_id=5)
    folder = lab.run(go_on(lab, model, family="llama", max_steps=5))
    [said] = [e for e in read_events(folder) if isinstance(e, spoken.Warning)]
    assert "ends texts with token 5" in said.message


def test_the_shape_of_a_base_model_cannot_be_set():
    with pytest.raises(ValueError, match="layers comes from the base model"):
        PretrainSpec(dataset="1", base_model="2", layers=7)


def test_a_llama_that_computes_otherwise_takes_its_own_pass(lab, made, altered):
    """The lean pass knows SiLU alone."""
    usual = AutoModelForCausalLM.from_pretrained(made("llama"))
    other = AutoModelForCausalLM.from_pretrained(altered("llama", hidden_act="gelu"))
    spec = lab.spec()
    assert isinstance(training_forward(usual, spec), TrainingForward)
    forward = training_forward(other, spec)
    ids_BT = torch.randint(0, 30, (2, 24))
    expected = other(ids_BT, labels=ids_BT).loss
    found = forward(ids_BT[:, :-1], ids_BT[:, 1:]) / ids_BT[:, 1:].numel()
    torch.testing.assert_close(found, expected)


def test_a_tokenizer_that_cuts_texts_short_is_not_let(lab, made, tmp_path):
    model = tmp_path / "cutting"
    shutil.copytree(made("llama"), model)
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(length=8)
    tokenizer.save(str(model / "tokenizer.json"))
    assert len(load_tokenizer(model).encode("12 and 13 are").ids) == 13
