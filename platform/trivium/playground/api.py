"""`/api/v1/generations`: answers, begun, read and stopped by programs.

They are those of the playground: logs that outlive whoever reads them. An answer is
written while somebody reads it, so a program begins one and then waits for it.
"""

import asyncio
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, Any, Literal

from asgiref.sync import async_to_sync
from django.db.models import QuerySet
from django.http import HttpResponse
from ninja import Query, Router, Schema
from pydantic import Field
from runspec.serving import MAX_PROMPT_CHARACTERS, Prompt, Sampling

from trivium.accounts.models import User
from trivium.api.auth import ApiRequest
from trivium.api.errors import ApiError
from trivium.api.idempotency import once
from trivium.api.pagination import Cursor, Limit, Page, PageOf, find, page
from trivium.api.schema import Body
from trivium.playground import log, services, streaming
from trivium.playground.fitting import prompt_of
from trivium.playground.models import Generation
from trivium.playground.queries import generations_visible_to
from trivium.playground.views_stream import stop
from trivium.projects.queries import get_project
from trivium.serving.choices import ModelChoice, find_choice
from trivium.serving.errors import ChoiceNotFoundError

router = Router()

MAX_WAIT_S = 60.0
MAX_MESSAGES = 1_000
MAX_EVENTS = 1_000


class MessageIn(Body):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str = Field(max_length=MAX_PROMPT_CHARACTERS)


class GenerateIn(Body):
    """What to ask which model: messages, or a text to go on with."""

    project: str = Field(description="Address of the project it belongs to.")
    model: str = Field(description="Id of a model, as `GET /v1/models` has it.")
    messages: list[MessageIn] = Field(
        [],
        max_length=MAX_MESSAGES,
        description="A conversation. Models that were only pretrained get its text.",
    )
    text: str = Field(
        "", max_length=MAX_PROMPT_CHARACTERS, description="A text to go on with."
    )
    sampling: Sampling = Field(
        Sampling(), description="How tokens are chosen; without a seed one is drawn."
    )


class StopIn(Body):
    """How much of an answer was seen."""

    seen: int | None = Field(
        None,
        ge=0,
        lt=2**31,
        description="Last event that counts; later ones are not kept. None: all.",
    )


class GenerationOut(Schema):
    """An answer, as far as it is written."""

    id: int
    project: str
    model: str = Field(alias="choice_id")
    state: str = Field(
        description="`new`, `running`, `suspended` (nobody reads), `done`, `stopped` "
        "or `failed`."
    )
    text: str
    token_ids: list[int]
    finish_reason: str
    error: str = Field(description="Why it failed; empty where it did not.")
    seed: int | None
    receipt: dict[str, Any] | None = Field(description="How it was made.")
    timings: dict[str, float] | None
    slot_free_after_ms: float | None = Field(
        alias="freed_ms", description="After a stop: when its slot was free."
    )
    created: datetime
    ended: datetime | None

    @staticmethod
    def resolve_project(generation: Generation) -> str:
        """Name the project by its address."""
        return generation.project.slug

    @staticmethod
    def resolve_text(generation: Generation) -> str:
        """Return what is written, also while it is being written."""
        return generation.text if generation.is_over else text_so_far(generation)

    @staticmethod
    def resolve_token_ids(generation: Generation) -> list[int]:
        """Return the tokens of that text."""
        if generation.is_over:
            return list(generation.token_ids)
        own = [int(token["id"]) for token in log.tokens_of(generation)]
        return [*generation.given_ids, *own]

    @staticmethod
    def resolve_seed(generation: Generation) -> int | None:
        """Return the seed, which a repetition needs."""
        seed: int | None = generation.sampling.get("seed")
        return seed


class GenerationPage(PageOf):
    """Answers, newest first."""

    items: list[GenerationOut]


class EventsOut(Schema):
    """A part of the log of an answer."""

    items: list[dict[str, Any]] = Field(
        description="Each with its `seq` and `type`: `start`, `tokens`, and last one "
        "of `done`, `stopped`, `failed`."
    )


def readable_by(user: User) -> QuerySet[Generation]:
    """Return the answers a program may read for a person.

    Not those of a blind comparison before its vote: model and receipt would tell which
    is which.
    """
    return generations_visible_to(user).exclude(
        place__lineup__is_blind=True, place__lineup__revealed=None
    )


def text_so_far(generation: Generation) -> str:
    """Return the text of an answer that is still being written."""
    entries = log.entries_after(generation.pk, 0)
    own = [entry.payload.get("text", "") for entry in entries]
    return "".join([generation.given_text, *own])


def visible_generation(request: ApiRequest, generation_id: int) -> Generation:
    """Return an answer the caller may read."""
    visible = readable_by(request.user)
    return find(visible.select_related("project", "created_by"), generation_id)


@router.get("", response=GenerationPage, summary="List generations")
def list_generations(
    request: ApiRequest, cursor: Cursor, limit: Limit, project: str = ""
) -> Page:
    """List the answers you may read: your own, and those in shared conversations."""
    rows = readable_by(request.user).select_related("project")
    if project:
        rows = rows.filter(project=get_project(request.user, project))
    return page(rows, cursor=cursor, limit=limit)


@router.post("", response={201: GenerationOut}, summary="Begin a generation")
def start_generation(request: ApiRequest, payload: GenerateIn) -> HttpResponse:
    """Write down what is asked. It begins once somebody reads it with `wait`."""
    project = get_project(request.user, payload.project)
    choice = writing_choice(request, payload.model)
    prompt = prompt_in(payload, choice)

    def act() -> GenerationOut:
        generation = services.generate(
            project=project,
            sender=request.user,
            choice=choice,
            prompt=prompt,
            sampling=payload.sampling,
        )
        return GenerationOut.from_orm(generation)

    return once(request, act)


def writing_choice(request: ApiRequest, model: str) -> ModelChoice:
    """Return a model that answers with text."""
    try:
        choice = find_choice(request.user, model)
    except ChoiceNotFoundError as error:
        raise ApiError(404, str(error), field="model") from None
    if not choice.can_write:
        raise ApiError(422, f"{choice.id} writes no text", field="model")
    return choice


def prompt_in(payload: GenerateIn, choice: ModelChoice) -> Prompt:
    """Return what the model is given."""
    if bool(payload.messages) == bool(payload.text):
        raise ApiError(422, "give either messages or text", field="messages")
    if payload.text:
        return Prompt(text=payload.text)
    if sum(len(one.content) for one in payload.messages) > MAX_PROMPT_CHARACTERS:
        raise ApiError(
            422,
            f"more than {MAX_PROMPT_CHARACTERS:,} characters in all",
            field="messages",
        )
    return prompt_of(choice, [one.model_dump() for one in payload.messages])


@router.get("/{int:generation_id}", response=GenerationOut, summary="Read a generation")
def read_generation(
    request: ApiRequest,
    generation_id: int,
    wait: Annotated[
        float,
        Query(
            0,
            description="Seconds to wait for its end; it is written meanwhile.",
            ge=0,
            le=MAX_WAIT_S,
        ),
    ] = 0,
) -> Generation:
    """Read an answer, and keep it going for up to `wait` seconds."""
    generation = visible_generation(request, generation_id)
    if wait and not generation.is_over:
        async_to_sync(read_to_the_end)(generation.pk, wait)
        generation = visible_generation(request, generation_id)
    return generation


async def read_to_the_end(generation_id: int, wait_s: float) -> None:
    """Be a reader of an answer until it is over, or the time is."""
    try:
        async with (
            asyncio.timeout(wait_s),
            aclosing(streaming.read(generation_id, 0)) as entries,
        ):
            async for _ in entries:
                pass
    except TimeoutError:
        return


@router.get(
    "/{int:generation_id}/events", response=EventsOut, summary="Read its events"
)
def list_events(
    request: ApiRequest,
    generation_id: int,
    after: Annotated[int, Query(0, ge=0, lt=2**31, description="`seq` seen.")] = 0,
) -> dict[str, Any]:
    """Read the next events of its log, oldest first, each token with its logprob."""
    generation = visible_generation(request, generation_id)
    entries = log.entries_after(generation.pk, after)[:MAX_EVENTS]
    return {"items": [{"seq": one.seq} | one.payload for one in entries]}


@router.post(
    "/{int:generation_id}/stop", response=GenerationOut, summary="Stop a generation"
)
def stop_generation(
    request: ApiRequest, generation_id: int, payload: StopIn
) -> Generation:
    """End an answer of yours at its next token, with what was seen; 409 if over."""
    generation = visible_generation(request, generation_id)
    mine = readable_by(request.user).filter(created_by=request.user)
    find(mine, generation_id)
    if generation.is_over:
        raise ApiError(409, f"this generation is {generation.state} already")
    async_to_sync(stop)(generation, payload.seen)
    return visible_generation(request, generation_id)
