"""What can be wrong with a request about a run, as sentences a form can show."""


class SubmitError(ValueError):
    """A run cannot be submitted; `field` names the setting at fault, if one is."""

    def __init__(self, message: str, *, field: str = "") -> None:
        """Keep the sentence and the field."""
        super().__init__(message)
        self.field = field


class IllegalTransitionError(ValueError):
    """The state a run is in does not allow what was asked."""
