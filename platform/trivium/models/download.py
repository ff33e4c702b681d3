"""What a download of a model holds, and how it is sent.

The files are those in storage; only the card is another: with the licence and notes
people gave the model since.
"""

import hashlib
import json
import re
from pathlib import Path

from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.utils.http import content_disposition_header
from django.utils.text import slugify

from trivium import storage
from trivium.http import stream
from trivium.models.archive import (
    Entry,
    cut,
    file_entry,
    text_entry,
    zip_parts,
    zip_size,
)
from trivium.models.card import CARD, card_text
from trivium.models.models import ADAPTER, LanguageModel

PARTS = ("whole", "merged", "adapter")
"""All files; those without the adapter; the adapter alone."""
ADAPTER_CONFIG = "adapter_config.json"
MAX_FOLDER_NAME = 80
RANGE = re.compile(r"bytes=(\d{1,15})-(\d{0,15})")


def folder_name(model: LanguageModel, part: str = "whole") -> str:
    """Return the name of the folder inside the download."""
    name = slugify(model.name)[:MAX_FOLDER_NAME] or f"model-{model.pk}"
    return f"{name}-adapter" if part == ADAPTER else name


def entries_of(model: LanguageModel, part: str = "whole") -> list[Entry]:
    """Return the files of a part of a model, by name.

    Raises:
        Http404: it is not ready, its files are gone, or it has no such part.
    """
    if not model.is_ready or part not in PARTS:
        raise Http404("this model has no such files")
    try:
        folder = storage.local_copy(model.path)
        entries = [_entry(model, folder, name) for name in sorted(model.files)]
    except (OSError, ValueError):
        raise Http404("the files of this model are gone") from None
    inside = f"{ADAPTER}/"
    if part == "merged":
        return [entry for entry in entries if not entry.name.startswith(inside)]
    if part == ADAPTER:
        found = [
            entry._replace(name=entry.name.removeprefix(inside))
            for entry in entries
            if entry.name.startswith(inside) or entry.name == CARD
        ]
        if len(found) < 2:
            raise Http404("this model has no adapter")
        return found
    return entries


def _entry(model: LanguageModel, folder: Path, name: str) -> Entry:
    path = storage.resolve_beneath(folder, name)
    if name == CARD:
        return text_entry(name, card_text(model))
    if name == f"{ADAPTER}/{ADAPTER_CONFIG}":
        return text_entry(name, _without_paths(path.read_text(), model))
    return file_entry(name, path)


def _without_paths(text: str, model: LanguageModel) -> str:
    """Return an adapter's config; its base is named, not by a path of this server."""
    config = json.loads(text)
    if str(config.get("base_model_name_or_path", "")).startswith("/"):
        parent = model.parents.first()
        config["base_model_name_or_path"] = parent.name if parent else ""
    return json.dumps(config, indent=2)


def send_zip(
    request: HttpRequest, model: LanguageModel, part: str = "whole"
) -> HttpResponse | StreamingHttpResponse:
    """Answer with one zip; a request for the rest of a broken download gets that."""
    top = folder_name(model, part)
    entries = entries_of(model, part)
    size = zip_size(entries, top=top)
    tag = _tag(model, entries, top)
    start, end = _asked_range(request, tag, size)
    if start >= end:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
    is_part = (start, end) != (0, size)
    parts = cut(zip_parts(entries, top=top), start, end)
    response = StreamingHttpResponse(
        stream(parts), content_type="application/zip", status=206 if is_part else 200
    )
    response.headers["Content-Length"] = str(end - start)
    response.headers["Accept-Ranges"] = "bytes"
    response.headers["ETag"] = tag
    if is_part:
        response.headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    disposition = content_disposition_header(as_attachment=True, filename=f"{top}.zip")
    response.headers["Content-Disposition"] = disposition or "attachment"
    return response


def _tag(model: LanguageModel, entries: list[Entry], top: str) -> str:
    """Return what is equal for equal archives."""
    digest = hashlib.sha256(f"{model.path}\n{top}\n".encode())
    for entry in entries:
        digest.update(f"{entry.name} {entry.size}\n".encode() + entry.content)
    return f'"{digest.hexdigest()[:32]}"'


def _asked_range(request: HttpRequest, tag: str, size: int) -> tuple[int, int]:
    asked = RANGE.fullmatch(request.headers.get("Range", ""))
    if asked is None or request.headers.get("If-Range", tag) != tag:
        return 0, size
    first, last = asked.groups()
    return int(first), min(size, int(last) + 1 if last else size)
