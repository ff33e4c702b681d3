"""Starting the steps that can be started: at once where their inputs have ids.

Whatever a run makes exists from its submission, so most steps are queued when the
pipeline is made, and runs wait for each other as any runs do. What is left (behind a
campaign, or where a model has to be there first) the sweeper starts, in any process:
the row of the pipeline is locked, and each step is looked at anew.
"""

import logging
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from runspec import ExportSpec, Spec

from trivium.accounts.models import User
from trivium.campaigns.making import add_answers, create_campaign
from trivium.campaigns.models import Campaign
from trivium.campaigns.refreshing import has_its_votes, pause_done
from trivium.datasets.models import DatasetVersion
from trivium.datasets.services import claim_version
from trivium.models.models import LanguageModel
from trivium.naming import MAX_NAME, free_name
from trivium.pipelines.campaign_step import CAMPAIGN_SETTINGS, EXPORTED, CampaignStep
from trivium.pipelines.description import (
    Reference,
    feeders,
    references,
    refusal,
    spec_class,
    with_references,
)
from trivium.pipelines.models import CAMPAIGN, Pipeline, Step
from trivium.pipelines.states import (
    BROKEN,
    has_answers,
    has_ended,
    states_of,
    steps_of,
)
from trivium.runs import kinds, services
from trivium.runs.again import free_run_name
from trivium.runs.errors import SubmitError
from trivium.runs.models import Run
from trivium.serving.choices import of_model
from trivium.tokenizers.models import Tokenizer

logger = logging.getLogger(__name__)
NAMED_ONCE = (Tokenizer, LanguageModel)
"""Outputs whose names are taken but once in a project."""


class NotYetError(Exception):
    """Something a step takes is not there yet; not an error of anybody's."""


def advance_all() -> None:
    """Start what can be started in any pipeline."""
    waiting = Step.objects.filter(refusal="", pipeline__cancelled=None)
    to_start = waiting.filter(is_started=False)
    to_export = waiting.filter(kind=CAMPAIGN, is_started=True, run=None)
    found = {
        *to_start.values_list("pipeline", flat=True),
        *to_export.values_list("pipeline", flat=True),
    }
    for pk in sorted(found):
        advance(pk)


def advance(pipeline_pk: int) -> int:
    """Start what can be started in one pipeline; return how many steps that were.

    A step that is refused keeps the reason, and waits until somebody edits it or tries
    again; nothing of it is left behind.
    """
    count = 0
    with transaction.atomic():
        locked = Pipeline.objects.select_for_update().filter(
            pk=pipeline_pk, cancelled=None
        )
        pipeline = locked.first()
        if pipeline is None:
            return 0
        actor = pipeline.created_by
        for step in steps_of(pipeline):
            if step.refusal or (step.is_started and not _awaits_export(step)):
                continue
            try:
                with transaction.atomic():
                    start_step(step, actor)
            except NotYetError:
                continue
            except ValueError as error:
                told = str(refusal(step.name, step.kind, error))
                why = told.removeprefix(f"step {step.name}: ")
                Step.objects.filter(pk=step.pk).update(refusal=why)
                logger.warning("Step %s of pipeline %s: %s", step, pipeline.pk, told)
                continue
            count += 1
    return count


def start_step(step: Step, actor: User | None) -> None:
    """Start a step, or export the votes of its campaign.

    Whoever made the pipeline may be gone when it could be started; then it waits for
    somebody to try it again.

    Raises:
        NotYetError: something it takes is not there yet.
        SubmitError: it is refused; `.field` is a setting's name.
        ValueError: its settings do not fit together.
    """
    if _awaits_export(step):
        _export(step, actor)
        return
    steps = list(steps_of(step.pipeline))
    states = states_of(steps)
    if any(states[one].is_broken for one in _waited_for(step)):
        raise NotYetError
    others = {one.name: one for one in steps}
    spec = spec_of(step, others)
    actor = _somebody(actor)
    if isinstance(spec, CampaignStep):
        if not all(_is_over(others[name]) for name in step.needs):
            raise NotYetError
        step.campaign = _campaign(step, spec, actor)
    else:
        needed = [_last_run(others[name]) for name in step.needs]
        step.run = _run(step, spec, actor, needed)
    step.is_started = True
    step.refusal = ""
    step.save(update_fields=["run", "campaign", "is_started", "refusal", "settings"])
    logger.info("Step %s of pipeline %s is started", step, step.pipeline_id)


def rehearse(pipeline: Pipeline, actor: User) -> None:
    """Start what waits for campaigns with stand-ins for their votes, and undo it all.

    What would be refused weeks later, when the votes are there, is refused now.

    Raises:
        SubmitError: a step would be refused; it is named.
    """
    savepoint = transaction.savepoint()
    try:
        for step in steps_of(pipeline):
            if _awaits_export(step) or (step.kind == CAMPAIGN and not step.is_started):
                _stand_in(step, actor)
            elif not step.is_started:
                start_or_explain(step, actor)
    finally:
        transaction.savepoint_rollback(savepoint)


def start_or_explain(step: Step, actor: User) -> bool:
    """Start a step, if that can be; return whether it was.

    Raises:
        SubmitError: it is refused; the sentence names the step.
    """
    try:
        start_step(step, actor)
    except NotYetError:
        return False
    except ValueError as error:
        raise refusal(step.name, step.kind, error) from error
    return True


def spec_of(step: Step, others: Mapping[str, Step]) -> Spec:
    """Return what a step shall do, with ids for what other steps make.

    Raises:
        NotYetError: one of them has made nothing that has an id.
        ValueError: settings do not fit together.
    """
    found = {
        (one.field, one.value, True): product(others[one.value], one)
        for one in references(step.kind, step.settings)
        if one.is_step
    }
    values = with_references(step.kind, step.settings, found)
    return spec_class(step.kind).model_validate({**values, "kind": step.kind})


def output_name(step: Step) -> str:
    """Return what names the object a step makes."""
    if step.output:
        return step.output
    wanted = f"{step.pipeline.name} {step.name}"[:MAX_NAME]
    made = kinds.KINDS.get(spec_class(step.kind))
    if made is None or made.output not in NAMED_ONCE:
        return wanted
    return free_run_name(step.pipeline.project, step.kind, wanted)


def _waited_for(step: Step) -> list[str]:
    return feeders(step.kind, step.settings, step.needs)


def _awaits_export(step: Step) -> bool:
    return step.kind == CAMPAIGN and step.campaign is not None and step.run is None


def _is_over(step: Step) -> bool:
    return step.run is not None and step.run.state == Run.State.SUCCEEDED


def _last_run(step: Step) -> Run:
    """Return the run whose output can be counted on.

    Raises:
        NotYetError: there is none, or another one is to take its place.
    """
    if step.run is None or step.run.state in BROKEN:
        raise NotYetError
    return step.run


def _run(step: Step, spec: Spec, actor: User, needed: list[Run]) -> Run:
    """Queue the run of a step, in the place of the one it had before it was edited."""
    if step.run is not None:
        return kinds.retry_run(
            run=Run.objects.get(pk=step.run.pk),
            actor=actor,
            changes=spec.model_dump(mode="json"),
            depends_on=[run for run in needed if not run.is_finished],
        )
    return kinds.start_run(
        project=step.pipeline.project,
        created_by=actor,
        spec=spec,
        name=output_name(step),
        depends_on=[run for run in needed if not run.is_finished],
    )


def product(step: Step, one: Reference) -> str:
    """Return the id of what a step makes, as the reference wants it.

    Raises:
        NotYetError: it has none yet; or it must be there, and is not.
    """
    if one.noun == CAMPAIGN and step.kind == CAMPAIGN:
        if step.campaign is None or not has_answers(step.campaign):
            raise NotYetError
        return str(step.campaign.pk)
    run = _last_run(step)
    if one.noun in {"model", "choice"}:
        model = LanguageModel.objects.select_related("project", "run").get(run=run)
        if one.noun == "choice":
            if not model.is_ready:
                raise NotYetError
            return of_model(model).id
        if not model.architecture:  # it is being imported: what it is shows at the end
            raise NotYetError
        return str(model.pk)
    if one.noun == "tokenizer":
        return str(Tokenizer.objects.get(run=run).pk)
    return str(DatasetVersion.objects.get(run=run).pk)


def _campaign(step: Step, spec: CampaignStep, actor: User) -> Campaign:
    """Make the campaign of a step, and queue the answers compared in it."""
    campaign = _empty_campaign(step, spec, actor)
    prompts = DatasetVersion.objects.get(
        pk=int(spec.prompts), dataset__project=step.pipeline.project
    )
    add_answers(
        campaign,
        actor=actor,
        prompts=prompts,
        answerers=spec.answered_by,
        max_prompts=spec.max_prompts,
    )
    return campaign


def _empty_campaign(step: Step, spec: CampaignStep, actor: User) -> Campaign:
    project = step.pipeline.project
    name = free_name(
        f"{step.pipeline.name} {step.name}"[: MAX_NAME - 8],
        lambda one: project.campaigns.filter(name=one).exists(),
    )
    settings: dict[str, Any] = {one: getattr(spec, one) for one in CAMPAIGN_SETTINGS}
    return create_campaign(
        project=project,
        created_by=actor,
        name=name,
        questions=spec.questions,
        guidelines=spec.guidelines,
        **settings,
    )


def _somebody(actor: User | None) -> User:
    if actor is None:
        raise SubmitError(
            "who made this pipeline is gone; try the step again and it is yours"
        )
    return actor


def _export(step: Step, actor: User | None) -> None:
    """Queue the export of a campaign that has ended.

    Raises:
        NotYetError: it has not.
    """
    campaign = step.campaign
    if campaign is None or not has_ended(campaign):
        raise NotYetError
    actor = _somebody(actor)
    if has_its_votes(campaign):
        # A vote after the export would teach nothing: hand nothing out any more.
        pause_done(campaign)
    chosen = {one: step.settings[one] for one in EXPORTED if one in step.settings}
    step.run = kinds.start_run(
        project=step.pipeline.project,
        created_by=actor,
        spec=ExportSpec(campaign=str(campaign.pk), source_name=campaign.name, **chosen),
        name=output_name(step),
    )
    step.refusal = ""
    step.save(update_fields=["run", "refusal"])
    logger.info("Votes of step %s of pipeline %s go on", step, step.pipeline_id)


def _stand_in(step: Step, actor: User) -> None:
    """Make what a campaign's export would make, for as long as a rehearsal takes."""
    spec = ExportSpec(campaign="0", source_name="rehearsal")
    run = services.submit_run(
        project=step.pipeline.project, created_by=actor, spec=spec
    )
    claim_version(run, spec, output_name(step))
    step.run, step.is_started = run, True
    step.save(update_fields=["run", "is_started"])
