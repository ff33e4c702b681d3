"""Pieces of whole lines, ended by LF only."""

from collections.abc import Iterable, Iterator

from trainer.errors import BadInputError


def whole_lines(
    chunks: Iterable[bytes], *, name: str, max_bytes: int
) -> Iterator[bytes]:
    """Join chunks into pieces that end where a line ends.

    Raises:
        BadInputError: one line is longer than `max_bytes`.
    """
    parts: list[bytes] = []
    size = 0
    line = 1
    for chunk in chunks:
        cut = chunk.rfind(b"\n") + 1
        if not cut:
            parts.append(chunk)
            size += len(chunk)
            if size > max_bytes:
                raise BadInputError(
                    f"{name}: line {line} is longer than {max_bytes:,} bytes",
                    advice="Is this really a file of lines?",
                )
            continue
        piece = b"".join(parts) + chunk[:cut]
        line += piece.count(b"\n")
        yield piece
        parts = [chunk[cut:]]
        size = len(chunk) - cut
    if rest := b"".join(parts):
        yield rest
