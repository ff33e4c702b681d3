"""The forms in which files hold a pair of answers, each read into a `Pair`."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from trainer.ingest.errors import BadRowError, NoPreferenceError, shown
from trainer.ingest.kinds.base import (
    Mapping,
    clean_text,
    column_value,
    optional_text,
    type_name,
)
from trainer.ingest.kinds.choosing import is_instruction
from trainer.ingest.kinds.messages import (
    Turn,
    as_list,
    is_turns,
    read_turns,
    text_turn,
)
from trainer.ingest.kinds.transcripts import is_transcript, read_transcript
from trainer.ingest.rows import Notes

Said = str | list[Turn]
"""Plain text, or turns."""
WINS = {
    "a": {"model_a", "model a", "answer_a", "response_a", "a", "left"},
    "b": {"model_b", "model b", "answer_b", "response_b", "b", "right"},
    "tie": {
        "tie",
        "tie (bothbad)",
        "tie (both bad)",
        "bothbad",
        "both_bad",
        "both bad",
        "neither",
        "none",
        "draw",
    },
}
"""How battles write who won."""
SCORES = ("overall_score", "fine-grained_score", "score", "rating")
RESPONSES = ("response", "content", "text", "completion")
MAX_COMPLETIONS = 1_000
SAME = "chosen and rejected are the same: no usable pair"


class Pair(NamedTuple):
    """One prompt and two answers, as they are stored."""

    prompt: list[Turn]
    chosen: list[Turn]
    rejected: list[Turn]
    is_chat: bool


class Reader(NamedTuple):
    """A row, and how to read it."""

    row: Any
    mapping: Mapping
    most: int
    notes: Notes

    def value(self, part: str) -> Any:
        """Return what is in a part's column; BadRowError where there is none."""
        return column_value(self.row, self.mapping[part])

    def said(self, part: str) -> Said:
        """Return what a part says."""
        value, column = self.value(part), self.mapping[part]
        if is_turns(value) or isinstance(value, list):
            return read_turns(value, column, self.most, self.notes)
        return clean_text(value, column, self.most, self.notes)

    def text(self, part: str) -> str | None:
        """Return the text of a part a row may lack."""
        return optional_text(self.row, self.mapping, part, self.most, self.notes)

    def asked(self) -> Said | None:
        """Return the prompt, if there is one; an input goes below a text."""
        if "prompt" not in self.mapping:
            return None
        value = self.value("prompt")
        if value is None or value == [] or (isinstance(value, str) and not value):
            self.notes.add("some pairs have an empty prompt")
            return None
        asked = self.said("prompt")
        added = self.text("input")
        if added is None:
            return asked
        if not isinstance(asked, str):
            raise BadRowError("an input goes below a prompt in text, not below turns")
        return f"{asked}\n\n{added}"


def of_answers(reader: Reader) -> Pair:
    """Read chosen and rejected, with a prompt or with what they have in common."""
    chosen, rejected = reader.said("chosen"), reader.said("rejected")
    asked = reader.asked()
    if isinstance(chosen, str) and isinstance(rejected, str):
        if isinstance(asked, list):
            return Pair(asked, _answer(chosen), _answer(rejected), True)
        if asked is None:
            return _of_whole_texts(chosen, rejected)
        if is_transcript(asked) and asked.rstrip().endswith("\nAssistant:"):
            # The prompt ends where the assistant's words begin.
            return _of_talks(
                read_transcript(asked + chosen, "chosen"),
                read_transcript(asked + rejected, "rejected"),
            )
        is_chat = is_instruction(reader.mapping["prompt"])
        chosen, rejected = _without_prompt(asked, chosen, rejected, reader.notes)
        return Pair(
            [text_turn("user", asked)], _answer(chosen), _answer(rejected), is_chat
        )
    better, worse = (
        _answer(said) if isinstance(said, str) else said for said in (chosen, rejected)
    )
    if isinstance(asked, str):
        asked = [text_turn("user", asked)]
    if asked and better[0]["role"] == worse[0]["role"] == "assistant":
        return Pair(asked, better, worse, True)
    pair = _split(better, worse)
    if asked and not _ends_with(pair.prompt, asked):
        raise BadRowError(
            f"{shown(reader.mapping['prompt'])} is not what chosen and rejected answer"
        )
    return pair


def _ends_with(turns: list[Turn], asked: list[Turn]) -> bool:
    return [turn["content"].strip() for turn in turns[-len(asked) :]] == [
        turn["content"].strip() for turn in asked
    ]


def _answer(text: str) -> list[Turn]:
    return [text_turn("assistant", text)]


def _split(chosen: list[Turn], rejected: list[Turn]) -> Pair:
    """Split two conversations behind the last turn they share.

    Raises:
        BadRowError: they part where a user speaks, or one is the other's beginning.
    """
    shared = _num_shared(chosen, rejected)
    if chosen == rejected:
        raise BadRowError(SAME)
    if shared in {len(chosen), len(rejected)}:
        raise BadRowError("one of chosen and rejected is the beginning of the other")
    for turns in (chosen, rejected):
        if turns[shared]["role"] != "assistant":
            raise BadRowError(
                f"the prompts of chosen and rejected differ: they part at turn "
                f"{shared + 1}, which is the {turns[shared]['role']}'s"
            )
    return Pair(chosen[:shared], chosen[shared:], rejected[shared:], True)


def _num_shared(chosen: Sequence[Any], rejected: Sequence[Any]) -> int:
    """Count how many items two sequences begin with in common."""
    least = min(len(chosen), len(rejected))
    return next((at for at in range(least) if chosen[at] != rejected[at]), least)


def of_transcripts(reader: Reader) -> Pair:
    """Read two transcripts; before their last turn they must be one."""
    before = reader.text("prompt") or ""
    talks = []
    for part in ("chosen_transcript", "rejected_transcript"):
        column = reader.mapping[part]
        text = clean_text(reader.value(part), column, reader.most, reader.notes)
        talks.append(read_transcript(before + text, column))
    return _of_talks(*talks)


def _of_talks(chosen: list[Turn], rejected: list[Turn]) -> Pair:
    if chosen == rejected:
        raise BadRowError(SAME)
    if chosen[:-1] != rejected[:-1]:
        where = _num_shared(chosen[:-1], rejected[:-1]) + 1
        raise BadRowError(
            f"the prompts of chosen and rejected differ: they part at turn {where}, "
            "before their last answers"
        )
    return Pair(chosen[:-1], chosen[-1:], rejected[-1:], True)


def _of_whole_texts(chosen: str, rejected: str) -> Pair:
    """Split two texts at the last border between words up to which they are one."""
    if chosen == rejected:
        raise BadRowError(SAME)
    at = shared_beginning(chosen, rejected)
    prompt = [text_turn("user", chosen[:at])] if at else []
    return Pair(prompt, _answer(chosen[at:]), _answer(rejected[at:]), False)


def shared_beginning(one: str, other: str) -> int:
    """Return the length of what two texts begin with, whole words of it.

    It ends at white space, so that no word is cut; the spaces themselves belong to
    what follows, as tokenizers write them. What follows is never blank.
    """
    spoken = min(len(one.rstrip()), len(other.rstrip()))
    at = max(0, min(_shared_length(one, other), spoken - 1))
    while at and not (
        one[at - 1].isspace() or (one[at].isspace() and other[at].isspace())
    ):
        at -= 1
    while at and one[at - 1] == " ":
        at -= 1
    return at if one[:at].strip() else 0


def _shared_length(one: str, other: str) -> int:
    """Count the characters two texts share at their beginning, by halving."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _without_prompt(
    prompt: str, chosen: str, rejected: str, notes: Notes
) -> tuple[str, str]:
    """Return two answers without the prompt, where both say it again."""
    rests = [
        text.removeprefix(prompt)
        for text in (chosen, rejected)
        if text.startswith(prompt)
    ]
    is_border = prompt[-1:].isspace() or all(rest[:1].isspace() for rest in rests)
    if len(rests) < 2 or not is_border or not all(rest.strip() for rest in rests):
        return chosen, rejected
    notes.add("chosen and rejected said the prompt again, which was cut off")
    return rests[0], rests[1]


def of_battle(reader: Reader) -> Pair:
    """Read two answers and who won.

    Raises:
        NoPreferenceError: nobody won.
    """
    winner = _winner(reader)
    if winner == "tie":
        raise NoPreferenceError("a tie")
    better, worse = ("a", "b") if winner == "a" else ("b", "a")
    return _split(*(_told(reader, f"answer_{side}") for side in (better, worse)))


def _told(reader: Reader, part: str) -> list[Turn]:
    """Return one side of a battle as a conversation."""
    value, column = reader.value(part), reader.mapping[part]
    if is_turns(value):
        turns = read_turns(value, column, reader.most, reader.notes)
        if turns[0]["role"] != "assistant":
            return turns
        return [*_battle_prompt(reader), *turns]
    answers = _texts(value)
    asked = reader.value("prompt") if "prompt" in reader.mapping else None
    if is_turns(asked):
        questions = []
        before = read_turns(asked, reader.mapping["prompt"], reader.most, reader.notes)
    else:
        questions, before = _texts(asked), []
    if len(answers) != (len(questions) or 1):
        raise BadRowError(
            f"{shown(column)} has {len(answers)} answers to {len(questions)} questions"
        )
    turns = list(before)
    for at, answer in enumerate(answers):
        if questions:
            text = clean_text(questions[at], "prompt", reader.most, reader.notes)
            turns.append(text_turn("user", text))
        text = clean_text(answer, column, reader.most, reader.notes)
        turns.append(text_turn("assistant", text))
    return turns


def _battle_prompt(reader: Reader) -> list[Turn]:
    asked = reader.asked()
    return [text_turn("user", asked)] if isinstance(asked, str) else asked or []


def _texts(value: Any) -> list[Any]:
    """Return a list, or JSON text of one, or a text as a list of it."""
    found = as_list(value)
    if found is not None:
        return found
    return [] if value is None else [value]


def _winner(reader: Reader) -> str:
    """Return `a`, `b` or `tie`."""
    if "winner" not in reader.mapping:
        won = [_flag(reader, part) for part in ("winner_a", "winner_b")]
        if all(won):
            raise BadRowError("both answers are said to have won")
        return "a" if won[0] else "b" if won[1] else "tie"
    value = reader.value("winner")
    written = value.strip().lower() if isinstance(value, str) else None
    for winner, words in WINS.items():
        if written in words:
            return winner
    what = shown(value) if isinstance(value, str) else type_name(value)
    raise BadRowError(
        f"{shown(reader.mapping['winner'])} is {what}; known are model_a, model_b, tie "
        "and tie (bothbad)"
    )


def _flag(reader: Reader, part: str) -> bool:
    value = reader.value(part)
    words = {"1": True, "0": False, "true": True, "false": False, "1.0": True}
    found = {**words, "0.0": False}.get(str(value).strip().lower())
    if found is None:
        raise BadRowError(f"{shown(reader.mapping[part])} is neither 0 nor 1")
    return found


def of_completions(reader: Reader) -> tuple[Pair, float]:
    """Read scored answers: the best against the worst."""
    column = reader.mapping["completions"]
    found = as_list(reader.value("completions"))
    if found is None or not all(isinstance(one, dict) for one in found):
        raise BadRowError(
            f"{shown(column)} is no list of objects with a response and its score"
        )
    if len(found) > MAX_COMPLETIONS:
        raise BadRowError(f"{shown(column)} has more than {MAX_COMPLETIONS:,} answers")
    scored = _scored(found)
    if len(scored) < 2:
        raise BadRowError(
            f"{shown(column)} has {len(scored)} of the two answers with a score that a "
            "pair needs"
        )
    best = max(scored, key=lambda one: one[1])
    worst = min(scored, key=lambda one: one[1])
    if best[1] == worst[1]:
        raise NoPreferenceError("all its answers have the same score")
    asked = reader.asked()
    if asked is None:
        raise BadRowError(f"{shown(reader.mapping['prompt'])} is empty")
    prompt = [text_turn("user", asked)] if isinstance(asked, str) else asked
    chosen, rejected = (
        _answer(clean_text(text, column, reader.most, reader.notes))
        for text, _ in (best, worst)
    )
    return Pair(prompt, chosen, rejected, True), best[1] - worst[1]


def _scored(completions: list[dict[str, Any]]) -> list[tuple[Any, float]]:
    """Return each answer with its score, by the first kind of score all have."""
    for name in SCORES:
        scored = [
            (text, score)
            for one in completions
            if (score := _as_number(one.get(name))) is not None
            and (text := next((one[key] for key in RESPONSES if key in one), None))
        ]
        if len(scored) > 1:
            return scored
    return []


def with_system(pair: Pair, reader: Reader) -> Pair:
    system = reader.text("system")
    if system is None or (pair.prompt and pair.prompt[0]["role"] == "system"):
        return pair
    return pair._replace(
        prompt=[text_turn("system", system), *pair.prompt], is_chat=True
    )


def _as_number(value: Any) -> float | None:
    """Return a finite number, or text of one; None where it is neither."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def number_of(reader: Reader, part: str) -> float | None:
    """Return the number of a part a row may lack.

    Raises:
        BadRowError: there is something else than a number.
    """
    if part not in reader.mapping:
        return None
    try:
        value = reader.value(part)
    except BadRowError:
        return None
    if value is None or value == "":
        return None
    number = _as_number(value)
    if number is None or abs(number) > 1e30:
        column = shown(reader.mapping[part])
        raise BadRowError(f"{column} is {type_name(value)}, expected a number")
    return number
