"""All an `rlhf` run is made of, built the same way for its preflight."""

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from runspec import RlhfSpec
from sandbox.render import renderer
from transformers import AutoConfig, GenerationConfig, PreTrainedTokenizerFast

from trainer.context import Context
from trainer.errors import BadInputError
from trainer.hardware import choose_device, choose_precision, matrix_peaks
from trainer.rlhf.prompts import Asked, asked_of, prompt_ids, refuse_no_prompt
from trainer.rlhf.rewards import Rewards, build_rewards
from trainer.rlhf.rewards.models import encoder_of
from trainer.rlhf.sampling import Drawing
from trainer.rlhf.votes import Votes, votes_of
from trainer.sft.chat import ChatEncoder
from trainer.sft.loading import SAFE, context_of, load_tokenizer
from trainer.sft.parts import MakeTrainer, Parts, refuse_kinds
from trainer.sft.rows import Source, mixed

SHOWN = 4
"""Held-out prompts whose answers are shown where the spec names none."""


@dataclass
class OnlineParts(Parts):
    """What an online run has beside what all fine-tuning has."""

    drawing: Drawing = field(default_factory=lambda: Drawing(1))
    prompts: list[Asked] = field(default_factory=list)
    """To learn from."""
    held_out: list[Asked] = field(default_factory=list)
    shown: list[Asked] = field(default_factory=list)
    """Answered at every evaluation for people to read; always the same."""
    rewards: Rewards = field(default_factory=lambda: Rewards(()))
    votes: Votes | None = None


def build_online_parts(
    spec: RlhfSpec, context: Context, make_trainer: MakeTrainer
) -> OnlineParts:
    """Read and encode all prompts and load what rewards; nothing is trained yet.

    Raises:
        BadInputError: the model, a prompt or a reward cannot be used.
        Stopped: the run shall stop.
    """
    sources = [Source.open(path) for path in spec.datasets]
    refuse_kinds(spec, sources)
    device = choose_device(spec.device)
    with ExitStack() as stack:
        render = stack.enter_context(renderer())
        folder = Path(spec.model)
        tokenizer = load_tokenizer(folder)
        encoder = encoder_of(folder, tokenizer, render)
        parts = OnlineParts(
            spec=spec,
            sources=sources,
            tokenizer=tokenizer,
            context_length=context_of(folder, spec.context),
            ends=ends_of(folder, tokenizer),
            encode=encoder,
            key="",
            asked=lambda _rows, _kind: [],
            stack=stack,
            make_trainer=make_trainer,
            adapts_itself=True,
            template=encoder.template.name,
            total_steps=spec.max_steps,
            drawing=Drawing(
                spec.max_answer_tokens, spec.temperature, spec.top_p, spec.top_k
            ),
        )
        read_prompts(parts, encoder, context)
        parts.rewards = build_rewards(spec, render, device)
        if spec.votes is not None:
            parts.votes = read_votes(spec, encoder, parts.context_length)
        parts.stack = stack.pop_all()
    parts.peaks = matrix_peaks(device, context.cache)
    parts.precision = choose_precision(spec.precision, parts.peaks)
    return parts


def ends_of(folder: Path, tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """Return the tokens that end an answer, by all that name one."""
    found = [tokenizer.eos_token_id]
    named: list[Any] = [AutoConfig.from_pretrained(folder, **SAFE)]
    if (folder / "generation_config.json").is_file():
        named.append(GenerationConfig.from_pretrained(folder, local_files_only=True))
    for source in named:
        ids = getattr(source, "eos_token_id", None)
        found += ids if isinstance(ids, list) else [ids]
    return list(dict.fromkeys(one for one in found if isinstance(one, int)))


def read_prompts(parts: OnlineParts, encoder: ChatEncoder, context: Context) -> None:
    """Encode the prompts of both splits, and plan which are asked when.

    Raises:
        BadInputError: there is none, or one is too long and none may be.
    """
    spec = parts.spec
    assert isinstance(spec, RlhfSpec)
    options: dict[str, Any] = {
        "room": spec.max_answer_tokens,
        "limit": parts.context_length,
        "context": context,
    }
    parts.prompts, parts.tally = asked_of(parts.sources, "train", encoder, **options)
    if spec.too_long == "refuse" and parts.tally.too_long:
        raise BadInputError(
            f"{parts.tally.too_long:,} prompts leave no room for an answer of "
            f"{spec.max_answer_tokens:,} tokens within {parts.context_length:,} (such "
            f"as {', '.join(parts.tally.long_rows[:3])})",
            "Lower max_answer_tokens, or set too_long to drop.",
        )
    refuse_no_prompt(parts.tally, spec.max_answer_tokens)
    held, _ = asked_of(parts.sources, "validation", encoder, **options)
    parts.held_out = evenly(held, spec.eval_rows)
    parts.train = Dataset.from_dict({"prompt": order_of(parts.prompts, spec)})
    parts.shown = shown_of(parts, encoder, spec)


def order_of(prompts: list[Asked], spec: RlhfSpec) -> list[int]:
    """Return which prompt is asked when, all steps of the run one behind the other.

    Each epoch is a shuffle of its own, made of the seed: a run that goes on finds its
    place in the same order.
    """
    columns = {
        "prompt": list(range(len(prompts))),
        "source": [one.source for one in prompts],
    }
    epoch = mixed(Dataset.from_dict(columns), spec.weights, spec.seed)
    places = np.asarray(epoch["prompt"])
    wanted = -(-spec.max_steps // spec.num_iterations) * spec.batch_size
    found: list[int] = []
    number = 0
    while len(found) < wanted:
        shuffle = np.random.Generator(np.random.Philox(key=[spec.seed, number]))
        found += shuffle.permutation(places).tolist()
        number += 1
    return found[:wanted]


def evenly(asked: list[Asked], most: int) -> list[Asked]:
    """Return at most so many, spread evenly."""
    if len(asked) <= most:
        return asked
    places = np.linspace(0, len(asked) - 1, most).round().astype(int)
    return [asked[at] for at in places]


def shown_of(parts: OnlineParts, encoder: ChatEncoder, spec: RlhfSpec) -> list[Asked]:
    """Return the prompts whose answers people read at every evaluation.

    Raises:
        BadInputError: one of the spec's own leaves no room for an answer.
    """
    if not spec.sample_prompts:
        return (parts.held_out or parts.prompts)[:SHOWN]
    asked: list[list[dict[str, Any]]] = [
        [{"role": "user", "content": text}] for text in spec.sample_prompts
    ]
    ids = prompt_ids(encoder, asked)
    for text, row in zip(spec.sample_prompts, ids, strict=True):
        if len(row) + spec.max_answer_tokens > parts.context_length:
            raise BadInputError(
                f"sample_prompts: {text[:40]!r} has {len(row):,} tokens, which leaves "
                "no room for an answer",
                "Shorten it, or lower max_answer_tokens.",
            )
    return [Asked(row, one) for row, one in zip(ids, asked, strict=True)]


def read_votes(spec: RlhfSpec, encoder: ChatEncoder, limit: int) -> Votes:
    """Read the held-out votes.

    Raises:
        BadInputError: there is no usable pair among them.
    """
    assert spec.votes is not None
    source = Source.open(spec.votes)
    if source.card.kind != "preferences":
        raise BadInputError(
            f"votes: {source.name} holds {source.card.kind} rows, not preferences",
            "Choose a dataset of preferences.",
        )
    votes = votes_of(source, encoder, most=spec.eval_rows, limit=limit)
    if not votes.pairs:
        raise BadInputError(
            f"votes: {source.name} has no pair whose answers differ and that the model "
            "can see whole",
            "Choose other votes, or none.",
        )
    return votes
