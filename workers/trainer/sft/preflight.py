"""Stage `preflight`: what a fine-tuning run would see, and whether it may start.

Everything is built exactly as the run builds it (`trainer.sft.parts`), so the batch
shown is the batch trained. Whatever must be mended is one failed check, with a
sentence and, where possible, the settings that mend it.
"""

import logging
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import psutil
import torch
from datasets import Dataset
from runspec import PreflightSpec, SftSpec
from runspec.preflight import BatchRow, Check, Piece, PreflightReport, Status
from torch import nn

from trainer.context import Context
from trainer.errors import BadInputError, Stopped
from trainer.sft.answers import Asked
from trainer.sft.chat import conversation_of
from trainer.sft.duplicates import Place, find_twins
from trainer.sft.parts import Parts, build_model, build_parts, build_trainer
from trainer.sft.rows import Example
from trainer.sft.stage import peak_memory

logger = logging.getLogger(__name__)

SHOWN_ROWS = 8
SHOWN_TOKENS = 600
"""Of one row; the rest of a long one is not sent to the page."""
ROUND_TRIPS = 50
MOST_COMPARED = 20_000
"""Rows compared with each other; of more, so many spread evenly."""
FULL = 0.9
"""Share of the memory beyond which a run is likely to run out of it."""


def run_preflight(spec: PreflightSpec, *, context: Context) -> None:
    """Check a run; its report is the result.

    Raises:
        BadInputError: a check failed; the report is said before.
        Stopped: the run was asked to stop.
    """
    context.report.progress(step=0, total=3, unit="checks", phase="reading")
    checks = Checks()
    report = PreflightReport(checks=[])
    try:
        parts = build_parts(spec.training, context)
    except BadInputError as error:
        refuse_reading(checks, error, spec.training)
    else:
        try:
            report = look_at(parts, checks, spec, context)
        finally:
            parts.close()
    report = report.model_copy(update={"checks": checks.found})
    context.report.result(report=report.model_dump(mode="json"))
    if checks.error is not None:
        raise checks.error


class Checks:
    """Collects what was looked at."""

    def __init__(self) -> None:
        self.found: list[Check] = []
        self.error: BadInputError | None = None
        """What failed first."""

    def add(
        self,
        name: str,
        title: str,
        sentence: str,
        status: Status = "ok",
        *,
        changes: dict[str, Any] | None = None,
        button: str = "",
    ) -> None:
        """Note one thing."""
        check = Check(
            name=name,
            title=title,
            status=status,
            sentence=sentence,
            changes=changes or {},
            button=button,
        )
        self.found.append(check)

    def fail(
        self,
        name: str,
        title: str,
        error: BadInputError,
        *,
        changes: dict[str, Any] | None = None,
        button: str = "",
    ) -> None:
        """Note what keeps the run from starting."""
        self.error = self.error or error
        said = str(error)
        text = f"{said[:1].upper()}{said[1:].rstrip('.')}. {error.advice}"
        self.add(name, title, text, "failed", changes=changes, button=button)


def refuse_reading(checks: Checks, error: BadInputError, spec: SftSpec) -> None:
    """Note what could not even be built, mended where possible."""
    changes: dict[str, Any] = {}
    if "template" in str(error) and spec.chat_template in {"custom", "model"}:
        changes = {"chat_template": "chatml", "custom_template": ""}
    button = "Use the ChatML template" if changes else ""
    title = "Model, data and template"
    checks.fail("reading", title, error, changes=changes, button=button)


def look_at(
    parts: Parts, checks: Checks, spec: PreflightSpec, context: Context
) -> PreflightReport:
    """Look at everything in order of cost; what cannot go on stops there."""
    say = context.report.progress
    check_lengths(parts, checks)
    check_trained(parts, checks)
    if not parts.tally.kept:
        return PreflightReport(checks=[], facts=facts_of(parts))
    if parts.spec.task == "chat":
        checks.add(
            "end_token",
            "End of a turn",
            f"Every turn of the assistant ends with {parts.tokenizer.eos_token}, and "
            "generation stops there.",
        )
        check_prompts(parts, checks)
    check_round_trip(parts, checks)
    say(step=1, total=3, unit="checks", phase="looking for duplicates")
    check_twins(parts, checks, context)
    stop_if_asked(context)
    say(step=2, total=3, unit="checks", phase="building the first batch")
    try:
        model = build_model(parts)
    except BadInputError as error:
        checks.fail("vocabulary", "Vocabulary", error)
        return PreflightReport(checks=[], facts=facts_of(parts))
    check_vocabulary(parts, model, checks)
    trainer = build_trainer(
        parts,
        model,
        context.folder / "trainer",
        save=lambda _write: None,
        is_stopped=context.stop.is_set,
        callbacks=[],
    )
    batch = next(iter(trainer.get_train_dataloader()))
    rows = list(batch_rows(parts, batch))
    facts = facts_of(parts) | {"first_batch_tokens": int(batch["input_ids"].numel())}
    if spec.trains_on == "cpu":
        facts |= trial_step(parts, trainer, checks)
    say(step=3, total=3, unit="checks", phase="done")
    return PreflightReport(checks=[], batch=rows, facts=facts)


def stop_if_asked(context: Context) -> None:
    """Raise Stopped once the run shall end."""
    if context.stop.is_set():
        raise Stopped


def check_lengths(parts: Parts, checks: Checks) -> None:
    """Say which rows are longer than the model can see, and what becomes of them."""
    tally, spec, limit = parts.tally, parts.spec, parts.context_length
    if not tally.too_long:
        checks.add(
            "length",
            "Length of rows",
            f"The longest row has {tally.longest:,} tokens; the limit is {limit:,}.",
        )
        return
    rows = f"{tally.too_long:,} of {tally.rows:,} rows"
    named = ", ".join(tally.long_rows[:3])
    what = f"{rows} are longer than {limit:,} tokens ({named})"
    if spec.too_long == "refuse" or tally.too_long == tally.rows:
        is_all = tally.too_long == tally.rows
        checks.fail(
            "length",
            "Length of rows",
            BadInputError(
                what,
                "Cut them off, leave them out, or choose a model with a longer "
                "context (too_long, context).",
            ),
            changes={"too_long": "truncate" if is_all else "drop"},
            button="Cut them off" if is_all else "Leave them out",
        )
        return
    done = "cut off there" if spec.too_long == "truncate" else "left out"
    checks.add("length", "Length of rows", f"{what}; they are {done}.", "warning")


def check_trained(parts: Parts, checks: Checks) -> None:
    """See that every row has something to learn from."""
    tally = parts.tally
    title = "Trained tokens"
    named = ", ".join(tally.untrained[:5])
    if tally.num_untrained and not tally.kept:
        checks.fail(
            "trained",
            title,
            BadInputError(
                f"no row has a token to learn from (such as {named}): the assistant "
                "says nothing in them",
                "Bring rows in which the assistant answers, or learn from every token "
                "(loss_on: all).",
            ),
            changes={"loss_on": "all"} if parts.spec.task == "chat" else {},
            button="Learn from every token" if parts.spec.task == "chat" else "",
        )
    elif tally.num_untrained:
        checks.add(
            "trained",
            title,
            f"{tally.num_untrained:,} rows have no token to learn from and are left "
            f"out: {named}.",
            "warning",
        )
    elif tally.kept:
        share = tally.trained_tokens / max(1, tally.tokens)
        sentence = (
            f"Every row is learnt from: {share:.0%} of the tokens."
            if parts.spec.task == "chat"
            else "Every row has something to learn."
        )
        checks.add("trained", title, sentence)


def check_prompts(parts: Parts, checks: Checks) -> None:
    """See that what is asked for an answer is how a training row begins, in tokens.

    Where a template's prompt ends with a space, training has that space in the first
    word's token, and the model never meets what it is asked with.
    """
    title = "Prompt and answer"
    examples = first_examples(parts)
    wrong = [
        (asked, example)
        for asked, example in examples
        if example.ids[: len(asked.ids)] != asked.ids
        or all(label < 0 for label in example.labels[len(asked.ids) :])
    ]
    if not wrong:
        checks.add(
            "prompt",
            title,
            "What the model is asked with is, token for token, how the rows begin it "
            "was trained on.",
        )
        return
    end = parts.tokenizer.decode(wrong[0][0].ids[-3:], skip_special_tokens=False)
    checks.fail(
        "prompt",
        title,
        BadInputError(
            f"the template's prompt ends with {end!r}, and training rows go on from "
            "there with other tokens, so the model would be asked in a way it never "
            "saw",
            "End the prompt (add_generation_prompt) and the assistant's header with a "
            "line break or a special token, not with a space.",
        ),
        changes={"chat_template": "chatml", "custom_template": ""},
        button="Use the ChatML template",
    )


def first_examples(parts: Parts) -> list[tuple[Asked, Example]]:
    """Return some rows that end with an answer: asked for it, and encoded whole."""
    found: list[tuple[Asked, Example]] = []
    for source in parts.sources:
        for row in islice(source.rows("train"), ROUND_TRIPS):
            messages = conversation_of(row, source.card.kind)["messages"]
            if len(messages) > 1 and messages[-1]["role"] == "assistant":
                asked = parts.asked([row], source.card.kind)
                encoded = parts.encode([row], source.card.kind)
                found += zip(asked, encoded, strict=True)
    return found[:ROUND_TRIPS]


def check_round_trip(parts: Parts, checks: Checks) -> None:
    """Decode some encoded rows and see whether they are encoded the same again."""
    title = "Encoding"
    tokenizer = parts.tokenizer
    unknown = tokenizer.unk_token_id
    rows = parts.rows.select(range(min(ROUND_TRIPS, len(parts.rows))))
    total = unknowns = broken = 0
    for row in rows:
        ids = row["input_ids"]
        total += len(ids)
        unknowns += ids.count(unknown) if unknown is not None else 0
        text = tokenizer.decode(ids, skip_special_tokens=False)
        again = tokenizer(text, add_special_tokens=False, split_special_tokens=False)[
            "input_ids"
        ]
        broken += again != ids
    if unknowns > 0.05 * total:
        checks.fail(
            "unknown",
            title,
            BadInputError(
                f"{unknowns / total:.0%} of the tokens are unknown to the tokenizer",
                "Choose a model whose tokenizer knows these texts.",
            ),
        )
    elif unknowns:
        share = f"{unknowns / total:.1%}"
        checks.add(
            "unknown", title, f"{share} of the tokens are unknown words.", "warning"
        )
    elif broken > len(rows) / 2:
        checks.add(
            "round_trip",
            title,
            "Decoding does not give the text back exactly: this tokenizer drops "
            "spaces or capitals.",
            "warning",
        )
    else:
        checks.add(
            "round_trip", title, "Encoding and decoding give the same text back."
        )


def check_twins(parts: Parts, checks: Checks, context: Context) -> None:
    """Look for rows that stand twice, and for rows in both splits."""
    twins = find_twins(
        texts_of(parts, parts.rows),
        texts_of(parts, parts.validation),
        stop=context.stop,
    )
    stop_if_asked(context)
    of = f"of {twins.looked_at:,} rows looked at"
    if twins.shared:
        checks.add(
            "leak",
            "Training against validation",
            f"{twins.shared:,} validation rows stand in the training rows as well, or "
            f"nearly so ({twins.named(twins.shared_pairs, parts.sources)}): the "
            "validation numbers will look better than they are.",
            "warning",
        )
    elif parts.validation is not None:
        checks.add(
            "leak",
            "Training against validation",
            "No validation row stands in the training rows.",
        )
    else:
        checks.add(
            "leak",
            "Training against validation",
            "There are no validation rows, so nothing will be measured on unseen rows.",
            "warning",
        )
    if twins.exact or twins.near:
        checks.add(
            "duplicates",
            "Duplicates",
            f"{twins.exact:,} rows stand there twice and {twins.near:,} nearly twice, "
            f"{of} ({twins.named(twins.pairs, parts.sources)}).",
            "warning" if twins.exact + twins.near > twins.looked_at / 20 else "ok",
        )
    else:
        checks.add("duplicates", "Duplicates", f"None among them, {of}.")


def texts_of(parts: Parts, rows: Dataset | None) -> Iterator[tuple[str, Place]]:
    """Yield what rows say, label included, and where they stand; at most so many."""
    if rows is None:
        return
    step = max(1, -(-len(rows) // MOST_COMPARED))
    for row in rows.select(range(0, len(rows), step)):
        text = parts.tokenizer.decode(row["input_ids"], skip_special_tokens=True)
        if parts.spec.task == "classification":
            text += f" {parts.labels[row['labels'][0]]}"
        elif parts.spec.task == "text-to-text":
            text += " " + parts.tokenizer.decode(row["labels"])
        yield text, (row["source"], row["row"])


def check_vocabulary(parts: Parts, model: nn.Module, checks: Checks) -> None:
    """Compare tokenizer and embeddings."""
    embeddings: Any = model
    size = embeddings.get_input_embeddings().weight.shape[0]
    new = parts.num_new_tokens
    added = f"; {new} new ones come with the template" if new else ""
    checks.add(
        "vocabulary",
        "Vocabulary",
        f"The tokenizer's {len(parts.tokenizer):,} tokens fit the model's {size:,} "
        f"embeddings{added}.",
    )


def batch_rows(parts: Parts, batch: dict[str, Any]) -> Iterator[BatchRow]:
    """Return the first rows of a batch as the model will see them."""
    ids_BT, labels_BT = batch["input_ids"], batch["labels"]
    mask_BT = batch.get("attention_mask")
    for row in range(min(SHOWN_ROWS, len(ids_BT))):
        ids = ids_BT[row]
        if mask_BT is not None:
            ids = ids[mask_BT[row].bool()]
        ids = ids.tolist()
        if parts.spec.task == "chat":
            labels = labels_BT[row].tolist()[: len(ids)]
            trained = [label >= 0 for label in labels]
            yield BatchRow(
                pieces=pieces_of(parts, ids, trained),
                tokens=len(ids),
                trained_tokens=sum(trained),
                is_cut=len(ids) > SHOWN_TOKENS,
            )
            continue
        target, label = [], ""
        if parts.spec.task == "classification":
            label = parts.labels[int(labels_BT[row])]
        else:
            written = [one for one in labels_BT[row].tolist() if one >= 0]
            target = pieces_of(parts, written, [True] * len(written))
        yield BatchRow(
            pieces=pieces_of(parts, ids, [False] * len(ids)),
            tokens=len(ids),
            trained_tokens=sum(piece.tokens for piece in target) or 1,
            is_cut=len(ids) > SHOWN_TOKENS,
            target=target,
            label=label,
        )


def pieces_of(parts: Parts, ids: list[int], trained: list[bool]) -> list[Piece]:
    """Join neighbouring tokens that are alike, and decode them together."""
    found: list[Piece] = []
    start = 0
    ids, trained = ids[:SHOWN_TOKENS], trained[:SHOWN_TOKENS]
    for at in range(1, len(ids) + 1):
        if at < len(ids) and trained[at] == trained[start]:
            continue
        text = parts.tokenizer.decode(ids[start:at], skip_special_tokens=False)
        piece = Piece(text=text, tokens=at - start, is_trained=trained[start])
        found.append(piece)
        start = at
    return found


def trial_step(parts: Parts, trainer: Any, checks: Checks) -> dict[str, Any]:
    """Take one real optimizer step at the longest batch, and measure the memory.

    The model is thrown away afterwards.
    """
    batch = longest_batch(parts, trainer)
    tokens = int(batch["input_ids"].numel())
    title = "A step at the longest batch"
    try:
        trainer.create_optimizer_and_scheduler(num_training_steps=1)
        trainer.model.train()
        trainer.current_gradient_accumulation_steps = 1
        trainer.training_step(trainer.model, trainer._prepare_inputs(batch))  # noqa: SLF001
        trainer.optimizer.step()
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "memory" not in str(error):
            raise
        checks.fail(
            "memory",
            title,
            BadInputError(
                f"the longest batch, {tokens:,} tokens, does not fit into memory",
                "Halve batch_size and double accumulation.",
            ),
            changes=smaller_batches(parts.spec),
            button="Halve the batches",
        )
        return {}
    peak = peak_memory(trainer.args.device)
    total = psutil.virtual_memory().total
    sentence = (
        f"One step at the longest batch ({tokens:,} tokens) took at most "
        f"{peak / 1e9:.1f} GB of {total / 1e9:.1f} GB."
    )
    is_full = peak > FULL * total
    checks.add("memory", title, sentence, "warning" if is_full else "ok")
    return {"peak_memory_bytes": peak, "memory_bytes": total}


def longest_batch(parts: Parts, trainer: Any) -> dict[str, Any]:
    """Return a batch of the longest rows, collated as in training."""
    rows = trainer.train_dataset
    lengths = [len(ids) for ids in rows["input_ids"]]
    order = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
    chosen = [rows[place] for place in order[: parts.spec.batch_size]]
    keep = {"input_ids", "labels", "seq_lengths"}
    chosen = [{k: v for k, v in row.items() if k in keep} for row in chosen]
    found: dict[str, Any] = trainer.data_collator(chosen)
    return found


def smaller_batches(spec: SftSpec) -> dict[str, Any]:
    """Return settings for the same steps in half the memory."""
    if spec.batch_size == 1:
        return {}
    return {"batch_size": spec.batch_size // 2, "accumulation": spec.accumulation * 2}


def facts_of(parts: Parts) -> dict[str, Any]:
    """Return the numbers a person may want to know before a run."""
    tally = parts.tally
    return {
        "rows": tally.kept,
        "rows_read": tally.rows,
        "validation_rows": len(parts.validation) if parts.validation is not None else 0,
        "tokens": tally.tokens,
        "trained_tokens": tally.trained_tokens,
        "longest_row": tally.longest,
        "context": parts.context_length,
        "steps": parts.total_steps,
        "template": parts.template,
        "labels": list(parts.labels),
        "lengths": [
            [2**power, rows] for power, rows in enumerate(tally.lengths) if rows
        ],
        "model": Path(parts.spec.model).name,
        "threads": torch.get_num_threads(),
    }
