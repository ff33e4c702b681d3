"""Every refusal has one shape: `{"error": {"message", "type", "param", "code"}}`."""

from typing import Any

from django.http import JsonResponse
from pydantic import ValidationError
from runspec.serving import ErrorEvent

INVALID = "invalid_request_error"
OF_THE_NODE = {401, 403, 409}
"""What a node says to us, not to whoever asks: our own failure then."""


FULL = "overloaded"
"""Every slot is taken, and as many wait as may: clients wait a little and ask again."""


class ApiError(Exception):
    """A refusal."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        kind: str = "",
        retry_after_s: int | None = None,
    ) -> None:
        """Keep what the body says; `kind` is made of the status if not given."""
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.kind = kind or ("server_error" if status >= 500 else INVALID)
        self.retry_after_s = retry_after_s

    def body(self) -> dict[str, Any]:
        """Return the body, which is also what ends a stream that fails."""
        return {
            "error": {
                "message": self.message,
                "type": self.kind,
                "param": self.param,
                "code": self.code,
            }
        }

    def response(self) -> JsonResponse:
        """Return it as an answer."""
        response = JsonResponse(self.body(), status=self.status)
        if self.status == 401:
            response["WWW-Authenticate"] = "Bearer"
        if self.retry_after_s is not None:
            response["Retry-After"] = str(self.retry_after_s)
        return response


def invalid(
    message: str, param: str | None = None, code: str | None = None
) -> ApiError:
    """Return the refusal of a request that is wrong."""
    return ApiError(400, message, param=param, code=code)


def from_event(event: ErrorEvent) -> ApiError:
    """Return what a node or endpoint said as the API says it."""
    status = 502 if event.status in OF_THE_NODE else event.status
    if event.code == FULL:
        status = 429
    retry = {429: 1, 503: 1}.get(status)
    kind = "rate_limit_error" if status == 429 else ""
    return ApiError(
        status,
        event.message,
        code=event.code or None,
        param=event.param,
        kind=kind,
        retry_after_s=retry,
    )


def from_validation(error: ValidationError) -> ApiError:
    """Return one thing that is wrong with a body, and where it is.

    Where several types were tried, what we say ourselves of one tells most.
    """
    errors = error.errors(include_url=False, include_input=False)
    ours = (one for one in errors if one["type"] == "value_error")
    first = next(ours, errors[0])
    param = ".".join(named(first["loc"])) or None
    text = str(first["msg"]).removeprefix("Value error, ")
    if first["type"] == "json_invalid":
        return invalid(f"the body is not JSON: {text}")
    return invalid(f"{param}: {text}" if param else text, param)


def named(location: tuple[str | int, ...]) -> list[str]:
    """Return where something is wrong, as the sender wrote it.

    Pydantic also tells which of several types was tried (`str`, `list[int]`).
    """
    tried = {"str", "int", "float", "bool"}
    return [
        str(part)
        for part in location
        if isinstance(part, int) or not (part in tried or "[" in part)
    ]
