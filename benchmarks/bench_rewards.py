"""Whether small reward models beat length on real preferences, told honestly.

A small Llama is pretrained on the texts of both files' training pairs; from it one
reward model is trained on each file. What is printed is their accuracy on pairs of
prompts they never saw, with its interval, beside picking by length alone.

The files are examples that lie beside the checkout, in `../shared/data/pref`; they are
no part of it. Run:

    python benchmarks/bench_rewards.py [--seeds 0 1] [--steps 400]
"""

import argparse
import gzip
import json
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workers"))
FILES = ROOT.parent / "shared" / "data" / "pref"
NAMES = ("rasbt_preference", "hh_harmless_base_test")
HELD_OUT = 0.2
COMMON = {"precision": "fp32", "device": "cpu", "sample_every": 0, "compile": "off"}
BASE = {
    "layers": 3, "heads": 4, "width": 128, "context": 384, "batch_size": 8,
    "warmup_steps": 40, "eval_every": 200, "eval_batches": 8, "checkpoint_every": 1_000,
}  # fmt: skip
REWARD = {
    "chat_template": "chatml", "learning_rate": 5e-4, "batch_size": 8,
    "warmup_share": 0.1, "weight_decay": 0.1, "center_rewards": 0.01,
    "precision": "fp32", "device": "cpu", "eval_every": 100,
    "checkpoint_every": 10_000,
    # Of the last step: choosing the best would choose on the pairs it is judged by.
    "publish": "last",
}  # fmt: skip


def run(stage: Any, spec: Any, folder: Path) -> dict[str, Any]:
    """Run one stage as a worker would; return its result."""
    from trainer.context import Context, Reporter

    folder.mkdir(parents=True)
    events = folder / "events.jsonl"
    report = Reporter(events)
    context = Context(
        folder=folder, fence=1, resume=None, cache=folder.parent / "cache",
        report=report, stop=threading.Event(),
    )  # fmt: skip
    stage(spec, context=context)
    report.close()
    told = [json.loads(line) for line in events.read_text().splitlines()]
    return next((one["values"] for one in told if one["type"] == "result"), {})


def bring_in(name: str, folder: Path) -> tuple[Path, dict[str, Any]]:
    """Read one file as preferences, a fifth of its prompts held out."""
    from runspec import IngestSpec
    from trainer.ingest import run_ingest

    spec = IngestSpec(
        source=str(FILES / f"{name}.jsonl.gz"), file_name=f"{name}.jsonl.gz",
        dataset_kind="preferences", validation_fraction=HELD_OUT, bad_rows="skip",
    )  # fmt: skip
    run(run_ingest, spec, folder)
    card = json.loads((folder / "output" / "dataset.json").read_text())
    return folder / "output", card


def texts_of(folder: Path, card: dict[str, Any]) -> list[str]:
    """Return what both answers of the training pairs say, with their prompts."""
    import pyarrow.parquet as pq

    found = []
    for shard in card["splits"]["train"]["shards"]:
        for row in pq.read_table(folder / shard).to_pylist():
            for side in ("chosen", "rejected"):
                turns = [*(row["prompt"] or []), *row[side]]
                found.append("\n".join(turn["content"] or "" for turn in turns))
    return found


def make_base(folder: Path, texts: list[str], steps: int, seed: int) -> Path:
    """Train a tokenizer and a base model on texts; return the model."""
    from runspec import IngestSpec, PretrainSpec, TokenizerSpec
    from trainer.ingest import run_ingest
    from trainer.pretrain import run_pretrain
    from trainer.tokenizer import run_tokenizer

    random.Random(seed).shuffle(texts)
    source = folder / "texts.jsonl.gz"
    with gzip.open(source, "wt") as file:
        file.writelines(json.dumps({"text": text}) + "\n" for text in texts)
    ingest = IngestSpec(source=str(source), file_name=source.name)
    run(run_ingest, ingest, folder / "texts")
    dataset = str(folder / "texts" / "output")
    tokenizer = TokenizerSpec(dataset=dataset, vocabulary_size=2_048)
    run(run_tokenizer, tokenizer, folder / "tokenizer")
    spec = PretrainSpec(
        dataset=dataset, tokenizer=str(folder / "tokenizer" / "output"),
        family="llama", max_steps=steps, seed=seed, **BASE, **COMMON,
    )  # fmt: skip
    found = run(run_pretrain, spec, folder / "base")
    print(f"  base: {steps} steps, validation loss {found['validation_loss']:.3f}")
    return folder / "base" / "output"


def named_in(folder: Path) -> list[str]:
    """Return the rows an ingest left out, by line, with its reasons."""
    path = folder / "bad_rows.json"
    if not path.is_file():
        return []
    told = json.loads(path.read_text())
    return [f"{one['place']}: {one['reason']}" for one in told["first"]]


def report(
    name: str,
    card: dict[str, Any],
    found: dict[str, Any],
    left_out: list[str],
    took: float,
) -> None:
    """Print what a reward model found."""
    judged = found["preference"]
    length = judged["by_length"]
    pairs = card["pairs"]
    print(f"  {name}: {card['rows']} pairs, {judged['pairs']} held out")
    for label, one in (
        ("reward model", judged["accuracy"]),
        (f"pick the {length['picks']}", length),
    ):
        ends = f"{one['low']:.1%} to {one['high']:.1%}"
        print(f"    {label:<18}{one['value']:>7.1%}   95 % interval {ends}")
    verdict = (
        "beats length"
        if judged["accuracy"]["low"] > length["value"]
        else "does not clearly beat length"
    )
    print(
        f"    {verdict}; calibration error {judged['calibration_error']:.3f}, "
        f"{took:.0f} s"
    )
    odd = {
        "in both orders": pairs["contradictions"],
        "repeated": pairs["repeated"],
        "differing in white space alone": pairs["blank_differences"],
    }
    told = [f"{count} {word}" for word, count in odd.items() if count]
    print(f"    odd pairs kept: {', '.join(told) or 'none'}")
    for line in left_out:
        print(f"    left out: {line}")
    sys.stdout.flush()


def main() -> None:
    """Measure both files, with each seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--steps", type=int, default=300, help="of pretraining")
    options = parser.parse_args()
    if not FILES.is_dir():
        print(f"no example files at {FILES}: nothing was measured")
        return
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from runspec import RewardSpec
    from trainer.align import run_reward

    for seed in options.seeds:
        begun = time.monotonic()
        print(f"seed {seed}", flush=True)
        folder = Path(tempfile.mkdtemp())
        try:
            sets = {name: bring_in(name, folder / name) for name in NAMES}
            texts = [one for found in sets.values() for one in texts_of(*found)]
            base = make_base(folder, texts, options.steps, seed)
            print(f"  {time.monotonic() - begun:.0f} s", flush=True)
            for name, (dataset, card) in sets.items():
                start = time.monotonic()
                spec = RewardSpec(
                    model=str(base), datasets=(str(dataset),), seed=seed,
                    epochs=3 if card["rows"] < 1_000 else 1, **REWARD,
                )  # fmt: skip
                found = run(run_reward, spec, folder / f"{name}-reward")
                took = time.monotonic() - start
                report(name, card, found, named_in(dataset), took)
        finally:
            shutil.rmtree(folder)
        print(f"  {time.monotonic() - begun:.0f} s in all", flush=True)


if __name__ == "__main__":
    main()
