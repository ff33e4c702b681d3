"""Stage `evaluate`: models side by side, each measure with its interval."""

from trainer.evaluating.stage import run_evaluate

__all__ = ["run_evaluate"]
