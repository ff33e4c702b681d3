"""Around every call: who asks, how large it is, and how it is refused."""

import logging
import uuid
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, TypeVar

from django.db import DatabaseError
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from pydantic import ValidationError

from trivium.accounts import services as accounts
from trivium.accounts.queries import TALKING
from trivium.openai.errors import ApiError, from_event, from_validation
from trivium.openai.limits import Caller
from trivium.openai.schema import Asked
from trivium.serving.client import in_thread
from trivium.serving.errors import ServingError

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 8 * 2**20

Body = TypeVar("Body", bound=Asked)


View = Callable[..., Coroutine[Any, Any, HttpResponseBase]]


def answers(method: str) -> Callable[[View], View]:
    """Let a view answer this method, for callers with a token, errors in one shape.

    The view gets the request and the `Caller`. Without a method it answers all.
    """

    def wrap(view: View) -> View:
        @csrf_exempt  # a bearer token is no cookie: nothing sends it by itself
        @wraps(view)
        async def answer(
            request: HttpRequest, *args: Any, **kwargs: Any
        ) -> HttpResponseBase:
            try:
                if method and request.method != method:
                    raise ApiError(
                        405,
                        f"this address answers {method}, not {request.method}",
                        code="method_not_allowed",
                    )
                caller = await in_thread(find_caller)(request)
                response = await view(request, caller, *args, **kwargs)
            except Exception as error:  # noqa: BLE001 - nothing may leave as a page
                failure = as_api_error(request, error)
                response = failure.response()
                if failure.status == 405:
                    response["Allow"] = method
            response["X-Request-Id"] = uuid.uuid4().hex
            return response

        return answer

    return wrap


def as_api_error(request: HttpRequest, error: Exception) -> ApiError:
    """Return what a client is told of an exception."""
    match error:
        case ApiError():
            return error
        case ServingError():
            return from_event(error.event)
        case DatabaseError():
            logger.warning("%s: the database does not answer: %s", request.path, error)
            return ApiError(
                503, "the database does not answer; try again", retry_after_s=1
            )
    logger.error("%s %s failed", request.method, request.path, exc_info=error)
    return ApiError(500, "something went wrong here; the server's log says what")


def find_caller(request: HttpRequest) -> Caller:
    """Return whose token a request carries.

    Raises:
        ApiError: it carries none, a wrong one, or one that may not do this.
    """
    kind, _, secret = request.headers.get("Authorization", "").partition(" ")
    secret = secret.strip()
    if kind.lower() != "bearer" or not secret:
        raise ApiError(
            401,
            "no API key was sent: make a token under “You”, and send it as "
            "`Authorization: Bearer tv_…`",
            code="invalid_api_key",
        )
    token = accounts.authenticate_token(secret)
    if token is None:
        raise ApiError(
            401,
            "this API key is unknown, expired or revoked",
            code="invalid_api_key",
        )
    if token.scope not in TALKING:
        raise ApiError(
            403,
            f"a token of scope {token.scope!r} may not talk to models; make one of "
            "scope 'inference'",
            code="insufficient_scope",
            kind="permission_error",
        )
    return Caller(token.user, token)


def read_body(request: HttpRequest, kind: type[Body]) -> Body:
    """Return what is asked.

    Raises:
        ApiError: it is too large, or not what this address takes.
    """
    told = request.META.get("CONTENT_LENGTH") or "0"
    is_large = told.isdecimal() and int(told) > MAX_BODY_BYTES
    raw = b"" if is_large else request.read(MAX_BODY_BYTES + 1)
    if is_large or len(raw) > MAX_BODY_BYTES:
        raise ApiError(
            413,
            f"the request is larger than {MAX_BODY_BYTES // 2**20} MiB",
            code="request_too_large",
        )
    try:
        return kind.model_validate_json(raw)
    except ValidationError as error:
        raise from_validation(error) from error
