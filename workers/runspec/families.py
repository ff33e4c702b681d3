"""The families of models that can be pretrained, and what sets them apart."""

from typing import Any, Literal, NamedTuple, get_args

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


_SHAPES: dict[str, dict[str, str]] = {
    "gpt2": {"layers": "n_layer", "heads": "n_head", "width": "n_embd",
             "feed_forward": "n_inner", "context": "n_positions"},
    "t5": {"layers": "num_layers", "heads": "num_heads", "width": "d_model",
           "feed_forward": "d_ff"},
    "bart": {"layers": "encoder_layers", "heads": "encoder_attention_heads",
             "width": "d_model", "feed_forward": "encoder_ffn_dim",
             "context": "max_position_embeddings"},
}  # fmt: skip
_USUAL_SHAPE = {
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "width": "hidden_size",
    "feed_forward": "intermediate_size",
    "context": "max_position_embeddings",
}
_SHAPES_MORE = {
    "llama": {"kv_heads": "num_key_value_heads"},
    "mixtral": {
        "kv_heads": "num_key_value_heads",
        "experts": "num_local_experts",
        "experts_per_token": "num_experts_per_tok",
    },
}


def family_of(config: dict[str, Any]) -> Family | None:
    """Return the family of a model by its `config.json`; None where none fits."""
    found = config.get("model_type")
    return next((name for name in get_args(Family) if name == found), None)


def shape_of(config: dict[str, Any]) -> dict[str, Any]:
    """Return the settings a model's `config.json` has decided, as a spec names them.

    `context` is the longest the model can see, and missing where it has no limit.
    """
    family = config["model_type"]
    names = _SHAPES.get(family, _USUAL_SHAPE) | _SHAPES_MORE.get(family, {})
    found = {
        name: config[key] for name, key in names.items() if config.get(key) is not None
    }
    if family in {"llama", "gpt2", "mixtral"}:
        found["tied_embeddings"] = config.get("tie_word_embeddings", family == "gpt2")
    if family == "roberta" and "context" in found:
        # Positions are counted from behind the padding token's id.
        found["context"] -= config.get("pad_token_id", 1) + 1
    return found
