"""What a node does not do, and how it says so."""

from runspec.serving import ErrorEvent


class RefusedError(Exception):
    """A request is not answered; becomes an `ErrorEvent` with the status of HTTP."""

    def __init__(
        self, status: int, code: str, message: str, param: str | None = None
    ) -> None:
        super().__init__(message)
        self.event = ErrorEvent(status=status, code=code, message=message, param=param)


def refused(error: Exception) -> RefusedError:
    """Return what went wrong while computing as the asker shall read it."""
    if isinstance(error, RefusedError):
        return error
    if is_out_of_memory(error):
        return RefusedError(
            503, "out_of_memory", "the inference node has no memory left for this"
        )
    return RefusedError(500, "internal_error", f"{type(error).__name__}: {error}")


def is_out_of_memory(error: Exception) -> bool:
    """Whether memory ran out: Python's, the CPU's by torch, or the GPU's."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))
    )
