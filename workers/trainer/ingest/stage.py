"""Run one ingest: read and check every row, then split and write them.

Rows are staged on disk in file order, twelve bytes of key each beside them, because
an exact split and the count of duplicates need all rows seen. Memory does not grow
with the source, and nothing is left in `output/` unless the whole file was good.
"""

import hashlib
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from runspec import IngestSpec
from runspec.layout import DATASET_CARD, OUTPUT, DatasetCard, PairFacts, Split

from trainer.context import Context
from trainer.errors import BadInputError, Stopped
from trainer.ingest.errors import BadRows
from trainer.ingest.facts import Facts
from trainer.ingest.files import open_files
from trainer.ingest.keys import RowKeys
from trainer.ingest.kinds import KINDS
from trainer.ingest.limits import Budget
from trainer.ingest.reading import HeldBack, Reading, Rows, read_rows
from trainer.ingest.rows import Notes
from trainer.ingest.source import file_sha256, local_source
from trainer.ingest.splitting import (
    Piece,
    is_cut_by_characters,
    split_by_characters,
    split_by_rows,
)
from trainer.ingest.store import SplitWriter, Staging

BAD_ROWS = "bad_rows.json"
REPORT_EVERY_S = 0.3


def run_ingest(spec: IngestSpec, *, context: Context) -> None:
    """Make `output/` a dataset of the rows in `spec.source`.

    Raises:
        BadInputError: the file, or one of its rows, cannot be taken.
        Stopped: the run was asked to stop; nothing is kept.
    """
    with TemporaryDirectory(prefix="ingest-", dir=context.folder) as work:
        _ingest(spec, context, Path(work))


def _ingest(spec: IngestSpec, context: Context, work: Path) -> None:
    path = local_source(spec.source, work, max_bytes=spec.max_expanded_bytes)
    size = path.stat().st_size
    reading = Reading(
        spec=spec,
        folder=work,
        budget=Budget(
            source_bytes=size,
            max_bytes=spec.max_expanded_bytes,
            max_ratio=spec.max_expansion_ratio,
        ),
        notes=Notes(),
        bad=BadRows(),
        held=HeldBack(work / "held.arrow", KINDS[spec.dataset_kind]),
    )
    keys, prompts = RowKeys(work / "keys"), RowKeys(work / "prompts")
    pairs, eithers = RowKeys(work / "pairs"), RowKeys(work / "eithers")
    staging = Staging(work / "rows.arrow", reading.kind.schema)
    with (
        closing(keys),
        closing(prompts),
        closing(staging),
        closing(reading.held),
        closing(pairs),
        closing(eithers),
    ):
        progress = _Progress(context)
        output = context.folder / OUTPUT
        output.mkdir(exist_ok=True)
        by_prompt = reading.kind.splits_by_prompt
        staged = _Staged(staging, keys, prompts, pairs, eithers, by_prompt)
        _read(path, reading, staged, progress)
        _decide_held(reading, staged)
        _refuse_bad_rows(reading, output, keys.count)
        facts = Facts()
        writers = (
            SplitWriter(output, "train", reading.kind.schema),
            SplitWriter(output, "validation", reading.kind.schema),
        )
        done = 0
        for rows, validates in _pieces(spec, reading, keys, staging):
            writers[validates].add(rows)
            facts.add(rows)
            done += len(rows)
            progress.report("writing", done, staging.rows, "rows")
        card = _card(path, reading, staged, writers, facts)
        (output / DATASET_CARD).write_text(card.model_dump_json(indent=1))
        progress.report("writing", staging.rows, staging.rows, "rows", is_last=True)
    for note in card.notes:
        context.report.warning(note)
    context.report.result(
        rows=card.rows,
        bytes=card.bytes,
        characters=card.characters,
        duplicate_rows=card.duplicate_rows,
        skipped_rows=card.skipped_rows,
        bad_rows=reading.bad.first,
    )


class _Progress:
    """Reports progress a few times a second; stops when asked to."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._last = 0.0

    def report(
        self, phase: str, step: int, total: int, unit: str, *, is_last: bool = False
    ) -> None:
        """Say how far it is."""
        if self._context.stop.is_set():
            raise Stopped
        now = time.monotonic()
        if is_last or now - self._last >= REPORT_EVERY_S:
            self._last = now
            self._context.report.progress(
                step=min(step, total), total=total, unit=unit, phase=phase
            )


@dataclass
class _Staged:
    """Good rows on disk, and who is equal to whom."""

    rows: Staging
    keys: RowKeys
    prompts: RowKeys
    pairs: RowKeys
    """Of preferences: what is preferred to what."""
    eithers: RowKeys
    """Of preferences: the two answers, whichever is preferred."""
    splits_by_prompt: bool = False
    is_unanswered: bool = False
    """Whether no conversation has a turn of the assistant."""

    def add(self, rows: Rows) -> None:
        """Keep some."""
        self.rows.add(rows.batch)
        self.keys.add(rows.identities, rows.prompts if self.splits_by_prompt else None)
        if rows.prompts:
            self.prompts.add(rows.prompts)
        if rows.pairs:
            ordered, either = zip(*rows.pairs, strict=True)
            self.pairs.add(list(ordered))
            self.eithers.add(list(either))

    def shared_prompts(self) -> int:
        """Count different rows beyond the first with the same prompt."""
        return (
            self.keys.distinct() - self.prompts.distinct() if self.prompts.count else 0
        )


def _read(path: Path, reading: Reading, staged: _Staged, progress: _Progress) -> None:
    """Stage every good row; after the first bad one only go on counting them."""
    spec = reading.spec
    size = path.stat().st_size
    is_strict = spec.bad_rows == "reject"
    files = open_files(
        path, spec.file_name, spec.file_format, reading.budget, reading.notes
    )
    for file in files:
        for rows in read_rows(file, reading):
            progress.report("reading", reading.budget.position(), size, "bytes")
            if is_strict and reading.bad.count:
                continue
            staged.add(rows)


def _decide_held(reading: Reading, staged: _Staged) -> None:
    """Take the rows held back if there is nothing better, else call them bad."""
    held = reading.held
    if not held.bad.count:
        return
    if staged.keys.count or reading.bad.count:
        reading.bad.add_all(held.bad)
        return
    staged.is_unanswered = True
    for rows in held.rows():
        staged.add(rows)
    reading.notes.add(
        "no conversation has an assistant turn: nothing can be learnt from what the "
        "assistant says"
    )


def _refuse_bad_rows(reading: Reading, output: Path, good: int) -> None:
    """End the run where there are bad rows nobody allowed, or no good ones."""
    bad = reading.bad
    if bad.count:
        bad.write(output / BAD_ROWS)
    if bad.count and (reading.spec.bad_rows == "reject" or not good):
        which = "row is" if bad.count == 1 else "rows are"
        raise BadInputError(
            f"{bad.count:,} {which} bad. {bad.summary()}",
            advice="Mend these rows, or choose to skip bad rows."
            if reading.spec.bad_rows == "reject"
            else "No row is left.",
        )
    if not good and reading.ties.count:
        raise BadInputError(
            f"{reading.spec.file_name} has no usable pair: none of its "
            f"{reading.ties.count:,} rows prefers one answer",
            advice="Send a file in which some rows do.",
        )
    if not good:
        raise BadInputError(
            f"{reading.spec.file_name} has no usable text: 0 rows",
            advice="Send a file with text in it.",
        )


def _pieces(
    spec: IngestSpec, reading: Reading, keys: RowKeys, staging: Staging
) -> Iterator[Piece]:
    is_cut = is_cut_by_characters(spec, keys.count, is_text_file=reading.is_text_file)
    if not is_cut:
        return split_by_rows(staging.batches(), keys, spec)
    train_characters = int(staging.characters * (1 - spec.validation_fraction))
    reading.notes.add(
        f"the validation split is the text from character {train_characters:,} on"
    )
    return split_by_characters(staging.batches(), train_characters)


def _card(
    path: Path,
    reading: Reading,
    staged: _Staged,
    writers: tuple[SplitWriter, SplitWriter],
    facts: Facts,
) -> DatasetCard:
    keys = staged.keys
    train, train_sha256 = writers[0].finish()
    validation, validation_sha256 = writers[1].finish()
    splits: dict[str, Split] = {"train": train}
    if validation.rows:
        splits["validation"] = validation
    distinct = keys.distinct()
    pairs = _pair_facts(reading, staged, facts)
    _add_notes(reading, rows=keys.count, distinct=distinct, splits=splits)
    columns = reading.kind.schema.names
    content = [reading.spec.dataset_kind, *columns, train_sha256, validation_sha256]
    counts = [writer.counts for writer in writers]
    counts[0].lengths.counts += counts[1].lengths.counts
    return DatasetCard(
        kind=reading.spec.dataset_kind,
        columns=columns,
        rows=train.rows + validation.rows,
        bytes=train.bytes + validation.bytes,
        characters=train.characters + validation.characters,
        distinct_rows=distinct + train.rows + validation.rows - keys.count,
        duplicate_rows=keys.count - distinct,
        skipped_rows=reading.bad.count,
        length_histogram=counts[0].lengths.bins(),
        longest_row=max(one.longest for one in counts),
        splits=splits,
        content_sha256=hashlib.sha256("\n".join(content).encode()).hexdigest(),
        source_name=reading.spec.file_name,
        source_sha256=file_sha256(path),
        notes=reading.notes.texts,
        layout=reading.layout,
        mapping=reading.mapping,
        unanswered_rows=keys.count if staged.is_unanswered else 0,
        shared_prompts=staged.shared_prompts(),
        pairs=pairs,
        **facts.as_card(),
    )


def _pair_facts(reading: Reading, staged: _Staged, facts: Facts) -> PairFacts | None:
    """Return what matters of pairs, and note what is odd in them."""
    if 0 < facts.num_chat < facts.num_rows:
        plain = facts.num_rows - facts.num_chat
        reading.notes.add(
            f"{facts.num_chat:,} rows are conversations and {plain:,} plain text: a "
            "chat template is for the former alone"
        )
    if reading.kind.pair_of is None:
        return None
    pairs = staged.pairs.distinct()
    found = facts.pairs.as_facts(
        num_prompts=staged.prompts.distinct(),
        contradictions=pairs - staged.eithers.distinct(),
        repeated=staged.pairs.count - pairs,
        ties=reading.ties.count,
    )
    _note_pairs(found, reading)
    return found


def _note_pairs(found: PairFacts, reading: Reading) -> None:
    notes = reading.notes
    if found.ties:
        are = "row prefers" if found.ties == 1 else "rows prefer"
        notes.add(
            f"{found.ties:,} {are} neither answer, and did not become a pair: "
            f"{reading.ties.summary()}"
        )
    if found.contradictions:
        are = "pair is" if found.contradictions == 1 else "pairs are"
        notes.add(
            f"{found.contradictions:,} {are} contradicted by another: the same two "
            "answers to the same prompt, preferred the other way round"
        )
    if found.blank_differences:
        are = "pair differs" if found.blank_differences == 1 else "pairs differ"
        notes.add(f"{found.blank_differences:,} {are} in white space alone")


def _add_notes(
    reading: Reading, *, rows: int, distinct: int, splits: dict[str, Split]
) -> None:
    notes, spec = reading.notes, reading.spec
    if distinct < rows:
        copies = rows - distinct
        are = "is an exact copy of another" if copies == 1 else "are exact copies"
        notes.add(f"{rows:,} rows, {distinct:,} distinct: {copies:,} {are}")
    if reading.num_cut:
        notes.add(
            f"{reading.num_cut:,} rows longer than {spec.max_row_characters:,} "
            "characters were cut into several"
        )
    if reading.bad.count:
        were = "row was" if reading.bad.count == 1 else "rows were"
        notes.add(f"{reading.bad.count:,} bad {were} skipped")
    if spec.validation_fraction and "validation" not in splits:
        notes.add("there is no validation split: too few different rows")
