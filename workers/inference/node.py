"""What all calls of a node share: its device, its models, and who waits for them."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from runspec.serving import GenerateRequest, NodeState

from inference.answering import Answer
from inference.engine import Engine
from inference.errors import RefusedError
from inference.registry import Registry

MAX_WAITING = 256
"""Answers that wait for a slot; more are refused at once, so that none waits long."""

Result = TypeVar("Result")


@dataclass
class Node:
    """All that a node's calls need."""

    engine: Engine
    registry: Registry
    device_name: str
    max_waiting: int = MAX_WAITING
    answers: dict[str, Answer] = field(default_factory=dict)

    @property
    def num_waiting(self) -> int:
        """Answers that have no slot yet, those of models being loaded included."""
        return sum(answer.num_waiting for answer in self.answers.values())

    def state(self) -> NodeState:
        """Return what the node announces of itself."""
        models = tuple(one.told() for one in self.registry.served.values())
        return NodeState(
            engine=self.registry.engine_name,
            device=self.registry.device,
            device_name=self.device_name,
            memory_budget_bytes=self.registry.memory_bytes,
            models=models,
            num_running=sum(one.num_running for one in models),
            num_waiting=self.num_waiting,
            num_slots=sum(one.num_slots for one in self.registry.served.values()),
        )

    @contextmanager
    def admitted(self, request: GenerateRequest) -> Iterator[Answer]:
        """Yield a new answer, known by its id while it is made.

        Raises:
            RefusedError: too many wait, or the request contradicts itself.
        """
        if request.id in self.answers:
            raise RefusedError(
                409, "duplicate_id", f"the request {request.id!r} runs already", "id"
            )
        if request.answered_ids and request.n > 1:
            raise RefusedError(
                400, "invalid_request", "answered_ids go with n = 1", "answered_ids"
            )
        if self.num_waiting + request.n > self.max_waiting:
            raise RefusedError(
                503,
                "overloaded",
                f"{self.num_waiting} answers wait already, and at most "
                f"{self.max_waiting} may",
            )
        answer = Answer(request, self.engine)
        self.answers[request.id] = answer
        try:
            yield answer
        finally:
            answer.close()
            del self.answers[request.id]

    async def compute(self, work: Callable[[], Result]) -> Result:
        """Do something on the engine's thread, between two steps of the streams."""
        return await asyncio.wrap_future(self.engine.call(work))
