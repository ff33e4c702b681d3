"""The trainers of TRL and transformers, with checkpoints that are verified.

What is added, once for all of them: checkpoints by `trainer.checkpoint`, the count of
tokens, and an evaluation that can be broken off.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from runspec import Tuning
from torch import Tensor, nn
from transformers import (
    DataCollatorForSeq2Seq,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    Trainer,
    TrainingArguments,
)
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from trl import SFTConfig, SFTTrainer

from trainer.errors import Stopped

Save = Callable[[Callable[[Path], None]], None]
"""Given what writes a folder, makes a checkpoint of it."""


class Watched:
    """What all trainers here have beside what their libraries give them."""

    save: Save
    tokens: int = 0
    """Read by the model so far, padding not counted."""
    is_stopped: Callable[[], bool]

    def _save_checkpoint(self: Any, model: nn.Module, trial: Any) -> None:
        """Let transformers write a folder, then make a verified checkpoint of it."""

        def write(temporary: Path) -> None:
            given = self.args.output_dir
            self.args.output_dir = str(temporary)
            try:
                # Not through TRL's: it writes a card into every checkpoint.
                Trainer._save_checkpoint(self, model, trial)  # noqa: SLF001
            finally:
                self.args.output_dir = given
            name = f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
            for path in (temporary / name).iterdir():
                shutil.move(path, temporary / path.name)
            (temporary / name).rmdir()

        self.save(write)

    def training_step(
        self: Any, model: nn.Module, inputs: dict[str, Any], *args: Any
    ) -> Tensor:
        """Count the tokens of a batch, and train on it."""
        ids = inputs["input_ids"]
        mask = inputs.get("attention_mask")
        self.tokens += int(ids.numel() if mask is None else mask.sum())
        loss: Tensor = super().training_step(model, inputs, *args)  # type: ignore[misc]
        return loss

    def evaluate(self: Any, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Evaluate without touching the random numbers of training.

        So an evaluation that was broken off can be made up for, and changes nothing.
        """
        with torch.random.fork_rng(devices=self.cuda_devices):
            found: dict[str, float] = super().evaluate(*args, **kwargs)  # type: ignore[misc]
        return found

    @property
    def cuda_devices(self: Any) -> list[torch.device]:
        """The devices whose random numbers training draws."""
        device = self.args.device
        return [device] if device.type == "cuda" else []

    def prediction_step(self: Any, *args: Any, **kwargs: Any) -> Any:
        """Evaluate a batch, unless the run shall stop.

        Raises:
            Stopped: it shall; the evaluation is made up for when the run goes on.
        """
        if self.is_stopped():
            raise Stopped
        return super().prediction_step(*args, **kwargs)  # type: ignore[misc]


class ChatTrainer(Watched, SFTTrainer):
    """TRL's trainer of conversations."""


class PairTrainer(Watched, Seq2SeqTrainer):
    """transformers' trainer of encoder-decoders."""


class LabelTrainer(Watched, Trainer):
    """transformers' trainer, here of classifiers."""


def arguments(
    spec: Tuning, output: Path, *, total_steps: int, is_bf16: bool, is_cpu: bool
) -> dict[str, Any]:
    """Return the arguments all trainers have in common."""
    return {
        "output_dir": str(output),
        "max_steps": total_steps,
        "per_device_train_batch_size": spec.batch_size,
        "per_device_eval_batch_size": spec.batch_size,
        "gradient_accumulation_steps": spec.accumulation,
        "learning_rate": spec.learning_rate,
        "lr_scheduler_type": spec.schedule,
        "warmup_steps": round(spec.warmup_share * total_steps),
        "weight_decay": spec.weight_decay,
        "max_grad_norm": spec.clip_norm,
        "seed": spec.seed,
        "data_seed": spec.seed,
        "bf16": is_bf16,
        "use_cpu": is_cpu,
        "activation_checkpointing": False,
        "dataloader_pin_memory": not is_cpu,
        "eval_strategy": "no",
        "save_strategy": "no",
        "logging_strategy": "steps",
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # a NaN shall be seen
        "disable_tqdm": True,
        "report_to": "none",
    }


def chat_trainer(common: dict[str, Any], *, packing: bool, **parts: Any) -> ChatTrainer:
    """Return TRL's trainer for rows that are encoded, labelled and packed already.

    Packed rows tell where each conversation begins by positions that start anew, and
    the masks of transformers keep them apart, with or without flash attention.
    """
    config = SFTConfig(**common, max_length=None, padding_free=packing)
    return ChatTrainer(args=config, **parts)


def pair_trainer(common: dict[str, Any], **parts: Any) -> PairTrainer:
    """Return the trainer of an encoder-decoder; padding of labels is not learnt."""
    tokenizer, model = parts["processing_class"], parts["model"]
    collator = DataCollatorForSeq2Seq(tokenizer, model=model)
    config = Seq2SeqTrainingArguments(**common)
    return PairTrainer(args=config, data_collator=collator, **parts)


def label_trainer(common: dict[str, Any], **parts: Any) -> LabelTrainer:
    """Return the trainer of a classifier."""
    tokenizer = parts["processing_class"]

    def collate(rows: list[dict[str, Any]]) -> dict[str, Tensor]:
        padded = tokenizer.pad(
            {"input_ids": [row["input_ids"] for row in rows]}, return_tensors="pt"
        )
        labels = torch.tensor([row["labels"][0] for row in rows])
        return {**padded, "labels": labels}

    config = TrainingArguments(**common)
    return LabelTrainer(args=config, data_collator=collate, **parts)
