"""A warm process from which trainers are forked: `python -m trainer.forkserver SOCKET`.

Importing torch and transformers takes seconds; a fork takes milliseconds. The server
computes nothing and initialises no CUDA, so that a fork of it is as good as new.

Whoever connects to the socket sends one line of JSON, {"argv", "environment",
"folder"}, with two file descriptors: the lifeline, and the log. It is answered
{"pid": n} and, on the same connection, {"exit": code} when that trainer is gone
(-signal where one killed it). The server ends with its standard input; the trainers
it made live on.
"""

import array
import json
import os
import selectors
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

MAX_REQUEST = 65_536
NUM_DESCRIPTORS = 2


def serve(path: Path) -> None:
    """Fork trainers until standard input ends."""
    import trainer.pretrain
    import trainer.sft  # noqa: F401 - imported for what they import

    waker, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    # Ctrl-C at a terminal reaches every process; the node says when to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    path.unlink(missing_ok=True)  # of a server that was killed
    listener.bind(str(path))
    listener.listen(64)
    selector = selectors.DefaultSelector()
    for source in (listener, sys.stdin.fileno(), waker):
        selector.register(source, selectors.EVENT_READ)
    callers: dict[int, socket.socket] = {}
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                _accept(listener, callers)
            elif key.fileobj == waker:
                os.read(waker, 4096)
                _tell_who_ended(callers)
            elif not os.read(sys.stdin.fileno(), 4096):
                return


def _accept(listener: socket.socket, callers: dict[int, socket.socket]) -> None:
    caller, _ = listener.accept()
    caller.settimeout(5)
    try:
        request, descriptors = _receive(caller)
    except (OSError, ValueError):
        caller.close()
        return
    pid = os.fork()
    if pid == 0:
        for other in (listener, caller, *callers.values()):
            other.close()
        _become_trainer(request, *descriptors)
    for descriptor in descriptors:
        os.close(descriptor)
    callers[pid] = caller
    _send(caller, {"pid": pid})


def _receive(caller: socket.socket) -> tuple[dict[str, object], list[int]]:
    size = NUM_DESCRIPTORS * array.array("i").itemsize
    raw, ancillary, _, _ = caller.recvmsg(MAX_REQUEST, socket.CMSG_SPACE(size))
    descriptors = array.array("i")
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(content[:size])
    while not raw.endswith(b"\n"):
        more = caller.recv(MAX_REQUEST)
        if not more or len(raw) > MAX_REQUEST:
            raise ValueError("the request is cut or too long")
        raw += more
    if len(descriptors) != NUM_DESCRIPTORS:
        raise ValueError("the request lacks its file descriptors")
    return json.loads(raw), list(descriptors)


def _become_trainer(request: dict[str, object], lifeline: int, log: int) -> NoReturn:
    """Be the trainer: own session, own log, and only the environment it was given."""
    code = 1
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.environ.clear()
        os.environ.update(request["environment"])  # type: ignore[call-overload]
        os.chdir(str(request["folder"]))
        import torch

        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
        from trainer.main import run

        argv = [str(part) for part in request["argv"]]  # type: ignore[attr-defined]
        code = run([*argv, "--lifeline", str(lifeline)])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _tell_who_ended(callers: dict[int, socket.socket]) -> None:
    while callers:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        caller = callers.pop(pid, None)
        if caller is not None:
            _send(caller, {"exit": os.waitstatus_to_exitcode(status)})
            caller.close()


def _send(caller: socket.socket, message: dict[str, int]) -> None:
    with suppress(OSError):  # its supervisor may be gone
        caller.sendall(json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
