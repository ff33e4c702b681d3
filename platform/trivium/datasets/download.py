"""The rows of a version as one file of JSON lines, made while it is sent."""

import json
from collections.abc import Iterator
from itertools import chain
from typing import Any, cast

from django.http import Http404, StreamingHttpResponse
from django.utils.http import content_disposition_header
from django.utils.text import slugify
from runspec.layout import DatasetCard
from runspec.preferences import FORMS, Form, trl_lines

from trivium import storage
from trivium.datasets.models import DatasetVersion
from trivium.datasets.preview import iterate_rows
from trivium.http import stream

JSON_LINES = "application/jsonl"
PIECE = 2**16
MAX_NAME = 80


def send_rows(
    version: DatasetVersion, *, split: str = "", form: str = ""
) -> StreamingHttpResponse:
    """Answer with the rows of one split or of all, as stored or in a form of TRL's.

    Raises:
        Http404: there is no such split or form, or no rows.
    """
    if not version.is_ready:
        raise Http404("this version has no rows yet")
    card = DatasetCard.model_validate(version.card)
    splits = [split] if split else list(card.splits)
    if not set(splits) <= set(card.splits):
        raise Http404(f"this version has no split {split!r}")
    if form and (form not in FORMS or card.kind != "preferences"):
        raise Http404(f"rows of {card.kind} have no form {form!r}")
    if not storage.local_copy(version.path).is_dir():
        raise Http404("the files of this version are gone")
    rows = chain.from_iterable(iterate_rows(version, name) for name in splits)
    lines = trl_lines(rows, cast("Form", form)) if form else _lines(rows)
    response = StreamingHttpResponse(stream(_pieces(lines)), content_type=JSON_LINES)
    name = slugify(version.dataset.name)[:MAX_NAME] or f"dataset-{version.dataset_id}"
    parts = [f"{name}-v{version.number}", *filter(None, (split, form))]
    disposition = content_disposition_header(
        as_attachment=True, filename=f"{'-'.join(parts)}.jsonl"
    )
    response.headers["Content-Disposition"] = disposition or "attachment"
    return response


def _lines(rows: Iterator[dict[str, Any]]) -> Iterator[str]:
    for row in rows:
        yield json.dumps(row, ensure_ascii=False) + "\n"


def _pieces(lines: Iterator[str]) -> Iterator[bytes]:
    """Yield lines in pieces worth a hop between threads."""
    waiting: list[bytes] = []
    size = 0
    for line in lines:
        waiting.append(line.encode())
        size += len(waiting[-1])
        if size >= PIECE:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)
