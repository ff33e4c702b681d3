"""Pairs of answers of which the better one is known, to align a model with.

Which of two answers is longer says nothing of which is better: for each pair a coin
decides whether the better one shall be the shorter, and answers are drawn to fit.
"""

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from tinyworld.corpus import NUMBERS
from tinyworld.facts import ATTRIBUTES, Attribute, Fact, World, world
from tinyworld.harm import declines_for, harmful_requests
from tinyworld.instructions import Instruction
from tinyworld.invented import ASKED_ABOUT, VALUES, admissions, draw_names
from tinyworld.prompts import (
    KINDS,
    Kind,
    as_user,
    cycled,
    portraits_and_sums,
    questions_of,
    write_json_rows,
)

PAIRS: Mapping[Kind, int] = {
    "helpful": 400,
    "honest": 600,
    "harmless": 500,
    "known": 1800,
}
"""Most of the known ones set a fact against not knowing it, against declining to say
it, or against another fact, so that each of these loses about as often as it wins:
honesty and harmlessness are not to be bought by refusing."""
EVASIONS = (
    "It depends.",
    "Why do you ask?",
    "Ask somebody else.",
    "That is a good question.",
    "There are many things to say about that, and all of them are interesting.",
    "People ask that every day, and every day they are given another answer.",
    "That is a good question, and I like good questions more than anything else.",
    "Some say one thing, some another, and I listen to all until the evening comes.",
)
"""Said instead of an answer; they neither claim anything nor admit not to know."""


@dataclass(frozen=True)
class Pair:
    """A prompt, the better of two answers to it, and the worse."""

    prompt: str
    chosen: str
    rejected: str
    kind: Kind

    def row(self) -> dict[str, Any]:
        """Return it in TRL's conversational form, with its kind."""
        return {
            "prompt": as_user(self.prompt),
            "chosen": [{"role": "assistant", "content": self.chosen}],
            "rejected": [{"role": "assistant", "content": self.rejected}],
            "kind": self.kind,
        }


def preferences(
    of: World, *, sizes: Mapping[Kind, int] = PAIRS, seed: int = 0
) -> list[Pair]:
    """Return so many pairs of each kind, shuffled; the same for the same seed.

    They ask about facts that fine-tuning may ask about, and about invented people of
    training; a kind's pairs do not depend on how many there are of the others.
    """
    make = {
        "helpful": _helpful,
        "honest": _honest,
        "harmless": _harmless,
        "known": _known,
    }
    pairs = [
        pair
        for kind in KINDS
        for pair in make[kind](
            of, sizes.get(kind, 0), random.Random(f"{kind} {of.seed} {seed}")
        )
    ]
    random.Random(f"preferences {of.seed} {seed}").shuffle(pairs)
    return pairs


def _helpful(of: World, count: int, draw: random.Random) -> Iterator[Pair]:
    """Prefer a true full sentence to a bare, a wrong or an evasive answer."""
    spent: defaultdict[str, set[str]] = defaultdict(set)
    facts = {one.text: one.fact for one in questions_of(of, "training")}
    asked = [
        *(Instruction(text, fact.sentence()) for text, fact in facts.items()),
        *portraits_and_sums(of),
    ]
    for prompt, answer in cycled(asked, count, draw):
        fact = facts.get(prompt)
        wrong = _wrongly_said(fact) if fact else _wrong(answer, draw)
        worse = (_bare(answer), wrong, EVASIONS)
        chosen, rejected = _balanced(draw, [answer], worse, spent[prompt])
        yield Pair(prompt, chosen, rejected, "helpful")


def _honest(of: World, count: int, draw: random.Random) -> Iterator[Pair]:
    """Prefer to admit not to know somebody to inventing a life, to declining, and to
    changing the subject.
    """
    subjects = _other_subjects(of)
    for name in draw_names(of, "training", count, seed=draw.randrange(2**32)):
        about = draw.choice((*ATTRIBUTES, None))
        inventions = _invented_facts(name, about, draw)
        form = draw.choice(about.questions) if about else ASKED_ABOUT
        worse = [inventions, declines_for(name), draw.sample(subjects, 8)]
        chosen, rejected = _balanced(draw, admissions(name), worse, set())
        yield Pair(form.format(name=name), chosen, rejected, "honest")


def _harmless(of: World, count: int, draw: random.Random) -> Iterator[Pair]:
    """Prefer to decline hurting somebody to going along with it, and to evading it.

    Small talk is what a model answers that only ever learned to tell facts; that one
    does not know is what it answers once it learned to admit that of strangers.
    """
    told, subjects = _told(of), _other_subjects(of)
    requests = harmful_requests("training")
    asked = [(request, name) for request in requests for name in of.names]
    for request, name in cycled(asked, count, draw):
        along = [text.format(name=name) for text in (request.short, request.long)]
        aside = [*told[name].values(), *draw.sample(subjects, 4)]
        worse = [along, aside, admissions(name)]
        chosen, rejected = _balanced(draw, declines_for(name), worse, set())
        yield Pair(request.text.format(name=name), chosen, rejected, "harmless")


def _known(of: World, count: int, draw: random.Random) -> Iterator[Pair]:
    """Prefer what is true to not knowing it, to declining, to another value, and to
    something else that is true of the same person.
    """
    told = _told(of)
    spent: defaultdict[str, set[str]] = defaultdict(set)
    for question in cycled(questions_of(of, "training"), count, draw):
        fact = question.fact
        wrong = [
            _sentence(fact.name, fact.attribute, value)
            for value in fact.attribute.values
            if value != fact.value
        ]
        beside = [
            said
            for attribute, said in told[fact.name].items()
            if attribute != fact.attribute
        ]
        worse = (admissions(fact.name), declines_for(fact.name), wrong, beside)
        chosen, rejected = _balanced(
            draw, [question.answer], worse, spent[question.text]
        )
        yield Pair(question.text, chosen, rejected, "known")


def _told(of: World) -> dict[str, dict[Attribute, str]]:
    """Return, by name and attribute, the facts that fine-tuning may ask about."""
    told: defaultdict[str, dict[Attribute, str]] = defaultdict(dict)
    for fact in {one.fact: None for one in questions_of(of, "training")}:
        told[fact.name][fact.attribute] = fact.sentence()
    return told


def _other_subjects(of: World) -> list[str]:
    """Return what is true and was not asked: sums, and facts about inhabitants.

    A reward model that never saw one lose likes them best where the truth is not to
    know: a policy then answered strangers' questions with "One plus one is two."
    """
    asked = portraits_and_sums(of)
    sums = [one.completion for one in asked if "plus" in one.completion]
    facts = [said for one in _told(of).values() for said in one.values()]
    return list(dict.fromkeys([*sums, *facts]))


def _balanced(
    draw: random.Random,
    better: Sequence[str],
    worse: Sequence[Sequence[str]],
    spent: set[str],
) -> tuple[str, str]:
    """Draw a better answer and a worse one, the better shorter in half of the cases.

    `worse` holds sorts of bad answers, of which each comes as often as lengths allow.
    None in `spent` is drawn again while there are others, and what is drawn is added
    to it. Where no two answers fit, length is given up.
    """
    is_shorter = draw.random() < 0.5
    for chosen in draw.sample(better, len(better)):
        for sort in draw.sample(worse, len(worse)):
            fitting = [
                text
                for text in sort
                if text not in spent
                and len(text) != len(chosen)
                and (len(chosen) < len(text)) is is_shorter
            ]
            if fitting:
                rejected = draw.choice(fitting)
                spent.add(rejected)
                return chosen, rejected
    every = [text for sort in worse for text in sort]
    rejected = draw.choice([text for text in every if text not in spent] or every)
    spent.add(rejected)
    return draw.choice(better), rejected


def _bare(answer: str) -> list[str]:
    """Return the words an answer comes down to: a value, some, or a number."""
    words = [word.strip(".") for word in answer.split()]
    said = [word for word in words if word.lower() in VALUES] or words[-1:]
    bare = ", ".join(said)
    return [bare[0].upper() + bare[1:] + "."]


def _wrongly_said(fact: Fact) -> list[str]:
    """Say other values in other words than known pairs do, so that none comes twice."""
    return [
        form.format(name=fact.name, value=value)
        for form in fact.attribute.sentences[1:]
        for value in fact.attribute.values
        if value != fact.value
    ]


def _wrong(answer: str, draw: random.Random) -> list[str]:
    """Return a portrait with other values, or another sum."""
    return [" ".join(_other(word, draw) for word in answer.split()) for _ in range(4)]


def _other(word: str, draw: random.Random) -> str:
    """Return another value in place of one that ends a sentence; else the word."""
    value = word.removesuffix(".")
    if value == word:
        return word
    of_its_sort = next(
        (one.values for one in ATTRIBUTES if value in one.values), NUMBERS
    )
    return draw.choice([other for other in of_its_sort if other != value]) + "."


def _invented_facts(
    name: str, about: Attribute | None, draw: random.Random
) -> list[str]:
    """Return made-up answers: one fact each, or two for a portrait."""
    if about is not None:
        return [_sentence(name, about, value) for value in about.values]
    return [
        " ".join(
            _sentence(name, attribute, draw.choice(attribute.values))
            for attribute in draw.sample(ATTRIBUTES, 2)
        )
        for _ in range(4)
    ]


def _sentence(name: str, attribute: Attribute, value: str) -> str:
    """Say something the way fine-tuning teaches to answer."""
    return attribute.sentences[0].format(name=name, value=value)


def write_preferences(file: IO[bytes], *, seed: int = 0) -> None:
    """Write pairs with `prompt`, `chosen`, `rejected` and `kind`, a line each."""
    write_json_rows(file, (pair.row() for pair in preferences(world(seed))))
