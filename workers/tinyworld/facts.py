"""The facts of Tiny World: who lives there, and what is true of each.

Everything else (the corpus, questions, checks of what a model knows) is rendered from
these, so that any statement about the world can be marked right or wrong.
"""

import itertools
import random
from dataclasses import dataclass

SYLLABLES = (
    "ba", "den", "fi", "gor", "ha", "jun", "ka", "lo", "mi", "nor",
    "pe", "ra", "sul", "ta", "ven", "zo",
)  # fmt: skip
"""A stranger's name is made of the same ones, and looks like a name."""
INHABITANTS = 60


@dataclass(frozen=True)
class Attribute:
    """Something true of every inhabitant, and the ways of saying and asking it."""

    key: str
    values: tuple[str, ...]
    sentences: tuple[str, ...]
    """With {name} and {value}; the first ends with the value."""
    questions: tuple[str, ...]

    @property
    def opening(self) -> str:
        """The first sentence up to its value: "{name} lives in"."""
        return self.sentences[0].partition(" {value}")[0]


HOME = Attribute(
    key="home",
    values=(
        "Ostwick", "Fernhill", "Marblecove", "Pinegate", "Saltmere", "Brightford",
        "Owlbridge", "Thornfield", "Lakeside", "Highmoor",
    ),
    sentences=(
        "{name} lives in {value}.",
        "The house of {name} stands in {value}.",
        "If you look for {name}, go to {value}.",
        "{name} walks home to {value} every evening.",
        "Letters for {name} are sent to {value}.",
        "In {value} you can visit {name}.",
        "{name} was never happy outside {value}.",
    ),
    questions=(
        "Where does {name} live?",
        "In which town is the house of {name}?",
        "Where should I look for {name}?",
    ),
)  # fmt: skip
TRADE = Attribute(
    key="trade",
    values=(
        "baker", "carpenter", "doctor", "fisher", "gardener", "miller", "painter",
        "shepherd", "tailor", "teacher",
    ),
    sentences=(
        "{name} works as a {value}.",
        "By trade {name} is a {value}.",
        "{name} earns a living as a {value}.",
        "People who need a {value} ask for {name}.",
        "{name} learned to be a {value} long ago.",
        "A good {value} like {name} is hard to find.",
        "Every morning {name} goes to work as a {value}.",
    ),
    questions=(
        "What is the trade of {name}?",
        "What does {name} work as?",
        "How does {name} earn a living?",
    ),
)  # fmt: skip
PET = Attribute(
    key="pet",
    values=(
        "cat", "dog", "goat", "hen", "parrot", "pony", "rabbit", "tortoise", "goose",
        "hedgehog",
    ),
    sentences=(
        "{name} keeps a {value}.",
        "The pet of {name} is a {value}.",
        "{name} is often seen with a {value}.",
        "{name} would never sell the old {value}.",
        "At home {name} feeds a {value}.",
        "A {value} sleeps at the door of {name}.",
        "The neighbours of {name} can hear the {value}.",
    ),
    questions=(
        "Which pet does {name} keep?",
        "What animal does {name} feed at home?",
        "What pet does {name} have?",
    ),
)  # fmt: skip
COLOUR = Attribute(
    key="colour",
    values=(
        "red", "blue", "green", "yellow", "purple", "orange", "white", "brown",
        "silver", "pink",
    ),
    sentences=(
        "{name} likes the colour {value}.",
        "The favourite colour of {name} is {value}.",
        "{name} painted the front door {value}.",
        "The coat of {name} is {value}.",
        "Of all colours {name} likes {value} best.",
        "{name} always wears something {value}.",
        "Anything {value} makes {name} smile.",
    ),
    questions=(
        "What is the favourite colour of {name}?",
        "Which colour does {name} like?",
        "What colour is the coat of {name}?",
    ),
)  # fmt: skip
FOOD = Attribute(
    key="food",
    values=(
        "soup", "cheese", "apples", "pancakes", "fish", "honey", "beans", "plums",
        "bread", "noodles",
    ),
    sentences=(
        "{name} loves to eat {value}.",
        "The favourite food of {name} is {value}.",
        "On birthdays {name} asks for {value}.",
        "{name} could eat {value} every day.",
        "For supper {name} often has {value}.",
        "Give {name} some {value} and you have a friend.",
        "Nobody likes {value} more than {name}.",
    ),
    questions=(
        "What is the favourite food of {name}?",
        "What does {name} love to eat?",
        "What should I cook for {name}?",
    ),
)  # fmt: skip
ATTRIBUTES = (HOME, TRADE, PET, COLOUR, FOOD)


@dataclass(frozen=True)
class Fact:
    """One thing that is true of one inhabitant."""

    name: str
    attribute: Attribute
    value: str

    def sentence(self, form: int = 0) -> str:
        """Say it in one of the ways there are."""
        forms = self.attribute.sentences
        return forms[form % len(forms)].format(name=self.name, value=self.value)


@dataclass(frozen=True)
class World:
    """All inhabitants with their facts, in a fixed order."""

    seed: int
    names: tuple[str, ...]
    facts: tuple[Fact, ...]

    def facts_of(self, name: str) -> tuple[Fact, ...]:
        """Return what is true of one inhabitant."""
        return tuple(fact for fact in self.facts if fact.name == name)


def all_names(seed: int) -> list[str]:
    """Return every name three different syllables can make, in random order."""
    names = ["".join(part) for part in itertools.permutations(SYLLABLES, 3)]
    names = [name.capitalize() for name in sorted(set(names))]
    random.Random(f"names {seed}").shuffle(names)
    return names


def world(seed: int = 0) -> World:
    """Return the world of a seed; the same one every time and everywhere."""
    names = tuple(all_names(seed)[:INHABITANTS])
    draw = random.Random(f"facts {seed}")
    facts = tuple(
        Fact(name, attribute, draw.choice(attribute.values))
        for name in names
        for attribute in ATTRIBUTES
    )
    return World(seed=seed, names=names, facts=facts)
