"""The picture of a project: what flows into each stage, what runs, what came out."""

from typing import NamedTuple

from django.db.models import Q
from django.urls import reverse

from trivium.datasets.models import DatasetVersion
from trivium.models.models import LanguageModel
from trivium.projects.models import Project
from trivium.runs.models import Run
from trivium.runs.queries import hide_preflights
from trivium.tokenizers.models import Tokenizer

MAX_SHOWN = 3
ENDED_EARLY = (Run.State.FAILED, Run.State.CANCELLED)
IS_USABLE = Q(path__gt="") | (Q(run__isnull=False) & ~Q(run__state__in=ENDED_EARLY))
"""Leaves out what is empty because its run ended early."""


class Step(NamedTuple):
    """The one thing to do next."""

    title: str
    text: str
    action: str = ""
    url: str = ""
    needs_engineer: bool = False


class Pipeline(NamedTuple):
    """All a project's home shows."""

    versions: list[DatasetVersion]
    num_datasets: int
    tokenizers: list[Tokenizer]
    num_tokenizers: int
    runs: list[Run]
    """Unfinished runs, those at work first."""
    num_runs: int
    failed: Run | None
    """The newest run, where it failed."""
    model: LanguageModel | None
    """The newest model that is ready."""
    num_models: int

    @property
    def is_moving(self) -> bool:
        """Whether something may change by itself."""
        return any(run.state != Run.State.PAUSED for run in self.runs)

    @property
    def is_beginning(self) -> bool:
        """Whether the tutorial still has something to say."""
        return self.model is None and not self.pretraining

    @property
    def pretraining(self) -> list[Run]:
        """Unfinished pretraining runs."""
        return [run for run in self.runs if run.kind == Run.Kind.PRETRAIN]

    @property
    def preparing(self) -> list[Run]:
        """Unfinished runs that make what training needs."""
        return [run for run in self.runs if run.kind != Run.Kind.PRETRAIN]

    @property
    def has_ready_data(self) -> bool:
        """Whether some text can be read."""
        return any(version.is_ready for version in self.versions)

    @property
    def has_ready_tokenizer(self) -> bool:
        """Whether some tokenizer can be used."""
        return any(tokenizer.is_ready for tokenizer in self.tokenizers)

    @property
    def num_more_runs(self) -> int:
        """Unfinished runs that are not shown."""
        return self.num_runs - len(self.runs)


def pipeline(project: Project) -> Pipeline:
    """Read the picture of `project`."""
    versions = DatasetVersion.objects.filter(IS_USABLE, dataset__project=project)
    tokenizers = Tokenizer.objects.filter(IS_USABLE, project=project)
    models = LanguageModel.objects.filter(project=project).exclude(path="")
    runs = hide_preflights(project.runs.all())
    unfinished = runs.exclude(state__in=Run.TERMINAL)
    at_work = unfinished.filter(state__in=Run.LIVE).order_by("pk")[: 2 * MAX_SHOWN]
    in_wait = unfinished.exclude(state__in=Run.LIVE).order_by("-priority", "pk")
    newest_run = runs.order_by("-pk").first()
    has_failed = newest_run is not None and newest_run.state == Run.State.FAILED
    return Pipeline(
        versions=list(versions.select_related("dataset").order_by("-pk")[:MAX_SHOWN]),
        num_datasets=project.datasets.count(),
        tokenizers=list(tokenizers.order_by("-pk")[:MAX_SHOWN]),
        num_tokenizers=project.tokenizers.count(),
        runs=[*at_work, *in_wait[:MAX_SHOWN]],
        num_runs=unfinished.count(),
        failed=newest_run if has_failed else None,
        model=models.select_related("run").order_by("-pk").first(),
        num_models=models.count(),
    )


def next_step(project: Project, picture: Pipeline) -> Step:
    """Return the one thing to do next in `project`."""
    slug = project.slug
    if picture.failed is not None:
        failed = picture.failed
        return Step(
            f"{failed.name} failed",
            failed.reason or "Its page says why, and what to change.",
            "See what to do",
            reverse("runs:detail", args=[slug, failed.pk]),
        )
    if picture.pretraining:
        run = picture.pretraining[0]
        verb = "is learning" if run.state in Run.LIVE else "is in the queue"
        return Step(
            f"{run.name} {verb}",
            "Watch its loss fall, and read what it writes meanwhile.",
            "Watch it",
            reverse("runs:detail", args=[slug, run.pk]),
        )
    if picture.model is not None:
        return Step(
            "You have a base model",
            "It continues text. Teaching it to follow instructions is a stage yet to "
            "come; meanwhile try a larger model, or more text.",
            "Train another",
            reverse("models:new", args=[slug]),
            needs_engineer=True,
        )
    if not picture.versions:
        return Step(
            "Bring in text to learn from",
            "A file of your own, or the bundled sample.",
            "Bring data in",
            reverse("datasets:new", args=[slug]),
            needs_engineer=True,
        )
    if not picture.tokenizers:
        return Step(
            "Train a tokenizer",
            "It learns how your text splits into tokens. This takes seconds.",
            "Train a tokenizer",
            reverse("tokenizers:new", args=[slug]),
            needs_engineer=True,
        )
    return Step(
        "Pretrain a model",
        "Data and tokenizer are there. A small model takes minutes.",
        "Set up pretraining",
        reverse("models:new", args=[slug]),
        needs_engineer=True,
    )
