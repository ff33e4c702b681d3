"""Keep an inference node running: `python -m supervisor.serving`.

`python -m inference` knows no database. This process starts it, announces it, renews
what it says of itself, and starts it again when it died or fell silent. On SIGTERM
it takes the node back and ends it. One of them serves one device.
"""

import argparse
import contextlib
import json
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import httpx
from pydantic import ValidationError
from runspec.serving import NODE_KEY_HEADER, NodeState

if TYPE_CHECKING:
    from collections.abc import Callable

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "trivium.settings")

logger = logging.getLogger(__name__)

BEAT_S = 1.0
ANSWER_S = 3.0
"""For one answer of the node to how it is."""
SILENT_S = 10.0
"""A node that says nothing for this long is started again."""
START_S = 120.0
"""Until a node knows its address: it imports torch first."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 30.0
"""Before a node is started again; longer each time it did not live for a while."""
LIVED_S = 60.0
END_GRACE_S = 8.0
SECRETS = ("SECRET_KEY", "DATABASE_URL", "REDIS_URL", "HF_TOKEN")
"""What a node has no use for. The rest stays: storage may need its credentials."""
LOOPBACKS = {"127.0.0.1", "localhost", "::1"}


class NodeFailedError(RuntimeError):
    """The node did not start, died, or fell silent; the text says which."""


class NodeProcess:
    """One `python -m inference`."""

    def __init__(self, argv: list[str], environment: dict[str, str]) -> None:
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "inference", *argv],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Ctrl-C at a terminal is this process' business.
            start_new_session=True,
        )

    def address(self, stop: threading.Event) -> str:
        """Wait until the node tells its address; empty where `stop` was set before.

        Raises:
            NodeFailedError: it ended, or takes too long.
        """
        assert self.process.stdout is not None
        while not stop.is_set():
            if time.monotonic() - self.started > START_S:
                raise NodeFailedError(f"did not start within {START_S:.0f} s")
            if not select.select([self.process.stdout], [], [], 0.1)[0]:
                continue
            line = self.process.stdout.readline()
            if not line:
                code = self.process.wait()
                raise NodeFailedError(f"ended with code {code} while starting")
            with contextlib.suppress(ValueError, KeyError, TypeError):
                return str(json.loads(line)["url"])
        return ""

    def check(self) -> None:
        """Look whether it runs.

        Raises:
            NodeFailedError: it does not.
        """
        code = self.process.poll()
        if code is not None:
            raise NodeFailedError(f"ended with code {code}")

    def close(self) -> None:
        """End it by ending its standard input; kill it where that does not do."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(END_GRACE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


class Keeper:
    """Keeps one node running and announced."""

    def __init__(self, *, name: str, device: str, stop: threading.Event) -> None:
        """Prepare; `keep` does it until `stop` is set."""
        from django.conf import settings
        from trivium.serving.keys import node_key

        self.name = name
        self.stop = stop
        self.key = node_key()
        host = settings.INFERENCE_HOST
        self.host = socket.gethostname() if host == "auto" else host
        listens_on = self.host if self.host in LOOPBACKS else "0.0.0.0"  # noqa: S104 - other hosts call it; the key keeps strangers out
        self.argv = [
            f"--listen={listens_on}:0",
            f"--device={device}",
            f"--memory-gb={settings.INFERENCE_MEMORY_GB}",
            f"--cache-dir={settings.WORK_DIR / 'inference'}",
        ]
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if name.removesuffix("_FILE") not in SECRETS
        } | {"TRIVIUM_NODE_KEY": self.key}

    def keep(self) -> None:
        """Run nodes, one after the other, until `stop` is set."""
        from trivium.serving.services import retire_node

        pause_s = FIRST_PAUSE_S
        while not self.stop.is_set():
            node = NodeProcess(self.argv, self.environment)
            try:
                self._serve(node)
            except NodeFailedError as error:
                logger.warning("Inference node %s %s; starts again", self.name, error)
            finally:
                # First, so that nobody is sent to one that is gone.
                in_database(lambda: retire_node(self.name))
                self._close(node)
            if time.monotonic() - node.started > LIVED_S:
                pause_s = FIRST_PAUSE_S
            self.stop.wait(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    def _close(self, node: NodeProcess) -> None:
        if self.stop.is_set():
            node.close()
            return
        # It died or is stuck: there is nothing to wait for.
        node.process.kill()
        node.close()

    def _serve(self, node: NodeProcess) -> None:
        """Announce a node, and renew what it says, until `stop` is set.

        Raises:
            NodeFailedError: it must be started again.
        """
        from trivium.serving.services import announce_node, beat_node

        url = node.address(self.stop)
        if not url:
            return
        port = url.rpartition(":")[2]
        public = f"http://{self.host}:{port}"
        heard_at = time.monotonic()
        is_announced = False
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}",
            headers={NODE_KEY_HEADER: self.key},
            timeout=ANSWER_S,
            trust_env=False,
        ) as client:
            while not self.stop.is_set():
                node.check()
                state = ask(client)
                if state is not None:
                    heard_at = time.monotonic()
                    found = state
                    if is_announced:
                        is_announced = in_database(
                            lambda found=found: beat_node(name=self.name, state=found)  # type: ignore[misc]
                        )
                    if not is_announced:
                        is_announced = in_database(
                            lambda found=found: bool(  # type: ignore[misc]
                                announce_node(name=self.name, url=public, state=found)
                            )
                        )
                elif time.monotonic() - heard_at > SILENT_S:
                    raise NodeFailedError(f"said nothing for {SILENT_S:.0f} s")
                self.stop.wait(BEAT_S)


def ask(client: httpx.Client) -> NodeState | None:
    """Return what a node says of itself; None where it does not answer."""
    try:
        found = client.get("/state")
        found.raise_for_status()
        return NodeState.model_validate_json(found.content)
    except (httpx.HTTPError, ValidationError) as error:
        logger.warning("The inference node does not answer: %s", error)
        return None


def in_database(write: "Callable[[], bool | None]") -> bool:
    """Do something with the database, which may be away for a while."""
    from django.db import DatabaseError, close_old_connections

    try:
        close_old_connections()
        return bool(write())
    except DatabaseError as error:
        logger.warning("The database is away, will be tried again: %s", error)
        return False


def main() -> None:
    """Serve one device until asked to stop."""
    import django

    options = parse(sys.argv[1:])
    django.setup()
    from django.conf import settings

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    device = options.device or settings.INFERENCE_DEVICE
    Keeper(name=options.name, device=device, stop=stop).keep()


def parse(argv: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m supervisor.serving")
    parser.add_argument("--name", default=socket.gethostname(), help="unique name")
    parser.add_argument("--device", default="", help="cpu, cuda:1, …")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
