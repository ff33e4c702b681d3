"""A Redis of the test's own is killed; the bell is heard again once it is back."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest
from celery import Celery
from django.conf import settings as django_settings
from redis import Redis
from redis.exceptions import RedisError
from trivium.bell.app import EXPIRES_S, WAKE_TASK
from trivium.runs.models import Run

pytestmark = [
    pytest.mark.services,
    pytest.mark.django_db(transaction=True, databases="__all__"),
]


class OwnRedis:
    """A Redis server that may be killed."""

    def __init__(self, port: int, folder: str) -> None:
        self.port, self.folder = port, folder
        self.url = f"redis://127.0.0.1:{port}/0"
        self.start()

    def start(self) -> None:
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip("redis-server is not installed")
        command = [
            program,
            "--port",
            str(self.port),
            "--save",
            "",
            "--dir",
            self.folder,
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while not self.answers():
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def answers(self) -> bool:
        try:
            with Redis(port=self.port) as client:
                return bool(client.ping())
        except RedisError:
            return False

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def redis(tmp_path) -> Iterator[OwnRedis]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = OwnRedis(port, str(tmp_path))
    yield server
    server.kill()


def ring(redis: OwnRedis) -> None:
    """Ring as the platform does, at the test's own Redis."""
    with Celery("ringer", broker=redis.url, set_as_current=False) as app:
        app.conf.broker_transport_options = {"global_keyprefix": "trivium:"}
        app.send_task(WAKE_TASK, queue="cpu", ignore_result=True, expires=EXPIRES_S)


def heard(lab, redis: OwnRedis) -> float:
    """Queue a run, ring once, and return how long it takes to start."""
    version = lab.ingest("a line\n" * 20)
    start = time.monotonic()
    ring(redis)
    deadline = start + 15
    while Run.objects.get(pk=version.run.pk).state == Run.State.QUEUED:
        assert time.monotonic() < deadline, "the bell was not heard"
        time.sleep(0.05)
    return time.monotonic() - start


def test_the_bell_is_heard_again_after_redis_was_killed(lab, start_node, redis):
    # No sweep will come to help: only the bell can start a run here.
    node = start_node(REDIS_URL=redis.url, TRIVIUM_SWEEP_S="1000")
    deadline = time.monotonic() + 30
    with Redis(port=redis.port) as client:
        while not client.keys("*cpu*") and len(client.client_list()) < 3:
            assert time.monotonic() < deadline, node.log.read_text()
            time.sleep(0.1)
    heard(lab, redis)
    redis.kill()
    redis.start()
    time.sleep(6)  # Celery waits longer before each attempt to connect again
    heard(lab, redis)
    assert django_settings.SWEEP_S < 1000
