"""The picture of a pipeline: its steps in three stages, what they take and give."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from django.urls import reverse

from trivium.campaigns.queries import Progress, progress_of, votes_to_end
from trivium.campaigns.refreshing import standing_in
from trivium.datasets.models import DatasetVersion
from trivium.models.models import LanguageModel
from trivium.pipelines.description import feeders, references
from trivium.pipelines.models import CAMPAIGN, Pipeline, Step
from trivium.pipelines.states import StepState, has_answers, states_of
from trivium.pipelines.telling import Figure, figures_of
from trivium.runs.models import Run
from trivium.tokenizers.models import Tokenizer

EVALUATE = "evaluate"
GRAMMAR, LOGIC, RHETORIC = "grammar", "logic", "rhetoric"
STAGES = (
    (GRAMMAR, "▲", "Pretraining", "A base model, which continues any text."),
    (LOGIC, "◆", "SFT", "An instruct model, which does what it is asked."),
    (RHETORIC, "●", "Alignment", "An aligned model, whose answers people prefer."),
)
ROADS = {
    "ingest": GRAMMAR,
    "tokenizer": GRAMMAR,
    "pretrain": GRAMMAR,
    "import": GRAMMAR,
    "sft": LOGIC,
    "dpo": RHETORIC,
    "reward": RHETORIC,
    "rlhf": RHETORIC,
    CAMPAIGN: RHETORIC,
    "generate": RHETORIC,
    "judge": RHETORIC,
    "export": RHETORIC,
}
"""Where a step stands by its kind; any other stands with what it takes from."""
ORDER = (GRAMMAR, LOGIC, RHETORIC)
STAGE_OF_MODEL = {"base": GRAMMAR, "instruct": LOGIC}


class Chip(NamedTuple):
    """Something that flows in or comes out."""

    key: str
    hue: str
    name: str
    note: str
    url: str


class Labeled(NamedTuple):
    """How far a campaign is."""

    votes: int
    wanted: int
    progress: Progress
    url: str
    is_ready: bool
    """Whether there is something to vote on."""
    pairs: int | None
    """Pairs the votes became; None before they are exported."""


class Card(NamedTuple):
    """One step, drawn."""

    step: Step
    state: StepState
    kind: str
    """In words."""
    figures: list[Figure]
    url: str
    """Its run or campaign; empty before there is one."""
    measured: str
    """Whose figures an evaluation shows, and what is measured beside it."""
    came_of_it: str
    """The page of what an evaluation found, once it has."""
    labeled: Labeled | None
    can_retry: bool
    can_edit: bool


class Given(NamedTuple):
    """What comes out of a stage, with the number by which it is judged."""

    chip: Chip
    figure: Figure | None


class Stage(NamedTuple):
    """One of the three roads."""

    road: str
    glyph: str
    name: str
    about: str
    takes: list[Chip]
    cards: list[Card]
    gives: list[Given]


class Picture(NamedTuple):
    """All the page shows that may change."""

    stages: list[Stage]
    cards: list[Card]
    num_done: int
    is_moving: bool
    """Whether something may change by itself."""


def picture_of(
    pipeline: Pipeline, states: Mapping[str, StepState], *, sees_answerers: bool
) -> Picture:
    """Draw a pipeline as it now is; without who answers in its campaigns, if need be.

    What is measured beside the steps is not shown as taken: it would be everything.
    """
    steps = list(pipeline.steps.all())
    roads = _roads_of(steps)
    objects = _Objects(pipeline, steps)
    without = {EVALUATE} if sees_answerers else {EVALUATE, CAMPAIGN}
    cards = {step.name: _card(pipeline, step, states[step.name]) for step in steps}
    stages = []
    for road, glyph, name, about in STAGES:
        inside = [step for step in steps if roads[step.name] == road]
        if inside:
            stages.append(
                Stage(
                    road, glyph, name, about,
                    takes=objects.taken_by(inside, without),
                    cards=[cards[step.name] for step in inside],
                    gives=objects.made_by(inside),
                )
            )  # fmt: skip
    return Picture(
        stages,
        list(cards.values()),
        sum(one.state == Run.State.SUCCEEDED for one in states.values()),
        any(one.state not in Run.TERMINAL for one in states.values())
        and not all(_is_held(one) for one in states.values()),
    )


def _is_held(state: StepState) -> bool:
    return state.state in {*Run.TERMINAL, Run.State.PAUSED}


def _roads_of(steps: Sequence[Step]) -> dict[str, str]:
    """Return the stage each step stands in; measuring stands with what is measured."""
    roads: dict[str, str] = {}
    for step in steps:
        before = [
            ORDER.index(roads[name])
            for name in feeders(step.kind, step.settings, step.needs)
        ]
        furthest = ORDER[max(before, default=0)]
        roads[step.name] = ROADS.get(step.kind, furthest)
    return roads


def _card(pipeline: Pipeline, step: Step, state: StepState) -> Card:
    kinds = {**dict(Run.Kind.choices), CAMPAIGN: "People's choices"}
    run = step.run if step.is_started else None
    slug = pipeline.project.slug
    url = ""
    if step.campaign is not None:
        url = reverse("campaigns:detail", args=[slug, step.campaign.pk])
    elif run is not None:
        url = reverse("runs:detail", args=[slug, run.pk])
    not_begun = {Run.State.WAITING, Run.State.QUEUED}
    return Card(
        step,
        state,
        str(kinds.get(step.kind, step.kind)),
        figures_of(run),
        url,
        _measured(step),
        _came_of_it(slug, run),
        _labeled(pipeline, step),
        can_retry=state.is_broken,
        can_edit=step.campaign is None
        and (state.is_broken or state.state in not_begun),
    )


def _measured(step: Step) -> str:
    if step.kind != EVALUATE:
        return ""
    asked = references(step.kind, step.settings)
    *others, newest = [one.value for one in asked if one.field == "models"]
    return f"{newest}, beside {', '.join(others)}" if others else newest


def _came_of_it(slug: str, run: Run | None) -> str:
    evaluation = getattr(run, "evaluation", None)
    if evaluation is None or not evaluation.is_ready:
        return ""
    return reverse("evaluations:detail", args=[slug, evaluation.pk])


def _labeled(pipeline: Pipeline, step: Step) -> Labeled | None:
    campaign = step.campaign
    if campaign is None:
        return None
    progress = progress_of(campaign)
    return Labeled(
        standing_in(campaign),
        votes_to_end(campaign, progress),
        progress,
        reverse("campaigns:label", args=[pipeline.project.slug, campaign.pk]),
        has_answers(campaign) and step.run is None,
        step.run.result.get("rows") if step.run is not None else None,
    )


class _Objects:
    """What the steps of a pipeline take and make, read in few queries."""

    def __init__(self, pipeline: Pipeline, steps: Sequence[Step]) -> None:
        self.slug = pipeline.project.slug
        self.steps = {step.name: step for step in steps}
        runs = [step.run_id for step in steps if step.run_id]
        given: dict[str, set[str]] = {}
        for step in steps:
            for one in references(step.kind, step.settings):
                if not one.is_step and one.value.isdecimal():
                    given.setdefault(one.noun, set()).add(one.value)
        project = pipeline.project
        versions = DatasetVersion.objects.select_related("dataset").filter(
            dataset__project=project
        )
        self.versions = [
            *versions.filter(pk__in=given.get("dataset", ())),
            *versions.filter(run__in=runs),
        ]
        models = LanguageModel.objects.filter(project=project)
        self.models = [
            *models.filter(pk__in=given.get("model", ())),
            *models.filter(run__in=runs),
        ]
        tokenizers = Tokenizer.objects.filter(project=project)
        self.tokenizers = [
            *tokenizers.filter(pk__in=given.get("tokenizer", ())),
            *tokenizers.filter(run__in=runs),
        ]

    def taken_by(self, steps: Sequence[Step], without: Collection[str]) -> list[Chip]:
        """Return what steps take that is made by none of them, but for some kinds."""
        own = {step.name for step in steps}
        found: dict[str, Chip] = {}
        for step in steps:
            if step.kind in without:
                continue
            for one in references(step.kind, step.settings):
                if one.is_step and one.value in own:
                    continue
                chips = (
                    self._of_run(self.steps[one.value].run_id)
                    if one.is_step
                    else self._of_id(one.noun, one.value)
                )
                found |= {chip.key: chip for chip in chips}
        return list(found.values())

    def made_by(self, steps: Sequence[Step]) -> list[Given]:
        """Return the models steps make, which is what a stage is for."""
        return [
            Given(chip, next(iter(figures_of(step.run)), None))
            for step in steps
            for chip in self._of_run(step.run_id)
            if chip.key.startswith("model")
        ]

    def _of_run(self, run_id: int | None) -> list[Chip]:
        if run_id is None:
            return []
        return self._chips(lambda one: one.run_id == run_id)

    def _of_id(self, noun: str, value: str) -> list[Chip]:
        if not value.isdecimal():
            return []
        chips = self._chips(lambda one: str(one.pk) == value)
        return [chip for chip in chips if chip.key.startswith(noun)]

    def _chips(self, is_it: Any) -> list[Chip]:
        found = {}
        for version in filter(is_it, self.versions):
            note = "being prepared"
            if version.is_ready:
                note = f"{version.dataset.kind} · {version.rows:,} rows"
            url = reverse("datasets:detail", args=[self.slug, version.dataset_id])
            key = f"dataset-{version.pk}"
            name = str(version)
            found[key] = Chip(key, "data", name, note, f"{url}?v={version.number}")
        for tokenizer in filter(is_it, self.tokenizers):
            note = "being trained"
            if tokenizer.is_ready:
                note = f"{tokenizer.vocabulary_size:,} tokens"
            url = reverse("tokenizers:detail", args=[self.slug, tokenizer.pk])
            key = f"tokenizer-{tokenizer.pk}"
            found[key] = Chip(key, "tokenizer", tokenizer.name, note, url)
        for model in filter(is_it, self.models):
            note = f"{model.get_stage_display().lower()} model"
            if not model.is_ready:
                note += ", to come"
            hue = STAGE_OF_MODEL.get(model.stage, RHETORIC)
            url = reverse("models:detail", args=[self.slug, model.pk])
            key = f"model-{model.pk}"
            found[key] = Chip(key, hue, model.name, note, url)
        return list(found.values())


def current_states(pipeline: Pipeline) -> dict[str, StepState]:
    """Return the states of the steps of a pipeline that was read with them."""
    return states_of(list(pipeline.steps.all()))
