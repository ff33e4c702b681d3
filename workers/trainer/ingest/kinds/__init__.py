"""The kinds of rows a dataset may hold, one module each."""

from trainer.ingest.kinds.base import Kind
from trainer.ingest.kinds.text import TEXT

KINDS: dict[str, Kind] = {"text": TEXT}

__all__ = ["KINDS", "Kind"]
