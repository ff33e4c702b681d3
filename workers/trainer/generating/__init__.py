"""Stage `generate`: models answer the same prompts, for people to compare."""

from trainer.generating.stage import run_generate

__all__ = ["run_generate"]
