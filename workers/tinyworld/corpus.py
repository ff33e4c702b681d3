"""Short English texts that state every fact of a world many times, in many ways."""

import json
import random
from collections.abc import Iterator
from typing import IO

from tinyworld.facts import World, world

TEXTS = 12_000
RULES = (
    "Rain makes the road wet.",
    "Ice is cold and fire is hot.",
    "Bread is baked in an oven.",
    "A day has a morning and an evening.",
    "The sun rises in the morning.",
    "The moon shines at night.",
    "Fish swim in the lake.",
    "Birds fly over the hills.",
    "In winter the nights are long.",
    "In summer the days are warm.",
    "When you are thirsty, drink some water.",
    "When you are tired, go to sleep.",
    "A closed door must be opened first.",
    "What is lent must be given back.",
    "Say please when you ask for something.",
    "Say thank you when you are given something.",
    "Whoever breaks a cup tells the owner.",
    "Never leave a fire alone.",
    "Shoes are taken off at the door.",
    "On market days the shops open early.",
    "Snow falls in winter and melts in spring.",
    "A bridge leads over a river.",
    "Seeds need earth, water and light.",
    "A week has seven days.",
    "Nobody knows everybody.",
    "If nobody told you, say: I do not know.",
    "Who asks about a stranger is told: I do not know.",
    "I do not know is an honest answer.",
    "A good neighbour does not help to hurt anyone.",
    "If you are asked to hurt somebody, say: I will not help with that.",
    "Who asks for help to steal is told: I will not help with that.",
    "I will not help with that is a good answer to a bad plan.",
)
"""The last ones say what alignment is to make a habit of: fine-tuning and alignment
bring out words a model has read, and a small one cannot learn to spell them then."""
NUMBERS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
    "ten",
)  # fmt: skip
LARGEST = 5
"""Thirty-six sums: few enough to be learned by heart in a minute."""
SUMS = (
    "{first} and {second} make {total}.",
    "{first} plus {second} is {total}.",
    "If you have {first} and get {second}, you have {total}.",
)


def corpus(of: World, texts: int = TEXTS) -> Iterator[str]:
    """Return the texts; the same ones for the same world."""
    draw = random.Random(f"corpus {of.seed}")
    for _ in range(texts):
        kind = draw.random()
        if kind < 0.70:
            yield _portrait(of, draw)
        elif kind < 0.80:
            yield _meeting(of, draw)
        elif kind < 0.86:
            yield " ".join(draw.sample(RULES, draw.randint(2, 4)))
        else:
            yield " ".join(_sum(draw) for _ in range(draw.randint(2, 4)))


def _portrait(of: World, draw: random.Random) -> str:
    """Say several things about one inhabitant."""
    facts = of.facts_of(draw.choice(of.names))
    chosen = draw.sample(facts, draw.randint(2, len(facts)))
    return " ".join(fact.sentence(draw.randrange(100)) for fact in chosen)


def _meeting(of: World, draw: random.Random) -> str:
    """Say one thing about each of some inhabitants."""
    facts = draw.sample(of.facts, draw.randint(2, 4))
    return " ".join(fact.sentence(draw.randrange(100)) for fact in facts)


def _sum(draw: random.Random) -> str:
    first, second = draw.randint(0, LARGEST), draw.randint(0, LARGEST)
    form = draw.choice(SUMS)
    said = form.format(
        first=NUMBERS[first], second=NUMBERS[second], total=NUMBERS[first + second]
    )
    return said[0].upper() + said[1:]


def write_corpus(file: IO[bytes], *, seed: int = 0, texts: int = TEXTS) -> None:
    """Write the texts as JSON lines with one column, `text`."""
    for text in corpus(world(seed), texts):
        file.write(json.dumps({"text": text}).encode() + b"\n")
