"""DPO's losses of a pair some people chose otherwise.

TRL computes each loss of a pair as it is. What is here is how much greater it is of the
same pair with its answers the other way round, so that a share q of votes against gives
f + q (f turned - f) = (1 - q) f + q f turned: what learning each vote as a pair gives.
"""

from runspec.align import LossType
from torch import Tensor


def added_by_turning(
    loss_type: LossType,
    chosen_B: Tensor,
    rejected_B: Tensor,
    chosen_tokens_B: Tensor,
    rejected_tokens_B: Tensor,
    *,
    beta: float,
    label_smoothing: float,
) -> Tensor:
    """Return what turning each pair round adds to its loss, given both rewards.

    A reward is beta times a log-ratio to the reference; z is their difference.
    """
    apart_B = chosen_B - rejected_B
    a_token_B = chosen_B / chosen_tokens_B - rejected_B / rejected_tokens_B
    match loss_type:
        case "sigmoid":  # -log s(-z) + log s(z) = z, with s the sigmoid
            return apart_B
        case "sigmoid_norm":
            return a_token_B
        case "robust":  # -((1 - e) log s(z) - e log s(-z)) / (1 - 2e)
            return apart_B / (1 - 2 * label_smoothing)
        case "hinge":  # max(0, 1 - z)
            return (1 + apart_B).relu() - (1 - apart_B).relu()
        case "ipo":  # (h - 1 / (2 beta))^2 with h the log-ratios' difference
            return 2 * a_token_B / beta**2
        case "apo_zero":  # 1 - s(chosen) + s(rejected)
            return 2 * (chosen_B.sigmoid() - rejected_B.sigmoid())
