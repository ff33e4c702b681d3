"""Calls that answer with one object."""

import asyncio
import time
import uuid

from runspec.serving import (
    Cancelled,
    CancelRequest,
    Candidate,
    Embedded,
    EmbedRequest,
    ErrorEvent,
    Filled,
    FillRequest,
    GenerateRequest,
    LoadRequest,
    ModelFacts,
    NextRequest,
    NextTokens,
    NodeState,
    Prompt,
    Rendered,
    RenderRequest,
    Sampling,
    Scored,
    ScoreRequest,
    TokensEvent,
)

from inference.answering import too_long
from inference.encoder import BATCH
from inference.errors import RefusedError
from inference.node import Node
from inference.served import Served


async def state(node: Node) -> NodeState:
    """Say what the node is and does; not well where nothing computes any more."""
    if not node.engine.is_alive:
        raise RefusedError(500, "engine_died", "the engine's thread has ended")
    return node.state()


async def load(node: Node, asked: LoadRequest) -> ModelFacts:
    """Get a model ready."""
    async with node.registry.use(asked.model) as served:
        return served.facts


async def unload(node: Node, asked: LoadRequest) -> NodeState:
    """Let a model go."""
    await node.registry.unload(asked.model)
    return node.state()


async def render(node: Node, asked: RenderRequest) -> Rendered:
    """Say what a prompt would look like."""
    async with node.registry.use(asked.model) as served:
        return await asyncio.to_thread(
            served.prompts.render, asked.prompt, served.facts.context
        )


async def cancel(node: Node, asked: CancelRequest) -> Cancelled:
    """End a request at its next token; answer once its slots are free."""
    begun = time.monotonic()
    answer = node.answers.get(asked.id)
    if answer is None:
        return Cancelled(freed_ms=None)
    answer.cancel()
    await answer.freed.wait()
    return Cancelled(freed_ms=max(0.0, (answer.freed_at - begun) * 1000))


async def next_tokens(node: Node, asked: NextRequest) -> NextTokens:
    """Say what may come after some tokens."""
    generate = GenerateRequest(
        id=f"next-{uuid.uuid4().hex}",
        model=asked.model,
        prompt=Prompt(ids=asked.ids),
        sampling=Sampling(max_tokens=1, temperature=0, seed=0),
    )
    async with node.registry.use(asked.model) as served:
        if served.facts.architecture != "decoder":
            raise unfit(served, "says no next token after a text")
        generates(served)
        prompt = await asyncio.to_thread(served.prompts.read, generate.prompt)
        with node.admitted(generate) as answer:
            answer.ask(served, prompt, top_logprobs=asked.top, ends=())
            while True:
                event = await answer.next()
                if isinstance(event, TokensEvent):
                    token = event.tokens[0]
                    await answer.freed.wait()
                    return NextTokens(
                        candidates=tuple(
                            Candidate(id=one, text=text, logprob=logprob)
                            for one, text, logprob in token.top
                        ),
                        entropy=token.entropy,
                    )
                if isinstance(event, ErrorEvent):
                    raise RefusedError(event.status, event.code, event.message)


async def fill(node: Node, asked: FillRequest) -> Filled:
    """Fill the masks of a text."""
    async with node.registry.use(asked.model) as served:
        filler = served.filler
        if filler is None:
            raise unfit(served, "fills no masks")
        ids = await read_text(served, asked.text)
        return await node.compute(lambda: filler.fill(asked, ids))


async def embed(node: Node, asked: EmbedRequest) -> Embedded:
    """Turn texts into vectors, some at a time, so that streams go on."""
    async with node.registry.use(asked.model) as served:
        embedder = served.embedder
        if embedder is None:
            raise unfit(served, "makes no embeddings")
        rows = [await read_text(served, text) for text in asked.texts]
        vectors: list[tuple[float, ...]] = []
        for start in range(0, len(rows), BATCH):
            batch = rows[start : start + BATCH]
            vectors += await node.compute(lambda batch=batch: embedder.embed(batch))  # type: ignore[misc]
        return Embedded(vectors=tuple(vectors), num_tokens=sum(map(len, rows)))


async def score(node: Node, asked: ScoreRequest) -> Scored:
    """Ask a classification head about prompts."""
    async with node.registry.use(asked.model) as served:
        scorer = served.scorer
        if scorer is None:
            raise unfit(served, "gives no scores")
        rows = []
        for prompt in asked.prompts:
            found = await asyncio.to_thread(
                served.prompts.read, prompt, as_question=False
            )
            rows.append(fitting(served, found.ids))
        scores = [
            await node.compute(lambda ids=ids: scorer.score(ids))  # type: ignore[misc]
            for ids in rows
        ]
        return Scored(scores=tuple(scores), labels=served.facts.labels)


async def read_text(served: Served, text: str) -> list[int]:
    """Return the ids of a text that the model can see whole."""
    found = await asyncio.to_thread(served.prompts.read_text, text)
    return fitting(served, found.ids)


def fitting(served: Served, ids: list[int]) -> list[int]:
    """Return the ids, which the model can see.

    Raises:
        RefusedError: there are more.
    """
    if len(ids) > served.facts.context:
        raise too_long(len(ids), served.facts.context)
    return ids


def generates(served: Served) -> None:
    """Refuse where a model writes nothing."""
    if served.runner is None:
        raise unfit(served, "writes no text")


def unfit(served: Served, what: str) -> RefusedError:
    """Say that a model is of another kind."""
    kind = "with a score head" if served.scorer else served.facts.architecture
    return RefusedError(
        400,
        "model_not_suitable",
        f"{served.facts.key} is a model of the kind {kind}: it {what}",
        "model",
    )
