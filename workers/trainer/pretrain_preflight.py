"""What a preflight of pretraining looks at: text, vocabulary, first batch, memory."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from runspec import PreflightSpec, PretrainSpec
from runspec.preflight import BatchRow, PreflightReport

from trainer.architectures import LanguageModel, num_parameters
from trainer.context import Context
from trainer.errors import BadInputError
from trainer.hardware import choose_device, choose_precision, matrix_peaks
from trainer.library_forward import training_forward
from trainer.loop import Batch, Trainer
from trainer.objectives import training_batches
from trainer.preflight import (
    SHOWN_ROWS,
    SHOWN_TOKENS,
    Checks,
    pieces_of,
    stop_if_asked,
    try_step,
)
from trainer.pretrain_parts import Parts, build_model_of, build_parts, optimizer_of

LOOKED_AT = 200_000
"""Tokens by which the share of unknown ones is told."""
UNKNOWN = ("<unk>", "[UNK]")
MANY_UNKNOWN = 0.05
MANY_PASSES = 20


def look_at_pretraining(
    spec: PreflightSpec, training: PretrainSpec, checks: Checks, context: Context
) -> PreflightReport:
    """Look at everything in order of cost; what cannot go on stops there."""
    if spec.trains_on == "gpu":
        training = training.model_copy(update={"device": "cpu"})
    say = context.report.progress
    try:
        parts = build_parts(training, context)
    except BadInputError as error:
        checks.fail("reading", "Model, text and tokenizer", error)
        return PreflightReport(checks=[])
    check_text(parts, checks)
    check_unknown(parts, checks)
    stop_if_asked(context)
    say(step=1, total=3, unit="checks", phase="building the first batch")
    first = first_batches(parts)
    rows = list(batch_rows(parts, first[0]))
    say(step=2, total=3, unit="checks", phase="building the model")
    try:
        model = build_model_of(parts, context.report)
    except BadInputError as error:
        checks.fail("vocabulary", "Model and vocabulary", error)
        return PreflightReport(checks=[], batch=rows, facts=facts_of(parts))
    size = model.get_input_embeddings().weight.shape[0]
    checks.add(
        "vocabulary",
        "Model and vocabulary",
        f"The tokenizer's {parts.tokenizer.vocabulary_size:,} tokens fit the model's "
        f"{size:,} embeddings.",
    )
    trainer = trainer_of(parts, model, context)
    tokens = sum(ids_BT.numel() for ids_BT, _ in first)
    facts = facts_of(parts) | {
        "parameters": num_parameters(model),
        "first_batch_tokens": tokens,
    }
    facts |= try_step(
        spec,
        checks,
        tokens=tokens,
        device=trainer.device,
        step=lambda: trainer.take_step(first, learning_rate=training.learning_rate),
    )
    say(step=3, total=3, unit="checks", phase="done")
    return PreflightReport(checks=[], batch=rows, facts=facts)


def check_text(parts: Parts, checks: Checks) -> None:
    """Say how often the text is read, and whether any is held out."""
    train, held = len(parts.corpus.train_ids), len(parts.corpus.validation_ids)
    passes = parts.spec.max_steps * parts.spec.tokens_per_step / train
    checks.add(
        "text",
        "Text",
        f"{train:,} tokens, read about {passes:.2g} times"
        + (": expect it to be learnt by heart." if passes > MANY_PASSES else "."),
        "warning" if passes > MANY_PASSES else "ok",
    )
    if held:
        sentence = (
            f"{held:,} tokens are held out; identical rows never stand on both sides."
        )
        checks.add("leak", "Training against validation", sentence)
    else:
        checks.add(
            "leak",
            "Training against validation",
            "Nothing is held out, so there will be no validation loss.",
            "warning",
        )


def check_unknown(parts: Parts, checks: Checks) -> None:
    """Say how much of the text the tokenizer does not know."""
    names = [parts.tokenizer.tokenizer.token_to_id(name) for name in UNKNOWN]
    unknown = [number for number in names if number is not None]
    looked = parts.corpus.train_ids[:LOOKED_AT]
    share = float(np.isin(looked, unknown).mean()) if unknown else 0.0
    title = "Encoding"
    if share > MANY_UNKNOWN:
        checks.fail(
            "unknown",
            title,
            BadInputError(
                f"{share:.0%} of the tokens are unknown to the tokenizer",
                "Train a tokenizer on this text, or choose a byte-level one.",
            ),
        )
    elif share:
        sentence = f"{share:.1%} of the tokens are unknown words."
        checks.add("unknown", title, sentence, "warning")
    else:
        checks.add("unknown", title, "The tokenizer knows every part of the text.")


def first_batches(parts: Parts) -> list[Batch]:
    """Return the batches of the first step, as a run on one device would see them."""
    spec = parts.spec
    return training_batches(
        parts.objective,
        parts.corpus.train_ids,
        batch_size=spec.batch_size,
        count=spec.batch_size * spec.accumulation,
        rank=0,
        num_ranks=spec.num_devices,
        seed=spec.seed,
        step=1,
    )


def batch_rows(parts: Parts, batch: Batch) -> Iterator[BatchRow]:
    """Return the first rows of a batch as the model will see them.

    A decoder learns from every token; an encoder from those that are hidden; an
    encoder-decoder from what it shall write.
    """
    tokenizer = parts.tokenizer.tokenizer
    pad = parts.tokenizer.special.pad
    architecture = parts.spec.facts.architecture

    def decode(ids: list[int]) -> str:
        return str(tokenizer.decode(ids, skip_special_tokens=False))

    for ids_T, labels_T in list(zip(*batch, strict=True))[:SHOWN_ROWS]:
        ids, labels = ids_T.tolist(), labels_T.tolist()
        asked = [label for label in labels if label >= 0]
        is_asked = [architecture == "decoder" or label >= 0 for label in labels]
        if architecture == "encoder-decoder":
            ids = [one for one in ids if one != pad]
            is_asked = [False] * len(ids)
        target = asked if architecture != "decoder" else []
        yield BatchRow(
            pieces=pieces_of(ids, is_asked, decode),
            tokens=len(ids),
            trained_tokens=len(asked),
            is_cut=len(ids) > SHOWN_TOKENS,
            target=pieces_of(target, [True] * len(target), decode),
        )


def trainer_of(parts: Parts, model: LanguageModel, context: Context) -> Trainer:
    """Return what takes a step as the run would."""
    spec = parts.spec
    device = choose_device(spec.device)
    peaks = matrix_peaks(device, context.cache)
    model.to(device)
    return Trainer(
        forward=training_forward(model, spec).to(device),
        model=model,
        optimizer=optimizer_of(spec, model),
        device=device,
        clip_norm=spec.clip_norm,
        is_bf16=choose_precision(spec.precision, peaks) == "bf16",
    )


def facts_of(parts: Parts) -> dict[str, Any]:
    """Return the numbers a person may want to know before a run."""
    spec = parts.spec
    return {
        "tokens": len(parts.corpus.train_ids),
        "validation_tokens": len(parts.corpus.validation_ids),
        "steps": spec.max_steps,
        "tokens_per_step": spec.tokens_per_step,
        "context": spec.context,
    }
