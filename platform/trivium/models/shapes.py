"""The shape of a model, read off its configuration in storage."""

import json
from typing import Any, NamedTuple

from trivium import storage
from trivium.models.models import LanguageModel

KEYS = {
    "layers": ("num_hidden_layers", "n_layer", "num_layers", "encoder_layers"),
    "width": ("hidden_size", "n_embd", "d_model"),
    "heads": ("num_attention_heads", "n_head", "num_heads", "encoder_attention_heads"),
    "kv_heads": ("num_key_value_heads",),
    "inner": ("intermediate_size", "n_inner", "d_ff", "encoder_ffn_dim"),
    "vocabulary": ("vocab_size",),
    "context": ("max_position_embeddings", "n_positions"),
}
"""What the families call each figure."""
GATED = ("llama", "mistral", "mixtral", "qwen", "gemma", "modernbert", "t5")
MAX_CONFIG_BYTES = 1_000_000


class Shape(NamedTuple):
    """A model's figures; 0 where its configuration does not say."""

    layers: int
    width: int
    heads: int
    kv_heads: int
    inner: int
    vocabulary: int
    context: int
    is_gated: bool
    is_encoder_decoder: bool

    @property
    def linear_sides(self) -> int:
        """Inputs and outputs of all linear layers: what LoRA adds at rank 1."""
        shared = self.width * (self.kv_heads or self.heads) // max(1, self.heads)
        attention = 2 * (2 * self.width) + 2 * (self.width + shared)
        inner = self.inner or 4 * self.width
        feed_forward = (3 if self.is_gated else 2) * (self.width + inner)
        if self.is_encoder_decoder:
            return self.layers * (3 * attention + 2 * feed_forward)
        return self.layers * (attention + feed_forward)


def shape_of(model: LanguageModel) -> Shape | None:
    """Return a model's shape; None while it is not made, or where nothing says it."""
    config = read_json(model, "config.json")
    figures = {name: _figure(config, keys) for name, keys in KEYS.items()}
    if not figures["layers"] or not figures["width"]:
        return None
    kind = str(config.get("model_type", ""))
    return Shape(
        **figures,
        is_gated=kind.startswith(GATED),
        is_encoder_decoder=bool(config.get("is_encoder_decoder")),
    )


def read_json(model: LanguageModel, name: str) -> dict[str, Any]:
    """Return a small JSON file of a model; empty where there is none to be read."""
    text = read_text(model, name)
    try:
        values = json.loads(text)
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}


def read_text(model: LanguageModel, name: str) -> str:
    """Return a small text file of a model; empty where there is none to be read."""
    if not model.is_ready:
        return ""
    try:
        content = storage.read_small(model.path, name, limit=MAX_CONFIG_BYTES)
        return content.decode()
    except (OSError, ValueError):
        return ""


def _figure(config: dict[str, Any], keys: tuple[str, ...]) -> int:
    values = [config.get(key) for key in keys]
    return next((one for one in values if isinstance(one, int) and one > 0), 0)
