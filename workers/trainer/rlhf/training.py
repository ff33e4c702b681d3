"""TRL's RLOO and GRPO, with answers drawn and rewarded by this project's own means.

What is added: sampling that a run that goes on repeats, rewards by part, checkpoints
that are verified and may fall between two samplings, and the time that each of sampling
and training takes.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from runspec import RlhfSpec
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

from trainer.align.training import without_dropout
from trainer.rlhf.parts import OnlineParts
from trainer.rlhf.prompts import Asked
from trainer.rlhf.rewards import Rewards
from trainer.rlhf.sampling import Rollout, Sampler, make_sampler, seed_of
from trainer.sft.parts import Parts, adapter_of
from trainer.sft.training import Watched

ROLLOUTS = "rollouts.safetensors"
"""Answers that are still learnt from, in a checkpoint between two samplings."""


@dataclass
class Spent:
    """Where the time goes, since the attempt began."""

    sampling_s: float = 0.0
    sampled_tokens: int = 0
    """Of answers."""
    rewarding_s: float = 0.0
    training_s: float = 0.0
    """All of a step but sampling and rewarding."""
    trained_tokens: int = 0
    """Of prompts and answers, each time they are learnt from."""


class Online(Watched):
    """What the trainers of online RLHF have beside what TRL gives them."""

    asked: list[Asked]
    sampler: Sampler
    rewards: Rewards
    run_seed: int
    spent: Spent
    _step: int
    _buffered_inputs: list[dict[str, Tensor | None]] | None

    # What TRL asks for in a step ------------------------------------------------

    def _tokenize_prompts(
        self, prompts: list[int]
    ) -> tuple[list[list[int]], None, dict[str, Any]]:
        """Return prompts, given by number, as the policy sees them."""
        return [list(self.asked[at].ids) for at in prompts], None, {}

    def _draw(self: Any, prompts: list[list[int]]) -> list[Rollout]:
        """Draw an answer to each prompt."""
        step = self.state.global_step
        seeds = [seed_of(self.run_seed, step, at) for at in range(len(prompts))]
        began = time.perf_counter()
        found: list[Rollout] = self.sampler.sample(prompts, seeds=seeds)
        self.spent.sampling_s += time.perf_counter() - began
        self.spent.sampled_tokens += sum(len(one.ids) for one in found)
        return found

    def _calculate_rewards(
        self: Any, _inputs: Any, prompts: list[int], completions: list[str], _ids: Any
    ) -> Tensor:
        """Return the parts of each answer's reward, side by side; TRL weighs them."""
        began = time.perf_counter()
        scored = self.rewards([self.asked[at] for at in prompts], completions)
        self.spent.rewarding_s += time.perf_counter() - began
        return torch.stack(list(scored.parts.values()), dim=1).to(self.args.device)

    def _generate_and_score_completions(self: Any, inputs: list[Any]) -> Any:
        """Note how much the advantages differ."""
        found = super()._generate_and_score_completions(inputs)  # type: ignore[misc]
        spread = float(found["advantages"].float().std())
        self._metrics["train"]["advantage_std"].append(spread)
        return found

    def training_step(self: Any, model: nn.Module, inputs: Any, *args: Any) -> Tensor:
        """Train on a part of the answers, and count its tokens and time."""
        spent = self.spent
        apart = spent.sampling_s + spent.rewarding_s
        began = time.perf_counter()
        # Past the count of `Watched`: rows come as prompts, and are answered within.
        loss: Tensor = super(Watched, self).training_step(  # type: ignore[misc]
            model, inputs, *args
        )
        took_s = time.perf_counter() - began
        spent.training_s += took_s - (spent.sampling_s + spent.rewarding_s - apart)
        place = (self._step - 1) % self.args.steps_per_generation
        learnt = self._buffered_inputs[place]
        tokens = int(learnt["prompt_mask"].sum() + learnt["completion_mask"].sum())
        spent.trained_tokens += tokens
        self.tokens += tokens
        return loss

    def evaluate(self: Any, *_: Any, **__: Any) -> dict[str, float]:
        """Let the attempt evaluate by itself: there is no loss to measure here."""
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, {}
        )
        return {}

    # Between two samplings ------------------------------------------------------

    @property
    def _is_between(self: Any) -> bool:
        """Whether the answers at hand are learnt from once more."""
        every = self.args.steps_per_generation * self.num_iterations
        return bool(self._step % every)

    def write_rollouts(self: Any, folder: Path) -> None:
        """Write the answers that are still learnt from, where there are any."""
        if not self._is_between:
            return
        tensors = {
            f"{number}/{name}": value.cpu().contiguous().clone()
            for number, part in enumerate(self._buffered_inputs)
            for name, value in part.items()
            if value is not None
        }
        save_file(tensors, str(folder / ROLLOUTS))

    def go_on(self: Any, checkpoint: Path) -> None:
        """Take up counting, and the answers, where a checkpoint was made."""
        self._step = self.state.global_step * self.args.gradient_accumulation_steps
        if not self._is_between:
            return
        stored = load_file(str(checkpoint / ROLLOUTS), device=str(self.args.device))
        num_parts = self.args.steps_per_generation
        parts: list[dict[str, Any]] = [{} for _ in range(num_parts)]
        for key, value in stored.items():
            number, _, name = key.partition("/")
            parts[int(number)][name] = value
        self._buffered_inputs = parts


class RlooTrainer(Online, RLOOTrainer):
    """TRL's trainer of RLOO (https://arxiv.org/abs/2402.14740)."""

    def _generate_single_turn(
        self, prompt_ids: list[list[int]], *_: Any
    ) -> list[list[int]]:
        return [one.ids for one in self._draw(prompt_ids)]


class GrpoTrainer(Online, GRPOTrainer):
    """TRL's trainer of GRPO (https://arxiv.org/abs/2402.03300)."""

    def _generate_single_turn(
        self, prompt_ids: list[list[int]], *_: Any
    ) -> tuple[list[list[int]], None]:
        return [one.ids for one in self._draw(prompt_ids)], None


def make_online(parts: Parts, common: dict[str, Any], pieces: dict[str, Any]) -> Any:
    """Return the trainer of RLOO or GRPO; the model as it comes is the reference."""
    assert isinstance(parts, OnlineParts)
    spec = parts.spec
    assert isinstance(spec, RlhfSpec)
    model = without_dropout(pieces.pop("model"))
    adapter = None
    if spec.method != "full":
        model, adapter = adapter_of(parts, model)
    settings = common | {
        "per_device_train_batch_size": spec.rollouts_per_step // spec.accumulation,
        "num_generations": spec.num_generations,
        "max_completion_length": spec.max_answer_tokens,
        "temperature": spec.temperature,
        "top_p": spec.top_p,
        "top_k": spec.top_k,
        "beta": spec.beta,
        "epsilon": spec.epsilon,
        "num_iterations": spec.num_iterations,
        "mask_truncated_completions": spec.mask_cut,
        "reward_weights": [part.weight for part in parts.rewards.parts],
        "shuffle_dataset": False,  # the order is planned, see `parts.order_of`
        "disable_dropout": True,
    }
    trainer_class: Callable[..., Any]
    if spec.algorithm == "grpo":
        config: Any = GRPOConfig(
            **settings, scale_rewards=spec.scale_rewards, loss_type=spec.loss_type
        )
        trainer_class = GrpoTrainer
    else:
        config = RLOOConfig(**settings, normalize_advantages=spec.normalize_advantages)
        trainer_class = RlooTrainer
    made = trainer_class(
        model=model,
        args=config,
        reward_funcs=named([part.title for part in parts.rewards.parts]),
        peft_config=adapter,
        **pieces,
    )
    equip(made, parts)
    return made


def equip(made: Any, parts: OnlineParts) -> None:
    """Give a trainer what it asks, draws with and is rewarded by."""
    made.asked = parts.prompts
    made.rewards = parts.rewards
    made.run_seed = parts.spec.seed
    made.spent = Spent()
    made.sampler = make_sampler(
        made.model,
        parts.tokenizer,
        parts.drawing,
        ends=parts.ends,
        # Set on the trainer only later.
        is_stopped=lambda: made.is_stopped(),  # noqa: PLW0108
    )


def named(titles: Sequence[str]) -> list[Callable[..., Any]]:
    """Return what TRL calls the parts of a reward by; `Online` computes them."""

    def one(title: str) -> Callable[..., Any]:
        def part(**_: Any) -> list[float]:
            raise AssertionError("rewards are computed together")

        part.__name__ = title
        return part

    return [one(title) for title in titles]
