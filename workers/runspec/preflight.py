"""The spec of a `preflight` run, and what it reports.

A training run that has one waits for it: the check works on a CPU slot with the very
batches the training would see, before any device is taken.
"""

from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict

from runspec.align import DpoSpec, RewardSpec
from runspec.base import Spec, setting
from runspec.pretrain import PretrainSpec
from runspec.rlhf import RlhfSpec
from runspec.sft import SftSpec

Status = Literal["ok", "warning", "failed"]


class PreflightSpec(Spec):
    """Check what a training run would see, and refuse it with a reason."""

    kind: Literal["preflight"] = "preflight"
    is_resumable: ClassVar[bool] = False

    training: SftSpec | DpoSpec | RewardSpec | RlhfSpec | PretrainSpec = setting(
        help="The run to check.", discriminator="kind"
    )
    trains_on: Literal["cpu", "gpu"] = setting(
        "cpu", help="Where it will train; the trial step is taken there."
    )

    def referred(self) -> dict[str, tuple[str, tuple[str, ...]]]:
        """Return what the training refers to."""
        return self.training.referred()

    def kinds_of(self, field: str) -> tuple[str, ...]:
        """Return the kinds of datasets a field of the training may refer to."""
        return self.training.kinds_of(field)

    def with_references(self, paths: dict[str, tuple[str, ...]]) -> Self:
        """Return a copy whose training has local paths."""
        training = self.training.with_references(paths)
        return self.model_copy(update={"training": training})


class Check(BaseModel):
    """One thing that was looked at."""

    model_config = ConfigDict(extra="forbid")

    name: str
    """Identifies it, like `end_token`."""
    title: str
    status: Status
    sentence: str
    """What was found; where it failed, also what to do."""
    changes: dict[str, Any] = {}
    """Settings that would mend it, for a button."""
    button: str = ""
    """What that button says."""


class Piece(BaseModel):
    """Neighbouring tokens that are all trained on, or all not."""

    model_config = ConfigDict(extra="forbid")

    text: str
    """Decoded; special tokens by name."""
    tokens: int
    is_trained: bool


class BatchRow(BaseModel):
    """One row of the first batch, as the model will see it."""

    model_config = ConfigDict(extra="forbid")

    pieces: list[Piece]
    tokens: int
    trained_tokens: int
    is_cut: bool = False
    """Whether the page shows only its beginning."""
    target: list[Piece] = []
    """What a decoder of an encoder-decoder shall write."""
    label: str = ""
    """What a classifier shall say."""


class PreflightReport(BaseModel):
    """What the page of a run shows: the `report` in the result of its preflight."""

    model_config = ConfigDict(extra="forbid")

    checks: list[Check]
    batch: list[BatchRow] = []
    facts: dict[str, Any] = {}
    """Rows, tokens, steps, lengths, memory: numbers a person may want."""
