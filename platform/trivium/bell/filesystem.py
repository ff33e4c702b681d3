"""A bell of files: kombu's filesystem transport, made safe to be killed at any moment.

The stock transport writes a message at its final name and dies on a file it cannot
decode, so one kill in between would stop every worker. Here a message appears by one
rename, what cannot be read is set aside as `.bad-*`, and a folder that was deleted is
made again. Queues are addressed by name alone, so there is no exchange file to break.
A message that is lost all the same costs one sweep.
"""

import contextlib
import json
import logging
import os
import time
import uuid
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, filesystem

logger = logging.getLogger(__name__)

NAME = "trivium-filesystem"
POLL_S = 0.1
SUFFIX = ".msg"
BAD = ".bad-"
TEMPORARY = ".tmp-"
MAX_BAD = 100
"""Unreadable files kept for a look; more are deleted at once."""


class Channel(filesystem.Channel):
    """Writes by rename, reads by rename, and survives what it finds."""

    def _lookup(
        self, _exchange: str, routing_key: str, default: str | None = None
    ) -> list[str]:
        """Deliver to the queue of that name; there are no bindings to keep."""
        return [routing_key or default or ""]

    def _queue_bind(self, *_: Any) -> None:
        """Bind nothing: see `_lookup`."""

    def get_table(self, _exchange: str) -> list[Any]:
        """Know no bindings: see `_lookup`."""
        return []

    def _put(self, queue: str, payload: dict[str, Any], **_: Any) -> None:
        folder = self._folder()
        name = f"{time.time_ns():020d}_{uuid.uuid4().hex}.{queue}{SUFFIX}"
        temporary = folder / f"{TEMPORARY}{name}"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(payload, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(folder / name)

    def _get(self, queue: str) -> dict[str, Any]:
        for file in self._messages(queue):
            taken = file.with_name(f"{TEMPORARY}{file.name}")
            try:
                file.rename(taken)
                raw = taken.read_bytes()
            except OSError:
                continue  # another consumer was quicker
            try:
                payload = json.loads(raw)
                if not isinstance(payload, dict) or "body" not in payload:
                    raise ValueError("not a message")
            except ValueError:
                self._set_aside(taken, file.name)
                continue
            taken.unlink(missing_ok=True)
            return payload
        raise Empty

    def _size(self, queue: str) -> int:
        return len(self._messages(queue))

    def _purge(self, queue: str) -> int:
        files = self._messages(queue)
        for file in files:
            file.unlink(missing_ok=True)
        return len(files)

    def _delete(self, queue: str, *_: Any, **__: Any) -> None:
        self._purge(queue)

    def _folder(self) -> Path:
        folder = Path(self.data_folder_in)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    def _messages(self, queue: str) -> list[Path]:
        ending = f".{queue}{SUFFIX}"
        return [
            file
            for file in sorted(self._folder().iterdir())
            if file.name.endswith(ending) and not file.name.startswith(".")
        ]

    def _set_aside(self, file: Path, name: str) -> None:
        logger.warning("The bell holds an unreadable message, set aside: %s", name)
        with contextlib.suppress(OSError):
            if sum(1 for _ in file.parent.glob(f"{BAD}*")) >= MAX_BAD:
                file.unlink()
            else:
                file.rename(file.with_name(f"{BAD}{name}"))


class Transport(filesystem.Transport):
    """The transport behind `trivium-filesystem://`."""

    Channel = Channel
    polling_interval = POLL_S


def register_transport() -> None:
    """Let kombu find the transport by its name in a URL."""
    TRANSPORT_ALIASES[NAME] = "trivium.bell.filesystem:Transport"
