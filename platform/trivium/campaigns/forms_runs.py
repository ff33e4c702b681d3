"""Forms of the runs that read a campaign: a judge, an export."""

from typing import Any, cast

from django import forms
from runspec.export import ExportSpec
from runspec.judge import RUBRIC, JudgeSpec
from runspec.serving import Sampling

from trivium.campaigns.models import Campaign
from trivium.runs.fields import label_of, plain_field, with_plain_ends
from trivium.serving.choices import ModelChoice

EXPORTED = (
    "min_votes",
    "min_share",
    "uses_adjudicated",
    "validation_fraction",
    "names_labelers",
)


class JudgeForm(forms.Form):
    """A model that shall judge."""

    judge = forms.ChoiceField(
        label="Who judges",
        help_text="Better a model that answers in this campaign nowhere: judges "
        "favour what sounds like themselves.",
        error_messages={"invalid_choice": "That model is not there any more."},
    )
    rubric = forms.CharField(
        max_length=20_000,
        initial=RUBRIC,
        widget=forms.Textarea({"rows": 5, "dir": "auto"}),
        help_text="What it is told to judge by; kept with every verdict.",
    )
    temperature = forms.FloatField(
        min_value=0, max_value=2, initial=0, widget=forms.NumberInput({"step": 0.05})
    )
    max_tokens = forms.IntegerField(
        min_value=1, max_value=32_768, initial=512, label="Most tokens"
    )
    seed = forms.IntegerField(
        min_value=0, max_value=2**53, required=False, help_text="Empty draws one."
    )

    def __init__(
        self, *args: Any, offered: list[tuple[str, list[ModelChoice]]], **kw: Any
    ) -> None:
        """Offer models, checkpoints and endpoints."""
        super().__init__(*args, **kw)
        field = cast("forms.ChoiceField", self.fields["judge"])
        field.choices = [("", "Choose…")] + [
            (group, [(one.id, one.title[:70]) for one in found])
            for group, found in offered
        ]

    def spec(self, campaign: Campaign) -> JudgeSpec:
        """Return what the run shall do."""
        given = self.cleaned_data
        return JudgeSpec(
            campaign=str(campaign.pk),
            judge=given["judge"],
            rubric=with_plain_ends(given["rubric"]),
            sampling=Sampling(
                temperature=given["temperature"],
                max_tokens=given["max_tokens"],
                seed=given["seed"],
            ),
        )


class ExportForm(forms.Form):
    """What of a campaign becomes a dataset; fields are those of the spec."""

    name = forms.CharField(
        max_length=200,
        label="Dataset",
        widget=forms.TextInput({"dir": "auto"}),
        help_text="A new name makes a dataset; of one that exists, a new version.",
    )

    def __init__(self, *args: Any, campaign: Campaign, **kwargs: Any) -> None:
        """Read the fields off the spec."""
        super().__init__(*args, **kwargs)
        self.fields["name"].initial = f"{campaign.name[:180]} preferences"
        for name in EXPORTED:
            setting = ExportSpec.model_fields[name]
            self.fields[name] = plain_field(name, setting)
            self.fields[name].label = label_of(name, setting)

    def spec(self, campaign: Campaign) -> ExportSpec:
        """Return what the run shall do."""
        return ExportSpec(
            campaign=str(campaign.pk),
            source_name=campaign.name,
            **{name: self.cleaned_data[name] for name in EXPORTED},
        )
