"""PPO as a run: what its steps learn from, and how it does beside RLOO."""

from typing import Any

import pytest
import torch
from rlhf_lab import RlhfLab
from safetensors.torch import load_file
from stage_lab import curve, result_of
from torch import Tensor
from trainer.rlhf import ppo

pytestmark = [
    pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`"),
    # TRL and PEFT ask transformers by an old name.
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning"),
]
LETTERS = "pattern pattern=[a-m]"
SAME_TASK: dict[str, Any] = {
    "reward_functions": (LETTERS,),
    "max_answer_tokens": 4,
    "num_generations": 8,
    "batch_size": 4,
    "eval_every": 30,
    "checkpoint_every": 30,
    "max_steps": 30,
    "learning_rate": 1e-2,
    "beta": 0.01,
    "schedule": "constant",
}
PPO: dict[str, Any] = {
    "algorithm": "ppo",
    "minibatches": 1,
    "value_learning_rate": 1e-2,
}
OWN_CURVES = (
    "train/value_loss",
    "train/value_gradient_norm",
    "train/explained_variance",
)


def rewards_of(folder) -> list[float]:
    return [float(value) for value in curve(folder, "train/reward").values()]


def late(folder) -> float:
    """Return the mean reward of the last samplings."""
    return sum(rewards_of(folder)[-5:]) / 5


def test_it_earns_what_rloo_earns_on_the_same_task(lab: RlhfLab):
    prompts = lab.prompts()
    by_rloo = lab.run(lab.rlhf(prompts, **SAME_TASK), "rloo")
    by_ppo = lab.run(lab.rlhf(prompts, **SAME_TASK, **PPO), "ppo")
    # The same policy answers the same prompts by the same seeds before it learns.
    assert rewards_of(by_ppo)[0] == rewards_of(by_rloo)[0] < 0.5
    assert late(by_rloo) > 0.85
    assert late(by_ppo) > late(by_rloo) - 0.15
    for name in OWN_CURVES:
        assert len(curve(by_ppo, name)) == SAME_TASK["max_steps"], name
    foreseen = list(curve(by_ppo, "train/explained_variance").values())
    assert float(foreseen[0]) == 0
    assert max(map(float, foreseen)) > 0


def test_an_advantage_of_the_wrong_sign_earns_nothing(
    lab: RlhfLab, monkeypatch: pytest.MonkeyPatch
):
    right = ppo.gae

    def wrong(*given: Tensor, **told: float) -> tuple[Tensor, Tensor]:
        advantages, returns = right(*given, **told)
        return -advantages, returns

    monkeypatch.setattr(ppo, "gae", wrong)
    spec = lab.rlhf(lab.prompts(), **(SAME_TASK | PPO | {"max_steps": 15}))
    assert late(lab.run(spec)) < 0.2


def test_answers_are_drawn_once_for_all_their_steps(lab: RlhfLab):
    spec = lab.rlhf(
        lab.prompts(), algorithm="ppo", num_iterations=2, minibatches=2, max_steps=6
    )
    folder = lab.run(spec)
    assert list(curve(folder, "train/reward")) == [1, 5]
    assert list(curve(folder, "train/value_loss")) == [1, 2, 3, 4, 5, 6]
    # Of the first answers, none has moved yet: whatever ratio there is is 1.
    assert float(curve(folder, "train/clip_share")[1]) == 0
    assert float(curve(folder, "train/kl")[1]) == pytest.approx(0, abs=1e-6)
    assert result_of(folder)["rlhf"]["algorithm"] == "ppo"


def test_parts_of_a_minibatch_make_the_same_step(lab: RlhfLab):
    changes = {**PPO, "max_steps": 2, "learning_rate": 1e-4, "eval_every": 2}
    prompts = lab.prompts()
    whole = lab.run(lab.rlhf(prompts, **changes), "whole")
    parted = lab.run(lab.rlhf(prompts, **changes, accumulation=4), "parted")
    for name in ("train/loss", "train/gradient_norm", "train/value_loss"):
        both = (curve(one, name).values() for one in (whole, parted))
        for one, other in zip(*both, strict=True):
            assert float(one) == pytest.approx(float(other), rel=1e-3, abs=1e-6), name


def test_a_checkpoint_holds_what_was_learnt_of_the_values(lab: RlhfLab):
    spec = lab.rlhf(lab.prompts(), algorithm="ppo", minibatches=1, max_steps=2)
    folder = lab.run(spec)
    learnt = load_file(folder / "checkpoints/step-2/critic.safetensors")
    assert torch.count_nonzero(learnt["head.weight"]) > 0
    optimizer = torch.load(
        folder / "checkpoints/step-2/optimizer.pt", weights_only=True
    )
    policy = load_file(folder / "output/model.safetensors")
    assert len(optimizer["state"]) == len(policy) + len(learnt)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"algorithm": "rloo", "num_generations": 1}, "at least 2, or algorithm ppo"),
        ({"algorithm": "rloo", "gamma": 0.9}, "only PPO reads it"),
        ({"algorithm": "ppo", "minibatches": 3}, "does not divide the 8 answers"),
        ({"algorithm": "ppo", "loss_type": "grpo"}, "only GRPO reads it"),
    ],
)
def test_settings_that_do_not_fit_are_refused(lab: RlhfLab, changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        lab.rlhf("prompts", **changes)


def test_one_answer_a_prompt_is_enough(lab: RlhfLab):
    spec = lab.rlhf(
        lab.prompts(), algorithm="ppo", num_generations=1, minibatches=1, max_steps=1
    )
    assert len(curve(lab.run(spec), "train/reward")) == 1
