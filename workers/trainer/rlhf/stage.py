"""The stage itself: fine-tuning's, with answers that are drawn and rewarded."""

import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from runspec import RlhfSpec

from trainer.context import Context
from trainer.rlhf.limits import CURVES, crossed
from trainer.rlhf.parts import OnlineParts, build_online_parts
from trainer.rlhf.ppo_training import make_ppo
from trainer.rlhf.prompts import Asked
from trainer.rlhf.sampling import Rollout, seed_of
from trainer.rlhf.training import make_online
from trainer.sft.stage import Finetuning
from trainer.sft.state import State

NAMES = {
    "reward": "train/reward",
    "reward_std": "train/reward_std",
    "kl": "train/kl",
    "entropy": "train/entropy",
    "completions/mean_length": "train/length",
    "completions/clipped_ratio": "train/cut_share",
    "clip_ratio/region_mean": "train/clip_share",
    "frac_reward_zero_std": "train/equal_share",
    "advantage_std": "train/advantage_std",
    "clip_share": "train/clip_share",
    "value_loss": "train/value_loss",
    "value_gradient_norm": "train/value_gradient_norm",
    "explained_variance": "train/explained_variance",
}
"""What is logged, by TRL's names for it, and what its curve is called here."""
PART = re.compile(r"rewards/(.+)/mean")
HELD_OUT = 2**62
"""Stands for a step in the seeds of answers to held-out prompts: always the same."""


def run_rlhf(spec: RlhfSpec, *, context: Context) -> None:
    """Make `output/` an aligned model that plain `from_pretrained` loads.

    Raises:
        BadInputError: the model, a dataset or a reward cannot be worked with.
        NotFiniteError: the loss stayed NaN or infinite.
        Stopped: the run was asked to stop, or a limit paused it; a checkpoint was
            saved.
    """
    parts = build_online_parts(spec, context, TRAINERS[spec.algorithm])
    try:
        Aligning(parts, context).run()
    finally:
        parts.close()


TRAINERS = {"rloo": make_online, "grpo": make_online, "ppo": make_ppo}
"""Algorithm → what makes the trainer that learns by it."""


@dataclass
class OnlineState(State):
    """What an attempt hands on beside what all do."""

    sums: dict[str, float] = field(default_factory=dict)
    """Of the curves with limits, since the last evaluation."""
    counts: dict[str, int] = field(default_factory=dict)
    spent: dict[str, float] = field(default_factory=dict)
    """Seconds and tokens of earlier attempts; see `training.Spent`."""


class Aligning(Finetuning):
    """One attempt at learning from rewards."""

    parts: OnlineParts
    spec: RlhfSpec
    state: OnlineState
    state_class = OnlineState

    def __init__(self, parts: OnlineParts, context: Context) -> None:
        super().__init__(parts, context)
        self.is_paused = False
        self._earlier: dict[str, float] = {}
        self._spent_before = asdict(self.trainer.spent)
        votes = parts.votes
        self.rewarded_votes: float | None = None
        if votes is not None:
            # Before any training, so the model is the reference still.
            votes.reference = votes.ahead(self.trainer.model, context.stop.is_set)
            self.rewarded_votes = votes.rewarded(parts.rewards)

    @property
    def is_measured(self) -> bool:
        """Whether there are prompts that are not learnt from."""
        return bool(self.parts.held_out)

    @property
    def shall_end(self) -> bool:
        """Whether the run was asked to stop, or a limit pauses it."""
        return self.is_paused or super().shall_end

    def try_longest_batch(self) -> None:
        """Leave it to the first step: what is learnt from is not known before."""

    def evaluate(self) -> None:
        """Evaluate outside of training's own order."""
        self.on_evaluate(None, None, self.trainer.control)

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """Go on between two samplings, where the checkpoint was made there."""
        if self.context.resume is not None:
            self.trainer.go_on(self.context.resume)

    def named(self, logs: dict[str, float]) -> dict[str, float]:
        """Return what is logged under the names curves have here, parts and speeds."""
        found = super().named(logs)
        for name, value in logs.items():
            if name in NAMES:
                found[NAMES[name]] = float(value)
            elif part := PART.fullmatch(name):
                found[f"train/reward/{part[1]}"] = float(value)
        for name in CURVES & found.keys():
            state = self.state
            state.sums[name] = state.sums.get(name, 0.0) + found[name]
            state.counts[name] = state.counts.get(name, 0) + 1
        return found

    def speeds(self) -> dict[str, float]:
        """Return tokens per second of sampling and of training since the last time."""
        now, before = asdict(self.trainer.spent), self._spent_before
        spent = {name: now[name] - before[name] for name in now}
        self._spent_before = now
        found = {}
        if spent["sampling_s"]:
            speed = spent["sampled_tokens"] / spent["sampling_s"]
            found["sample/tokens_per_s"] = speed
        if spent["training_s"]:
            found["train/tokens_per_s"] = spent["trained_tokens"] / spent["training_s"]
        return found

    def on_evaluate(
        self,
        _args: Any,
        _state: Any,
        control: Any,
        metrics: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Measure; then see whether a limit is crossed."""
        super().on_evaluate(_args, _state, control, metrics)
        means = {
            name: total / self.state.counts[name]
            for name, total in self.state.sums.items()
        }
        self.state.sums, self.state.counts = {}, {}
        reason = crossed(self.spec, means)
        if reason and 0 < self.step < self.total:
            self.is_paused = True
            control.should_training_stop = control.should_save = True
            self.context.report.pause(reason, step=self.step)

    def answer(self) -> dict[str, float]:
        """Answer the fixed prompts and the held-out ones; measure the votes."""
        self.say_progress("answering")
        shown = self.parts.shown
        answers = self.texts(self.drawn(shown, is_greedy=True))
        for one, text in zip(shown, answers, strict=True):
            self.context.report.sample(step=self.step, prompt=one.text, text=text)
        found = self.held_out_rewards() | self.agreement()
        if found:
            self.context.report.metric(
                self.step, **{f"validation/{name}": one for name, one in found.items()}
            )
        return found

    def drawn(self, asked: list[Asked], *, is_greedy: bool = False) -> list[Rollout]:
        """Answer prompts by seeds that are the same at every evaluation."""
        seeds = [seed_of(self.spec.seed, HELD_OUT, at) for at in range(len(asked))]
        found: list[Rollout] = self.trainer.sampler.sample(
            [one.ids for one in asked], seeds=seeds, is_greedy=is_greedy
        )
        return found

    def texts(self, rollouts: list[Rollout]) -> list[str]:
        """Return answers as people and rewards read them."""
        ids = [one.ids for one in rollouts]
        decode = self.parts.tokenizer.batch_decode
        found: list[str] = decode(ids, skip_special_tokens=True)
        return found

    def held_out_rewards(self) -> dict[str, float]:
        """Return the mean reward of answers to held-out prompts, and its parts."""
        asked = self.parts.held_out
        if not asked:
            return {}
        rollouts = self.drawn(asked)
        scored = self.parts.rewards(asked, self.texts(rollouts))
        parts = {f"reward/{k}": float(v.mean()) for k, v in scored.parts.items()}
        lengths = [len(one.ids) for one in rollouts]
        return {
            "reward": float(scored.total.mean()),
            **parts,
            "length": sum(lengths) / len(lengths),
        }

    def agreement(self) -> dict[str, float]:
        """Return how often the policy, and the reward, choose as people did."""
        votes = self.parts.votes
        if votes is None or self.rewarded_votes is None:
            return {}
        share = votes.preferred(self.trainer.model, self.context.stop.is_set)
        return {"votes": share, "votes_reward": self.rewarded_votes}

    def save(self, write: Any) -> None:
        """Make a checkpoint, with the answers that are still learnt from."""

        def write_all(folder: Path) -> None:
            write(folder)
            self.trainer.write_rollouts(folder)

        self.state.spent = self.all_spent()
        super().save(write_all)

    def load_state(self, checkpoint: Path) -> None:
        """Take over what an earlier attempt knew, and what it spent."""
        super().load_state(checkpoint)
        self._earlier = dict(self.state.spent)

    def all_spent(self) -> dict[str, float]:
        """Return seconds and tokens of this attempt and those before it."""
        now = asdict(self.trainer.spent)
        return {name: now[name] + self._earlier.get(name, 0) for name in now}

    def further_facts(self) -> dict[str, Any]:
        """Return what else is known of the weights that are published."""
        spent = self.all_spent()
        rewards = [
            {"title": part.title, "weight": part.weight}
            for part in self.parts.rewards.parts
        ]
        return {
            "rlhf": {
                "algorithm": self.spec.algorithm,
                "sampler": self.trainer.sampler.name,
                "rewards": rewards,
                **spent,
                "sampling_tokens_per_s": rate(spent, "sampled_tokens", "sampling_s"),
                "training_tokens_per_s": rate(spent, "trained_tokens", "training_s"),
                "votes": len(self.parts.votes.pairs) if self.parts.votes else 0,
            }
        }


def rate(spent: dict[str, float], tokens: str, seconds: str) -> float | None:
    """Return tokens per second, where any time was spent."""
    return spent[tokens] / spent[seconds] if spent[seconds] else None
