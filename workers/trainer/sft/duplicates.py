"""Rows that stand twice, exactly or nearly, and rows in both splits.

Two rows are near when they have the same words, or, where they are long, share most
runs of words: MinHash with bands (Broder 1997; Leskovec et al., Mining of Massive
Datasets, ch. 3). Short rows that differ in one word, like questions made by a form,
are different rows.
"""

import hashlib
import re
import threading
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from trainer.sft.rows import Source

RUN = 3
"""Words of a run."""
LONG = 20
"""Words from which on runs are compared."""
BANDS, PER_BAND = 16, 4
"""Two rows meet in a band with probability s^4, in any of 16 with 1-(1-s^4)^16: at a
likeness s of 0.7 in 99 % of cases, at 0.3 in 12 %; then their likeness is estimated."""
ALIKE = 0.7
MOST_PER_BAND = 20
PRIME = np.uint64((1 << 61) - 1)
MAX_NAMED = 3
WORD = re.compile(r"\w+")

Place = tuple[int, int]
"""(number of the source, row in it)."""
Signature = NDArray[np.uint64]


@dataclass
class Twins:
    """What was found."""

    looked_at: int = 0
    exact: int = 0
    near: int = 0
    shared: int = 0
    """Validation rows that stand in training, exactly or nearly."""
    pairs: list[tuple[Place, Place]] = field(default_factory=list)
    shared_pairs: list[tuple[Place, Place]] = field(default_factory=list)

    def named(self, pairs: list[tuple[Place, Place]], sources: list[Source]) -> str:
        """Name the first pairs."""

        def name(place: Place) -> str:
            source = sources[place[0]].name if len(sources) > 1 else ""
            return f"row {place[1]}{' of ' + source if source else ''}"

        shown = [f"{name(a)} and {name(b)}" for a, b in pairs[:MAX_NAMED]]
        return "; ".join(shown)


class Known:
    """Rows seen so far, by their text, their words and their runs of words."""

    def __init__(self) -> None:
        self._texts: dict[bytes, Place] = {}
        self._words: dict[bytes, Place] = {}
        self._bands: list[dict[bytes, list[tuple[Place, Signature]]]] = [
            defaultdict(list) for _ in range(BANDS)
        ]

    def meet(
        self, text: str, place: Place, *, is_kept: bool
    ) -> tuple[Place | None, bool]:
        """Return an earlier row like this one, and whether it is the very same."""
        words = WORD.findall(text.lower())
        by_text, by_words = _digest(text), _digest(" ".join(words))
        signature = _signature(words) if len(words) >= LONG else None
        twin = self._texts.get(by_text)
        is_exact = twin is not None
        if twin is None:
            twin = self._words.get(by_words)
        if twin is None and signature is not None:
            twin = self._like(signature)
        if is_kept:
            self._texts.setdefault(by_text, place)
            self._words.setdefault(by_words, place)
            if signature is not None:
                self._keep(signature, place)
        return twin, is_exact

    def _like(self, signature: Signature) -> Place | None:
        for part, band in zip(_parts(signature), self._bands, strict=True):
            for other, theirs in band.get(part, ()):
                if float((signature == theirs).mean()) >= ALIKE:
                    return other
        return None

    def _keep(self, signature: Signature, place: Place) -> None:
        for part, band in zip(_parts(signature), self._bands, strict=True):
            if len(band[part]) < MOST_PER_BAND:
                band[part].append((place, signature))


def find_twins(
    train: Iterable[tuple[str, Place]],
    validation: Iterable[tuple[str, Place]],
    *,
    stop: threading.Event,
) -> Twins:
    """Compare rows with those before them, and validation rows with training rows."""
    found, known = Twins(), Known()
    for text, place in train:
        if stop.is_set():
            return found
        found.looked_at += 1
        twin, is_exact = known.meet(text, place, is_kept=True)
        if twin is not None:
            found.exact += is_exact
            found.near += not is_exact
            found.pairs.append((twin, place))
    for text, place in validation:
        if stop.is_set():
            return found
        twin, _ = known.meet(text, place, is_kept=False)
        if twin is not None:
            found.shared += 1
            found.shared_pairs.append((twin, place))
    return found


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _parts(signature: Signature) -> list[bytes]:
    return [part.tobytes() for part in signature.reshape(BANDS, PER_BAND)]


_random = np.random.Generator(np.random.Philox(key=[1, 2]))
_factors = _random.integers(1, 1 << 31, BANDS * PER_BAND, dtype=np.uint64)
_offsets = _random.integers(0, 1 << 31, BANDS * PER_BAND, dtype=np.uint64)


def _signature(words: list[str]) -> Signature:
    """Return the least hash of all runs of words, under each of 64 hash functions."""
    runs = (" ".join(words[at : at + RUN]) for at in range(len(words) - RUN + 1))
    hashed = np.asarray(
        [int.from_bytes(_digest(run)[:4], "little") for run in runs], dtype=np.uint64
    )
    spread = (hashed[:, None] * _factors + _offsets) % PRIME
    least: Signature = spread.min(axis=0)
    return least
