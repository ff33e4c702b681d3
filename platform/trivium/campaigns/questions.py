"""What a campaign asks of each comparison beside the preference itself."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from runspec.labels import MAX_STRENGTH

Asked = Literal["off", "optional", "required"]
AXES = {
    "helpful": "Helpful",
    "harmless": "Harmless",
    "honest": "Honest",
}
STRENGTHS = {1: "Slightly better", 2: "Clearly better", 3: "Much better"}
assert max(STRENGTHS) == MAX_STRENGTH
REASONS = (
    "More correct",
    "Follows the request",
    "Clearer",
    "More complete",
    "Shorter",
    "Safer",
    "Better style",
)
MAX_REASONS = 20
MAX_NOTE = 4_000


class Questions(BaseModel):
    """Which questions stand beside the choice; that one is always required."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    axes: Asked = "off"
    """Helpful, harmless, honest: A, B or tie for each."""
    strength: Asked = "optional"
    acceptable: Asked = "off"
    """For each answer: would it do?"""
    reasons: Asked = "off"
    reason_tags: tuple[str, ...] = Field(REASONS, max_length=MAX_REASONS)
    note: Asked = "off"


class Details(BaseModel):
    """What a labeler said beside the choice, as it is sent and as drafts are kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    axes: dict[str, Literal["a", "b", "tie"]] = {}
    strength: int | None = Field(None, ge=1, le=MAX_STRENGTH)
    acceptable_a: bool | None = None
    acceptable_b: bool | None = None
    reasons: tuple[str, ...] = Field((), max_length=MAX_REASONS)
    note: str = Field("", max_length=MAX_NOTE)


def missing(questions: Questions, choice: str, details: Details) -> list[str]:
    """Return what a vote still lacks, in words; empty where it can be sent."""
    lacks = []
    if questions.axes == "required":
        lacks += [
            title.lower() for axis, title in AXES.items() if axis not in details.axes
        ]
    has_winner = choice in {"a", "b"}
    if questions.strength == "required" and has_winner and details.strength is None:
        lacks.append("how much better")
    if questions.acceptable == "required" and (
        details.acceptable_a is None or details.acceptable_b is None
    ):
        lacks.append("whether each answer is acceptable")
    if questions.reasons == "required" and not details.reasons:
        lacks.append("a reason")
    if questions.note == "required" and not details.note.strip():
        lacks.append("a note")
    return lacks


def fitting(questions: Questions, choice: str, details: Details) -> Details:
    """Return the details without answers to what was not asked.

    A tie has no strength: there is no better answer to be better by it.
    """
    asks = {name: getattr(questions, name) != "off" for name in Questions.model_fields}
    tags = set(questions.reason_tags)
    return Details(
        axes={one: said for one, said in details.axes.items() if one in AXES}
        if asks["axes"]
        else {},
        strength=details.strength
        if asks["strength"] and choice in {"a", "b"}
        else None,
        acceptable_a=details.acceptable_a if asks["acceptable"] else None,
        acceptable_b=details.acceptable_b if asks["acceptable"] else None,
        reasons=tuple(one for one in details.reasons if one in tags)
        if asks["reasons"]
        else (),
        note=details.note.strip() if asks["note"] else "",
    )
