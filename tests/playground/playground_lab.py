"""A conversation with a fake node behind it."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from fake_node import FakeNode, end, receipt, token
from runspec.serving import (
    FinishEvent,
    GenerateRequest,
    PromptEvent,
    StreamEvent,
    TokensEvent,
)
from serving_lab import make_model, make_node, model, node
from trivium.accounts.models import User
from trivium.models.models import LanguageModel
from trivium.playground import services
from trivium.playground.models import Conversation, Generation
from trivium.projects.models import Project
from trivium.serving.choices import ModelChoice, of_model

__all__ = ["make_model", "make_node", "model", "node"]


@pytest.fixture
def choice(model: LanguageModel) -> ModelChoice:
    LanguageModel.objects.filter(pk=model.pk).update(stage="instruct")
    model.refresh_from_db()
    return of_model(model)


@pytest.fixture
def talk(project: Project, vera: User, choice: ModelChoice) -> Conversation:
    """A conversation of a viewer: whoever is a member may talk."""
    return services.start_conversation(
        project=project,
        created_by=vera,
        choice_id=choice.id,
        sampling={"temperature": 0.0},
    )


@pytest.fixture
def say(
    talk: Conversation, vera: User, choice: ModelChoice, node: FakeNode
) -> Callable[..., Generation]:
    def send(content: str = "Hello", **more: object) -> Generation:
        talk.refresh_from_db()
        given = {"parent": talk.head} | more
        return services.send_message(
            talk, sender=vera, choice=choice, content=content, **given
        )

    return send


class Counting:
    """A script of tokens that goes on where an answer was broken off."""

    def __init__(self, number: int, delay_s: float = 0.0) -> None:
        self.number = number
        self.delay_s = delay_s

    async def __call__(self, request: GenerateRequest) -> AsyncIterator[StreamEvent]:
        yield PromptEvent(receipt=receipt(request))
        begun = len(request.answered_ids)
        for place in range(begun, self.number):
            text = f"{place} "
            yield TokensEvent(index=0, tokens=(token(place, text, top=0),), text=text)
            await asyncio.sleep(self.delay_s)
        yield FinishEvent(index=0, reason="stop")
        yield end(request, self.number - begun)


@pytest.fixture
def counting(node: FakeNode) -> Callable[..., None]:
    def use(number: int, delay_s: float = 0.0) -> None:
        node.script = Counting(number, delay_s)

    return use


def numbers(count: int) -> str:
    """What `Counting` writes."""
    return "".join(f"{place} " for place in range(count))
