"""The demo's work, done as any program would: over the REST API.

The bundled corpus is uploaded; a tokenizer and a model wait for it in the queue.
"""

import tempfile
from typing import IO, Any, cast

from tinyworld import Cloze, cloze, completes_rightly, world, write_corpus

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
    report(client, ended[-1], out)


def submit(client: Client, project: str) -> list[Json]:
    """Queue the three runs; each later one waits for the earlier."""
    with tempfile.TemporaryFile() as corpus:
        write_corpus(corpus)
        corpus.seek(0)
        ingest = client.upload(
            "/datasets/upload",
            cast("IO[bytes]", corpus),
            "tiny-world.jsonl",
            {"project": project, "name": DATASET_NAME},
        )
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
    return [ingest, tokenizer, model]


PRETRAIN: dict[str, Any] = {
    "family": "llama",
    "layers": 4,
    "heads": 4,
    "width": 128,
    "context": 128,
    "batch_size": 16,
    "max_steps": 600,
    "learning_rate": 2e-3,
    "warmup_steps": 30,
    "eval_every": 100,
    "eval_batches": 20,
    "sample_every": 0,
    "sample_tokens": 16,
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


def asked() -> list[Cloze]:
    """Return beginnings of facts, spread over the inhabitants and their attributes."""
    facts = cloze(world())
    step = len(facts) // NUM_ASKED - 1  # no multiple of the number of attributes
    return facts[::step][:NUM_ASKED]
