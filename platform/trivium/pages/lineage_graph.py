"""What was made of what in a project, as a graph of ids; nothing here is drawn.

Only ids are read, so that all of a large project's graph costs a few queries; names
are asked for the few nodes that are shown.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from runspec import SPECS

from trivium.datasets.models import DatasetVersion
from trivium.models.models import LanguageModel
from trivium.projects.models import Project
from trivium.runs.models import Run
from trivium.tokenizers.models import Tokenizer


class Key(NamedTuple):
    """One thing: `dataset` (a version), `tokenizer`, `model` or `run`, and its id."""

    noun: str
    pk: int


class Graph:
    """Who was made of whom. It should have no cycles, and does not hang on one."""

    def __init__(self) -> None:
        """Begin without edges."""
        self.parents: dict[Key, list[Key]] = defaultdict(list)
        self.children: dict[Key, list[Key]] = defaultdict(list)

    def add(self, parent: Key, child: Key) -> None:
        """Note that `child` was made of `parent`; twice is once."""
        if parent != child and parent not in self.parents[child]:
            self.parents[child].append(parent)
            self.children[parent].append(child)

    def remove(self, parent: Key, child: Key) -> None:
        """Forget an edge, if it is there."""
        if parent in self.parents[child]:
            self.parents[child].remove(parent)
            self.children[parent].remove(child)

    def insert(self, between: Key, parents: Sequence[Key], child: Key | None) -> None:
        """Put a thing between some parents and the child they made."""
        for parent in parents:
            self.add(parent, between)
            if child is not None:
                self.remove(parent, child)
        if child is not None:
            self.add(between, child)

    def ancestors(self, key: Key) -> list[Key]:
        """Return all it was made of, nearest first."""
        return reach(key, self.parents)

    def descendants(self, key: Key) -> list[Key]:
        """Return all that was made of it, nearest first."""
        return reach(key, self.children)


def nearest(found: list[Key], edges: dict[Key, list[Key]], *, most: int) -> list[Key]:
    """Return up to `most` of what was reached, without losing a line for its siblings.

    Whatever leads further stays first; of the ends, each maker's first, then second.
    """
    ranks: dict[Key, int] = {}
    taken: dict[Key, int] = defaultdict(int)
    for key in found:
        if edges.get(key):
            ranks[key] = -1
    back: dict[Key, Key] = {}
    for key, others in edges.items():
        for other in others:
            back.setdefault(other, key)
    for key in found:
        if key not in ranks:
            maker = back[key]
            ranks[key] = taken[maker]
            taken[maker] += 1
    chosen = set(sorted(found, key=ranks.__getitem__)[:most])
    return [key for key in found if key in chosen]


def reach(start: Key, edges: dict[Key, list[Key]]) -> list[Key]:
    """Return what edges lead to from `start`, breadth first, `start` left out."""
    seen = {start}
    found = []
    waiting = deque([start])
    while waiting:
        for key in edges.get(waiting.popleft(), ()):
            if key not in seen:
                seen.add(key)
                found.append(key)
                waiting.append(key)
    return found


def read_graph(project: Project) -> Graph:
    """Return the graph of a project's datasets, tokenizers and models."""
    graph = Graph()
    tokenizers = Tokenizer.objects.filter(project=project, dataset__isnull=False)
    for pk, dataset_id in tokenizers.order_by("pk").values_list("pk", "dataset_id"):
        graph.add(Key("dataset", dataset_id), Key("tokenizer", pk))
    models = LanguageModel.objects.filter(project=project)
    links = LanguageModel.parents.through.objects.filter(
        from_languagemodel__project=project
    )
    bases: dict[int, list[int]] = defaultdict(list)
    for child_id, parent_id in links.order_by("pk").values_list(
        "from_languagemodel_id", "to_languagemodel_id"
    ):
        graph.add(Key("model", parent_id), Key("model", child_id))
        bases[child_id].append(parent_id)
    rows = models.order_by("pk").values_list(
        "pk", "dataset_id", "tokenizer_id", "run__spec__datasets"
    )
    for pk, dataset_id, tokenizer_id, mixed in rows:
        key = Key("model", pk)
        for one in dict.fromkeys([dataset_id, *as_ids(mixed)]):
            if one is not None:
                graph.add(Key("dataset", one), key)
        # A model made of another has that one's tokenizer.
        if tokenizer_id is not None and pk not in bases:
            graph.add(Key("tokenizer", tokenizer_id), key)
    return graph


def as_ids(raw: object) -> list[int]:
    """Return the ids a spec lists."""
    if not isinstance(raw, list):
        return []
    return [int(one) for one in raw if isinstance(one, str) and one.isdecimal()]


def insert_run(graph: Graph, run: Run) -> Key:
    """Show a run between what it read and what it makes; return its key."""
    key = Key("run", run.pk)
    graph.insert(key, inputs_of(run), output_of(run))
    return key


def inputs_of(run: Run) -> list[Key]:
    """Return what a run's spec refers to."""
    values = run.spec
    if run.kind == Run.Kind.PREFLIGHT:
        values = run.spec.get("training", {})
    model = SPECS.get(str(values.get("kind", run.kind)))
    found = []
    for setting, noun in model.references().items() if model else ():
        raw = values.get(setting)
        ids = raw if isinstance(raw, list) else [raw]
        if noun in {"dataset", "tokenizer", "model"}:
            found += [Key(noun, pk) for pk in as_ids(ids)]
    return found


def output_of(run: Run) -> Key | None:
    """Return what a run makes, if it is still there."""
    for noun, objects in {
        "dataset": DatasetVersion.objects,
        "tokenizer": Tokenizer.objects,
        "model": LanguageModel.objects,
    }.items():
        pk = objects.filter(run=run).values_list("pk", flat=True).first()
        if pk is not None:
            return Key(noun, pk)
    return None


def levels_of(graph: Graph, keys: Iterable[Key]) -> list[list[Key]]:
    """Return keys in columns: each right of all it was made of, as near as can be."""
    shown = list(dict.fromkeys(keys))
    chosen = set(shown)
    parents = {key: [p for p in graph.parents[key] if p in chosen] for key in shown}
    children = {key: [c for c in graph.children[key] if c in chosen] for key in shown}
    missing = {key: len(parents[key]) for key in shown}
    depth: dict[Key, int] = {key: 0 for key in shown if not missing[key]}
    waiting = deque(depth)
    ordered: list[Key] = []
    while waiting:
        key = waiting.popleft()
        ordered.append(key)
        for child in children[key]:
            depth[child] = max(depth.get(child, 0), depth[key] + 1)
            missing[child] -= 1
            if not missing[child]:
                waiting.append(child)
    deepest = max(depth.values(), default=0)
    # What is left lies on a cycle, which a graph of makings cannot have.
    depth |= {key: deepest + 1 for key in shown if key not in ordered}
    for key in ordered:
        if not parents[key] and children[key]:
            depth[key] = max(0, min(depth[child] for child in children[key]) - 1)
    levels: dict[int, list[Key]] = defaultdict(list)
    for key in shown:
        levels[depth[key]].append(key)
    return uncrossed([levels[place] for place in sorted(levels)], parents)


def uncrossed(
    levels: list[list[Key]], parents: dict[Key, list[Key]]
) -> list[list[Key]]:
    """Order each level by where its parents stand, so that few lines cross."""
    height: dict[Key, float] = {}
    for level in levels:
        stands = {key: middle_of(parents[key], height) for key in level}
        level.sort(key=stands.__getitem__)
        height |= {key: (index + 0.5) / len(level) for index, key in enumerate(level)}
    return levels


def middle_of(keys: list[Key], height: dict[Key, float]) -> float:
    """Return the mean height of things, the middle where none is known."""
    places = [height[key] for key in keys if key in height]
    return sum(places) / len(places) if places else 0.5
