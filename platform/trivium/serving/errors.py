"""What can go wrong on the way to a model."""

from runspec.serving import ErrorEvent


class ServingError(Exception):
    """A node or endpoint refused, or there is none; `event` says it all."""

    def __init__(
        self, status: int, code: str, message: str, *, param: str | None = None
    ) -> None:
        """Keep it as the wire has it."""
        super().__init__(message)
        self.event = ErrorEvent(status=status, code=code, message=message, param=param)


class ChoiceNotFoundError(ServingError):
    """An id names nothing that this person may talk to."""

    def __init__(self, message: str) -> None:
        """Say why."""
        super().__init__(404, "model_not_found", message, param="model")


def refusal(event: ErrorEvent) -> ServingError:
    """Return what a node said as an exception."""
    return ServingError(event.status, event.code, event.message, param=event.param)


def no_such_choice(choice_id: str) -> ChoiceNotFoundError:
    """Return the one answer to what is not there and to what is not theirs."""
    return ChoiceNotFoundError(
        f"there is no model {choice_id[:200]!r}, or you may not use it"
    )
