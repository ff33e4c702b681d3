"""One trainer as its supervisor sees it: started, watched, asked to stop, killed.

A trainer leads a session of its own, so that all it started can be killed with it. It
holds one end of a pipe, the lifeline; when its supervisor dies the pipe ends, and the
trainer saves and exits.
"""

import array
import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from supervisor import processes

logger = logging.getLogger(__name__)

FORK_SERVER_VARIABLE = "TRIVIUM_FORK_SERVER"
CONNECT_TIMEOUT_S = 5.0
UNKNOWN_EXIT = 255
"""The trainer is gone and nobody saw with which code: its last event tells."""


@dataclass
class TrainerProcess:
    """A running trainer, forked from the warm server or started afresh."""

    pid: int
    lifeline: int
    child: "subprocess.Popen[bytes] | None" = None
    connection: socket.socket | None = None
    _received: bytes = field(default=b"", repr=False)
    _exit: int | None = None

    def poll(self) -> int | None:
        """Return the exit code once it is gone; -signal where a signal ended it."""
        if self._exit is None:
            self._exit = self._ask()
            if self._exit is not None:
                # What it started must not outlive it.
                processes.kill_group(self.pid)
                self._close()
        return self._exit

    def ask_to_stop(self) -> None:
        """Let it save and exit."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)

    def dump_stacks(self) -> None:
        """Let it write every thread's stack to its log."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGUSR1)

    def kill(self) -> None:
        """End it and all it started, at once."""
        processes.kill_group(self.pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)  # it may not lead a group yet

    def _ask(self) -> int | None:
        if self.child is not None:
            return self.child.poll()
        assert self.connection is not None
        try:
            raw = self.connection.recv(4096)
        except BlockingIOError:
            return None
        except OSError:
            raw = b""
        self._received += raw
        for line in self._received.splitlines():
            message = json.loads(line)
            if "exit" in message:
                return int(message["exit"])
        if raw:
            return None
        # The fork server is gone, the trainer perhaps not.
        return None if _is_alive(self.pid) else UNKNOWN_EXIT

    def _close(self) -> None:
        os.close(self.lifeline)
        if self.connection is not None:
            self.connection.close()


def _is_alive(pid: int) -> bool:
    try:
        return processes.is_alive(psutil.Process(pid))
    except psutil.NoSuchProcess:
        return False


def start_trainer(
    argv: list[str], *, environment: dict[str, str], folder: Path, log: Path
) -> TrainerProcess:
    """Start `python -m trainer ARGV`, by a fork where a warm server is there."""
    read_end, write_end = os.pipe()
    try:
        with log.open("ab") as log_handle:
            server = os.environ.get(FORK_SERVER_VARIABLE, "")
            if server:
                try:
                    return _fork(
                        server,
                        {
                            "argv": argv,
                            "environment": environment,
                            "folder": str(folder),
                        },
                        descriptors=[read_end, log_handle.fileno()],
                        lifeline=write_end,
                    )
                except OSError as error:
                    logger.info("No warm fork server (%s): starting afresh", error)
            child = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    "-m",
                    "trainer",
                    *argv,
                    "--lifeline",
                    str(read_end),
                ],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log_handle,
                stderr=log_handle,
                start_new_session=True,
                pass_fds=[read_end],
            )
            return TrainerProcess(pid=child.pid, lifeline=write_end, child=child)
    except BaseException:
        os.close(write_end)
        raise
    finally:
        os.close(read_end)


def _fork(
    server: str, request: dict[str, object], *, descriptors: list[int], lifeline: int
) -> TrainerProcess:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(CONNECT_TIMEOUT_S)
        connection.connect(server)
        rights = array.array("i", descriptors).tobytes()
        connection.sendmsg(
            [json.dumps(request).encode() + b"\n"],
            [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)],
        )
        received = b""
        deadline = time.monotonic() + CONNECT_TIMEOUT_S
        while b"\n" not in received:
            raw = connection.recv(4096)
            if not raw or time.monotonic() > deadline:
                raise ConnectionError("the fork server gave no answer")
            received += raw
        pid = int(json.loads(received.splitlines()[0])["pid"])
        connection.setblocking(False)
    except BaseException:
        connection.close()
        raise
    return TrainerProcess(
        pid=pid, lifeline=lifeline, connection=connection, _received=received
    )
