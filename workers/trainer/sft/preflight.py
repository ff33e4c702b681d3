"""Stage `preflight`: what a fine-tuning run would see, and whether it may start.

Everything is built exactly as the run builds it (`trainer.sft.parts`), so the batch
shown is the batch trained.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import torch
from runspec import PreflightSpec, SftSpec
from runspec.preflight import BatchRow, Piece, PreflightReport

from trainer.context import Context
from trainer.errors import BadInputError
from trainer.sft.checks import (
    Checks,
    check_lengths,
    check_prompts,
    check_round_trip,
    check_trained,
    check_twins,
    check_vocabulary,
    refuse_reading,
    stop_if_asked,
)
from trainer.sft.parts import Parts, build_model, build_parts, build_trainer
from trainer.sft.trial import longest_batch, peak_memory, take_trial_step

SHOWN_ROWS = 8
SHOWN_TOKENS = 600
"""Of one row; the rest of a long one is not sent to the page."""
TRIAL = "A step at the longest batch"
FULL = 0.9
"""Share of the memory beyond which a run is likely to run out of it."""


def run_preflight(spec: PreflightSpec, *, context: Context) -> None:
    """Check a run; its report is the result.

    Raises:
        BadInputError: a check failed; the report is said before.
        Stopped: the run was asked to stop.
    """
    context.report.progress(step=0, total=3, unit="checks", phase="reading")
    checks = Checks()
    report = PreflightReport(checks=[])
    try:
        parts = build_parts(as_checked(spec), context)
    except BadInputError as error:
        refuse_reading(checks, error, spec.training)
    else:
        try:
            report = look_at(parts, checks, spec, context)
        finally:
            parts.close()
    report = report.model_copy(update={"checks": checks.found})
    context.report.result(report=report.model_dump(mode="json"))
    if checks.error is not None:
        raise checks.error


def as_checked(spec: PreflightSpec) -> SftSpec:
    """Return the training as it can be built here, where no GPU is held.

    What a GPU shall train is looked at on the CPU; weights that it will hold in four
    bits are whole here.
    """
    training = spec.training
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
    if spec.trains_on == "cpu":
        facts |= trial_step(parts, trainer, checks)
    else:
        checks.add(
            "memory",
            TRIAL,
            "The run takes it on the GPU itself, before its first step.",
        )
    say(step=3, total=3, unit="checks", phase="done")
    return PreflightReport(checks=[], batch=rows, facts=facts)


def batch_rows(parts: Parts, batch: dict[str, Any]) -> Iterator[BatchRow]:
    """Return the first rows of a batch as the model will see them."""
    ids_BT, labels_BT = batch["input_ids"], batch["labels"]
    mask_BT = batch.get("attention_mask")
    for row in range(min(SHOWN_ROWS, len(ids_BT))):
        ids = ids_BT[row]
        if mask_BT is not None:
            ids = ids[mask_BT[row].bool()]
        ids = ids.tolist()
        if parts.spec.task == "chat":
            labels = labels_BT[row].tolist()[: len(ids)]
            trained = [label >= 0 for label in labels]
            yield BatchRow(
                pieces=pieces_of(parts, ids, trained),
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
            target = pieces_of(parts, written, [True] * len(written))
        yield BatchRow(
            pieces=pieces_of(parts, ids, [False] * len(ids)),
            tokens=len(ids),
            trained_tokens=sum(piece.tokens for piece in target) or 1,
            is_cut=len(ids) > SHOWN_TOKENS,
            target=target,
            label=label,
        )


def pieces_of(parts: Parts, ids: list[int], trained: list[bool]) -> list[Piece]:
    """Join neighbouring tokens that are alike, and decode them together."""
    found: list[Piece] = []
    start = 0
    ids, trained = ids[:SHOWN_TOKENS], trained[:SHOWN_TOKENS]
    for at in range(1, len(ids) + 1):
        if at < len(ids) and trained[at] == trained[start]:
            continue
        text = parts.tokenizer.decode(ids[start:at], skip_special_tokens=False)
        piece = Piece(text=text, tokens=at - start, is_trained=trained[start])
        found.append(piece)
        start = at
    return found


def trial_step(parts: Parts, trainer: Any, checks: Checks) -> dict[str, Any]:
    """Take one real optimizer step at the longest batch, and measure the memory.

    The model is thrown away afterwards.
    """
    batch = longest_batch(trainer)
    tokens = int(batch["input_ids"].numel())
    try:
        trainer.create_optimizer_and_scheduler(num_training_steps=1)
        take_trial_step(trainer, batch)
        trainer.optimizer.step()
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "memory" not in str(error):
            raise
        checks.fail(
            "memory",
            TRIAL,
            BadInputError(
                f"the longest batch, {tokens:,} tokens, does not fit into memory",
                "Halve batch_size and double accumulation.",
            ),
            changes=smaller_batches(parts.spec),
            button="Halve the batches",
        )
        return {}
    peak = peak_memory(trainer.args.device)
    total = psutil.virtual_memory().total
    sentence = (
        f"One step at the longest batch ({tokens:,} tokens) took at most "
        f"{peak / 1e9:.1f} GB of {total / 1e9:.1f} GB."
    )
    is_full = peak > FULL * total
    checks.add("memory", TRIAL, sentence, "warning" if is_full else "ok")
    return {"peak_memory_bytes": peak, "memory_bytes": total}


def smaller_batches(spec: SftSpec) -> dict[str, Any]:
    """Return settings for the same steps in half the memory."""
    if spec.batch_size == 1:
        return {}
    return {"batch_size": spec.batch_size // 2, "accumulation": spec.accumulation * 2}


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
