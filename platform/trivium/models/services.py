"""Every write to the registry of models."""

from pathlib import Path
from typing import Any

from django.db import transaction
from runspec import PretrainSpec
from runspec.manifest import file_sha256

from trivium import storage
from trivium.datasets.models import DatasetVersion
from trivium.datasets.services import InUseError
from trivium.models.models import LanguageModel
from trivium.naming import clean_name, free_name
from trivium.runs.errors import SubmitError
from trivium.runs.models import Run
from trivium.tokenizers.models import Tokenizer


def claim_model(run: Run, spec: PretrainSpec, name: str) -> str:
    """Make the model a run will fill, or take over one whose run ended early."""
    dataset = DatasetVersion.objects.select_related("dataset").get(pk=spec.dataset)
    existing = LanguageModel.objects.filter(project=run.project)
    cleaned = clean_name(name) or free_name(
        f"{dataset.dataset.name} {spec.family}",
        lambda wanted: existing.filter(name=wanted).exists(),
    )
    values: dict[str, Any] = {
        "run": run,
        "dataset": dataset,
        "tokenizer": Tokenizer.objects.get(pk=spec.tokenizer),
        "family": spec.family,
        "stage": LanguageModel.Stage.BASE,
        "architecture": LanguageModel.Architecture.DECODER,
    }
    taken = existing.filter(name=cleaned).select_related("run").first()
    if taken is None:
        LanguageModel.objects.create(
            project=run.project, name=cleaned, created_by=run.created_by, **values
        )
    elif taken.is_ready or (taken.run is not None and not taken.run.is_finished):
        raise SubmitError(f"a model named {cleaned!r} exists already", field="name")
    else:
        LanguageModel.objects.filter(pk=taken.pk).update(**values)
    return cleaned


def publish_model(run: Run, output: Path, result: dict[str, Any]) -> dict[str, Any]:
    """Publish the files of a finished run; return what its model holds then."""
    files = {
        file.name: {"size": file.stat().st_size, "sha256": file_sha256(file)}
        for file in sorted(output.iterdir())
        if file.is_file()
    }
    key = storage.publish(output, f"models/{run.pk}-{run.fence}")
    return {
        "path": key,
        "files": files,
        "size_bytes": sum(entry["size"] for entry in files.values()),
        "num_parameters": result.get("parameters", 0),
        "validation_loss": result.get("validation_loss"),
    }


@transaction.atomic
def delete_model(model: LanguageModel) -> None:
    """Delete a model nothing depends on.

    Raises:
        InUseError: another model was made from it, or its run is at work.
    """
    users = [f"model {item}" for item in model.children.all()[:5]]
    if model.run is not None and not model.run.is_finished:
        users.append(f"run {model.run}")
    if users:
        raise InUseError(f"{model} is used by {', '.join(users)}")
    path = model.path
    model.delete()
    if path:
        transaction.on_commit(lambda: storage.delete(path))
