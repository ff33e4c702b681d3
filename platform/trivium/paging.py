"""Lists in pages, the newest rows first.

A page is named by the row it begins behind (`?before=`, `?after=`) and not by a number,
so that rows which come meanwhile move nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from django.db.models import Model, QuerySet
from django.http import HttpRequest

from trivium.http import as_id

PER_PAGE = 50
Item = TypeVar("Item", bound=Model)


@dataclass(frozen=True)
class Paged(Generic[Item]):
    """One page of a list, and the addresses of those beside it."""

    rows: list[Item]
    newer: str
    """Empty on the first page."""
    older: str
    """Empty on the last one."""

    def __iter__(self) -> Iterator[Item]:
        """Iterate over the rows."""
        return iter(self.rows)

    def __len__(self) -> int:
        """Return how many rows there are: a page without any is false."""
        return len(self.rows)

    @property
    def is_first(self) -> bool:
        """Whether nothing newer is left out."""
        return not self.newer


def newest_first(
    request: HttpRequest, found: QuerySet[Item], *, per_page: int = PER_PAGE
) -> Paged[Item]:
    """Return the page of `found` that the address asks for.

    An address whose rows are gone since leads to the first page.
    """
    before, after = (as_id(request.GET.get(key, "")) for key in ("before", "after"))
    # Ids alone at first: wide rows would be sorted as a whole, ten times as slow.
    pks = found.order_by("-pk").values_list("pk", flat=True)
    chosen: list[int] = []
    if after:
        asked = list(pks.filter(pk__gt=after).order_by("pk")[: per_page + 1])
        chosen = asked[:per_page][::-1]
        has_newer, has_older = len(asked) > per_page, True
    elif before:
        asked = list(pks.filter(pk__lt=before)[: per_page + 1])
        chosen = asked[:per_page]
        has_newer, has_older = True, len(asked) > per_page
    if not chosen:
        asked = list(pks[: per_page + 1])
        chosen = asked[:per_page]
        has_newer, has_older = False, len(asked) > per_page
    return Paged(
        rows=list(found.filter(pk__in=chosen).order_by("-pk")) if chosen else [],
        newer=address(request, after=chosen[0]) if chosen and has_newer else "",
        older=address(request, before=chosen[-1]) if chosen and has_older else "",
    )


def filters_of(request: HttpRequest, **place: int) -> str:
    """Return the filters an address has, with another place in the list."""
    query = request.GET.copy()
    for key in ("before", "after"):
        query.pop(key, None)
    for key, pk in place.items():
        query[key] = str(pk)
    return query.urlencode()


def address(request: HttpRequest, **place: int) -> str:
    """Return this page's address at another place in the list."""
    return f"?{filters_of(request, **place)}"
