"""Stage `judge`: a model says which of two answers it prefers, in both orders."""

from trainer.judging.stage import run_judge

__all__ = ["run_judge"]
