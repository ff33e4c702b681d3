"""How much a file may grow while it is read: the answer to compression bombs."""

from collections.abc import Callable

from trainer.errors import BadInputError

FREE_BYTES = 16 * 2**20
"""The ratio says nothing about small files: a short text may repeat itself much."""


class Budget:
    """Counts the bytes one source expands to, over all its members."""

    def __init__(self, *, source_bytes: int, max_bytes: int, max_ratio: int) -> None:
        self.spent = 0
        self.max_bytes = max_bytes
        self.max_ratio = max_ratio
        self.position: Callable[[], int] = lambda: 0
        """Where in the source reading stands; set by whoever opens it."""
        self.ratio_bytes = max(FREE_BYTES, source_bytes * max_ratio)

    def spend(self, count: int, *, is_compressed: bool = True) -> None:
        """Add expanded bytes.

        Raises:
            BadInputError: the source has grown beyond a limit.
        """
        self.spent += count
        if self.spent > self.max_bytes:
            raise BadInputError(
                f"the file expands to more than {self.max_bytes:,} bytes "
                "(max_expanded_bytes)",
                advice="Split it, or raise the limit if you trust it.",
            )
        if is_compressed and self.spent > self.ratio_bytes:
            raise BadInputError(
                f"the file expands to more than {self.max_ratio:,} times its size "
                "(max_expansion_ratio): this looks like a compression bomb",
                advice="Send it uncompressed, or raise the limit if you trust it.",
            )
