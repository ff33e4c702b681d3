"""Forms about campaigns: what they ask, of whom, and where answers come from."""

from collections.abc import Sequence
from typing import Any, cast

from django import forms
from runspec.generate import MAX_ANSWERERS, MAX_PROMPTS
from runspec.serving import Sampling

from trivium.accounts.models import User
from trivium.campaigns import guidelines
from trivium.campaigns.models import Campaign
from trivium.campaigns.questions import MAX_REASONS, REASONS, Questions
from trivium.comparisons.models import Vote
from trivium.datasets.models import DatasetVersion
from trivium.projects.models import Membership, Project, Role
from trivium.runs.fields import choices_of, with_plain_ends

MAX_GUIDELINES = 50_000
MAX_TYPED = 2_000_000
MAX_LINES = 10_000
MAX_CATEGORIES = 30
MIN_RANDOM_PERCENT = 20
PROMPT_KINDS = {
    "prompts": "Prompts",
    "conversations": "Conversations",
    "preferences": "Pairs of answers, no models needed",
}
ASKED = (("off", "Not asked"), ("optional", "Optional"), ("required", "Required"))
PERCENTS = ("shared", "repeat", "gold", "random")


def lines_of(text: str) -> list[str]:
    """Return the lines that say something, each once."""
    lines = (line.strip() for line in with_plain_ends(text).split("\n"))
    return list(dict.fromkeys(filter(None, lines)))


def percent_field(initial: int, label: str, text: str, least: int = 0) -> forms.Field:
    """Return a field of a share, typed in per cent."""
    return forms.IntegerField(
        min_value=least, max_value=100, initial=initial, label=label, help_text=text
    )


class OfProject(forms.Form):
    """A form whose choices are a project's."""

    def __init__(self, *args: Any, project: Project, **kw: Any) -> None:
        """Keep the project."""
        self.project = project
        super().__init__(*args, **kw)


class SettingsForm(OfProject):
    """All of a campaign that can be changed later."""

    name = forms.CharField(
        max_length=200,
        widget=forms.TextInput({"dir": "auto", "autocomplete": "off"}),
        help_text="Labelers see it too, so it should not name a model.",
    )
    axes = forms.ChoiceField(
        choices=ASKED,
        initial="off",
        label="Helpful, harmless, honest",
        help_text="A, B or tie on each, beside the overall choice.",
    )
    strength = forms.ChoiceField(
        choices=ASKED,
        initial="optional",
        label="How much better",
        help_text="Slightly, clearly, much. Asked only where one is better.",
    )
    acceptable = forms.ChoiceField(
        choices=ASKED,
        initial="off",
        label="Acceptable?",
        help_text="Of each answer by itself: would it do?",
    )
    reasons = forms.ChoiceField(
        choices=ASKED, initial="off", help_text="Tags to tick that say why."
    )
    reason_tags = forms.CharField(
        required=False,
        max_length=4_000,
        initial="\n".join(REASONS),
        widget=forms.Textarea({"rows": 7, "dir": "auto"}),
        help_text=f"One a line, at most {MAX_REASONS}.",
    )
    note = forms.ChoiceField(
        choices=ASKED, initial="off", help_text="A sentence in the labeler's words."
    )
    overlap = forms.IntegerField(
        min_value=1,
        max_value=20,
        initial=1,
        label="Labelers for each comparison",
        help_text="One buys the most different comparisons for the same work.",
    )
    shared_percent = percent_field(
        20,
        "Shared comparisons",
        "This share goes to more labelers: only what several judged tells how far "
        "they agree.",
    )
    shared_overlap = forms.IntegerField(
        min_value=1, max_value=20, initial=3, label="Labelers for each shared one"
    )
    repeat_percent = percent_field(
        3,
        "Repeats",
        "Share of tasks that come back later with the sides swapped. They measure how "
        "far people agree with themselves, and never count as votes.",
    )
    gold_percent = percent_field(
        5,
        "Gold items",
        "Share of tasks whose right choice is known. Mark some as gold once there are "
        "comparisons everyone agrees on.",
    )
    policy = forms.ChoiceField(
        choices=Campaign.Policy.choices,
        initial=Campaign.Policy.RANDOM,
        label="Which comes next",
        help_text="Only what chance picked is a fair sample; the others spend votes "
        "where they are expected to tell most.",
    )
    random_percent = percent_field(
        30,
        "Drawn by chance all the same",
        "At least a fifth, whatever comes next: it keeps figures comparable.",
        MIN_RANDOM_PERCENT,
    )
    target_votes = forms.IntegerField(
        min_value=1,
        max_value=100_000_000,
        required=False,
        label="Pause at so many votes",
        help_text="Empty: it goes on until every comparison has its votes.",
    )
    who = forms.ChoiceField(
        choices=[
            ("everyone", "Everyone with the labeler role"),
            ("chosen", "Only those chosen below"),
        ],
        initial="everyone",
        label="Who labels",
    )
    labelers = forms.MultipleChoiceField(
        required=False,
        widget=forms.CheckboxSelectMultiple,
        error_messages={"invalid_choice": "One of them is no labeler of this project."},
    )
    categories = forms.CharField(
        required=False,
        max_length=3_000,
        label="Categories of harmful content",
        widget=forms.Textarea({"rows": 3, "dir": "auto"}),
        help_text="As the prompts name them, one a line. Labelers are shown only "
        "those they opted in to, blurred until they look.",
    )
    harm_cap = forms.IntegerField(
        min_value=1,
        max_value=1_000,
        initial=40,
        label="Most harmful ones an hour",
        help_text="For each person.",
    )

    def __init__(self, *args: Any, campaign: Campaign | None = None, **kw: Any) -> None:
        """Begin with the campaign's settings, if there is one."""
        if campaign is not None:
            kw["initial"] = values_of(campaign)
        super().__init__(*args, **kw)
        self.people = people_of(self.project)
        field = cast("forms.MultipleChoiceField", self.fields["labelers"])
        field.choices = [(str(one.pk), str(one)) for one in self.people]

    def clean_reason_tags(self) -> tuple[str, ...]:
        """Return the tags, each once."""
        tags = lines_of(self.cleaned_data["reason_tags"])
        if len(tags) > MAX_REASONS:
            raise forms.ValidationError(
                f"At most {MAX_REASONS} reasons can be offered."
            )
        return tuple(tag[:80] for tag in tags)

    def clean_categories(self) -> list[str]:
        """Return the categories, each once."""
        found = lines_of(self.cleaned_data["categories"])
        if len(found) > MAX_CATEGORIES:
            raise forms.ValidationError(f"At most {MAX_CATEGORIES} categories fit.")
        if any(len(one) > 80 for one in found):
            raise forms.ValidationError("A category has at most 80 characters.")
        return found

    def clean(self) -> dict[str, Any]:
        """Refuse a choice of nobody, and reasons without any to choose."""
        given: dict[str, Any] = super().clean() or self.cleaned_data
        if given.get("who") == "chosen" and not given.get("labelers"):
            self.add_error("labelers", "Choose at least one labeler.")
        if given.get("reasons") != "off" and given.get("reason_tags") == ():
            self.add_error("reason_tags", "Offer at least one reason.")
        return given

    def settings(self) -> dict[str, Any]:
        """Return the fields of `Campaign` but its name."""
        given = self.cleaned_data
        names = (
            "overlap",
            "shared_overlap",
            "policy",
            "target_votes",
            "categories",
            "harm_cap",
        )
        return {name: given[name] for name in names} | {
            f"{name}_share": given[f"{name}_percent"] / 100 for name in PERCENTS
        }

    def questions(self) -> Questions:
        """Return what is asked beside the choice."""
        names = Questions.model_fields
        return Questions(**{name: self.cleaned_data[name] for name in names})

    def invited(self) -> list[User] | None:
        """Return who alone may label; None where every labeler may."""
        if self.cleaned_data["who"] == "everyone":
            return None
        chosen = set(self.cleaned_data["labelers"])
        return [one for one in self.people if str(one.pk) in chosen]


def people_of(project: Project) -> list[User]:
    """Return the members who may label, by name."""
    found = Membership.objects.filter(project=project, role__gte=Role.LABELER)
    return [one.user for one in found.select_related("user").order_by("user__username")]


def values_of(campaign: Campaign) -> dict[str, Any]:
    """Return a campaign's settings as its form shows them."""
    asked = Questions.model_validate(campaign.questions)
    invited = campaign.labelers.filter(is_invited=True)
    values = {name: getattr(campaign, name) for name in SettingsForm.base_fields
              if hasattr(campaign, name) and name != "labelers"}  # fmt: skip
    return (
        values
        | asked.model_dump()
        | {
            f"{name}_percent": round(100 * getattr(campaign, f"{name}_share"))
            for name in PERCENTS
        }
        | {
            "reason_tags": "\n".join(asked.reason_tags),
            "categories": "\n".join(campaign.categories),
            "who": "chosen" if campaign.is_restricted else "everyone",
            "labelers": [str(pk) for pk in invited.values_list("user", flat=True)],
        }
    )


class PromptsForm(OfProject):
    """Where prompts come from: a dataset, or what is typed here."""

    source = forms.ChoiceField(
        choices=[("dataset", "A dataset"), ("typed", "Typed here")], initial="dataset"
    )
    prompts = forms.ChoiceField(
        required=False,
        label="Dataset",
        error_messages={"invalid_choice": "This project has no such dataset."},
    )
    max_prompts = forms.IntegerField(
        min_value=0,
        max_value=MAX_PROMPTS,
        initial=0,
        label="Most prompts",
        help_text="The first so many rows; 0 takes all.",
    )
    typed = forms.CharField(
        required=False,
        max_length=MAX_TYPED,
        label="Prompts",
        widget=forms.Textarea(
            {"rows": 6, "dir": "auto", "placeholder": "Why is the sky blue?"}
        ),
        help_text="One a line. They become a dataset of the project.",
    )

    def __init__(self, *args: Any, **kw: Any) -> None:
        """Offer the datasets that can be asked."""
        super().__init__(*args, **kw)
        groups = prompt_groups(self.project)
        field = cast("forms.ChoiceField", self.fields["prompts"])
        field.choices = [("", "Choose…"), *groups] if groups else [("", "None yet")]
        if groups:
            self.fields["prompts"].initial = groups[0][1][0][0]
        else:
            self.fields["source"].initial = "typed"

    def clean(self) -> dict[str, Any]:
        """Return the version chosen, or the prompts typed."""
        given: dict[str, Any] = super().clean() or self.cleaned_data
        given["version"], given["lines"] = None, []
        if given.get("source") == "dataset":
            chosen = given.get("prompts")
            if chosen:
                given["version"] = DatasetVersion.objects.select_related("dataset").get(
                    pk=chosen
                )
            elif "prompts" not in self.errors:
                self.add_error("prompts", "Choose a dataset, or type prompts.")
        elif given.get("source") == "typed" and "typed" not in self.errors:
            given["lines"] = lines_of(given.get("typed", ""))
            if not given["lines"]:
                self.add_error("typed", "Type at least one prompt.")
            elif len(given["lines"]) > MAX_LINES:
                self.add_error(
                    "typed",
                    f"{MAX_LINES:,} prompts can be typed; bring more in as a dataset.",
                )
        return given

    @property
    def has_pairs(self) -> bool:
        """Whether the dataset chosen brings both answers with it."""
        version = self.cleaned_data.get("version")
        return version is not None and version.dataset.kind == "preferences"


def prompt_groups(project: Project) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the datasets that can be asked, by kind of rows."""
    groups = [
        (title, choices_of(project, "dataset", kinds=(kind,)))
        for kind, title in PROMPT_KINDS.items()
    ]
    return [(title, found) for title, found in groups if found]


class NewCampaignForm(PromptsForm, SettingsForm):
    """A campaign from nothing."""

    guidelines = forms.CharField(
        required=False,
        max_length=MAX_GUIDELINES,
        initial=guidelines.DEFAULT,
        widget=forms.Textarea({"rows": 16, "dir": "auto"}),
        help_text="Markdown. They stand beside every task; each change makes a "
        "version, and each vote names the one it was cast under.",
    )


class AnswererForm(forms.Form):
    """One who answers: a model and how it chooses its words."""

    choice = forms.CharField(required=False, max_length=400, label="Model")
    temperature = forms.FloatField(
        min_value=0, max_value=2, initial=0.7, widget=forms.NumberInput({"step": 0.05})
    )
    max_tokens = forms.IntegerField(
        min_value=1, max_value=32_768, initial=512, label="Most tokens"
    )
    seed = forms.IntegerField(
        min_value=0, max_value=2**53, required=False, help_text="Empty draws one."
    )

    def sampling(self) -> Sampling:
        """Return how it chooses its words."""
        given = self.cleaned_data
        return Sampling(**{name: given[name] for name in list(self.fields)[1:]})


def answerer_forms(source: Any = None) -> list[AnswererForm]:
    """Return a form for each place an answerer may take."""
    return [AnswererForm(source, prefix=str(at)) for at in range(MAX_ANSWERERS)]


def answerers_of(
    places: Sequence[AnswererForm], *, has_pairs: bool
) -> tuple[list[tuple[str, Sampling]], str]:
    """Return who answers, or what is wrong with the choice."""
    chosen = [one for one in places if one.is_valid() and one.cleaned_data["choice"]]
    if any(one.errors for one in places):
        return [], "Look at the settings marked below."
    found = [(one.cleaned_data["choice"], one.sampling()) for one in chosen]
    if has_pairs:
        return found, (
            "This dataset brings both answers with it, so no model answers."
            if found
            else ""
        )
    if len(found) < 2:
        return found, "Choose at least two; one answer alone cannot be compared."
    if len({(choice, said.model_dump_json()) for choice, said in found}) < len(found):
        return found, (
            "The same model stands here twice with the same settings. Change the "
            "temperature or the seed of one."
        )
    return found, ""


class GuidelinesForm(forms.Form):
    """A new version of the guidelines."""

    text = NewCampaignForm.base_fields["guidelines"]


class AdjudicationForm(forms.Form):
    """What a second look decided; an empty choice takes it back."""

    choice = forms.ChoiceField(choices=Vote.Choice.choices, required=False)
    note = forms.CharField(
        required=False,
        max_length=4_000,
        widget=forms.Textarea({"rows": 2, "dir": "auto"}),
    )


class GoldForm(forms.Form):
    """The right choice of a gold item; empty: it is none."""

    choice = forms.ChoiceField(choices=Vote.Choice.choices, required=False)
