"""What a fine-tuning attempt has measured so far, and hands on to the next."""

import math
from dataclasses import dataclass, field

STATE = "progress.json"
HIGHER_IS_BETTER = {"exact_match", "rouge_l", "accuracy", "f1"}
NAMES = {
    "loss": "train/loss",
    "grad_norm": "train/gradient_norm",
    "learning_rate": "train/learning_rate",
    "mean_token_accuracy": "train/token_accuracy",
    "eval_loss": "validation/loss",
    "eval_mean_token_accuracy": "validation/token_accuracy",
    "eval_accuracy": "validation/accuracy",
    "eval_f1": "validation/f1",
}
"""What the libraries log, and what its curve is called here."""


@dataclass
class State:
    """What an attempt hands on to the next, in each checkpoint."""

    best_step: int = -1
    best_score: float = math.inf
    """Lower is better, whatever is measured."""
    without_better: int = 0
    evaluated_step: int = -1
    is_done: bool = False
    """Whether early stopping ended the training."""
    seconds: float = 0.0
    tokens: int = 0
    measured: dict[str, float] = field(default_factory=dict)
    """The newest value of each measure."""
    initial: dict[str, float] = field(default_factory=dict)
