"""What a trainer says while it works: one JSON object a line, in `events-N.jsonl`.

Nothing is ever parsed out of log text. JSON has no NaN: a non-finite metric value is
written as one of the strings "NaN", "Infinity", "-Infinity".
"""

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_serializer

ErrorClass = Literal["bad_input", "out_of_memory", "not_finite", "stopped", "crash"]
"""Only `crash` is ever retried; `stopped` is an attempt ended on request."""


class Event(BaseModel):
    """One line."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Metric(Event):
    """One point of one curve; `name` is like `train/loss`."""

    type: Literal["metric"] = "metric"
    step: int = Field(ge=0)
    name: str = Field(min_length=1, max_length=200)
    value: float

    @field_serializer("value")
    def json_safe(self, value: float) -> float | str:
        """JSON has no NaN and no infinities."""
        if math.isnan(value):
            return "NaN"
        if math.isinf(value):
            return "Infinity" if value > 0 else "-Infinity"
        return value


class Progress(Event):
    """How far the run is; `unit` says what `step` counts (steps, bytes, rows)."""

    type: Literal["progress"] = "progress"
    step: int = Field(ge=0)
    total: int = Field(ge=0)
    unit: str = "steps"
    tokens: int = 0
    tokens_per_s: float | None = None
    eta_s: float | None = None
    phase: str = ""
    """What is being done, in a word or two ("training", "building token cache")."""


class Sample(Event):
    """One text the model wrote."""

    type: Literal["sample"] = "sample"
    step: int = Field(ge=0)
    prompt: str
    text: str


class Checkpoint(Event):
    """A complete checkpoint now lies at `path`, relative to the run's folder."""

    type: Literal["checkpoint"] = "checkpoint"
    step: int = Field(ge=0)
    path: str
    manifest_sha256: str
    size_bytes: int = 0
    metric: float | None = None
    """Validation loss at this step, where known: retention keeps the best."""


class Warning(Event):  # noqa: A001 - the word of DESIGN.md
    """Something a person should know; the run goes on."""

    type: Literal["warning"] = "warning"
    step: int = 0
    message: str


class Pause(Event):
    """The trainer saves and ends by itself, for a person to look and decide."""

    type: Literal["pause"] = "pause"
    step: int = Field(ge=0)
    reason: str
    """One sentence, without its end."""


class Result(Event):
    """The run is done; `values` are the facts its page and its output object show."""

    type: Literal["result"] = "result"
    values: dict[str, Any]


class Error(Event):
    """The attempt failed: one sentence, and what to change."""

    type: Literal["error"] = "error"
    error_class: ErrorClass = "crash"
    message: str
    advice: str = ""


AnyEvent = Annotated[
    Metric | Progress | Sample | Checkpoint | Warning | Pause | Result | Error,
    Field(discriminator="type"),
]
_adapter: TypeAdapter[AnyEvent] = TypeAdapter(AnyEvent)


def parse_event(line: bytes | str) -> AnyEvent:
    """Read one line; raises ValueError where it is not an event."""
    return _adapter.validate_json(line)
