"""The tokenizers app."""

from django.apps import AppConfig


class TokenizersConfig(AppConfig):
    """Configuration of the tokenizers app."""

    name = "trivium.tokenizers"
