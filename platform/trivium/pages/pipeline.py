"""The picture of a project: what flows into each stage, what runs, what came out."""

from typing import NamedTuple

from django.db.models import Q
from django.urls import reverse
from runspec.sft import KINDS_OF, TASKS_OF

from trivium.datasets.models import Dataset, DatasetVersion
from trivium.evaluations.figures import Figure, figure_of, newest_of
from trivium.evaluations.models import Evaluation
from trivium.models.models import LanguageModel
from trivium.projects.models import Project
from trivium.runs.models import Run
from trivium.runs.queries import hide_preflights
from trivium.tokenizers.models import Tokenizer

MAX_SHOWN = 3
ENDED_EARLY = (Run.State.FAILED, Run.State.CANCELLED)
IS_USABLE = Q(path__gt="") | (Q(run__isnull=False) & ~Q(run__state__in=ENDED_EARLY))
"""Leaves out what is empty because its run ended early."""
TUNING_KINDS = {kind for kinds in KINDS_OF.values() for kind in kinds}
"""Kinds of datasets that fine-tuning learns from."""
TUNING = {Run.Kind.SFT, Run.Kind.PREFLIGHT}
ALIGNING = {Run.Kind.DPO, Run.Kind.REWARD, Run.Kind.RLHF}
TEACHINGS = {
    "chat": ("Teach it to follow instructions", "pairs of instruction and answer"),
    "text-to-text": ("Teach it to rewrite texts", "pairs of texts"),
    "classification": ("Teach it to name labels", "texts with labels"),
}
"""What a model of each task is taught next, and from what."""


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
    """The newest base model that is ready."""
    num_models: int
    examples: list[DatasetVersion]
    """What fine-tuning learns from."""
    tuned: LanguageModel | None
    """The newest instruct model that is ready."""
    num_tuned: int
    preferences: list[DatasetVersion]
    """What alignment learns from."""
    aligned: LanguageModel | None
    """The newest aligned model that is ready."""
    reward: LanguageModel | None
    """The newest reward model that is ready."""
    figures: dict[str, Figure]
    """Stage → the one number to know of its newest model, where one was measured."""
    evaluation: Evaluation | None
    """The newest one that is ready."""

    @property
    def is_moving(self) -> bool:
        """Whether something may change by itself."""
        return any(run.state != Run.State.PAUSED for run in self.runs)

    @property
    def is_beginning(self) -> bool:
        """Whether the tutorial still has something to say."""
        is_empty = self.model is None and self.tuned is None
        is_working = self.pretraining or self.tuning or self.aligning
        return is_empty and not is_working

    @property
    def pretraining(self) -> list[Run]:
        """Unfinished pretraining runs."""
        return [run for run in self.runs if run.kind == Run.Kind.PRETRAIN]

    @property
    def tuning(self) -> list[Run]:
        """Unfinished fine-tuning runs; a preflight is told of by its run."""
        return [run for run in self.runs if run.kind in TUNING]

    @property
    def aligning(self) -> list[Run]:
        """Unfinished runs of alignment."""
        return [run for run in self.runs if run.kind in ALIGNING]

    @property
    def evaluating(self) -> list[Run]:
        """Unfinished runs that measure models."""
        return [run for run in self.runs if run.kind == Run.Kind.EVALUATE]

    @property
    def before_tuning(self) -> list[Run]:
        """Unfinished runs of pretraining, and of what it needs."""
        later = TUNING | ALIGNING | {Run.Kind.EVALUATE}
        return [run for run in self.runs if run.kind not in later]

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
    base, tuned = (models.filter(stage=stage) for stage in ("base", "instruct"))
    texts, examples = (
        versions.filter(dataset__kind=Dataset.Kind.TEXT),
        versions.filter(dataset__kind__in=TUNING_KINDS),
    )
    preferences = versions.filter(dataset__kind=Dataset.Kind.PREFERENCES)
    runs = hide_preflights(project.runs.all())
    unfinished = runs.exclude(state__in=Run.TERMINAL)
    at_work = unfinished.filter(state__in=Run.LIVE).order_by("pk")[: 2 * MAX_SHOWN]
    in_wait = unfinished.exclude(state__in=Run.LIVE).order_by("-priority", "pk")
    newest_run = runs.order_by("-pk").first()
    has_failed = newest_run is not None and newest_run.state == Run.State.FAILED
    newest = {
        stage: models.filter(stage=stage)
        .select_related("project", "run")
        .order_by("-pk")
        .first()
        for stage in ("base", "instruct", "aligned", "reward")
    }
    evaluations = newest_of(project) if any(newest.values()) else []
    return Pipeline(
        versions=list(texts.select_related("dataset").order_by("-pk")[:MAX_SHOWN]),
        num_datasets=project.datasets.filter(kind=Dataset.Kind.TEXT).count(),
        tokenizers=list(tokenizers.order_by("-pk")[:MAX_SHOWN]),
        num_tokenizers=project.tokenizers.count(),
        runs=[*at_work, *in_wait[:MAX_SHOWN]],
        num_runs=unfinished.count(),
        failed=newest_run if has_failed else None,
        model=newest["base"],
        num_models=base.count(),
        examples=list(examples.select_related("dataset").order_by("-pk")[:MAX_SHOWN]),
        tuned=newest["instruct"],
        num_tuned=tuned.count(),
        preferences=list(
            preferences.select_related("dataset").order_by("-pk")[:MAX_SHOWN]
        ),
        aligned=newest["aligned"],
        reward=newest["reward"],
        figures={
            stage: figure
            for stage, model in newest.items()
            if model and (figure := figure_of(model, evaluations))
        },
        evaluation=evaluations[0] if evaluations else None,
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
    if picture.pretraining or picture.tuning or picture.aligning:
        return watching_step(slug, picture)
    tuned, aligned = picture.tuned, picture.aligned
    if aligned is not None and (tuned is None or aligned.pk > tuned.pk):
        return aligned_step(slug, aligned, is_measured="aligned" in picture.figures)
    if tuned is not None:
        return aligning_step(slug, tuned, picture.preferences)
    if picture.model is not None:
        return teaching_step(slug, picture.model, picture.examples)
    return beginning_step(slug, picture)


def aligned_step(slug: str, model: LanguageModel, *, is_measured: bool) -> Step:
    """Return what follows an aligned model: see what came of it, then choose again."""
    title = "You have an aligned model"
    if not is_measured:
        return Step(
            title,
            "See what came of it: the same prompts answered by base, instruct and "
            "aligned, side by side.",
            "Find out",
            reverse("evaluations:new", args=[slug]) + f"?model={model.pk}",
            needs_engineer=True,
        )
    return Step(
        title,
        "Talk to it, or have people choose between its answers and others: their "
        "choices are what the next round learns from.",
        "Collect choices",
        reverse("campaigns:list", args=[slug]),
    )


def aligning_step(
    slug: str, model: LanguageModel, preferences: list[DatasetVersion]
) -> Step:
    """Return how an instruct model is aligned, or what that needs."""
    title, url = "You have an instruct model", reverse("runs:new", args=[slug])
    if model.architecture != "decoder":
        return Step(
            title,
            "It does what it is asked. Try more examples, or LoRA.",
            "Fine-tune another",
            url + "?kind=sft",
            needs_engineer=True,
        )
    if not preferences:
        return Step(
            title,
            "Align it with what people prefer: for that it needs choices between "
            "answers. Collect some, or bring them in.",
            "Collect choices",
            reverse("campaigns:list", args=[slug]),
        )
    return Step(
        title,
        f"Align it with the choices in {preferences[0]}: it learns to answer more "
        "like what people preferred.",
        "Align it",
        f"{url}?kind=dpo&model={model.pk}&datasets={preferences[0].pk}",
        needs_engineer=True,
    )


def beginning_step(slug: str, picture: Pipeline) -> Step:
    """Return what comes before a first model."""
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


def watching_step(slug: str, picture: Pipeline) -> Step:
    """Return what to look at while a model is trained."""
    if runs := [*picture.tuning, *picture.aligning]:
        return tuning_step(slug, runs[0])
    run = picture.pretraining[0]
    verb = "is learning" if run.state in Run.LIVE else "is in the queue"
    return Step(
        f"{run.name} {verb}",
        "Watch its loss fall, and read what it writes meanwhile.",
        "Watch it",
        reverse("runs:detail", args=[slug, run.pk]),
    )


def tuning_step(slug: str, run: Run) -> Step:
    """Return what to look at while a model is fine-tuned."""
    url = reverse("runs:detail", args=[slug, run.pk])
    if run.kind == Run.Kind.PREFLIGHT:
        text = "It shows the first batch as the model will see it; nothing trains yet."
        return Step(f"{run.name} is being checked", text, "See the check", url)
    if run.state in Run.LIVE:
        text = "Watch it learn to answer, and read what it says meanwhile."
        return Step(f"{run.name} is learning", text, "Watch it", url)
    if run.state == Run.State.WAITING:
        text = "Before any device is taken, its first batch is shown to you."
        return Step(f"{run.name} is being checked", text, "See the check", url)
    text = "It begins as soon as a device is free."
    return Step(f"{run.name} is in the queue", text, "Look at it", url)


def teaching_step(
    slug: str, model: LanguageModel, examples: list[DatasetVersion]
) -> Step:
    """Return how a base model is taught something: with examples, or to bring some."""
    task = TASKS_OF.get(model.architecture, "chat")
    title, needed = TEACHINGS[task]
    fitting = [one for one in examples if one.dataset.kind in KINDS_OF[task]]
    if fitting:
        query = f"?kind=sft&model={model.pk}&datasets={fitting[0].pk}"
        return Step(
            "You have a base model",
            f"{title} with {fitting[0]}: a check shows what it will see, then it "
            "learns.",
            title,
            reverse("runs:new", args=[slug]) + query,
            needs_engineer=True,
        )
    return Step(
        "You have a base model",
        f"{title}: for that it needs {needed}. Bring some in.",
        "Bring examples in",
        reverse("datasets:new", args=[slug]),
        needs_engineer=True,
    )
