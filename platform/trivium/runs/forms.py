"""Forms of runs: the settings of a spec that apply, and what fits them."""

import re
from typing import Any, NamedTuple, get_origin

from django import forms
from django.http import QueryDict
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from runspec import SPECS, Spec, parse_spec
from runspec.sft import KINDS_OF, METRICS_OF

from trivium.datasets.models import DatasetVersion
from trivium.models.models import LanguageModel
from trivium.projects.models import Project
from trivium.runs.applying import (
    CONTROLS,
    STARTS_FROM,
    decided,
    settings_left_out,
    why_not_from,
)
from trivium.runs.fields import (
    CHOICES,
    choices_of,
    extra_of,
    first_shown,
    form_field,
    from_form,
    plain,
    shown,
)
from trivium.runs.models import Run

OUTPUT_NOUNS = {
    "ingest": "dataset",
    "tokenizer": "tokenizer",
    "pretrain": "model",
    "sft": "model",
    "dpo": "model",
    "reward": "model",
    "rlhf": "model",
    "import": "model",
}
PREVIEWED = ("custom_template", "loss_on")
"""Settings that change the sample beside the form."""
DRAWN_APART = {"family", "datasets"}
"""Settings a page draws in a way of their own."""
NO_TEMPLATE = (
    "A template of your own is chosen, but none is written; write one, or choose "
    "another chat template."
)


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


class Ingredient(NamedTuple):
    """A dataset that may be mixed in, with how often its rows are drawn."""

    version: DatasetVersion
    is_chosen: bool
    weight: forms.BoundField


class SpecForm(forms.Form):
    """All settings of one kind of run that apply; `cleaned_data["spec"]` is the spec.

    A setting that is not sent keeps its default. The model a run starts from decides
    some settings, and with them which datasets suit.
    """

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
        self.project = project
        self.model: type[Spec] = SPECS[kind]
        self.kind = kind
        self.fields["name"].label = f"Name of the {OUTPUT_NOUNS[kind]}"
        for name, field in self.settings().items():
            if name == "weights":  # each dataset gets a field for its own
                continue
            made = form_field(project, name, field)
            if name in (settings or {}):
                made.initial = first_shown((settings or {})[name], field)
            self.fields[name] = made
        if self.is_bound:
            self.data = with_defaults(self.data, self.defaults())
        self.start = self._start()
        self.decided = decided(kind, self.start)
        self.ingredients = self._ingredients((settings or {}).get("weights", ()))
        for name in settings_left_out(kind, self.value_of, self.decided):
            self.fields.pop(name, None)
        self._offer_metrics()
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

    def defaults(self) -> dict[str, Any]:
        """Return the defaults of the spec, as a form holds them; an id has none."""
        return {
            name: shown(field.get_default())
            for name, field in self.settings().items()
            if name in self.fields
            and not (field.is_required() or extra_of(field).get("reference"))
        }

    def settings_extra(self, name: str, key: str) -> Any:
        """Return what the spec notes beside a setting."""
        return extra_of(self.settings()[name]).get(key)

    def value_of(self, name: str) -> Any:
        """Return what a setting holds now: typed, or first shown."""
        if name not in self.fields:
            return ""
        field = self.fields[name]
        if self.is_bound:
            return field.widget.value_from_datadict(self.data, self.files, name)
        return self.get_initial_for_field(field, name)

    def _start(self) -> LanguageModel | None:
        """Return the model the run would go on from."""
        pk = str(self.value_of(STARTS_FROM.get(self.kind, "")) or "")
        if not (pk.isascii() and pk.isdecimal() and len(pk) < 19):
            return None
        models = LanguageModel.objects.filter(project=self.project)
        return models.select_related("tokenizer", "run").filter(pk=pk).first()

    @property
    def task(self) -> str:
        """What the model is to be taught; empty where no model is chosen."""
        return self.decided.get("task", "")

    def _ingredients(self, weights: Any) -> list[Ingredient]:
        """Give each dataset that suits the task a field for its weight.

        What was chosen and does not suit is no longer offered; the newest that does
        takes its place.
        """
        if "datasets" not in self.fields:
            return []
        kinds = KINDS_OF.get(self.task) or self.settings_extra("datasets", "kinds")
        suiting = [pk for pk, _ in choices_of(self.project, "dataset", kinds=kinds)]
        field = self.fields["datasets"]
        chosen = [str(pk) for pk in self.value_of("datasets") or ()]
        if not self.is_bound:
            kept = [pk for pk in chosen if pk in suiting] or suiting[:1]
            shares = dict(zip(chosen, weights, strict=False))
            field.initial = chosen = kept
        else:
            shares = {}
        found = DatasetVersion.objects.select_related("dataset").in_bulk(
            [int(pk) for pk in suiting]
        )
        ingredients = []
        for pk in suiting:
            name = f"weight-{pk}"
            self.fields[name] = forms.FloatField(
                required=False,
                min_value=1e-6,
                max_value=1e6,
                initial=shares.get(pk),
                label=f"Weight of {found[int(pk)]}",
                widget=forms.NumberInput(attrs={"step": "any", "placeholder": "1"}),
            )
            ingredients.append(Ingredient(found[int(pk)], pk in chosen, self[name]))
        return ingredients

    def _offer_metrics(self) -> None:
        """Offer the numbers that are measured for the task, and no others."""
        field = self.fields.get("best_metric")
        if isinstance(field, forms.ChoiceField) and self.task:
            measured = METRICS_OF[self.task]
            field.choices = [(name, CHOICES.get(name, name)) for name in measured]

    def redraw_at(self, url: str) -> None:
        """Let the controls that decide on other settings ask for them anew."""
        for name in CONTROLS:
            if name in self.fields:
                self.fields[name].widget.attrs |= {"hx-post": url}
        for name in PREVIEWED:
            if name in self.fields:
                self.fields[name].widget.attrs |= {"data-previews": True}

    def groups(self, level: str) -> list[Group]:
        """Return the settings of one level, under the titles of their groups."""
        groups: dict[str, Group] = {}
        for name, field in self.settings().items():
            extra = extra_of(field)
            is_elsewhere = name not in self.fields or name in DRAWN_APART
            if is_elsewhere or extra.get("level", "basic") != level:
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

    def clean_datasets(self) -> list[str]:
        """Refuse datasets of which a model of this architecture learns nothing."""
        chosen: list[str] = self.cleaned_data["datasets"]
        kinds = KINDS_OF.get(self.task, ())
        for version in DatasetVersion.objects.filter(pk__in=chosen).select_related(
            "dataset"
        ):
            if kinds and version.dataset.kind not in kinds:
                raise forms.ValidationError(
                    f"{version} holds {version.dataset.kind} rows, but {self.start} "
                    f"is to learn {self.task} from {' or '.join(kinds)}; choose one of "
                    "those."
                )
        return chosen

    def clean(self) -> dict[str, Any]:
        """Build the spec; what it refuses is shown beside the field at fault."""
        cleaned = super().clean() or self.cleaned_data
        if why := why_not_from(self.kind, self.start):
            self.add_error(STARTS_FROM[self.kind], why)
        template = cleaned.get("custom_template")
        if template is not None and not template.strip():
            self.add_error("custom_template", NO_TEMPLATE)
        if self.errors:
            return cleaned
        values = self.decided | {
            name: from_form(cleaned[name], field)
            for name, field in self.settings().items()
            if name in cleaned
        }
        if "datasets" in values:
            values["weights"] = self.weights_of(values["datasets"])
        try:
            cleaned["spec"] = parse_spec({"kind": self.kind, **values})
        except ValidationError as error:
            for one in error.errors():
                self.add_error(self.field_of(one), plain(one["msg"]))
        return cleaned

    def weights_of(self, datasets: list[str]) -> list[float]:
        """Return a weight for each dataset, 1 where none was typed; or no weights."""
        typed = [self.cleaned_data.get(f"weight-{pk}") for pk in datasets]
        is_mixed = len(datasets) > 1 and any(weight is not None for weight in typed)
        return [1.0 if one is None else one for one in typed] if is_mixed else []

    def field_of(self, error: Any) -> str | None:
        """Return the field an error names, by place or by its first known word."""
        if error["loc"] and error["loc"][0] in self.fields:
            return str(error["loc"][0])
        words = re.findall(r"[a-z_0-9]+", error["msg"].lower())
        names = [word for word in words if word in self.settings()]
        return next((name for name in names if name in self.fields), None)


def with_defaults(data: Any, defaults: dict[str, Any]) -> QueryDict:
    """Return what was sent, completed by the defaults of what was not."""
    whole = QueryDict(mutable=True)
    for name in data:
        values = data.getlist(name) if hasattr(data, "getlist") else data[name]
        whole.setlist(name, values if isinstance(values, list) else [values])
    for name, value in defaults.items():
        if name not in whole and value is not None:
            whole[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return whole


def typed_settings(kind: str, data: QueryDict) -> dict[str, Any]:
    """Return what a form was sent, whole or not, as values to show first in another."""
    typed: dict[str, Any] = {}
    for name, field in SPECS[kind].model_fields.items():
        if name not in data:
            continue
        is_many = get_origin(field.annotation) is tuple and "reference" in extra_of(
            field
        )
        if is_many:
            typed[name] = data.getlist(name)
        elif field.annotation is bool:
            typed[name] = data[name] not in {"false", ""}
        else:
            typed[name] = data[name]
    if "datasets" in typed:
        typed["weights"] = [data.get(f"weight-{pk}", "") for pk in typed["datasets"]]
    return typed
