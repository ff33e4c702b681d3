"""What a fine-tuning attempt has measured so far, and hands on to the next."""

import math
import time
from dataclasses import dataclass, field

STATE = "progress.json"
SPEED_SPAN = 0.9
"""Weight of the past in the smoothed speed."""
HIGHER_IS_BETTER = {
    *("exact_match", "rouge_l", "accuracy", "f1", "margin"),
    *("reward", "votes"),
}
NAMES = {
    "loss": "train/loss",
    "grad_norm": "train/gradient_norm",
    "learning_rate": "train/learning_rate",
    "mean_token_accuracy": "train/token_accuracy",
    "eval_loss": "validation/loss",
    "eval_mean_token_accuracy": "validation/token_accuracy",
    "eval_accuracy": "validation/accuracy",
    "eval_f1": "validation/f1",
    "rewards/chosen": "train/reward_chosen",
    "rewards/rejected": "train/reward_rejected",
    "rewards/margins": "train/margin",
    "rewards/accuracies": "train/accuracy",
    "accuracy": "train/accuracy",
    "margin": "train/margin",
    "mean_reward": "train/mean_reward",
    "eval_rewards/chosen": "validation/reward_chosen",
    "eval_rewards/rejected": "validation/reward_rejected",
    "eval_rewards/margins": "validation/margin",
    "eval_rewards/accuracies": "validation/accuracy",
    "eval_margin": "validation/margin",
    "eval_mean_reward": "validation/mean_reward",
}
"""What the libraries log, and what its curve is called here."""
MEASURED = {
    "rewards/chosen": "reward_chosen",
    "rewards/rejected": "reward_rejected",
    "rewards/margins": "margin",
    "rewards/accuracies": "accuracy",
}
"""What the libraries measure under a name of their own, and what it is called here."""


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


@dataclass
class Speed:
    """Smoothed time and tokens of a step, without pauses for evaluating and saving."""

    per_step: float | None = None
    """Seconds."""
    tokens_per_step: float = 0.0
    _began: float = 0.0
    _tokens_before: int = 0

    def begin(self, tokens: int) -> None:
        """Note that a step begins, with so many tokens behind it."""
        self._began = time.monotonic()
        self._tokens_before = tokens

    def end(self, tokens: int) -> None:
        """Note that it ended."""
        seconds = time.monotonic() - self._began
        read = tokens - self._tokens_before
        if self.per_step is None:
            self.per_step, self.tokens_per_step = seconds, read
            return
        rest = 1 - SPEED_SPAN
        self.per_step = SPEED_SPAN * self.per_step + rest * seconds
        self.tokens_per_step = SPEED_SPAN * self.tokens_per_step + rest * read

    @property
    def tokens_per_s(self) -> float | None:
        """Tokens trained on per second."""
        return self.tokens_per_step / self.per_step if self.per_step else None

    def eta_s(self, steps: int) -> float | None:
        """Return how long so many steps take, once one was taken."""
        return None if self.per_step is None else steps * self.per_step


def score_of(metric: str, value: float) -> float:
    """Return a measure so that lower is better, by which retention keeps the best."""
    return -value if metric in HIGHER_IS_BETTER else value
