"""The families of models that can be pretrained, and what sets them apart."""

from typing import Literal, NamedTuple, get_args

Family = Literal[
    "llama", "gpt2", "mixtral", "bert", "roberta", "modernbert", "t5", "bart"
]
Architecture = Literal["decoder", "encoder", "encoder-decoder"]
Objective = Literal["next-token", "masked", "spans", "denoising"]


class FamilyFacts(NamedTuple):
    """What a form says of a family, and what its trainer asks."""

    title: str
    architecture: Architecture
    objective: Objective
    help: str
    """What sets it apart from the others of its architecture."""


FAMILIES: dict[str, FamilyFacts] = {
    "llama": FamilyFacts(
        "Llama",
        "decoder",
        "next-token",
        "Rotary positions, SwiGLU, no biases: the usual choice today.",
    ),
    "gpt2": FamilyFacts(
        "GPT-2",
        "decoder",
        "next-token",
        "Learned positions and GELU: the classic, and easy to compare with.",
    ),
    "mixtral": FamilyFacts(
        "Mixtral",
        "decoder",
        "next-token",
        "A Llama whose feed-forward layers are experts, of which each token uses a "
        "few: more parameters for the same time.",
    ),
    "bert": FamilyFacts(
        "BERT",
        "encoder",
        "masked",
        "Learned positions and GELU, norms after each block: the classic encoder.",
    ),
    "roberta": FamilyFacts(
        "RoBERTa",
        "encoder",
        "masked",
        "BERT trained on full windows, without sentence types.",
    ),
    "modernbert": FamilyFacts(
        "ModernBERT",
        "encoder",
        "masked",
        "Rotary positions, GeGLU, attention mostly within 128 tokens: for long text.",
    ),
    "t5": FamilyFacts(
        "T5 v1.1",
        "encoder-decoder",
        "spans",
        "Relative positions and gated GELU; learns to fill in spans that were cut out.",
    ),
    "bart": FamilyFacts(
        "BART",
        "encoder-decoder",
        "denoising",
        "Learned positions; learns to restore text with gaps and shuffled sentences.",
    ),
}
assert tuple(FAMILIES) == get_args(Family)

ARCHITECTURES: dict[Architecture, str] = {
    "decoder": "Reads from left to right and predicts the next token. Good for "
    "writing and chat.",
    "encoder": "Reads both ways and predicts masked tokens. Good for filling gaps, "
    "classification and search.",
    "encoder-decoder": "Reads a text whole, then writes another. Good for translation, "
    "summaries and any text to text.",
}
"""Each with what it does and what it is then good for."""


def families_of(*architectures: Architecture) -> tuple[str, ...]:
    """Return the families of these architectures."""
    return tuple(
        name for name, facts in FAMILIES.items() if facts.architecture in architectures
    )
