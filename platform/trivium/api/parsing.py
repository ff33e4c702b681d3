"""What a request may hold, before any operation looks at it."""

import json
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest
from django.utils.datastructures import MultiValueDict
from ninja.parser import Parser

from trivium.api.errors import ApiError

SOURCES = {"query": "GET", "form": "POST", "file": "FILES"}
"""Where Ninja finds each kind of parameter on a request."""


class StrictParser(Parser):
    """Refuse NUL, which PostgreSQL cannot store, and objects that name a key twice."""

    def parse_body(self, request: HttpRequest) -> dict[str, Any]:
        """Read JSON."""
        values: dict[str, Any] = json.loads(
            request.body, object_pairs_hook=_unique_keys
        )
        if b"\\u0000" in request.body and "\0" in json.dumps(
            values, ensure_ascii=False
        ).replace("\\u0000", "\0"):
            raise ValueError("a text holds a NUL character")
        return values

    def parse_querydict(
        self,
        data: MultiValueDict[str, Any],
        list_fields: list[str],
        request: HttpRequest,
    ) -> dict[str, Any]:
        """Read parameters."""
        for name in data:
            values = data.getlist(name)
            if any(isinstance(value, str) and "\0" in value for value in values):
                raise ApiError(422, "a NUL character", field=name.replace("\0", ""))
        values_by_name: dict[str, Any] = super().parse_querydict(
            data, list_fields, request
        )
        return values_by_name


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("an object names a key twice")
    return values


def refuse_unknown_parameters(view: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap an operation so that a misspelt parameter is an error, not a silence."""
    models = view._ninja_operation.models  # type: ignore[attr-defined]  # noqa: SLF001 - Ninja keeps it there
    known: dict[str, set[str]] = {source: set() for source in SOURCES}
    for model in models:
        if model.__ninja_param_source__ in known:
            names = getattr(model, "__ninja_flatten_map__", model.model_fields)
            known[model.__ninja_param_source__].update(names)

    @wraps(view)
    def checked(request: HttpRequest, **values: Any) -> Any:
        for source, attribute in SOURCES.items():
            if source != "query" and not known[source]:
                continue  # reading POST of a JSON request would be for nothing
            unknown = set(getattr(request, attribute)) - known[source]
            if unknown:
                name = min(unknown)
                raise ApiError(
                    422,
                    f"{name!r} is not known here; known: "
                    + (", ".join(sorted(known[source])) or "nothing"),
                    field=name,
                )
        return view(request, **values)

    return checked
