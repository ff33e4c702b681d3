"""The preflight of alignment: the pairs, the first batch, a step."""

from collections.abc import Iterator
from typing import Any

from runspec import DpoSpec, PreflightSpec, RewardSpec
from runspec.preflight import BatchRow, PreflightReport

from trainer.align.pairs import SIDES, refuse_no_pair
from trainer.align.parts import build_pair_parts
from trainer.context import Context
from trainer.errors import BadInputError
from trainer.preflight import SHOWN_ROWS, SHOWN_TOKENS, Checks, pieces_of, stop_if_asked
from trainer.sft.checks import (
    check_held_out,
    check_lengths,
    check_vocabulary,
    refuse_reading,
)
from trainer.sft.parts import Parts, build_model, build_trainer
from trainer.sft.preflight import facts_of, trial_step


def look_at_alignment(
    spec: PreflightSpec,
    training: DpoSpec | RewardSpec,
    checks: Checks,
    context: Context,
) -> PreflightReport:
    """Build the run as it would be, and look at it."""
    try:
        parts = build_pair_parts(as_checked(spec, training), context)
    except BadInputError as error:
        refuse_reading(checks, error, training)
        return PreflightReport(checks=[])
    try:
        return look_at(parts, checks, spec, context)
    finally:
        parts.close()


def as_checked(
    spec: PreflightSpec, training: DpoSpec | RewardSpec
) -> DpoSpec | RewardSpec:
    """Return the training as it can be built here, where no GPU is held.

    Nor is the reference asked about every pair: the run does that once itself.
    """
    changes: dict[str, Any] = {}
    if isinstance(training, DpoSpec):
        changes["precompute_reference"] = False
    if spec.trains_on == "gpu":
        changes["device"] = "cpu"
        if training.method == "qlora":
            changes["method"] = "lora"
    return training.model_copy(update=changes)


def look_at(
    parts: Parts, checks: Checks, spec: PreflightSpec, context: Context
) -> PreflightReport:
    """Look at everything in order of cost; what cannot go on stops there."""
    say = context.report.progress
    check_lengths(parts, checks)
    check_held_out(parts, checks)
    check_pairs(parts, checks)
    if not parts.tally.kept:
        return PreflightReport(checks=[], facts=facts_of(parts))
    check_validation(parts, checks)
    stop_if_asked(context)
    say(step=1, total=3, unit="checks", phase="building the first batch")
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
    say(step=2, total=3, unit="checks", phase="trying a step")
    facts |= trial_step(spec, trainer, checks)
    say(step=3, total=3, unit="checks", phase="done")
    return PreflightReport(checks=[], batch=rows, facts=facts)


def check_pairs(parts: Parts, checks: Checks) -> None:
    """See that the answers of each pair differ as the model reads them."""
    tally, title = parts.tally, "Pairs"
    if not tally.kept:
        try:
            refuse_no_pair(tally)
        except BadInputError as error:
            checks.fail("pairs", title, error)
        return
    if tally.num_untrained:
        named = ", ".join(tally.untrained[:5])
        checks.add(
            "pairs",
            title,
            f"In {tally.num_untrained:,} rows both answers are the same as the model "
            f"reads them, or one is empty; they are left out: {named}.",
            "warning",
        )
        return
    checks.add("pairs", title, f"All {tally.kept:,} pairs have answers that differ.")


def check_validation(parts: Parts, checks: Checks) -> None:
    """Say what will be measured on pairs the model has not seen."""
    title = "Validation pairs"
    if parts.validation is None:
        checks.add(
            "validation",
            title,
            "There are none, so nothing will be measured on unseen pairs.",
            "warning",
        )
        return
    rows = len(parts.validation)
    checks.add("validation", title, f"{rows:,} pairs are measured on and not learnt.")


def batch_rows(parts: Parts, batch: dict[str, Any]) -> Iterator[BatchRow]:
    """Return the first pairs of a batch, each as two rows, the chosen one first."""
    ids_BT, mask_BT = batch["input_ids"], batch["attention_mask"]
    learnt_BT = batch.get("completion_mask", mask_BT)
    half = len(ids_BT) // 2

    def decode(ids: list[int]) -> str:
        return str(parts.tokenizer.decode(ids, skip_special_tokens=False))

    for at in range(min(SHOWN_ROWS // 2, half)):
        for row, side in zip((at, half + at), SIDES, strict=True):
            is_read = mask_BT[row].bool()
            ids = ids_BT[row][is_read].tolist()
            trained = learnt_BT[row][is_read].bool().tolist()
            yield BatchRow(
                pieces=pieces_of(ids, trained, decode),
                tokens=len(ids),
                trained_tokens=sum(trained),
                is_cut=len(ids) > SHOWN_TOKENS,
                label=side,
            )
