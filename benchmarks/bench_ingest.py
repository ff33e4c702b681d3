"""Ingest: MB of source text per second on one core, and peak memory.

Each source is generated (200 MB of invented words, fixed seed), then ingested in a
child of its own, whose peak resident memory is the figure. `per core` counts the
processor time of the whole run, hashes and compressed Parquet included; `parsing` the
wall time until every row is read, checked and staged. Run:

    python benchmarks/bench_ingest.py [--megabytes 200] [--only jsonl …]
"""

import argparse
import gzip
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workers"))

CASES = ("txt", "txt-lines", "jsonl", "jsonl.gz", "csv", "parquet")
MEGABYTE = 10**6


def paragraphs() -> Iterator[str]:
    """Return invented paragraphs of 40 to 1,200 characters, forever."""
    random.seed(7)
    letters = "etaoinshrdlucmfwyp"
    words = [
        "".join(random.choices(letters, k=random.randint(2, 9))) for _ in range(20_000)
    ]
    while True:
        pool = random.choices(words, k=5_000)
        at = 0
        while at < 4_800:
            size = random.randint(8, 180)
            yield " ".join(pool[at : at + size])
            at += size


def write_source(case: str, path: Path, size: int) -> int:
    """Write `size` bytes of rows; return the exact number, uncompressed."""
    if case == "parquet":
        return write_parquet(path, size)
    written = 0
    with gzip.open(path, "wb", 1) if case.endswith(".gz") else path.open("wb") as file:
        if case == "csv":
            written += file.write(b"id,text\n")
        for number, text in enumerate(paragraphs()):
            if case == "txt":
                row = text + "\n\n"
            elif case == "txt-lines":
                # Short lines, as in plays and lists of names.
                row = "\n".join(text[at : at + 40] for at in range(0, len(text), 40))
                row += "\n"
            elif case == "csv":
                row = f'{number},"{text}"\n'
            else:
                row = json.dumps({"id": number, "text": text}) + "\n"
            written += file.write(row.encode())
            if written >= size:
                return written
    raise AssertionError


def write_parquet(path: Path, size: int) -> int:
    """Write rows of text as one Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("text", pa.string())])
    written = 0
    source = paragraphs()
    with pq.ParquetWriter(path, schema) as writer:
        while written < size:
            rows = [next(source) for _ in range(20_000)]
            written += sum(map(len, rows))
            writer.write_table(pa.table({"text": rows}, schema))
    return written


def child(case: str, path: str, folder: str) -> None:
    """Ingest one source; print seconds and peak memory as JSON."""
    import threading

    import pyarrow as pa
    from runspec import IngestSpec
    from trainer.ingest import run_ingest

    class Report:
        """Remembers when each phase was first heard of."""

        seen = {}

        def progress(self, *, phase, **_):
            self.seen.setdefault(phase, time.perf_counter())

        def warning(self, message):
            """Nobody reads it."""

        def result(self, **values):
            """Nobody reads it."""

    class Context:
        report = Report()
        stop = threading.Event()

    Context.folder = Path(folder)
    pa.set_cpu_count(1)
    before = resource.getrusage(resource.RUSAGE_SELF)
    start = Report.seen["reading"] = time.perf_counter()
    spec = IngestSpec(
        source=path,
        file_name=Path(path).name,
        text_column="" if case.startswith("txt") else "text",
        text_rows="line" if case == "txt-lines" else "paragraph",
    )
    run_ingest(spec, context=Context)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    phases = Report.seen
    figures = {
        "parse_s": phases["writing"] - phases["reading"],
        "wall_s": wall,
        "cpu_s": cpu,
        "peak_mb": after.ru_maxrss / 1024,
        "import_mb": before.ru_maxrss / 1024,
    }
    print(json.dumps(figures))


def main() -> None:
    """Measure every case and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--only", nargs="*", default=CASES, choices=CASES)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(*options.child)
        return
    print(f"{options.megabytes} MB of text each; MB/s of text, expanded")
    titles = ("MB/s", "per core", "parsing", "peak MB", "above start")
    print(f"{'source':<12}" + "".join(f"{title:>12}" for title in titles))
    for case in options.only:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"source.{case.removesuffix('-lines')}"
            size = write_source(case, path, options.megabytes * MEGABYTE) / MEGABYTE
            command = [sys.executable, __file__, "--child", case, str(path), folder]
            out = subprocess.run(
                command, check=True, capture_output=True, text=True, env=os.environ
            )
            figures = json.loads(out.stdout)
            above = figures["peak_mb"] - figures["import_mb"]
            rates = [size / figures[name] for name in ("wall_s", "cpu_s", "parse_s")]
            numbers = [*rates, figures["peak_mb"], above]
            row = "".join(f"{number:>12.0f}" for number in numbers)
            print(f"{case:<12}{row}", flush=True)


if __name__ == "__main__":
    main()
