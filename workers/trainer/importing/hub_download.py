"""Download a model from the Hugging Face Hub.

`python -m trainer.importing.hub_download ID REVISION FOLDER MAX_BYTES` fills FOLDER and
writes FOLDER/hub.json: first {"commit", "bytes", "warnings"}, or {"error", "advice"}
where it fails. Neither pickles nor code are fetched.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from trainer.errors import BadInputError
from trainer.importing.wanted import WEIGHTS, is_taken, say_what_is_left

REPORT = "hub.json"
FREE_BYTES = 2**30
"""What a download leaves free on the disk."""


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
        sizes = {file.rfilename: file.size or 0 for file in found.siblings or ()}
        taken = sorted(name for name in sizes if is_taken(name) and "/" not in name)
        has_weights = any(name.endswith(WEIGHTS) for name in taken)
        warnings = say_what_is_left(sizes, has_weights=has_weights)
        if not has_weights:
            raise BadInputError(
                f"{hub_id} has no weights as safetensors",
                "Choose another model, or another revision of this one.",
            )
        total = sum(sizes[name] for name in taken)
        _require_room(folder, total, max_bytes)
        report = {"commit": found.sha, "bytes": total, "warnings": warnings}
        _write_report(folder, report)
        for name in taken:
            hf_hub_download(hub_id, name, revision=found.sha, local_dir=folder)
    except BadInputError:
        raise
    except HfHubHTTPError as error:
        raise _refusal(hub_id, revision, error) from error
    except Exception as error:  # each version has another HTTP library below
        raise BadInputError(
            f"the Hub could not be reached: {type(error).__name__}: {error}"[:300],
            "Check that this worker may reach it, then try again.",
        ) from error
    shutil.rmtree(folder / ".cache", ignore_errors=True)


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
