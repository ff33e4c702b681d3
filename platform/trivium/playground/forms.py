"""What people write and set on the playground."""

from typing import Any

from django import forms
from pydantic import ValidationError
from runspec.serving import Sampling

from trivium.playground.models import Conversation
from trivium.playground.presets import APPLICATIONS
from trivium.serving.choices import ModelChoice

MAX_CONTENT = 200_000
MAX_SYSTEM = 20_000
MAX_STOPS = 16
SAMPLED = (
    "temperature",
    "max_tokens",
    "top_p",
    "top_k",
    "min_p",
    "repetition_penalty",
    "presence_penalty",
    "frequency_penalty",
    "seed",
)
GROUPS = {"base": "Base: complete text", "instruct": "Instruct: follow instructions"}


def number(label: str, help_text: str, **bounds: Any) -> forms.FloatField:
    """Return an optional number, its step and bounds told to the browser."""
    return forms.FloatField(
        label=label,
        help_text=help_text,
        required=False,
        widget=forms.NumberInput({"step": "any", "inputmode": "decimal"}),
        **bounds,
    )


def whole(label: str, help_text: str, **bounds: Any) -> forms.IntegerField:
    """Return an optional whole number."""
    return forms.IntegerField(
        label=label, help_text=help_text, required=False, **bounds
    )


class SettingsForm(forms.Form):
    """Model, instructions and sampling of a conversation."""

    choice = forms.ChoiceField(label="Model")
    system = forms.CharField(
        label="System prompt",
        required=False,
        max_length=MAX_SYSTEM,
        widget=forms.Textarea(
            {
                "rows": 4,
                "dir": "auto",
                "placeholder": "Who the model is, how it answers",
            }
        ),
        help_text="Stands before the conversation, where the model's template has room "
        "for it.",
    )
    temperature = number(
        "Temperature",
        "0 always takes the likeliest token; 1 draws as the model thinks; above it "
        "gets wilder.",
        min_value=0,
        max_value=2,
    )
    max_tokens = whole(
        "Most tokens", "Of an answer; empty: as many as there is room for.", min_value=1
    )
    top_p = number(
        "Top-p",
        "Only the likeliest tokens that together have this share are drawn from.",
        min_value=0.01,
        max_value=1,
    )
    top_k = whole("Top-k", "Only so many of the likeliest tokens; 0: all.", min_value=0)
    min_p = number(
        "Min-p",
        "Only tokens at least this likely, compared with the likeliest one.",
        min_value=0,
        max_value=1,
    )
    repetition_penalty = number(
        "Repetition penalty",
        "Above 1 makes every token that was already there less likely.",
        min_value=0.1,
        max_value=2,
    )
    presence_penalty = number(
        "Presence penalty",
        "Taken off once for a token the answer already has.",
        min_value=-2,
        max_value=2,
    )
    frequency_penalty = number(
        "Frequency penalty",
        "Taken off for each time the answer already has a token.",
        min_value=-2,
        max_value=2,
    )
    seed = whole(
        "Seed",
        "The same seed gives the same answer; empty: another one each time.",
        min_value=0,
        max_value=2**53 - 1,
    )
    stop = forms.CharField(
        label="Stop at",
        required=False,
        max_length=1_000,
        strip=False,
        widget=forms.Textarea({"rows": 2, "spellcheck": "false"}),
        help_text="The answer ends before any of these, one a line; \\n is a line "
        "break.",
    )
    overflow = forms.ChoiceField(
        label="When it gets too long",
        choices=Conversation.Overflow.choices,
        required=False,
        help_text="Nothing is ever left out without being named below the input.",
    )
    is_shared = forms.BooleanField(
        label="Members of the project may read it", required=False
    )

    def __init__(self, *args: Any, choices: list[ModelChoice], **kwargs: Any) -> None:
        """Offer what the person can talk to."""
        super().__init__(*args, **kwargs)
        self.by_id = {one.id: one for one in choices}
        field = self.fields["choice"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = grouped(choices)
        for one in self.fields.values():
            # They stand beside the form of the message, and are sent with it.
            one.widget.attrs["form"] = "composer"

    def clean_stop(self) -> list[str]:
        """Return the stop sequences."""
        lines = self.cleaned_data["stop"].splitlines()
        found = [line.replace("\\n", "\n") for line in lines if line]
        if len(found) > MAX_STOPS:
            raise forms.ValidationError(f"At most {MAX_STOPS} are looked for.")
        return found

    def clean_overflow(self) -> str:
        """Return the policy; the safe one where none was sent."""
        return str(self.cleaned_data["overflow"] or Conversation.Overflow.REFUSE)

    def clean(self) -> dict[str, Any]:
        """Join the sampling settings, and see that they go together."""
        values = super().clean() or {}
        given = {name: values[name] for name in SAMPLED if values.get(name) is not None}
        try:
            sampling = Sampling(**given, stop=tuple(values.get("stop") or ()))
        except ValidationError as error:
            raise forms.ValidationError(str(error.errors()[0]["msg"])) from error
        values["sampling"] = sampling.model_dump(mode="json", exclude_defaults=True)
        return values

    @property
    def model_choice(self) -> ModelChoice:
        """What was chosen, of a valid form."""
        return self.by_id[self.cleaned_data["choice"]]


class MessageForm(forms.Form):
    """What somebody says."""

    content = forms.CharField(
        label="Message",
        max_length=MAX_CONTENT,
        strip=False,
        widget=forms.Textarea(
            {
                "rows": 1,
                "dir": "auto",
                "placeholder": "Say something…",
                "data-composer": True,
            }
        ),
    )

    def clean_content(self) -> str:
        """Return the text; white space alone is nothing."""
        content: str = self.cleaned_data["content"].replace("\r\n", "\n")
        if not content.strip():
            raise forms.ValidationError("There is nothing to send.")
        return content


class PresetForm(forms.Form):
    """A name for settings."""

    name = forms.CharField(label="Name", max_length=80)
    application = forms.ChoiceField(
        label="For", choices=list(APPLICATIONS.items()), required=False
    )
    is_shared = forms.BooleanField(label="Share in the project", required=False)

    prefix = "preset"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Stand beside the form of the message, and be sent with it."""
        super().__init__(*args, **kwargs)
        for one in self.fields.values():
            one.widget.attrs["form"] = "composer"
        # An empty name must not keep a message from being sent.
        self.use_required_attribute = False


def grouped(choices: list[ModelChoice]) -> list[Any]:
    """Return choices under what they were taught."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for one in choices:
        if one.endpoint is not None:
            title = "Other servers"
        elif one.step is not None:
            title = "Checkpoints"
        elif one.architecture == "encoder-decoder":
            title = "Rewrite text"
        else:
            title = GROUPS.get(one.stage, one.stage.capitalize())
        groups.setdefault(title, []).append((one.id, one.title))
    return list(groups.items())


def initial_of(conversation: Conversation) -> dict[str, Any]:
    """Return what a form shows of a conversation."""
    sampling = dict(conversation.sampling)
    stops = [stop.replace("\n", "\\n") for stop in sampling.pop("stop", [])]
    return sampling | {
        "choice": conversation.choice_id,
        "system": conversation.system,
        "stop": "\n".join(stops),
        "overflow": conversation.overflow,
        "is_shared": conversation.is_shared,
    }
