"""`/api/v1/campaigns/…/tasks` and `votes`: labeling by a client of one's own.

As on the labeling page, nothing here tells which model wrote an answer, whether a task
is a repeat, or whether its right choice is known.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Literal

from django.http import HttpResponse
from ninja import Router, Schema
from pydantic import Field
from runspec.labels import MAX_STRENGTH

from trivium.api.auth import ApiRequest
from trivium.api.errors import ApiError
from trivium.api.idempotency import once
from trivium.api.schema import Body
from trivium.campaigns import handing_out, voting
from trivium.campaigns.access import Seat, require_labeler
from trivium.campaigns.api import seat_of
from trivium.campaigns.errors import IncompleteError, LabelingError
from trivium.campaigns.models import Assignment
from trivium.campaigns.questions import MAX_NOTE, MAX_REASONS, Details
from trivium.campaigns.showing import by_sides, side_draft, to_answer
from trivium.comparisons.models import Vote
from trivium.comparisons.services import MAX_ACTIVE_MS, VoteConflictError

router = Router()

Side = Literal["left", "right"]
SideOrTie = Literal["left", "right", "tie"]
Choice = Literal["left", "right", "tie", "both_bad"]
Axis = Literal["helpful", "harmless", "honest"]
GONE = "this task is not yours any more; ask for tasks again"


class TaskOut(Schema):
    """One comparison to vote on."""

    key: str = Field(description="Comes back with the vote.")
    prompt: list[dict[str, Any]] | str = Field(
        description="Messages, or a text that both answers go on with."
    )
    left: str
    right: str
    category: str = Field(description="Of harmful content; empty: none is known.")
    expires: datetime = Field(description="When others may get it.")
    draft: dict[str, Any] | None = Field(
        description="What was said before it was taken back, or filled in on the page."
    )


class TasksOut(Schema):
    """What somebody has to do next."""

    items: list[TaskOut] = Field(description="In order; at most two.")
    state: str = Field(description="Of the campaign; only open ones hand out more.")
    is_harm_spent: bool = Field(
        description="Whether you saw as much harmful content as an hour may hold."
    )


class VoteIn(Body):
    """A vote on a task, by sides."""

    key: str = Field(max_length=64)
    choice: Choice
    strength: int | None = Field(
        None, ge=1, le=MAX_STRENGTH, description="How much better."
    )
    axes: dict[Axis, SideOrTie] = Field({}, description="Which is more so.")
    acceptable: dict[Side, bool] = Field({}, description="Would it do?")
    reasons: list[str] = Field([], max_length=MAX_REASONS)
    note: str = Field("", max_length=MAX_NOTE)
    ms_active: int = Field(
        ge=0, le=MAX_ACTIVE_MS, description="How long it was looked at."
    )


class CastOut(Schema):
    """A vote as it was counted; answers to what was not asked are left out."""

    key: str
    choice: Choice
    strength: int | None
    axes: dict[str, str]
    acceptable: dict[str, bool | None]
    reasons: list[str]
    note: str
    guideline: int = Field(description="Version of the guidelines; 0: none.")
    created: datetime
    undone: datetime | None = Field(description="When it was taken back, if it was.")


class UndoIn(Body):
    """Which vote or skip to take back."""

    key: str = Field("", max_length=64, description="Empty: the last one.")


class SkipIn(Body):
    """Why a task is left to others."""

    key: str = Field(max_length=64)
    reason: str = Field("", max_length=200)


class SkippedOut(Schema):
    """A task that was left to others."""

    key: str
    state: str = Field(description="`skipped`, or `voted` where a vote was counted.")


class FlagIn(Body):
    """What is wrong with a comparison."""

    key: str = Field(max_length=64)
    reason: str = Field(min_length=1, max_length=400)


class FlagOut(Schema):
    """Something an engineer will look at."""

    id: int
    reason: str
    created: datetime


@router.post("/{int:campaign_id}/tasks", response=TasksOut, summary="Get tasks")
def hold_tasks(request: ApiRequest, campaign_id: int) -> TasksOut:
    """Return the tasks you hold, up to two; asked again, the same, renewed."""
    seat = labelers_seat(request, campaign_id)
    held = handing_out.tasks_for(seat.campaign, seat.user)
    return TasksOut(
        items=[task_out(task) for task in held],
        state=seat.campaign.state,
        is_harm_spent=handing_out.is_harm_spent(seat.campaign, seat.user),
    )


@router.post("/{int:campaign_id}/votes", response={201: CastOut}, summary="Vote")
def cast_vote(request: ApiRequest, campaign_id: int, payload: VoteIn) -> HttpResponse:
    """Count a vote; sent again with the same `key` it is counted once.

    409: the task is gone, or its key came with another vote before.
    """
    seat = labelers_seat(request, campaign_id)

    def act() -> CastOut:
        shown_left = left_of(seat, payload.key)
        with told():
            vote = voting.cast_vote(
                labeler=seat.user,
                key=payload.key,
                choice=to_answer(payload.choice, shown_left),
                details=details_in(payload, shown_left),
                ms_active=payload.ms_active,
            )
        return cast_out(vote)

    return once(request, act)


@router.post("/{int:campaign_id}/undo", response=TaskOut, summary="Take a vote back")
def undo_vote(request: ApiRequest, campaign_id: int, payload: UndoIn) -> HttpResponse:
    """Take a vote or a skip of yours back; its task is yours again, with a new key."""
    seat = labelers_seat(request, campaign_id)

    def act() -> TaskOut:
        with told():
            task = voting.undo(
                campaign=seat.campaign, labeler=seat.user, key=payload.key
            )
        mine = Assignment.objects.filter(pk=task.pk)
        return task_out(handing_out.with_texts(mine).get())

    return once(request, act, status=200)


@router.post("/{int:campaign_id}/skip", response=SkippedOut, summary="Skip a task")
def skip_task(request: ApiRequest, campaign_id: int, payload: SkipIn) -> HttpResponse:
    """Leave a task to others; a vote that was counted stays."""
    seat = labelers_seat(request, campaign_id)

    def act() -> SkippedOut:
        left_of(seat, payload.key)
        with told():
            task = voting.skip(
                labeler=seat.user, key=payload.key, reason=payload.reason
            )
        return SkippedOut(key=task.key, state=task.state)

    return once(request, act, status=200)


@router.post("/{int:campaign_id}/flags", response={201: FlagOut}, summary="Flag it")
def flag_task(request: ApiRequest, campaign_id: int, payload: FlagIn) -> HttpResponse:
    """Ask for a second look at a comparison; the task stays."""
    seat = labelers_seat(request, campaign_id)

    def act() -> FlagOut:
        left_of(seat, payload.key)
        with told():
            flag = voting.flag(
                labeler=seat.user, key=payload.key, reason=payload.reason
            )
        return FlagOut.from_orm(flag)

    return once(request, act)


# Pieces ------------------------------------------------------------------------------


def labelers_seat(request: ApiRequest, campaign_id: int) -> Seat:
    """Return the place of somebody who may vote; 403 for others who see it."""
    return require_labeler(seat_of(request, campaign_id))


@contextmanager
def told() -> Iterator[None]:
    """Answer what labeling refuses: 422 for what is missing, 409 for what is late."""
    try:
        yield
    except IncompleteError as error:
        raise ApiError(422, str(error)) from None
    except (LabelingError, VoteConflictError) as error:
        raise ApiError(409, str(error)) from None


def left_of(seat: Seat, key: str) -> str:
    """Return which answer stood left in a task of the caller's; 409 if it is gone.

    A vote keeps the key it came with when its task gets another one.
    """
    tasks = Assignment.objects.filter(
        campaign=seat.campaign, labeler=seat.user, key=key
    )
    votes = Vote.objects.filter(
        comparison__item__campaign=seat.campaign, labeler=seat.user, key=key
    )
    for found in (tasks, votes):
        if shown_left := found.values_list("shown_left", flat=True).first():
            return str(shown_left)
    raise ApiError(409, GONE)


def details_in(payload: VoteIn, shown_left: str) -> Details:
    """Return what a vote says beside the choice, by answers."""
    acceptable = {
        f"acceptable_{to_answer(side, shown_left)}": said
        for side, said in payload.acceptable.items()
    }
    return Details.model_validate(
        {
            "axes": {
                axis: to_answer(said, shown_left) for axis, said in payload.axes.items()
            },
            "strength": payload.strength,
            "reasons": payload.reasons,
            "note": payload.note,
            **acceptable,
        }
    )


def cast_out(vote: Vote) -> CastOut:
    """Return a vote by sides."""
    said = {**vote.details, "choice": vote.choice, "strength": vote.strength}
    return CastOut(
        **by_sides(said, vote.shown_left),
        key=vote.key,
        guideline=vote.guideline,
        created=vote.created,
        undone=vote.undone,
    )


def task_out(task: Assignment) -> TaskOut:
    """Return one task by sides and without names; its answers were fetched."""
    compared = task.item.comparison
    texts = {"a": compared.answer_a.text, "b": compared.answer_b.text}
    return TaskOut(
        key=task.key,
        prompt=compared.prompt,
        left=texts[to_answer("left", task.shown_left)],
        right=texts[to_answer("right", task.shown_left)],
        category=task.item.category,
        expires=task.expires,
        draft=side_draft(task) if task.draft else None,
    )
