"""How long pages take at 10,000 runs and 10 M metric points.

Run: `python benchmarks/bench_pages.py [--runs 10000] [--points 10000000]`

Fills a throw-away home (every run with an attempt that held a device, 100 pipelines, an
evaluation of 1,000 rows, a budget), serves it by uvicorn in one process as `make up`
does, and asks for each page 40 times over one connection. Prints p50 and p95 in
milliseconds and the transferred size. The first request of each page is printed apart,
as "cold". The sweep that workers make every few seconds is timed beside them.
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / one) for one in ("platform", "workers", "tests")]
CHUNK = 1024
NUM_PIPELINES = 100
NUM_EVALUATED = 1_000


def fill(num_runs: int, num_points: int) -> tuple[str, dict[str, str]]:
    """Make a project full of runs; return a session cookie and the pages to ask for."""
    import django

    django.setup()
    from django.contrib.auth import get_user_model
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    call_command("migrate", database="metrics", verbosity=0)
    from trivium.projects.models import Membership, Project, Role

    user = get_user_model().objects.create_user("bench", password="x" * 20)
    user.is_staff = True
    user.save()
    project = Project.objects.create(name="Bench", slug="bench", created_by=user)
    Membership.objects.create(project=project, user=user, role=Role.ADMIN)
    newest, others = fill_runs(project, num_runs)
    big, rest = num_points // 10, num_points - num_points // 10
    fill_curve(newest, big)
    for run_id in others:
        fill_curve(run_id, rest // len(others))
    pages = pages_of(project.slug, newest, others, big)
    pages |= fill_pipelines(project) | fill_evaluations(project)
    return sign_in(user), pages


def fill_runs(project, num_runs: int) -> tuple[int, list[int]]:
    """Make runs; return the newest that succeeded, and fifty others."""
    from django.utils import timezone
    from trivium.runs.models import Attempt, Run

    states = ["succeeded"] * 7 + ["failed", "cancelled", "queued"]
    Run.objects.bulk_create(
        [
            Run(
                project=project,
                created_by=project.created_by,
                kind="pretrain",
                name=f"run {number}",
                spec={"kind": "pretrain"},
                spec_sha256="0" * 64,
                state=states[number % len(states)],
                step=1000,
                total_steps=1000,
                fence=1,
                ended=timezone.now(),
            )
            for number in range(num_runs)
        ],
        batch_size=500,
    )
    Attempt.objects.bulk_create(
        [
            Attempt(run=run, fence=1, device="NVIDIA H100", num_units=1, device_s=900)
            for run in Run.objects.all()
        ],
        batch_size=500,
    )
    newest = Run.objects.filter(state="succeeded").order_by("-id").first()
    assert newest is not None
    others = Run.objects.exclude(pk=newest.pk).order_by("-id")[:50]
    return newest.pk, [run.pk for run in others]


def fill_pipelines(project) -> dict[str, str]:
    """Make pipelines of three stages, and a budget; return their pages."""
    from pipelines_lab import THREE, make_model, make_version
    from trivium.pipelines import services
    from trivium.pipelines.description import read_description
    from trivium.planning.budgets import set_budget

    for name, kind in {
        "Text": "text",
        "Asked": "instructions",
        "Preferred": "preferences",
    }.items():
        make_version(project, name, kind)
    make_model(project, "Instruct")
    for number in range(NUM_PIPELINES):
        text = THREE.replace("Stages", f"Stages {number}")
        pipeline = services.create_pipeline(
            project=project,
            created_by=project.created_by,
            description=read_description(text),
            text=text,
        )
    set_budget(project=project, actor=project.created_by, amount=1e9, unit="money")
    base = f"/p/{project.slug}"
    return {
        f"{NUM_PIPELINES} pipelines": f"{base}/pipelines/",
        "pipeline": f"{base}/pipelines/{pipeline.pk}/",
        "costs": f"{base}/plan/costs/",
    }


def fill_evaluations(project) -> dict[str, str]:
    """Make an evaluation of many rows; return its pages."""
    from evaluations_lab import facts_of, row
    from trivium.evaluations.models import EvaluatedRow, Evaluation

    for number in range(100):
        evaluation = Evaluation.objects.create(
            project=project, name=f"Evaluation {number}", facts=facts_of()
        )
    EvaluatedRow.objects.bulk_create(
        [
            EvaluatedRow(
                evaluation=evaluation,
                place=place,
                differs=place % 3 > 0,
                is_wrong=place % 3 > 0,
                **row(place, "She is a baker. " * 10).model_dump(mode="json"),
            )
            for place in range(NUM_EVALUATED)
        ],
        batch_size=500,
    )
    base = f"/p/{project.slug}/evaluate"
    return {
        "100 evaluations": f"{base}/",
        f"evaluation of {NUM_EVALUATED:,} rows": f"{base}/{evaluation.pk}/",
        "of them, where models differ": f"{base}/{evaluation.pk}/?show=differ",
    }


def fill_curve(run_id: int, count: int) -> None:
    """Store a noisy, falling loss of so many points."""
    import numpy as np
    from trivium.metrics.models import MetricChunk, MetricStream

    generator = np.random.default_rng(run_id)
    MetricStream.objects.create(run_id=run_id, fence=1, offset=0)
    noise = generator.normal(0, 0.1, count)
    values = (4 * np.exp(-np.arange(count) / count * 3) + noise).astype("<f8")
    steps = np.arange(1, count + 1, dtype="<i8")
    MetricChunk.objects.bulk_create(
        [
            MetricChunk(
                run_id=run_id,
                name="train/loss",
                fence=1,
                index=index,
                count=len(steps[start : start + CHUNK]),
                first_step=int(steps[start]),
                last_step=int(steps[min(start + CHUNK, count) - 1]),
                steps=steps[start : start + CHUNK].tobytes(),
                values=values[start : start + CHUNK].tobytes(),
            )
            for index, start in enumerate(range(0, count, CHUNK))
        ],
        batch_size=200,
    )


def sign_in(user) -> str:
    """Return the cookie of a session of `user`."""
    from django.contrib.auth import SESSION_KEY
    from django.contrib.sessions.backends.db import SessionStore

    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session["_auth_user_backend"] = "django.contrib.auth.backends.ModelBackend"
    session["_auth_user_hash"] = user.get_session_auth_hash()
    session.create()
    return session.session_key


def pages_of(slug: str, newest: int, others: list[int], big: int) -> dict[str, str]:
    """Return the addresses to ask for, under the names of the table."""
    base = f"/p/{slug}"
    beside = ",".join(map(str, others))
    return {
        "pipeline home": f"{base}/",
        "runs list": f"{base}/runs/",
        "runs list, filtered": f"{base}/runs/?state=failed",
        "runs list, searched": f"{base}/runs/?q=run+99",
        "run page": f"{base}/runs/{newest}/",
        f"chart of {big:,} points": f"{base}/runs/{newest}/chart-data/?name=train/loss",
        "compare 50 runs": f"{base}/runs/compare/?runs={beside}",
        "points of 50 runs, 2,000 each": (
            f"{base}/runs/compare/data/?runs={beside}&name=train/loss"
        ),
        "models": f"{base}/models/",
        "datasets": f"{base}/data/",
        "API: runs": f"/api/v1/runs?project={slug}",
    }


def main() -> None:
    """Fill, serve, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--points", type=int, default=10_000_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ.update(TRIVIUM_HOME=home, DJANGO_SETTINGS_MODULE="trivium.settings")
        os.environ.update(LOG_LEVEL="WARNING", TRIVIUM_MAX_QUEUED_PER_USER="1000000")
        began = time.perf_counter()
        cookie, pages = fill(arguments.runs, arguments.points)
        print(f"filled in {time.perf_counter() - began:.0f} s")
        time_sweeps()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        began = time.perf_counter()
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "uvicorn", "trivium.asgi:application"),
                *("--port", str(port), "--log-level", "warning"),
            ],
            env=os.environ | {"PYTHONPATH": f"{ROOT / 'platform'}:{ROOT / 'workers'}"},
        )
        try:
            measure(port, cookie, pages, began)
        finally:
            server.terminate()
            server.wait()


def time_sweeps() -> None:
    """Time what workers do every few seconds, after a first time that does the work."""
    from trivium.runs.sweeping import sweep

    sweep()
    times = []
    for _ in range(21):
        start = time.perf_counter()
        sweep()
        times.append(1000 * (time.perf_counter() - start))
    print(f"sweep: {statistics.median(times):.0f} ms, worst {max(times):.0f}")


def measure(port: int, cookie: str, pages: dict[str, str], began: float) -> None:
    """Ask for each page many times; print a line each."""
    import httpx

    with httpx.Client(
        base_url=f"http://127.0.0.1:{port}", cookies={"sessionid": cookie}, timeout=60
    ) as client:
        while True:
            try:
                client.get("/healthz")
                break
            except httpx.ConnectError:
                time.sleep(0.02)
        print(f"web process start: {time.perf_counter() - began:.2f} s")
        print(f"{'page':32} {'cold':>8} {'p50':>8} {'p95':>8} {'KB':>7}  (ms)")
        for name, path in pages.items():
            times = []
            for _ in range(41):
                start = time.perf_counter()
                response = client.get(path)
                times.append(1000 * (time.perf_counter() - start))
            response.raise_for_status()
            cold, warm = times[0], sorted(times[1:])
            print(
                f"{name:32} {cold:8.0f} {statistics.median(warm):8.0f} "
                f"{warm[int(0.95 * len(warm))]:8.0f} {len(response.content) / 1e3:7.0f}"
            )


if __name__ == "__main__":
    main()
