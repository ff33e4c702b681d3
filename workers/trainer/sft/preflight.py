"""The preflight of fine-tuning: the rows, the template, the first batch, a step."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from runspec import PreflightSpec, SftSpec
from runspec.preflight import BatchRow, PreflightReport

from trainer.context import Context
from trainer.errors import BadInputError
from trainer.preflight import (
    SHOWN_ROWS,
    SHOWN_TOKENS,
    Checks,
    pieces_of,
    stop_if_asked,
    try_step,
)
from trainer.sft.checks import (
    check_held_out,
    check_lengths,
    check_prompts,
    check_round_trip,
    check_trained,
    check_twins,
    check_vocabulary,
    refuse_reading,
)
from trainer.sft.parts import Parts, build_model, build_parts, build_trainer
from trainer.sft.trial import longest_batch, take_trial_step


def look_at_finetuning(
    spec: PreflightSpec, training: SftSpec, checks: Checks, context: Context
) -> PreflightReport:
    """Build the run as it would be, and look at it."""
    try:
        parts = build_parts(as_checked(spec, training), context)
    except BadInputError as error:
        refuse_reading(checks, error, training)
        return PreflightReport(checks=[])
    try:
        return look_at(parts, checks, spec, context)
    finally:
        parts.close()


def as_checked(spec: PreflightSpec, training: SftSpec) -> SftSpec:
    """Return the training as it can be built here, where no GPU is held.

    What a GPU shall train is looked at on the CPU; weights that it will hold in four
    bits are whole here.
    """
    if spec.trains_on == "cpu":
        return training
    method = "lora" if training.method == "qlora" else training.method
    return training.model_copy(update={"device": "cpu", "method": method})


def look_at(
    parts: Parts, checks: Checks, spec: PreflightSpec, context: Context
) -> PreflightReport:
    """Look at everything in order of cost; what cannot go on stops there."""
    say = context.report.progress
    check_lengths(parts, checks)
    check_held_out(parts, checks)
    check_trained(parts, checks)
    if not parts.tally.kept:
        return PreflightReport(checks=[], facts=facts_of(parts))
    if parts.spec.task == "chat":
        checks.add(
            "end_token",
            "End of a turn",
            f"Every turn of the assistant ends with {parts.tokenizer.eos_token}, and "
            "generation stops there.",
        )
        check_prompts(parts, checks)
    check_round_trip(parts, checks)
    say(step=1, total=3, unit="checks", phase="looking for duplicates")
    check_twins(parts, checks, context)
    stop_if_asked(context)
    say(step=2, total=3, unit="checks", phase="building the first batch")
    try:
        model = build_model(parts)
    except BadInputError as error:
        checks.fail("vocabulary", "Model and vocabulary", error)
        return PreflightReport(checks=[], facts=facts_of(parts))
    check_vocabulary(parts, model, checks)
    trainer = build_trainer(
        parts,
        model,
        context.folder / "trainer",
        save=lambda _write: None,
        is_stopped=context.stop.is_set,
        callbacks=[],
    )
    batch = next(iter(trainer.get_train_dataloader()))
    rows = list(batch_rows(parts, batch))
    facts = facts_of(parts) | {"first_batch_tokens": int(batch["input_ids"].numel())}
    facts |= trial_step(spec, trainer, checks)
    say(step=3, total=3, unit="checks", phase="done")
    return PreflightReport(checks=[], batch=rows, facts=facts)


def batch_rows(parts: Parts, batch: dict[str, Any]) -> Iterator[BatchRow]:
    """Return the first rows of a batch as the model will see them."""
    ids_BT, labels_BT = batch["input_ids"], batch["labels"]
    mask_BT = batch.get("attention_mask")

    def decode(ids: list[int]) -> str:
        return str(parts.tokenizer.decode(ids, skip_special_tokens=False))

    for row in range(min(SHOWN_ROWS, len(ids_BT))):
        ids = ids_BT[row]
        if mask_BT is not None:
            ids = ids[mask_BT[row].bool()]
        ids = ids.tolist()
        if parts.spec.task == "chat":
            labels = labels_BT[row].tolist()[: len(ids)]
            trained = [label >= 0 for label in labels]
            yield BatchRow(
                pieces=pieces_of(ids, trained, decode),
                tokens=len(ids),
                trained_tokens=sum(trained),
                is_cut=len(ids) > SHOWN_TOKENS,
            )
            continue
        target, label = [], ""
        if parts.spec.task == "classification":
            label = parts.labels[int(labels_BT[row])]
        else:
            written = [one for one in labels_BT[row].tolist() if one >= 0]
            target = pieces_of(written, [True] * len(written), decode)
        yield BatchRow(
            pieces=pieces_of(ids, [False] * len(ids), decode),
            tokens=len(ids),
            trained_tokens=sum(piece.tokens for piece in target) or 1,
            is_cut=len(ids) > SHOWN_TOKENS,
            target=target,
            label=label,
        )


def trial_step(spec: PreflightSpec, trainer: Any, checks: Checks) -> dict[str, Any]:
    """Take a step at the longest batch; the model is thrown away afterwards."""
    batch = longest_batch(trainer)

    def step() -> None:
        trainer.create_optimizer_and_scheduler(num_training_steps=1)
        take_trial_step(trainer, batch)
        trainer.optimizer.step()

    tokens = int(batch["input_ids"].numel())
    device = trainer.args.device
    return try_step(spec, checks, tokens=tokens, device=device, step=step)


def facts_of(parts: Parts) -> dict[str, Any]:
    """Return the numbers a person may want to know before a run."""
    tally = parts.tally
    return {
        "rows": tally.kept,
        "rows_read": tally.rows,
        "validation_rows": len(parts.validation) if parts.validation is not None else 0,
        "tokens": tally.tokens,
        "trained_tokens": tally.trained_tokens,
        "longest_row": tally.longest,
        "context": parts.context_length,
        "steps": parts.total_steps,
        "template": parts.template,
        "labels": list(parts.labels),
        "lengths": [
            [2**power, rows] for power, rows in enumerate(tally.lengths) if rows
        ],
        "model": Path(parts.spec.model).name,
        "threads": torch.get_num_threads(),
    }
