"""Rewards: each function, models as the engine reads them, and weighted sums."""

from pathlib import Path

import pytest
from pydantic import ValidationError
from rlhf_lab import BAND, RlhfLab
from runspec import RlhfSpec
from runspec.rewards import titles
from runspec.serving import ModelRef
from sandbox.render import renderer
from stage_lab import curve
from trainer.errors import BadInputError
from trainer.rlhf.prompts import Asked
from trainer.rlhf.rewards import Part, Rewards
from trainer.rlhf.rewards.functions import can_judge, judge_of
from trainer.rlhf.rewards.models import RewardModel

pytestmark = pytest.mark.filterwarnings(
    "ignore:`is_gradient_checkpointing`:FutureWarning"
)


def asked(text: str, reference: str = "") -> Asked:
    return Asked([], [{"role": "user", "content": text}], reference)


def function_of(line: str):
    spec = RlhfSpec(model="m", datasets=("d",), reward_functions=(line,))
    return spec.reward_functions[0]


def judged(line: str, answer: str, prompt: Asked | None = None) -> float:
    [found] = judge_of(function_of(line))([prompt or asked("Go on.")], [answer])
    return found


@pytest.mark.parametrize(
    ("line", "answer", "reward"),
    [
        ("length minimum=2 maximum=4", "one two three", 1),
        ("length minimum=2 maximum=4", "one", 0.5),
        ("length minimum=2 maximum=4", "a b c d e f", 0.5),
        ("length minimum=2 maximum=4", "a " * 8, 0),
        ("format", "It is red.", 1),
        ("format", "it is red.", 0),
        ("format", "It is red", 0),
        ("format form=one_line", "a\nb", 0),
        ("format form=bullets", "- a\n- b", 1),
        ("format form=bullets", "- a\nb", 0),
        ("format form=json", '{"a": 1}', 1),
        ("format form=json", "a", 0),
        ("format form=no_repetition", "a b c d e", 1),
        ("format form=no_repetition", "a a a a a", 1 / 3),
        ("format form=no_repetition", "", 0),
        (r"'pattern' 'pattern=\d+ cm'", "it is 12 cm long", 1),
        (r"pattern 'pattern=\d+ cm' whole=true", "it is 12 cm long", 0),
    ],
)
def test_functions(line: str, answer: str, reward: float):
    assert judged(line, answer) == pytest.approx(reward)


def test_a_pattern_that_would_search_for_ever_is_not_found():
    assert judged("pattern 'pattern=(a|aa)+$' whole=true", "a" * 60 + "b") == 0


def test_right_answers_are_those_of_sums_and_of_the_dataset():
    total = asked("What is 12 + 7?", "nineteen")
    assert judged("exact", "12 + 7 is 19", total) == 1
    assert judged("exact", "It is 20.", total) == 0
    capital = asked("The capital of France?", "Paris.")
    assert judged("exact", " paris.\n", capital) == 1
    assert judged("exact", "Paris, I think", capital) == 0
    assert can_judge(function_of("exact"), total)
    assert not can_judge(function_of("exact"), asked("How are you?"))


def test_tiny_worlds_truth_is_known():
    from tinyworld import questions, world

    question = questions(world(0))[0]
    right = f"{question.fact.name}: {question.value}."
    foreign = asked("How are you?")
    function = function_of("tinyworld")
    assert judged("tinyworld", right, asked(question.text)) == 1
    assert judged("tinyworld", "Nonsense.", asked(question.text)) < 1
    assert judged("tinyworld", right, foreign) == 0
    assert can_judge(function, asked(question.text))
    assert not can_judge(function, foreign)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("lengh", "'lengh' is no reward function; there are length, format"),
        ("", "'' is no reward function"),
        ("length minimum=9 maximum=3", "minimum is above maximum"),
        ("length min=3", "length has no setting 'min'; it has weight, minimum"),
        ("length minimum=x", "length minimum: Input should be a valid integer"),
        ("format form=poem", "format form: Input should be 'sentence'"),
        ("length 3", "write it as key=value"),
        ("pattern pattern=(", "no regular expression"),
        ("length weight=0", "it would be ignored"),
    ],
)
def test_wrong_lines_are_refused(line: str, said: str):
    with pytest.raises(ValidationError, match=said):
        function_of(line)


def test_a_line_says_what_an_object_does():
    line = "length minimum=5 weight=0.5"
    assert str(function_of(line)) == line
    assert function_of('{"name": "length", "minimum": 5, "weight": 0.5}') == (
        function_of(line)
    )
    line = r"pattern pattern='\d+ cm'"
    assert str(function_of(line)) == line


def test_parts_are_weighed_and_told_apart():
    parts = (
        Part("a", 2.0, lambda _, texts: [float(len(one)) for one in texts]),
        Part("b", -1.0, lambda _, texts: [1.0] * len(texts)),
    )
    scored = Rewards(parts)([asked("?")] * 2, ["x", "xyz"])
    assert scored.total.tolist() == [1.0, 5.0]
    assert scored.parts["a"].tolist() == [1.0, 3.0]
    functions = (function_of("format"), function_of("format"), function_of(BAND))
    assert titles(2, functions) == [
        "model",
        "model-2",
        "sentence",
        "sentence-2",
        "length",
    ]


def test_functions_of_others_are_those_an_admin_registered(monkeypatch):
    with pytest.raises(BadInputError, match="no function 'math:fsum' is registered"):
        judge_of(function_of("custom function=math:fsum"))
    names = "reward_functions_of_a_test:vowels, reward_functions_of_a_test:broken"
    monkeypatch.setenv("TRIVIUM_REWARD_FUNCTIONS", names)
    assert judged("custom function=reward_functions_of_a_test:vowels", "aeb") == 2
    broken = judge_of(function_of("custom function=reward_functions_of_a_test:broken"))
    with pytest.raises(BadInputError, match="1 numbers for 2 answers"):
        broken([asked("?")] * 2, ["a", "b"])
    monkeypatch.setenv("TRIVIUM_REWARD_FUNCTIONS", "no_such_module:vowels")
    with pytest.raises(BadInputError, match="cannot be imported"):
        judge_of(function_of("custom function=no_such_module:vowels"))


def test_a_reward_model_reads_as_the_engine_does(lab: RlhfLab):
    import torch
    from inference.loading import build, locate
    from inference.scoring import Scorer

    folder = lab.run(lab.reward(lab.pairs(), max_steps=2, eval_every=2)) / "output"
    texts = ["Thank you!", "No.", "Thank you, and so on and so forth."]
    prompts = [asked("Take 3 cups."), asked("Hm?"), asked("Take one.")]
    with renderer() as render:
        model = RewardModel(folder, render, torch.device("cpu"))
        found = model(prompts, texts)
        rows = model.encode(prompts, texts)
    ref = ModelRef(key="model-1", url=folder.as_uri(), sha256="")
    scorer = Scorer(build(ref, locate(ref, folder.parent), "cpu").model)
    assert found == pytest.approx([scorer.score(ids)[0] for ids in rows], abs=1e-5)
    assert len(set(found)) == 3


def test_a_policy_learns_from_a_reward_model_and_is_held_to_votes(lab: RlhfLab):
    rated = lab.run(lab.reward(lab.pairs(), max_steps=4, eval_every=4), "rated")
    spec = lab.rlhf(
        lab.pairs("prompts"),
        reward_models=(str(rated / "output"),),
        reward_weights=(2.0,),
        reward_functions=(BAND,),
        votes=lab.pairs("votes"),
        max_steps=3,
    )
    folder = lab.run(spec)
    assert len(curve(folder, "train/reward/model")) == 3
    votes = [float(one) for one in curve(folder, "validation/votes").values()]
    assert votes[0] == 0.5  # the policy is its reference still
    assert votes[-1] != 0.5
    assert len(set(curve(folder, "validation/votes_reward").values())) == 1


def test_models_that_rate_nothing_are_refused(lab: RlhfLab, tmp_path: Path):
    policy = str(lab.models["policy"])
    with pytest.raises(BadInputError, match="rates nothing: it is a LlamaForCausalLM"):
        lab.run(lab.rlhf(lab.prompts(), reward_models=(policy,)))
    no_template = str(lab.models["decoder"])
    with pytest.raises(BadInputError, match="decoder has no chat template"):
        lab.run(lab.rlhf(lab.prompts("other"), model=no_template))
