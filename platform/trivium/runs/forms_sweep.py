"""The form of a sweep: up to four settings, and what is tried of each."""

from typing import Any, NamedTuple

from django import forms

from trivium.runs.differences import value_in_words
from trivium.runs.errors import SubmitError
from trivium.runs.models import Run, Sweep
from trivium.runs.sweep_plan import (
    MAX_MEMBERS,
    Axis,
    Scale,
    parse_axis,
    sweepable_settings,
)

NUM_AXES = 4
FIRST_SETTINGS = ("learning_rate", "vocabulary_size")
"""What a sweep most often varies: chosen to begin with."""
MAX_VALUES_TEXT = 2_000
SCALES: tuple[tuple[Scale, str], ...] = (
    ("auto", "as suits it"),
    ("log", "logarithmic"),
    ("linear", "even"),
)


class AxisFields(NamedTuple):
    """The fields of one axis, side by side."""

    number: int
    setting: forms.BoundField
    values: forms.BoundField
    scale: forms.BoundField


class SweepForm(forms.Form):
    """What to try; `cleaned_data["axes"]` are the axes."""

    method = forms.ChoiceField(
        choices=Sweep.Method.choices,
        initial=Sweep.Method.GRID,
        help_text="A grid takes every combination; random draws some of them.",
    )
    number = forms.IntegerField(
        label="Runs to draw",
        min_value=1,
        max_value=MAX_MEMBERS,
        initial=10,
        required=False,
        help_text="Of a random sweep.",
    )
    seed = forms.IntegerField(
        min_value=0,
        max_value=2**31 - 1,
        initial=0,
        required=False,
        help_text="Of the draw: the same seed draws the same runs.",
    )
    name = forms.CharField(
        required=False, max_length=200, help_text="Empty: one is made up."
    )

    def __init__(self, run: Run, *args: Any, **kwargs: Any) -> None:
        """Offer the settings of the run, each with the value it has there."""
        super().__init__(*args, **kwargs)
        known = sweepable_settings(run.kind)
        choices = [("", "—")] + [
            (name, f"{setting.label} (now {value_in_words(run.spec.get(name))})")
            for name, setting in known.items()
        ]
        first = next((name for name in FIRST_SETTINGS if name in known), "")
        for number in range(1, NUM_AXES + 1):
            self.fields[f"setting_{number}"] = forms.ChoiceField(
                label="Setting",
                choices=choices,
                required=False,
                initial=first if number == 1 else "",
            )
            self.fields[f"values_{number}"] = forms.CharField(
                label="Values", required=False, max_length=MAX_VALUES_TEXT
            )
            self.fields[f"scale_{number}"] = forms.ChoiceField(
                label="Spread", choices=SCALES, required=False, initial="auto"
            )
        if first and "rate" in first:
            place = {"placeholder": "1e-4, 3e-4, 1e-3  or  1e-4..1e-2"}
            self.fields["values_1"].widget.attrs |= place

    @property
    def axes(self) -> list[AxisFields]:
        """The rows of the form."""
        return [
            AxisFields(
                number,
                self[f"setting_{number}"],
                self[f"values_{number}"],
                self[f"scale_{number}"],
            )
            for number in range(1, NUM_AXES + 1)
        ]

    def clean(self) -> dict[str, Any]:
        """Read the axes; a row without a setting or without values is left out."""
        cleaned = super().clean() or self.cleaned_data
        axes: list[Axis] = []
        for number in range(1, NUM_AXES + 1):
            setting = cleaned.get(f"setting_{number}") or ""
            text = (cleaned.get(f"values_{number}") or "").strip()
            if not setting and not text:
                continue
            if not setting:
                self.add_error(f"setting_{number}", "Choose what these values are of.")
            elif text:
                scale: Scale = cleaned.get(f"scale_{number}") or "auto"
                try:
                    axes.append(parse_axis(setting, text, scale=scale))
                except SubmitError as error:
                    self.add_error(f"values_{number}", f"{error}.")
        cleaned["axes"] = axes
        return cleaned

    @property
    def plan(self) -> dict[str, Any]:
        """What the services take of it."""
        return {
            "axes": self.cleaned_data["axes"],
            "method": self.cleaned_data["method"],
            "number": self.cleaned_data.get("number") or 1,
            "seed": self.cleaned_data.get("seed") or 0,
        }
