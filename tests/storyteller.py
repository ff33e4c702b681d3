"""A fake node whose answers look like a model's: words, and what else could be."""

import asyncio
import hashlib
import math
from collections.abc import AsyncIterator

from fake_node import FakeNode, end, receipt
from runspec.serving import (
    Candidate,
    FinishEvent,
    GenerateRequest,
    ModelFacts,
    NextRequest,
    NextTokens,
    PromptEvent,
    StreamEvent,
    TokensEvent,
    TokenTold,
)

STORIES = {
    0: "Once upon a time there was a small river that ran from the mountain to the "
    "sea. Every spring it carried the snow away, and every summer it grew thin and "
    "quiet. The people of the valley loved it, and they built their houses near its "
    "banks.",
    1: "The longest river is the Nile, if one counts from its farthest spring. Some "
    "geographers say that the Amazon is longer; it depends on where one begins to "
    "measure, and on which mouth one counts.",
}
WORDS = tuple(dict.fromkeys("".join(f" {story}" for story in STORIES.values()).split()))
PROMPT_IDS = 4


def ids_of(story: str) -> list[int]:
    return [WORDS.index(word) for word in story.split()]


def next_of(before: tuple[int, ...], expected: int) -> NextTokens:
    """Return a distribution that favours what the story has, sometimes barely."""
    seed = hashlib.sha256(repr(before).encode()).digest()
    weights = [math.exp(-rank / (1 + seed[0] / 40)) for rank in range(len(WORDS))]
    order = sorted(range(len(WORDS)), key=lambda at: seed[at % 32] * 31 + at * 7 % 97)
    place = (0, 0, 0, 0, 1, 0, 2, 0, 0, 5)[seed[1] % 10]
    order.remove(expected)
    order.insert(place, expected)
    total = sum(weights)
    logprobs = [math.log(weight / total) for weight in weights]
    entropy = -sum(math.exp(one) * one for one in logprobs)
    return NextTokens(
        candidates=tuple(
            Candidate(id=at, text=f" {WORDS[at]}", logprob=logprob)
            for at, logprob in zip(order, logprobs, strict=True)
        ),
        entropy=entropy,
    )


class Storyteller(FakeNode):
    """Tells one story, from wherever an answer begins."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.script = self.tell
        self.delay_s = 0.01

    def story_of(self, model_key: str) -> list[int]:
        return ids_of(STORIES[int(model_key.rsplit("-", 1)[-1]) % 2])

    def told(self, story: list[int], before: list[int]) -> TokenTold:
        at = len(before)
        expected = story[at % len(story)]
        found = next_of(tuple(before), expected)
        one = next(one for one in found.candidates if one.id == expected)
        return TokenTold(
            id=one.id,
            text=one.text,
            bytes=tuple(one.text.encode()),
            logprob=one.logprob,
            entropy=found.entropy,
        )

    async def tell(self, request: GenerateRequest) -> AsyncIterator[StreamEvent]:
        made = receipt(request)
        ids = tuple(range(PROMPT_IDS))
        yield PromptEvent(receipt=made.model_copy(update={"prompt_ids": ids}))
        story = self.story_of(request.model.key)
        answer = list(request.answered_ids)
        most = request.sampling.max_tokens or 10**9
        while len(answer) < min(len(story), most):
            token = self.told(story, answer)
            answer.append(token.id)
            yield TokensEvent(index=0, tokens=(token,), text=token.text)
            await asyncio.sleep(self.delay_s)
        yield FinishEvent(index=0, reason="stop")
        yield end(request, len(answer))

    def answer_call(self, path: str, body: bytes) -> object:
        """Answer `/next` and `/load`; None leaves it to the plain fake."""
        if path == "/next":
            asked = NextRequest.model_validate_json(body)
            before = asked.ids[PROMPT_IDS:]
            story = self.story_of(asked.model.key)
            return next_of(before, story[len(before) % len(story)])
        if path == "/load":
            return ModelFacts(
                key="model-1",
                architecture="decoder",
                runner="fake",
                context=512,
                vocab_size=len(WORDS),
                num_parameters=6_500_000,
                dtype="fp32",
                bytes=26_000_000,
                has_template=True,
                has_score_head=False,
            )
        return None

    async def answer(self, send, told, status=200) -> None:
        path, body = self.calls[-1] if self.calls else ("", {})
        if status == 200 and path in {"/next", "/load"}:
            import json

            told = self.answer_call(path, json.dumps(body).encode())
        await super().answer(send, told, status)
