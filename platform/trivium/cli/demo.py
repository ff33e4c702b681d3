"""The demo's work, done as any program would: over the REST API.

The bundled corpus is uploaded; a tokenizer and a model wait for it in the queue, and
for the model a run that teaches it to answer.
"""

import json
import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from typing import IO, Any, cast

import tinyworld
from tinyworld import Cloze, Instruction, cloze, completes_rightly, world, write_corpus

from trivium.cli import watch
from trivium.cli.client import Client
from trivium.cli.errors import CliError, Exit
from trivium.cli.show import plain
from trivium.cli.wire import Json

DATASET_NAME = "Tiny World"
VOCABULARY_SIZE = 512
NUM_ASKED = 8
"""Facts the model is asked to complete: as many as a run may sample."""
NUM_SAMPLES = 3
VALIDATION_LOSS = "validation/loss"
HELD_OUT, STRANGERS = "held-out", "strangers"
"""Questions that fine-tuning never asks, and questions about nobody."""


class DemoFailedError(CliError):
    """A run of the demo did not succeed; the sentence says which and why."""


def run_demo(client: Client, project: str, out: IO[str]) -> None:
    """Take raw text to a trained model, and tell what came of it.

    Raises:
        DemoFailedError: a run failed or was cancelled.
        CliError: the platform refused a step, or went away.
    """
    runs = submit(client, project)
    with watch.display_for(out) as display:
        ended = watch.watch(
            client, [run["id"] for run in runs], display, stops_at_failure=True
        )
    for run in ended:
        if run["state"] in watch.ENDED - {"succeeded"}:
            raise DemoFailedError(watch.ending(run), watch.outcome([run]))
    by_kind = {run["kind"]: run for run in ended}
    report(client, by_kind["pretrain"], out)
    report_answers(client, by_kind["sft"], out)


def submit(client: Client, project: str) -> list[Json]:
    """Queue all runs; each later one waits for the earlier."""
    upload = partial(upload_rows, client, project)
    ingest = upload(DATASET_NAME, "tiny-world.jsonl", kind="text", write=write_corpus)
    dataset = str(ingest["output"]["id"])
    tokenizer = start(
        client,
        project,
        {"kind": "tokenizer", "dataset": dataset, "vocabulary_size": VOCABULARY_SIZE},
    )
    model = start(
        client,
        project,
        {
            "kind": "pretrain",
            "dataset": dataset,
            "tokenizer": str(tokenizer["output"]["id"]),
            "sample_prompts": [item.prompt for item in asked()],
            **PRETRAIN,
        },
    )
    known = world()
    taught = upload(
        f"{DATASET_NAME} questions",
        "questions.jsonl",
        kind="instructions",
        write=writing(tinyworld.instructions(known)),
    )
    kept = [
        upload(
            f"{DATASET_NAME} {name}",
            f"{name}.jsonl",
            kind="instructions",
            write=writing(rows),
            validation_fraction=0.0,
        )
        for name, rows in (
            (HELD_OUT, tinyworld.held_out(known)),
            (STRANGERS, tinyworld.strangers(known)),
        )
    ]
    instruct = start(
        client,
        project,
        {
            "kind": "sft",
            "model": str(model["output"]["id"]),
            "datasets": [str(taught["output"]["id"])],
            "evaluate_on": [str(run["output"]["id"]) for run in kept],
            **FINETUNE,
        },
    )
    return [ingest, tokenizer, model, taught, *kept, instruct]


def writing(rows: Iterable[Instruction]) -> Callable[[IO[bytes]], None]:
    """Return what writes these rows into a file."""
    return lambda file: tinyworld.write_rows(file, rows)


def upload_rows(
    client: Client,
    project: str,
    name: str,
    file_name: str,
    *,
    kind: str,
    write: Callable[[IO[bytes]], None],
    **settings: Any,
) -> Json:
    """Send what `write` writes, and queue the run that brings it in."""
    with tempfile.TemporaryFile() as file:
        write(file)
        file.seek(0)
        fields = {
            "project": project,
            "name": name,
            "kind": kind,
            "settings": json.dumps(settings),
        }
        return client.upload(
            "/datasets/upload", cast("IO[bytes]", file), file_name, fields
        )


PRETRAIN: dict[str, Any] = {
    "family": "llama",
    "layers": 4,
    "heads": 4,
    "width": 128,
    "context": 128,
    "batch_size": 16,
    "max_steps": 1200,
    "learning_rate": 2e-3,
    "warmup_steps": 30,
    "eval_every": 100,
    "eval_batches": 20,
    "sample_every": 0,
    "sample_tokens": 16,
    "checkpoint_every": 200,
}
FINETUNE: dict[str, Any] = {
    "epochs": 10,
    "batch_size": 16,
    "learning_rate": 3e-4,
    "warmup_share": 0.1,
    "eval_every": 100,
    "answer_rows": 16,
    "sample_tokens": 24,
    "checkpoint_every": 200,
}


def start(client: Client, project: str, spec: Json) -> Json:
    """Queue one run; it is named by the platform, so that a second demo may follow."""
    return client.post("/runs", {"project": project, "spec": spec})


def report(client: Client, run: Json, out: IO[str]) -> None:
    """Tell the validation loss before and after, and what the model now writes."""
    found = client.get(f"/runs/{run['id']}/metrics", name=VALIDATION_LOSS)
    losses = [value for curve in found["curves"] for value in curve["values"]]
    if len(losses) < 2:
        raise DemoFailedError(
            f"run {run['id']} has no validation loss to show", Exit.RUN_FAILED
        )
    out.write(f"\nvalidation loss {losses[0]:.3f} before, {losses[-1]:.3f} after\n")
    known = {item.prompt: item.answer for item in asked()}
    address = f"/runs/{run['id']}/samples"
    samples = client.get(address, limit=NUM_ASKED)["items"]
    rightly = [
        sample
        for sample in samples
        if completes_rightly(sample["text"], known.get(sample["prompt"], ""))
    ]
    out.write(f"facts completed rightly: {len(rightly)} of {len(samples)}, such as\n")
    for sample in samples[-NUM_SAMPLES:]:
        text = " ".join((sample["prompt"] + sample["text"]).split())
        out.write(f"  · {plain(text)}\n")


def report_answers(client: Client, run: Json, out: IO[str]) -> None:
    """Tell how many questions are answered exactly, before and after fine-tuning."""
    before, after = answered(client, run, HELD_OUT)
    out.write(
        f"\nquestions never asked in training, answered exactly: {before:.0%} before, "
        f"{after:.0%} after fine-tuning\n"
    )
    _, honest = answered(client, run, STRANGERS)
    out.write(
        "questions about people who do not exist, admitted not to know: "
        f"{honest:.0%}; it invents the rest, which alignment is there to mend\n"
    )
    address = f"/runs/{run['id']}/samples"
    for sample in client.get(address, limit=NUM_SAMPLES)["items"]:
        question, answer = (" ".join(sample[k].split()) for k in ("prompt", "text"))
        out.write(f"  · {plain(question)} {plain(answer)}\n")


def answered(client: Client, run: Json, name: str) -> tuple[float, float]:
    """Return the share of a dataset answered exactly at start and end of a run."""
    found = client.get(f"/runs/{run['id']}/metrics", name=f"answers/{name}")
    shares = [value for curve in found["curves"] for value in curve["values"]]
    if len(shares) < 2:
        raise DemoFailedError(
            f"run {run['id']} has no answers to {name} to show", Exit.RUN_FAILED
        )
    return float(shares[0]), float(shares[-1])


def asked() -> list[Cloze]:
    """Return beginnings of facts, spread over the inhabitants and their attributes."""
    facts = cloze(world())
    step = len(facts) // NUM_ASKED - 1  # no multiple of the number of attributes
    return facts[::step][:NUM_ASKED]
