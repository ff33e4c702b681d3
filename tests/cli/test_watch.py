"""Watching: what is said, and the exit code."""

import io
import threading
import time

import pytest
from trivium.cli import watch
from trivium.runs.models import Run

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")


def change_later(run_id: int, *changes: dict[str, object]) -> threading.Thread:
    """Change a run as a worker would, a moment apart."""

    def work() -> None:
        from django.db import connection

        for number, values in enumerate(changes, start=1):
            time.sleep(1.0)
            Run.objects.filter(pk=run_id).update(version=number, **values)
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


RUNNING = {
    "state": "running",
    "lease_until": "2100-01-01T00:00Z",
    "step": 50,
    "total_steps": 100,
    "tokens_per_s": 1234.0,
    "eta_s": 65.0,
    "phase": "training",
}


@pytest.mark.parametrize(
    ("end", "code", "said"),
    [
        ({"state": "succeeded"}, 0, "succeeded"),
        (
            {"state": "failed", "reason": "Out of memory.", "advice": "Halve it."},
            1,
            "failed: Out of memory. Halve it.",
        ),
        ({"state": "cancelled"}, 5, "cancelled"),
        ({"state": "paused", "reason": "ada asked"}, 5, "paused: ada asked"),
    ],
)
def test_watching_tells_how_a_run_ended(end, code, said, trivium, ingest):
    thread = change_later(ingest.pk, RUNNING, {"step": 0, **end})
    done = trivium("runs", "watch", ingest.pk)
    thread.join()
    assert done.code == code
    lines = done.out.splitlines()
    assert lines[0].startswith("ingest Corpus: ")
    assert "training · steps 50/100 · 1,234 tokens/s · ETA 1:05" in done.out
    assert lines[-1] == f"run {ingest.pk} (ingest, Corpus) {said}"


def test_watching_for_a_program_prints_the_run_once(trivium, ingest):
    thread = change_later(ingest.pk, {"state": "succeeded"})
    done = trivium("runs", "watch", ingest.pk, "--json")
    thread.join()
    assert done.json["state"] == "succeeded"


def test_watching_survives_a_server_that_is_away(trivium, ingest, monkeypatch):
    from trivium.cli.client import Client
    from trivium.cli.errors import CliError, Exit

    get, failures = Client.get, iter(range(2))

    def flaky(self, path, **params):
        if next(failures, None) is not None:
            raise CliError("away", Exit.UNREACHABLE)
        return get(self, path, **params)

    monkeypatch.setattr(Client, "get", flaky)
    monkeypatch.setattr(watch.time, "sleep", lambda _: None)
    Run.objects.update(state="succeeded")
    assert trivium("runs", "watch", ingest.pk).code == 0


RUN = {
    "id": 7,
    "kind": "pretrain",
    "name": "[red]\x1b[31m",
    "state": "running",
    "reason": "",
    "phase": "training",
    "unit": "steps",
    "step": 10,
    "total_steps": 20,
    "fraction": 0.5,
    "tokens_per_s": 99.6,
    "eta_s": 3700.0,
}


def test_a_line_is_said_once_for_each_tenth_of_the_way():
    stream = io.StringIO()
    lines = watch.Lines(stream)
    for step in range(101):
        run = {**RUN, "step": step, "total_steps": 100, "fraction": step / 100}
        lines.show(run, None)
    assert stream.getvalue().count("\n") == 11


def test_facts_hold_step_speed_loss_and_time_left():
    assert watch.facts(RUN, 2.34567) == (
        "training · steps 10/20 · 100 tokens/s · loss 2.346 · ETA 1:01:40"
    )


def test_names_cannot_draw_on_the_terminal(capsys):
    with watch.Bars() as bars:
        bars.show(RUN, 1.0)
    assert "\x1b[31m" not in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["ingest", "tokenizer", "preflight", "import"])
def test_a_run_without_curves_is_not_asked_for_them(kind):
    nobody = None
    assert watch.newest_loss(nobody, {"id": 1, "kind": kind, "step": 7}) is None
