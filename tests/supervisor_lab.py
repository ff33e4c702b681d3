"""What tests of a real worker share: the worker, a project, and how to wait."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from django.conf import settings as django_settings
from django.db import connection
from local_up import few_threads
from runspec import IngestSpec, PretrainSpec, Spec, TokenizerSpec
from supervisor import processes, recovery, spawn
from trivium import storage
from trivium.accounts.models import User
from trivium.datasets.models import DatasetVersion, Upload
from trivium.metrics.queries import curve_names, read_curve
from trivium.projects.models import Project
from trivium.runs import kinds
from trivium.runs.models import Run
from trivium.runs.sweeping import sweep
from trivium.tokenizers.models import Tokenizer

MIDDLE = 60
"""A checkpoint at or beyond this step shows that the run is in its middle."""
LOOK_S = 0.2
"""How often a test looks: each look sweeps, which takes the cores from the run."""
TIMING = {
    "TRIVIUM_LEASE_S": "5",
    "TRIVIUM_HEARTBEAT_S": "0.3",
    "TRIVIUM_SWEEP_S": "0.3",
    "TRIVIUM_CRASH_BACKOFF_S": "0.1",
}
"""A lease outlives a supervisor's start, which takes seconds on a busy machine."""


def child_environment() -> dict[str, str]:
    """Return what makes a child process part of the installation under test."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        # Of this checkout, where another one is installed.
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "TRIVIUM_HOME": str(django_settings.HOME),
        "TRIVIUM_STORAGE": django_settings.STORAGE_URL,
        "TRIVIUM_WORK": str(django_settings.WORK_DIR),
        "TRIVIUM_BELL": str(django_settings.BELL_DIR),
        "REDIS_URL": django_settings.REDIS_URL,
        "DJANGO_SETTINGS_MODULE": "trivium.settings",
        **TIMING,
        **few_threads(),
    }
    if connection.vendor == "postgresql":
        values = connection.settings_dict
        user = f"{values['USER']}:{values['PASSWORD']}@"
        environment["DATABASE_URL"] = (
            f"postgresql://{user}{values['HOST']}:{values['PORT']}/{values['NAME']}"
        )
    return environment


class Node:
    """A worker that a test may kill."""

    def __init__(self, log: Path, **environment: str) -> None:
        self.log = log
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "supervisor.node", "--queues=cpu"],
                env={**child_environment(), **environment},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

    def child(self, module: str) -> psutil.Process:
        """Return the node's fork server or listener."""
        for child in psutil.Process(self.process.pid).children():
            if module in child.cmdline():
                return child
        raise AssertionError(f"the node has no child {module}")

    def wait_until_warm(self) -> "Node":
        """Wait for the fork server, so that trainers start at once."""
        deadline = time.monotonic() + 60
        while not self.is_warm():
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.1)
        return self

    def is_warm(self) -> bool:
        try:
            server = self.child("trainer.forkserver")
            return Path(server.cmdline()[-1]).exists()
        except (AssertionError, psutil.Error):
            return False

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=20)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(timeout=20)


@pytest.fixture
def start_node(db: None, tmp_path: Path) -> Iterator[Callable[..., Node]]:
    """Start workers; afterwards nothing of theirs is left."""
    nodes: list[Node] = []

    def start(**environment: str) -> Node:
        nodes.append(Node(tmp_path / "node.log", **environment))
        return nodes[-1]

    yield start
    for node in nodes:
        if node.process.poll() is None:
            node.stop()
    for process in spawn.live_supervisors():
        process.kill()
    for run in Run.objects.all():
        for path in storage.run_folder(run.pk).glob("trainer-*.pid"):
            if (trainer := processes.read_pid(path)) is not None:
                processes.kill_group(trainer.pid)


class Lab:
    """A project with a text, and what a test wants to know of its runs."""

    def __init__(self, project: Project, user: User) -> None:
        self.project = project
        self.user = user

    def submit(self, spec: Spec, name: str = "") -> Run:
        return kinds.start_run(
            project=self.project, created_by=self.user, spec=spec, name=name
        )

    def ingest(self, text: str) -> DatasetVersion:
        key, path = storage.new_upload()
        path.write_text(text)
        storage.publish(path, key)
        upload = Upload.objects.create(
            project=self.project,
            created_by=self.user,
            file_name="text.txt",
            path=key,
            size_bytes=len(text),
        )
        spec = IngestSpec(source=str(upload.pk), file_name="text.txt", text_rows="line")
        return DatasetVersion.objects.get(run=self.submit(spec, "Text"))

    def tokenizer(self, version: DatasetVersion) -> Tokenizer:
        spec = TokenizerSpec(dataset=str(version.pk), algorithm="characters")
        return Tokenizer.objects.get(run=self.submit(spec, "Characters"))

    def pretrain(self, text: str = "", **changes: object) -> Run:
        """Queue a tiny model with all it needs; the same each time."""
        version = DatasetVersion.objects.filter(dataset__project=self.project).first()
        version = version or self.ingest(text or TEXT)
        tokenizer = Tokenizer.objects.filter(project=self.project).first()
        tokenizer = tokenizer or self.tokenizer(version)
        return self.submit(
            PretrainSpec(
                dataset=str(version.pk),
                tokenizer=str(tokenizer.pk),
                **{**TINY, **changes},
            )
        )

    def wait(
        self, run: Run, until: Callable[[Run], bool] | str, timeout_s: float = 180
    ) -> Run:
        """Wait for a state, or for a fact; fail at once where it cannot come."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            run.refresh_from_db()
            if run.state == until if isinstance(until, str) else until(run):
                return run
            assert not run.is_finished, self.story(run)
            assert not run.depends_on.filter(state="failed").exists(), self.story(run)
            sweep()
            time.sleep(LOOK_S)
        raise AssertionError(f"waited {timeout_s} s; {self.story(run)}")

    def wait_for_end(self, run: Run, timeout_s: float = 180) -> Run:
        """Wait until a run is over, however it ends."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            run.refresh_from_db()
            if run.is_finished:
                return run
            sweep()
            time.sleep(LOOK_S)
        raise AssertionError(f"waited {timeout_s} s; {self.story(run)}")

    def story(self, run: Run) -> str:
        """Tell all that is known of a run, for a test that fails."""
        folders = [
            storage.run_folder(one.pk)
            for one in (*run.depends_on.exclude(state="succeeded"), run)
        ]
        logs = [
            path.read_text()[-3000:]
            for folder in folders
            for path in sorted(folder.glob("*.log"))
        ]
        history = run.transitions.values_list("to_state", "actor", "reason")
        others = Run.objects.exclude(pk=run.pk).values_list("kind", "state", "reason")
        return (
            f"{run.state} {run.reason}\n{list(history)}\n{list(others)}\n"
            + "\n---\n".join(logs)
        )

    def trainer(self, run: Run) -> psutil.Process:
        """Return the trainer of the newest attempt."""
        folder = storage.run_folder(run.pk)
        found = processes.read_pid(recovery.trainer_pid_file(folder, run.fence))
        assert found is not None, self.story(run)
        return found

    def supervisor(self, run: Run) -> psutil.Process:
        """Return the supervisor of the newest attempt."""
        found = processes.read_pid(spawn.pid_file(run.pk, run.fence))
        assert found is not None, self.story(run)
        return found


TEXT = "\n".join(
    f"{number} grows to {number * 7 % 101}, and the wind turns {number % 13} times."
    for number in range(3000)
)
TINY = {
    "family": "llama",
    "layers": 2,
    "heads": 2,
    "width": 48,
    "context": 48,
    "batch_size": 24,
    "max_steps": 240,
    "warmup_steps": 10,
    "eval_every": 60,
    "eval_batches": 2,
    "sample_every": 0,
    "sample_tokens": 4,
    "checkpoint_every": 30,
    "precision": "fp32",
    "compile": "off",
}


@pytest.fixture
def lab(db: None, project: Project, bob: User) -> Lab:
    return Lab(project, bob)


QUESTIONS = [
    {"prompt": f"{n} grows", "completion": f"to {n * 7 % 101}, and the wind turns."}
    for n in range(160)
]
ENDLESS = (
    "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}"
    "{{ m.content }}{% endgeneration %}{% else %}{{ m.content }} {% endif %}"
    "{% endfor %}"
)
ENDING = ENDLESS.replace(
    "{{ m.content }}{% endg", "{{ m.content }}{{ eos_token }}{% endg"
)


def bring_in(lab: Lab, rows: list[dict[str, str]], kind: str) -> DatasetVersion:
    key, path = storage.new_upload()
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    storage.publish(path, key)
    upload = Upload.objects.create(
        project=lab.project,
        created_by=lab.user,
        file_name="rows.jsonl",
        path=key,
        size_bytes=1,
    )
    spec = IngestSpec(source=str(upload.pk), file_name="rows.jsonl", dataset_kind=kind)
    return DatasetVersion.objects.get(run=lab.submit(spec, "Questions"))


Curves = dict[str, tuple[list[int], bytes]]


def curves(run: Run) -> Curves:
    """Return the curves that time has no part in, to the bit."""
    found = {}
    for name in curve_names(run.pk):
        if name in {"train/loss", "validation/loss", "train/learning_rate"}:
            curve = read_curve(run.pk, name, max_points=1_000_000)
            found[name] = (curve.steps.tolist(), curve.values.tobytes())
    return found


def in_its_middle(run: Run) -> bool:
    """Whether the run may be interrupted now, with a checkpoint to go on from."""
    assert run.step < run.total_steps or not run.total_steps, "it was too quick"
    return run.checkpoints.filter(step__gte=MIDDLE).exists()


def goes_on_as_if_nothing_happened(lab: Lab, run: Run, expected: Curves) -> None:
    """Wait for the end; fail where the curve is not that of an uninterrupted run."""
    lab.wait(run, Run.State.SUCCEEDED)
    last = run.attempts.order_by("-fence").first()
    assert last is not None
    assert last.fence >= 2
    assert last.resumed_from >= MIDDLE
    assert curves(run) == expected
