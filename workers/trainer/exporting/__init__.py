"""A campaign's votes as a dataset of preferences, and in the formats of other tools."""

from trainer.exporting.stage import run_export

__all__ = ["run_export"]
