"""What can go wrong, and the exit code that says so to a script."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes; `trivium --help` lists them."""

    OK = 0
    RUN_FAILED = 1
    USAGE = 2
    DENIED = 3
    UNREACHABLE = 4
    RUN_STOPPED = 5
    CONFLICT = 6
    INTERRUPTED = 130


MEANINGS = {
    Exit.OK: "done; a watched run succeeded",
    Exit.RUN_FAILED: "a watched run failed",
    Exit.USAGE: "wrong arguments, or the server refused a value",
    Exit.DENIED: "not signed in, not allowed, or not there",
    Exit.UNREACHABLE: "the server cannot be reached, or failed",
    Exit.RUN_STOPPED: "a watched run was cancelled or paused",
    Exit.CONFLICT: "not possible in the present state",
    Exit.INTERRUPTED: "interrupted with Ctrl-C; runs go on",
}


class CliError(Exception):
    """One sentence for the person, and a code for the script."""

    def __init__(self, message: str, code: Exit = Exit.USAGE) -> None:
        """Keep both."""
        super().__init__(message)
        self.code = code
