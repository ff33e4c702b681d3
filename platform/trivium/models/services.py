"""Every write to the registry of models."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.db import transaction
from runspec import PretrainSpec, SftSpec
from runspec.families import FAMILIES
from runspec.manifest import file_sha256
from runspec.sft import KINDS_OF, TASKS_OF

from trivium import storage
from trivium.datasets.models import DatasetVersion
from trivium.datasets.services import InUseError
from trivium.models.models import LanguageModel
from trivium.naming import clean_name, free_name
from trivium.runs.errors import SubmitError
from trivium.runs.models import Run
from trivium.tokenizers.models import Tokenizer


def claim_pretrained(run: Run, spec: PretrainSpec, name: str) -> str:
    """Make the base model a run will fill; returns its name."""
    dataset = DatasetVersion.objects.select_related("dataset").get(pk=spec.dataset)
    parent = LanguageModel.objects.filter(pk=spec.base_model or 0).first()
    fallback = f"{dataset.dataset.name} {parent.name if parent else spec.family}"
    family = parent.family if parent else spec.family
    return _claim(
        run,
        name or free_model_name(run, fallback),
        parents=[parent] if parent else [],
        dataset=dataset,
        tokenizer=parent.tokenizer
        if parent
        else Tokenizer.objects.get(pk=spec.tokenizer or 0),
        family=family,
        stage=LanguageModel.Stage.BASE,
        architecture=FAMILIES[family].architecture,
    )


def claim_finetuned(run: Run, spec: SftSpec, name: str) -> str:
    """Make the model a fine-tuning run will fill; returns its name.

    Raises:
        SubmitError: the model or a dataset is of the wrong kind for the task.
    """
    parent = LanguageModel.objects.get(pk=spec.model)
    datasets = list(
        DatasetVersion.objects.select_related("dataset").filter(pk__in=spec.datasets)
    )
    _must_suit(spec, parent, datasets)
    return _claim(
        run,
        name or free_model_name(run, f"{parent.name} {datasets[0].dataset.name}"),
        parents=[parent],
        dataset=DatasetVersion.objects.get(pk=spec.datasets[0]),
        tokenizer=parent.tokenizer,
        family=parent.family,
        stage=LanguageModel.Stage.INSTRUCT,
        architecture=parent.architecture,
    )


def _must_suit(
    spec: SftSpec, parent: LanguageModel, datasets: list[DatasetVersion]
) -> None:
    if TASKS_OF[parent.architecture] != spec.task:
        raise SubmitError(
            f"task: {parent} is an {parent.get_architecture_display().lower()}; it "
            f"can be taught {TASKS_OF[parent.architecture]}, not {spec.task}",
            field="task",
        )
    for version in datasets:
        if version.dataset.kind not in KINDS_OF[spec.task]:
            raise SubmitError(
                f"datasets: {version} holds {version.dataset.kind} rows; {spec.task} "
                f"learns from {' or '.join(KINDS_OF[spec.task])}",
                field="datasets",
            )


def free_model_name(run: Run, wanted: str) -> str:
    """Return `wanted`, with a number behind it where a model has that name."""
    existing = LanguageModel.objects.filter(project=run.project)
    return free_name(wanted, lambda one: existing.filter(name=one).exists())


def _claim(
    run: Run, name: str, *, parents: Sequence[LanguageModel] = (), **values: Any
) -> str:
    """Make a model without files, or take over one whose run ended early."""
    cleaned = clean_name(name)
    found = LanguageModel.objects.filter(project=run.project, name=cleaned)
    model = found.select_related("run").first()
    if model is None:
        model = LanguageModel.objects.create(
            project=run.project,
            name=cleaned,
            created_by=run.created_by,
            run=run,
            **values,
        )
    elif model.is_ready or (model.run is not None and not model.run.is_finished):
        raise SubmitError(f"a model named {cleaned!r} exists already", field="name")
    else:
        found.update(run=run, **values)
    model.parents.set(parents)
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
