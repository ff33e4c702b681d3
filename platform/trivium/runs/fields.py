"""Form fields, read off the settings of a spec: label, unit, help, bounds, choices."""

from collections.abc import Sequence
from typing import Any, Literal, Union, get_args, get_origin

from django import forms
from django.db.models import Q
from django.utils.html import format_html
from django.utils.safestring import SafeString
from pydantic.fields import FieldInfo
from runspec.rewards import CLASSES, read_function

from trivium.datasets.models import DatasetVersion
from trivium.models.models import LanguageModel
from trivium.projects.models import Project
from trivium.runs.models import Run
from trivium.tokenizers.models import Tokenizer

MAX_CHOICES = 500
MAX_TEXT = 100_000
NO_CHOICE = {"model": "Random weights", "dataset": "None"}
"""What an optional reference is called while it refers to nothing; one of another noun
is shown only where it is needed."""
CHOICES = {
    "model": "The model's own",
    "chatml": "ChatML",
    "llama3": "Llama 3",
    "plain": "Plain",
    "custom": "One of your own",
    "assistant": "What the assistant says",
    "all": "Everything",
    "full": "All weights",
    "lora": "LoRA",
    "qlora": "QLoRA, over 4-bit weights",
    "drop": "Leave them out",
    "truncate": "Cut them off",
    "refuse": "Refuse to start",
    "best": "Best evaluation",
    "last": "Last step",
    "loss": "Loss",
    "exact_match": "Exact answers",
    "rouge_l": "ROUGE-L",
    "accuracy": "Accuracy",
    "f1": "F1",
    "margin": "Margin",
    "sigmoid": "Sigmoid (DPO)",
    "ipo": "IPO",
    "hinge": "Hinge",
    "robust": "Robust",
    "sigmoid_norm": "Sigmoid per token",
    "apo_zero": "APO-zero",
    "rloo": "RLOO",
    "grpo": "GRPO",
    "bnpo": "BNPO, by batch",
    "dr_grpo": "Dr. GRPO, by the longest length",
    "dapo": "DAPO, by step",
    "group": "By prompt",
    "batch": "By step",
    "reward": "Reward",
    "votes": "Agreement with votes",
}
"""What choices are called whose value alone says too little."""


class Switch(forms.CheckboxInput):
    """A checkbox that also says when it is off: what is not sent keeps its default."""

    def render(self, name: str, *args: Any, **kwargs: Any) -> SafeString:
        """Put a hidden `false` before the box; a ticked box comes later, and counts."""
        box = super().render(name, *args, **kwargs)
        return format_html('<input type="hidden" name="{}" value="false">{}', name, box)


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


def without_none(annotation: Any) -> tuple[Any, bool]:
    """`int | None` → (int, True)."""
    if get_origin(annotation) in {Union, type(int | None)}:
        kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
        return kinds[0], len(kinds) < len(get_args(annotation))
    return annotation, False


def form_field(project: Project, name: str, field: FieldInfo) -> forms.Field:
    """Return the form field of one setting."""
    noun = extra_of(field).get("reference")
    return (
        reference_field(project, name, field, noun)
        if noun
        else plain_field(name, field)
    )


def reference_field(
    project: Project, name: str, field: FieldInfo, noun: str
) -> forms.Field:
    """Return the field of a setting that refers to one or several objects."""
    kind, is_optional = without_none(field.annotation)
    is_many = get_origin(kind) is tuple
    # Of the datasets to learn from the form itself says which do not suit, and why.
    is_judged = is_many and field.is_required()
    kinds = () if is_judged else extra_of(field).get("kinds", ())
    choices = choices_of(project, noun, kinds=kinds)
    common: dict[str, Any] = {
        "label": label_of(name, field),
        "help_text": field.description or "",
        "error_messages": {
            "invalid_choice": f"This project has no {noun} %(value)s to choose here."
        },
    }
    if is_many:
        return forms.MultipleChoiceField(
            choices=choices,
            initial=[value for value, _ in choices[:1]] if is_judged else [],
            required=is_judged,
            widget=forms.CheckboxSelectMultiple,
            **common,
        )
    may_be_empty = is_optional and noun in NO_CHOICE
    if may_be_empty:
        choices = [("", NO_CHOICE[noun]), *choices]
    return forms.ChoiceField(
        choices=choices or [("", f"No {noun} yet")],
        initial=choices[0][0] if choices else "",
        required=not may_be_empty,
        **common,
    )


def plain_field(name: str, field: FieldInfo) -> forms.Field:
    """Return the field of a setting that is a number, a text, a choice or a switch."""
    kind, is_optional = without_none(field.annotation)
    common: dict[str, Any] = {
        "label": label_of(name, field),
        "help_text": field.description or "",
        "required": not is_optional,
    }
    if not field.is_required():
        common["initial"] = typed(shown(field.get_default()))
    bounds = bounds_of(field)
    if get_origin(kind) is Literal:
        choices = [(value, CHOICES.get(value, value)) for value in get_args(kind)]
        return forms.ChoiceField(choices=choices, **common)
    if kind is bool:
        return forms.BooleanField(widget=Switch, **common | {"required": False})
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
    if extra_of(field).get("widget") == "template":
        attrs = {"rows": 14, "spellcheck": "false", "class": "mono"}
        common |= {"widget": forms.Textarea(attrs=attrs), "strip": False}
    return forms.CharField(max_length=bounds.get("max_length", MAX_TEXT), **common)


def shown(value: Any) -> Any:
    """Return a setting's value as its form field shows it."""
    if isinstance(value, list | tuple):
        return "\n".join(line_of(item) for item in value)
    return value


def line_of(item: Any) -> str:
    """Return one of several values as a line; a reward function as one may type it."""
    is_function = isinstance(item, dict) and item.get("name") in CLASSES
    return str(read_function(item)) if is_function else str(item)


def typed(value: Any) -> Any:
    """Return a value as a person would type it: 2e-05 is 0.00002."""
    is_tiny = isinstance(value, float) and 0 < abs(value) < 1e-4
    return f"{value:.12f}".rstrip("0") if is_tiny and abs(value) > 1e-9 else value


def first_shown(value: Any, field: FieldInfo) -> Any:
    """Return a value as `initial` of its form field: ids stay a list."""
    return value if extra_of(field).get("reference") else typed(shown(value))


def from_form(value: Any, field: FieldInfo) -> Any:
    """Return what a form field holds as the spec takes it."""
    kind, _ = without_none(field.annotation)
    if extra_of(field).get("reference"):
        return value if get_origin(kind) is tuple else value or None
    if get_origin(kind) is tuple:
        lines = with_plain_ends(str(value)).removesuffix("\n")
        return lines.split("\n") if lines else list(field.get_default())
    return with_plain_ends(value) if isinstance(value, str) else value


def with_plain_ends(text: str) -> str:
    """Return a text with the line ends it had before a browser sent it."""
    return text.replace("\r\n", "\n")


def plain(message: str) -> str:
    """Return pydantic's message as a sentence for a person."""
    text = message.removeprefix("Value error, ")
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?")) else ".")


def choices_of(
    project: Project, noun: str, *, kinds: Sequence[str] = ()
) -> list[tuple[str, str]]:
    """Return the objects of a project a spec may refer to, newest first.

    What is still being made may be chosen too: the run waits for it. `kinds` are
    those of datasets that fit; empty is all.
    """
    rows: list[Any]
    if noun == "dataset":
        versions = DatasetVersion.objects.filter(dataset__project=project)
        if kinds:
            versions = versions.filter(dataset__kind__in=kinds)
        versions = versions.select_related("dataset", "run")
        rows = list(versions.order_by("-pk")[:MAX_CHOICES])
    else:
        model = {"tokenizer": Tokenizer, "model": LanguageModel}[noun]
        found = model._default_manager.filter(project=project)  # noqa: SLF001
        if kinds:
            # A stage is not known before an import has ended; what it is, is.
            found = found.filter(
                Q(stage__in=kinds) | Q(recognised__head="sequence-classification")
            )
        rows = list(found.select_related("run").order_by("-pk")[:MAX_CHOICES])
    usable = [row for row in rows if row.is_ready or is_being_made(row.run)]
    usable.sort(key=lambda row: not row.is_ready)
    return [
        (str(row.pk), str(row) if row.is_ready else f"{row} (being prepared)")
        for row in usable
    ]


def is_being_made(run: Run | None) -> bool:
    """Whether an object's run may still finish it."""
    return run is not None and not run.is_finished
