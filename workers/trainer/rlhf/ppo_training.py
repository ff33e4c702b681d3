"""PPO as a run: when answers are drawn, which are learnt from, what a checkpoint holds.

The arithmetic is in `ppo`; sampling, rewards and times are those of RLOO and GRPO
(`training`), the loop, schedules and checkpoints transformers'. An optimizer step
learns from one minibatch; answers are drawn every `num_iterations` times `minibatches`
steps.
"""

import copy
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import TaskType, get_peft_model
from runspec import RlhfSpec
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import Sampler, SequentialSampler
from transformers import Trainer, TrainingArguments, default_data_collator
from trl.trainer.utils import disable_dropout_in_model

from trainer.align.training import without_dropout
from trainer.rlhf.parts import OnlineParts
from trainer.rlhf.ppo import (
    Critic,
    Experience,
    Learner,
    Losses,
    Settings,
    critic_of,
    minibatches,
)
from trainer.rlhf.sampling import Rollout, seed_of
from trainer.rlhf.training import ROLLOUTS, Online, equip
from trainer.sft.adapters import lora_config
from trainer.sft.parts import Parts, adapter_of

CRITIC = "critic.safetensors"
"""What was learnt of the value function, in a checkpoint."""
SHUFFLE = 2**61
"""Stands apart from the numbers of answers, in the seeds of minibatches."""


class PpoTrainer(Online, Trainer):
    """transformers' trainer, each of whose steps is one of PPO's."""

    spec: RlhfSpec
    order: list[int]
    """Which prompt is asked when, by number."""
    learner: Learner
    made: Experience | None = None
    """What is learnt from now."""
    _noted: dict[str, float]

    @property
    def _every(self) -> int:
        """Steps between two samplings."""
        return self.spec.num_iterations * self.spec.minibatches

    @property
    def _is_between(self: Any) -> bool:
        return bool(self.state.global_step % self._every)

    def _get_train_sampler(self, dataset: Any = None) -> Sampler[int]:
        return SequentialSampler(dataset or self.train_dataset)

    def create_optimizer(self: Any, model: Any = None) -> torch.optim.Optimizer:
        """Give the value function to the optimizer as well, at a rate of its own."""
        is_new = self.optimizer is None
        made: torch.optim.Optimizer = super().create_optimizer(model)
        if is_new:
            trained = [one for one in self.critic.parameters() if one.requires_grad]
            rate = self.spec.value_learning_rate
            for decay, chosen in (
                (self.spec.weight_decay, [one for one in trained if one.ndim > 1]),
                (0.0, [one for one in trained if one.ndim <= 1]),
            ):
                group = {"params": chosen, "lr": rate, "weight_decay": decay}
                made.add_param_group(group)
        return made

    @property
    def critic(self) -> Critic:
        """The value function."""
        return self.learner.critic

    # A step ---------------------------------------------------------------------

    def training_step(self: Any, model: nn.Module, _inputs: Any, *_: Any) -> Tensor:
        """Learn from a minibatch; before that, draw answers where it is time to."""
        model.train()
        if not self._is_between:
            self.made = self.draw_and_reward()
        began = time.perf_counter()
        batch = self.made.pick(self.chosen())
        self.critic.zero_grad(set_to_none=True)
        tokens = batch.mask.sum().clamp(min=1)
        total = 0.0
        rows = torch.arange(len(batch.ids), device=self.args.device)
        parts = rows.tensor_split(min(self.spec.accumulation, len(rows)))
        for part in (batch.pick(one) for one in parts):
            share = float(part.mask.sum() / tokens)
            with self.compute_loss_context_manager():
                losses: Losses = self.learner.losses(part)
            loss: Tensor = (losses.policy + losses.value) * share
            self.accelerator.backward(loss)
            total += float(loss.detach())
            for name, value in losses.measured.items():
                self._noted[name] = self._noted.get(name, 0.0) + value * share
        learnt = int(batch.lengths.sum())
        self.tokens += learnt
        self.spent.trained_tokens += learnt
        self.spent.training_s += time.perf_counter() - began
        return torch.tensor(total, device=self.args.device)

    def chosen(self: Any) -> Tensor:
        """Return the answers of this step's minibatch, by number."""
        done, part = divmod(self.state.global_step, self.spec.minibatches)
        seed = seed_of(self.run_seed, done, SHUFFLE)
        parts = minibatches(
            self.spec.rollouts_per_step, self.spec.minibatches, seed=seed
        )
        rows: Tensor = parts[part].to(self.args.device)
        return rows

    def draw_and_reward(self: Any) -> Experience:
        """Ask the next prompts; return the answers and all that is known of them."""
        size = self.spec.batch_size
        start = self.state.global_step // self._every * size
        asked = [
            self.asked[number]
            for number in self.order[start : start + size]
            for _ in range(self.spec.num_generations)
        ]
        rollouts: list[Rollout] = self._draw([list(one.ids) for one in asked])
        began = time.perf_counter()
        answers = self.processing_class.batch_decode(
            [one.ids for one in rollouts], skip_special_tokens=True
        )
        scored = self.rewards(asked, answers)
        rewarded = time.perf_counter()
        self.spent.rewarding_s += rewarded - began
        at_once = -(-len(rollouts) // (self.spec.minibatches * self.spec.accumulation))
        with self.compute_loss_context_manager():
            made: Experience
            made, measured = self.learner.experience(
                rollouts, scored.total, at_once=at_once
            )
        self.spent.training_s += time.perf_counter() - rewarded
        self._noted |= measured | said_of(rollouts, scored.total)
        for title, values in scored.parts.items():
            self._noted[f"rewards/{title}/mean"] = float(values.mean())
        return made

    def _clip_grad_norm(self: Any, model: nn.Module) -> Any:
        """Clip policy and value function apart: neither shall hold the other back."""
        self._noted["value_gradient_norm"] = float(
            nn.utils.clip_grad_norm_(self.critic.parameters(), self.args.max_grad_norm)
        )
        return super()._clip_grad_norm(model)

    def log(self, logs: dict[str, float], *args: Any) -> None:
        """Add what was seen in a step to what is logged of it."""
        logs |= self._noted
        self._noted.clear()
        super().log(logs, *args)

    # A checkpoint ---------------------------------------------------------------

    def write_rollouts(self: Any, folder: Path) -> None:
        """Write the value function, and the answers that are still learnt from."""
        learnt = {
            name: one.detach().cpu().contiguous()
            for name, one in self.critic.named_parameters()
            if one.requires_grad
        }
        save_file(learnt, str(folder / CRITIC))
        if self._is_between:
            tensors = {k: v.cpu() for k, v in self.made.tensors().items()}
            save_file(tensors, str(folder / ROLLOUTS))

    @torch.no_grad()
    def go_on(self: Any, checkpoint: Path) -> None:
        """Take up the value function, and the answers, where a checkpoint was made."""
        device = str(self.args.device)
        parameters = dict(self.critic.named_parameters())
        for name, value in load_file(str(checkpoint / CRITIC), device=device).items():
            parameters[name].copy_(value)
        if self._is_between:
            stored = load_file(str(checkpoint / ROLLOUTS), device=device)
            self.made = Experience(**stored)


def said_of(rollouts: Sequence[Rollout], rewards_B: Tensor) -> dict[str, float]:
    """Return what is logged of answers, by the names TRL has for it."""
    num = len(rollouts)
    return {
        "reward": float(rewards_B.mean()),
        "reward_std": float(rewards_B.std(correction=0)),
        "completions/mean_length": sum(len(one.ids) for one in rollouts) / num,
        "completions/clipped_ratio": sum(not one.ended for one in rollouts) / num,
    }


def make_ppo(parts: Parts, common: dict[str, Any], pieces: dict[str, Any]) -> Any:
    """Return the trainer of PPO; the model as it comes is the reference."""
    assert isinstance(parts, OnlineParts)
    spec = parts.spec
    assert isinstance(spec, RlhfSpec)
    model: Any = without_dropout(pieces.pop("model"))
    disable_dropout_in_model(model)
    critic = critic_of(model)
    reference = None
    if spec.method == "full":
        reference = copy.deepcopy(model).requires_grad_(False).eval()
    else:
        model, adapter = adapter_of(parts, model)
        model = get_peft_model(model, adapter)
        critic.body = adapted_body(critic.body, spec)
    config = TrainingArguments(
        **common | {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 1},
        remove_unused_columns=False,
    )
    order = list(pieces.pop("train_dataset")["prompt"])
    steps = Dataset.from_dict({"step": list(range(spec.max_steps))})
    made = PpoTrainer(
        model=model,
        args=config,
        train_dataset=steps,
        data_collator=default_data_collator,
        **pieces,
    )
    made.spec = spec
    made.order = order
    equip(made, parts)
    made._noted = {}  # noqa: SLF001
    device = made.args.device
    made.learner = Learner(
        made.model,
        critic.to(device),
        None if reference is None else reference.to(device),
        settings_of(spec),
    )
    return made


def adapted_body(body: Any, spec: RlhfSpec) -> nn.Module:
    """Let a value function learn as the policy does: by matrices added to its layers.

    To all of them: which ones the spec names is said of the policy's, head included.
    """
    added = lora_config(spec.model_copy(update={"lora_modules": ()}), body, num_new=0)
    added.task_type = TaskType.FEATURE_EXTRACTION
    adapted: nn.Module = get_peft_model(body, added)
    return adapted


def settings_of(spec: RlhfSpec) -> Settings:
    """Return what a spec says of PPO itself."""
    return Settings(
        beta=spec.beta,
        gamma=spec.gamma,
        lam=spec.gae_lambda,
        epsilon=spec.epsilon,
        value_epsilon=spec.value_epsilon,
        missing_end_penalty=spec.missing_end_penalty,
        temperature=spec.temperature,
        mask_cut=spec.mask_cut,
    )
