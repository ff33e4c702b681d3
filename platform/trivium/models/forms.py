"""Forms of models: which to list, what people say of one, and bringing one in."""

from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from runspec import ImportSpec
from runspec.licences import LICENCES

from trivium.models.models import LanguageModel

STAGES = [("auto", "As recognised"), *LanguageModel.Stage.choices]


class ModelFilter(forms.Form):
    """What the address of the list asks for."""

    stage = forms.ChoiceField(
        required=False, choices=[("", "Any stage"), *LanguageModel.Stage.choices]
    )
    architecture = forms.ChoiceField(
        required=False,
        choices=[("", "Any architecture"), *LanguageModel.Architecture.choices],
    )
    family = forms.ChoiceField(required=False)
    q = forms.CharField(required=False, max_length=200)

    def __init__(self, *args: Any, families: list[str], **kwargs: Any) -> None:
        """Offer the families there are."""
        super().__init__(*args, **kwargs)
        for name in ("stage", "architecture", "family"):
            self.fields[name].widget.attrs["class"] = "control"
        family = self.fields["family"]
        assert isinstance(family, forms.ChoiceField)
        family.choices = [("", "Any family"), *((name, name) for name in families)]

    def chosen(self) -> dict[str, str]:
        """Return what was asked for; what is no choice counts as not asked."""
        self.is_valid()
        return {name: value for name, value in self.cleaned_data.items() if value}


class DescribeForm(forms.Form):
    """Licence and notes, which become part of the card."""

    licence = forms.CharField(
        required=False,
        max_length=100,
        help_text="A name like apache-2.0, or any other text.",
        widget=forms.TextInput(attrs={"list": "licences", "class": "control"}),
    )
    notes = forms.CharField(
        required=False,
        max_length=20_000,
        help_text="Markdown. What should who downloads it know?",
        widget=forms.Textarea(attrs={"rows": 6, "class": "control"}),
    )

    @property
    def licences(self) -> dict[str, str]:
        """The licences that are offered."""
        return LICENCES


class ImportForm(forms.Form):
    """A model sent, a place of the server, or one of the Hub."""

    file = forms.FileField(
        required=False,
        label="File",
        max_length=None,
        allow_empty_file=True,
        help_text="The model's folder as a zip or tar (also .gz or .zst).",
    )
    path = forms.CharField(
        required=False,
        max_length=500,
        label="Or a path the server can read",
        help_text="A folder or archive below one of the places an admin has allowed.",
    )
    hub_id = forms.CharField(
        required=False,
        max_length=193,
        label="Or a Hub id",
        help_text="A model of the Hugging Face Hub, like organisation/name.",
    )
    revision = forms.CharField(
        required=False,
        max_length=200,
        help_text="Branch, tag or commit; empty takes main.",
    )
    name = forms.CharField(
        required=False, max_length=200, help_text="Empty takes the file's name."
    )
    stage = forms.ChoiceField(
        choices=STAGES,
        initial="auto",
        help_text=ImportSpec.model_fields["stage"].description or "",
    )

    def clean(self) -> dict[str, Any]:
        """Ask for one place, not none and not two."""
        cleaned = super().clean() or self.cleaned_data
        given = [name for name in ("file", "path", "hub_id") if cleaned.get(name)]
        if len(given) > 1:
            self.add_error(given[-1], "Give one place the model comes from, not two.")
        if not given and not self.errors:
            self.add_error("file", "Choose a file to send.")
        return cleaned

    @property
    def sent_file(self) -> "UploadedFile[bytes] | None":
        """The file, if one was sent."""
        file: UploadedFile[bytes] | None = self.cleaned_data["file"]
        return file

    def settings(self) -> dict[str, str]:
        """Return the fields of the spec a person chose."""
        wanted = {name: self.cleaned_data[name] for name in ("stage", "hub_id")}
        if self.cleaned_data["revision"]:
            wanted["revision"] = self.cleaned_data["revision"]
        return wanted
