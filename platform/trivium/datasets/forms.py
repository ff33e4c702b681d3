"""The form that brings data in."""

from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from runspec import IngestSpec

SPEC_FIELDS = ("text_rows", "bad_rows", "validation_fraction", "text_column")
TEXT_ROWS = [
    ("paragraph", "Paragraphs, parted by blank lines"),
    ("line", "Lines"),
    ("file", "The whole file is one row"),
]
BAD_ROWS = [
    ("reject", "Stop, and list what is wrong"),
    ("skip", "Leave them out, and count them"),
]


def _help(field: str) -> str:
    return IngestSpec.model_fields[field].description or ""


def _default(field: str) -> Any:
    return IngestSpec.model_fields[field].default


class ImportForm(forms.Form):
    """A file sent or a place named, and how to read it."""

    file = forms.FileField(
        required=False,
        label="File",
        max_length=None,
        allow_empty_file=True,
        help_text="txt, jsonl, json, csv, tsv or parquet; also .gz or .zst, or many "
        "files in a zip or tar.",
    )
    path = forms.CharField(
        required=False,
        max_length=500,
        label="Or a path or URL the server can read",
        help_text="Below one of the places an admin has allowed.",
    )
    name = forms.CharField(
        required=False,
        max_length=200,
        help_text="Empty takes the file's name. The name of a dataset you have makes "
        "a new version of it.",
    )
    text_rows = forms.ChoiceField(
        label="Rows of a text file",
        choices=TEXT_ROWS,
        initial=_default("text_rows"),
        help_text="For plain text; tables and JSON have rows already.",
    )
    bad_rows = forms.ChoiceField(
        label="Bad rows", choices=BAD_ROWS, initial=_default("bad_rows")
    )
    validation_fraction = forms.FloatField(
        label="Validation share",
        min_value=0.0,
        max_value=0.5,
        initial=_default("validation_fraction"),
        help_text=_help("validation_fraction"),
        widget=forms.NumberInput(attrs={"step": "0.01"}),
    )
    text_column = forms.CharField(
        label="Text column",
        required=False,
        max_length=200,
        strip=False,
        help_text=_help("text_column"),
    )

    def clean(self) -> dict[str, Any]:
        """Ask for one source, not none and not two."""
        cleaned = super().clean() or self.cleaned_data
        if "file" in self.errors or "path" in self.errors:
            return cleaned
        if cleaned.get("file") and cleaned.get("path"):
            self.add_error("path", "Send a file or name a path, not both.")
        if not cleaned.get("file") and not cleaned.get("path"):
            self.add_error("file", "Choose a file to send.")
        return cleaned

    @property
    def sent_file(self) -> "UploadedFile[bytes] | None":
        """The file, if one was sent."""
        file: UploadedFile[bytes] | None = self.cleaned_data["file"]
        return file

    def settings(self) -> dict[str, Any]:
        """Return the fields of the ingest spec a person chose."""
        return {field: self.cleaned_data[field] for field in SPEC_FIELDS}
