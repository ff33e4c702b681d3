"""The form of a new evaluation."""

from typing import Any, cast

from django import forms
from runspec import EvaluateSpec
from runspec.evaluate import EVALUATED, MAX_DATASETS, MAX_ROWS
from runspec.serving import Sampling

from trivium.evaluations.lineage import MOST_MODELS
from trivium.playground.views_compare import groups_of
from trivium.projects.models import Project
from trivium.runs.fields import choices_of
from trivium.serving.choices import ModelChoice

GONE = {"invalid_choice": "That model is not there any more."}
PLACES = ("First", "Second", "Third", "Fourth")
MODELS = tuple(f"model_{place + 1}" for place in range(MOST_MODELS))


class EvaluationForm(forms.Form):
    """Which models, measured on what."""

    name = forms.CharField(
        max_length=200,
        required=False,
        widget=forms.TextInput({"dir": "auto", "autocomplete": "off"}),
        help_text="Empty: the names of its models.",
    )
    baseline = forms.ChoiceField(
        label="Compared with",
        choices=[(str(at + 1), f"{word} model") for at, word in enumerate(PLACES)],
        help_text="Differences and win rates are against this one.",
    )
    datasets = forms.MultipleChoiceField(
        label="Datasets",
        widget=forms.CheckboxSelectMultiple,
        help_text="Prompts are answered side by side; instructions and conversations "
        "also say which answers are right; text gives a loss; preferences tell how "
        "well a reward model judges.",
        error_messages={
            "invalid_choice": "This project has no dataset %(value)s to measure on.",
            "required": "Choose at least one dataset.",
        },
    )
    truth = forms.ChoiceField(
        label="Known truth",
        choices=[
            ("none", "Nothing is known"),
            ("tinyworld", "Tiny World"),
        ],
        help_text="Of Tiny World each answer tells whether it is right, honest and "
        "harmless.",
    )
    judge = forms.ChoiceField(
        required=False,
        label="Judge",
        help_text="A reward model whose scores decide which of two answers wins. It "
        "favours models that were trained to please it.",
        error_messages=GONE,
    )
    rows = forms.ChoiceField(
        label="Which rows",
        choices=[
            ("auto", "Held-out rows where there are any, all prompts"),
            ("validation", "Validation rows alone"),
            ("all", "All rows"),
        ],
    )
    max_rows = forms.IntegerField(
        min_value=1, max_value=MAX_ROWS, initial=200, label="Most rows of each dataset"
    )
    max_tokens = forms.IntegerField(
        min_value=1, max_value=32_768, initial=64, label="Most tokens of an answer"
    )
    temperature = forms.FloatField(
        min_value=0,
        max_value=2,
        initial=0,
        widget=forms.NumberInput({"step": 0.05}),
        help_text="0 takes the likeliest word each time.",
    )
    seed = forms.IntegerField(min_value=0, max_value=2**53, initial=0)

    def __init__(
        self, *args: Any, project: Project, offered: list[ModelChoice], **kw: Any
    ) -> None:
        """Offer the project's models, checkpoints and endpoints, and its datasets."""
        super().__init__(*args, **kw)
        groups = [
            (group, [(one.id, one.title[:70]) for one in found])
            for group, found in groups_of(offered)
        ]
        for at, name in enumerate(MODELS):
            self.fields[name] = forms.ChoiceField(
                label=f"{PLACES[at]} model",
                choices=[("", "None" if at else "Choose…"), *groups],
                required=not at,
                error_messages=GONE,
            )
        judges = [one for one in offered if one.has_score_head]
        field = cast("forms.ChoiceField", self.fields["judge"])
        field.choices = [("", "Nobody"), *((one.id, one.title[:70]) for one in judges)]
        datasets = cast("forms.MultipleChoiceField", self.fields["datasets"])
        datasets.choices = choices_of(project, "dataset", kinds=EVALUATED)

    @property
    def chosen_models(self) -> list[Any]:
        """Return the fields of models, in their order."""
        return [self[name] for name in MODELS]

    def clean_datasets(self) -> list[str]:
        """Refuse more datasets than an evaluation takes."""
        found: list[str] = self.cleaned_data["datasets"]
        if len(found) > MAX_DATASETS:
            raise forms.ValidationError(f"At most {MAX_DATASETS} datasets fit.")
        return found

    def clean(self) -> dict[str, Any]:
        """Refuse a model that stands there twice, and a baseline that is none."""
        given: dict[str, Any] = super().clean() or self.cleaned_data
        seen: set[str] = set()
        for name in MODELS:
            chosen = given.get(name)
            if chosen and chosen in seen:
                self.add_error(name, "It stands there already; choose another one.")
            seen.add(chosen or "")
        baseline = f"model_{given.get('baseline', '1')}"
        if baseline in MODELS and not given.get(baseline) and MODELS[0] in given:
            self.add_error("baseline", "No model stands in that place.")
        return given

    def spec(self) -> EvaluateSpec:
        """Return what the run shall do."""
        given = self.cleaned_data
        return EvaluateSpec(
            models=tuple(given[name] for name in MODELS if given[name]),
            datasets=tuple(given["datasets"]),
            baseline=given[f"model_{given['baseline']}"],
            truth=given["truth"],
            judge=given["judge"] or None,
            rows=given["rows"],
            max_rows=given["max_rows"],
            sampling=Sampling(
                temperature=given["temperature"], max_tokens=given["max_tokens"]
            ),
            seed=given["seed"],
        )
