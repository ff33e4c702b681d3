"""RLHF: it learns what is rewarded, resumes to the bit, and pauses at its limits."""

from itertools import pairwise

import pytest
from rlhf_lab import RlhfLab
from runspec.events import Pause, Sample
from stage_lab import curve, read_events, result_of

pytestmark = [
    pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`"),
    # PEFT asks transformers by an old name.
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning"),
]
CURVES = (
    "train/loss",
    "train/gradient_norm",
    "train/learning_rate",
    "train/reward",
    "train/reward/length",
    "train/reward/pattern",
    "train/kl",
    "train/entropy",
    "train/length",
    "train/cut_share",
    "train/clip_share",
    "train/advantage_std",
    "validation/reward",
    "validation/reward/length",
)
METHODS = {
    "rloo": {},
    "rloo lora": {"method": "lora", "lora_rank": 4},
    "grpo lora": {"algorithm": "grpo", "method": "lora", "lora_rank": 4},
    # A checkpoint falls between two samplings: their answers are kept.
    "grpo, answers learnt from thrice": {
        "algorithm": "grpo",
        "num_iterations": 3,
        "accumulation": 2,
    },
    "rloo, answers learnt from twice": {"num_iterations": 2, "checkpoint_every": 1},
    "ppo": {"algorithm": "ppo", "minibatches": 1, "accumulation": 2},
    # A checkpoint falls between two minibatches of the same answers.
    "ppo lora, four steps a sampling": {
        "algorithm": "ppo",
        "num_iterations": 2,
        "minibatches": 2,
        "num_generations": 2,
        "method": "lora",
        "lora_rank": 4,
        "checkpoint_every": 1,
        "missing_end_penalty": 1.0,
    },
}


def checkpoints(folder):
    names = (folder / "checkpoints").iterdir()
    return sorted(int(path.name.removeprefix("step-")) for path in names)


def weights_of(folder):
    from safetensors.torch import load_file

    return load_file(folder / "output/model.safetensors")


@pytest.mark.parametrize("changes", METHODS.values(), ids=METHODS)
def test_a_resumed_run_is_the_same_to_the_bit(lab: RlhfLab, changes):
    spec = lab.rlhf(lab.prompts(), **changes)
    whole = lab.run(spec, "whole")
    broken = lab.run(spec, "broken", stop_at=3)
    newest = max(checkpoints(broken))
    assert newest < spec.max_steps
    resume = broken / f"checkpoints/step-{newest}"
    lab.run(spec, "broken", fence=2, resume=resume)
    for name in CURVES:
        assert curve(broken, name, 1, 2) == curve(whole, name), name
        assert len(curve(whole, name)) >= 2, name
    once, again = weights_of(whole), weights_of(broken)
    assert all(bool((once[name] == again[name]).all()) for name in once)
    assert result_of(broken, 2)["tokens"] == result_of(whole)["tokens"]


def test_it_learns_what_is_rewarded_and_writes_an_aligned_model(lab: RlhfLab):
    from transformers import AutoModelForCausalLM

    spec = lab.rlhf(
        lab.prompts(),
        reward_functions=("pattern pattern=[a-m]",),
        max_answer_tokens=4,
        num_generations=8,
        batch_size=4,
        max_steps=30,
        eval_every=30,
        learning_rate=1e-2,
        beta=0.0,
        schedule="constant",
    )
    folder = lab.run(spec)
    rewards = [float(value) for value in curve(folder, "train/reward").values()]
    assert sum(rewards[-5:]) / 5 > sum(rewards[:5]) / 5 + 0.4
    found = result_of(folder)["rlhf"]
    assert found["sampler"] == "engine"
    assert found["sampled_tokens"] > 0 < found["training_tokens_per_s"]
    assert "- aligned\n" in (folder / "output/README.md").read_text()
    AutoModelForCausalLM.from_pretrained(folder / "output")


def test_the_same_prompts_are_answered_at_every_evaluation(lab: RlhfLab):
    folder = lab.run(lab.rlhf(lab.prompts(), sample_prompts=("Who?", "Where?")))
    samples = [e for e in read_events(folder) if isinstance(e, Sample)]
    by_step = {}
    for one in samples:
        by_step.setdefault(one.step, []).append(one.prompt)
    assert sorted(by_step) == [0, 3, 6]
    assert all(one == ["Who?", "Where?"] for one in by_step.values())


def test_a_limit_pauses_the_run_which_goes_on_past_it(lab: RlhfLab):
    spec = lab.rlhf(lab.prompts(), max_kl=1e-9, learning_rate=1e-2)
    folder = lab.run(spec)
    [paused] = [e for e in read_events(folder) if isinstance(e, Pause)]
    assert paused.step == 3
    assert "KL to the reference is" in paused.reason
    assert checkpoints(folder)[-1] == 3
    # It goes on to its end, where there is nothing left to pause.
    resume = folder / "checkpoints/step-3"
    lab.run(spec, fence=2, resume=resume)
    steps = list(curve(folder, "train/loss", 1, 2))
    assert all(after == before + 1 for before, after in pairwise(steps))
    assert result_of(folder, 2)["steps"] == 6
