"""What a download of a model holds, and how it is sent.

The files are those in storage; only the card is another: with the licence and notes
people gave the model since.
"""

import hashlib
import json
from pathlib import Path

from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.utils.text import slugify

from trivium import storage
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
from trivium.partial import send_parts

PARTS = ("whole", "merged", "adapter")
"""All files; those without the adapter; the adapter alone."""
ADAPTER_CONFIG = "adapter_config.json"
MAX_FOLDER_NAME = 80


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
    return send_parts(
        request,
        lambda start, end: cut(zip_parts(entries, top=top), start, end),
        size=zip_size(entries, top=top),
        tag=_tag(model, entries, top),
        file_name=f"{top}.zip",
        content_type="application/zip",
    )


def _tag(model: LanguageModel, entries: list[Entry], top: str) -> str:
    """Return what is equal for equal archives."""
    digest = hashlib.sha256(f"{model.path}\n{top}\n".encode())
    for entry in entries:
        digest.update(f"{entry.name} {entry.size}\n".encode() + entry.content)
    return f'"{digest.hexdigest()[:32]}"'
