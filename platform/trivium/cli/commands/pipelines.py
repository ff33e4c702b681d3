"""`trivium pipelines …`."""

import json
import sys
import time
from pathlib import Path
from typing import Any

from trivium.cli import show
from trivium.cli.commands.campaigns import read_text
from trivium.cli.commands.context import Context, Nouns, add_most, add_noun, add_verb
from trivium.cli.errors import CliError, Exit
from trivium.cli.wire import Json

POLL_S = 1.0
AT_REST = {"succeeded", "failed", "cancelled", "paused"}
"""States in which a pipeline goes on only when somebody does something."""
OUTCOMES = {"succeeded": Exit.OK, "failed": Exit.RUN_FAILED}


def add(nouns: Nouns) -> None:
    """Declare the commands."""
    verbs = add_noun(nouns, "pipelines", "runs and campaigns that follow from others")
    add_most(add_verb(verbs, "list", "list pipelines, newest first", list_pipelines))
    run = add_verb(verbs, "run", "make a pipeline of a YAML file", run_pipeline)
    run.add_argument("file", metavar="FILE", help="- reads standard input")
    run.add_argument(
        "--watch", action="store_true", help="stay until it ends; exit code as `watch`"
    )
    for name, about, command in (
        ("show", "show a pipeline and its steps", show_pipeline),
        ("watch", "watch a pipeline until it ends", watch_pipeline),
        ("yaml", "print it as YAML, edits included", print_yaml),
        ("round", "begin the next round of choices", start_round),
        ("cancel", "cancel what has not ended", cancel_pipeline),
        ("delete", "forget it; its runs and models stay", delete_pipeline),
    ):
        verb = add_verb(verbs, name, about, command)
        verb.add_argument("id", type=int, metavar="ID")
    retry = add_verb(verbs, "retry", "try a failed step again", retry_step)
    retry.add_argument("id", type=int, metavar="ID")
    retry.add_argument("step", metavar="STEP")
    retry.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="change a setting first; null takes the default; may be given again",
    )


def list_pipelines(context: Context) -> int:
    """Print the pipelines."""
    found = context.client.items(
        "/pipelines", project=context.filter_project, most=context.args.most
    )
    items = list(found)
    if context.is_json:
        show.print_json(items)
        return 0
    show.print_table(
        ["id", "project", "name", "state", "steps done", "by", "created"],
        [
            [
                item["id"],
                item["project"],
                item["name"],
                item["state"],
                f"{item['num_succeeded']}/{item['num_steps']}",
                item["created_by"],
                show.date_text(item["created"]),
            ]
            for item in items
        ],
    )
    return 0


def run_pipeline(context: Context) -> int:
    """Make a pipeline."""
    file = context.args.file
    text = sys.stdin.read() if file == "-" else read_text(Path(file))
    body = {"project": context.project, "yaml": text}
    made = context.client.post("/pipelines", body)
    if context.args.watch:
        return _watch(context, made["id"])
    return _print(context, made)


def show_pipeline(context: Context) -> int:
    """Print one pipeline."""
    return _print(context, context.client.get(f"/pipelines/{context.args.id}"))


def print_yaml(context: Context) -> int:
    """Print the description a pipeline could be made from again."""
    text = context.client.get(f"/pipelines/{context.args.id}/yaml")["yaml"]
    show.print_line(text.rstrip("\n"))
    return 0


def start_round(context: Context) -> int:
    """Begin the next round: choices between the new model and the one before."""
    return _print(context, context.client.post(f"/pipelines/{context.args.id}/round"))


def cancel_pipeline(context: Context) -> int:
    """Cancel one pipeline."""
    return _print(context, context.client.post(f"/pipelines/{context.args.id}/cancel"))


def delete_pipeline(context: Context) -> int:
    """Forget one pipeline."""
    context.client.delete(f"/pipelines/{context.args.id}")
    return 0


def retry_step(context: Context) -> int:
    """Try a step again, with some settings changed where that was asked."""
    address = f"/pipelines/{context.args.id}/steps/{context.args.step}"
    if not context.args.set:
        return _print(context, context.client.post(f"{address}/retry"))
    changes: dict[str, Any] = {}
    for change in context.args.set:
        name, found, value = change.partition("=")
        if not found:
            raise CliError(f"--set takes FIELD=VALUE, not {change!r}")
        try:
            changes[name.replace("-", "_")] = json.loads(value)
        except ValueError:
            changes[name.replace("-", "_")] = value
    return _print(context, context.client.patch(address, {"changes": changes}))


def watch_pipeline(context: Context) -> int:
    """Watch one pipeline."""
    return _watch(context, context.args.id)


def _watch(context: Context, pipeline_id: int) -> int:
    """Say each step's change of state until nothing goes on by itself."""
    said: dict[str, str] = {}
    while True:
        item = context.client.get(f"/pipelines/{pipeline_id}")
        for step in item["steps"]:
            line = _line(step)
            if said.get(step["name"]) != line and not context.is_json:
                said[step["name"]] = line
                show.print_line(line)
                sys.stdout.flush()
        if item["state"] in AT_REST:
            break
        time.sleep(POLL_S)
    if context.is_json:
        show.print_json(item)
    else:
        show.print_line(f"pipeline {item['id']} {item['name']}: {item['state']}")
    return OUTCOMES.get(item["state"], Exit.RUN_STOPPED)


def _line(step: Json) -> str:
    figures = ", ".join(f"{one['label']} {one['value']:.4g}" for one in step["figures"])
    told = step["reason"] or figures
    text = f"{step['name']} ({step['kind']}) {step['state']}"
    return f"{text}: {told}" if told else text


def _print(context: Context, item: Json) -> int:
    if context.is_json:
        show.print_json(item)
        return 0
    done = f"{item['num_succeeded']} of {item['num_steps']} steps done"
    show.print_line(f"pipeline {item['id']} {item['name']}: {item['state']}, {done}\n")
    show.print_table(
        ["step", "kind", "state", "progress", "run", "waits for", "reason"],
        [
            [
                step["name"],
                step["kind"],
                step["state"],
                f"{step['fraction']:.0%}",
                step["run_id"],
                ", ".join(step["waits_for"]) or None,
                step["reason"] or None,
            ]
            for step in item["steps"]
        ],
    )
    return 0
