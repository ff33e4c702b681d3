"""Chance that can be looked up: the same question always gets the same answer.

Which side an answer stands on, where an item stands in the queue and which task is a
repeat are hashes of who, what and when. So a reload shows the same page, and an audit
can compute again what was shown.
"""

import hashlib
import struct

_RANGE = 2**64


def draw(*parts: object) -> float:
    """Return a number in [0, 1) that these parts alone decide."""
    return _number(parts) / _RANGE


def place_of(*parts: object) -> int:
    """Return a signed 64-bit number that these parts alone decide."""
    return _number(parts) - _RANGE // 2


def left_side(labeler_id: int, item_id: int, round_number: int) -> str:
    """Return which answer, `a` or `b`, stands on the left for a labeler.

    In the next round the sides are swapped.
    """
    first = draw("side", labeler_id, item_id) < 0.5
    return "a" if first != (round_number % 2 == 1) else "b"


def _number(parts: tuple[object, ...]) -> int:
    text = "\x1f".join(map(str, parts)).encode()
    (number,) = struct.unpack(">Q", hashlib.sha256(text).digest()[:8])
    return int(number)
