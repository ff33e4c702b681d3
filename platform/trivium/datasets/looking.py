"""Looking at a file before anything of it is stored, in a child process with limits.

The child (`trainer.ingest.look`) limits its own memory and processor time; here stand
the limits of the clock, of its answer's size, and of how many look at once.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any

import runspec
from pydantic import ValidationError
from runspec.looking import Look

from trivium import storage
from trivium.datasets.models import Upload

WALL_S = 30.0
ANSWER_BYTES = 20_000_000
AT_ONCE = 2
"""Looks of this process; who comes later waits."""
WORKERS = Path(runspec.__file__).resolve().parents[1]

_turns = BoundedSemaphore(AT_ONCE)


def look_at_upload(upload: Upload, settings: dict[str, Any]) -> Look:
    """Look at a file that was sent, or a place that was named."""
    return look(source_of(upload), upload.file_name, settings)


def source_of(upload: Upload) -> str:
    """Return where the file lies, as a child process finds it."""
    if upload.is_external:
        return upload.path
    try:
        return str(storage.local_copy(upload.path))
    except (FileNotFoundError, ValueError):
        return ""


def look(source: str, file_name: str, settings: dict[str, Any]) -> Look:
    """Say what the first rows of a file are taken for.

    `settings` are fields of an ingest spec; without `dataset_kind` the kind is
    recognised. Whatever the file does to the child, the answer is a `Look`.
    """
    if not source:
        return Look(error="The file is gone. Send it again.")
    request = {"source": source, "file_name": file_name, "settings": settings}
    with _turns:
        try:
            done = subprocess.run(
                [sys.executable, "-P", "-m", "trainer.ingest.look"],
                input=json.dumps(request).encode(),
                env={
                    "PATH": os.environ.get("PATH", ""),
                    "PYTHONPATH": str(WORKERS),
                    "OMP_NUM_THREADS": "1",
                },
                cwd="/",
                capture_output=True,
                timeout=WALL_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return _given_up(f"takes longer than {WALL_S:g} s")
    if done.returncode != 0 or len(done.stdout) > ANSWER_BYTES:
        return _given_up("takes more memory or time than a look may use")
    try:
        return Look.model_validate_json(done.stdout)
    except ValidationError:
        return _given_up("does not end as it should")


def _given_up(why: str) -> Look:
    return Look(
        error=f"Looking at the first rows of this file {why}. Split it, or mend the "
        "row that is so large."
    )
