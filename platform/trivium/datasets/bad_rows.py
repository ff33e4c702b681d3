"""The rows an ingest run could not take, line by line."""

import json
from typing import NamedTuple

from runspec.layout import OUTPUT

from trivium import storage
from trivium.datasets.models import DatasetVersion

FILE = "bad_rows.json"
MAX_BYTES = 10_000_000


class BadRows(NamedTuple):
    """How many there are, and the first of them as place and reason."""

    total: int
    first: list[dict[str, str]]


def read_bad_rows(version: DatasetVersion) -> BadRows | None:
    """Return what the ingest run of `version` found wrong, if anything."""
    if version.is_ready:
        if not version.card.get("skipped_rows"):
            return None
        folder = storage.local_copy(version.path)
    elif version.run is not None and version.run.is_finished:
        folder = storage.run_folder(version.run.pk) / OUTPUT
    else:
        return None
    file = folder / FILE
    try:
        if file.stat().st_size > MAX_BYTES:
            return None
        content = json.loads(file.read_text(encoding="utf-8"))
        return BadRows(total=int(content["count"]), first=list(content["first"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
