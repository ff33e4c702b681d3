"""The forms that bring data in: a file, then how it is read."""

from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.http import QueryDict
from runspec import IngestSpec
from runspec.ingest import (
    MAX_COLUMN_NAME,
    PARTS,
    Part,
    is_complete,
    missing_parts,
    way_taken,
)
from runspec.looking import Look

from trivium.datasets.models import Dataset

TEXT_ROWS = [
    ("paragraph", "Paragraphs, parted by blank lines"),
    ("line", "Lines"),
    ("file", "The whole file is one row"),
]
BAD_ROWS = [
    ("reject", "Stop, and list what is wrong"),
    ("skip", "Leave them out, and count them"),
]
HEADER = [
    ("auto", "Is what it looks like"),
    ("yes", "Names the columns"),
    ("no", "Is a row like others"),
]
PART_LABELS = {
    "input": "Input, below the prompt",
    "pair_id": "Name of the pair",
    "num_votes": "Number of votes",
    "chosen_share": "Share of votes for chosen",
}
PLAIN_KINDS = (Dataset.Kind.TEXT, Dataset.Kind.PROMPTS)
"""Kinds whose rows may stand in a plain text file."""
FEW_PARTS = 5
"""So many are all shown; of more, those that are not used are folded away."""
NOBODY = ""
"""The choice of no column."""


def _help(field: str) -> str:
    return IngestSpec.model_fields[field].description or ""


def _default(field: str) -> Any:
    return IngestSpec.model_fields[field].default


class ImportForm(forms.Form):
    """A file sent or a place named."""

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
    name = forms.CharField(required=False, max_length=200, widget=forms.HiddenInput)
    """Goes on to the next form: whose version it will be."""

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


class ReadingForm(forms.Form):
    """What the rows of a file are, and where their parts stand in it."""

    name = forms.CharField(
        required=False,
        max_length=200,
        help_text="Empty takes the file's name. The name of a dataset you have makes "
        "a new version of it.",
    )
    dataset_kind = forms.ChoiceField(label="Kind of rows", choices=Dataset.Kind.choices)
    text_rows = forms.ChoiceField(
        required=False,
        label="Rows of a text file",
        choices=TEXT_ROWS,
        initial=_default("text_rows"),
    )
    header = forms.ChoiceField(
        required=False,
        label="The first line",
        choices=HEADER,
        initial=_default("header"),
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

    def __init__(
        self, *args: Any, kind: str, look: Look | None = None, **more: Any
    ) -> None:
        """Ask for the columns of `kind`, among those that a look has found."""
        super().__init__(*args, **more)
        self.kind = kind
        kinds = self.fields["dataset_kind"]
        assert isinstance(kinds, forms.ChoiceField)
        if not kind:
            kinds.choices = [("", "Choose…"), *Dataset.Kind.choices]
        if look is not None:
            for field in _ignored_fields(look.file_format):
                del self.fields[field]
            if look.file_format == "txt":
                kinds.choices = [(kind.value, kind.label) for kind in PLAIN_KINDS]
        for part in PARTS.get(kind, ()):
            if look is None or look.columns:
                self.fields[f"part_{part.name}"] = _part_field(part, look)

    def parts(self) -> list[tuple[forms.BoundField, bool]]:
        """Return the fields that choose columns, each with whether rows need it."""
        return [
            (field, needed) for field, needed in self._parts() if needed is not None
        ]

    def more_parts(self) -> list[forms.BoundField]:
        """Return the fields of parts that the rows seem not to have."""
        return [field for field, needed in self._parts() if needed is None]

    def _parts(self) -> list[tuple[forms.BoundField, bool | None]]:
        """Return all of them, each with whether rows need it; None where unused."""
        parts = PARTS.get(self.kind, ())
        fields = {
            part.name: self[f"part_{part.name}"]
            for part in parts
            if f"part_{part.name}" in self.fields
        }
        used = {name for name, field in fields.items() if field.value()}
        needed = way_taken(self.kind, used) if self.kind else ()
        is_few = len(parts) <= FEW_PARTS
        return [
            (field, name in needed if is_few or name in {*used, *needed} else None)
            for name, field in fields.items()
        ]

    def clean(self) -> dict[str, Any]:
        """Ask for the columns no row can do without."""
        cleaned = super().clean() or self.cleaned_data
        columns = self.columns()
        is_table = self.kind not in PLAIN_KINDS or self.data.get("is_table")
        if self.kind and is_table and not is_complete(self.kind, set(columns)):
            missing = missing_parts(self.kind, set(columns))
            self.add_error(f"part_{missing[0]}", "Choose the column that holds it.")
        return cleaned

    def columns(self) -> dict[str, str]:
        """Return the column chosen for each part."""
        chosen = {
            part.name: self.cleaned_data.get(f"part_{part.name}", "")
            for part in PARTS.get(self.kind, ())
        }
        return {part: column for part, column in chosen.items() if column}

    def settings(self) -> dict[str, Any]:
        """Return the fields of the ingest spec a person chose."""
        names = ("dataset_kind", "text_rows", "header", "bad_rows")
        given = {name: self.cleaned_data.get(name) for name in names}
        return {
            **{name: value for name, value in given.items() if value},
            "validation_fraction": self.cleaned_data["validation_fraction"],
            "columns": self.columns(),
        }


def _ignored_fields(file_format: str) -> list[str]:
    """Return the settings that mean nothing for a format."""
    unused = [] if file_format == "txt" else ["text_rows"]
    return unused if file_format in {"csv", "tsv"} else [*unused, "header"]


def _part_field(part: Part, look: Look | None) -> forms.Field:
    label = PART_LABELS.get(part.name, part.name.capitalize().replace("_", " "))
    if look is None:
        return forms.CharField(
            label=label, required=False, max_length=MAX_COLUMN_NAME, strip=False
        )
    choices = [(NOBODY, "Choose…" if part.is_required else "None")]
    choices += [(column.name, _shown(column.name)) for column in look.columns]
    return forms.ChoiceField(
        label=label, required=False, choices=choices, help_text=part.help
    )


def _shown(name: str) -> str:
    """Return a column's name with nothing in it that cannot be seen."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in name[:60]
    )


def chosen_for_look(values: QueryDict) -> dict[str, Any]:
    """Return what a person chose so far, for the next look.

    Columns chosen for one kind of rows say nothing about another.
    """
    kind = values.get("dataset_kind", "")
    if kind not in PARTS:
        return _rest(values)
    columns = {
        part.name: column
        for part in PARTS[kind]
        if (column := values.get(f"part_{part.name}", ""))
    }
    if values.get("shown_kind") != kind:
        columns = {}
    return {**_rest(values), "dataset_kind": kind, "columns": columns}


def _rest(values: QueryDict) -> dict[str, Any]:
    known = {"text_rows": TEXT_ROWS, "header": HEADER}
    return {
        name: values[name]
        for name, choices in known.items()
        if values.get(name) in dict(choices)
    }
