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
from runspec import (
    DpoSpec,
    ExportSpec,
    GenerateSpec,
    ImportSpec,
    IngestSpec,
    JudgeSpec,
    PreflightSpec,
    PretrainSpec,
    RewardSpec,
    RlhfSpec,
    SftSpec,
    Spec,
    TokenizerSpec,
    parse_spec,
)
from runspec.layout import CAMPAIGN_FILE, OUTPUT

from trivium import storage
from trivium.accounts.models import User
from trivium.campaigns import taking_in
from trivium.campaigns.models import Batch, Campaign, Judge
from trivium.campaigns.sending_out import write_pairs
from trivium.datasets import services as datasets
from trivium.datasets.models import DatasetVersion, Upload
from trivium.models import services as models
from trivium.models.models import LanguageModel
from trivium.projects.models import Project
from trivium.runs import services
from trivium.runs.errors import SubmitError
from trivium.runs.models import Run
from trivium.serving.choices import ModelChoice, find_for_run
from trivium.serving.errors import ChoiceNotFoundError
from trivium.serving.sources import source_of
from trivium.tokenizers import services as tokenizers
from trivium.tokenizers.models import Tokenizer
from trivium.workers.queries import queue_for

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
    PretrainSpec: Kind(models.claim_pretrained, models.publish_model, LanguageModel),
    SftSpec: Kind(models.claim_finetuned, models.publish_model, LanguageModel),
    DpoSpec: Kind(models.claim_aligned, models.publish_model, LanguageModel),
    RewardSpec: Kind(models.claim_aligned, models.publish_model, LanguageModel),
    RlhfSpec: Kind(models.claim_aligned, models.publish_model, LanguageModel),
    ImportSpec: Kind(models.claim_imported, models.publish_imported, LanguageModel),
    ExportSpec: Kind(datasets.claim_version, datasets.publish_version, DatasetVersion),
    GenerateSpec: Kind(taking_in.claim_batch, taking_in.publish_batch, Batch),
    JudgeSpec: Kind(taking_in.claim_judge, taking_in.publish_judge, Judge),
}
"""A kind that makes nothing, like a preflight, is not among them."""


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
    if isinstance(spec, PreflightSpec):
        spec = preflight_for(spec.training)
    inputs = _inputs(project, spec)
    _refuse_unfit(spec, inputs)
    spec = _with_whole_ids(spec, inputs)
    waits_for = _unfinished_runs(inputs)
    with transaction.atomic():
        if spec.has_preflight:
            waits_for.append(_start_preflight(project, created_by, spec, waits_for))
        run = services.submit_run(
            project=project,
            created_by=created_by,
            spec=spec,
            name=name,
            priority=priority,
            depends_on=waits_for,
        )
        kind = KINDS.get(type(spec))
        given = kind.claim_output(run, spec, name) if kind else run.name
        Run.objects.filter(pk=run.pk).update(name=given)
        Run.objects.filter(kind=Run.Kind.PREFLIGHT, dependants=run).update(name=given)
        run.name = given
    return run


def preflight_for(training: Spec) -> PreflightSpec:
    """Return the check of a training, for the devices it would get now."""
    return PreflightSpec.model_validate(
        {"training": training, "trains_on": queue_for(training)}
    )


def _start_preflight(
    project: Project, created_by: User, spec: Spec, waits_for: list[Run]
) -> Run:
    """Queue the check that a run waits for; it is as urgent as can be, and short."""
    return services.submit_run(
        project=project,
        created_by=created_by,
        spec=preflight_for(spec),
        priority=services.MAX_PRIORITY,
        depends_on=waits_for,
    )


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
    return spec.with_references(
        {
            field: tuple(_local_path(run, field, item) for item in items)
            for field, items in _inputs(run.project, spec).items()
        }
    )


def _local_path(run: Run, field: str, item: "Input") -> str:
    if isinstance(item, ModelChoice):
        return source_of(item).model_dump_json()
    if isinstance(item, Campaign):
        path = storage.run_folder(run.pk) / CAMPAIGN_FILE
        write_pairs(item, path)
        return str(path)
    if isinstance(item, Upload) and item.is_external:
        return item.path
    try:
        return str(storage.local_copy(item.path))
    except (FileNotFoundError, ValueError) as error:
        raise SubmitError(f"{field}: {item} is gone", field=field) from error


def publish_output(run: Run, folder: Path, result: dict[str, Any]) -> dict[str, Any]:
    """Move what an attempt left in `folder/output` to storage; return the row's values.

    Outside of any transaction: it may hash and upload gigabytes. Keys are
    content-addressed or carry the fence, so what a ghost publishes is harmless.
    """
    kind = KINDS.get(type(parse_spec(run.spec)))
    values = kind.publish_output(run, folder / OUTPUT, result) if kind else {}
    # Votes with names, which the database has: no copy shall outlive the run.
    (folder / CAMPAIGN_FILE).unlink(missing_ok=True)
    return values


def record_output(run: Run, values: dict[str, Any]) -> None:
    """Fill the object of a run, inside the transaction that ends the run."""
    kind = KINDS.get(type(parse_spec(run.spec)))
    if kind is not None:
        kind.output._default_manager.filter(run=run).update(**values)  # noqa: SLF001


Input = DatasetVersion | Tokenizer | LanguageModel | Upload | ModelChoice | Campaign


def _inputs(project: Project, spec: Spec) -> dict[str, list[Input]]:
    """Return the objects each field of a spec refers to, all of them of `project`."""
    found = {
        field: [_input(project, field, noun, one) for one in ids]
        for field, (noun, ids) in spec.referred().items()
    }
    for field, items in found.items():
        _refuse_other_kinds(field, items, spec.kinds_of(field))
    return found


def _refuse_other_kinds(
    field: str, items: "list[Input]", kinds: tuple[str, ...]
) -> None:
    """Refuse datasets whose rows a run of this kind cannot read."""
    for item in items:
        if (
            isinstance(item, DatasetVersion)
            and kinds
            and item.dataset.kind not in kinds
        ):
            raise SubmitError(
                f"{field}: {item} holds {item.dataset.get_kind_display().lower()}; "
                f"this run reads {' or '.join(kinds)}",
                field=field,
            )


def _refuse_unfit(spec: Spec, inputs: "dict[str, list[Input]]") -> None:
    """Refuse models that cannot do what a run asks of them.

    Raises:
        SubmitError: one cannot, or there is nobody to answer and nothing answered.
    """
    chosen = {
        field: [item for item in items if isinstance(item, ModelChoice)]
        for field, items in inputs.items()
    }
    if isinstance(spec, GenerateSpec):
        for choice in chosen.get("answerers", ()):
            if not choice.can_write:
                raise SubmitError(
                    f"answerers: {choice.title} writes no text; choose a model that "
                    "goes on with one",
                    field="answerers",
                )
        if not spec.answerers:
            _refuse_other_kinds("prompts", inputs["prompts"], ("preferences",))
    if isinstance(spec, JudgeSpec):
        for choice in chosen.get("judge", ()):
            if not (choice.is_chat or choice.has_score_head):
                raise SubmitError(
                    f"judge: {choice.title} was never taught to converse; choose a "
                    "chat model, a reward model or a model of an endpoint",
                    field="judge",
                )


def _with_whole_ids(spec: Spec, inputs: "dict[str, list[Input]]") -> Spec:
    """Return the spec with each choice by its whole id, however a person named it."""
    ids = {
        field: tuple(item.id for item in items if isinstance(item, ModelChoice))
        for field, items in inputs.items()
    }
    whole = {field: one for field, one in ids.items() if one}
    return spec.with_references(whole) if whole else spec


def _input(project: Project, field: str, noun: str, raw: str) -> Input:
    if noun == "choice":
        return _choice(project, field, raw)
    item = _find(project, noun, int(raw)) if raw.isdecimal() else None
    if item is None:
        raise SubmitError(f"{field}: this project has no {noun} {raw!r}", field=field)
    return item


def _choice(project: Project, field: str, raw: str) -> ModelChoice:
    try:
        return find_for_run(project, raw)
    except ChoiceNotFoundError as error:
        raise SubmitError(f"{field}: {error}", field=field) from error


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
        case "model":
            return (
                LanguageModel.objects.select_related("run")
                .filter(pk=pk, project=project)
                .first()
            )
        case "source":
            return Upload.objects.filter(pk=pk, project=project).first()
        case "campaign":
            return Campaign.objects.filter(pk=pk, project=project).first()
    raise AssertionError(f"no reference to a {noun} is known")


def _unfinished_runs(inputs: dict[str, list[Input]]) -> list[Run]:
    """Return the runs that still make inputs.

    Raises:
        SubmitError: a run ended without making its object.
    """
    found: dict[int, Run] = {}
    for field, items in inputs.items():
        for item in items:
            if isinstance(item, Upload | ModelChoice | Campaign) or item.is_ready:
                continue
            if item.run is None or item.run.is_finished:
                raise SubmitError(f"{field}: {item} was never finished", field=field)
            found[item.run.pk] = item.run
    return list(found.values())
