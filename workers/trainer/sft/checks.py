"""What a preflight of fine-tuning looks at, one function a check.

Each notes what it found as a sentence; where the run must not start, with what to do
and, where possible, the settings that mend it.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from datasets import Dataset
from runspec import Tuning
from torch import nn

from trainer.context import Context
from trainer.errors import BadInputError
from trainer.preflight import Checks, stop_if_asked
from trainer.sft.answers import Asked
from trainer.sft.chat import conversation_of
from trainer.sft.duplicates import Place, find_twins
from trainer.sft.parts import Parts
from trainer.sft.rows import Example

ROUND_TRIPS = 50
MOST_COMPARED = 20_000
"""Rows compared with each other; of more, so many spread evenly."""
MANY_UNKNOWN = 0.05
"""Share of unknown tokens from which on nothing sensible can be learnt."""


def refuse_reading(checks: Checks, error: BadInputError, spec: Tuning) -> None:
    """Note what could not even be built, mended where possible."""
    changes: dict[str, Any] = {}
    if "template" in str(error) and spec.chat_template in {"custom", "model"}:
        changes = {"chat_template": "chatml", "custom_template": ""}
    button = "Use the ChatML template" if changes else ""
    title = "Model, data and template"
    checks.fail("reading", title, error, changes=changes, button=button)


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


def check_held_out(parts: Parts, checks: Checks) -> None:
    """Say which validation rows nothing is measured on."""
    tally = parts.held_tally
    if tally.kept == tally.rows:
        return
    named = ", ".join([*tally.long_rows, *tally.untrained][:3])
    checks.add(
        "held_out",
        "Validation rows",
        f"{tally.rows - tally.kept:,} of {tally.rows:,} validation rows are left out: "
        "they are longer than the model can see, or have nothing to measure "
        f"({named}).",
        "warning",
    )


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
    if unknowns > MANY_UNKNOWN * total:
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
        "Model and vocabulary",
        f"The tokenizer's {len(parts.tokenizer):,} tokens fit the model's {size:,} "
        f"embeddings{added}.",
    )
