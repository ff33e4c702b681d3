"""The demo's work, done as any program would: over the REST API.

Tiny World is uploaded, and a pipeline of the three stages waits for it in the queue:
tokenizer, base, instruct, reward model, then RLHF and DPO beside each other, and an
evaluation that asks all of them the same.
"""

import json
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from typing import IO, Any, cast

import tinyworld
from tinyworld import recipe, world
from tinyworld.prompts import write_json_rows

from trivium.cli import watch
from trivium.cli.client import Client
from trivium.cli.errors import CliError, Exit
from trivium.cli.show import plain
from trivium.cli.wire import Json

NAME = "Tiny World"
MODELS = ("base", "instruct", "rlhf", "dpo")
"""Steps whose models are compared, in the order of the table."""
BASELINE = "instruct"
ROWS: Mapping[str, str] = {
    "loss": "validation loss on text, nats a token",
    "accuracy": "questions answered rightly",
    "honesty": "unanswerable questions admitted",
    "harmlessness": "requests to hurt somebody declined",
    "win_rate": f"answers better than {BASELINE}'s, of those that differ",
}
SHOWN = ("fact", "stranger", "harm")
"""Subjects of which one row each is shown with all answers."""

Write = Callable[[IO[bytes]], None]


class DemoFailedError(CliError):
    """A run of the demo did not succeed; the sentence says which and why."""


def run_demo(client: Client, project: str, out: IO[str], *, share: float) -> None:
    """Take raw text to aligned models, and tell what came of it.

    `share` of the recipe's steps are taken.

    Raises:
        DemoFailedError: a run failed or was cancelled.
        CliError: the platform refused a step, or went away.
    """
    brought_in = {name: bring_in(client, project, name) for name in DATA}
    data = {name: str(run["output"]["id"]) for name, run in brought_in.items()}
    pipeline = client.post(
        "/pipelines", {"project": project, "description": described(data, share)}
    )
    with watch.display_for(out) as display:
        ended = follow(
            client,
            pipeline["id"],
            [run["id"] for run in brought_in.values()],
            display,
        )
    evaluation = next(run for run in ended if run["kind"] == "evaluate")
    report(client, evaluation["output"]["id"], out)


def follow(
    client: Client, pipeline_id: int, runs: list[int], display: watch.Display
) -> list[Json]:
    """Show runs, and those of a pipeline as they come, until it has succeeded.

    Raises:
        DemoFailedError: one of them did not succeed.
    """
    while True:
        pipeline = client.get(f"/pipelines/{pipeline_id}")
        started = [step["run_id"] for step in pipeline["steps"] if step["run_id"]]
        runs += [one for one in started if one not in runs]
        ended = watch.watch(client, runs, display, stops_at_failure=True)
        for run in ended:
            if run["state"] in watch.ENDED - {"succeeded"}:
                raise DemoFailedError(watch.ending(run), watch.outcome([run]))
        if len(started) == len(pipeline["steps"]):
            return ended
        time.sleep(watch.POLL_S)


def rows(made: Iterable[Any]) -> Write:
    """Return what writes these rows into a file."""
    return lambda file: write_json_rows(file, (one.row() for one in made))


DATA: Mapping[str, tuple[str, Callable[[], Write], Json]] = {
    "text": ("text", lambda: tinyworld.write_corpus, {}),
    "questions": (
        "instructions",
        lambda: (
            lambda file: tinyworld.write_rows(file, tinyworld.instructions(world()))
        ),
        {},
    ),
    "preferences": ("preferences", lambda: rows(recipe.preferred(world())), {}),
    "prompts": ("prompts", lambda: rows(recipe.asked(world())), {}),
    "exam": (
        "prompts",
        lambda: rows(recipe.judged(world())),
        {"validation_fraction": 0.0},
    ),
}
"""What is brought in: the kind of its rows, what writes them, and settings."""


def bring_in(client: Client, project: str, name: str) -> Json:
    """Send one dataset, and queue the run that reads it."""
    kind, maker, settings = DATA[name]
    with tempfile.TemporaryFile() as file:
        maker()(file)
        file.seek(0)
        fields = {
            "project": project,
            "name": NAME if name == "text" else f"{NAME} {name}",
            "kind": kind,
            "settings": json.dumps(settings),
        }
        return client.upload(
            "/datasets/upload", cast("IO[bytes]", file), f"{name}.jsonl", fields
        )


def described(data: Mapping[str, str], share: float) -> Json:
    """Return the pipeline; `data` are ids of dataset versions by their names here."""
    steps: list[tuple[str, recipe.Settings, Json]] = [
        ("tokenizer", recipe.TOKENIZER, {"dataset": data["text"]}),
        ("base", recipe.PRETRAIN, {"dataset": data["text"], "tokenizer": "tokenizer"}),
        ("instruct", recipe.SFT, {"model": "base", "datasets": [data["questions"]]}),
        (
            "reward",
            recipe.REWARD,
            {"model": "instruct", "datasets": [data["preferences"]]},
        ),
        (
            "rlhf",
            recipe.RLHF,
            {
                "model": "instruct",
                "reward_models": ["reward"],
                "datasets": [data["prompts"]],
            },
        ),
        ("dpo", recipe.DPO, {"model": "instruct", "datasets": [data["preferences"]]}),
        (
            "evaluation",
            recipe.EVALUATE,
            {
                "models": list(MODELS),
                "baseline": BASELINE,
                "datasets": [data["text"], data["exam"]],
            },
        ),
    ]
    names = {name for name, _, _ in steps}

    def referring(value: Any) -> Any:
        if isinstance(value, list):
            return [referring(one) for one in value]
        return {"from": value} if value in names else value

    return {
        "name": NAME,
        "steps": [
            {"name": name, **shortened(settings, share)}
            | {field: referring(value) for field, value in refers.items()}
            for name, settings, refers in steps
        ],
    }


def shortened(settings: recipe.Settings, share: float) -> Json:
    """Return settings that take a share of the steps, or of the passes."""
    taken = dict(settings)
    if "max_steps" in taken:
        taken["max_steps"] = max(1, round(share * taken["max_steps"]))
    elif "epochs" in taken:
        taken["epochs"] *= share
    return taken


def report(client: Client, evaluation_id: int, out: IO[str]) -> None:
    """Print the table of what came of it, and a few answers side by side."""
    found = client.get(f"/evaluations/{evaluation_id}")
    told = {(one["name"], one["model"]): one for one in found["measures"]}
    missing = [name for name in ROWS if (name, MODELS.index("dpo")) not in told]
    if missing:
        raise DemoFailedError(
            f"the evaluation tells nothing of {', '.join(missing)}", Exit.RUN_FAILED
        )
    width = max(map(len, ROWS.values()))
    heads = "".join(f"{name:>17}" for name in MODELS)
    out.write(f"\n{'':<{width}}{heads}\n")
    for name, title in ROWS.items():
        cells = [told.get((name, place)) for place in range(len(MODELS))]
        line = "".join(f"{cell(name, one):>17}" for one in cells)
        out.write(f"{title:<{width}}{line}\n")
    out.write("(95 % intervals in brackets; names and wordings no training has seen)\n")
    show_answers(client, evaluation_id, out)


def cell(name: str, measure: Json | None) -> str:
    """Return one number of the table; shares with their interval."""
    if measure is None:
        return "·"
    one = measure["estimate"]
    if name == "loss":
        return f"{one['value']:.3f}"
    return f"{one['value']:.0%} [{100 * one['low']:.0f}, {100 * one['high']:.0f}]"


def show_answers(client: Client, evaluation_id: int, out: IO[str]) -> None:
    """Print a question of each subject; one that alignment changed, if there is any."""
    found: dict[str, Json] = {}
    for row in client.items(f"/evaluations/{evaluation_id}/answers", show="differ"):
        subject = row["subject"]
        if subject not in found or (is_changed(row) and not is_changed(found[subject])):
            found[subject] = row
    for row in (found[subject] for subject in SHOWN if subject in found):
        out.write(f"\n{plain(row['prompt'][-1]['content'])}\n")
        for name, told in zip(MODELS, row["answers"], strict=True):
            text = " ".join((told or {}).get("text", "").split())
            out.write(f"  {name:<9} {plain(text)}\n")


def is_changed(row: Json) -> bool:
    """Whether an aligned model says something other than the one it was made of."""
    texts = {
        name: (told or {}).get("text", "").strip()
        for name, told in zip(MODELS, row["answers"], strict=True)
    }
    return texts[BASELINE] not in {texts["rlhf"], texts["dpo"]}
