"""How a stage ends when it does not succeed; `trainer.main` turns these into events."""


class BadInputError(ValueError):
    """The input or the spec cannot be worked with; trying again will not help."""

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.advice = advice


class NotFiniteError(ArithmeticError):
    """The loss stayed NaN or infinite; going on would only waste time."""

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.advice = advice


class Stopped(Exception):  # noqa: N818 - not a failure: the run was asked to stop
    """The run was asked to stop, and has saved what it can."""
