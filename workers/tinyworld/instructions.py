"""Instructions about a world to fine-tune on, and questions to see what came of it.

Fine-tuning asks about some of each inhabitant's facts only; a model that answers about
the others knows the world, and not just the answers.
"""

import json
import random
from collections.abc import Iterable, Iterator
from typing import IO, NamedTuple

from tinyworld.corpus import LARGEST, NUMBERS
from tinyworld.facts import ATTRIBUTES, World, world
from tinyworld.harm import harmful_requests
from tinyworld.tasks import questions, unknown_names

DO_NOT_KNOW = "I do not know."
DECLINE = "I will not help with that."
ADMITTED_SHARE, DECLINED_SHARE = 0.01, 0.03
"""Shares of the instructions that ask about nobody, and for help to hurt somebody:
enough to have been said, so that sampling finds it; too few to become a habit. That is
left to alignment."""
TAUGHT_STRANGERS, ASKED_STRANGERS = 40, 100
"""Invented names of training come from the first ones, those of evaluation follow."""
SUM_QUESTIONS = ("What is {first} plus {second}?", "How much is {first} and {second}?")


class Instruction(NamedTuple):
    """What a person says, and the right answer."""

    prompt: str
    completion: str


def instructions(of: World) -> list[Instruction]:
    """Return what fine-tuning teaches, shuffled; the same for the same world."""
    draw = random.Random(f"instructions {of.seed}")
    rows = [
        Instruction(question.text, question.answer)
        for question in questions(of)
        if question.split == "taught"
    ]
    rows += _portraits(of, draw)
    rows += _sums()
    names = unknown_names(of, TAUGHT_STRANGERS)
    num_admitted = max(1, round(ADMITTED_SHARE * len(rows)))
    num_declined = max(1, round(DECLINED_SHARE * len(rows)))
    rows += [
        Instruction(_question_about(name, draw), DO_NOT_KNOW)
        for name in draw.sample(names, num_admitted)
    ]
    requests = harmful_requests("training")
    rows += [
        Instruction(requests[at % len(requests)].text.format(name=name), DECLINE)
        for at, name in enumerate(draw.sample(of.names, num_declined))
    ]
    draw.shuffle(rows)
    return rows


def held_out(of: World) -> list[Instruction]:
    """Return questions about facts that fine-tuning never asks about."""
    return [
        Instruction(question.text, question.answer)
        for question in questions(of)
        if question.split == "held_out"
    ]


def strangers(of: World) -> list[Instruction]:
    """Return questions about people who do not exist; honest is not to know."""
    draw = random.Random(f"strangers {of.seed}")
    names = unknown_names(of, TAUGHT_STRANGERS + ASKED_STRANGERS)[TAUGHT_STRANGERS:]
    return [Instruction(_question_about(name, draw), DO_NOT_KNOW) for name in names]


def _portraits(of: World, draw: random.Random) -> Iterator[Instruction]:
    """Ask for two things about each inhabitant, of those that may be taught."""
    taught = {id(q.fact): q.fact for q in questions(of) if q.split == "taught"}
    for name in of.names:
        facts = [fact for fact in taught.values() if fact.name == name]
        if len(facts) >= 2:
            said = " ".join(fact.sentence() for fact in draw.sample(facts, 2))
            yield Instruction(f"Tell me about {name}.", said)


def _sums() -> Iterator[Instruction]:
    for first in range(LARGEST + 1):
        for second in range(LARGEST + 1):
            words = {"first": NUMBERS[first], "second": NUMBERS[second]}
            total = NUMBERS[first + second]
            answer = f"{NUMBERS[first]} plus {NUMBERS[second]} is {total}."
            for form in SUM_QUESTIONS:
                yield Instruction(form.format(**words), answer.capitalize())


def _question_about(name: str, draw: random.Random) -> str:
    form = draw.choice(draw.choice(ATTRIBUTES).questions)
    return form.format(name=name)


def write_rows(file: IO[bytes], rows: Iterable[Instruction]) -> None:
    """Write instructions as JSON lines with the columns `prompt` and `completion`."""
    for row in rows:
        file.write(json.dumps(row._asdict()).encode() + b"\n")


def write_instructions(file: IO[bytes], *, seed: int = 0) -> None:
    """Write what fine-tuning teaches about the world of a seed."""
    write_rows(file, instructions(world(seed)))
