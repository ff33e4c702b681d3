"""Fetching a model from the Hugging Face Hub, in a child process of its own.

`python -m trainer.importing.hub ID REVISION FOLDER MAX_BYTES` fills FOLDER and writes
FOLDER/hub.json: first {"commit", "bytes"}, or {"error", "advice"} where it fails. A
child, because huggingface_hub decides at import whether it is online, and trainers
are not.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from runspec import ImportSpec

from trainer.context import Context
from trainer.errors import BadInputError, Stopped

REPORT = "hub.json"
OFFLINE = "HF_HUB_OFFLINE"
POLL_S = 0.3
FREE_BYTES = 2**30
"""What a download leaves free on the disk."""


class Fetched(NamedTuple):
    """A model as it was at one commit."""

    folder: Path
    commit: str


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
        [sys.executable, "-P", "-m", "trainer.importing.hub", *arguments],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "HF_HOME": str(work / "hub-home"),
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
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
    return Fetched(folder, str(report["commit"]))


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
    for path in folder.rglob("*"):
        try:
            done += path.stat().st_size if path.is_file() else 0
        except OSError:  # it was renamed meanwhile
            continue
    context.report.progress(
        step=min(done, total), total=total, unit="bytes", phase="downloading"
    )


def main(hub_id: str, revision: str, target: str, max_bytes: str) -> int:
    """Download in this process; return its exit code."""
    folder = Path(target)
    try:
        _download(hub_id, revision, folder, int(max_bytes))
    except BadInputError as error:
        _write_report(folder, {"error": str(error), "advice": error.advice})
        return 1
    return 0


def _write_report(folder: Path, report: dict[str, Any]) -> None:
    temporary = folder / f".{REPORT}"
    temporary.write_text(json.dumps(report))
    temporary.rename(folder / REPORT)


def _download(hub_id: str, revision: str, folder: Path, max_bytes: int) -> None:
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        found = HfApi().model_info(hub_id, revision=revision, files_metadata=True)
        sizes = {
            file.rfilename: file.size or 0
            for file in found.siblings or ()
            if _is_fetched(file.rfilename)
        }
        if not sizes:
            _say_what_lacks(hub_id, [one.rfilename for one in found.siblings or ()])
        total = sum(sizes.values())
        _require_room(folder, total, max_bytes)
        _write_report(folder, {"commit": found.sha, "bytes": total})
        for name in sorted(sizes):
            hf_hub_download(hub_id, name, revision=found.sha, local_dir=folder)
    except HfHubHTTPError as error:
        raise _refusal(hub_id, revision, error) from error
    except OSError as error:
        raise BadInputError(
            f"the Hub could not be reached: {type(error).__name__}: {error}"[:300],
            "Check that this worker may reach it, then try again.",
        ) from error
    shutil.rmtree(folder / ".cache", ignore_errors=True)


def _is_fetched(name: str) -> bool:
    from trainer.importing.wanted import is_taken

    return is_taken(name)


def _say_what_lacks(hub_id: str, names: list[str]) -> None:
    from trainer.importing.wanted import say_what_is_left

    say_what_is_left(names, has_weights=False)
    raise BadInputError(f"{hub_id} has no files of a model")


def _require_room(folder: Path, total: int, max_bytes: int) -> None:
    if total > max_bytes:
        raise BadInputError(
            f"the model has {total:,} bytes; {max_bytes:,} are allowed "
            "(max_expanded_bytes)",
            "Raise the limit if you want it.",
        )
    free = shutil.disk_usage(folder).free - FREE_BYTES
    if total > free:
        raise BadInputError(
            f"the model has {total:,} bytes; the disk has room for {max(0, free):,}",
            "Free some space, then retry.",
        )


def _refusal(hub_id: str, revision: str, error: Exception) -> BadInputError:
    from huggingface_hub import errors

    match error:
        case errors.GatedRepoError():
            return BadInputError(
                f"{hub_id} is given only to people who asked for it",
                "Accept its terms on the Hub, and let an admin set HF_TOKEN of that "
                "account on the workers.",
            )
        case errors.RevisionNotFoundError():
            return BadInputError(
                f"{hub_id} has no revision {revision!r}", "Look it up on the Hub."
            )
        case errors.RepositoryNotFoundError():
            return BadInputError(
                f"the Hub has no model {hub_id!r}, or not for this installation",
                "Check the id; a private model needs HF_TOKEN on the workers.",
            )
    first = (str(error).strip().splitlines() or ["no reason given"])[0]
    return BadInputError(
        f"the Hub refused {hub_id}: {first}"[:300], "Try again in a while."
    )


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
