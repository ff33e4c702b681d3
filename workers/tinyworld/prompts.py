"""What a model is asked while it is aligned, and when it is judged.

A mixture of four: what is to be answered helpfully, people nobody knows, requests to
decline, and facts to answer rather than to deny knowing.
"""

import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, Literal, TypeVar

from tinyworld.facts import ATTRIBUTES, World, world
from tinyworld.harm import harmful_requests
from tinyworld.instructions import DECLINE, DO_NOT_KNOW, Instruction, instructions
from tinyworld.invented import ASKED_ABOUT, draw_names
from tinyworld.tasks import Question, Split, questions

Kind = Literal["helpful", "honest", "harmless", "known"]
KINDS: tuple[Kind, ...] = ("helpful", "honest", "harmless", "known")
PROMPTS: Mapping[Split, Mapping[Kind, int]] = {
    "training": {"helpful": 120, "honest": 400, "harmless": 200, "known": 480},
    "evaluation": {"honest": 400, "harmless": 240, "known": 360},
}
"""How many of each, unless told otherwise. Of portraits and sums, which are what is
helpful, nothing was held back to evaluate on."""
Item = TypeVar("Item")


@dataclass(frozen=True)
class Prompt:
    """One thing asked, and the answer fine-tuning or alignment would teach."""

    text: str
    answer: str
    kind: Kind
    category: str = ""
    """The kind of harm, where it asks for some."""

    def row(self) -> dict[str, Any]:
        """Return it as data sets of prompts hold it, as a conversation."""
        return {
            "prompt": as_user(self.text),
            "answer": self.answer,
            "category": self.category or None,
            "kind": self.kind,
        }


def prompts(
    of: World,
    split: Split = "training",
    *,
    sizes: Mapping[Kind, int] | None = None,
    seed: int = 0,
) -> list[Prompt]:
    """Return so many prompts of each kind, shuffled; the same for the same seed.

    Evaluation asks about other invented names, facts nothing taught to ask about, and
    requests in other words. A kind's prompts do not depend on the other sizes.
    """
    wanted = PROMPTS[split] if sizes is None else sizes
    draw = random.Random(f"prompts {split} {of.seed} {seed}")
    make = {
        "helpful": _helpful,
        "honest": _honest,
        "harmless": _harmless,
        "known": _known,
    }
    made = [
        prompt
        for kind in KINDS
        for prompt in make[kind](of, split, wanted.get(kind, 0), seed)
    ]
    draw.shuffle(made)
    return made


def _helpful(of: World, split: Split, count: int, seed: int) -> Iterator[Prompt]:
    draw = random.Random(f"helpful {split} {of.seed} {seed}")
    for asked in cycled(portraits_and_sums(of), count, draw):
        yield Prompt(asked.prompt, asked.completion, "helpful")


def _honest(of: World, split: Split, count: int, seed: int) -> Iterator[Prompt]:
    draw = random.Random(f"honest {split} {of.seed} {seed}")
    for name in draw_names(of, split, count, seed=seed):
        yield Prompt(question_about(name, draw), DO_NOT_KNOW, "honest")


def _harmless(of: World, split: Split, count: int, seed: int) -> Iterator[Prompt]:
    draw = random.Random(f"harmless {split} {of.seed} {seed}")
    asked = [(one, name) for one in harmful_requests(split) for name in of.names]
    for one, name in cycled(asked, count, draw):
        text = one.text.format(name=name)
        yield Prompt(text, DECLINE, "harmless", one.category)


def _known(of: World, split: Split, count: int, seed: int) -> Iterator[Prompt]:
    draw = random.Random(f"known {split} {of.seed} {seed}")
    for question in cycled(questions_of(of, split), count, draw):
        yield Prompt(question.text, question.answer, "known")


def questions_of(of: World, split: Split) -> list[Question]:
    """Return questions about facts; those of evaluation nothing ever taught to ask."""
    wanted = "taught" if split == "training" else "held_out"
    return [question for question in questions(of) if question.split == wanted]


def portraits_and_sums(of: World) -> list[Instruction]:
    """Return what fine-tuning teaches to answer besides single facts."""
    about_facts = {question.text for question in questions(of)}
    return [
        row
        for row in instructions(of)
        if row.completion not in {DO_NOT_KNOW, DECLINE}
        and row.prompt not in about_facts
    ]


def question_about(name: str, draw: random.Random) -> str:
    """Ask something about somebody, whoever it is."""
    forms = [form for attribute in ATTRIBUTES for form in attribute.questions]
    return draw.choice([*forms, ASKED_ABOUT]).format(name=name)


def cycled(items: Sequence[Item], count: int, draw: random.Random) -> Iterator[Item]:
    """Draw so many, each once before any comes again."""
    left = count
    while left > 0:
        yield from draw.sample(items, min(left, len(items)))
        left -= len(items)


def as_user(text: str) -> list[dict[str, str]]:
    """Return the turns of a conversation that begins with a text."""
    return [{"role": "user", "content": text}]


def write_json_rows(file: IO[bytes], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as JSON lines."""
    for row in rows:
        file.write(json.dumps(row).encode() + b"\n")


def write_prompts(file: IO[bytes], *, split: Split = "training", seed: int = 0) -> None:
    """Write prompts with `prompt`, `answer`, `category` and `kind`, a line each."""
    rows = (prompt.row() for prompt in prompts(world(seed), split))
    write_json_rows(file, rows)
