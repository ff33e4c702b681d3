"""Forms about endpoints."""

from typing import Any

from django import forms

from trivium.runs.fields import Switch
from trivium.serving.models import Endpoint
from trivium.serving.services import MAX_API_KEY, MAX_URL


class EndpointForm(forms.Form):
    """Another server that speaks the OpenAI API."""

    name = forms.CharField(
        max_length=60,
        help_text="Its models are called by it: gpu-1/llama. Small letters and digits.",
    )
    url = forms.CharField(
        label="Address",
        max_length=MAX_URL,
        help_text="Up to its version, like http://gpu-1:8000/v1.",
        widget=forms.URLInput(attrs={"placeholder": "http://gpu-1:8000/v1"}),
    )
    api_key = forms.CharField(
        label="API key",
        max_length=MAX_API_KEY,
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text="Encrypted at once, and never shown again.",
    )
    model_ids = forms.CharField(
        label="Models",
        required=False,
        max_length=100_000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="One id a line; left empty, the server is asked.",
    )

    def ids(self) -> list[str]:
        """Return the ids that were entered."""
        text: str = self.cleaned_data["model_ids"]
        return text.splitlines()


class ChangeEndpointForm(EndpointForm):
    """An endpoint that is known: its name stays, and its key unless one is given."""

    name = None  # type: ignore[assignment]
    is_enabled = forms.BooleanField(
        label="In use",
        required=False,
        widget=Switch,
        help_text="Its models are offered to everyone.",
    )
    drops_key = forms.BooleanField(
        label="Remove the key",
        required=False,
        widget=Switch,
        help_text="Send no key any more.",
    )

    def __init__(self, *args: Any, endpoint: Endpoint, **kwargs: Any) -> None:
        """Start from what is known; the key is not."""
        kwargs["initial"] = {
            "url": endpoint.url,
            "model_ids": "\n".join(endpoint.model_ids),
            "is_enabled": endpoint.is_enabled,
        }
        super().__init__(*args, **kwargs)
        self.fields["model_ids"].help_text = "One id a line."
        if endpoint.has_api_key:
            self.fields[
                "api_key"
            ].help_text = "One is kept. Enter another to replace it."
        else:
            del self.fields["drops_key"]

    def key(self) -> str | None:
        """Return the key from now on; None keeps the one there is."""
        if self.cleaned_data.get("drops_key"):
            return ""
        return self.cleaned_data["api_key"] or None
