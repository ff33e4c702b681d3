"""Forms of runs, read off the specs: label, unit, group, level, help and bounds."""

import re
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

from django import forms
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from runspec import SPECS, Spec, parse_spec

from trivium.datasets.models import DatasetVersion
from trivium.projects.models import Project
from trivium.runs.models import Run
from trivium.tokenizers.models import Tokenizer

MAX_CHOICES = 500
MAX_TEXT = 100_000
OUTPUT_NOUNS = {
    "ingest": "dataset",
    "tokenizer": "tokenizer",
    "pretrain": "model",
    "sft": "model",
    "import": "model",
}
RETRY_SETTINGS: dict[str, tuple[str, ...]] = {
    "out_of_memory": ("batch_size", "accumulation", "context"),
    "not_finite": ("learning_rate", "warmup_steps", "clip_norm"),
    "bad_input": ("bad_rows", "text_column"),
}
"""Settings that cure a class of errors, most likely first."""


class RunFilter(forms.Form):
    """What the address of the list asks for."""

    state = forms.ChoiceField(
        required=False, choices=[("", "Any state"), *Run.State.choices]
    )
    kind = forms.ChoiceField(
        required=False, choices=[("", "Any kind"), *Run.Kind.choices]
    )
    q = forms.CharField(required=False, max_length=200)


class Group(NamedTuple):
    """Settings that stand together."""

    title: str
    fields: list[tuple[forms.BoundField, str]]
    """Each with its unit."""


def label_of(name: str, field: FieldInfo) -> str:
    """Return what a page calls a setting."""
    return str(extra_of(field).get("label") or name.replace("_", " ").capitalize())


def extra_of(field: FieldInfo) -> dict[str, Any]:
    """Return what `runspec.base.setting` noted beside type and bounds."""
    extra = field.json_schema_extra
    return dict(extra) if isinstance(extra, dict) else {}


def bounds_of(field: FieldInfo) -> dict[str, Any]:
    """Return `ge`, `gt`, `le`, `lt`, `max_length`…, as far as they are given."""
    found: dict[str, Any] = {}
    for constraint in field.metadata:
        for key in ("ge", "gt", "le", "lt", "max_length", "min_length"):
            value = getattr(constraint, key, None)
            if value is not None:
                found[key] = value
    return found


def form_field(name: str, field: FieldInfo) -> forms.Field:
    """Return the form field of one setting."""
    kind, is_optional = without_none(field.annotation)
    common: dict[str, Any] = {
        "label": label_of(name, field),
        "help_text": field.description or "",
        "required": not is_optional,
    }
    if not field.is_required():
        common["initial"] = shown(field.get_default())
    bounds = bounds_of(field)
    if get_origin(kind) is Literal:
        choices = [(value, value) for value in get_args(kind)]
        return forms.ChoiceField(choices=choices, **common)
    if kind is bool:
        return forms.BooleanField(**common | {"required": False})
    if kind is int:
        low = bounds["gt"] + 1 if "gt" in bounds else bounds.get("ge")
        high = bounds["lt"] - 1 if "lt" in bounds else bounds.get("le")
        return forms.IntegerField(min_value=low, max_value=high, **common)
    if kind is float:
        # An exclusive bound is left to the spec: HTML knows inclusive ones only.
        return forms.FloatField(
            min_value=bounds.get("ge"),
            max_value=bounds.get("le"),
            widget=forms.NumberInput(attrs={"step": "any"}),
            **common,
        )
    if get_origin(kind) is tuple:
        widget = forms.Textarea(attrs={"rows": 3})
        common |= {"required": False, "max_length": MAX_TEXT, "strip": False}
        common["help_text"] += " One a line."
        return forms.CharField(widget=widget, **common)
    common["required"] = bounds.get("min_length", 0) > 0 or field.is_required()
    return forms.CharField(max_length=bounds.get("max_length", MAX_TEXT), **common)


def without_none(annotation: Any) -> tuple[Any, bool]:
    """`int | None` → (int, True)."""
    if get_origin(annotation) in {Union, type(int | None)}:
        kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
        return kinds[0], len(kinds) < len(get_args(annotation))
    return annotation, False


def shown(value: Any) -> Any:
    """Return a setting's value as its form field shows it."""
    if isinstance(value, list | tuple):
        return "\n".join(str(item) for item in value)
    return value


def from_form(value: Any, field: FieldInfo) -> Any:
    """Return what a form field holds as the spec takes it."""
    if get_origin(field.annotation) is tuple:
        lines = str(value).replace("\r\n", "\n").removesuffix("\n")
        return lines.split("\n") if lines else list(field.get_default())
    return value


def plain(message: str) -> str:
    """Return pydantic's message as a sentence for a person."""
    text = message.removeprefix("Value error, ")
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?")) else ".")


class SpecForm(forms.Form):
    """All settings of one kind of run; `cleaned_data["spec"]` is the valid spec."""

    name = forms.CharField(
        required=False, max_length=200, help_text="Empty: one is made up."
    )

    def __init__(
        self,
        project: Project,
        kind: str,
        *args: Any,
        settings: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Build a field for each setting; `settings` are the values first shown."""
        super().__init__(*args, **kwargs)
        self.model: type[Spec] = SPECS[kind]
        self.kind = kind
        self.fields["name"].label = f"Name of the {OUTPUT_NOUNS[kind]}"
        for name, field in self.settings().items():
            reference = extra_of(field).get("reference")
            if reference:
                choices = choices_of(project, reference)
                made: forms.Field = forms.ChoiceField(
                    choices=[*choices] or [("", f"No {reference} yet")],
                    label=label_of(name, field),
                    help_text=field.description or "",
                    initial=choices[0][0] if choices else "",
                )
            else:
                made = form_field(name, field)
            if name in (settings or {}):
                made.initial = shown((settings or {})[name])
            self.fields[name] = made
        for bound in self:
            if bound.field.help_text:
                described = f"{bound.auto_id}_helptext"
                bound.field.widget.attrs["aria-describedby"] = described

    def settings(self) -> dict[str, FieldInfo]:
        """Return the fields of the spec that a person sets."""
        return {
            name: field
            for name, field in self.model.model_fields.items()
            if name != "kind"
        }

    def groups(self, level: str) -> list[Group]:
        """Return the settings of one level, under the titles of their groups."""
        groups: dict[str, Group] = {}
        for name, field in self.settings().items():
            extra = extra_of(field)
            if extra.get("level", "basic") != level:
                continue
            title = extra.get("group", "")
            group = groups.setdefault(title, Group(title, []))
            group.fields.append((self[name], extra.get("unit", "")))
        return list(groups.values())

    @property
    def basic_groups(self) -> list[Group]:
        """What everyone sets."""
        return self.groups("basic")

    @property
    def advanced_groups(self) -> list[Group]:
        """What is folded away."""
        return self.groups("advanced")

    @property
    def has_advanced_errors(self) -> bool:
        """Whether the folded part must be open, so that its errors are seen."""
        return any(
            bound.errors for group in self.advanced_groups for bound, _ in group.fields
        )

    def clean(self) -> dict[str, Any]:
        """Build the spec; what it refuses is shown beside the field at fault."""
        cleaned = super().clean() or self.cleaned_data
        if self.errors:
            return cleaned
        values = {
            name: from_form(cleaned[name], field)
            for name, field in self.settings().items()
        }
        try:
            cleaned["spec"] = parse_spec({"kind": self.kind, **values})
        except ValidationError as error:
            for one in error.errors():
                self.add_error(self.field_of(one), plain(one["msg"]))
        return cleaned

    def field_of(self, error: Any) -> str | None:
        """Return the field an error names, by place or by its first known word."""
        if error["loc"] and error["loc"][0] in self.fields:
            return str(error["loc"][0])
        words = re.findall(r"[a-z_0-9]+", error["msg"].lower())
        return next((word for word in words if word in self.settings()), None)


def choices_of(project: Project, noun: str) -> list[tuple[str, str]]:
    """Return the objects of a project a spec may refer to, newest first.

    What is still being made may be chosen too: the run waits for it.
    """
    rows: list[Any]
    if noun == "dataset":
        rows = list(
            DatasetVersion.objects.filter(dataset__project=project)
            .select_related("dataset", "run")
            .order_by("-pk")[:MAX_CHOICES]
        )
    else:
        rows = list(
            Tokenizer.objects.filter(project=project)
            .select_related("run")
            .order_by("-pk")[:MAX_CHOICES]
        )
    usable = [row for row in rows if row.is_ready or is_being_made(row.run)]
    usable.sort(key=lambda row: not row.is_ready)
    return [
        (str(row.pk), str(row) if row.is_ready else f"{row} (being prepared)")
        for row in usable
    ]


def is_being_made(run: Run | None) -> bool:
    """Whether an object's run may still finish it."""
    return run is not None and not run.is_finished


class RetryForm(forms.Form):
    """The few settings that may cure a failed run, with a better value filled in."""

    def __init__(self, run: Run, *args: Any, **kwargs: Any) -> None:
        """Choose settings by the class of the error and by what the advice names."""
        super().__init__(*args, **kwargs)
        self.run = run
        model = SPECS.get(run.kind)
        known = model.model_fields if model else {}
        for name in retry_settings(run):
            if name not in known:
                continue
            made = form_field(name, known[name])
            made.initial = shown(suggested(run, name))
            made.help_text = f"It was {shown(run.spec.get(name))}."
            self.fields[name] = made

    def clean(self) -> dict[str, Any]:
        """Gather the changes; what the form does not show stays as it was."""
        cleaned = super().clean() or self.cleaned_data
        fields = SPECS[self.run.kind].model_fields if self.fields else {}
        cleaned["changes"] = {
            name: from_form(cleaned[name], fields[name])
            for name in self.fields
            if name in cleaned
        }
        return cleaned

    def full_clean(self) -> None:
        """Let an empty retry pass: then no setting is changed."""
        for name in list(self.fields) if self.is_bound else ():
            if name not in self.data:
                del self.fields[name]
        super().full_clean()


def retry_settings(run: Run) -> list[str]:
    """Return the names of settings worth changing after a failure."""
    named = [
        name
        for name in run.spec
        if re.search(rf"\b{name.replace('_', '[_ ]')}\b", run.advice, re.IGNORECASE)
    ]
    likely = RETRY_SETTINGS.get(run.error_class, ())
    return list(dict.fromkeys([*named, *likely]))[:4]


def suggested(run: Run, name: str) -> Any:
    """Return a value more likely to work than the one that failed."""
    value = run.spec.get(name)
    if run.error_class == "out_of_memory":
        if name == "batch_size" and isinstance(value, int):
            return max(1, value // 2)
        if name == "accumulation" and isinstance(value, int):
            is_halved = run.spec.get("batch_size", 1) > 1
            return value * 2 if is_halved else value
    if run.error_class == "not_finite" and name == "learning_rate" and value:
        return float(f"{value / 3:.2g}")
    if run.error_class == "bad_input" and name == "bad_rows":
        return "skip"
    return value
