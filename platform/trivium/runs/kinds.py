"""What is different from kind to kind: inputs, and the object a run makes.

Everything else about a run is in `runs.services` and the same for all kinds. The
object a run makes (a dataset version, a tokenizer, a model) exists from submission,
without a path; whatever refers to it meanwhile waits for its run.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import Model
from runspec import IngestSpec, PretrainSpec, Spec, TokenizerSpec, parse_spec
from runspec.layout import OUTPUT

from trivium import storage
from trivium.accounts.models import User
from trivium.datasets import services as datasets
from trivium.datasets.models import DatasetVersion, Upload
from trivium.models import services as models
from trivium.models.models import LanguageModel
from trivium.projects.models import Project
from trivium.runs import services
from trivium.runs.errors import SubmitError
from trivium.runs.models import Run
from trivium.tokenizers import services as tokenizers
from trivium.tokenizers.models import Tokenizer

logger = logging.getLogger(__name__)


class Kind(NamedTuple):
    """How one kind of run makes its object."""

    claim_output: Callable[..., str]
    """(run, spec, name) → the name given; makes or takes over the output object."""
    publish_output: Callable[[Run, Path, dict[str, Any]], dict[str, Any]]
    """(run, output folder, result) → the values of the object's row; moves the folder
    to storage."""
    output: type[Model]


KINDS: dict[type[Spec], Kind] = {
    IngestSpec: Kind(datasets.claim_version, datasets.publish_version, DatasetVersion),
    TokenizerSpec: Kind(
        tokenizers.claim_tokenizer, tokenizers.publish_tokenizer, Tokenizer
    ),
    PretrainSpec: Kind(models.claim_model, models.publish_model, LanguageModel),
}


def start_run(
    *,
    project: Project,
    created_by: User,
    spec: Spec,
    name: str = "",
    priority: int = 0,
) -> Run:
    """Queue a run and make the object it will fill, in one transaction.

    `name` names that object: a dataset (a new version of it where it exists), a
    tokenizer or a model. Empty: one is made up.

    Raises:
        SubmitError: an input is not of this project or was never finished, the name
            is taken, or the person has too many runs queued. `.field` says where.
    """
    inputs = _inputs(project, spec)
    waits_for = [run for item in inputs.values() if (run := _unfinished_run(item))]
    with transaction.atomic():
        run = services.submit_run(
            project=project,
            created_by=created_by,
            spec=spec,
            name=name,
            priority=priority,
            depends_on=waits_for,
        )
        given = KINDS[type(spec)].claim_output(run, spec, name)
        Run.objects.filter(pk=run.pk).update(name=given)
        run.name = given
    return run


def retry_run(*, run: Run, actor: User, changes: dict[str, Any]) -> Run:
    """Queue a new run like a failed or cancelled one, with some settings changed.

    The unfinished object of the old run is filled by the new one. With unchanged
    settings it goes on from the old run's last checkpoint.

    Raises:
        SubmitError: the run has not failed or been cancelled.
        ValueError: the changed spec is wrong (pydantic's error names the fields).
    """
    if run.state not in {Run.State.FAILED, Run.State.CANCELLED}:
        raise SubmitError(
            f"run {run.pk} is {run.get_state_display().lower()}; only a failed or "
            "cancelled run can be tried again"
        )
    spec = parse_spec({**run.spec, **changes, "kind": run.kind})
    with transaction.atomic():
        again = start_run(
            project=run.project,
            created_by=actor,
            spec=spec,
            name=run.name,
            priority=run.priority,
        )
        if spec.is_resumable and spec.sha256() == run.spec_sha256:
            Run.objects.filter(pk=again.pk).update(continues=run)
            again.continues = run
    return again


def resolve_spec(run: Run) -> Spec:
    """Return the spec a trainer gets: ids replaced by local paths.

    Raises:
        SubmitError: an input vanished since the run was submitted.
    """
    spec = parse_spec(run.spec)
    paths: dict[str, str] = {}
    for field, item in _inputs(run.project, spec).items():
        if isinstance(item, Upload) and item.is_external:
            paths[field] = item.path
            continue
        try:
            paths[field] = str(storage.local_copy(item.path))
        except (FileNotFoundError, ValueError) as error:
            raise SubmitError(f"{field}: {item} is gone", field=field) from error
    return spec.with_references(paths)


def publish_output(run: Run, folder: Path, result: dict[str, Any]) -> dict[str, Any]:
    """Move what an attempt left in `folder/output` to storage; return the row's values.

    Outside of any transaction: it may hash and upload gigabytes. Keys are
    content-addressed or carry the fence, so what a ghost publishes is harmless.
    """
    kind = KINDS[type(parse_spec(run.spec))]
    return kind.publish_output(run, folder / OUTPUT, result)


def record_output(run: Run, values: dict[str, Any]) -> None:
    """Fill the object of a run, inside the transaction that ends the run."""
    output = KINDS[type(parse_spec(run.spec))].output
    output._default_manager.filter(run=run).update(**values)  # noqa: SLF001


Input = DatasetVersion | Tokenizer | Upload


def _inputs(project: Project, spec: Spec) -> dict[str, Input]:
    """Return the objects a spec refers to, all of them of `project`."""
    found: dict[str, Input] = {}
    for field, noun in spec.references().items():
        raw = str(getattr(spec, field))
        item = _find(project, noun, int(raw)) if raw.isdecimal() else None
        if item is None:
            raise SubmitError(
                f"{field}: this project has no {noun} {raw!r}", field=field
            )
        found[field] = item
    return found


def _find(project: Project, noun: str, pk: int) -> Input | None:
    if pk >= 2**63:
        return None
    match noun:
        case "dataset":
            return (
                DatasetVersion.objects.select_related("dataset", "run")
                .filter(pk=pk, dataset__project=project)
                .first()
            )
        case "tokenizer":
            return (
                Tokenizer.objects.select_related("run")
                .filter(pk=pk, project=project)
                .first()
            )
        case "source":
            return Upload.objects.filter(pk=pk, project=project).first()
    raise AssertionError(f"no reference to a {noun} is known")


def _unfinished_run(item: Model) -> Run | None:
    """Return the run that still makes `item`, or None where it is ready."""
    if isinstance(item, Upload):
        return None
    assert isinstance(item, DatasetVersion | Tokenizer)
    if item.is_ready:
        return None
    run = item.run
    if run is None or run.is_finished:
        noun = "dataset" if isinstance(item, DatasetVersion) else "tokenizer"
        raise SubmitError(f"{noun} {item} was never finished", field=noun)
    return run
