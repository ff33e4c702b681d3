"""A step at the longest batch, before it comes by chance at step 3,000.

On a CPU the preflight takes it; on a GPU the run itself does, as its first act.
"""

from typing import Any

import torch

from trainer.sft.rows import NUMBERS

LISTS = ("input_ids", "prompt_ids", "chosen_ids", "rejected_ids")
"""Columns by whose lengths a row is long, as far as it has them."""
KEPT = {
    *LISTS, *NUMBERS, "labels", "seq_lengths", "ref_chosen_logps", "ref_rejected_logps",
}  # fmt: skip
"""What collators take."""


def take_trial_step(trainer: Any, batch: dict[str, Any]) -> None:
    """Go forward and backward once, and leave no trace in what training depends on.

    The gradients are left for the caller, who may step with them.

    Raises:
        RuntimeError, MemoryError: it does not fit.
    """
    tokens = trainer.tokens
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = 1
    with torch.random.fork_rng(devices=trainer.cuda_devices):
        inputs = trainer._prepare_inputs(batch)  # noqa: SLF001
        trainer.training_step(trainer.model, inputs)
    trainer.tokens = tokens
    if hasattr(trainer, "_metrics"):
        trainer._metrics["train"].clear()  # noqa: SLF001


def longest_batch(trainer: Any) -> dict[str, Any]:
    """Return a batch of the longest rows, collated as in training."""
    rows = trainer.train_dataset
    lists = [name for name in LISTS if name in rows.column_names]
    columns = [rows[name] for name in lists]
    lengths = [sum(map(len, ids)) for ids in zip(*columns, strict=True)]
    order = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
    chosen = [
        rows[place] for place in order[: trainer.args.per_device_train_batch_size]
    ]
    chosen = [{k: v for k, v in row.items() if k in KEPT} for row in chosen]
    found: dict[str, Any] = trainer.data_collator(chosen)
    return found
