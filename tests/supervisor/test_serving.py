"""A real inference node under its keeper: announced, killed, stuck, back again."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from node_lab import Stream, asked_of, write_model
from runspec.serving import NODE_KEY_HEADER, GenerateRequest, Prompt, Sampling
from supervisor_lab import child_environment
from trivium.models.models import LanguageModel
from trivium.serving import client
from trivium.serving.choices import ModelChoice, checkpoint_choices, of_model
from trivium.serving.keys import node_key
from trivium.serving.models import Node

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")

TEXT = "It was the best of times"


class Keeper:
    """`python -m supervisor.serving`, and the node it keeps."""

    def __init__(self, log: Path) -> None:
        self.log = log
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "supervisor.serving", "--name=here"],
                env={
                    **child_environment(),
                    "PYTHONPATH": os.pathsep.join(sys.path),
                    "TRIVIUM_INFERENCE_DEVICE": "cpu",
                    "TRIVIUM_INFERENCE_MEMORY_GB": "1",
                    "OMP_NUM_THREADS": "1",
                },
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

    def node(self, *, other_than: int = 0) -> tuple[Node, psutil.Process]:
        """Wait until a node is announced; return it and its process."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            found = Node.objects.filter(name="here").first()
            children = psutil.Process(self.process.pid).children()
            if found is not None and children and children[0].pid != other_than:
                return found, children[0]
            time.sleep(0.05)
        raise AssertionError(self.log.read_text())

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20)


@pytest.fixture
def keeper(db: None, tmp_path: Path) -> Iterator[Keeper]:
    made = Keeper(tmp_path / "keeper.log")
    yield made
    if made.process.poll() is None:
        made.stop()


def wait(fact: Callable[[], object], timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not fact():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_node_is_announced_and_renewed_and_taken_back(keeper):
    node, process = keeper.node()
    assert node.device == "cpu"
    assert node.engine.startswith("trivium-engine")
    assert node.state["memory_budget_bytes"] == 10**9
    wait(lambda: Node.objects.get(name="here").heartbeat > node.heartbeat)
    refused = httpx.get(f"{node.url}/state")
    assert refused.status_code == 401
    headers = {NODE_KEY_HEADER: node_key()}
    assert httpx.get(f"{node.url}/state", headers=headers).status_code == 200
    assert keeper.stop() == 0
    assert not process.is_running()
    assert not Node.objects.exists()


def test_a_node_killed_mid_stream_is_back_by_itself(keeper, tmp_path):
    folder = write_model(tmp_path / "slow", "mixtral", max_position_embeddings=8192)
    asked = asked_of(folder, TEXT, max_tokens=8000, logit_bias={"0": -100})
    headers = {NODE_KEY_HEADER: node_key()}
    node, process = keeper.node()
    seen = []
    with (
        httpx.Client(base_url=node.url, headers=headers, timeout=60) as http,
        http.stream("POST", "/generate", json=asked) as response,
    ):
        stream = Stream(response)
        stream.until("tokens")
        process.kill()
        with pytest.raises(httpx.RemoteProtocolError):
            seen += [event.type for event in stream]
    assert not {"end", "error"} & set(seen)
    again, other = keeper.node(other_than=process.pid)
    assert other.pid != process.pid
    short = asked_of(folder, TEXT, max_tokens=3)
    found = httpx.post(f"{again.url}/generate", json=short, headers=headers, timeout=60)
    assert found.text.splitlines()[-1].startswith('{"type":"end"')


def test_a_node_that_falls_silent_is_started_again(keeper):
    _, process = keeper.node()
    process.suspend()
    _, other = keeper.node(other_than=process.pid)
    assert other.pid != process.pid
    assert not process.is_running()
    assert "said nothing" in keeper.log.read_text()


def test_a_node_never_outlives_its_keeper(keeper):
    _, process = keeper.node()
    keeper.process.kill()
    keeper.process.wait()
    wait(lambda: not process.is_running())
    assert not process.is_running()


def test_a_checkpoint_of_a_run_answers_through_the_web_s_client(
    keeper, lab, start_node
):
    start_node(PYTHONPATH=os.pathsep.join(sys.path)).wait_until_warm()
    run = lab.pretrain(max_steps=40, checkpoint_every=20, eval_every=20)
    lab.wait(run, "succeeded")
    keeper.node()
    choices = [*checkpoint_choices(run), of_model(LanguageModel.objects.get(run=run))]
    assert len(choices) > 1
    prompt = Prompt(text="the ")
    told = []
    for number, choice in enumerate(choices):
        request = GenerateRequest(
            id=f"request-{number}",
            model=choice.ref,
            prompt=prompt,
            sampling=Sampling(max_tokens=5, temperature=0),
        )
        events = asyncio.run(all_events(choice, request))
        assert events[-1].type == "end", events[-1]
        assert events[0].receipt.weights_sha256 == choice.ref.sha256
        told.append(events[-1].completion_tokens)
    assert max(told) > 0


async def all_events(choice: ModelChoice, request: GenerateRequest) -> list[Any]:
    return [event async for event in client.generate(choice, request)]
