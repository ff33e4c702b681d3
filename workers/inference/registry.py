"""Which models are in memory: loaded when asked for, the least recently used let go.

Everything here runs on the event loop; weights are read in a thread beside it, so that
streams go on meanwhile.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from runspec.serving import ModelRef

from inference.engine import Engine
from inference.errors import RefusedError, refused
from inference.loading import build, locate
from inference.prompts import Templates
from inference.served import Served, serve

logger = logging.getLogger(__name__)

ROOM_SHARE = 8
"""One model's keys and values get this part of the budget at most."""


class Registry:
    """The models of one device."""

    def __init__(
        self,
        engine: Engine,
        templates: Templates,
        *,
        engine_name: str,
        device: str,
        memory_bytes: int,
        cache: Path,
    ) -> None:
        """Begin with none."""
        self.engine = engine
        self.templates = templates
        self.engine_name = engine_name
        self.device = device
        self.memory_bytes = memory_bytes
        self.cache = cache
        self.served: dict[str, Served] = {}
        self._loading: dict[tuple[str, str], asyncio.Task[Served]] = {}
        self._turn = asyncio.Lock()
        """One model is loaded at a time, or two would count on the same memory."""

    @asynccontextmanager
    async def use(self, ref: ModelRef) -> AsyncIterator[Served]:
        """Yield a model, loaded if need be; it stays while it is used.

        Raises:
            RefusedError: it cannot be loaded, or there is no memory for it.
        """
        served = await self._get(ref)
        served.num_users += 1
        try:
            yield served
        finally:
            served.num_users -= 1
            served.used_at = time.monotonic()

    async def unload(self, ref: ModelRef) -> None:
        """Let go of a model.

        Raises:
            RefusedError: it is at work.
        """
        served = self.served.get(ref.key)
        if served is None:
            return
        if served.num_users:
            raise RefusedError(
                409, "model_busy", f"{ref.key} is answering {served.num_users} requests"
            )
        await self._let_go(served)

    async def _get(self, ref: ModelRef) -> Served:
        identity = (ref.key, ref.sha256)
        while True:
            served = self.served.get(ref.key)
            if served is not None and served.ref.sha256 == ref.sha256:
                return served
            task = self._loading.get(identity)
            if task is None:
                task = asyncio.create_task(self._load(ref))
                self._loading[identity] = task
                task.add_done_callback(lambda _: self._forget(identity))
            # Shielded: an asker who leaves takes nothing from the others.
            served = await asyncio.shield(task)
            if self.served.get(ref.key) is served:
                return served

    def _forget(self, identity: tuple[str, str]) -> None:
        task = self._loading.pop(identity)
        if not task.cancelled():
            task.exception()  # looked at, even where nobody waits any more

    async def _load(self, ref: ModelRef) -> Served:
        async with self._turn:
            before = self.served.get(ref.key)
            if before is not None:  # of other content, by the same name
                await self.unload(before.ref)
            try:
                place = await asyncio.to_thread(locate, ref, self.cache)
                await self._make_room(ref, place.num_bytes)
                served = await asyncio.to_thread(self._build, ref, place)
                await self._make_room(ref, served.facts.bytes)
            except Exception as error:
                failure = refused(error)
                if failure is not error:
                    logger.exception("%s could not be loaded", ref.key)
                raise failure from error
            if served.runner is not None:
                runner = served.runner
                await asyncio.wrap_future(
                    self.engine.call(lambda: self.engine.add(runner))
                )
            self.served[ref.key] = served
            logger.info("%s is loaded (%s)", ref.key, served.facts.runner)
            return served

    def _build(self, ref: ModelRef, place: Any) -> Served:
        built = build(ref, place, self.device)
        room_bytes = self.memory_bytes // ROOM_SHARE
        return serve(
            ref, built, self.templates, self.engine_name, room_bytes=room_bytes
        )

    async def _make_room(self, ref: ModelRef, num_bytes: int) -> None:
        """Let idle models go until this much fits.

        Raises:
            RefusedError: it never will, or those that are left are at work.
        """
        if num_bytes > self.memory_bytes:
            raise no_memory(ref, num_bytes, f"may use {in_mb(self.memory_bytes)}")
        while self._num_bytes() + num_bytes > self.memory_bytes:
            idle = [one for one in self.served.values() if not one.num_users]
            if not idle:
                used = self._num_bytes()
                raise no_memory(ref, num_bytes, f"has {in_mb(used)} at work")
            await self._let_go(min(idle, key=lambda one: one.used_at))

    def _num_bytes(self) -> int:
        return sum(one.facts.bytes for one in self.served.values())

    async def _let_go(self, served: Served) -> None:
        del self.served[served.ref.key]
        runner = served.runner
        if runner is not None:
            await asyncio.wrap_future(
                self.engine.call(lambda: self.engine.remove(runner))
            )
        logger.info("%s is unloaded", served.ref.key)


def no_memory(ref: ModelRef, num_bytes: int, why: str) -> RefusedError:
    """Say that a model does not fit."""
    return RefusedError(
        503,
        "out_of_memory",
        f"{ref.key} needs {in_mb(num_bytes)}, and this inference node {why}",
        "model",
    )


def in_mb(num_bytes: int) -> str:
    """Return a size for people."""
    return f"{num_bytes / 1e6:,.1f} MB"
