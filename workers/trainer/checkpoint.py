"""Checkpoints: complete and verified, or not there at all.

A checkpoint is a folder `checkpoints/step-N`: safetensors for what is large, JSON for
the rest, and a manifest with the hash of each file (`runspec.manifest`). It is written
under another name and appears by one rename, so that a kill at any byte leaves either
the whole or nothing that anybody would resume from.
"""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from runspec.layout import CHECKPOINTS
from runspec.manifest import (
    MANIFEST_NAME,
    BrokenCheckpointError,
    Manifest,
    ManifestFile,
    file_sha256,
    read_manifest,
)
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

WEIGHTS = "model.safetensors"
OPTIMIZER = "optimizer.safetensors"
RANDOM = "random.safetensors"
STATE = "state.json"
LIBRARIES = ("torch", "transformers", "safetensors", "numpy")


@dataclass(frozen=True)
class Saved:
    """A checkpoint that now lies on disk."""

    path: str
    """Relative to the run's folder."""
    manifest_sha256: str
    size_bytes: int


def save_checkpoint(
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    step: int,
    fence: int,
    spec_sha256: str,
    state: dict[str, Any],
    random: list[dict[str, Tensor]],
    metric: float | None,
) -> Saved:
    """Save all that the next step depends on.

    `state` is JSON of the caller's own, `random` the `random_states` of each rank.
    """

    def write(temporary: Path) -> None:
        # By name, each once: tied weights are one parameter here.
        save_file(_on_cpu(dict(model.named_parameters())), temporary / WEIGHTS)
        save_file(_on_cpu(_optimizer_tensors(model, optimizer)), temporary / OPTIMIZER)
        save_file(
            {
                f"{rank}/{kind}": state
                for rank, states in enumerate(random)
                for kind, state in states.items()
            },
            temporary / RANDOM,
        )
        (temporary / STATE).write_text(json.dumps({"step": step, **state}))

    return publish_checkpoint(
        folder, write, step=step, fence=fence, spec_sha256=spec_sha256, metric=metric
    )


def publish_checkpoint(
    folder: Path,
    write: Callable[[Path], None],
    *,
    step: int,
    fence: int,
    spec_sha256: str,
    metric: float | None,
) -> Saved:
    """Let `write` fill a temporary folder, and make a checkpoint of it by one rename.

    A step that an earlier attempt saved whole is left as it is: it is the same state.
    """
    parent = folder / CHECKPOINTS
    parent.mkdir(parents=True, exist_ok=True)
    temporary = parent / f".tmp-step-{step}-{fence}"
    final = parent / f"step-{step}"
    if (known := _already_saved(final)) is not None:
        return known
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        write(temporary)
        files = {
            path.name: ManifestFile(size=path.stat().st_size, sha256=file_sha256(path))
            for path in sorted(temporary.iterdir())
        }
        manifest = Manifest(
            files=files,
            step=step,
            fence=fence,
            spec_sha256=spec_sha256,
            metric=metric,
            libraries={name: version(name) for name in LIBRARIES},
        )
        (temporary / MANIFEST_NAME).write_text(manifest.model_dump_json(indent=1))
        for path in temporary.iterdir():
            fsync(path)
        fsync(temporary)
        shutil.rmtree(final, ignore_errors=True)
        temporary.rename(final)
        fsync(parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return _saved(final, manifest, file_sha256(final / MANIFEST_NAME))


def _already_saved(final: Path) -> Saved | None:
    """Return the same step as an earlier attempt saved it: it is the same state.

    A whole checkpoint is never removed for its like, or a kill in between left none.
    """
    try:
        manifest, digest = read_manifest(final, verify_hashes=True)
    except BrokenCheckpointError:
        return None
    return _saved(final, manifest, digest)


def _saved(final: Path, manifest: Manifest, manifest_sha256: str) -> Saved:
    return Saved(
        path=f"{CHECKPOINTS}/{final.name}",
        manifest_sha256=manifest_sha256,
        size_bytes=sum(file.size for file in manifest.files.values()),
    )


def load_checkpoint(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, *, rank: int = 0
) -> dict[str, Any]:
    """Restore model, optimizer and random states; return the caller's own state.

    Raises:
        BrokenCheckpointError: a file is missing, cut short or altered.
    """
    read_manifest(path, verify_hashes=True)
    parameters = dict(model.named_parameters())
    weights = load_file(path / WEIGHTS)
    if set(weights) != set(parameters):
        raise ValueError(f"{path.name} holds the weights of another architecture")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(weights[name])
    moments = load_file(path / OPTIMIZER)
    for key, value in moments.items():
        name, _, kind = key.rpartition("/")
        parameter = parameters[name]
        # A fused optimizer keeps even its step count on the parameter's device.
        optimizer.state[parameter][kind] = value.to(parameter.device)
    _set_random_states(load_file(path / RANDOM), rank)
    state: dict[str, Any] = json.loads((path / STATE).read_text())
    return state


def _optimizer_tensors(
    model: nn.Module, optimizer: torch.optim.Optimizer
) -> dict[str, Tensor]:
    return {
        f"{name}/{kind}": value
        for name, parameter in model.named_parameters()
        for kind, value in optimizer.state[parameter].items()
    }


def _on_cpu(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: item.detach().cpu().contiguous() for name, item in tensors.items()}


def random_states() -> dict[str, Tensor]:
    """Return the state of each random number generator of this process."""
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def _set_random_states(states: dict[str, Tensor], rank: int) -> None:
    torch.set_rng_state(states[f"{rank}/cpu"])
    if f"{rank}/cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states[f"{rank}/cuda"])


def fsync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
