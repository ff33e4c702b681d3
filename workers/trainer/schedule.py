"""The learning rate as a function of the step."""

import math

from runspec import PretrainSpec


def learning_rate(spec: PretrainSpec, step: int) -> float:
    """Return the rate of optimizer step `step`, counted from 1.

    It rises in a straight line to the peak at the last warm-up step, and falls along
    half a cosine to the final rate at the last step.
    """
    if step <= spec.warmup_steps:
        return spec.learning_rate * step / spec.warmup_steps
    falling = spec.max_steps - spec.warmup_steps
    share = (step - spec.warmup_steps) / falling if falling > 0 else 1.0
    height = 0.5 * (1.0 + math.cos(math.pi * min(1.0, share)))
    return spec.min_learning_rate + height * (
        spec.learning_rate - spec.min_learning_rate
    )
