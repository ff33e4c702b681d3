"""The ingest stage: a file becomes an immutable, checked, split dataset."""

from trainer.ingest.stage import run_ingest

__all__ = ["run_ingest"]
