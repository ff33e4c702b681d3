"""A task as the labeling page draws it: sides instead of answers, and no names."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from django.utils.safestring import SafeString
from runspec.labels import MAX_STRENGTH

from trivium.campaigns.models import Assignment, Campaign
from trivium.campaigns.questions import AXES, STRENGTHS, Details, Questions
from trivium.models.card import markdown_html

SIDES = ("left", "right")
AXIS_OPTIONS = (("left", "Left"), ("tie", "Equal"), ("right", "Right"))


@dataclass(frozen=True)
class Turn:
    """One turn of the conversation both answers belong to."""

    role: str
    who: str
    html: SafeString


@dataclass(frozen=True)
class Option:
    """One answer to a question."""

    value: str
    label: str
    is_chosen: bool


@dataclass(frozen=True)
class Ask:
    """One question beside the choice."""

    name: str
    title: str
    kind: Literal["one", "many", "text"]
    key: str
    """Goes through the options, or to the text."""
    is_optional: bool
    options: list[Option] = field(default_factory=list)
    text: str = ""


@dataclass(frozen=True)
class Shown:
    """One comparison on the page."""

    task: Assignment
    turns: list[Turn]
    continues: str
    """The text that both answers go on with; empty for conversations."""
    left: SafeString
    right: SafeString
    choice: str
    """Side chosen already, in a draft."""
    asks: list["Ask"]
    """What is asked beside the choice."""
    category: str


def shown(task: Assignment) -> Shown:
    """Return a task as it is drawn; its comparison and both answers were fetched."""
    compared = task.item.comparison
    texts = {"a": compared.answer_a.text, "b": compared.answer_b.text}
    left = task.shown_left
    right = "b" if left == "a" else "a"
    is_text = isinstance(compared.prompt, str)
    draft = side_draft(task)
    questions = Questions.model_validate(task.campaign.questions)
    return Shown(
        task=task,
        turns=[] if is_text else turns_of(compared.prompt),
        continues=compared.prompt if is_text else "",
        left=markdown_html(texts[left]),
        right=markdown_html(texts[right]),
        choice=draft["choice"],
        asks=list(_asks(questions, draft)),
        category=task.item.category,
    )


def turns_of(messages: list[dict[str, Any]]) -> list[Turn]:
    """Return the turns of a conversation, drawn safely."""
    names = {"user": "Person", "assistant": "Model", "system": "Instructions"}
    return [
        Turn(
            role=str(one.get("role", "")),
            who=names.get(str(one.get("role")), str(one.get("role", "")).title()),
            html=markdown_html(str(one.get("content") or "")),
        )
        for one in messages
    ]


def _asks(questions: Questions, draft: dict[str, Any]) -> Iterator[Ask]:
    """Yield what a campaign asks beside the choice, filled in from a draft."""
    if questions.strength != "off":
        scale = _options(STRENGTHS.items(), [draft["strength"]])
        is_optional = questions.strength == "optional"
        yield Ask("strength", "By how much?", "one", "s", is_optional, scale)
    if questions.axes != "off":
        is_optional = questions.axes == "optional"
        for (axis, title), key in zip(AXES.items(), "qwe", strict=True):
            sides = _options(AXIS_OPTIONS, [draft["axes"].get(axis)])
            named = f"More {title.lower()}"
            yield Ask(f"axis-{axis}", named, "one", key, is_optional, sides)
    if questions.acceptable != "off":
        is_optional = questions.acceptable == "optional"
        for side, key in zip(SIDES, "zx", strict=True):
            said = {True: "yes", False: "no"}.get(draft["acceptable"].get(side))
            found = _options((("yes", "Yes"), ("no", "No")), [said])
            named = f"Would the {side} one do?"
            yield Ask(f"acceptable-{side}", named, "one", key, is_optional, found)
    if questions.reasons != "off":
        tags = _options(((tag, tag) for tag in questions.reason_tags), draft["reasons"])
        is_optional = questions.reasons == "optional"
        yield Ask("reasons", "Why?", "many", "r", is_optional, tags)
    if questions.note != "off":
        is_optional = questions.note == "optional"
        yield Ask("note", "Note", "text", "n", is_optional, text=draft["note"])


def _options(pairs: Iterable[tuple[Any, str]], chosen: Sequence[Any]) -> list[Option]:
    return [Option(str(value), word, value in chosen) for value, word in pairs]


def to_answer(side: str, shown_left: str) -> str:
    """Return which answer, `a` or `b`, stands on a side; other words as they are."""
    other = "b" if shown_left == "a" else "a"
    return {"left": shown_left, "right": other}.get(side, side)


def to_side(answer: str, shown_left: str) -> str:
    """Return on which side an answer stands; other words as they are."""
    if answer not in {"a", "b"}:
        return answer
    return "left" if answer == shown_left else "right"


def side_draft(task: Assignment) -> dict[str, Any]:
    """Return what was filled in so far, by sides."""
    return by_sides(task.draft or {}, task.shown_left)


def by_sides(said: dict[str, Any], shown_left: str) -> dict[str, Any]:
    """Return what a draft or a vote says of answers A and B, by sides."""
    acceptable = {
        to_side(answer, shown_left): said.get(f"acceptable_{answer}")
        for answer in ("a", "b")
    }
    return {
        "choice": to_side(said.get("choice") or "", shown_left),
        "strength": said.get("strength"),
        "axes": {
            axis: to_side(one, shown_left)
            for axis, one in (said.get("axes") or {}).items()
        },
        "acceptable": acceptable,
        "reasons": list(said.get("reasons") or ()),
        "note": said.get("note") or "",
    }


def details_of(data: Any, shown_left: str) -> Details:
    """Return what a form says beside the choice, by answers.

    Words that mean nothing here are left out.
    `data` is a QueryDict with `strength`, `axis-helpful`…, `acceptable-left`,
    `acceptable-right`, `reasons` and `note`.
    """
    axes = {axis: to_answer(data.get(f"axis-{axis}", ""), shown_left) for axis in AXES}
    acceptable = {
        to_answer(side, shown_left): {"yes": True, "no": False}.get(
            data.get(f"acceptable-{side}", "")
        )
        for side in SIDES
    }
    strength = data.get("strength", "")
    number = int(strength) if strength.isdecimal() and len(strength) == 1 else 0
    return Details.model_validate(
        {
            "axes": {
                axis: said for axis, said in axes.items() if said in {"a", "b", "tie"}
            },
            "strength": number if 1 <= number <= MAX_STRENGTH else None,
            "acceptable_a": acceptable["a"],
            "acceptable_b": acceptable["b"],
            "reasons": data.getlist("reasons")[:20],
            "note": data.get("note", "")[:4_000],
        }
    )


def is_quick(campaign: Campaign) -> bool:
    """Whether choosing sends the vote: beside it only the strength may be said."""
    questions = Questions.model_validate(campaign.questions)
    beside = {
        questions.axes, questions.acceptable, questions.reasons, questions.note,
    }  # fmt: skip
    return beside == {"off"} and questions.strength != "required"
