"""How long a run takes from its submission to its first optimizer step.

A worker with a warm fork server, in a home of its own: ingest, tokenizer, then a tiny
model several times. Prints the parts of the way: until claimed, until the trainer
lives, until the first step's loss is written. Run: `.venv/bin/python
benchmarks/bench_submit.py`.
"""

import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

HOME = Path(tempfile.mkdtemp(prefix="trivium-bench-"))
os.environ["TRIVIUM_HOME"] = str(HOME)
os.environ["DJANGO_SETTINGS_MODULE"] = "trivium.settings"
os.environ["LOG_LEVEL"] = "WARNING"
ROUNDS = 8
WARM_S = 60.0
TINY = {
    "layers": 2,
    "heads": 2,
    "width": 64,
    "context": 64,
    "batch_size": 8,
    "max_steps": 20,
    "warmup_steps": 2,
    "eval_batches": 1,
    "compile": "off",
    "precision": "fp32",
}


def main() -> None:
    """Measure, print, and clean up."""
    import django

    django.setup()
    from trivium.accounts.services import ensure_first_admin
    from trivium.projects.models import Project
    from trivium.runs.local import local_platform, migrate

    migrate()
    admin = ensure_first_admin()
    project = Project.objects.get()
    try:
        with local_platform(port=8399):
            spec = prepare(project, admin)
            rounds = [one_round(project, admin, spec) for _ in range(ROUNDS)]
    finally:
        shutil.rmtree(HOME, ignore_errors=True)
    print("seconds from submission, median (worst) of", ROUNDS)
    for name in rounds[0]:
        values = [found[name] for found in rounds]
        print(f"  {name:16} {statistics.median(values):.2f} ({max(values):.2f})")


def prepare(project, admin):
    """Make the inputs, and wait until the fork server is warm."""
    from runspec import PretrainSpec, TokenizerSpec
    from trivium.datasets.models import DatasetVersion
    from trivium.datasets.services import add_sample
    from trivium.runs.kinds import start_run
    from trivium.tokenizers.models import Tokenizer

    ingest = add_sample(project=project, created_by=admin)
    version = DatasetVersion.objects.get(run=ingest)
    learning = start_run(
        project=project,
        created_by=admin,
        spec=TokenizerSpec(dataset=str(version.pk), algorithm="characters"),
    )
    wait_for_end(learning)
    tokenizer = Tokenizer.objects.get(run=learning)
    spec = PretrainSpec(dataset=str(version.pk), tokenizer=str(tokenizer.pk), **TINY)
    # The first builds the token cache and measures the device; it is not counted.
    wait_for_end(start_run(project=project, created_by=admin, spec=spec))
    return spec


def wait_for_end(run) -> None:
    """Wait until a run has succeeded."""
    deadline = time.monotonic() + WARM_S
    while not run.is_finished:
        if time.monotonic() > deadline:
            sys.exit(f"run {run.pk} is still {run.state}")
        time.sleep(0.05)
        run.refresh_from_db()
    if run.state != "succeeded":
        sys.exit(f"run {run.pk} {run.state}: {run.reason}")


def one_round(project, admin, spec) -> dict[str, float]:
    """Submit one run, and find when each part of the way was behind it."""
    from runspec.layout import events_file
    from trivium import storage
    from trivium.runs.kinds import start_run

    start = time.time()
    run = start_run(project=project, created_by=admin, spec=spec)
    submitted = time.time() - start
    folder = storage.run_folder(run.pk)
    events = events_file(folder, 1)
    pid = folder / "trainer-1.pid"
    found = {"submitted": submitted}
    while "first step" not in found:
        if "claimed" not in found:
            run.refresh_from_db()
            if run.fence:
                found["claimed"] = time.time() - start
        if "trainer lives" not in found and pid.exists():
            found["trainer lives"] = time.time() - start
        if events.exists() and has_step(events):
            found["first step"] = time.time() - start
        time.sleep(0.005)
    wait_for_end(run)
    return found


def has_step(path: Path) -> bool:
    """Whether a training step was reported."""
    for line in path.read_text().splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue  # still being written
        if event.get("name") == "train/loss":
            return True
    return False


if __name__ == "__main__":
    main()
