"""Answers Django itself gives below /api/ (404, 405, 400, 500) in the API's shape."""

from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from trivium.api.errors import error_response

PREFIX = "/api/"


class ApiErrorMiddleware:
    """Replace HTML error pages where a program is reading."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        """Keep the rest of the chain."""
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer as the rest of the chain does, errors in JSON."""
        response = self.get_response(request)
        if not request.path.startswith(PREFIX) or response.status_code < 400:
            return response
        if response.headers.get("Content-Type", "").startswith("application/json"):
            return response
        replaced = error_response(response.status_code)
        if "Allow" in response.headers:
            replaced["Allow"] = response.headers["Allow"]
        return replaced
