"""What things were made of, and what was made of them, over any number of levels."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from django.urls import reverse

from trivium.datasets.models import DatasetVersion
from trivium.models.models import LanguageModel
from trivium.pages.lineage_drawing import Drawing, draw_tall, draw_wide
from trivium.pages.lineage_graph import (
    Graph,
    Key,
    insert_run,
    levels_of,
    nearest,
    read_graph,
)
from trivium.projects.models import Project
from trivium.runs.models import Run
from trivium.tokenizers.models import Tokenizer

MAX_EACH_WAY = 16
"""Nodes drawn before and after the one in question; a page of its own lists all."""
MAX_LISTED = 1000
MAX_COLUMNS = 4
"""More levels than these are drawn downwards on a wide screen too."""
WIDE_PX, PHONE_PX = 700, 340
ROADS = {"base": "grammar", "instruct": "logic"}
RUN_HUES = {
    Run.Kind.INGEST: "data",
    Run.Kind.TOKENIZER: "tokenizer",
    Run.Kind.SFT: "logic",
    Run.Kind.PREFLIGHT: "logic",
}
NOUNS = {"dataset": "dataset version", "tokenizer": "tokenizer", "model": "model"}
Item = DatasetVersion | Tokenizer | LanguageModel | Run


class Node(NamedTuple):
    """One thing in the picture."""

    key: Key
    noun: str
    label: str
    url: str
    hue: str
    """Its colour: `data`, `tokenizer`, or a stage's road."""
    is_current: bool = False


class Picture(NamedTuple):
    """The lineage of one thing, drawn for a wide screen and for a phone."""

    wide: Drawing[Node]
    tall: Drawing[Node]
    num_before: int
    num_after: int
    made: str
    """What was made of it, in words: `2 tokenizers and 3 models`."""
    num_hidden: int
    """Things not drawn, because there are too many."""
    url: str
    """The page that lists all of them; empty for a run."""


class Family(NamedTuple):
    """All that one thing was made of, and all that was made of it."""

    picture: Picture
    current: Node
    before: list[Node]
    after: list[Node]


def model_levels(model: LanguageModel) -> Picture:
    """Return what a model was made of, and what was made of it."""
    return picture_of(model.project, Key("model", model.pk), run=model.run)


def dataset_levels(version: DatasetVersion) -> Picture:
    """Return what was made of a version of a dataset."""
    key = Key("dataset", version.pk)
    return picture_of(version.dataset.project, key, run=version.run)


def tokenizer_levels(tokenizer: Tokenizer) -> Picture:
    """Return what a tokenizer was made of, and what was made of it."""
    return picture_of(
        tokenizer.project, Key("tokenizer", tokenizer.pk), run=tokenizer.run
    )


def run_levels(run: Run) -> Picture:
    """Return what a run read, what it makes, and what came of that."""
    return picture_of(run.project, Key("run", run.pk), run=run)


def picture_of(project: Project, key: Key, *, run: Run | None) -> Picture:
    """Draw the lineage of one thing, with the run that made it."""
    graph = read_graph(project)
    if run is not None:
        insert_run(graph, run)
    return draw(project, graph, key)


def family_of(project: Project, noun: str, pk: int) -> Family | None:
    """Return all relatives of a thing; None where the project has no such thing."""
    key = Key(noun, pk)
    if key not in items_of(project, [key]):
        return None
    graph = read_graph(project)
    before = graph.ancestors(key)[:MAX_LISTED]
    after = graph.descendants(key)[:MAX_LISTED]
    nodes = nodes_of(project, [key, *before, *after], current=key)
    return Family(
        draw(project, graph, key),
        nodes[key],
        [nodes[one] for one in before if one in nodes],
        [nodes[one] for one in after if one in nodes],
    )


def draw(project: Project, graph: Graph, key: Key) -> Picture:
    """Draw the nearest relatives of `key` in their levels."""
    before, after = graph.ancestors(key), graph.descendants(key)
    shown = [
        *nearest(before, graph.parents, most=MAX_EACH_WAY)[::-1],
        key,
        *nearest(after, graph.children, most=MAX_EACH_WAY),
    ]
    nodes = nodes_of(project, shown, current=key)
    levels = [
        [nodes[one] for one in level if one in nodes]
        for level in levels_of(graph, [one for one in shown if one in nodes])
    ]
    edges = [
        (nodes[parent], nodes[child])
        for child in nodes
        for parent in graph.parents[child]
        if parent in nodes
    ]
    made = Counter(one.noun for one in after)
    return Picture(
        draw_wide(levels, edges)
        if len(levels) <= MAX_COLUMNS
        else draw_tall(levels, edges, width=WIDE_PX, per_row=MAX_COLUMNS),
        draw_tall(levels, edges, width=PHONE_PX, per_row=2),
        len(before),
        len(after),
        made_in_words(made),
        len(before) + len(after) + 1 - len(shown),
        reverse("pages:lineage", args=[project.slug, *key])
        if key.noun in NOUNS
        else "",
    )


def made_in_words(made: Counter[str]) -> str:
    """Return `2 tokenizers and 3 models`; empty where nothing was made."""
    parts = [
        f"{made[noun]} {name}{'' if made[noun] == 1 else 's'}"
        for noun, name in NOUNS.items()
        if made[noun]
    ]
    return " and ".join(parts)


def nodes_of(project: Project, keys: Sequence[Key], *, current: Key) -> dict[Key, Node]:
    """Return the nodes of the things that are still there, by one query a noun."""
    found = items_of(project, keys)
    return {
        key: node_of(project.slug, key, found[key], is_current=key == current)
        for key in keys
        if key in found
    }


def items_of(project: Project, keys: Sequence[Key]) -> dict[Key, Item]:
    """Return the rows of things, all of them of `project`."""
    ids: dict[str, list[int]] = {}
    for key in keys:
        ids.setdefault(key.noun, []).append(key.pk)
    versions = DatasetVersion.objects.filter(dataset__project=project)
    found: dict[Key, Item] = {}
    for noun, pks in ids.items():
        rows: Sequence[Item]
        match noun:
            case "dataset":
                rows = list(versions.select_related("dataset").filter(pk__in=pks))
            case "tokenizer":
                rows = list(Tokenizer.objects.filter(project=project, pk__in=pks))
            case "model":
                rows = list(LanguageModel.objects.filter(project=project, pk__in=pks))
            case "run":
                rows = list(Run.objects.filter(project=project, pk__in=pks))
            case _:
                rows = []
        found |= {Key(noun, row.pk): row for row in rows}
    return found


def node_of(slug: str, key: Key, item: Item, *, is_current: bool) -> Node:
    """Return one thing as a page shows it."""
    match item:
        case DatasetVersion():
            url = reverse("datasets:detail", args=[slug, item.dataset_id])
            url = f"{url}?v={item.number}"
            return Node(key, "Dataset", str(item), url, "data", is_current)
        case Tokenizer():
            url = reverse("tokenizers:detail", args=[slug, item.pk])
            return Node(key, "Tokenizer", item.name, url, "tokenizer", is_current)
        case LanguageModel():
            url = reverse("models:detail", args=[slug, item.pk])
            noun = f"{item.get_stage_display()} model"
            hue = ROADS.get(item.stage, "rhetoric")
            return Node(key, noun, item.name, url, hue, is_current)
        case Run():
            url = reverse("runs:detail", args=[slug, item.pk])
            hue = RUN_HUES.get(Run.Kind(item.kind), "grammar")
            label = f"{item.get_kind_display()} #{item.pk}"
            return Node(key, "Run", label, url, hue, is_current)
