"""Stage `preflight`: what a training run would see, and whether it may start.

Everything is built exactly as the run builds it, so the batch shown is the batch
trained. What is looked at differs by the kind of training (the modules `preflight` of
`trainer.sft`, `trainer.align` and `trainer.rlhf`, and `trainer.pretrain_preflight`);
how it is noted, and what fails, is here.
"""

from collections.abc import Callable
from typing import Any

import psutil
import torch
from runspec import (
    DpoSpec,
    PreflightSpec,
    PretrainSpec,
    RewardSpec,
    RlhfSpec,
    SftSpec,
    Tuning,
)
from runspec.preflight import Check, Piece, PreflightReport, Status

from trainer.context import Context
from trainer.errors import BadInputError, Stopped
from trainer.hardware import peak_memory

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
    report = _look(spec, checks, context)
    report = report.model_copy(update={"checks": checks.found})
    context.report.result(report=report.model_dump(mode="json"))
    if checks.error is not None:
        raise checks.error


def _look(spec: PreflightSpec, checks: "Checks", context: Context) -> PreflightReport:
    """Look at a training by its kind; only what that needs is imported."""
    match spec.training:
        case SftSpec():
            from trainer.sft.preflight import look_at_finetuning

            return look_at_finetuning(spec, spec.training, checks, context)
        case DpoSpec() | RewardSpec():
            from trainer.align.preflight import look_at_alignment

            return look_at_alignment(spec, spec.training, checks, context)
        case RlhfSpec():
            from trainer.rlhf.preflight import look_at_rlhf

            return look_at_rlhf(spec, spec.training, checks, context)
        case PretrainSpec():
            from trainer.pretrain_preflight import look_at_pretraining

            return look_at_pretraining(spec, spec.training, checks, context)


class Checks:
    """Collects what was looked at."""

    def __init__(self) -> None:
        self.found: list[Check] = []
        self.error: BadInputError | None = None
        """What failed first."""

    def add(
        self,
        name: str,
        title: str,
        sentence: str,
        status: Status = "ok",
        *,
        changes: dict[str, Any] | None = None,
        button: str = "",
    ) -> None:
        """Note one thing."""
        check = Check(
            name=name,
            title=title,
            status=status,
            sentence=sentence,
            changes=changes or {},
            button=button,
        )
        self.found.append(check)

    def fail(
        self,
        name: str,
        title: str,
        error: BadInputError,
        *,
        changes: dict[str, Any] | None = None,
        button: str = "",
    ) -> None:
        """Note what keeps the run from starting."""
        self.error = self.error or error
        said = str(error)
        text = f"{said[:1].upper()}{said[1:].rstrip('.')}. {error.advice}".strip()
        self.add(name, title, text, "failed", changes=changes, button=button)


def stop_if_asked(context: Context) -> None:
    """Raise Stopped once the run shall end."""
    if context.stop.is_set():
        raise Stopped


def pieces_of(
    ids: list[int], is_trained: list[bool], decode: Callable[[list[int]], str]
) -> list[Piece]:
    """Join neighbouring tokens that are alike, and decode them together."""
    found: list[Piece] = []
    start = 0
    ids, is_trained = ids[:SHOWN_TOKENS], is_trained[:SHOWN_TOKENS]
    for at in range(1, len(ids) + 1):
        if at < len(ids) and is_trained[at] == is_trained[start]:
            continue
        found.append(
            Piece(
                text=decode(ids[start:at]),
                tokens=at - start,
                is_trained=is_trained[start],
            )
        )
        start = at
    return found


def try_step(
    spec: PreflightSpec,
    checks: Checks,
    *,
    tokens: int,
    device: torch.device,
    step: Callable[[], None],
) -> dict[str, Any]:
    """Take one real optimizer step, and compare its memory with what there is.

    Raises:
        RuntimeError: the step failed for another reason than memory.
    """
    if spec.trains_on == "gpu":
        sentence = "The run takes it on the GPU itself, before its first step."
        checks.add("memory", TRIAL, sentence)
        return {}
    try:
        step()
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
            changes=smaller_batches(spec.training),
            button="Halve the batches",
        )
        return {}
    peak = peak_memory(device)
    total = psutil.virtual_memory().total
    sentence = (
        f"One step at the longest batch ({tokens:,} tokens) took at most "
        f"{peak / 1e9:.1f} GB of {total / 1e9:.1f} GB."
    )
    is_full = peak > FULL * total
    checks.add("memory", TRIAL, sentence, "warning" if is_full else "ok")
    return {"peak_memory_bytes": peak, "memory_bytes": total}


def smaller_batches(spec: Tuning | PretrainSpec) -> dict[str, Any]:
    """Return settings for the same steps in half the memory."""
    if spec.batch_size == 1:
        return {}
    return {"batch_size": spec.batch_size // 2, "accumulation": spec.accumulation * 2}
