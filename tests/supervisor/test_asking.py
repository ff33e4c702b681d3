"""Runs that ask models go on where they were killed or paused, and never twice.

An endpoint on a real socket answers up to a point and then holds, so that the break
falls in the middle.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from asking_lab import Answered, Server, asked_text, prompt_row, says, serving
from asking_lab import write_dataset as write_rows
from runspec import GenerateSpec
from runspec.labels import AnsweredPrompt
from runspec.layout import ANSWERS_FILE, OUTPUT
from supervisor import devices
from trainer.asking.endpoint import AT_ONCE
from trivium import storage
from trivium.datasets.models import Dataset, DatasetVersion
from trivium.runs import kinds, services
from trivium.runs.models import Run
from trivium.serving.models import Endpoint
from trivium.serving.services import add_endpoint

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")

State = Run.State
KEY = "sk-never-to-be-written"
NUM_PROMPTS = 100
HELD_AT = 60


class Gate:
    """Answers so many questions, and the others once it is opened."""

    def __init__(self) -> None:
        self.num_asked = 0
        self.num_answered = 0
        self.is_open = threading.Event()

    def answer(self, body: dict[str, Any]) -> Answered:
        self.num_asked += 1
        if self.num_asked > HELD_AT and not self.is_open.is_set():
            return 200, {}, None  # it hangs up, and is asked again later
        self.num_answered += 1
        return says(f"{body['temperature']:g}: {asked_text(body)}")


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def server(gate: Gate) -> Iterator[Server]:
    with ExitStack() as stack:
        yield stack.enter_context(serving(gate.answer))


@pytest.fixture
def queue(project, bob, server, tmp_path: Path) -> Callable[[], Run]:
    """Queue a run in which one endpoint's model answers twice."""
    rows = [prompt_row(f"Say {number}") for number in range(NUM_PROMPTS)]
    key = storage.publish(
        write_rows(tmp_path / "rows", "prompts", train=rows), "datasets/rows"
    )
    dataset = Dataset.objects.create(project=project, name="Rows", kind="prompts")
    version = DatasetVersion.objects.create(dataset=dataset, number=1, path=key)
    add_endpoint(
        name="elsewhere",
        url=server.url,
        api_key=KEY,
        model_ids=["big"],
        created_by=bob,
    )
    spec = GenerateSpec(
        prompts=str(version.pk),
        answerers=("elsewhere/big",) * 2,
        samplings=({"temperature": 0.5}, {"temperature": 1}),
    )
    return lambda: kinds.start_run(project=project, created_by=bob, spec=spec)


def is_held(run: Run) -> bool:
    return run.step >= HELD_AT - AT_ONCE


def goes_on_without_asking_twice(
    lab: Any, run: Run, server: Server, gate: Gate
) -> None:
    lab.wait(run, State.SUCCEEDED)
    second = run.attempts.get(fence=2)
    assert second.resumed_from >= HELD_AT - AT_ONCE
    lines = storage.run_folder(run.pk) / OUTPUT / ANSWERS_FILE
    found = [
        AnsweredPrompt.model_validate_json(line)
        for line in lines.read_text().splitlines()
    ]
    assert [[one.text for one in row.answers] for row in found] == [
        [f"0.5: Say {number}", f"1: Say {number}"] for number in range(NUM_PROMPTS)
    ]
    assert run.result["answers"] == 2 * NUM_PROMPTS
    # What was under way, or not yet told of, when it was broken off may come again.
    assert gate.num_answered <= 2 * NUM_PROMPTS + 2 * AT_ONCE
    assert set(server.keys) == {f"Bearer {KEY}"}


@pytest.fixture
def node(start_node):
    return start_node().wait_until_warm()


def test_a_killed_trainer_goes_on_and_its_key_is_written_nowhere(
    lab, node, queue, server, gate, tmp_path
):
    run = lab.wait(queue(), is_held)
    trainer = lab.trainer(run)
    assert all(KEY not in part for part in trainer.cmdline())
    trainer.kill()
    gate.is_open.set()
    goes_on_without_asking_twice(lab, run, server, gate)
    assert run.crashes == 1
    folder = storage.run_folder(run.pk)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 6
    holding = [path for path in files if KEY.encode() in path.read_bytes()]
    assert not holding
    assert KEY.encode() not in node.log.read_bytes()
    assert KEY not in str(Run.objects.values())


def test_a_paused_run_frees_its_device_and_goes_on(lab, node, queue, server, gate, bob):
    run = lab.wait(queue(), is_held)
    services.request_pause(run, bob)
    lab.wait(run, State.PAUSED, timeout_s=20)
    assert not run.devices.exists()
    gate.is_open.set()
    services.resume_run(run, bob)
    goes_on_without_asking_twice(lab, run, server, gate)
    assert run.crashes == 0


def test_a_cancelled_run_tried_again_begins_with_its_answers(
    lab, node, queue, server, gate, bob
):
    run = lab.wait(queue(), is_held)
    services.request_cancel(run, bob)
    lab.wait(run, State.CANCELLED, timeout_s=20)
    before = len(server.asked)
    gate.is_open.set()
    again = lab.wait(kinds.retry_run(run=run, actor=bob, changes={}), State.SUCCEEDED)
    assert again.result["answers"] == 2 * NUM_PROMPTS
    most = 2 * NUM_PROMPTS - (HELD_AT - AT_ONCE)
    assert len(server.asked) - before <= most


def test_a_key_goes_to_the_run_that_asks_its_endpoint_alone(queue):
    spec = kinds.resolve_spec(queue())
    endpoint = Endpoint.objects.get()
    variable = f"TRIVIUM_ENDPOINT_KEY_{endpoint.pk}"
    assert devices.endpoint_environment(spec) == {variable: KEY}
    assert KEY not in spec.model_dump_json()
    assert variable in spec.model_dump_json()
    pairs = spec.model_copy(update={"answerers": (), "samplings": ()})
    assert devices.endpoint_environment(pairs) == {}
    # Given to another address, the key is not sent to the old one.
    Endpoint.objects.update(url="http://127.0.0.1:1/v1")
    assert devices.endpoint_environment(spec) == {}


def test_a_run_whose_key_cannot_be_read_fails_with_a_sentence(lab, node, queue):
    Endpoint.objects.update(api_key_encrypted=b"of another SECRET_KEY")
    run = lab.wait_for_end(queue())
    assert run.state == State.FAILED
    assert "enter it again" in run.reason
