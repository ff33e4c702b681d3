"""Lists, newest first, by keyset: a page costs the same however deep it lies."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from django.db.models import Model, QuerySet
from django.http import Http404
from ninja import Query, Schema
from pydantic import Field

from trivium.api.errors import ApiError

MAX_PK = 2**63 - 1
MAX_LIMIT = 200

M = TypeVar("M", bound=Model)

Cursor = Annotated[
    str, Query("", description="`next_cursor` of the page before.", max_length=64)
]
Limit = Annotated[int, Query(50, description="Items on a page.", ge=1, le=MAX_LIMIT)]


@dataclass(frozen=True)
class Page:
    """Rows of one page, and where the next one starts."""

    items: Sequence[Any]
    next_cursor: str | None


class PageOf(Schema):
    """What every list answers; subclasses type `items`."""

    next_cursor: str | None = Field(
        description="Give it back as `cursor` for the next page; null on the last."
    )


def page(rows: QuerySet[M], *, cursor: str, limit: int) -> Page:
    """Return one page of `rows`, newest id first."""
    if cursor:
        rows = rows.filter(pk__lt=_decode(cursor))
    found = list(rows.order_by("-pk")[: limit + 1])
    if len(found) <= limit:
        return Page(found, None)
    return Page(found[:limit], _encode(found[limit - 1].pk))


def find(rows: QuerySet[M], pk: int) -> M:
    """Return the row with this id; Http404 where there is none to be seen."""
    row = rows.filter(pk=pk).first() if 0 < pk <= MAX_PK else None
    if row is None:
        raise Http404
    return row


def _encode(pk: int) -> str:
    return base64.urlsafe_b64encode(f"id:{pk}".encode()).decode().rstrip("=")


def _decode(cursor: str) -> int:
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        pk = int(raw.removeprefix("id:"))
    except (binascii.Error, ValueError):
        raise ApiError(
            422, "cursor is not a next_cursor of this list", field="cursor"
        ) from None
    if not raw.startswith("id:") or not 0 < pk <= MAX_PK:
        raise ApiError(422, "cursor is not a next_cursor of this list", field="cursor")
    return pk
