"""A text, a tokenizer for it, and a stage that can be run, stopped and resumed."""

import json
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from runspec import PretrainSpec
from runspec import events as spoken
from runspec.layout import DatasetCard, Split, events_file
from trainer import loop
from trainer.context import Context, Reporter
from trainer.errors import Stopped
from trainer.pretrain import run_pretrain

LINES = [f"{number} and {number + 1} are neighbours.\n" for number in range(600)]
TINY: dict[str, Any] = {
    "layers": 2,
    "heads": 2,
    "width": 32,
    "context": 24,
    "batch_size": 8,
    "max_steps": 40,
    "warmup_steps": 4,
    "eval_every": 10,
    "eval_batches": 3,
    "sample_every": 20,
    "sample_tokens": 5,
    "checkpoint_every": 10,
    "precision": "fp32",
    "compile": "off",
    "device": "cpu",
}


def write_dataset(folder: Path, splits: dict[str, list[str]]) -> Path:
    folder.mkdir()
    made = {}
    for name, texts in splits.items():
        pq.write_table(pa.table({"text": texts}), folder / f"{name}.parquet")
        made[name] = Split(
            rows=len(texts),
            bytes=sum(len(text.encode()) for text in texts),
            characters=sum(map(len, texts)),
            shards=[f"{name}.parquet"],
        )
    card = DatasetCard(
        kind="text",
        columns=["text"],
        rows=sum(split.rows for split in made.values()),
        bytes=sum(split.bytes for split in made.values()),
        characters=sum(split.characters for split in made.values()),
        distinct_rows=1,
        duplicate_rows=0,
        length_histogram=[],
        splits=made,
        content_sha256=str(hash(str(splits))),
        source_name="lines",
        source_sha256="",
    )
    (folder / "dataset.json").write_text(card.model_dump_json())
    return folder


class StoppingReporter(Reporter):
    """Writes events, and sets a sign once a step was reported."""

    def __init__(self, path: Path, stop: threading.Event, at: int | None) -> None:
        super().__init__(path)
        self._stop, self._at = stop, at

    def metric(self, step: int, /, **values: float) -> None:
        super().metric(step, **values)
        if self._at is not None and step >= self._at:
            self._stop.set()


def context_for(
    folder: Path,
    *,
    fence: int = 1,
    resume: Path | None = None,
    stop_at: int | None = None,
) -> Context:
    folder.mkdir(exist_ok=True)
    stop = threading.Event()
    return Context(
        folder=folder,
        fence=fence,
        resume=resume,
        cache=folder.parent / "cache",
        report=StoppingReporter(events_file(folder, fence), stop, stop_at),
        stop=stop,
    )


@dataclass
class Lab:
    """Runs tiny stages in a folder of the test."""

    root: Path
    dataset: Path
    tokenizer: Path

    def spec(self, **changes: Any) -> PretrainSpec:
        values = {"dataset": str(self.dataset), "tokenizer": str(self.tokenizer)}
        return PretrainSpec(**{**values, **TINY, **changes})

    def context(self, name: str) -> Context:
        """Return a context that shares the cache of the runs."""
        return context_for(self.root / name)

    def run(self, spec: PretrainSpec, name: str = "run", **options: Any) -> Path:
        """Run to the end, or to a stop; return the run's folder."""
        folder = self.root / name
        context = context_for(folder, **options)
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(loop, "READ_EVERY_S", 0.0)  # so that a stop is punctual
                run_pretrain(spec, context=context)
        except Stopped:
            assert options.get("stop_at") is not None
        finally:
            context.report.close()
        return folder


def result_of(folder: Path, fence: int = 1) -> dict[str, Any]:
    [found] = [e for e in read_events(folder, fence) if isinstance(e, spoken.Result)]
    return found.values


def read_events(folder: Path, fence: int = 1) -> list[spoken.AnyEvent]:
    lines = events_file(folder, fence).read_text().splitlines()
    return [spoken.parse_event(line) for line in lines]


def curve(folder: Path, name: str, *fences: int) -> dict[int, str]:
    """Return a curve to the bit, as JSON holds it; later attempts replace earlier."""
    found: dict[int, str] = {}
    for fence in fences or (1,):
        for event in read_events(folder, fence):
            if isinstance(event, spoken.Metric) and event.name == name:
                found[event.step] = json.dumps(event.value)
    return found
