"""The card every model gets."""

import pytest
import yaml
from runspec import PretrainSpec
from runspec.licences import LICENCES, licence_lines
from trainer.card import (
    CardFacts,
    CurveFacts,
    DataFacts,
    ParentFacts,
    card_text,
    energy_kwh,
    licence_in,
    watts_of,
    write_card,
)


def facts(**changes: object) -> CardFacts:
    known = {
        "title": "A model",
        "architecture": "decoder",
        "stage": "base",
        "summary": "Trained from random weights.",
    }
    return CardFacts(**{**known, **changes})


FULL = facts(
    about={"family": "llama", "parameters": "1,234"},
    spec=PretrainSpec(dataset="/secret/place", tokenizer="/other", layers=3),
    data=[DataFacts("fables", rows=1200, sha256="ab" * 32, note="text")],
    parents=[ParentFacts("Old model", sha256="cd" * 32)],
    curve=CurveFacts(initial=5.0, best=1.25, last=1.5),
    evaluation={"accuracy": 0.875},
    steps=1000,
    tokens=2_000_000,
    seconds=3600.0,
    device="NVIDIA H100 80GB HBM3",
    num_devices=2,
    licence="mit",
    languages=["en"],
    base_model="org/tiny",
)


def front_matter(text: str) -> dict[str, object]:
    return yaml.safe_load(text.split("---")[1])


def test_a_card_tells_all_that_is_known(tmp_path):
    write_card(tmp_path, FULL)
    text = (tmp_path / "README.md").read_text()
    for said in (
        "| fables | 1,200 |", "ab" * 32, "Old model", "cd" * 32, "5.0000 nats/token",
        "1.2500 nats/token", "| accuracy | 0.875 |", "| steps | 1,000 |",
        "2,000,000", "1 h 0 min", "2 x NVIDIA H100", "spec (sha256)",
        FULL.spec.sha256(), "| layers | `3` |", "AutoModelForCausalLM",
    ):  # fmt: skip
        assert said in text
    assert front_matter(text) == {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "license": "mit",
        "language": ["en"],
        "base_model": "org/tiny",
        "tags": ["trivium", "base", "decoder"],
    }


def test_what_is_not_known_is_not_said():
    text = card_text(facts())
    for absent in ("## Data", "## Training", "## Evaluation", "license", "None"):
        assert absent not in text


def test_no_path_of_this_machine_is_told():
    assert "/secret/place" not in card_text(FULL)


def test_settings_at_their_defaults_are_left_out():
    settings = card_text(FULL).split("## Settings")[1]
    assert "layers" in settings
    assert "learning rate" not in settings


def test_energy_is_an_estimate_with_its_assumption():
    assert energy_kwh(FULL) == pytest.approx(1.4)
    assert "≈ 1.4 kWh, an estimate: 2 x 3,600 s at an assumed 700 W" in card_text(FULL)
    assert energy_kwh(facts(seconds=60.0)) == 0


@pytest.mark.parametrize(
    ("device", "watts"),
    [
        ("x86_64, 2 threads", 20),
        ("NVIDIA H200", 700),
        ("NVIDIA A100-SXM4-80GB", 400),
        ("NVIDIA A10", 150),
        ("NVIDIA L40S", 300),
        ("NVIDIA L4", 72),
        ("Tesla T4", 70),
        ("NVIDIA GeForce RTX 4090", 450),
        ("Something new", 300),
    ],
)
def test_each_device_is_assumed_its_own_power(device, watts):
    assert watts_of(device) == watts


@pytest.mark.parametrize(
    ("changes", "says", "loader"),
    [
        ({}, "not taught to follow instructions", "AutoModelForCausalLM"),
        ({"architecture": "encoder"}, "fills gaps", "AutoModelForMaskedLM"),
        (
            {"architecture": "encoder", "head": "sequence-classification"},
            "text-classification",
            "AutoModelForSequenceClassification",
        ),
        ({"architecture": "encoder-decoder"}, "falsehoods", "AutoModelForSeq2SeqLM"),
        (
            {"stage": "reward", "head": "sequence-classification"},
            "rates answers",
            "AutoModelForSequenceClassification",
        ),
    ],
)
def test_each_kind_has_its_limits_and_its_class(changes, says, loader):
    text = card_text(facts(**changes))
    assert says in text
    assert f"{loader}.from_pretrained" in text


def test_names_cannot_break_out_of_their_cell():
    evil = "a|b\n# Title\n<script>`x`[l](javascript:1)"
    text = card_text(facts(data=[DataFacts(evil)], title=evil, warnings=[evil]))
    lines = text.splitlines()
    assert not [line for line in lines if line.startswith("# Title")]
    assert "\\<script>" in text
    assert "](javascript" not in text.replace("\\](", "")
    row = next(line for line in lines if line.startswith("| a"))
    assert row.replace("\\|", "").count("|") == 5


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: mit\n---\n# x", "mit"),
        ("---\nlanguage: en\nlicense: 'apache-2.0'\n---", "apache-2.0"),
        ("---\nlicense: other\n---", ""),
        ("---\nlicense: [a, b]\n---", ""),
        ("# x\nlicense: mit", ""),
        ("", ""),
    ],
)
def test_a_licence_is_read_only_where_it_is_clear(card, licence):
    assert licence_in(card) == licence


@pytest.mark.parametrize("licence", [*LICENCES, "My own", 'a "b": [c', ""])
def test_any_licence_makes_valid_yaml(licence):
    matter = yaml.safe_load("\n".join(licence_lines(licence))) or {}
    if licence in LICENCES:
        assert matter == {"license": licence}
    elif licence:
        assert matter == {"license": "other", "license_name": licence}
    else:
        assert matter == {}
