"""How much one person, and one of their tokens, may ask for, over all web processes.

Calls are rows, so that every process counts the same. A person's row is locked while
theirs are counted; SQLite has one writer anyway.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Min, Q, QuerySet, Sum
from django.utils import timezone

from trivium.accounts.models import ApiToken, User
from trivium.openai.errors import ApiError
from trivium.openai.models import ApiCall

WINDOW = timedelta(minutes=1)
LEASE = timedelta(minutes=2)
RENEW_AFTER = timedelta(seconds=30)
KEPT = timedelta(hours=1)
CLEAN_EVERY = 256
"""Calls after which old rows are swept out."""


@dataclass(frozen=True)
class Caller:
    """Whose token it is."""

    user: User
    token: ApiToken


@transaction.atomic
def admit_call(caller: Caller) -> ApiCall:
    """Count a call in.

    Raises:
        ApiError: 429; it says which limit, and when to try again.
    """
    user = User.objects.select_for_update().get(pk=caller.user.pk)
    now = timezone.now()
    mine = ApiCall.objects.filter(user=user)
    check_limits(mine.filter(token=caller.token), "API_TOKEN", "each token", now)
    check_limits(mine, "API", "each person", now)
    call = ApiCall.objects.create(
        user=user, token=caller.token, started=now, alive_until=now + LEASE
    )
    if call.pk % CLEAN_EVERY == 0:
        forget_calls(before=now - KEPT)
    return call


def check_limits(
    calls: QuerySet[ApiCall], settings_prefix: str, whose: str, now: datetime
) -> None:
    """Refuse another one of these calls where a limit is reached.

    Raises:
        ApiError: 429; it says which limit, and when to try again.
    """
    recent = calls.filter(started__gt=now - WINDOW).aggregate(
        number=Count("pk"), first=Min("started")
    )
    ended = calls.filter(ended__gt=now - WINDOW).aggregate(
        tokens=Sum("tokens"), first=Min("ended")
    )
    running = calls.filter(ended=None, alive_until__gt=now).count()
    found = [
        ("REQUESTS_PER_MINUTE", recent["number"], "requests a minute", recent["first"]),
        ("MAX_CONCURRENT", running, "requests at once", None),
        ("TOKENS_PER_MINUTE", ended["tokens"] or 0, "tokens a minute", ended["first"]),
    ]
    for name, number, what, first in found:
        limit = getattr(settings, f"{settings_prefix}_{name}")
        if number >= limit:
            raise refused(KINDS[name], f"{limit:,} {what} for {whose}", first, now)


def is_renewal_due(call: ApiCall) -> bool:
    """Whether it was not said for a while that a call still runs."""
    return call.alive_until - timezone.now() < LEASE - RENEW_AFTER


def renew_call(call: ApiCall) -> None:
    """Say that a call still runs."""
    call.alive_until = timezone.now() + LEASE
    ApiCall.objects.filter(pk=call.pk).update(alive_until=call.alive_until)


def end_call(call: ApiCall, *, tokens: int) -> None:
    """Count a call out, with the tokens it read and wrote."""
    ApiCall.objects.filter(pk=call.pk, ended=None).update(
        ended=timezone.now(), tokens=tokens
    )


def forget_calls(*, before: datetime) -> None:
    """Remove calls that no limit looks at any more."""
    over = Q(ended__lt=before) | Q(ended=None, alive_until__lt=before)
    ApiCall.objects.filter(over).delete()


KINDS = {
    "REQUESTS_PER_MINUTE": "requests",
    "MAX_CONCURRENT": "concurrency",
    "TOKENS_PER_MINUTE": "tokens",
}
"""The `type` of each refusal."""


def refused(kind: str, limit: str, first: datetime | None, now: datetime) -> ApiError:
    """Return the refusal; it may be tried again when the first call falls out."""
    wait_s = 1.0
    if first is not None:
        wait_s = (first + WINDOW - now).total_seconds()
    return ApiError(
        429,
        f"rate limit reached: {limit}",
        code="rate_limit_exceeded",
        kind=kind,
        retry_after_s=max(1, math.ceil(wait_s)),
    )
