"""How well a model expects text it has not seen.

The windows are those of pretraining's validation, so that a model's loss here is the
one its training reported on the same text.

Shapes: B windows, T context, V vocabulary.
"""

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from inference.loading import Built, build, locate
from inference.machine import choose_device
from inference.served import widened
from pydantic import BaseModel
from runspec.evaluated import Estimate
from runspec.serving import ModelRef
from torch.nn import functional as F

from trainer.evaluating.measures import weighted_mean
from trainer.evaluating.rows import Taken
from trainer.forward import IGNORED
from trainer.special_tokens import end_id
from trainer.token_cache import Encoder, read_pieces
from trainer.tokenizer import load_tokenizer
from trainer.windows import Ids, validation_batches

BATCH_TOKENS = 4_096
"""Tokens that go through a model at the same time."""
MOST_CONTEXT = 2_048
"""Longer windows would take memory by the square of their length."""


class WindowLosses(BaseModel):
    """What one model lost on one text, window by window."""

    nats: list[float]
    labels: list[int]
    num_bytes: int
    """Of the text the labels stand for."""
    ids_sha256: str
    context: int

    @property
    def num_labels(self) -> int:
        """Tokens that were to be foretold."""
        return sum(self.labels)

    def loss(self, *, seed: int) -> Estimate:
        """Return nats per token; windows are what was sampled."""
        sums, counts = np.asarray(self.nats), np.asarray(self.labels, float)
        return weighted_mean(sums, counts, seed=seed)

    def bits_per_byte(self, *, seed: int) -> Estimate:
        """Return the same in a unit that no tokenizer has a part in."""
        found = self.loss(seed=seed)
        scale = self.num_labels / max(1, self.num_bytes) / math.log(2)
        ends = [None if end is None else end * scale for end in (found.low, found.high)]
        return Estimate(value=found.value * scale, low=ends[0], high=ends[1])

    def difference(self, other: "WindowLosses", *, seed: int) -> Estimate | None:
        """Return the difference per token; None where tokens are not the same."""
        if (self.ids_sha256, self.context) != (other.ids_sha256, other.context):
            return None
        counts = np.asarray(self.labels, float)
        ours, theirs = np.asarray(self.nats), np.asarray(other.nats)
        return weighted_mean(ours - theirs, counts, seed=seed)


@dataclass(frozen=True)
class TextModel:
    """A decoder in memory, ready to be measured."""

    built: Built
    folder: Path
    device: str

    @torch.no_grad()
    def losses(
        self, taken: Taken, *, most: int, tick: Callable[[], None]
    ) -> WindowLosses:
        """Measure on whole texts, until `most` characters were seen."""
        ids, num_bytes = self._encoded(taken, most, tick)
        context = min(self.built.context, MOST_CONTEXT)
        size = max(1, BATCH_TOKENS // context)
        nats: list[float] = []
        labels: list[int] = []
        model = self.built.model
        batches = validation_batches(ids, batch_size=size, context=context, most=None)
        for ids_BT, labels_BT in batches:
            tick()
            logits_BTV = model(ids_BT.to(self.device)).logits.float()
            loss_BT = F.cross_entropy(
                logits_BTV.flatten(0, 1),
                labels_BT.to(self.device).flatten(),
                ignore_index=IGNORED,
                reduction="none",
            ).view(labels_BT.shape)
            nats += loss_BT.double().sum(dim=1).tolist()
            labels += (labels_BT != IGNORED).sum(dim=1).tolist()
        return WindowLosses(
            nats=nats,
            labels=labels,
            num_bytes=num_bytes,
            ids_sha256=hashlib.sha256(ids.tobytes()).hexdigest(),
            context=context,
        )

    def _encoded(
        self, taken: Taken, most: int, tick: Callable[[], None]
    ) -> tuple[Ids, int]:
        tokenizer = load_tokenizer(self.folder)
        num_bytes = 0

        def pieces() -> Iterator[tuple[str, bool]]:
            nonlocal num_bytes
            seen = 0
            for split in taken.splits:
                for text, is_last in read_pieces(taken.folder, taken.card, split):
                    num_bytes += len(text.encode())
                    seen += len(text)
                    yield text, is_last
                    if seen >= most:
                        return

        end = end_id(tokenizer, self.folder)
        encoder = Encoder(tokenizer, end, lambda _: tick())
        parts = list(encoder.documents(pieces()))
        return np.concatenate(parts) if parts else np.empty(0, encoder.dtype), num_bytes


def load_text_model(
    ref: ModelRef, *, cache: Path, tick: Callable[[], None]
) -> TextModel:
    """Return a model with its weights, as transformers computes it.

    Raises:
        RefusedError: it cannot be loaded.
    """
    tick()
    device = choose_device()
    folder = cache / "models"
    folder.mkdir(parents=True, exist_ok=True)
    place = locate(ref, folder)
    built = build(ref, place, device)
    widened(built.model)
    return TextModel(built, place.folder, device)
