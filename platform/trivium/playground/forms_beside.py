"""Forms of the pages beside the chat."""

from collections.abc import Iterable
from typing import Any

from django import forms

from trivium.playground.exchange import MAX_BYTES
from trivium.playground.models import Conversation

MAX_TEXT = 50_000
MAX_TARGETS = 20


class FillForm(forms.Form):
    """A text with masks."""

    text = forms.CharField(
        max_length=MAX_TEXT,
        label="Text with masks",
        widget=forms.Textarea(
            {"rows": 4, "dir": "auto", "autofocus": True, "spellcheck": "false"}
        ),
        help_text="Press “Mask”, or type ___ (three underscores), where a word is "
        "missing.",
    )
    is_joint = forms.BooleanField(
        required=False,
        label="One after the other",
        help_text="The surest mask is filled first, and each later one sees it. "
        "Otherwise every mask is judged as if the others stayed masks.",
    )
    targets = forms.CharField(
        required=False,
        max_length=1_000,
        label="Compare only these words",
        help_text="Separated by commas; empty shows the likeliest ones.",
    )

    def clean_targets(self) -> list[str]:
        """Return the words, each once."""
        words = [word.strip() for word in self.cleaned_data["targets"].split(",")]
        found = list(dict.fromkeys(filter(None, words)))
        if len(found) > MAX_TARGETS:
            raise forms.ValidationError(f"At most {MAX_TARGETS} words are compared.")
        return found


class ScoreForm(forms.Form):
    """A text to be judged."""

    asked = forms.CharField(
        required=False,
        max_length=MAX_TEXT,
        label="What was asked",
        widget=forms.Textarea({"rows": 2, "dir": "auto"}),
        help_text="Where the text answers something: reward models judge answers.",
    )
    text = forms.CharField(
        max_length=MAX_TEXT,
        label="Text",
        widget=forms.Textarea({"rows": 4, "dir": "auto", "autofocus": True}),
    )


class CompareForm(forms.Form):
    """One prompt for two to four models."""

    prompt = forms.CharField(
        max_length=MAX_TEXT,
        label="Prompt",
        widget=forms.Textarea(
            {"rows": 3, "dir": "auto", "placeholder": "Ask all of them the same…"}
        ),
    )
    is_blind = forms.BooleanField(
        required=False,
        label="Blind",
        help_text="Hides which is which until you have said which is better. Two "
        "models.",
    )
    temperature = forms.FloatField(
        min_value=0, max_value=2, initial=0.7, widget=forms.NumberInput({"step": 0.05})
    )
    max_tokens = forms.IntegerField(
        min_value=1, max_value=32_768, initial=256, label="Most tokens"
    )
    seed = forms.IntegerField(
        min_value=0,
        max_value=2**31 - 1,
        required=False,
        help_text="The same for all; empty draws one.",
    )


class VoteForm(forms.Form):
    """Which side was better."""

    preferred = forms.ChoiceField(
        choices=[(name, name) for name in ("left", "right", "tie", "both_bad")]
    )
    ms_active = forms.IntegerField(min_value=0, required=False)
    key = forms.RegexField(r"^[0-9a-f]{32}$")


class WriteForm(forms.Form):
    """A text to go on with, or to make another of."""

    text = forms.CharField(
        max_length=MAX_TEXT,
        strip=False,
        widget=forms.Textarea(
            {"rows": 12, "dir": "auto", "class": "written", "autofocus": True}
        ),
    )
    temperature = forms.FloatField(
        min_value=0,
        max_value=2,
        widget=forms.NumberInput({"step": 0.05}),
        help_text="0 always takes the likeliest token.",
    )
    top_p = forms.FloatField(
        min_value=0.01,
        max_value=1,
        initial=1,
        label="Top-p",
        widget=forms.NumberInput({"step": 0.01}),
        help_text="Draws among the likeliest tokens that make up this share.",
    )
    max_tokens = forms.IntegerField(
        min_value=1, max_value=32_768, initial=128, label="Most tokens"
    )
    seed = forms.IntegerField(
        min_value=0,
        max_value=2**53,
        required=False,
        help_text="The same seed gives the same text; empty draws one.",
    )

    def clean_text(self) -> str:
        """Return the text with one kind of line end, as a model shall see it."""
        return str(self.cleaned_data["text"]).replace("\r\n", "\n")


class ImportForm(forms.Form):
    """A file of conversations."""

    file = forms.FileField(
        label="File",
        widget=forms.FileInput({"accept": ".jsonl,.ndjson,.json"}),
        help_text="One conversation a line, as OpenAI writes them: "
        '{"messages": [{"role": "user", "content": "…"}, …]}',
    )

    def clean_file(self) -> Any:
        """Refuse what is larger than conversations are."""
        file = self.cleaned_data["file"]
        if file.size > MAX_BYTES:
            raise forms.ValidationError(
                f"The file is larger than {MAX_BYTES // 2**20} MiB. Split it."
            )
        return file


class CollectForm(forms.Form):
    """Conversations that shall become rows of a dataset."""

    name = forms.CharField(
        max_length=200,
        label="Dataset",
        widget=forms.TextInput({"list": "dataset-names", "dir": "auto"}),
        help_text="A new name makes a dataset; of one that exists a new version is "
        "made, with the rows it has and these.",
    )
    conversation = forms.MultipleChoiceField(
        error_messages={
            "required": "Choose at least one conversation.",
            "invalid_choice": "One of these conversations is not there any more.",
        }
    )

    def __init__(self, *args: Any, choices: Iterable[Conversation], **kw: Any) -> None:
        """Offer the conversations of the person."""
        super().__init__(*args, **kw)
        field = self.fields["conversation"]
        assert isinstance(field, forms.MultipleChoiceField)
        field.choices = [(str(one.pk), str(one)) for one in choices]
