"""Every write to tokenizers."""

from pathlib import Path
from typing import Any

from django.db import transaction
from runspec import TokenizerSpec
from runspec.layout import TOKENIZER_REPORT, TokenizerReport

from trivium import storage
from trivium.datasets.models import DatasetVersion
from trivium.datasets.services import InUseError
from trivium.naming import clean_name, free_name
from trivium.runs.errors import SubmitError
from trivium.runs.models import Run
from trivium.tokenizers.models import Tokenizer


def claim_tokenizer(run: Run, spec: TokenizerSpec, name: str) -> str:
    """Make the tokenizer a run will fill, or take over one whose run ended early."""
    dataset = DatasetVersion.objects.select_related("dataset").get(pk=spec.dataset)
    existing = Tokenizer.objects.filter(project=run.project)
    cleaned = clean_name(name) or free_name(
        f"{dataset.dataset.name} {spec.algorithm}",
        lambda wanted: existing.filter(name=wanted).exists(),
    )
    values = {"run": run, "dataset": dataset, "algorithm": spec.algorithm}
    taken = existing.filter(name=cleaned).select_related("run").first()
    if taken is None:
        Tokenizer.objects.create(
            project=run.project, name=cleaned, created_by=run.created_by, **values
        )
    elif taken.is_ready or (taken.run is not None and not taken.run.is_finished):
        raise SubmitError(f"a tokenizer named {cleaned!r} exists already", field="name")
    else:
        Tokenizer.objects.filter(pk=taken.pk).update(**values)
    return cleaned


def publish_tokenizer(
    run: Run, output: Path, _result: dict[str, Any]
) -> dict[str, Any]:
    """Publish the files of a finished run; return what its tokenizer holds then."""
    report = TokenizerReport.model_validate_json(
        (output / TOKENIZER_REPORT).read_bytes()
    )
    # The run's id is part of the key: equal tokenizers measured on other text have
    # other reports.
    key = storage.publish(output, f"tokenizers/{run.pk}-{report.sha256[:16]}")
    return {
        "path": key,
        "sha256": report.sha256,
        "vocabulary_size": report.vocabulary_size,
        "report": report.model_dump(mode="json"),
    }


@transaction.atomic
def delete_tokenizer(tokenizer: Tokenizer) -> None:
    """Delete a tokenizer nothing depends on.

    Raises:
        InUseError: a model or an unfinished run uses it.
    """
    users = [f"model {item}" for item in tokenizer.models.all()[:5]]
    users += [
        f"run {run}"
        for run in tokenizer.project.runs.filter(
            spec__tokenizer=str(tokenizer.pk)
        ).exclude(state__in=Run.TERMINAL)[:5]
    ]
    if tokenizer.run is not None and not tokenizer.run.is_finished:
        users.append(f"run {tokenizer.run}")
    if users:
        raise InUseError(f"{tokenizer} is used by {', '.join(users)}")
    path = tokenizer.path
    tokenizer.delete()
    if path:
        transaction.on_commit(lambda: storage.delete(path))
