"""Types and small pieces shared by all views."""

from collections.abc import AsyncIterator, Callable, Iterator

from asgiref.sync import sync_to_async
from django import forms
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django_htmx.middleware import HtmxDetails

from trivium.accounts.models import User
from trivium.runs.errors import SubmitError

HTMX_STOP_POLLING = 286
MAX_SEARCHED = 200

CONTENT_SECURITY_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)


class HtmxRequest(HttpRequest):
    """A request as `django_htmx.middleware` leaves it."""

    htmx: HtmxDetails


class SignedInRequest(HtmxRequest):
    """A request behind `login_required`."""

    user: User


def searched_name(request: HttpRequest) -> str:
    """Return the part of a name a list is narrowed by (`?q=`); empty: it is not."""
    return request.GET.get("q", "").replace("\0", "").strip()[:MAX_SEARCHED]


def as_id(text: str) -> int | None:
    """Return the id an address holds, or None for anything else."""
    is_id = text.isascii() and text.isdecimal() and len(text) < 19
    return int(text) if is_id else None


def add_form_error(form: forms.Form, error: SubmitError) -> None:
    """Show what a service refused beside the field at fault, as a whole sentence."""
    text = str(error)
    sentence = text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
    form.add_error(error.field if error.field in form.fields else None, sentence)


async def stream(parts: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the same to an async server, which would hold a plain iterator whole."""
    following = sync_to_async(lambda: next(parts, b""), thread_sensitive=False)
    while part := await following():
        yield part


class ContentSecurityPolicyMiddleware:
    """Forbid what the pages never need: inline script, eval, other origins, frames."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        """Keep the rest of the chain."""
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Add the header unless the view set one of its own."""
        response = self.get_response(request)
        response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        return response
