"""A model in memory, and the code that answers with it."""

import math
import time
from dataclasses import dataclass, field
from typing import Any

from runspec.serving import LoadedModel, ModelFacts, ModelRef, Sampling, TokenTold

from inference.decoder.making import make_runner
from inference.encoder import Embedder, MaskFiller
from inference.encoder_decoder import EncoderDecoderReader
from inference.engine import Runner
from inference.errors import is_out_of_memory
from inference.library import LibraryReader
from inference.loading import Built, not_found
from inference.one_ahead import OneAheadRunner
from inference.one_by_one import MOST_SLOTS, OneByOneRunner
from inference.prompts import PromptReader, Templates
from inference.scoring import Scorer
from inference.sequence import Sequence
from inference.vocabulary import Vocabulary, vocabulary_of

NOT_FINITE = "its numbers are not finite; its training went wrong"


@dataclass(eq=False)
class Served:
    """A model in memory, with all that answers for it."""

    ref: ModelRef
    facts: ModelFacts
    prompts: PromptReader
    vocabulary: Vocabulary
    engine_name: str
    """What computes, with its types and device; part of each receipt."""
    is_exact: bool = True
    num_slots: int = 0
    runner: Runner | None = None
    filler: MaskFiller | None = None
    embedder: Embedder | None = None
    scorer: Scorer | None = None
    num_users: int = 0
    """Requests at work; a model with any is never let go."""
    used_at: float = field(default_factory=time.monotonic)

    def told(self) -> LoadedModel:
        """Return what the node announces of it."""
        is_idle = not self.num_users
        return LoadedModel(
            facts=self.facts,
            num_running=self.runner.num_running if self.runner else self.num_users,
            num_waiting=self.runner.num_waiting if self.runner else 0,
            idle_s=time.monotonic() - self.used_at if is_idle else 0.0,
        )


@dataclass
class Parts:
    """What answers with a model: one of these, or a filler and an embedder."""

    name: str
    dtype: str
    num_bytes: int
    num_slots: int = 0
    """Answers it computes at the same time."""
    runner: Runner | None = None
    filler: MaskFiller | None = None
    embedder: Embedder | None = None
    scorer: Scorer | None = None
    is_exact: bool = True


def serve(
    ref: ModelRef,
    built: Built,
    templates: Templates,
    engine_name: str,
    *,
    room_bytes: int,
) -> Served:
    """Give a model in memory to the code that answers with it.

    `room_bytes` is the most its keys and values may take.
    """
    tokenizer = built.tokenizer
    vocabulary = vocabulary_of(tokenizer)
    # Counted and asked before the fast pass may let the model go.
    num_parameters = sum(one.numel() for one in built.model.parameters())
    num_ids = built.model.get_input_embeddings().num_embeddings
    eos_ids = eos_ids_of(built.model, tokenizer)
    parts = parts_of(built, vocabulary, room_bytes=room_bytes)
    if parts.runner is not None:
        try:
            warm_up(parts.runner)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            raise not_found(ref, f"it does not compute here: {error}") from error
    facts = ModelFacts(
        key=ref.key,
        architecture=built.architecture,
        runner=parts.name,
        context=built.context,
        vocab_size=len(tokenizer),
        num_parameters=num_parameters,
        dtype=parts.dtype,
        bytes=parts.num_bytes,
        has_template=bool(tokenizer.chat_template),
        has_score_head=parts.scorer is not None,
        labels=parts.scorer.labels if parts.scorer else (),
        mask_token=tokenizer.mask_token if parts.filler else None,
        eos_ids=eos_ids if parts.runner else (),
    )
    return Served(
        ref=ref,
        facts=facts,
        prompts=PromptReader(tokenizer, vocabulary, templates, num_ids=num_ids),
        vocabulary=vocabulary,
        engine_name=f"{engine_name} {parts.name} {parts.dtype}",
        is_exact=parts.is_exact,
        num_slots=parts.num_slots,
        runner=parts.runner,
        filler=parts.filler,
        embedder=parts.embedder,
        scorer=parts.scorer,
    )


def parts_of(built: Built, vocabulary: Vocabulary, *, room_bytes: int) -> Parts:
    """Return what answers with a model, by what stands on top of it."""
    if built.head == "causal-lm":
        fused = fused_parts(built.model, vocabulary, room_bytes=room_bytes)
        if fused is not None:
            return fused
    model, context = widened(built.model), built.context
    parts = Parts(built.architecture, dtype_of(model), bytes_of(model))
    if built.head == "causal-lm":
        parts.name = "library"
        parts.runner = in_turns(LibraryReader(model), vocabulary, context)
        parts.num_slots = MOST_SLOTS
    elif built.head == "scores":
        parts.name = "scoring"
        parts.scorer = Scorer(model)
    else:
        parts.embedder = Embedder(model)
    if built.head == "seq2seq-lm":
        parts.runner = in_turns(EncoderDecoderReader(model), vocabulary, context)
        parts.num_slots = MOST_SLOTS
    mask_id = built.tokenizer.mask_token_id
    if built.head == "masked-lm" and mask_id is not None:
        parts.filler = MaskFiller(model, vocabulary, mask_id)
    return parts


def in_turns(
    reader: LibraryReader | EncoderDecoderReader, vocabulary: Vocabulary, context: int
) -> Runner:
    """Return what answers one sequence at a time, without waiting for a GPU."""
    is_cpu = reader.model.device.type == "cpu"
    made = OneByOneRunner if is_cpu else OneAheadRunner
    return made(reader, vocabulary, context=context)


def warm_up(runner: Runner) -> None:
    """Answer one token, before anybody waits for it.

    The fast pass is compiled where it never was on this machine, and a model that
    cannot compute is found out. The engine does not step this runner yet.

    Raises:
        Exception: whatever went wrong.
    """
    failures: list[Exception] = []

    def tell(token: TokenTold) -> bool:
        if not math.isfinite(token.logprob):
            failures.append(ArithmeticError(NOT_FINITE))
        return False

    sequence = Sequence(
        prompt_ids=[0],
        sampling=Sampling(max_tokens=1, temperature=0),
        tell=tell,
        finish=lambda _: None,
        fail=failures.append,
        start=lambda _: None,
        eos_ids=frozenset(),
        max_tokens=1,
        seed=0,
    )
    runner.add(sequence)
    while runner.step():
        pass
    if failures:
        raise failures[0]


def fused_parts(model: Any, vocabulary: Vocabulary, *, room_bytes: int) -> Parts | None:
    """Return the pass for many sequences; None for families it does not know."""
    runner = make_runner(model, vocabulary, room_bytes=room_bytes)
    if runner is None:
        return None
    holder = runner.holder
    return Parts(
        "fused" if holder.is_exact else "batched",
        holder.dtype_name,
        holder.num_bytes,
        len(runner.slots.all),
        runner,
        is_exact=holder.is_exact,
    )


def widened(model: Any) -> Any:
    """Return a model as it is computed with: CPUs have no fast half precision."""
    return model.float() if model.device.type == "cpu" else model


def dtype_of(model: Any) -> str:
    """Return the type of a model's weights, in the words of people."""
    name = str(next(model.parameters()).dtype).removeprefix("torch.")
    return {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}.get(name, name)


def bytes_of(model: Any) -> int:
    """Return the memory a model's weights take."""
    return sum(one.numel() * one.element_size() for one in model.parameters())


def eos_ids_of(model: Any, tokenizer: Any) -> tuple[int, ...]:
    """Return the tokens that end an answer, by all that name one."""
    found: set[int] = set()
    settings = getattr(model, "generation_config", None)
    for source in (settings, model.config, tokenizer):
        named = getattr(source, "eos_token_id", None)
        ids = named if isinstance(named, list | tuple) else [named]
        found.update(one for one in ids if isinstance(one, int))
    return tuple(sorted(found))
