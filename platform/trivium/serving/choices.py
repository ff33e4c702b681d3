"""What a person can talk to: models, checkpoints of runs, models of endpoints.

Each has an id, which programs name it by:
    grammar/Tiny stories        a model of the project with the address `grammar`
    grammar/run-5@300           the checkpoint of step 300 of its run 5
    gpu-1/llama-3               a model of the endpoint `gpu-1`
    Tiny stories                a model whose name no other one visible has
"""

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.conf import settings
from pydantic import ValidationError
from runspec import (
    DpoSpec,
    PretrainSpec,
    RewardSpec,
    RlhfSpec,
    SftSpec,
    parse_spec,
)
from runspec.layout import SERVED
from runspec.manifest import MANIFEST_NAME
from runspec.serving import Architecture, ModelRef
from runspec.sft import TASKS_OF

from trivium import storage
from trivium.accounts.models import User
from trivium.models.models import LanguageModel
from trivium.models.queries import models_visible_to
from trivium.projects.models import Project
from trivium.projects.queries import projects_visible_to
from trivium.runs.models import Checkpoint, Run
from trivium.serving.errors import ChoiceNotFoundError, no_such_choice
from trivium.serving.models import Endpoint

CHECKPOINT = re.compile(r"run-(\d{1,18})@(\d{1,18})")
ARCHITECTURES: dict[str, Architecture] = {
    "decoder": "decoder",
    "encoder": "encoder",
    "encoder-decoder": "encoder-decoder",
}
LEARNERS = (
    Run.Kind.PRETRAIN,
    Run.Kind.SFT,
    Run.Kind.DPO,
    Run.Kind.REWARD,
    Run.Kind.RLHF,
)
CLASSIFIER = "sequence-classification"


@dataclass(frozen=True)
class ModelChoice:
    """One thing to talk to."""

    id: str
    title: str
    architecture: Architecture
    stage: str
    ref: ModelRef
    """What a node loads; of no use where an endpoint answers."""
    created: datetime
    project: Project | None = None
    has_score_head: bool = False
    """Whether it scores or labels texts, instead of writing any."""
    model: LanguageModel | None = None
    run: Run | None = None
    step: int | None = None
    """Of the checkpoint of `run`."""
    endpoint: Endpoint | None = None
    remote_id: str = ""
    """What the endpoint calls it."""

    @property
    def can_write(self) -> bool:
        """Whether it answers with text."""
        return self.architecture != "encoder" and not self.has_score_head

    @property
    def is_chat(self) -> bool:
        """Whether it was taught to converse; others go on with a text."""
        is_base = self.stage == LanguageModel.Stage.BASE
        is_decoder = self.architecture == "decoder"
        return is_decoder and not (self.has_score_head or is_base)

    @property
    def owner(self) -> str:
        """Whose it is, as the OpenAI API has it."""
        return self.id.partition("/")[0]


def choices_of(
    user: User, project: Project | None = None, *, with_checkpoints: bool = False
) -> list[ModelChoice]:
    """Return what `user` can talk to, newest first; endpoints last."""
    models = models_visible_to(user).exclude(path="").select_related("project")
    if project is not None:
        models = models.filter(project=project)
    found = [of_model(model) for model in models.order_by("-pk")]
    if with_checkpoints:
        found += _checkpoints(user, project)
    for endpoint in Endpoint.objects.filter(is_enabled=True).order_by("name"):
        found += [of_endpoint(endpoint, one) for one in endpoint.model_ids]
    return found


def checkpoint_choices(run: Run) -> list[ModelChoice]:
    """Return those checkpoints of a run that can be talked to, in their order."""
    rows = run.checkpoints.select_related("run__project").order_by("step")
    return [choice for row in rows if (choice := _of_checkpoint_or_none(row))]


def find_choice(user: User, choice_id: str) -> ModelChoice:
    """Return what an id names.

    Raises:
        ChoiceNotFoundError: nothing, or it is not `user`'s to see, or a checkpoint
            lacks what it takes to be loaded; the text says which only for the last.
    """
    if "\0" in choice_id:
        raise no_such_choice(choice_id)
    owner, _, name = choice_id.partition("/")
    if name:
        project = projects_visible_to(user).filter(slug=owner).first()
        if project is not None and (found := _in_project(project, name)):
            return found
        endpoint = Endpoint.objects.filter(name=owner, is_enabled=True).first()
        if endpoint is not None and name in endpoint.model_ids:
            return of_endpoint(endpoint, name)
    return _by_bare_name(user, choice_id)


def find_for_run(project: Project, choice_id: str) -> ModelChoice:
    """Return what an id in a spec names: of the same project, or of an endpoint.

    Whoever may start runs in a project sees all of either; so nobody is asked for, and
    a run goes on when who started it has left.

    Raises:
        ChoiceNotFoundError: it is not there, or not any more.
    """
    owner, _, name = choice_id.partition("/")
    if "\0" not in choice_id:
        if owner == project.slug and name and (found := _in_project(project, name)):
            return found
        endpoint = Endpoint.objects.filter(name=owner, is_enabled=True).first()
        if endpoint is not None and name in endpoint.model_ids:
            return of_endpoint(endpoint, name)
        if found := _in_project(project, choice_id):
            return found
    raise no_such_choice(choice_id)


def _in_project(project: Project, name: str) -> ModelChoice | None:
    models = LanguageModel.objects.filter(project=project, name=name)
    model = models.exclude(path="").select_related("project", "run").first()
    if model is not None:
        return of_model(model)
    parts = CHECKPOINT.fullmatch(name)
    if parts is None:
        return None
    rows = Checkpoint.objects.select_related("run__project")
    row = rows.filter(
        run__project=project, run_id=int(parts[1]), step=int(parts[2])
    ).first()
    return of_checkpoint(row) if row is not None else None


def _by_bare_name(user: User, name: str) -> ModelChoice:
    models = models_visible_to(user).filter(name=name).exclude(path="")
    found = list(models.select_related("project").order_by("pk")[:2])
    if len(found) > 1:
        ids = " or ".join(repr(of_model(model).id) for model in found)
        raise ChoiceNotFoundError(f"several models are named {name!r}: say {ids}")
    if found:
        return of_model(found[0])
    raise no_such_choice(name)


# From rows to choices ----------------------------------------------------------------


def of_model(model: LanguageModel) -> ModelChoice:
    """Return a model that is ready as a choice."""
    written = json.dumps(model.files, sort_keys=True).encode()
    return ModelChoice(
        id=f"{model.project.slug}/{model.name}",
        title=model.name,
        architecture=ARCHITECTURES.get(model.architecture, "decoder"),
        stage=model.stage,
        ref=ModelRef(
            key=f"model-{model.pk}",
            url=_storage_url(model.path),
            sha256=hashlib.sha256(written).hexdigest(),
        ),
        created=model.created,
        project=model.project,
        has_score_head=(
            model.stage == LanguageModel.Stage.REWARD
            or model.recognised.get("head") == CLASSIFIER
        ),
        model=model,
        run=model.run,
    )


def of_checkpoint(row: Checkpoint) -> ModelChoice:
    """Return a checkpoint as a choice.

    Pretraining leaves config and tokenizer once in its folder; runs from before it did
    so have them in the model they became. Fine-tuning keeps both in each checkpoint.

    Raises:
        ChoiceNotFoundError: the files are not there, or not enough of them.
    """
    run = row.run
    folder = storage.run_folder(run.pk)
    weights = folder / row.path
    name = f"the checkpoint of step {row.step:,} of run {run.pk}"
    if not (weights / MANIFEST_NAME).is_file():
        raise ChoiceNotFoundError(
            f"{name} lies on its worker's disk, which cannot be reached from here"
        )
    if (weights / "adapter_config.json").is_file():
        raise ChoiceNotFoundError(
            f"{name} holds an adapter alone; it can be talked to once the run has "
            "merged it into its model"
        )
    architecture, stage, is_classifier = _taught(run)
    return ModelChoice(
        id=f"{run.project.slug}/run-{run.pk}@{row.step}",
        title=f"{run.name}, step {row.step:,}",
        architecture=architecture,
        stage=stage,
        ref=ModelRef(
            key=f"run-{run.pk}-step-{row.step}",
            url=_config_url(run, folder, weights, name),
            sha256=row.manifest_sha256,
            weights_url=weights.as_uri(),
        ),
        created=row.created,
        project=run.project,
        has_score_head=is_classifier,
        run=run,
        step=row.step,
    )


def of_endpoint(endpoint: Endpoint, remote_id: str) -> ModelChoice:
    """Return a model of an endpoint as a choice; it is taken for a chat model."""
    return ModelChoice(
        id=f"{endpoint.name}/{remote_id}",
        title=f"{remote_id} ({endpoint.name})",
        architecture="decoder",
        stage=LanguageModel.Stage.INSTRUCT,
        ref=ModelRef(key=f"endpoint-{endpoint.pk}", url="", sha256=""),
        created=endpoint.created,
        endpoint=endpoint,
        remote_id=remote_id,
    )


def _checkpoints(user: User, project: Project | None) -> list[ModelChoice]:
    projects = projects_visible_to(user).order_by()
    rows = Checkpoint.objects.filter(
        run__project__in=projects, run__kind__in=LEARNERS
    ).select_related("run__project")
    if project is not None:
        rows = rows.filter(run__project=project)
    rows = rows.order_by("-run_id", "-step")
    return [choice for row in rows if (choice := _of_checkpoint_or_none(row))]


def _of_checkpoint_or_none(row: Checkpoint) -> ModelChoice | None:
    try:
        return of_checkpoint(row)
    except ChoiceNotFoundError:
        return None


def _taught(run: Run) -> tuple[Architecture, str, bool]:
    """Return architecture and stage of what a run makes, and whether it classifies."""
    try:
        spec = parse_spec(run.spec)
    except ValidationError:
        spec = None
    if isinstance(spec, PretrainSpec):
        architecture = ARCHITECTURES[spec.facts.architecture]
        return architecture, LanguageModel.Stage.BASE, False
    if isinstance(spec, SftSpec):
        kinds = {task: kind for kind, task in TASKS_OF.items()}
        architecture = ARCHITECTURES[kinds[spec.task]]
        is_classifier = spec.task == "classification"
        return architecture, LanguageModel.Stage.INSTRUCT, is_classifier
    if isinstance(spec, DpoSpec | RlhfSpec):
        return "decoder", LanguageModel.Stage.ALIGNED, False
    if isinstance(spec, RewardSpec):
        return "decoder", LanguageModel.Stage.REWARD, True
    raise ChoiceNotFoundError(f"run {run.pk} makes no model")


def _config_url(run: Run, folder: Path, weights: Path, name: str) -> str:
    """Return the folder that holds config and tokenizer of a checkpoint."""
    for place in (weights, folder / SERVED):
        if (place / "config.json").is_file():
            return place.as_uri()
    model = LanguageModel.objects.filter(run=run).exclude(path="").first()
    if model is not None:
        return _storage_url(model.path)
    raise ChoiceNotFoundError(
        f"{name} was saved without config and tokenizer, by an earlier version; it can "
        "be talked to once the run has become a model"
    )


def _storage_url(key: str) -> str:
    root = settings.STORAGE_URL.rstrip("/")
    if root.startswith("file://"):
        return (Path(root.removeprefix("file://")) / key).as_uri()
    return f"{root}/{key}"
