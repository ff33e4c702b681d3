"""TRL's trainers of preferences, with what all trainers here have (`sft.training`).

TRL means its measures over batches; a last batch of fewer pairs would then count for as
much as a whole one. Here each counts by its pairs.
"""

import copy
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from runspec import DpoSpec, RewardSpec
from torch import Tensor, nn
from trl import DPOConfig, DPOTrainer, RewardConfig, RewardTrainer

from trainer.align.measures import Floats
from trainer.errors import Stopped
from trainer.sft.parts import Parts, adapter_of
from trainer.sft.training import Watched

NOT_OF_THE_MODEL = ("completion_mask", "ref_chosen_logps", "ref_rejected_logps")


class Preferring(Watched):
    """What the trainers of pairs have beside that."""

    _metrics: dict[str, dict[str, list[float]]]

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
    """TRL's trainer of DPO, for rows that are encoded already."""

    def _prepare_dataset(self, dataset: Dataset, *_: Any) -> Dataset:
        return dataset

    def rewards_of(self: Any, inputs: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Return beta times how much likelier than to the reference each answer is."""
        given = {k: v for k, v in inputs.items() if k not in NOT_OF_THE_MODEL}
        labels = inputs["input_ids"].masked_fill(inputs["completion_mask"] == 0, -100)
        out = self.model(**given, labels=labels, use_cache=False, fused_lm_head=True)
        chosen, rejected = out.log_probs.sum(dim=1).chunk(2)
        if self.precompute_ref_logps:
            by_chosen = inputs["ref_chosen_logps"]
            by_rejected = inputs["ref_rejected_logps"]
        else:
            reference = self.ref_model or self.model
            by_chosen, by_rejected = self.compute_ref_log_probs(reference, inputs)
        return self.beta * (chosen - by_chosen), self.beta * (rejected - by_rejected)


class RateTrainer(Preferring, RewardTrainer):
    """TRL's trainer of reward models."""

    def rewards_of(self: Any, inputs: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Return what the head says of each answer."""
        logits = self.model(**inputs, use_cache=False).logits.squeeze(-1)
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
    return AlignTrainer(
        model=model,
        ref_model=reference,
        args=config,
        peft_config=adapter,
        **pieces,
    )


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
    return RateTrainer(args=config, **pieces)


def without_dropout(model: nn.Module) -> nn.Module:
    """Turn off what TRL's own way misses: dropout that is no module of its own."""
    for module in model.modules():
        if isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = 0.0  # type: ignore[assignment]
    return model
