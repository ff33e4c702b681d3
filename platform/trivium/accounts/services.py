"""Every write to accounts and to the secrets that stand for them.

Secrets are 256 random bits, so one round of SHA-256 is enough to store them: there is
nothing to guess, unlike with passwords.
"""

import hashlib
import secrets
from datetime import datetime, timedelta

from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from trivium.accounts.models import ApiToken, SignInLink, User
from trivium.naming import clean_name, free_name
from trivium.projects.models import Membership, Project, Role
from trivium.projects.services import add_member, create_project
from trivium.runs.errors import SubmitError

LINK_LIFETIME = timedelta(minutes=15)
FIRST_START_LIFETIME = timedelta(hours=24)
INVITATION_LIFETIME = timedelta(hours=72)
TOKEN_PREFIX = "tv_"  # noqa: S105 - the mark of a token, no token
LAST_USED_GRAIN = timedelta(minutes=1)
MAX_TOKEN_NAME = 100


def secret_sha256(secret: str) -> str:
    """Return what is stored of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


# First start and sign-in links ---------------------------------------------------


@transaction.atomic
def ensure_first_admin() -> User:
    """Return an admin of the installation; on first start make one, and a project.

    The new admin has no usable password: a sign-in link is the only way in until
    they set one.
    """
    admin = User.objects.filter(is_superuser=True, is_active=True).order_by("pk")
    if found := admin.first():
        return found
    user = User.objects.create_superuser(free_name("admin", _is_user, joint="-"))
    if not Project.objects.exists():
        create_project(name="My project", created_by=user)
    return user


def create_sign_in_link(user: User, *, lifetime: timedelta = LINK_LIFETIME) -> str:
    """Return the path of a link that signs `user` in once, within `lifetime`."""
    secret = secrets.token_urlsafe(32)
    now = timezone.now()
    SignInLink.objects.filter(expires__lt=now - timedelta(days=30)).delete()
    SignInLink.objects.create(
        user=user, sha256=secret_sha256(secret), expires=now + lifetime
    )
    return reverse("accounts:sign-in-link", args=[secret])


def use_sign_in_link(secret: str) -> User | None:
    """Return whom a link signs in, and spend it; None if spent, expired or unknown."""
    now = timezone.now()
    link = SignInLink.objects.filter(
        sha256=secret_sha256(secret), user__is_active=True
    ).select_related("user")
    found = link.first()
    if found is None:
        return None
    # One guarded update: of two visits at the same moment, one changes no row.
    is_ours = SignInLink.objects.filter(
        pk=found.pk, used__isnull=True, expires__gt=now
    ).update(used=now)
    return found.user if is_ours else None


# People ----------------------------------------------------------------------------


def checked_username(raw: str) -> str:
    """Return a usable username.

    Raises:
        SubmitError: it is empty, too long, or has characters that names here lack.
    """
    username = clean_name(raw, field="username")
    if not username:
        raise SubmitError("a person needs a username", field="username")
    if len(username) > 150:
        raise SubmitError("a username has at most 150 characters", field="username")
    try:
        UnicodeUsernameValidator()(username)
    except ValidationError:
        raise SubmitError(
            f"{username!r} is no username: letters, digits and @ . + - _ only",
            field="username",
        ) from None
    return username


def _find_user(username: str) -> User | None:
    return User.objects.filter(username__iexact=username).first()


def _is_user(username: str) -> bool:
    return _find_user(username) is not None


@transaction.atomic
def invite_member(
    *, project: Project, username: str, role: Role, email: str = ""
) -> tuple[Membership, str]:
    """Make a person a member, with a new account where they have none.

    Returns the membership and, for a new account only, the path of a one-time link to
    hand over. An existing account gets no link: whoever invites must not be able to
    sign in as someone else.

    Raises:
        SubmitError: the username is unusable, or they are a member already.
    """
    cleaned = checked_username(username)
    user = _find_user(cleaned)
    if user is not None:
        return add_member(project=project, user=user, role=role), ""
    user = User.objects.create_user(cleaned, email=email)
    membership = add_member(project=project, user=user, role=role)
    return membership, create_sign_in_link(user, lifetime=INVITATION_LIFETIME)


def update_profile(*, user: User, first_name: str, last_name: str, email: str) -> None:
    """Store how a person wants to be called and reached.

    Raises:
        SubmitError: a name holds invisible characters or is too long.
    """
    user.first_name = clean_name(first_name, field="first_name")
    user.last_name = clean_name(last_name, field="last_name")
    user.email = email
    user.save(update_fields=["first_name", "last_name", "email"])


# API tokens ------------------------------------------------------------------------


def create_token(
    *,
    user: User,
    name: str,
    scope: ApiToken.Scope = ApiToken.Scope.FULL,
    expires: datetime | None = None,
) -> tuple[ApiToken, str]:
    """Return a new API token and its secret, which is stored nowhere.

    Raises:
        SubmitError: the name is unusable.
    """
    cleaned = clean_name(name)
    if not cleaned:
        raise SubmitError("a token needs a name: say what will use it", field="name")
    if len(cleaned) > MAX_TOKEN_NAME:
        raise SubmitError(
            f"a token's name has at most {MAX_TOKEN_NAME} characters", field="name"
        )
    secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
    token = ApiToken.objects.create(
        user=user,
        name=cleaned,
        prefix=secret[:8],
        sha256=secret_sha256(secret),
        scope=scope,
        expires=expires,
    )
    return token, secret


def authenticate_token(secret: str) -> ApiToken | None:
    """Return the valid token a secret belongs to, with its user, or None."""
    now = timezone.now()
    token = (
        ApiToken.objects.select_related("user")
        .filter(
            Q(expires__isnull=True) | Q(expires__gt=now),
            sha256=secret_sha256(secret),
            revoked__isnull=True,
            user__is_active=True,
        )
        .first()
    )
    if token is None:
        return None
    # Not on every request: reading must not cost a write each time.
    if token.last_used is None or now - token.last_used > LAST_USED_GRAIN:
        ApiToken.objects.filter(pk=token.pk).update(last_used=now)
    return token


def revoke_token(token: ApiToken) -> None:
    """End a token at once; doing it twice keeps the first moment."""
    ApiToken.objects.filter(pk=token.pk, revoked__isnull=True).update(
        revoked=timezone.now()
    )
