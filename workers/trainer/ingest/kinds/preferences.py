"""Kind `preferences`: a prompt, the better of two answers to it, and the worse.

A pair is good where both answer the same and differ. Rows that prefer neither (ties of
a battle, equal scores) are no mistakes: they are passed over and counted. Equal answers
are a mistake: a loss on them has no gradient, and TRL's `extract_prompt` would double
their last turn.
"""

from typing import Any

import pyarrow as pa

from trainer.ingest.errors import BadRowError, shown
from trainer.ingest.kinds.base import (
    Kind,
    Mapping,
    clean_text,
)
from trainer.ingest.kinds.choosing import chooser
from trainer.ingest.kinds.conversations import check_order
from trainer.ingest.kinds.messages import (
    TURN,
)
from trainer.ingest.kinds.pairs import (
    SAME,
    Pair,
    Reader,
    number_of,
    of_answers,
    of_battle,
    of_completions,
    of_transcripts,
    with_system,
)
from trainer.ingest.rows import Notes

MAX_ID = 200
MAX_VOTES = 2**31 - 1


def check(
    row: Any, mapping: Mapping, max_characters: int, notes: Notes
) -> tuple[Any, ...]:
    """Return prompt, both answers, and what is known of the preference.

    Raises:
        BadRowError: it is no usable pair.
        NoPreferenceError: neither answer is preferred.
    """
    reader = Reader(row, mapping, max_characters, notes)
    strength = number_of(reader, "strength")
    if "completions" in mapping:
        pair, strength = of_completions(reader)
    elif "answer_a" in mapping:
        pair = of_battle(reader)
    elif "chosen_transcript" in mapping:
        pair = of_transcripts(reader)
    else:
        pair = of_answers(reader)
    pair = with_system(pair, reader)
    _check_pair(pair, max_characters, notes)
    if strength is None:
        strength = _score_difference(reader)
    return (*pair, _share(reader), _votes(reader), strength, _pair_id(reader))


def _check_pair(pair: Pair, most: int, notes: Notes) -> None:
    """Refuse what cannot be learnt from.

    Raises:
        BadRowError: the answers are equal, too long, or in no order a chat has.
    """
    if pair.chosen == pair.rejected:
        raise BadRowError(SAME)
    sides = (pair.chosen, pair.rejected)
    if pair.is_chat:
        for name, answer in zip(("chosen", "rejected"), sides, strict=True):
            if answer[0]["role"] != "assistant":
                raise BadRowError(f"{name} begins with the {answer[0]['role']}'s turn")
            if check_order([*pair.prompt, *answer], notes) != "assistant":
                raise BadRowError(f"{name} does not end with the assistant's turn")
    size = sum(len(turn["content"]) for turn in (*pair.prompt, *sides[0], *sides[1]))
    if size > most:
        raise BadRowError(
            f"the pair has {size:,} characters; the limit is {most:,} "
            "(max_row_characters)"
        )
    if any(len(side) > 1 for side in sides):
        notes.add("some answers go on over several turns, those of the user among them")


def _score_difference(reader: Reader) -> float | None:
    """Return by how much the chosen answer's score is higher."""
    better, worse = (
        number_of(reader, "chosen_score"),
        number_of(reader, "rejected_score"),
    )
    if better is None or worse is None:
        return None
    if better < worse:
        reader.notes.add("in some pairs the rejected answer has the higher score")
    return better - worse


def _share(reader: Reader) -> float | None:
    share = number_of(reader, "chosen_share")
    if share is not None and not 0 <= share <= 1:
        column = shown(reader.mapping["chosen_share"])
        raise BadRowError(f"{column} is {share:g}; a share of votes is from 0 to 1")
    if share is not None and share < 0.5:
        reader.notes.add("in some pairs most votes were for the rejected answer")
    return share


def _votes(reader: Reader) -> int | None:
    votes = number_of(reader, "num_votes")
    if votes is None:
        return None
    if not (votes.is_integer() and 0 <= votes <= MAX_VOTES):
        raise BadRowError(f"{shown(reader.mapping['num_votes'])} is no count of votes")
    return int(votes)


def _pair_id(reader: Reader) -> str | None:
    if "pair_id" not in reader.mapping:
        return None
    try:
        value = reader.value("pair_id")
    except BadRowError:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if value is None or value == "":
        return None
    name = clean_text(value, reader.mapping["pair_id"], reader.most, reader.notes)
    return name[:MAX_ID]


def prompt_of(values: tuple[Any, ...]) -> Any:
    """Return what both answer; a pair without a prompt stands for itself."""
    return values[0] or values[:3]


def pair_of(values: tuple[Any, ...]) -> tuple[Any, Any]:
    """Return the pair as it is preferred, and whichever way round."""
    prompt, chosen, rejected = values[:3]
    return (prompt, chosen, rejected), (prompt, *sorted(map(repr, (chosen, rejected))))


PREFERENCES = Kind(
    schema=pa.schema(
        [
            ("prompt", pa.list_(TURN)),
            ("chosen", pa.list_(TURN)),
            ("rejected", pa.list_(TURN)),
            ("is_chat", pa.bool_()),
            ("chosen_share", pa.float32()),
            ("num_votes", pa.int32()),
            ("strength", pa.float32()),
            ("pair_id", pa.string()),
        ]
    ),
    choose=chooser("preferences"),
    check=check,
    prompt_of=prompt_of,
    pair_of=pair_of,
    splits_by_prompt=True,
)
