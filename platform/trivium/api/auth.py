"""Who is asking: a bearer token, or a browser's session with its CSRF token."""

from django.conf import settings
from django.http import HttpRequest
from ninja.errors import HttpError
from ninja.security import APIKeyCookie, HttpBearer

from trivium.accounts import services
from trivium.accounts.models import ApiToken, User

SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


class ApiRequest(HttpRequest):
    """A request whose caller is known."""

    user: User


class BearerToken(HttpBearer):
    """`Authorization: Bearer tv_…`. A wrong token is refused, never ignored."""

    def authenticate(self, request: HttpRequest, token: str) -> User:
        """Return the token's owner, within the token's scope."""
        found = services.authenticate_token(token)
        if found is None:
            raise HttpError(401, "this token is unknown, expired or revoked")
        if not is_in_scope(found.scope, request.method or ""):
            raise HttpError(
                403,
                f"a token of scope {found.scope!r} may not {request.method} this; "
                "make one of scope 'full'",
            )
        request.user = found.user
        return found.user


class BrowserSession(APIKeyCookie):
    """The session of a signed-in browser; writing needs its CSRF token as well."""

    param_name = settings.SESSION_COOKIE_NAME

    def authenticate(self, request: HttpRequest, key: str | None) -> User | None:  # noqa: ARG002 - Django has read the cookie
        """Return the signed-in person, if there is one."""
        user = request.user
        return user if isinstance(user, User) and user.is_active else None


def is_in_scope(scope: str, method: str) -> bool:
    """Whether a token of `scope` may use `method` on this API."""
    if scope == ApiToken.Scope.FULL:
        return True
    return scope == ApiToken.Scope.READ and method in SAFE_METHODS
