"""`trivium evaluate` and `trivium evaluations …`: what came of training."""

import argparse

from trivium.cli import show
from trivium.cli.commands.context import Context, Nouns, add_most, add_noun, add_verb
from trivium.cli.commands.starting import finish_start
from trivium.cli.wire import Json

TRUTHS = ("none", "tinyworld")
ROWS = ("auto", "validation", "all")
NAMES = ("baseline", "truth", "judge", "rows", "max_rows", "seed")


def add(nouns: Nouns) -> None:
    """Declare the commands."""
    start = add_verb(
        nouns, "evaluate", "ask models the same, and say how well each does", evaluate
    )
    start.add_argument(
        "models",
        nargs="*",
        metavar="MODEL",
        help="ids in order; none: the newest line from base to aligned",
    )
    start.add_argument(
        "--from",
        dest="model",
        type=int,
        metavar="ID",
        help="a model's number: it and those it came from",
    )
    start.add_argument(
        "--on",
        dest="datasets",
        type=int,
        action="append",
        metavar="ID",
        help="a dataset's version; may be given again (default: as the page offers)",
    )
    start.add_argument("--baseline", metavar="MODEL", help="compare with this one")
    start.add_argument("--truth", choices=TRUTHS, help="what is known of the rows")
    start.add_argument("--judge", metavar="MODEL", help="a reward model")
    start.add_argument("--rows", choices=ROWS)
    start.add_argument("--max-rows", type=int, metavar="N", help="of each dataset")
    start.add_argument("--max-tokens", type=int, metavar="N", help="of an answer")
    start.add_argument("--temperature", type=float, metavar="X", help="default: 0")
    start.add_argument("--seed", type=int, metavar="N")
    start.add_argument("--name", default="", metavar="TEXT")
    start.add_argument(
        "--watch", action="store_true", help="stay until it ends, then print it"
    )
    verbs = add_noun(nouns, "evaluations", "what came of training")
    listing = add_verb(verbs, "list", "list evaluations, newest first", list_all)
    add_most(listing)
    shown = add_verb(verbs, "show", "print what was measured", show_one)
    shown.add_argument("id", type=int, metavar="ID")


def evaluate(context: Context) -> int:
    """Queue an evaluation; with `--watch` print what came of it."""
    run = context.client.post("/evaluations", body_of(context.args, context.project))
    code = finish_start(context, run)
    if context.args.watch and code == 0 and not context.is_json:
        print_evaluation(context.client.get(f"/evaluations/{run['output']['id']}"))
    return code


def body_of(args: argparse.Namespace, project: str) -> Json:
    """Return what was asked for; the server knows good values for the rest."""
    body: Json = {"project": project, "name": args.name}
    given = {name: getattr(args, name) for name in NAMES}
    given |= {"models": args.models or None, "datasets": args.datasets}
    given |= {"model": args.model}
    body |= {name: value for name, value in given.items() if value is not None}
    sampling = {"temperature": args.temperature, "max_tokens": args.max_tokens}
    chosen = {name: value for name, value in sampling.items() if value is not None}
    if chosen:
        body["sampling"] = {"temperature": 0, "max_tokens": 64} | chosen
    return body


def list_all(context: Context) -> int:
    """Print the evaluations."""
    found = context.client.items(
        "/evaluations", project=context.filter_project, most=context.args.most
    )
    items = list(found)
    if context.is_json:
        show.print_json(items)
        return 0
    show.print_table(
        ["id", "project", "name", "run", "measured", "created"],
        [
            [
                item["id"],
                item["project"],
                item["name"],
                item["run_id"],
                item["is_ready"],
                show.date_text(item["created"]),
            ]
            for item in items
        ],
    )
    return 0


def show_one(context: Context) -> int:
    """Print one evaluation."""
    item = context.client.get(f"/evaluations/{context.args.id}")
    if context.is_json:
        show.print_json(item)
        return 0
    print_evaluation(item)
    return 0


def print_evaluation(item: Json) -> None:
    """Print sentences, then a row for each measure and model."""
    show.print_line(f"\n{item['name']}")
    if not item["is_ready"]:
        show.print_line("nothing was measured yet")
        return
    for sentence in (*item["sentences"], *item["notes"]):
        show.print_line(sentence)
    show.print_line("")
    datasets = [one["name"] for one in item["datasets"]]
    titles = [one["title"] for one in item["models"]]
    ordered = sorted(
        item["measures"],
        key=lambda one: (one["name"], str(one["dataset"]), one["model"]),
    )
    show.print_table(
        ["measure", "on", "model", "value", "95 % interval", "n", "to the baseline"],
        [
            [
                one["name"],
                one["by"] if one["dataset"] is None else datasets[one["dataset"]],
                titles[one["model"]],
                number(one["estimate"]["value"]),
                ends_of(one["estimate"]),
                one["n"],
                one["outcome"] or (one["beside_words"] and beside_of(one)) or None,
            ]
            for one in ordered
        ],
    )


def number(value: float) -> str:
    """Return a measure with four digits."""
    return f"{value:.4g}"


def ends_of(estimate: Json) -> str | None:
    """Return both ends of an interval."""
    if estimate["low"] is None:
        return None
    return f"{number(estimate['low'])} to {number(estimate['high'])}"


def beside_of(one: Json) -> str:
    """Return what length alone does."""
    return f"{one['beside_words']}: {number(one['beside']['value'])}"
