"""From a spec to what rewards answers."""

from pathlib import Path

import torch
from runspec import RlhfSpec
from runspec.rewards import titles
from sandbox.render import Renderer

from trainer.rlhf.rewards.functions import judge_of
from trainer.rlhf.rewards.judging import Judge, Part, Rewards
from trainer.rlhf.rewards.models import RewardModel


def build_rewards(spec: RlhfSpec, renderer: Renderer, device: torch.device) -> Rewards:
    """Load reward models and look up functions.

    Raises:
        BadInputError: one of them cannot be used here.
    """
    # Functions first: what is not registered is known before anything is loaded.
    functions = [judge_of(one) for one in spec.reward_functions]
    models: list[Judge] = [
        RewardModel(Path(folder), renderer, device) for folder in spec.reward_models
    ]
    weights = [
        *(spec.reward_weights or [1.0] * len(models)),
        *(one.weight for one in spec.reward_functions),
    ]
    names = titles(len(models), spec.reward_functions)
    parts = zip(names, weights, [*models, *functions], strict=True)
    return Rewards(tuple(Part(*one) for one in parts))
