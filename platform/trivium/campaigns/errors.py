"""What labeling refuses; each text is a sentence for the person it happens to."""


class LabelingError(ValueError):
    """Something about a task that cannot be done."""


class TaskGoneError(LabelingError):
    """The task is not there any more, or somebody else has its place."""


class IncompleteError(LabelingError):
    """The vote lacks an answer to a question that must be answered."""


class NothingToUndoError(LabelingError):
    """There is no vote that could be taken back."""
