"""`/api/v1/campaigns`: labeling tasks, made and steered by programs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

from django.http import HttpResponse
from ninja import Query, Router
from runspec.serving import Sampling

from trivium.accounts.models import User
from trivium.api.auth import ApiRequest
from trivium.api.errors import ApiError
from trivium.api.idempotency import once
from trivium.api.pagination import (
    Cursor,
    Limit,
    Page,
    find,
    page,
)
from trivium.campaigns import making, starting
from trivium.campaigns.access import (
    Seat,
    campaigns_seen_by,
    require_engineer,
    seat_before,
)
from trivium.campaigns.api_schema import (
    AnswererOut,
    AnswersIn,
    BatchOut,
    CampaignFilter,
    CampaignIn,
    CampaignOut,
    CampaignPage,
    CampaignRow,
    ChangesIn,
    GuidelineOut,
    GuidelinesIn,
    JudgeOut,
    ProgressOut,
    SettingsIn,
)
from trivium.campaigns.forms import people_of
from trivium.campaigns.listing import progress_of_all
from trivium.campaigns.models import Campaign, Guideline
from trivium.campaigns.queries import Progress, progress_of
from trivium.campaigns.questions import Questions
from trivium.datasets.models import DatasetVersion
from trivium.projects.models import Project, Role
from trivium.projects.queries import get_project, require_role
from trivium.runs.api import RunOut
from trivium.runs.api import answer as run_answer
from trivium.runs.errors import SubmitError
from trivium.runs.fields import with_plain_ends

router = Router()

MAX_BATCHES = 50
FIELDS = {"samplings": "answerers"}
"""Settings of a run that go by another name here."""


@router.get("", response=CampaignPage, summary="List campaigns")
def list_campaigns(
    request: ApiRequest,
    cursor: Cursor,
    limit: Limit,
    chosen: Annotated[CampaignFilter, Query()],
) -> Page:
    """List the campaigns you may see, newest first."""
    rows = campaigns_seen_by(request.user)
    if chosen.project:
        rows = rows.filter(project=get_project(request.user, chosen.project))
    if chosen.state:
        rows = rows.filter(state=chosen.state)
    found = page(rows, cursor=cursor, limit=limit)
    progress = progress_of_all(found.items)
    items = [CampaignRow(**row_of(one, progress[one.pk])) for one in found.items]
    return Page(items, found.next_cursor)


@router.post("", response={201: CampaignOut}, summary="Make a campaign")
def create_campaign(request: ApiRequest, payload: CampaignIn) -> HttpResponse:
    """Make a campaign and queue the answers compared in it: all of it or nothing."""
    project = get_project(request.user, payload.project)
    require_role(request.user, project, Role.ENGINEER)

    def act() -> CampaignOut:
        with named_as_here(payload):
            campaign = starting.start_campaign(
                project=project,
                created_by=request.user,
                name=payload.name,
                guidelines=with_plain_ends(payload.guidelines),
                **settings_in(payload, project, Questions(), set(NAMES_OF_SETTINGS)),
                **answers_in(payload, project),
            )
        return detail(seat_before(request.user, campaign))

    return once(request, act)


@router.get("/{int:campaign_id}", response=CampaignOut, summary="Get a campaign")
def get_campaign(request: ApiRequest, campaign_id: int) -> CampaignOut:
    """Get one campaign: its settings, how far it is, where its answers come from."""
    return detail(seat_of(request, campaign_id))


@router.patch("/{int:campaign_id}", response=CampaignOut, summary="Change settings")
def change_campaign(
    request: ApiRequest, campaign_id: int, payload: ChangesIn
) -> CampaignOut:
    """Change some settings; of `questions` too, only those that are named.

    Another overlap opens and closes comparisons accordingly.
    """
    seat = engineers_seat(request, campaign_id)
    asked = Questions.model_validate(seat.campaign.questions)
    wanted = settings_in(payload, seat.project, asked, payload.model_fields_set)
    if "questions" in wanted:
        wanted["questions"] = wanted["questions"].model_dump(mode="json")
    if "name" in payload.model_fields_set:
        wanted["name"] = payload.name
    making.revise_campaign(seat.campaign, **wanted)
    return detail(seat)


@router.post("/{int:campaign_id}/pause", response=CampaignOut, summary="Pause it")
def pause_campaign(request: ApiRequest, campaign_id: int) -> HttpResponse:
    """Hand nothing out any more; votes on what is out still count."""
    return moved(request, campaign_id, "pause")


@router.post("/{int:campaign_id}/open", response=CampaignOut, summary="Open it again")
def open_campaign(request: ApiRequest, campaign_id: int) -> HttpResponse:
    """Hand comparisons out again."""
    return moved(request, campaign_id, "open")


@router.post("/{int:campaign_id}/close", response=CampaignOut, summary="Close it")
def close_campaign(request: ApiRequest, campaign_id: int) -> HttpResponse:
    """Count no more votes, and let none be taken back."""
    return moved(request, campaign_id, "close")


@router.post(
    "/{int:campaign_id}/answers", response={201: RunOut}, summary="Add comparisons"
)
def add_answers(
    request: ApiRequest, campaign_id: int, payload: AnswersIn
) -> HttpResponse:
    """Queue a run that brings more comparisons in."""
    seat = engineers_seat(request, campaign_id)

    def act() -> RunOut:
        with named_as_here(payload):
            run = starting.bring_answers(
                seat.campaign, actor=request.user, **answers_in(payload, seat.project)
            )
        return run_answer(request, run.pk)

    return once(request, act)


@router.put(
    "/{int:campaign_id}/guidelines", response=GuidelineOut, summary="Write guidelines"
)
def write_guidelines(
    request: ApiRequest, campaign_id: int, payload: GuidelinesIn
) -> Guideline:
    """Put a version beside every task from now on; unchanged text makes none."""
    seat = engineers_seat(request, campaign_id)
    return making.write_guidelines(
        seat.campaign, author=request.user, text=with_plain_ends(payload.text)
    )


# Pieces ------------------------------------------------------------------------------

MOVES = {
    "pause": making.pause_campaign,
    "open": making.open_campaign,
    "close": making.close_campaign,
}
NAMES_OF_SETTINGS = tuple(SettingsIn.model_fields)


def seat_of(request: ApiRequest, campaign_id: int) -> Seat:
    """Return the caller's place before a campaign; 404 where they have none."""
    campaign = find(campaigns_seen_by(request.user), campaign_id)
    return seat_before(request.user, campaign)


def engineers_seat(request: ApiRequest, campaign_id: int) -> Seat:
    """Return the place of an engineer; 403 for lower roles."""
    return require_engineer(seat_of(request, campaign_id))


def moved(request: ApiRequest, campaign_id: int, move: str) -> HttpResponse:
    """Pause, open or close; 409 where that is done already."""
    seat = engineers_seat(request, campaign_id)

    def act() -> CampaignOut:
        try:
            MOVES[move](seat.campaign)
        except SubmitError as error:
            raise ApiError(409, f"{error} already") from None
        return detail(seat)

    return once(request, act, status=200)


def settings_in(
    payload: SettingsIn, project: Project, asked: Questions, names: set[str]
) -> dict[str, Any]:
    """Return the settings of these names as `making` takes them.

    What of the questions is not named stays as it was asked.
    """
    given = {
        name: getattr(payload, name) for name in NAMES_OF_SETTINGS if name in names
    }
    if "questions" in given:
        named = payload.questions.model_dump(exclude_unset=True)
        given["questions"] = checked(Questions(**{**asked.model_dump(), **named}))
    if "labelers" in given:
        given["labelers"] = people_named(project, payload.labelers)
    if "categories" in given:
        given["categories"] = list(dict.fromkeys(payload.categories))
    return given


def checked(questions: Questions) -> Questions:
    """Refuse reasons that cannot be chosen or shown."""
    if questions.reasons != "off" and not questions.reason_tags:
        raise ApiError(422, "offer at least one reason", field="questions.reason_tags")
    if any(not 0 < len(tag) <= 80 for tag in questions.reason_tags):
        raise ApiError(
            422, "a reason has 1 to 80 characters", field="questions.reason_tags"
        )
    return questions


def people_named(project: Project, names: Sequence[str] | None) -> list[User] | None:
    """Return the members who go by these names; None for everyone."""
    if names is None:
        return None
    known = {one.username: one for one in people_of(project)}
    for name in names:
        if name not in known:
            raise ApiError(
                422, f"{name!r} is no labeler of this project", field="labelers"
            )
    return [known[name] for name in dict.fromkeys(names)]


def answers_in(payload: AnswersIn, project: Project) -> dict[str, Any]:
    """Return what is asked of whom, as `starting` takes it."""
    if bool(payload.prompts) == (payload.dataset_version_id is not None):
        raise ApiError(
            422, "give either dataset_version_id or prompts", field="prompts"
        )
    prompts: DatasetVersion | list[str] = payload.prompts
    if payload.dataset_version_id is not None:
        prompts = version_of(project, payload.dataset_version_id)
    elif not all(one.strip() for one in payload.prompts):
        raise ApiError(422, "a prompt is empty", field="prompts")
    has_pairs = not isinstance(prompts, list) and prompts.dataset.kind == "preferences"
    answerers = [(one.model, one.sampling) for one in payload.answerers]
    if wrong := wrong_with(answerers, has_pairs=has_pairs):
        raise ApiError(422, wrong, field="answerers")
    return {
        "prompts": prompts,
        "answerers": answerers,
        "max_prompts": payload.max_prompts,
    }


def version_of(project: Project, pk: int) -> DatasetVersion:
    """Return a dataset's version; refused where the project has none of that id."""
    versions = DatasetVersion.objects.filter(dataset__project=project)
    version = versions.select_related("dataset").filter(pk=pk).first()
    if version is None:
        raise ApiError(
            422,
            f"this project has no dataset version {pk}",
            field="dataset_version_id",
        )
    return version


def wrong_with(answerers: list[tuple[str, Sampling]], *, has_pairs: bool) -> str:
    """Return why these cannot answer, as a sentence; empty where they can."""
    if has_pairs:
        return "this dataset brings both answers with it" if answerers else ""
    if len(answerers) < 2:
        return "give at least two; one answer alone cannot be compared"
    if len({(model, said.model_dump_json()) for model, said in answerers}) < len(
        answerers
    ):
        return "the same model stands here twice with the same sampling"
    return ""


@contextmanager
def named_as_here(payload: AnswersIn) -> Iterator[None]:
    """Name the field at fault as the caller knows it."""
    try:
        yield
    except SubmitError as error:
        text = str(error).removeprefix(f"{error.field}: ")
        field = FIELDS.get(error.field, error.field)
        if field == "prompts" and payload.dataset_version_id is not None:
            field = "dataset_version_id"
        if not isinstance(payload, CampaignIn) and field == "name":
            field = ""
        raise SubmitError(text, field=field) from None


def row_of(campaign: Campaign, progress: Progress) -> dict[str, Any]:
    """Return what a list shows of a campaign."""
    return {
        "id": campaign.pk,
        "project": campaign.project.slug,
        "name": campaign.name,
        "state": campaign.state,
        "is_standing": campaign.is_standing,
        "progress": ProgressOut(**progress._asdict(), share=progress.share),
        "created_by": campaign.created_by.username if campaign.created_by else None,
        "created": campaign.created,
        "closed": campaign.closed,
    }


def detail(seat: Seat) -> CampaignOut:
    """Return a campaign as far as a person may know it."""
    campaign = seat.campaign
    guideline = campaign.guidelines.last()
    own = {"questions", "labelers"}
    return CampaignOut(
        **row_of(campaign, progress_of(campaign)),
        **{
            name: getattr(campaign, name)
            for name in NAMES_OF_SETTINGS
            if name not in own
        },
        questions=Questions.model_validate(campaign.questions),
        guideline=GuidelineOut.from_orm(guideline) if guideline else None,
        may_label=seat.may_label,
        is_restricted=campaign.is_restricted,
        labelers=invited_to(campaign) if seat.is_engineer else None,
        answerers=answerers_of(campaign) if seat.sees_results else None,
        batches=batches_of(campaign) if seat.sees_results else None,
        judges=judges_of(campaign) if seat.sees_results else None,
    )


def invited_to(campaign: Campaign) -> list[str]:
    """Return the usernames of those who were invited."""
    rows = campaign.labelers.filter(is_invited=True).order_by("user__username")
    return list(rows.values_list("user__username", flat=True))


def answerers_of(campaign: Campaign) -> list[AnswererOut]:
    """Return who answers in a campaign."""
    return [
        AnswererOut(
            id=one.pk, model=one.choice_id, title=one.title, sampling=one.sampling
        )
        for one in campaign.answerers.order_by("pk")
    ]


def batches_of(campaign: Campaign) -> list[BatchOut]:
    """Return the newest batches with their runs."""
    rows = campaign.batches.select_related("run").order_by("-pk")[:MAX_BATCHES]
    return [
        BatchOut(
            id=one.pk,
            run_id=one.run_id,
            run_state=one.run.state if one.run else None,
            facts=one.facts,
            created=one.created,
        )
        for one in rows
    ]


def judges_of(campaign: Campaign) -> list[JudgeOut]:
    """Return the newest judges with their runs."""
    return [
        JudgeOut(
            id=one.pk,
            run_id=one.run_id,
            model=one.choice_id,
            title=one.title,
            rubric=one.rubric,
            facts=one.facts,
            created=one.created,
        )
        for one in campaign.judges.order_by("-pk")[:MAX_BATCHES]
    ]
