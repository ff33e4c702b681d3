"""`trivium runs …`."""

import json
import sys
import time
from collections.abc import Sequence
from typing import Any

from trivium.cli import show
from trivium.cli.commands.context import Context, Nouns, add_most, add_noun, add_verb
from trivium.cli.commands.starting import add_start_flags, finish_start, parse_rest
from trivium.cli.errors import CliError
from trivium.cli.wire import Json

STARTABLE = ("tokenizer", "pretrain", "sft", "dpo", "reward", "rlhf")
CHECKED = ("pretrain", "sft", "dpo", "reward", "rlhf")
"""Kinds that have a preflight."""
KINDS = (
    "ingest", *STARTABLE, "preflight", "import", "generate", "judge", "evaluate",
    "export",
)  # fmt: skip
STATES = (
    "waiting", "queued", "running", "pausing",
    "paused", "succeeded", "failed", "cancelled",
)  # fmt: skip
FOLLOW_S = 1.0


def add(nouns: Nouns) -> None:
    """Declare the commands."""
    verbs = add_noun(nouns, "runs", "start, watch and steer runs")
    listing = add_verb(verbs, "list", "list runs, newest first", list_runs)
    listing.add_argument("--state", choices=STATES)
    listing.add_argument("--kind", choices=KINDS)
    listing.add_argument("--search", default="", metavar="TEXT")
    add_most(listing)

    start = add_verb(verbs, "start", "queue a run of KIND", start_run)
    start.add_argument(
        "kind", choices=STARTABLE, metavar="KIND", help="|".join(STARTABLE)
    )
    start.add_argument("--priority", type=int, default=0, metavar="N")
    start.add_argument(
        "--check-only", action="store_true", help="queue its preflight alone"
    )
    add_start_flags(start)

    for name, about in {
        "show": "show a run",
        "cancel": "end a run for good",
        "pause": "save and stop until resumed",
        "resume": "go on from the last checkpoint",
    }.items():
        verb = add_verb(verbs, name, about, show_run if name == "show" else steer_run)
        verb.add_argument("id", type=int, metavar="ID")
    again = add_verb(verbs, "again", "queue a run's settings once more", run_again)
    again.add_argument("id", type=int, metavar="ID")
    retry = add_verb(verbs, "retry", "try a failed or cancelled run again", retry_run)
    retry.add_argument("id", type=int, metavar="ID")
    retry.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="change a setting; may be given again",
    )
    priority = add_verb(verbs, "priority", "move a run in the queue", set_priority)
    priority.add_argument("id", type=int, metavar="ID")
    priority.add_argument("priority", type=int, metavar="N", help="-100 to 100")
    watch = add_verb(verbs, "watch", "watch runs until they end", watch_runs)
    watch.add_argument("id", type=int, metavar="ID", nargs="+")
    compare = add_verb(verbs, "compare", "show how runs differ", compare_runs)
    compare.add_argument("id", type=int, metavar="ID", nargs="+")
    log = add_verb(verbs, "log", "print what a run's trainer printed", print_log)
    log.add_argument("id", type=int, metavar="ID")
    log.add_argument("--attempt", type=int, metavar="N", help="default: the newest")
    log.add_argument("--follow", action="store_true", help="go on until the run ends")


def list_runs(context: Context) -> int:
    """Print the runs."""
    found = context.client.items(
        "/runs",
        project=context.filter_project,
        state=context.args.state,
        kind=context.args.kind,
        q=context.args.search,
        most=context.args.most,
    )
    items = list(found)
    if context.is_json:
        show.print_json(items)
        return 0
    show.print_table(
        ["id", "project", "kind", "name", "state", "progress", "by", "created"],
        [
            [
                item["id"],
                item["project"],
                item["kind"],
                item["name"],
                item["state"],
                f"{item['fraction']:.0%}",
                item["created_by"],
                show.date_text(item["created"]),
            ]
            for item in items
        ],
    )
    return 0


def show_run(context: Context) -> int:
    """Print one run and its settings."""
    item = context.client.get(f"/runs/{context.args.id}")
    if context.is_json:
        show.print_json(item)
        return 0
    show.print_fields(
        item,
        [
            "id", "project", "kind", "name", "state", "reason", "advice", "priority",
            "worker", "attempt", "phase", "step", "total_steps", "tokens",
            "tokens_per_s", "created", "started", "ended", "output", "result",
        ],
    )  # fmt: skip
    show.print_line("\nsettings")
    show.print_fields(item["spec"], list(item["spec"]))
    return 0


def start_run(context: Context) -> int:
    """Queue a run."""
    kind = context.args.kind
    spec = parse_rest(context, kind, prog=f"trivium runs start {kind}")
    if context.args.check_only:
        if kind not in CHECKED:
            raise CliError(f"--check-only is for {', '.join(CHECKED)}, not {kind}")
        spec = {"kind": "preflight", "training": spec}
    body = {
        "project": context.project,
        "spec": spec,
        "name": context.args.name,
        "priority": context.args.priority,
    }
    return finish_start(context, context.client.post("/runs", body))


def steer_run(context: Context) -> int:
    """Cancel, pause or resume."""
    return _report(context, f"/runs/{context.args.id}/{context.args.verb}", {})


def set_priority(context: Context) -> int:
    """Move a run in the queue."""
    body = {"priority": context.args.priority}
    return _report(context, f"/runs/{context.args.id}/priority", body)


def run_again(context: Context) -> int:
    """Queue a run with the settings of an earlier one."""
    return finish_start(context, context.client.post(f"/runs/{context.args.id}/again"))


def retry_run(context: Context) -> int:
    """Queue a run like an earlier one."""
    changes: dict[str, Any] = {}
    for change in context.args.set:
        name, found, value = change.partition("=")
        if not found:
            raise CliError(f"--set takes FIELD=VALUE, not {change!r}")
        try:
            changes[name.replace("-", "_")] = json.loads(value)
        except ValueError:
            changes[name.replace("-", "_")] = value
    return _report(context, f"/runs/{context.args.id}/retry", {"changes": changes})


def _report(context: Context, address: str, body: dict[str, Any]) -> int:
    run = context.client.post(address, body)
    if context.is_json:
        show.print_json(run)
        return 0
    wish = f", {run['desired_state']} asked for" if run["desired_state"] else ""
    show.print_line(f"run {run['id']} {run['state']}{wish}, priority {run['priority']}")
    return 0


def watch_runs(context: Context) -> int:
    """Watch runs until they end."""
    return watch_and_report(context, context.args.id)


def watch_and_report(context: Context, run_ids: Sequence[int]) -> int:
    """Watch runs, say how they ended, and return the exit code that says so too."""
    from trivium.cli import watch

    ids = list(dict.fromkeys(run_ids))
    if context.is_json:
        runs = watch.watch(context.client, ids, watch.Silent())
        show.print_json(runs if len(runs) > 1 else runs[0])
    else:
        with watch.display_for() as display:
            runs = watch.watch(context.client, ids, display)
        for run in runs:
            show.print_line(watch.ending(run))
    return watch.outcome(runs)


def compare_runs(context: Context) -> int:
    """Print where the curves of runs ended, and how their settings differ."""
    found = context.client.get("/runs/compare", id=context.args.id)
    if context.is_json:
        show.print_json(found)
        return 0
    runs, settings = found["runs"], found["settings"]
    names = list(dict.fromkeys(name for run in runs for name in run["metrics"]))
    show.print_table(
        ["id", "name", "state", *(one["label"] for one in settings), *names],
        [
            [
                run["id"],
                run["name"],
                run["state"],
                *(one["values"][index] for one in settings),
                *(_figure(run, name) for name in names),
            ]
            for index, run in enumerate(runs)
        ],
    )
    for run in runs[1:]:
        show.print_line(f"\n{runs[0]['name']} → {run['name']}: {run['words']}")
    return 0


def _figure(run: Json, name: str) -> str:
    """Return where a curve ended; the best of all runs carries a star."""
    value = run["metrics"].get(name)
    if value is None:
        return "-"
    text = f"{value:.5g}" if isinstance(value, float | int) else str(value)
    return f"{text} *" if name in run["best"] else text


def print_log(context: Context) -> int:
    """Print a log from its start; with `--follow` until the run has ended."""
    address = f"/runs/{context.args.id}"
    offset = 0
    while True:
        # The state first: what is printed before the end is then never missed.
        is_over = context.client.get(address)["ended"] is not None
        piece = context.client.get(
            f"{address}/log",
            attempt=context.args.attempt,
            offset=offset,
            limit=1_048_576,
        )
        sys.stdout.write(show.plain(piece["text"].replace("\r", "\n")))
        sys.stdout.flush()
        if piece["next_offset"] > offset:
            offset = piece["next_offset"]
            continue
        if is_over or not context.args.follow:
            return 0
        time.sleep(FOLLOW_S)
