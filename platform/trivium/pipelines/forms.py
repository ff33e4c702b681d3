"""Forms of pipelines: the template, a description, settings of one step."""

from typing import Any, cast

from django import forms

from trivium.datasets.models import DatasetVersion
from trivium.datasets.services import SAMPLES
from trivium.pages.pipeline import IS_USABLE
from trivium.pipelines.three_stages import SIZES, Chosen
from trivium.pipelines.yaml_text import MAX_BYTES, read_yaml, write_yaml
from trivium.projects.models import Project
from trivium.runs.errors import SubmitError

CAMPAIGN = "campaign"
DATA = {
    "text": ("text",),
    "instructions": ("instructions", "conversations"),
    "preferences": ("preferences",),
    "prompts": ("prompts",),
}
"""Field → kinds of datasets it offers."""
MISSING = {
    "text": "Bring in a text to learn from first.",
    "instructions": "Bring in instructions to learn from first.",
}
ALIGN = (
    ("dpo", "DPO: straight from preferences"),
    ("rlhf", "Reward model and RLHF"),
    ("both", "Both, to compare them"),
)


class ThreeStagesForm(forms.Form):
    """What the template asks; everything else can be changed in the YAML it makes."""

    name = forms.CharField(
        max_length=190, initial="Three stages", widget=forms.TextInput({"dir": "auto"})
    )
    text = forms.ChoiceField(
        label="Text", help_text="What the base model is pretrained on."
    )
    instructions = forms.ChoiceField(
        help_text="What it learns to follow instructions from."
    )
    preferences = forms.ChoiceField(
        help_text="Choices people made before; or a campaign, in which they choose "
        "between answers of the new instruct model."
    )
    prompts = forms.ChoiceField(
        required=False, help_text="What the campaign asks, and what RLHF answers."
    )
    target_votes = forms.IntegerField(
        label="Votes", min_value=1, max_value=1_000_000, initial=60,
        help_text="At which the campaign ends and alignment begins.",
    )  # fmt: skip
    align = forms.ChoiceField(
        label="Alignment", choices=ALIGN, widget=forms.RadioSelect, initial="dpo"
    )
    size = forms.ChoiceField(
        choices=[(size, one.label) for size, one in SIZES.items()], initial="tiny"
    )
    steps = forms.IntegerField(
        label="Pretraining steps", min_value=50, max_value=10_000_000, initial=1000
    )
    evaluates = forms.BooleanField(
        label="Evaluate after each stage", required=False, initial=True
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        """Offer the data of a project, the newest first."""
        super().__init__(*args, **kwargs)
        versions = DatasetVersion.objects.filter(IS_USABLE, dataset__project=project)
        self.missing = []
        for name, kinds in DATA.items():
            found = versions.filter(dataset__kind__in=kinds).select_related("dataset")
            offered = [(str(one.pk), str(one)) for one in found.order_by("-pk")[:500]]
            if not offered and name in MISSING:
                self.missing.append(MISSING[name])
            self._offer(name, offered)
        self.has_prompts = bool(self.fields["prompts"].initial)
        self._names = dict(versions.values_list("pk", "dataset__name"))

    def clean(self) -> dict[str, Any]:
        """A campaign needs something to ask."""
        given = super().clean() or self.cleaned_data
        if given.get("preferences") == CAMPAIGN and not given.get("prompts"):
            choose = "Choose what the campaign asks."
            bring_in = "Bring in prompts first: a campaign has to ask something."
            self.add_error("prompts", choose if self.has_prompts else bring_in)
        return given

    def chosen(self) -> Chosen:
        """Return what was chosen."""
        given = self.cleaned_data
        is_campaign = given["preferences"] == CAMPAIGN
        named = {self._names.get(int(given[one])) for one in ("text", "instructions")}
        bundled = {SAMPLES["text"].name, SAMPLES["instructions"].name}
        return Chosen(
            name=given["name"],
            text=given["text"],
            instructions=given["instructions"],
            preferences="" if is_campaign else given["preferences"],
            prompts=given["prompts"],
            target_votes=given["target_votes"],
            align=given["align"],
            size=given["size"],
            steps=given["steps"],
            evaluates=given["evaluates"],
            knows_truth=named == bundled,
        )

    def _offer(self, name: str, offered: list[tuple[str, str]]) -> None:
        field = cast("forms.ChoiceField", self.fields[name])
        if name == "preferences":
            offered = [*offered, (CAMPAIGN, "Collect them in a campaign")]
        if name == "prompts":
            field.initial = offered[0][0] if offered else ""
            offered = [("", "None"), *offered]
        field.choices = offered


class YamlForm(forms.Form):
    """A description, pasted or sent as a file."""

    yaml = forms.CharField(
        label="Description",
        required=False,
        strip=False,
        widget=forms.Textarea({"rows": 24, "class": "mono", "spellcheck": "false"}),
    )
    file = forms.FileField(label="Or a file", required=False)

    def clean(self) -> dict[str, Any]:
        """Take the file where there is one."""
        given = super().clean() or self.cleaned_data
        file = given.get("file")
        if file is not None:
            if file.size > MAX_BYTES:
                self.add_error("file", f"It is larger than {MAX_BYTES:,} bytes.")
                return given
            try:
                given["yaml"] = file.read().decode("utf-8")
            except UnicodeDecodeError:
                self.add_error("file", "It is no text in UTF-8.")
        given["yaml"] = given.get("yaml", "").replace("\r\n", "\n")
        if not given["yaml"].strip() and not self.errors:
            self.add_error("yaml", "Paste a description, or choose a file.")
        return given


class StepForm(forms.Form):
    """The settings of a step, as the description has them."""

    settings = forms.CharField(
        label="Settings",
        strip=False,
        required=False,
        widget=forms.Textarea({"rows": 16, "class": "mono", "spellcheck": "false"}),
        help_text="What is left out takes its default.",
    )

    def __init__(self, described: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        """Begin with what holds now."""
        super().__init__(*args, **kwargs)
        self._described = described
        self.fields["settings"].initial = write_yaml(described)

    def changes(self) -> dict[str, Any]:
        """Return the settings that changed; None for those that were taken out.

        Raises:
            SubmitError: it is no YAML of settings.
        """
        text = self.cleaned_data["settings"].replace("\r\n", "\n")
        given = read_yaml(text) if text.strip() else {}
        if not isinstance(given, dict):
            raise SubmitError("write one setting a line, like `layers: 4`")
        gone = dict.fromkeys(set(self._described) - set(given))
        before = self._described
        return gone | {
            name: value
            for name, value in given.items()
            if name not in before or before[name] != value
        }
