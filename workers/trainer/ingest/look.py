"""Look at the first rows of a file: `python -m trainer.ingest.look`.

Standard input is one JSON object: `source`, `file_name` and `settings` (fields of an
ingest spec; without `dataset_kind` the kind is recognised). Standard output is a
`runspec.looking.Look`. The web starts it, since a hostile file may take any memory and
time: here the kernel sets the limits, and a crash is an answer like others.
"""

import json
import resource
import sys
from collections.abc import Iterator
from contextlib import closing
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import fsspec
from pydantic import ValidationError
from runspec import IngestSpec
from runspec.looking import Look, SeenColumn, SeenRow

from trainer.errors import BadInputError
from trainer.ingest.encoding import Utf8
from trainer.ingest.errors import (
    BadRowError,
    BadRows,
    HeldBackError,
    NoPreferenceError,
)
from trainer.ingest.files import DataFile, open_files
from trainer.ingest.formats.txt import TextReader
from trainer.ingest.kinds import KINDS
from trainer.ingest.kinds.base import Mapping, Sample
from trainer.ingest.kinds.choosing import (
    Recognised,
    layout_of,
    recognise,
    shapes_of,
)
from trainer.ingest.limits import Budget
from trainer.ingest.reading import HeldBack, Reading, first_batches
from trainer.ingest.rows import Batch, Notes
from trainer.ingest.streams import CHUNK

MEMORY_BYTES = 2 * 2**30
CPU_S = 15
WRITTEN_BYTES = 256 * 2**20
"""Parquet in an archive is unpacked to be read."""
EXPANDED_BYTES = 512 * 2**20
REMOTE_BYTES = 64 * 2**20
CHECKED_ROWS = 500
CHECKED_BYTES = 16 * 2**20
SHOWN_ROWS = 8
SHOWN_TURNS = 40
SHOWN_CHARACTERS = 20_000
SHOWN_COLUMNS = 200
EXAMPLE_CHARACTERS = 120


def look(source: str, file_name: str, settings: dict[str, Any], folder: Path) -> Look:
    """Say what a file is, and how its first rows would be stored."""
    chosen = str(settings.get("dataset_kind") or "")
    own = {"columns", "text_column", "dataset_kind"}
    rest = {name: value for name, value in settings.items() if name not in own}
    try:
        spec = IngestSpec.model_validate(
            {"source": source, "file_name": file_name} | (settings if chosen else rest)
        )
        return _look(spec, chosen, _local(source, folder), folder)
    except ValidationError as error:
        said = error.errors()[0]["msg"].removeprefix("Value error, ")
        return Look(error=_sentence(said))
    except BadInputError as error:
        return Look(error=_sentence(str(error), error.advice))
    except MemoryError:
        return Look(
            error="Its first rows take more memory than a look may use. Split the "
            "file, or mend the row that is so large."
        )
    except RecursionError:
        return Look(error="It is nested too deeply to be read. Is it a table of rows?")


def _sentence(text: str, advice: str = "") -> str:
    """Return a sentence; the name of a file at its beginning stays as it is."""
    ended = text if text.endswith((".", "?", "!")) else f"{text}."
    if ended.partition(" ")[0].isalpha():
        ended = ended[:1].upper() + ended[1:]
    return f"{ended} {advice}".strip()


def _local(source: str, folder: Path) -> Path:
    """Return a local path; of a URL only the beginning is fetched."""
    if "://" not in source:
        return Path(source)
    target = folder / "beginning"
    try:
        with fsspec.open(source, "rb") as remote, target.open("wb") as local:
            for _ in range(REMOTE_BYTES // CHUNK):
                local.write(remote.read(CHUNK))
    except (OSError, ValueError, ImportError) as error:
        raise BadInputError(
            f"the source could not be read: {type(error).__name__}",
            advice="Check the address, and that the server may reach it.",
        ) from error
    return target


def _look(spec: IngestSpec, chosen: str, path: Path, folder: Path) -> Look:
    reading = Reading(
        spec=spec,
        folder=folder,
        budget=Budget(
            source_bytes=path.stat().st_size,
            max_bytes=min(EXPANDED_BYTES, spec.max_expanded_bytes),
            max_ratio=spec.max_expansion_ratio,
        ),
        notes=Notes(),
        bad=BadRows(),
        held=HeldBack(folder / "held", KINDS[spec.dataset_kind]),
    )
    files = open_files(
        path, spec.file_name, spec.file_format, reading.budget, reading.notes
    )
    with closing(reading.held):
        for file in files:
            found = _look_at(file, reading, chosen)
            return found.model_copy(
                update={
                    "file": file.name,
                    "file_format": file.file_format,
                    "notes": reading.notes.texts,
                }
            )
    return Look(error=f"{spec.file_name} has no data file in it.")


def _look_at(file: DataFile, reading: Reading, chosen: str) -> Look:
    if file.file_format == "txt":
        return _look_at_text(file, reading, chosen)
    batches = list(
        first_batches(file, reading, num_rows=CHECKED_ROWS, num_bytes=CHECKED_BYTES)
    )
    batch = next(
        (one for one in batches if any(isinstance(row, dict) for row in one.values)),
        batches[0] if batches else Batch(),
    )
    if not batch.values and not batch.bad:
        raise BadInputError(f"{file.name} has no rows", advice="Send a file with some.")
    sample = Sample(file.name, batch.unit, batch.places, batch.values)
    seen = Look(columns=list(_columns(sample)))
    try:
        found = _recognise(sample, reading.spec, chosen)
    except BadInputError as error:
        question = _sentence(str(error), error.advice)
        return seen.model_copy(update={"kind": chosen, "question": question})
    kind, mapping = found
    rows, num_bad = _checked(batches, kind, mapping, reading)
    num_rows = sum(len(one.values) + len(one.bad) for one in batches)
    return seen.model_copy(
        update={
            "kind": kind,
            "is_recognised": not chosen,
            "layout": layout_of(kind, mapping, sample.rows),
            "mapping": mapping,
            "rows": rows,
            "num_rows": min(CHECKED_ROWS, num_rows),
            "num_bad": num_bad,
        }
    )


def _recognise(sample: Sample, spec: IngestSpec, chosen: str) -> Recognised:
    """Return kind and columns.

    Raises:
        BadInputError: they do not tell themselves.
    """
    if chosen:
        return Recognised(chosen, KINDS[chosen].choose(sample, spec))
    found = recognise(sample)
    if found is not None:
        return found
    try:
        return Recognised("text", KINDS["text"].choose(sample, spec))
    except BadInputError as error:
        raise BadInputError(
            str(error).partition(": which one")[0],
            advice="What are its rows? Choose a kind, and which column holds what.",
        ) from error


def _columns(sample: Sample) -> Iterator[SeenColumn]:
    first = next((row for row in sample.rows if isinstance(row, dict)), {})
    for name, shapes in islice(shapes_of(sample.rows).items(), SHOWN_COLUMNS):
        value = first.get(name)
        example = "" if value is None or isinstance(value, bytes) else str(value)
        yield SeenColumn(
            name=name, holds=sorted(shapes), example=example[:EXAMPLE_CHARACTERS]
        )


def _checked(
    batches: list[Batch], kind: str, mapping: Mapping, reading: Reading
) -> tuple[list[SeenRow], int]:
    """Return the first rows as they would be stored, and how many would not be."""
    shown: list[SeenRow] = []
    held: list[SeenRow] = []
    ties: list[SeenRow] = []
    names = KINDS[kind].schema.names
    unit = batches[0].unit
    bad = [
        SeenRow(place=f"{unit} {place}", reason=reason)
        for batch in batches
        for place, reason in batch.bad
    ]
    num_good = 0
    pairs = chain.from_iterable(
        zip(batch.places, batch.values, strict=True) for batch in batches
    )
    most, notes = reading.spec.max_row_characters, reading.notes
    for place, row in islice(pairs, CHECKED_ROWS):
        where = f"{unit} {place}"
        try:
            values = KINDS[kind].check(row, mapping, most, notes)
        except HeldBackError as error:
            kept = _cut(dict(zip(names, error.values, strict=True)))
            held.append(SeenRow(place=where, values=kept, reason=str(error)))
        except NoPreferenceError as error:
            ties.append(SeenRow(place=where, reason=f"left out: {error}"))
        except BadRowError as error:
            bad.append(SeenRow(place=where, reason=str(error)))
        else:
            num_good += 1
            if len(shown) < SHOWN_ROWS:
                kept = _cut(dict(zip(names, values, strict=True)))
                shown.append(SeenRow(place=where, values=kept))
    if held and not num_good and not bad:
        notes.add("no conversation has an assistant turn")
        fine = [row.model_copy(update={"reason": ""}) for row in held]
        return fine[:SHOWN_ROWS], 0
    if ties:
        are = "row prefers" if len(ties) == 1 else "rows prefer"
        notes.add(f"{len(ties):,} of the first {are} neither answer, and are left out")
    bad += [row.model_copy(update={"values": {}}) for row in held]
    bad.sort(key=_number_of)
    return shown + sorted(bad[:SHOWN_ROWS] + ties[:SHOWN_ROWS], key=_number_of), len(
        bad
    )


def _number_of(row: SeenRow) -> int:
    return int(row.place.rpartition(" ")[2])


def _cut(value: Any) -> Any:
    """Return a value of which no text or list is longer than a page shows."""
    if isinstance(value, str):
        return value[:SHOWN_CHARACTERS]
    if isinstance(value, list):
        return [_cut(item) for item in value[:SHOWN_TURNS]]
    if isinstance(value, dict):
        return {name: _cut(item) for name, item in value.items()}
    return value


def _look_at_text(file: DataFile, reading: Reading, chosen: str) -> Look:
    from_text = KINDS[chosen].from_text if chosen else None
    if chosen not in {"", "text"} and from_text is None:
        raise BadInputError(
            f"{file.name} is plain text; rows of {chosen} need a table (jsonl, json, "
            "csv, tsv or parquet)"
        )
    source = Utf8(file.chunks, file.name)
    reading.notes.add(source.note)
    reader = TextReader(
        source,
        file.name,
        rows=reading.spec.text_rows,
        max_characters=reading.spec.max_row_characters,
    )
    rows: list[bytes] = []
    for batch in reader.batches(reading.notes):
        rows += batch.rows
        if len(rows) >= SHOWN_ROWS:
            break
    if not rows:
        raise BadInputError(f"{file.name} has no usable text: 0 rows")
    kind = KINDS[chosen or "text"]

    def stored(row: bytes) -> dict[str, Any]:
        text = row.decode()
        values = (text,) if from_text is None else from_text(text)
        return dict(zip(kind.schema.names, values, strict=True))

    return Look(
        kind=chosen or "text",
        is_recognised=not chosen,
        layout="plain text",
        mapping={},
        rows=[
            SeenRow(place=f"row {at}", values=_cut(stored(row)))
            for at, row in enumerate(rows[:SHOWN_ROWS], start=1)
        ],
        num_rows=min(len(rows), CHECKED_ROWS),
    )


def main() -> None:
    """Answer one request."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_FSIZE, (WRITTEN_BYTES, WRITTEN_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    request = json.loads(sys.stdin.read())
    with TemporaryDirectory(prefix="look-") as folder:
        found = look(
            request["source"], request["file_name"], request["settings"], Path(folder)
        )
    sys.stdout.write(found.model_dump_json())


if __name__ == "__main__":
    main()
