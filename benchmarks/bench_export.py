"""How fast votes become a dataset of preferences and files, and in how much memory.

Comparisons are made up (three votes each, about 700 characters, some ties, repeats and
votes taken back), then exported in a child of its own, whose peak resident memory is
the figure. Run:

    python benchmarks/bench_export.py [--votes 50000 1000000]
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workers"))

VOTES = (50_000, 1_000_000)
VOTES_EACH = 3
CHOICES = ("a", "a", "b", "b", "tie", "both_bad")


def write_campaign(path: Path, num_votes: int) -> None:
    """Write comparisons until they have so many votes."""
    random.seed(7)
    words = ["".join(random.choices("etaoinshrdlu", k=5)) for _ in range(5_000)]
    with path.open("w") as file:
        for number in range(num_votes // VOTES_EACH):
            texts = [" ".join(random.choices(words, k=size)) for size in (15, 50, 50)]
            file.write(json.dumps(comparison(number, texts)) + "\n")


def comparison(number: int, texts: list[str]) -> dict[str, object]:
    """Return one comparison with three votes, as the supervisor writes it."""
    prompt, first, second = texts
    votes = [
        {
            "id": VOTES_EACH * number + at,
            "annotator": f"labeler {random.randrange(50)}",
            "choice": random.choice(CHOICES),
            "strength": random.choice([None, 1, 2, 3]),
            "axes": {"helpful": random.choice(["a", "b", "tie"])},
            "acceptable": {"a": random.random() < 0.5},
            "shown_left": random.choice("ab"),
            "round": int(random.random() < 0.02),
            "ms_active": random.randrange(60_000),
            "created": "2026-11-25T10:00:00Z",
            "undone": None if random.random() < 0.98 else "2026-11-25T10:01:00Z",
        }
        for at in range(VOTES_EACH)
    ]
    return {
        "id": number,
        "prompt": [{"role": "user", "content": prompt}],
        "answer_a": {"model": "one", "text": first},
        "answer_b": {"model": "two", "text": second},
        "votes": votes,
    }


def child(path: str, folder: str) -> None:
    """Export one campaign; print seconds and memory as JSON."""
    import threading

    import pyarrow as pa
    from runspec import ExportSpec
    from trainer.exporting import run_export

    class Report:
        """Nobody reads it."""

        def progress(self, **_):
            """Nobody reads it."""

        def warning(self, message):
            """Nobody reads it."""

        def result(self, **values):
            """Nobody reads it."""

    class Context:
        report = Report()
        stop = threading.Event()

    Context.folder = Path(folder)
    pa.set_cpu_count(1)
    before = resource.getrusage(resource.RUSAGE_SELF)
    start = time.perf_counter()
    run_export(ExportSpec(campaign=path), context=Context)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF)
    files = (Path(folder) / "output").rglob("*")
    figures = {
        "wall_s": wall,
        "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "peak_mb": after.ru_maxrss / 1024,
        "import_mb": before.ru_maxrss / 1024,
        "output_mb": sum(file.stat().st_size for file in files) / 1e6,
        "has_torch": "torch" in sys.modules,
    }
    print(json.dumps(figures))


def main() -> None:
    """Measure each size and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--votes", type=int, nargs="*", default=VOTES)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(*options.child)
        return
    titles = ("source MB", "seconds", "cpu s", "peak MB", "above start", "output MB")
    print(f"{'votes':>12}" + "".join(f"{title:>12}" for title in titles))
    for num_votes in options.votes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "campaign.jsonl"
            write_campaign(path, num_votes)
            command = [sys.executable, __file__, "--child", str(path), folder]
            out = subprocess.run(
                command, check=True, capture_output=True, text=True, env=os.environ
            )
            figures = json.loads(out.stdout)
            assert not figures["has_torch"]
            numbers = (
                path.stat().st_size / 1e6,
                figures["wall_s"],
                figures["cpu_s"],
                figures["peak_mb"],
                figures["peak_mb"] - figures["import_mb"],
                figures["output_mb"],
            )
            row = "".join(f"{number:>12.1f}" for number in numbers)
            print(f"{num_votes:>12,}{row}", flush=True)


if __name__ == "__main__":
    main()
