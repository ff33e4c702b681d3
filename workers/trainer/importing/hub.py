"""Fetching a model from the Hugging Face Hub, in a child process of its own.

A child, because huggingface_hub decides at import whether it is online, and trainers
are not. The other side is `hub_download`.
"""

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from runspec import ImportSpec

from trainer.context import Context
from trainer.errors import BadInputError, Stopped
from trainer.importing.hub_download import REPORT

OFFLINE = "HF_HUB_OFFLINE"
POLL_S = 0.3


class Fetched(NamedTuple):
    """A model as it was at one commit."""

    folder: Path
    commit: str
    warnings: list[str]
    """What of it was passed over."""


def fetch_from_hub(spec: ImportSpec, work: Path, context: Context) -> Fetched:
    """Download the files a model needs; no pickle and no code is among them.

    Raises:
        BadInputError: the Hub may not be reached from here, or has no such model.
        Stopped: the run was asked to stop.
    """
    if os.environ.get(OFFLINE) == "1":
        raise BadInputError(
            "this installation may not reach the Hugging Face Hub",
            "Upload the model instead; or an admin sets TRIVIUM_HUB=true on the "
            "workers.",
        )
    folder = work / "hub"
    folder.mkdir()
    arguments = [spec.hub_id, spec.revision, str(folder), str(spec.max_expanded_bytes)]
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "trainer.importing.hub_download", *arguments],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "HF_HOME": str(work / "hub-home"),
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            # One way to download: plain HTTP, which honours proxies.
            "HF_HUB_DISABLE_XET": "1",
        },
        stdin=subprocess.DEVNULL,
    )
    try:
        while not _has_ended(child):
            _say_how_far(folder, context)
            if context.stop.is_set():
                raise Stopped
    finally:
        child.kill()
        child.wait()
    report = _read_report(folder)
    if child.returncode or "commit" not in report:
        raise BadInputError(
            str(report.get("error") or "the Hub could not be read; the log says why"),
            str(report.get("advice", "")),
        )
    (folder / REPORT).unlink()
    return Fetched(folder, str(report["commit"]), list(report["warnings"]))


def _has_ended(child: "subprocess.Popen[bytes]") -> bool:
    try:
        child.wait(POLL_S)
    except subprocess.TimeoutExpired:
        return False
    return True


def _read_report(folder: Path) -> dict[str, Any]:
    try:
        report: dict[str, Any] = json.loads((folder / REPORT).read_text())
    except (OSError, ValueError):
        return {}
    return report


def _say_how_far(folder: Path, context: Context) -> None:
    total = int(_read_report(folder).get("bytes", 0))
    done = 0
    # os.walk passes over folders that vanish meanwhile; the library has some.
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                done += (Path(place) / name).stat().st_size
    context.report.progress(
        step=min(done, total), total=total, unit="bytes", phase="downloading"
    )
