"""The import stage: a model made elsewhere, checked file by file and kept."""

from trainer.importing.stage import run_import

__all__ = ["run_import"]
