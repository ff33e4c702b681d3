"""Writes to evaluations beside those of their runs."""

from trivium.evaluations.models import Evaluation
from trivium.runs.errors import SubmitError


def delete_evaluation(evaluation: Evaluation) -> None:
    """Delete an evaluation with its answers; its run stays.

    Raises:
        SubmitError: its run still works on it.
    """
    if evaluation.run is not None and not evaluation.run.is_finished:
        raise SubmitError("Its run is not over; cancel that first")
    evaluation.delete()
