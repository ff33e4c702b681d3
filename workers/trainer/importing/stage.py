"""Run one import: take the files of a model, check each, and keep what is sound."""

import json
import shutil
import time
from collections import Counter
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from runspec import ImportSpec
from runspec.layout import OUTPUT

from trainer.card import CardFacts, licence_in, write_card
from trainer.context import Context
from trainer.errors import BadInputError, Stopped
from trainer.importing.checking import Fit, check_fit
from trainer.importing.hub import fetch_from_hub
from trainer.importing.recognise import (
    Recognised,
    read_json,
    recognise,
    stage_of,
    without_code,
)
from trainer.importing.sources import (
    Found,
    adapter_refusal,
    open_source,
    read_folder,
)
from trainer.importing.wanted import ADAPTER_CONFIG, CONFIG, INDEX, WEIGHTS
from trainer.importing.weights import (
    Tensor,
    describe_names,
    find_not_finite,
    read_header,
)
from trainer.ingest.errors import listed, shown

REPORT_EVERY_S = 0.3
SINGLE = "model.safetensors"
CARD = "README.md"
ORIGINAL_CARD = "ORIGINAL_README.md"
SETTINGS = (CONFIG, "generation_config.json", "tokenizer_config.json")
"""Files that may name code to run."""
TEMPLATES = ("chat_template.jinja", "chat_template.json")
MAX_CARD_BYTES = 1_000_000


class Weights(NamedTuple):
    """All weights of a model, by their headers."""

    tensors: dict[str, list[Tensor]]
    """By file."""
    num_tensors: int
    size: int


def run_import(spec: ImportSpec, *, context: Context) -> None:
    """Make `output/` a model that plain `AutoModel…from_pretrained` loads.

    Raises:
        BadInputError: it is not a sound model; nothing is kept.
        Stopped: the run was asked to stop; nothing is kept.
    """
    output = context.folder / OUTPUT
    shutil.rmtree(output, ignore_errors=True)
    with TemporaryDirectory(prefix="import-", dir=context.folder) as work:
        made = Path(work) / "model"
        made.mkdir()
        result = _import(spec, context, Path(work), made)
        made.rename(output)
    for warning in result["warnings"]:
        context.report.warning(warning)
    context.report.result(**result)


def _import(
    spec: ImportSpec, context: Context, work: Path, made: Path
) -> dict[str, Any]:
    progress = _Progress(context)
    commit = ""
    if spec.hub_id:
        fetched = fetch_from_hub(spec, work, context)
        commit = fetched.commit
        found = read_folder(fetched.folder)
        found.warnings.extend(fetched.warnings)
    else:
        found = open_source(spec, work, progress.reading(spec))
    warnings = list(found.warnings)
    weights = take_weights(found, made, warnings)
    config = read_json(found.files[CONFIG], CONFIG)
    recognised = recognise(config)
    take_settings(found, made, warnings)
    scan_weights(weights, made, warnings, progress)
    fit = check_fit(
        made,
        recognised,
        num_tensors=weights.num_tensors,
        num_layers=config.get("num_hidden_layers", config.get("num_layers")),
    )
    warnings += fit.warnings
    has_template = _has_template(made)
    licence = _keep_original_card(made)
    guessed = stage_of(recognised, has_template=has_template)
    result = {
        "architecture": recognised.architecture,
        "family": recognised.family,
        "stage": guessed if spec.stage == "auto" else spec.stage,
        "parameters": fit.parameters,
        "licence": licence,
        "origin": _origin(spec, commit),
        "recognised": _facts(recognised, fit, weights, has_template=has_template),
        "warnings": warnings,
    }
    has_card = (made / ORIGINAL_CARD).is_file()
    write_card(made, _card(spec, recognised, result, has_card=has_card))
    return result


class _Progress:
    """Reports progress a few times a second; stops when asked to."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._last = 0.0

    def report(self, phase: str, step: int, total: int) -> None:
        """Say how far it is."""
        if self._context.stop.is_set():
            raise Stopped
        now = time.monotonic()
        if step >= total or now - self._last >= REPORT_EVERY_S:
            self._last = now
            self._context.report.progress(
                step=min(step, total), total=total, unit="bytes", phase=phase
            )

    def reading(self, spec: ImportSpec) -> Any:
        """Return what is told of bytes read from the source."""
        path = Path(spec.source or "")
        total = path.stat().st_size if path.is_file() else 0
        return lambda done: self.report("unpacking", done, total)


def take_weights(found: Found, made: Path, warnings: list[str]) -> Weights:
    """Check the headers of all weights, and move sound files into `made`.

    Raises:
        BadInputError: weights are missing, or a file is not sound safetensors.
    """
    names = _names_of_weights(found, warnings)
    tensors: dict[str, list[Tensor]] = {}
    for name in names:
        tensors[name] = read_header(found.files[name], name)
    counts = Counter(tensor.name for one in tensors.values() for tensor in one)
    if doubled := [name for name, count in counts.items() if count > 1]:
        raise BadInputError(
            f"several files hold the same weights: {describe_names(doubled)}",
            "Send only the files of one model.",
        )
    if INDEX in found.files and len(tensors) > 1:
        _require_index(found.files[INDEX], tensors)
    only = names[0] if len(names) == 1 else ""
    kept = {SINGLE if name == only else name: name for name in names}
    for name, source in kept.items():
        _take(found.files[source], made / name)
    if len(kept) > 1 and INDEX in found.files:
        _take(found.files[INDEX], made / INDEX)
    return Weights(
        # Read again: someone's folder may have changed since.
        tensors={name: read_header(made / name, name) for name in kept},
        num_tensors=len(counts),
        size=sum(tensor.size for one in tensors.values() for tensor in one),
    )


def _names_of_weights(found: Found, warnings: list[str]) -> list[str]:
    """Return the safetensors files of the model itself, in order."""
    there = sorted(name for name in found.files if name.endswith(WEIGHTS))
    if ADAPTER_CONFIG in found.files and set(there) <= {"adapter_model.safetensors"}:
        raise adapter_refusal(ADAPTER_CONFIG)
    if SINGLE in there:
        names = [SINGLE]
    elif INDEX in found.files:
        index = read_json(found.files[INDEX], INDEX).get("weight_map")
        named = sorted(set(map(str, index.values()))) if isinstance(index, dict) else []
        if not named or not set(named) <= set(there):
            lacking = sorted(set(named) - set(there))
            raise BadInputError(
                f"{INDEX} names files that are not there: {listed(lacking, 5)}",
                "Send every safetensors file of the model.",
            )
        names = named
    else:
        names = there
    if not names:
        raise BadInputError(
            "there are no weights: no safetensors file lies beside config.json",
            "Send the folder that save_pretrained of transformers wrote.",
        )
    if len(names) > 1 and INDEX not in found.files:
        raise BadInputError(
            f"there are {len(names)} safetensors files and no {INDEX} that says what "
            "is in which",
            "Send the index too, or the weights in one file.",
        )
    if others := sorted(set(there) - set(names)):
        warnings.append(f"other safetensors were passed over: {listed(others, 5)}")
    return names


def _require_index(path: Path, tensors: dict[str, list[Tensor]]) -> None:
    wanted = read_json(path, INDEX)["weight_map"]
    found = {tensor.name: name for name, one in tensors.items() for tensor in one}
    if wrong := sorted(key for key in wanted if found.get(key) != wanted[key]):
        raise BadInputError(
            f"{INDEX} names weights that are not where it says: "
            f"{describe_names(wrong)}",
            "Download the model again: its files are of different versions.",
        )


def take_settings(found: Found, made: Path, warnings: list[str]) -> None:
    """Move all other files into `made`, without what would name code to run."""
    left_out = {INDEX, ADAPTER_CONFIG}
    for name, path in found.files.items():
        if not name.endswith(WEIGHTS) and name not in left_out:
            _take(path, made / name)
    for name in SETTINGS:
        if not (made / name).is_file():
            continue
        values, code = without_code(read_json(made / name, name))
        if code:
            (made / name).write_text(json.dumps(values, indent=2))
            warnings.append(
                f"code that {name} names ({', '.join(code)}) was taken out and is "
                "never run"
            )


def _take(source: Path, target: Path) -> None:
    """Move what was unpacked for us; copy what is someone's own."""
    if source.name.startswith("member-") and source.parent == target.parent.parent:
        source.rename(target)
    else:
        shutil.copyfile(source, target)


def scan_weights(
    weights: Weights, made: Path, warnings: list[str], progress: _Progress
) -> None:
    """Read every weight once, and warn of those that are not finite."""
    done = 0

    def count(size: int) -> None:
        nonlocal done
        done += size
        progress.report("checking the weights", done, weights.size)

    broken: list[str] = []
    for name, tensors in weights.tensors.items():
        broken += find_not_finite(made / name, tensors, count)
    if broken:
        warnings.append(
            f"non-finite weights (NaN or infinity) in {len(broken):,} tensors: "
            f"{describe_names(broken)}; what the model computes is most likely useless"
        )


def _has_template(made: Path) -> bool:
    """Whether there is a chat template; it is not rendered here."""
    path = made / "tokenizer_config.json"
    settings = read_json(path, path.name) if path.is_file() else {}
    return bool(settings.get("chat_template")) or any(
        (made / name).is_file() for name in TEMPLATES
    )


def _keep_original_card(made: Path) -> str:
    """Put the card it came with aside; return the licence that one names."""
    card = made / CARD
    if not card.is_file():
        return ""
    card.rename(made / ORIGINAL_CARD)
    with (made / ORIGINAL_CARD).open("rb") as file:
        return licence_in(file.read(MAX_CARD_BYTES).decode(errors="replace"))


def _origin(spec: ImportSpec, commit: str) -> dict[str, str]:
    if spec.hub_id:
        return {"hub": spec.hub_id, "revision": spec.revision, "commit": commit}
    return {"file": PurePosixPath(spec.file_name).name}


def _facts(
    recognised: Recognised, fit: Fit, weights: Weights, *, has_template: bool
) -> dict[str, Any]:
    types = Counter(
        tensor.dtype for one in weights.tensors.values() for tensor in one
    ).most_common()
    return {
        "class": recognised.class_name,
        "loader": recognised.loader,
        "head": recognised.head,
        "num_labels": recognised.num_labels,
        "layers": fit.layers,
        "width": fit.width,
        "context": fit.context,
        "embeddings": fit.embeddings,
        "vocabulary_size": fit.vocabulary_size,
        "end_token": fit.end_token,
        "weights": ", ".join(name for name, _ in types),
        "has_chat_template": has_template,
    }


def _card(
    spec: ImportSpec,
    recognised: Recognised,
    result: dict[str, Any],
    *,
    has_card: bool,
) -> CardFacts:
    origin = result["origin"]
    return CardFacts(
        title=f"A {recognised.family} model, imported into Trivium",
        architecture=recognised.architecture,
        stage=result["stage"],
        head=recognised.head,
        summary="Made elsewhere. Trivium checked its files and changed no weight."
        + f" The card it came with is {ORIGINAL_CARD}." * has_card,
        about={
            "family": recognised.family,
            "class": recognised.class_name,
            "parameters": f"{result['parameters']:,}",
            "weights": result["recognised"]["weights"],
            "context": result["recognised"]["context"],
            "vocabulary": f"{result['recognised']['vocabulary_size']:,}",
        },
        origin={
            "from": f"{origin['hub']} on the Hugging Face Hub"
            if "hub" in origin
            else shown(origin["file"]),
            "commit": origin.get("commit", ""),
        },
        base_model=origin.get("hub", ""),
        licence=result["licence"],
        spec=spec,
        warnings=result["warnings"],
    )
