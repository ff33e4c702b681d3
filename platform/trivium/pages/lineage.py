"""What things were made of, and what was made of them, as levels of a picture."""

from typing import NamedTuple

from django.db.models import Model
from django.urls import reverse

from trivium.datasets.models import DatasetVersion
from trivium.models.models import LanguageModel
from trivium.runs.models import Run
from trivium.tokenizers.models import Tokenizer

MAX_CHILDREN = 12


class Node(NamedTuple):
    """One thing in the picture."""

    noun: str
    label: str
    url: str
    hue: str
    """Its colour: `data`, `tokenizer`, or a stage's road."""
    is_current: bool = False


Levels = list[list[Node]]
ROADS = {"base": "grammar", "instruct": "logic"}


def model_levels(model: LanguageModel) -> Levels:
    """Return dataset → tokenizer → run → model → what was made from it."""
    slug = model.project.slug
    datasets = [model.dataset]
    if model.tokenizer and model.tokenizer.dataset_id != model.dataset_id:
        datasets.append(model.tokenizer.dataset)
    levels = [
        [dataset_node(slug, dataset) for dataset in datasets if dataset],
        [tokenizer_node(slug, model.tokenizer)] if model.tokenizer else [],
        [model_node(slug, parent) for parent in model.parents.all()],
        [run_node(slug, model.run)] if model.run else [],
        [current(model_node(slug, model))],
        [model_node(slug, child) for child in model.children.all()[:MAX_CHILDREN]],
    ]
    return [level for level in levels if level]


def dataset_levels(version: DatasetVersion) -> Levels:
    """Return run → version of a dataset → tokenizers → models."""
    slug = version.dataset.project.slug
    tokenizers = version.tokenizers.order_by("-pk")[:MAX_CHILDREN]
    models = version.models.order_by("-pk")[:MAX_CHILDREN]
    levels = [
        [run_node(slug, version.run)] if version.run else [],
        [current(dataset_node(slug, version))],
        [tokenizer_node(slug, tokenizer) for tokenizer in tokenizers],
        [model_node(slug, model) for model in models],
    ]
    return [level for level in levels if level]


def tokenizer_levels(tokenizer: Tokenizer) -> Levels:
    """Return dataset → run → tokenizer → models."""
    slug = tokenizer.project.slug
    children = tokenizer.models.order_by("-pk")[:MAX_CHILDREN]
    levels = [
        [dataset_node(slug, tokenizer.dataset)] if tokenizer.dataset else [],
        [run_node(slug, tokenizer.run)] if tokenizer.run else [],
        [current(tokenizer_node(slug, tokenizer))],
        [model_node(slug, child) for child in children],
    ]
    return [level for level in levels if level]


def current(node: Node) -> Node:
    """Mark the thing the page is about."""
    return node._replace(is_current=True)


def dataset_node(slug: str, version: DatasetVersion) -> Node:
    """Return a version of a dataset."""
    url = reverse("datasets:detail", args=[slug, version.dataset_id])
    return Node("Dataset", str(version), f"{url}?v={version.number}", "data")


def tokenizer_node(slug: str, tokenizer: Tokenizer) -> Node:
    """Return a tokenizer."""
    url = _url("tokenizers", slug, tokenizer)
    return Node("Tokenizer", tokenizer.name, url, "tokenizer")


def run_node(slug: str, run: Run) -> Node:
    """Return a run."""
    hues = {Run.Kind.INGEST: "data", Run.Kind.TOKENIZER: "tokenizer"}
    hue = hues.get(Run.Kind(run.kind), "grammar")
    return Node(
        "Run", f"{run.get_kind_display()} #{run.pk}", _url("runs", slug, run), hue
    )


def model_node(slug: str, model: LanguageModel) -> Node:
    """Return a model."""
    noun = f"{model.get_stage_display()} model"
    hue = ROADS.get(model.stage, "rhetoric")
    return Node(noun, model.name, _url("models", slug, model), hue)


def _url(noun: str, slug: str, item: Model) -> str:
    return reverse(f"{noun}:detail", args=[slug, item.pk])
