"""What a model is asked while it pretrains: one module per objective.

Each takes pieces of raw text and makes inputs and labels of them. What is hidden
follows from random numbers that belong to seed, step and row: nothing is carried from
step to step, so a resumed run is asked what it would have been asked.
"""

from trainer.objectives.batches import (
    Objective,
    evaluation_batches,
    objective_of,
    training_batches,
)

__all__ = ["Objective", "evaluation_batches", "objective_of", "training_batches"]
