"""`/api/v1/comparisons` and `/api/v1/votes`: what people preferred, and to what."""

from datetime import datetime
from typing import Any, Literal

from ninja import Router, Schema
from pydantic import Field

from trivium.api.auth import ApiRequest
from trivium.api.pagination import Cursor, Limit, Page, PageOf, find, page
from trivium.campaigns.access import campaigns_seen_by
from trivium.comparisons import queries
from trivium.comparisons.models import Comparison, Vote
from trivium.playground.models import Generation
from trivium.projects.queries import get_project

router = Router()
voting = Router()

Source = Literal["", "playground", "campaign"]


class AnswerOut(Schema):
    """One of the two answers."""

    generation_id: int
    model: str = Field(description="Id of what answered.")
    text: str
    receipt: dict[str, Any] = Field(description="How it was made.")


class ComparisonOut(Schema):
    """Two different answers to one prompt."""

    id: int
    project: str
    source: str
    prompt: list[dict[str, Any]] | str = Field(
        description="Messages, or a text that both answers go on with."
    )
    answer_a: AnswerOut
    answer_b: AnswerOut
    created_by: str | None
    created: datetime

    @staticmethod
    def resolve_project(comparison: Comparison) -> str:
        """Name the project by its slug."""
        return comparison.project.slug

    @staticmethod
    def resolve_answer_a(comparison: Comparison) -> AnswerOut:
        """Return the first answer."""
        return answer_out(comparison.answer_a)

    @staticmethod
    def resolve_answer_b(comparison: Comparison) -> AnswerOut:
        """Return the second answer."""
        return answer_out(comparison.answer_b)

    @staticmethod
    def resolve_created_by(comparison: Comparison) -> str | None:
        """Name who made it."""
        return comparison.created_by.username if comparison.created_by else None


class ComparisonPage(PageOf):
    """Comparisons, newest first."""

    items: list[ComparisonOut]


class VoteOut(Schema):
    """What one person said of one comparison."""

    id: int
    comparison_id: int
    project: str
    labeler: str | None = Field(
        description="The person, or the model, that voted; engineers alone are told "
        "of people other than themselves."
    )
    is_ai: bool = Field(description="Whether a model voted.")
    round: int = Field(description="1: a planned repeat with the sides swapped.")
    choice: str = Field(description="`a`, `b`, `tie` or `both_bad`.")
    shown_left: str = Field(description="Which answer stood on the left.")
    strength: int | None = Field(description="How much better, 1 to 3.")
    details: dict[str, Any] = Field(description="What else was said.")
    guideline: int = Field(description="Version of the guidelines; 0: none.")
    ms_active: int = Field(description="How long the page was looked at.")
    created: datetime
    undone: datetime | None = Field(description="When it was taken back, if it was.")

    @staticmethod
    def resolve_project(vote: Vote) -> str:
        """Name the project by its slug."""
        return vote.comparison.project.slug

    @staticmethod
    def resolve_is_ai(vote: Vote) -> bool:
        """Say whether a model voted."""
        return vote.judge_id is not None

    @staticmethod
    def resolve_labeler(vote: Any) -> str | None:
        """Name who voted, to those who may know."""
        return str(vote.voter) if vote.is_named else None


class VotePage(PageOf):
    """Votes, newest first."""

    items: list[VoteOut]


def answer_out(generation: Generation) -> AnswerOut:
    """Return a generation as one side of a comparison."""
    return AnswerOut(
        generation_id=generation.pk,
        model=generation.choice_id,
        text=generation.text,
        receipt=generation.receipt or {},
    )


@router.get("", response=ComparisonPage, summary="List comparisons")
def list_comparisons(
    request: ApiRequest,
    cursor: Cursor,
    limit: Limit,
    *,
    project: str = "",
    source: Source = "",
    campaign: int = 0,
) -> Page:
    """List the comparisons you may see, newest first.

    Labelers see those of a campaign once it is closed: they tell which model wrote
    what.
    """
    rows = queries.comparisons_visible_to(request.user)
    if project:
        rows = rows.filter(project=get_project(request.user, project))
    if source:
        rows = rows.filter(source=source)
    if campaign:
        rows = rows.filter(
            item__campaign=find(campaigns_seen_by(request.user), campaign)
        )
    return page(rows, cursor=cursor, limit=limit)


@router.get("/{int:comparison_id}", response=ComparisonOut, summary="Get a comparison")
def get_comparison(request: ApiRequest, comparison_id: int) -> Comparison:
    """Get one comparison."""
    return find(queries.comparisons_visible_to(request.user), comparison_id)


@voting.get("", response=VotePage, summary="List votes")
def list_votes(
    request: ApiRequest,
    cursor: Cursor,
    limit: Limit,
    *,
    project: str = "",
    comparison: int = 0,
    campaign: int = 0,
    undone: bool = False,
) -> Page:
    """List the votes you may see, newest first; `undone` adds those taken back.

    Labelers see those of a campaign once it is closed.
    """
    rows = queries.votes_visible_to(request.user)
    if not undone:
        rows = queries.standing_votes(rows)
    if project:
        rows = rows.filter(comparison__project=get_project(request.user, project))
    if comparison:
        rows = rows.filter(
            comparison=find(queries.comparisons_visible_to(request.user), comparison)
        )
    if campaign:
        rows = rows.filter(
            comparison__item__campaign=find(campaigns_seen_by(request.user), campaign)
        )
    return page(rows, cursor=cursor, limit=limit)
