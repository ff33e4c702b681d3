"""The preference loop: choices → a new policy → choices between it and the last one.

A round is a pipeline. The next one asks the same prompts of the newest aligned model
and of the one it shall replace, and when people have chosen, does the same alignment
steps with the choices of all rounds so far.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import Q, Sum

from trivium.accounts.models import User
from trivium.campaigns.models import Campaign
from trivium.campaigns.refreshing import report_for, standing_in
from trivium.datasets.models import DatasetVersion
from trivium.models.models import LanguageModel
from trivium.naming import MAX_NAME
from trivium.pipelines.advancing import product
from trivium.pipelines.description import (
    FROM,
    feeders,
    read_description,
    references,
    with_references,
)
from trivium.pipelines.models import CAMPAIGN, Pipeline, Step
from trivium.pipelines.services import create_pipeline
from trivium.pipelines.states import steps_of
from trivium.pipelines.telling import Figure, figures_of, win_rate_of
from trivium.runs.errors import SubmitError
from trivium.runs.models import Run
from trivium.serving.choices import of_model
from trivium.statistics.intervals import Share, share_of

EVALUATE = "evaluate"
MAX_ROUNDS = 50
ROOM_FOR_ROUND = 24
"""Characters that the number of a round behind a name may need."""


class Loop(NamedTuple):
    """What a pipeline has that a next round is made of."""

    campaign: Step
    policies: list[LanguageModel]
    """Aligned models it made, the last one first."""
    following: Pipeline | None
    """The next round, where there is one."""

    @property
    def can_go_on(self) -> bool:
        """Whether a next round can be made."""
        return bool(self.policies) and self.following is None


class Round(NamedTuple):
    """One round, as the history shows it."""

    pipeline: Pipeline
    votes: int
    agreement: float | None
    """Krippendorff's alpha; None where it is not known."""
    aligned: list[tuple[str, Figure]]
    """Steps that learned from choices, each with how many pairs it tells apart."""
    measured: Figure | None
    """Win rate of the new model against the one before, by an evaluation."""
    chosen: Share | None
    """The same by people: the votes of the round after it."""


def loop_of(pipeline: Pipeline) -> Loop | None:
    """Return what a next round is made of; None where no step waits for people."""
    steps = list(steps_of(pipeline))
    campaign = next((one for one in steps if one.kind == CAMPAIGN), None)
    if campaign is None:
        return None
    behind = _behind(campaign, steps)
    is_exported = campaign.run is not None and campaign.run.state == Run.State.SUCCEEDED
    made = LanguageModel.objects.filter(
        run__in=[one.run_id for one in behind if one.run_id], stage="aligned"
    )
    policies = made.exclude(path="").select_related("project", "run").order_by("-pk")
    return Loop(
        campaign,
        list(policies) if is_exported else [],
        pipeline.following.order_by("pk").first(),
    )


@transaction.atomic
def start_next_round(
    pipeline: Pipeline, *, actor: User, policy: LanguageModel | None = None
) -> Pipeline:
    """Make the next round of a pipeline: a campaign, and what learns from it.

    `policy` is the new model that is compared; without, the newest aligned one.

    Raises:
        SubmitError: there is a next round, or nothing that could be compared.
    """
    Pipeline.objects.select_for_update().get(pk=pipeline.pk)
    loop = loop_of(pipeline)
    if loop is None:
        raise SubmitError("no step of this pipeline collects choices of people")
    if loop.following is not None:
        raise SubmitError(f"there is a next round already: {loop.following}")
    chosen = policy if policy is not None else next(iter(loop.policies), None)
    if chosen is None or chosen not in loop.policies:
        raise SubmitError(
            "there is no new aligned model yet; the next round compares it with the "
            "one before"
        )
    return create_pipeline(
        project=pipeline.project,
        created_by=actor,
        description=read_description(next_round(pipeline, loop, chosen)),
        previous=pipeline,
    )


def next_round(pipeline: Pipeline, loop: Loop, policy: LanguageModel) -> dict[str, Any]:
    """Return what describes the round after a pipeline."""
    before = predecessor_of(loop, policy)
    if before is None:
        raise SubmitError(f"the model that {policy} was made from is gone")
    steps = list(steps_of(pipeline))
    behind = _behind(loop.campaign, steps)
    there = {one.name: one for one in steps if one not in {*behind, loop.campaign}}
    asked = _concrete(loop.campaign, there)
    asked |= {"answerers": [of_model(policy).id, of_model(before).id]}
    samplings = asked.pop("samplings", None)
    if samplings:
        asked["samplings"] = [samplings[0]] * 2
    earlier = [str(one.pk) for one in _choices_so_far(pipeline)]
    again = {loop.campaign.name, *(one.name for one in behind)}
    described = [_described(loop.campaign, asked, again)]
    for step in behind:
        settings = _with_all_choices(_concrete(step, there), loop.campaign, earlier)
        if step.kind == EVALUATE:
            is_first = pipeline.previous_id is None
            _compare_with(of_model(policy).id, settings, keeps_baseline=is_first)
        described.append(_described(step, settings, again))
    root = rounds_before(pipeline)[0]
    name = f"{root.name[: MAX_NAME - ROOM_FOR_ROUND]}, round {pipeline.round + 1}"
    return {"name": name, "steps": described}


def predecessor_of(loop: Loop, policy: LanguageModel) -> LanguageModel | None:
    """Return the model a new one shall replace.

    In later rounds it is the one people compared before; in the first the one that it
    was made from.
    """
    previous = loop.campaign.pipeline.previous
    if previous is not None:
        answered = loop.campaign.settings.get("answerers") or [None]
        name = str(answered[0]).partition("/")[2]
        models = LanguageModel.objects.filter(project=policy.project, name=name)
        if found := models.exclude(path="").select_related("project").first():
            return found
    parents = policy.parents.exclude(path="").select_related("project")
    return parents.order_by("pk").first()


def rounds_before(pipeline: Pipeline) -> list[Pipeline]:
    """Return the rounds up to a pipeline, itself the last."""
    found = [pipeline]
    while found[0].previous is not None and len(found) < MAX_ROUNDS:
        found.insert(0, found[0].previous)
    return found


def history_of(pipeline: Pipeline) -> list[Round]:
    """Return all rounds a pipeline belongs to, the first one first."""
    rounds = rounds_before(pipeline)
    while len(rounds) < MAX_ROUNDS:
        following = rounds[-1].following.order_by("pk").first()
        if following is None:
            break
        rounds.append(following)
    campaigns = [_campaign_of(one) for one in rounds]
    return [
        _round(one, campaign, after)
        for one, campaign, after in zip(
            rounds, campaigns, [*campaigns[1:], None], strict=True
        )
    ]


def won_by_people(campaign: Campaign) -> Share | None:
    """Return how often people prefer the first answerer of a campaign, ties left out.

    None where nobody voted.
    """
    first = campaign.answerers.order_by("pk").first()
    if first is None:
        return None
    counts = campaign.items.filter(is_withdrawn=False).aggregate(
        as_a=Sum("num_a", filter=Q(answerer_a=first)),
        as_b=Sum("num_b", filter=Q(answerer_b=first)),
        against_a=Sum("num_b", filter=Q(answerer_a=first)),
        against_b=Sum("num_a", filter=Q(answerer_b=first)),
    )
    wins = (counts["as_a"] or 0) + (counts["as_b"] or 0)
    losses = (counts["against_a"] or 0) + (counts["against_b"] or 0)
    return share_of(wins, wins + losses) if wins + losses else None


def _round(
    pipeline: Pipeline, campaign: Campaign | None, after: Campaign | None
) -> Round:
    steps = list(steps_of(pipeline))
    aligned = []
    measured = None
    for step in steps:
        if step.kind == EVALUATE:
            measured = win_rate_of(step.run) or measured
            continue
        told = [one for one in figures_of(step.run) if one.label == "pairs told apart"]
        aligned += [(step.name, one) for one in told]
    agreement = None
    if campaign is not None:
        values = report_for(campaign).values
        agreement = values.get("agreement", {}).get("alpha", {}).get("value")
    return Round(
        pipeline,
        standing_in(campaign) if campaign is not None else 0,
        agreement,
        aligned,
        measured,
        won_by_people(after) if after is not None else None,
    )


def _campaign_of(pipeline: Pipeline) -> Campaign | None:
    steps = pipeline.steps.filter(kind=CAMPAIGN).select_related("campaign")
    step = steps.first()
    return step.campaign if step is not None else None


def _behind(campaign: Step, steps: Sequence[Step]) -> list[Step]:
    """Return the steps that wait for a campaign, by whatever way."""
    names = {campaign.name}
    found = []
    for step in steps:
        if names & set(feeders(step.kind, step.settings, step.needs)):
            names.add(step.name)
            found.append(step)
    return found


def _concrete(step: Step, there: Mapping[str, Step]) -> dict[str, Any]:
    """Return a step's settings with ids for what steps made that are not done again."""
    found = {
        (one.field, one.value, True): product(there[one.value], one)
        for one in references(step.kind, step.settings)
        if one.is_step and one.value in there
    }
    return with_references(step.kind, step.settings, found)


def _described(
    step: Step, settings: dict[str, Any], again: Collection[str]
) -> dict[str, Any]:
    """Return what describes a step of the next round; what it makes is named anew."""
    needs = [name for name in step.needs if name in again]
    return {"name": step.name, "kind": step.kind, "needs": needs, **settings}


def _choices_so_far(pipeline: Pipeline) -> list[DatasetVersion]:
    """Return the exports of a pipeline and of the rounds before it."""
    runs = Step.objects.filter(
        pipeline__in=rounds_before(pipeline), kind=CAMPAIGN
    ).values("run")
    found = DatasetVersion.objects.filter(run__in=runs).exclude(path="")
    return list(found.order_by("pk"))


def _with_all_choices(
    settings: dict[str, Any], campaign: Step, earlier: Sequence[str]
) -> dict[str, Any]:
    """Return settings that take the choices of earlier rounds beside the new ones."""
    taken = {FROM: campaign.name}
    written = dict(settings)
    for field, value in settings.items():
        if isinstance(value, list) and taken in value:
            others = [one for one in value if one != taken and one not in earlier]
            written[field] = [*others, *earlier, taken]
            written.pop("weights", None)  # of other datasets
    return written


def _compare_with(
    choice_id: str, settings: dict[str, Any], *, keeps_baseline: bool
) -> None:
    """Have an evaluation compare with the model that is to be replaced.

    The one replaced a round earlier goes, or there would be more with every round.
    """
    before = settings.get("baseline")
    models = [one for one in settings["models"] if keeps_baseline or one != before]
    if choice_id not in models:
        models.insert(max(0, len(models) - 1), choice_id)
    settings["models"], settings["baseline"] = models, choice_id
