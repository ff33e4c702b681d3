"""The stages as a supervisor runs them: a process, a spec file, events."""

import json
import random
import signal
import subprocess
import sys
import time

from runspec import IngestSpec, TokenizerSpec
from runspec.events import Error, Result, parse_event
from runspec.layout import EXIT_FAILED, EXIT_OK, EXIT_STOPPED, events_file

ENVIRONMENT = {"PYTHONPATH": ":".join(filter(None, sys.path)), "PATH": "/usr/bin:/bin"}


def start(folder, spec):
    folder.mkdir()
    (folder / "spec-1.json").write_text(spec.model_dump_json())
    return subprocess.Popen(
        [sys.executable, "-m", "trainer", folder / "spec-1.json", "--folder", folder],
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def events(folder):
    lines = events_file(folder, 1).read_bytes().splitlines()
    return [parse_event(line) for line in lines]


def write_rows(path, count):
    draw = random.Random(3)
    letters = "abcdefghijklmnopqrstuvwxyz"
    with path.open("w") as file:
        for _ in range(count):
            words = ("".join(draw.choices(letters, k=7)) for _ in range(20))
            file.write(json.dumps({"text": " ".join(words)}) + "\n")
    return path


def test_a_dataset_and_its_tokenizer_come_out(tmp_path):
    source = write_rows(tmp_path / "rows.jsonl", 300)
    ingest = tmp_path / "ingest"
    spec = IngestSpec(source=str(source), file_name="rows.jsonl")
    assert start(ingest, spec).wait(60) == EXIT_OK
    result = events(ingest)[-1]
    assert isinstance(result, Result)
    assert result.values["rows"] == 300

    tokenizer = tmp_path / "tokenizer"
    spec = TokenizerSpec(dataset=str(ingest / "output"), vocabulary_size=300)
    assert start(tokenizer, spec).wait(60) == EXIT_OK
    assert events(tokenizer)[-1].values["vocabulary_size"] == 300


def test_a_bad_file_ends_with_its_reason(tmp_path):
    source = tmp_path / "rows.jsonl"
    source.write_text('{"text": "a"}\n{"text": 1}\n')
    spec = IngestSpec(source=str(source), file_name="rows.jsonl")
    assert start(tmp_path / "run", spec).wait(60) == EXIT_FAILED
    error = events(tmp_path / "run")[-1]
    assert isinstance(error, Error)
    assert error.error_class == "bad_input"
    assert "line 2" in error.message
    assert "skip bad rows" in error.advice


def test_a_signal_ends_learning_at_once(tmp_path):
    source = write_rows(tmp_path / "rows.jsonl", 60_000)
    ingest = tmp_path / "ingest"
    spec = IngestSpec(source=str(source), file_name="rows.jsonl")
    assert start(ingest, spec).wait(60) == EXIT_OK
    folder = tmp_path / "tokenizer"
    spec = TokenizerSpec(
        dataset=str(ingest / "output"), algorithm="unigram", vocabulary_size=30_000
    )
    process = start(folder, spec)
    while not (events_file(folder, 1).exists() and events(folder)):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    started = time.monotonic()
    assert process.wait(20) == EXIT_STOPPED
    assert time.monotonic() - started < 10
    assert not (folder / "output").exists()
