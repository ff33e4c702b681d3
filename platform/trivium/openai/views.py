"""`/v1/…` (docs/openai.md)."""

import base64
import struct
import uuid
from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from runspec.serving import EmbedRequest, GenerateRequest

from trivium.openai.asking import chat_request, completion_requests
from trivium.openai.calling import answers, read_body
from trivium.openai.errors import ApiError, invalid
from trivium.openai.limits import Caller, admit_call, end_call
from trivium.openai.models import ApiCall
from trivium.openai.schema import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    Sampled,
)
from trivium.openai.shapes import ChatShaper, CompletionShaper, Head, Shaper
from trivium.openai.streaming import answer_chunks, first_of, merged, whole_answer
from trivium.serving import client
from trivium.serving.choices import ModelChoice, choices_of, find_choice
from trivium.serving.client import in_thread

EMBED_AT_ONCE = 256
"""Texts a node takes in one call."""


@answers("GET")
async def list_models(_request: HttpRequest, caller: Caller) -> HttpResponseBase:
    """List what the caller can talk to."""
    found = await in_thread(choices_of)(caller.user)
    return JsonResponse({"object": "list", "data": [told(one) for one in found]})


@answers("GET")
async def show_model(
    _request: HttpRequest, caller: Caller, model_id: str
) -> HttpResponseBase:
    """Tell of one model, checkpoint or model of an endpoint."""
    return JsonResponse(told(await in_thread(find_choice)(caller.user, model_id)))


def told(choice: ModelChoice) -> dict[str, Any]:
    """Return a model in the official shape."""
    return {
        "id": choice.id,
        "object": "model",
        "created": int(choice.created.timestamp()),
        "owned_by": choice.owner,
    }


@answers("POST")
async def chat_completions(request: HttpRequest, caller: Caller) -> HttpResponseBase:
    """Answer a conversation."""
    asked = read_body(request, ChatRequest)
    choice = await in_thread(find_choice)(caller.user, asked.model)
    head = Head(id=f"chatcmpl-{uuid.uuid4().hex}", model=choice.id)
    requests = [chat_request(choice, asked, head.id)]
    return await respond(caller, choice, asked, requests, ChatShaper(head, asked))


@answers("POST")
async def completions(request: HttpRequest, caller: Caller) -> HttpResponseBase:
    """Go on with a text, or several."""
    asked = read_body(request, CompletionRequest)
    choice = await in_thread(find_choice)(caller.user, asked.model)
    head = Head(id=f"cmpl-{uuid.uuid4().hex}", model=choice.id)
    requests = completion_requests(choice, asked, head.id)
    return await respond(caller, choice, asked, requests, CompletionShaper(head, asked))


async def respond(
    caller: Caller,
    choice: ModelChoice,
    asked: Sampled,
    requests: Sequence[GenerateRequest],
    shaper: Shaper,
) -> HttpResponseBase:
    """Let the model answer, whole or as a stream."""
    call: ApiCall = await in_thread(admit_call)(caller)
    is_streaming = False
    events = merged([client.generate(choice, one) for one in requests])
    try:
        if not asked.stream:
            return JsonResponse(await whole_answer(events, shaper))
        first = await first_of(events)
        response = StreamingHttpResponse(
            answer_chunks(first, events, shaper, call, has_usage=asked.has_usage),
            content_type="text/event-stream",
        )
        response["Cache-Control"] = "no-cache, no-store"
        response["X-Accel-Buffering"] = "no"
        is_streaming = True
        return response
    finally:
        # A stream counts itself out, when it has ended.
        if not is_streaming:
            await events.aclose()
            await in_thread(end_call)(call, tokens=shaper.usage.total)


@answers("POST")
async def embeddings(request: HttpRequest, caller: Caller) -> HttpResponseBase:
    """Turn texts into vectors."""
    asked = read_body(request, EmbeddingRequest)
    choice = await in_thread(find_choice)(caller.user, asked.model)
    call: ApiCall = await in_thread(admit_call)(caller)
    num_tokens = 0
    try:
        vectors: list[tuple[float, ...]] = []
        for start in range(0, len(asked.texts), EMBED_AT_ONCE):
            texts = tuple(asked.texts[start : start + EMBED_AT_ONCE])
            wanted = EmbedRequest(model=choice.ref, texts=texts)
            found = await client.call(choice, "/embed", wanted)
            vectors += found.vectors
            num_tokens += found.num_tokens
    finally:
        await in_thread(end_call)(call, tokens=num_tokens)
    size = len(vectors[0])
    if asked.dimensions not in (None, size):
        raise invalid(
            f"{choice.id} makes vectors of {size} numbers, and of no other length",
            "dimensions",
        )
    return JsonResponse(
        {
            "object": "list",
            "data": [
                {
                    "object": "embedding",
                    "index": index,
                    "embedding": written(vector, asked.encoding_format),
                }
                for index, vector in enumerate(vectors)
            ],
            "model": choice.id,
            "usage": {"prompt_tokens": num_tokens, "total_tokens": num_tokens},
        }
    )


def written(vector: tuple[float, ...], encoding: str | None) -> list[float] | str:
    """Return a vector as numbers, or as little-endian float32 in base64."""
    if encoding != "base64":
        return list(vector)
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


@answers("")
async def not_found(request: HttpRequest, _caller: Caller) -> HttpResponseBase:
    """Refuse other addresses in the shape clients read."""
    raise ApiError(
        404,
        f"nothing is at {request.path[:200]}; there are /v1/models, "
        "/v1/chat/completions, /v1/completions and /v1/embeddings",
        code="not_found",
    )
