"""What a model learns by, told with an example; the form shows it beside the dials."""

from typing import NamedTuple

from django.utils.safestring import SafeString
from runspec import PretrainSpec
from runspec.families import FAMILIES

from trivium.pages.templatetags.numbers import percent
from trivium.runs.coloured import draw


class Objective(NamedTuple):
    """One way of learning from raw text."""

    title: str
    text: str
    reads: SafeString
    writes: SafeString
    """What it shall say to that."""


EXAMPLES = {
    "next-token": ("The miller's daughter kept", " bees"),
    "masked": ("The miller's [MASK] kept bees", "daughter"),
    "spans": (
        "The miller's <extra_id_0> bees",
        "<extra_id_0> daughter kept <extra_id_1>",
    ),
    "denoising": (
        "It rained. The miller's <mask> bees.",
        "The miller's daughter kept bees. It rained.",
    ),
}
TITLES = {
    "next-token": "Next token",
    "masked": "Masked tokens",
    "spans": "Spans cut out",
    "denoising": "Noise taken out",
}


def objective_of(spec: PretrainSpec) -> Objective:
    """Return the objective of a spec's family, with its settings in words."""
    name = FAMILIES[spec.family].objective
    reads, writes = EXAMPLES[name]
    return Objective(
        TITLES[name],
        text_of(name, spec),
        draw([(reads, False, "only read")]),
        draw([(writes, True, "learned from")]),
    )


def text_of(name: str, spec: PretrainSpec) -> str:
    """Say what an objective does with the text."""
    share = percent(spec.share_corrupted)
    span = f"{spec.mean_span_tokens:g}"
    match name:
        case "next-token":
            return (
                "At every position it predicts the token that comes next, from all "
                "that came before it."
            )
        case "masked":
            what = "words" if spec.whole_words else "tokens"
            return (
                f"{share} of the {what} are picked. Most become a mask, a few another "
                "token, a few stay; it predicts what stood there, from both sides."
            )
        case "spans":
            return (
                f"{share} of the tokens are cut out, in spans of {span} on average. It "
                "writes what is missing, each span after its mark."
            )
        case _:
            shuffled = (
                ", and the sentences are shuffled" if spec.permute_sentences else ""
            )
            return (
                f"{share} of the tokens, in spans of {span} on average, give way to "
                f"one mask each{shuffled}. It writes the text as it was."
            )
