"""The app of the OpenAI-compatible API."""

from django.apps import AppConfig


class OpenAIConfig(AppConfig):
    """Configuration of the OpenAI-compatible API."""

    name = "trivium.openai"
