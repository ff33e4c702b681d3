"""The form beside a failure: the few settings worth changing before another try."""

import re
from typing import Any, get_args, get_origin

from django import forms
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from runspec import SPECS
from runspec.sft import KINDS_OF

from trivium.runs.fields import (
    choices_of,
    extra_of,
    first_shown,
    form_field,
    from_form,
    shown,
)
from trivium.runs.models import Run

RETRY_SETTINGS: dict[str, tuple[str, ...]] = {
    "out_of_memory": ("batch_size", "accumulation", "context"),
    "not_finite": ("learning_rate", "warmup_steps", "clip_norm"),
    "bad_input": ("bad_rows", "text_column"),
}
"""Settings that cure a class of errors, most likely first."""
EVERYDAY_WORDS = {"model", "task", "method", "device", "packing"}
"""Settings whose names an advice may hold without meaning them."""


class RetryForm(forms.Form):
    """The few settings that may cure a failed run, with a better value filled in."""

    def __init__(self, run: Run, *args: Any, **kwargs: Any) -> None:
        """Choose settings by the class of the error and by what the advice names."""
        super().__init__(*args, **kwargs)
        self.run = run
        model = SPECS.get(run.kind)
        is_plain = model is not None and run.kind != Run.Kind.PREFLIGHT
        known = model.model_fields if model and is_plain else {}
        for name in retry_settings(run):
            if name not in known or has_no_field(known[name]):
                continue
            made = form_field(run.project, name, known[name])
            if isinstance(made, forms.MultipleChoiceField):
                kinds = KINDS_OF.get(run.spec.get("task", ""), ())
                made.choices = choices_of(run.project, "dataset", kinds=kinds)
            made.initial = first_shown(suggested(run, name), known[name])
            made.help_text = f"It was {was(made, run.spec.get(name))}."
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
        if name not in EVERYDAY_WORDS
        and re.search(rf"\b{name.replace('_', '[_ ]')}\b", run.advice, re.IGNORECASE)
    ]
    likely = RETRY_SETTINGS.get(run.error_class, ())
    return list(dict.fromkeys([*named, *likely]))[:4]


def has_no_field(field: FieldInfo) -> bool:
    """Whether no single field of a form can hold a setting: tables, and choices."""
    kind = field.annotation
    if extra_of(field).get("reference") in {"choice", "campaign"}:
        return True
    inner = get_args(kind)[0] if get_origin(kind) is tuple else kind
    is_model = isinstance(inner, type) and issubclass(inner, BaseModel)
    return is_model or get_origin(kind) is dict


def was(field: forms.Field, value: Any) -> str:
    """Return a setting's old value in the words of its field."""
    if not isinstance(field, forms.ChoiceField):
        return str(shown(value))
    pairs: list[tuple[Any, Any]] = list(field.choices)  # type: ignore[arg-type]
    labels = {str(key): str(label) for key, label in pairs}
    values = value if isinstance(value, list) else [value or ""]
    return ", ".join(labels.get(str(one), str(one)) for one in values)


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
