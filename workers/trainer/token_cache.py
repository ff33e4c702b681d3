"""A dataset's text as one memory-mapped row of token ids, made once and reused.

Documents stand one after the other, each closed by the end token. The cache is keyed
by the content of dataset and tokenizer, so equal inputs share one whatever their names.
"""

import hashlib
import json
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from runspec.layout import DATASET_CARD, DatasetCard
from runspec.manifest import file_sha256
from tokenizers import Tokenizer

from trainer.checkpoint import fsync
from trainer.context import Context
from trainer.errors import Stopped
from trainer.special_tokens import end_id
from trainer.tokenizer import PIECE, load_tokenizer

LAYOUT = 1
"""Raised when the way of packing changes; older caches are then left alone."""
META = "cache.json"
ENCODE_CHARACTERS = 2_000_000
"""Encoded at once; bounds the memory of building."""
REPORT_EVERY_S = 0.5

Dtype = np.dtype[np.unsignedinteger]


@dataclass(frozen=True)
class Corpus:
    """The ids of both splits, and what a model must know of the tokenizer."""

    train_ids: NDArray[np.unsignedinteger]
    validation_ids: NDArray[np.unsignedinteger]
    """Empty where the dataset has no validation split."""
    vocabulary_size: int
    end: int
    bytes_per_token: float
    lineage: dict[str, str]
    """What the model card says of where the text comes from."""

    @property
    def sample_ids(self) -> NDArray[np.unsignedinteger]:
        """Text the model does not learn from, where there is any."""
        return self.validation_ids if len(self.validation_ids) else self.train_ids


def open_corpus(dataset: Path, tokenizer: Path, context: Context) -> Corpus:
    """Map the token cache of a dataset under a tokenizer, building it if need be.

    Raises:
        BadInputError: the tokenizer has no end token.
        Stopped: the run was asked to stop while the cache was built.
    """
    card = DatasetCard.model_validate_json((dataset / DATASET_CARD).read_text())
    encoder = load_tokenizer(tokenizer)
    end = end_id(encoder, tokenizer)
    tokenizer_sha256 = file_sha256(tokenizer / "tokenizer.json")
    folder = context.cache / "tokens" / _key(card, tokenizer_sha256, end)
    if not (folder / META).is_file():
        total = sum(split.characters for split in card.splits.values())
        ids_of = Encoder(encoder, end, _Progress(context, total).advance)
        _build(folder, dataset, card, ids_of)
    meta = json.loads((folder / META).read_text())
    dtype = np.dtype(meta["dtype"])
    return Corpus(
        train_ids=_map(folder / "train.bin", dtype),
        validation_ids=_map(folder / "validation.bin", dtype),
        vocabulary_size=encoder.get_vocab_size(),
        end=end,
        bytes_per_token=card.bytes / max(1, meta["tokens"]),
        lineage={
            "source": card.source_name,
            "rows": str(card.rows),
            "dataset (sha256)": card.content_sha256,
            "tokenizer (sha256)": tokenizer_sha256,
        },
    )


def _key(card: DatasetCard, tokenizer_sha256: str, end: int) -> str:
    text = f"{LAYOUT} {card.content_sha256} {tokenizer_sha256} {end}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _map(path: Path, dtype: Dtype) -> NDArray[np.unsignedinteger]:
    if path.stat().st_size == 0:
        return np.empty(0, dtype)
    return np.memmap(path, dtype=dtype, mode="r")


def _build(folder: Path, dataset: Path, card: DatasetCard, ids_of: "Encoder") -> None:
    """Write both splits under another name, then rename: others see all or nothing."""
    temporary = folder.with_name(f".tmp-{uuid.uuid4().hex}")
    temporary.mkdir(parents=True)
    tokens = 0
    try:
        for split in ("train", "validation"):
            with (temporary / f"{split}.bin").open("wb") as file:
                if split not in card.splits:
                    continue
                for ids in ids_of.documents(read_pieces(dataset, card, split)):
                    file.write(ids.tobytes())
                    tokens += len(ids)
        meta = {"dtype": ids_of.dtype.str, "tokens": tokens}
        (temporary / META).write_text(json.dumps(meta))
        # A power cut must not leave the name of a cache without its content.
        for path in (*temporary.iterdir(), temporary):
            fsync(path)
        try:
            temporary.rename(folder)
        except OSError:
            # Where another run was quicker, its cache is the same.
            if not (folder / META).is_file():
                raise
        fsync(folder.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def read_pieces(
    dataset: Path, card: DatasetCard, split: str
) -> Iterator[tuple[str, bool]]:
    """Yield the rows of a split, long ones in pieces; True marks a row's last."""
    for shard in card.splits[split].shards:
        file = pq.ParquetFile(dataset / shard)
        for batch in file.iter_batches(1000, columns=["text"]):
            for text in map(str, batch.column(0).to_pylist()):
                for at in range(0, max(1, len(text)), PIECE):
                    yield text[at : at + PIECE], at + PIECE >= len(text)


def _batches(
    pieces: Iterator[tuple[str, bool]],
) -> Iterator[tuple[list[str], list[bool]]]:
    texts: list[str] = []
    is_last: list[bool] = []
    size = 0
    for text, closes in pieces:
        texts.append(text)
        is_last.append(closes)
        size += len(text)
        if size >= ENCODE_CHARACTERS:
            yield texts, is_last
            texts, is_last, size = [], [], 0
    if texts:
        yield texts, is_last


class Encoder:
    """Turns pieces of documents into ids, and says how far it is."""

    def __init__(
        self, tokenizer: Tokenizer, end: int, advance: Callable[[int], None]
    ) -> None:
        """Take what is told of the characters done; it may raise to end the work."""
        self.dtype = np.dtype("<u2" if tokenizer.get_vocab_size() <= 2**16 else "<u4")
        self._tokenizer = tokenizer
        self._end = end
        self._advance = advance

    def documents(
        self, pieces: Iterator[tuple[str, bool]]
    ) -> Iterator[NDArray[np.unsignedinteger]]:
        """Yield ids, the end token after each piece that is its document's last."""
        for texts, is_last in _batches(pieces):
            found: list[int] = []
            encodings = self._tokenizer.encode_batch_fast(
                texts, add_special_tokens=False
            )
            for encoding, closes in zip(encodings, is_last, strict=True):
                found += encoding.ids
                if closes:
                    found.append(self._end)
            yield np.asarray(found, dtype=self.dtype)
            self._advance(sum(map(len, texts)))


class _Progress:
    """Says how far the building is, and ends it where the run shall stop."""

    def __init__(self, context: Context, total: int) -> None:
        self._context = context
        self._total = total
        self._done = 0
        self._started = self._said = time.monotonic()

    def advance(self, characters: int) -> None:
        if self._context.stop.is_set():
            raise Stopped
        self._done += characters
        now = time.monotonic()
        if now - self._said < REPORT_EVERY_S:
            return
        self._said = now
        left = self._total - self._done
        self._context.report.progress(
            step=self._done,
            total=self._total,
            unit="characters",
            phase="building token cache",
            eta_s=left * (now - self._started) / self._done,
        )
