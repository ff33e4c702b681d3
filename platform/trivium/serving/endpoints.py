"""Servers that speak the OpenAI API, asked as nodes are (`endpoint_words`)."""

import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import httpx
from runspec.serving import Embedded, EmbedRequest, GenerateRequest, StreamEvent

from trivium.serving.choices import ModelChoice
from trivium.serving.endpoint_words import Translation, asked, prompt_event
from trivium.serving.errors import ServingError
from trivium.serving.keys import UnreadableKeyError, decrypt_key
from trivium.serving.models import Endpoint

logger = logging.getLogger(__name__)

CONNECT_S = 5.0
SILENCE_S = 300.0
LOOK_S = 10.0
MOST_LISTED_BYTES = 4 * 2**20
MOST_LINE = 4 * 2**20
UNREACHED = (httpx.HTTPError, httpx.InvalidURL, UnicodeError)
MALFORMED = (ValueError, TypeError, KeyError, AttributeError, RecursionError)
"""What reading the answer of a strange server may raise; pydantic's are ValueErrors."""
PASSED_ON = {400, 404, 413, 429}
"""What an endpoint says of the request itself; other failures are its own (502)."""


def client_for(
    endpoint: Endpoint, *, timeout_s: float = SILENCE_S
) -> httpx.AsyncClient:
    """Return a client that sends the key, and follows nobody elsewhere with it.

    Raises:
        ServingError: the key cannot be read.
    """
    try:
        key = decrypt_key(bytes(endpoint.api_key_encrypted))
    except UnreadableKeyError as error:
        raise ServingError(
            503, "endpoint_unavailable", f"endpoint {endpoint.name}: {error}"
        ) from error
    return httpx.AsyncClient(
        headers={"Authorization": f"Bearer {key}"} if key else {},
        timeout=httpx.Timeout(timeout_s, connect=CONNECT_S),
        follow_redirects=False,
        trust_env=False,
    )


async def list_models(endpoint: Endpoint) -> list[str]:
    """Ask an endpoint for the ids of its models; also the way to test one.

    Raises:
        ServingError: it cannot be reached, or does not answer as the API has it.
    """
    try:
        async with (
            client_for(endpoint, timeout_s=LOOK_S) as client,
            client.stream("GET", f"{endpoint.url}/models") as response,
        ):
            body = b""
            async for part in response.aiter_bytes():
                body += part
                if len(body) > MOST_LISTED_BYTES:
                    raise _unlike(endpoint, "its list of models never ends")
    except UNREACHED as error:
        raise _unreachable(endpoint, error) from error
    if response.status_code != 200:
        raise _refused(endpoint, response.status_code, body)
    try:
        return [str(one["id"]) for one in json.loads(body)["data"]]
    except MALFORMED:
        raise _unlike(endpoint, "it did not answer with a list of models") from None


# Generating --------------------------------------------------------------------------


async def generate(
    choice: ModelChoice, request: GenerateRequest
) -> AsyncGenerator[StreamEvent, None]:
    """Yield what an endpoint answers; the last event is terminal, always."""
    endpoint = choice.endpoint
    assert endpoint is not None
    try:
        path, body = asked(choice, request)
        translation = Translation(is_chat="chat" in path)
        chunks = _chunks(endpoint, path, body)
        has_begun = False
        async with aclosing(chunks):
            async for chunk in chunks:
                if not has_begun:  # not before: a refusal shall come first
                    has_begun = True
                    yield prompt_event(choice, request)
                for event in translation.events(chunk):
                    yield event
        if len(translation.finished) < request.n:
            raise _unlike(endpoint, "it broke off in the middle of the answer")
        yield translation.end()
    except ServingError as error:
        yield error.event
    except MALFORMED as error:
        logger.warning("Endpoint %s: %r", endpoint.name, error)
        yield _unlike(endpoint, "its answer is not what the OpenAI API has").event


async def _chunks(
    endpoint: Endpoint, path: str, body: dict[str, Any]
) -> AsyncGenerator[dict[str, Any], None]:
    """Yield the chunks of a stream, up to `[DONE]`.

    Raises:
        ServingError: it was refused, or broke off.
    """
    try:
        async with (
            client_for(endpoint) as client,
            client.stream("POST", f"{endpoint.url}{path}", json=body) as response,
        ):
            if response.status_code != 200:
                raise _refused(endpoint, response.status_code, await response.aread())
            async for line in _lines(endpoint, response):
                if not line.startswith("data:"):
                    continue
                text = line.removeprefix("data:").strip()
                if text == "[DONE]":
                    return
                chunk = json.loads(text)
                if "error" in chunk:
                    raise _refused(endpoint, 502, text.encode())
                yield chunk
    except UNREACHED as error:
        raise _unreachable(endpoint, error) from error


async def _lines(endpoint: Endpoint, response: httpx.Response) -> AsyncIterator[str]:
    async for line in response.aiter_lines():
        if len(line) > MOST_LINE:
            raise _unlike(endpoint, "it sent a line without an end")
        yield line


# Other calls -------------------------------------------------------------------------


async def call(choice: ModelChoice, path: str, request: Any) -> Embedded:
    """Make embeddings; nothing else the wire has can be asked of an endpoint.

    Raises:
        ServingError: it was something else, or the endpoint failed.
    """
    endpoint = choice.endpoint
    assert endpoint is not None
    if not isinstance(request, EmbedRequest):
        raise ServingError(
            400,
            "model_not_suitable",
            f"{choice.id} runs elsewhere and can only be talked to: {path} needs a "
            "model of this installation",
            param="model",
        )
    body = {"model": choice.remote_id, "input": list(request.texts)}
    try:
        async with client_for(endpoint) as client:
            response = await client.post(f"{endpoint.url}/embeddings", json=body)
    except UNREACHED as error:
        raise _unreachable(endpoint, error) from error
    if response.status_code != 200:
        raise _refused(endpoint, response.status_code, response.content)
    try:
        told = response.json()
        rows = sorted(told["data"], key=lambda row: row["index"])
        vectors = tuple(tuple(row["embedding"]) for row in rows)
        count = int((told.get("usage") or {}).get("prompt_tokens") or 0)
        return Embedded(vectors=vectors, num_tokens=count)
    except MALFORMED:
        raise _unlike(endpoint, "its answer holds no embeddings") from None


# What goes wrong ---------------------------------------------------------------------


def _refused(endpoint: Endpoint, status: int, body: bytes) -> ServingError:
    told = f"status {status}"
    code = "endpoint_failed"
    try:
        error = json.loads(body)["error"]
        told = str(error["message"] if isinstance(error, dict) else error)[:500]
        if isinstance(error, dict) and isinstance(error.get("code"), str):
            code = error["code"]
    except MALFORMED:
        pass
    if status not in PASSED_ON:
        status, code = 502, "endpoint_failed"
    return ServingError(status, code, f"endpoint {endpoint.name}: {told}")


def _unreachable(endpoint: Endpoint, error: Exception) -> ServingError:
    logger.warning("Endpoint %s: %r", endpoint.name, error)
    return ServingError(
        502,
        "endpoint_unreachable",
        f"endpoint {endpoint.name} does not answer ({type(error).__name__})",
    )


def _unlike(endpoint: Endpoint, what: str) -> ServingError:
    return ServingError(502, "endpoint_failed", f"endpoint {endpoint.name}: {what}")
