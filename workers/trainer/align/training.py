"""TRL's trainers of preferences, with what all trainers here have (`sft.training`).

TRL means its measures over batches; a last batch of fewer pairs would then count for as
much as a whole one. Here each counts by its pairs.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from runspec import DpoSpec, RewardSpec
from torch import Tensor, nn
from trl import DPOConfig, DPOTrainer, RewardConfig, RewardTrainer
from trl.trainer.reward_trainer import DataCollatorForPreference

from trainer.align.losses import added_by_turning
from trainer.align.measures import Floats
from trainer.errors import Stopped
from trainer.sft.parts import Parts, adapter_of
from trainer.sft.rows import NUMBERS
from trainer.sft.training import Watched

VOTED = ("against", "margin")
"""What a batch may say of the votes for its pairs."""
REFERENCE = ("ref_chosen_logps", "ref_rejected_logps")
NOT_OF_THE_MODEL = ("completion_mask", *REFERENCE, *VOTED)
"""What a batch has beside what the model reads."""


class Preferring(Watched):
    """What the trainers of pairs have beside that."""

    _metrics: dict[str, dict[str, list[float]]]

    def _set_signature_columns_if_needed(self: Any) -> None:
        super()._set_signature_columns_if_needed()  # type: ignore[misc]
        self._signature_columns = [*dict.fromkeys([*self._signature_columns, *NUMBERS])]

    def prediction_step(
        self: Any, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Evaluate a batch, and note how many pairs it has."""
        found = super().prediction_step(model, inputs, *args, **kwargs)
        self.pairs_seen.append(len(inputs["input_ids"]) // 2)
        return found

    @property
    def pairs_seen(self: Any) -> list[int]:
        """Pairs in each batch of the evaluation that is under way."""
        found: list[int] = self.__dict__.setdefault("_pairs_seen", [])
        return found

    def log(self: Any, logs: dict[str, float], *args: Any) -> None:
        """Log what was measured, each batch weighted by its pairs."""
        measured, pairs = self._metrics["eval"], self.pairs_seen
        if not self.model.training:
            for name, values in measured.items():
                if len(values) == len(pairs) > 0:
                    measured[name] = [float(np.average(values, weights=pairs))]
            pairs.clear()
        super().log(logs, *args)  # type: ignore[misc]

    @torch.no_grad()
    def held_out_rewards(self: Any) -> tuple[Floats, Floats]:
        """Return the rewards of the chosen and the rejected validation answers.

        Raises:
            Stopped: the run shall stop.
        """
        self.model.eval()
        found: list[Tensor] = []
        for batch in self.get_eval_dataloader():
            if self.is_stopped():
                raise Stopped
            inputs = self._prepare_inputs(batch)
            with self.compute_loss_context_manager():
                sides = self.rewards_of(inputs)
            found.append(torch.stack([one.float().cpu() for one in sides]))
        chosen, rejected = torch.cat(found, dim=1).double().numpy()
        return chosen, rejected


class AlignTrainer(Preferring, DPOTrainer):
    """TRL's trainer of DPO, for encoded rows, some of them chosen otherwise by some."""

    def _prepare_dataset(self, dataset: Dataset, *_: Any) -> Dataset:
        return dataset

    def learn_votes(self: Any) -> None:
        """Count each pair as if every vote for either answer were a pair of its own."""
        self.data_collator = Voted(self.data_collator)
        # `compute_loss` has asked the reference already: TRL shall not ask it again.
        self.precompute_ref_logps = True

    def compute_loss(
        self: Any, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Return TRL's loss, and where there are votes what those against add to it.

        With f the loss of a pair and q the share for the rejected answer it is
        (1 - q) f(chosen, rejected) + q f(rejected, chosen). For the sigmoid that is
        DPO with label smoothing (Mitchell 2023), each pair having its own.
        """
        if "against" not in inputs:
            return super().compute_loss(model, inputs, *args, **kwargs)

        against = inputs.pop("against")
        inputs = self.with_reference(inputs)
        heard: list[Tensor] = []

        def listening(**asked: Any) -> Any:
            """Ask the model for TRL, which does not tell the likelihoods of pairs."""
            answer = model(**asked)
            heard.append(answer.log_probs)
            return answer

        loss = super().compute_loss(listening, inputs, *args, **kwargs)
        added = added_by_turning(
            self.loss_types[0],
            *self.rewards(heard[0], inputs),
            *inputs["completion_mask"].sum(dim=1).clamp(min=1).chunk(2),
            beta=self.beta,
            label_smoothing=self.label_smoothing,
        )
        return loss + (against.to(added) * added).mean()

    def with_reference(self: Any, inputs: dict[str, Any]) -> dict[str, Any]:
        """Return a batch with how likely each answer is to the reference."""
        if REFERENCE[0] in inputs:
            return inputs
        asked = {name: one for name, one in inputs.items() if name not in VOTED}
        found = self.compute_ref_log_probs(self.ref_model or self.model, asked)
        return {**inputs, **dict(zip(REFERENCE, found, strict=True))}

    def rewards(
        self: Any, logps_BT: Tensor, inputs: dict[str, Any]
    ) -> tuple[Tensor, Tensor]:
        """Return beta times how much likelier than to the reference each answer is."""
        chosen, rejected = logps_BT.sum(dim=1).chunk(2)
        by_chosen, by_rejected = (inputs[name] for name in REFERENCE)
        return self.beta * (chosen - by_chosen), self.beta * (rejected - by_rejected)

    def rewards_of(self: Any, inputs: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Return the rewards of both answers of each pair."""
        inputs = self.with_reference(inputs)
        read = {k: v for k, v in inputs.items() if k not in NOT_OF_THE_MODEL}
        labels = inputs["input_ids"].masked_fill(inputs["completion_mask"] == 0, -100)
        out = self.model(**read, labels=labels, use_cache=False, fused_lm_head=True)
        chosen, rejected = self.rewards(out.log_probs, inputs)
        return chosen, rejected


@dataclass
class Voted:
    """TRL's batches of pairs, with how sure people were."""

    collate: Callable[[list[dict[str, Any]]], dict[str, Any]]
    strength_margin: float = 0.0

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """Return a batch."""
        batch = self.collate(examples)
        batch["against"] = torch.tensor([one["against"] for one in examples])
        if self.strength_margin:
            strengths = torch.tensor([one["strength"] for one in examples])
            batch["margin"] = self.strength_margin * strengths
        return batch


class RateTrainer(Preferring, RewardTrainer):
    """TRL's trainer of reward models, for pairs some people chose otherwise."""

    uses_votes: bool

    def compute_loss(
        self: Any,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Return the cross-entropy to the share of people who chose each answer.

        With d the rewards' difference, s the sigmoid and q the share for the rejected
        answer it is -(1 - q) log s(d) - q log s(-d): TRL's -log s(d), and q d.
        """
        against = inputs.pop("against")
        loss, outputs = super().compute_loss(
            model, inputs, return_outputs=True, **kwargs
        )
        if self.uses_votes:
            chosen, rejected = outputs.logits.squeeze(-1).chunk(2)
            apart = chosen - rejected - inputs.get("margin", 0.0)
            loss = loss + (against.to(apart) * apart).mean()
        return (loss, outputs) if return_outputs else loss

    def rewards_of(self: Any, inputs: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Return what the head says of each answer."""
        read = {k: v for k, v in inputs.items() if k not in NOT_OF_THE_MODEL}
        logits = self.model(**read, use_cache=False).logits.squeeze(-1)
        chosen, rejected = logits.chunk(2)
        return chosen, rejected


def make_aligner(
    parts: Parts, common: dict[str, Any], pieces: dict[str, Any]
) -> AlignTrainer:
    """Return the trainer of DPO; the model as it comes is the reference."""
    spec = parts.spec
    assert isinstance(spec, DpoSpec)
    model = without_dropout(pieces.pop("model"))
    adapter, reference = None, None
    if spec.method != "full":
        # Without its adapter the model is the reference.
        model, adapter = adapter_of(parts, model)
    elif not spec.precompute_reference:
        reference = copy.deepcopy(model)
    imitates = spec.sft_weight > 0
    config = DPOConfig(
        **common,
        max_length=None,
        beta=spec.beta,
        label_smoothing=spec.label_smoothing,
        loss_type=[spec.loss_type, "sft"] if imitates else [spec.loss_type],
        loss_weights=[1.0, spec.sft_weight] if imitates else None,
        precompute_ref_log_probs=spec.precompute_reference,
    )
    made = AlignTrainer(
        model=model,
        ref_model=reference,
        args=config,
        peft_config=adapter,
        **pieces,
    )
    if spec.soft_labels:
        made.learn_votes()
    return made


def make_rater(
    parts: Parts, common: dict[str, Any], pieces: dict[str, Any]
) -> RateTrainer:
    """Return the trainer of a reward model."""
    spec = parts.spec
    assert isinstance(spec, RewardSpec)
    without_dropout(pieces["model"])
    config = RewardConfig(
        **common,
        max_length=None,
        center_rewards_coefficient=spec.center_rewards or None,
    )
    collator = Voted(
        DataCollatorForPreference(pad_token_id=parts.tokenizer.pad_token_id),
        strength_margin=spec.strength_margin,
    )
    made = RateTrainer(args=config, data_collator=collator, **pieces)
    made.uses_votes = spec.soft_labels
    return made


def without_dropout(model: nn.Module) -> nn.Module:
    """Turn off what TRL's own way misses: dropout that is no module of its own."""
    for module in model.modules():
        if isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = 0.0  # type: ignore[assignment]
    return model
