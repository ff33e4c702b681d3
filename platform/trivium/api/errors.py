"""Every refusal has one shape: `{"error": {"type", "message", "field"?}}`."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import pydantic
from django.core.exceptions import (
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.db import IntegrityError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.multipartparser import MultiPartParserError
from ninja import NinjaAPI
from ninja.errors import HttpError
from ninja.errors import ValidationError as RequestError
from runspec import SPECS

from trivium.datasets.services import InUseError
from trivium.runs.errors import IllegalTransitionError

logger = logging.getLogger(__name__)

TYPES = {
    400: "invalid_request",
    401: "authentication_error",
    403: "permission_denied",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "too_large",
    422: "invalid_request",
    429: "too_many_requests",
    503: "unavailable",
}
MESSAGES = {
    400: "the request could not be understood",
    401: "send a token as `Authorization: Bearer tv_…`, or sign in",
    403: "you may not do this",
    404: "nothing is here, or it is not yours to see",
    405: "this address does not answer that method",
    409: "another request did the same at the same moment",
    413: "the request is too large",
    500: "something went wrong here; the server's log says what",
    503: "the database does not answer; try again in a moment",
}
MAX_NAMED = 5
"""Wrong fields named in one message."""


class ApiError(HttpError):
    """A refusal that names the field at fault."""

    def __init__(self, status: int, message: str, *, field: str = "") -> None:
        """Keep the field beside the message."""
        super().__init__(status, message)
        self.field = field


def error_response(status: int, message: str = "", *, field: str = "") -> HttpResponse:
    """Build a refusal in the one shape all of them have."""
    error = {
        "type": TYPES.get(status, "internal_error" if status >= 500 else "error"),
        "message": message or MESSAGES.get(status, MESSAGES[400]),
    }
    if field:
        error["field"] = field
    response = JsonResponse({"error": error}, status=status)
    if status == 401:
        response["WWW-Authenticate"] = "Bearer"
    if status == 503:
        response["Retry-After"] = "5"
    return response


def invalid_response(errors: Sequence[Mapping[str, Any]]) -> HttpResponse:
    """Turn pydantic's list of errors into one sentence and the first wrong field."""
    fields = [_field(error.get("loc", ())) for error in errors]
    named = [
        f"{field}: {_sentence(error)}" if field else _sentence(error)
        for field, error in zip(fields, errors, strict=True)
    ][:MAX_NAMED]
    if len(errors) > MAX_NAMED:
        named.append(f"and {len(errors) - MAX_NAMED} more")
    return error_response(422, "; ".join(named), field=next(iter(fields), ""))


def _sentence(error: Mapping[str, Any]) -> str:
    return str(error.get("msg", "")).removeprefix("Value error, ")


def _field(location: Sequence[str | int]) -> str:
    """Return the name a caller knows: without where it lies and the kind of a spec."""
    parts = [str(part) for part in location]
    if parts[:1] in (["body"], ["query"], ["path"], ["form"], ["file"], ["header"]):
        parts = parts[1:]
    if parts[:1] == ["payload"]:
        parts = parts[1:]
    if parts[:1] == ["spec"] and len(parts) > 1:
        parts = parts[1:]
        if parts[0] in SPECS:
            parts = parts[1:]
    return ".".join(parts)


STATUS_BY_EXCEPTION: dict[type[Exception], int] = {
    Http404: 404,
    PermissionDenied: 403,
    IllegalTransitionError: 409,
    InUseError: 409,
    IntegrityError: 409,
    OperationalError: 503,
    RequestDataTooBig: 413,
    SuspiciousOperation: 400,
    MultiPartParserError: 400,
}
TOLD = (PermissionDenied, IllegalTransitionError, InUseError)
"""Exceptions whose text was written for the person who asked."""


def respond(request: HttpRequest, error: Exception | type[Exception]) -> HttpResponse:
    """Answer any exception an operation lets out."""
    assert isinstance(error, Exception)
    match error:
        case HttpError():
            message = "" if str(error) == "Unauthorized" else str(error)
            field = getattr(error, "field", "")
            return error_response(error.status_code, message, field=field)
        case RequestError():
            return invalid_response(error.errors)
        case pydantic.ValidationError():
            return invalid_response(
                error.errors(include_url=False, include_input=False)
            )
    for kind, status in STATUS_BY_EXCEPTION.items():
        if isinstance(error, kind):
            logger.info("%s %s: %s", request.method, request.path, error)
            told = isinstance(error, TOLD)
            return error_response(status, str(error) if told else "")
    field = getattr(error, "field", None)
    if isinstance(error, ValueError) and field is not None:
        return error_response(422, str(error), field=field)
    logger.error("%s %s failed", request.method, request.path, exc_info=error)
    return error_response(500)


def add_handlers(api: NinjaAPI) -> None:
    """Let `respond` answer everything."""
    for kind in (Exception, HttpError, Http404, RequestError):
        api.add_exception_handler(kind, respond)
