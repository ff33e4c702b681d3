"""Rows of examples, encoded once and kept: what the preflight shows is what trains.

An encoded split is an Arrow file in the cache, keyed by all that decides its content,
and memory-mapped by `datasets`. Each row knows where it comes from.
"""

import hashlib
import json
import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset, concatenate_datasets
from runspec.layout import DATASET_CARD, DatasetCard

from trainer.context import Context
from trainer.errors import BadInputError, Stopped

LAYOUT = 1
"""Raised when encoding changes; older caches are then left alone."""
BATCH = 256
MAX_NAMED = 10
COLUMNS = ("input_ids", "labels")
"""Lists of ids kept of each row; `values` of an example gives them."""
NUMBERS = ("against", "strength")
"""Columns that hold one number a row instead."""
TooLong = Literal["drop", "truncate", "refuse"]


@dataclass(frozen=True)
class Example:
    """One encoded row."""

    ids: list[int]
    labels: list[int]
    """As long as `ids` for a decoder; what to write, or one class, for others."""
    length: int
    """Tokens that count against the context."""

    @property
    def trained_tokens(self) -> int:
        """How many of its tokens are learnt."""
        return sum(label >= 0 for label in self.labels)

    def cut(self, tokens: int) -> "Example":
        """Return its beginning."""
        labels = self.labels if len(self.labels) == 1 else self.labels[:tokens]
        return Example(self.ids[:tokens], labels, min(self.length, tokens))

    def values(self) -> dict[str, list[int] | float]:
        """Return what is kept of it, by column."""
        return {"input_ids": self.ids, "labels": self.labels}


class Limit(NamedTuple):
    """How long a row may be, and what becomes of a longer one."""

    tokens: int
    too_long: TooLong


@dataclass
class Tally:
    """What encoding a split found."""

    rows: int = 0
    kept: int = 0
    too_long: int = 0
    longest: int = 0
    tokens: int = 0
    trained_tokens: int = 0
    untrained: list[str] = field(default_factory=list)
    """Rows with nothing to learn from, named; the first few."""
    num_untrained: int = 0
    long_rows: list[str] = field(default_factory=list)
    lengths: list[int] = field(default_factory=lambda: [0] * 32)
    """Rows by the power of two their length is below."""

    def sift(
        self, examples: list[Example], source: "Source", start: int, limit: Limit
    ) -> list[tuple[int, Example]]:
        """Drop or cut what is too long; count everything."""
        kept = []
        for number, given in enumerate(examples, start=start + 1):
            self.rows += 1
            self.longest = max(self.longest, given.length)
            self.lengths[min(31, given.length.bit_length())] += 1
            example = given
            if given.length > limit.tokens:
                self.too_long += 1
                named = f"row {number} of {source.name} ({given.length:,} tokens)"
                self.long_rows = [*self.long_rows, named][:MAX_NAMED]
                if limit.too_long != "truncate":
                    continue
                example = given.cut(limit.tokens)
            if not example.trained_tokens:
                self.num_untrained += 1
                named = f"row {number} of {source.name}"
                self.untrained = [*self.untrained, named][:MAX_NAMED]
                continue
            self.kept += 1
            self.tokens += example.length
            self.trained_tokens += example.trained_tokens
            kept.append((number, example))
        return kept


@dataclass(frozen=True)
class Source:
    """One dataset of a spec."""

    folder: Path
    card: DatasetCard

    @property
    def name(self) -> str:
        """What a sentence calls it."""
        return self.card.source_name

    @classmethod
    def open(cls, path: str) -> "Source":
        """Read the card of a dataset."""
        folder = Path(path)
        text = (folder / DATASET_CARD).read_text()
        return cls(folder, DatasetCard.model_validate_json(text))

    def rows(self, split: str) -> Iterator[dict[str, Any]]:
        """Yield the rows of a split in order."""
        if split not in self.card.splits:
            return
        for shard in self.card.splits[split].shards:
            for batch in pq.ParquetFile(self.folder / shard).iter_batches(BATCH):
                yield from batch.to_pylist()


Encode = Callable[[list[dict[str, Any]], str], list[Example]]
"""(rows, kind of the dataset) → encoded rows; raises RowError."""


class RowError(BadInputError):
    """A row cannot be encoded; `index` is its place among those given."""

    def __init__(self, message: str, index: int, advice: str = "") -> None:
        super().__init__(message, advice)
        self.index = index


def key_of(*parts: object) -> str:
    """Return a short name for all that decides the content of a cache."""
    text = json.dumps([LAYOUT, *parts], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def encoded(
    sources: list[Source],
    split: str,
    encode: Encode,
    *,
    key: str,
    context: Context,
    limit: Limit,
    columns: tuple[str, ...] = COLUMNS,
) -> tuple[Dataset, Tally]:
    """Return a split of all sources, one behind the other, from the cache or anew.

    Raises:
        BadInputError: a row cannot be encoded, or is too long and none may be.
    """
    folder = context.cache / "examples" / f"{key}-{split}"
    if not (folder / "tally.json").is_file():
        _build(
            folder,
            sources,
            split,
            encode,
            context=context,
            limit=limit,
            schema=schema_of(columns),
        )
    tally = Tally(**json.loads((folder / "tally.json").read_text()))
    return Dataset.from_file(str(folder / "rows.arrow")), tally


def schema_of(columns: tuple[str, ...]) -> pa.Schema:
    """Return the schema of encoded rows; each also knows where it comes from."""
    kept = [
        (name, pa.float32() if name in NUMBERS else pa.list_(pa.int32()))
        for name in columns
    ]
    return pa.schema([*kept, ("source", pa.int32()), ("row", pa.int64())])


def _build(
    folder: Path,
    sources: list[Source],
    split: str,
    encode: Encode,
    *,
    context: Context,
    limit: Limit,
    schema: pa.Schema,
) -> None:
    temporary = folder.with_name(f".tmp-{uuid.uuid4().hex}")
    temporary.mkdir(parents=True)
    total = sum(s.card.splits[split].rows for s in sources if split in s.card.splits)
    tally = Tally()
    try:
        with (
            pa.OSFile(str(temporary / "rows.arrow"), "wb") as file,
            pa.ipc.new_stream(file, schema) as writer,
        ):
            for number, source in enumerate(sources):
                for start, rows in _batches(source.rows(split)):
                    if context.stop.is_set():
                        raise Stopped
                    examples = _encode(encode, rows, source, start)
                    kept = tally.sift(examples, source, start, limit)
                    writer.write_batch(_record_batch(kept, number, schema))
                    context.report.progress(
                        step=tally.rows,
                        total=total,
                        unit="rows",
                        phase=f"encoding {split} rows",
                    )
        (temporary / "tally.json").write_text(json.dumps(asdict(tally)))
        try:
            temporary.rename(folder)
        except OSError:
            # Where another run was quicker, its cache is the same.
            if not (folder / "tally.json").is_file():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _batches(
    rows: Iterator[dict[str, Any]],
) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    start, batch = 0, []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH:
            yield start, batch
            start, batch = start + BATCH, []
    if batch:
        yield start, batch


def _encode(
    encode: Encode, rows: list[dict[str, Any]], source: Source, start: int
) -> list[Example]:
    try:
        return encode(rows, source.card.kind)
    except RowError as error:
        raise BadInputError(
            f"row {start + error.index + 1} of {source.name}: {error}", error.advice
        ) from error


def _record_batch(
    kept: list[tuple[int, Example]], source: int, schema: pa.Schema
) -> pa.RecordBatch:
    rows = [
        {**example.values(), "source": source, "row": number}
        for number, example in kept
    ]
    return pa.RecordBatch.from_pylist(rows, schema=schema)


def mixed(rows: Dataset, weights: tuple[float, ...], seed: int) -> Dataset:
    """Return the rows of one epoch, drawn from their sources by weight.

    As many rows as there are; of a source that shall give more than it has, rows
    stand several times, each as often as the others or once more.
    """
    if not weights:
        return rows
    sources = np.asarray(rows["source"])
    generator = np.random.Generator(np.random.Philox(key=[seed, len(rows)]))
    parts = []
    for source, weight in enumerate(weights):
        places = np.flatnonzero(sources == source)
        wanted = round(len(rows) * weight / sum(weights))
        if not len(places):
            continue
        repeats = -(-wanted // len(places))
        drawn = np.concatenate(
            [generator.permutation(places) for _ in range(max(1, repeats))]
        )
        parts.append(rows.select(drawn[:wanted]))
    return concatenate_datasets(parts)


def spread(rows: Dataset, most: int) -> Dataset:
    """Return at most so many rows, spread evenly."""
    if len(rows) <= most:
        return rows
    places = np.linspace(0, len(rows) - 1, most).round().astype(int)
    return rows.select(places)


def refuse_empty(tally: Tally) -> None:
    """Refuse rows none of which can be learnt from."""
    if tally.kept:
        return
    named = ", ".join(tally.untrained or tally.long_rows)
    if tally.num_untrained:
        raise BadInputError(
            f"no row has a token to learn from (such as {named}): the assistant says "
            "nothing in them",
            "Bring rows with answers of the assistant, or set loss_on to all.",
        )
    raise BadInputError(
        f"every row is longer than the model can see (such as {named})",
        "Set too_long to truncate, or choose a model with a longer context.",
    )
