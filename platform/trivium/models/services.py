"""Every write to the registry of models."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from runspec import (
    DpoSpec,
    ImportSpec,
    PretrainSpec,
    RewardSpec,
    RlhfSpec,
    SftSpec,
)
from runspec.families import FAMILIES
from runspec.manifest import file_sha256
from runspec.sft import KINDS_OF, TASKS_OF

from trivium import storage
from trivium.datasets.models import DatasetVersion
from trivium.datasets.services import InUseError
from trivium.models.models import ADAPTER, LanguageModel
from trivium.models.queries import what_uses
from trivium.naming import clean_name, free_name, name_from_file
from trivium.runs.errors import SubmitError
from trivium.runs.models import Run
from trivium.tokenizers.models import Tokenizer

FINETUNED: dict[str, dict[str, Any]] = {
    "chat": {"has_chat_template": True},
    "text-to-text": {"has_chat_template": False},
    "classification": {
        "head": "sequence-classification",
        "loader": "AutoModelForSequenceClassification",
    },
}
"""What is known of a model by what it was taught."""
MAX_LICENCE = 100
MAX_NOTES = 20_000


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
        licence=parent.licence,
        recognised=FINETUNED[spec.task],
        stage=LanguageModel.Stage.INSTRUCT,
        architecture=parent.architecture,
    )


ALIGNED: dict[str, tuple[str, dict[str, Any]]] = {
    "dpo": (LanguageModel.Stage.ALIGNED, {"has_chat_template": True}),
    "rlhf": (LanguageModel.Stage.ALIGNED, {"has_chat_template": True}),
    "reward": (
        LanguageModel.Stage.REWARD,
        {
            "has_chat_template": True,
            "head": "sequence-classification",
            "loader": "AutoModelForSequenceClassification",
        },
    ),
}
"""Stage of the model each kind of alignment makes, and what is known of it."""


def claim_aligned(run: Run, spec: DpoSpec | RewardSpec | RlhfSpec, name: str) -> str:
    """Make the model a run of alignment will fill; returns its name.

    Raises:
        SubmitError: the model is no decoder that writes text.
    """
    parent = LanguageModel.objects.get(pk=spec.model)
    _must_be_known(parent)
    is_decoder = parent.architecture == LanguageModel.Architecture.DECODER
    if not is_decoder or parent.recognised.get("head") in ALIGNED["reward"][1].values():
        raise SubmitError(
            f"model: {parent} does not write text from left to right; only a decoder "
            "can be aligned, such as an instruct model",
            field="model",
        )
    if isinstance(spec, RlhfSpec):
        _must_be_rated(spec)
    first = DatasetVersion.objects.select_related("dataset").get(pk=spec.datasets[0])
    stage, recognised = ALIGNED[spec.kind]
    return _claim(
        run,
        name or free_model_name(run, f"{parent.name} {first.dataset.name}"),
        parents=[parent],
        dataset=first,
        tokenizer=parent.tokenizer,
        family=parent.family,
        licence=parent.licence,
        recognised=recognised,
        stage=stage,
        architecture=parent.architecture,
    )


def _must_be_rated(spec: RlhfSpec) -> None:
    """Refuse reward models that are known to rate nothing."""
    head = ALIGNED["reward"][1]["head"]
    for model in LanguageModel.objects.filter(pk__in=spec.reward_models):
        _must_be_known(model, "reward_models")
        is_rater = model.stage == LanguageModel.Stage.REWARD
        if not is_rater and model.recognised.get("head") != head:
            raise SubmitError(
                f"reward_models: {model} rates nothing; choose a model that a reward "
                "run made, or one imported with a head that rates",
                field="reward_models",
            )


def _must_be_known(parent: LanguageModel, field: str = "model") -> None:
    if not parent.architecture:
        raise SubmitError(
            f"{field}: {parent} is still being imported, and what it is is not known "
            "yet; wait for its run",
            field=field,
        )


def _must_suit(
    spec: SftSpec, parent: LanguageModel, datasets: list[DatasetVersion]
) -> None:
    _must_be_known(parent)
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


def claim_imported(run: Run, spec: ImportSpec, name: str) -> str:
    """Make the model an import will fill; returns its name.

    What it is (architecture, family, stage) is known when the import has ended.

    Raises:
        SubmitError: it shall come from the Hub, and that is not allowed here.
    """
    if spec.hub_id and not settings.HUB:
        raise SubmitError(
            "this installation may not reach the Hugging Face Hub; upload the model, "
            "or ask an admin to set TRIVIUM_HUB=true",
            field="hub_id",
        )
    chosen = LanguageModel.Stage.BASE if spec.stage == "auto" else spec.stage
    return _claim(
        run,
        name
        or free_model_name(
            run, spec.hub_id.rpartition("/")[2] or name_from_file(spec.file_name)
        ),
        dataset=None,
        tokenizer=None,
        family="",
        stage=chosen,
        architecture="",
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
    found = [*sorted(output.iterdir()), *sorted((output / ADAPTER).glob("*"))]
    files = {
        file.relative_to(output).as_posix(): {
            "size": file.stat().st_size,
            "sha256": file_sha256(file),
        }
        for file in found
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


def publish_imported(run: Run, output: Path, result: dict[str, Any]) -> dict[str, Any]:
    """Publish an imported model; return what it was recognised to be, too."""
    known = ("architecture", "family", "stage", "recognised", "origin", "warnings")
    return {
        **publish_model(run, output, result),
        **{name: result[name] for name in known},
        "licence": result["licence"][:MAX_LICENCE],
    }


def describe_model(
    model: LanguageModel, *, licence: str | None = None, notes: str | None = None
) -> None:
    """Change licence and notes, which become part of its card; None keeps one.

    Raises:
        SubmitError: a text is too long, or holds what no text has.
    """
    changes = {}
    if licence is not None:
        changes["licence"] = " ".join(licence.split())
    if notes is not None:
        changes["notes"] = notes.replace("\r\n", "\n").strip()
    limits = {"licence": MAX_LICENCE, "notes": MAX_NOTES}
    for field, text in changes.items():
        if len(text) > limits[field]:
            raise SubmitError(
                f"{field}: it has {len(text):,} characters; {limits[field]:,} are "
                "allowed",
                field=field,
            )
        if "\0" in text:
            raise SubmitError(f"{field}: it holds a NUL character", field=field)
    for field, text in changes.items():
        setattr(model, field, text)
    model.save(update_fields=list(changes))


@transaction.atomic
def delete_model(model: LanguageModel) -> None:
    """Delete a model nothing depends on.

    Raises:
        InUseError: another model was made from it, or a run needs or makes it.
    """
    users = what_uses(model)
    if users:
        raise InUseError(f"{model} is used by {', '.join(users)}")
    path = model.path
    model.delete()
    if path:
        transaction.on_commit(lambda: storage.delete(path))
