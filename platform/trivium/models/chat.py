"""The chat template a model carries, and the special tokens one may name."""

from trivium.models.models import LanguageModel
from trivium.models.shapes import read_json, read_text

TOKENS = ("bos_token", "eos_token", "unk_token", "pad_token")


def chat_template_of(model: LanguageModel) -> str:
    """Return a model's own template; empty where it has none."""
    written = read_text(model, "chat_template.jinja")
    if written:
        return written
    held = read_json(model, "tokenizer_config.json").get("chat_template")
    if isinstance(held, list):  # named ones; the default comes first
        held = next((one.get("template") for one in held if isinstance(one, dict)), "")
    return held if isinstance(held, str) else ""


def special_tokens_of(model: LanguageModel) -> dict[str, str]:
    """Return a model's special tokens by the names templates know them by."""
    config = read_json(model, "tokenizer_config.json")
    found = {}
    for name in TOKENS:
        token = config.get(name)
        if isinstance(token, dict):
            token = token.get("content")
        if isinstance(token, str):
            found[name] = token
    return found
