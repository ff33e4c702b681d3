"""Rewards of answers: a weighted sum of reward models and reward functions."""

from trainer.rlhf.rewards.building import build_rewards
from trainer.rlhf.rewards.judging import Part, Rewards, Scored

__all__ = ["Part", "Rewards", "Scored", "build_rewards"]
