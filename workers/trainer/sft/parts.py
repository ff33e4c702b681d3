"""All a fine-tuning run is made of, built the same way for its preflight.

What differs between the three tasks is in `BUILDERS`; the rest is the same for all, and
for what learns from preferences (`trainer.align`).
"""

import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from runspec import SftSpec, Tuning
from runspec.sft import KINDS_OF
from sandbox.encoding import special_variables
from sandbox.render import renderer
from torch import nn
from transformers import PreTrainedTokenizerFast, set_seed
from trl import pack_dataset

from trainer.context import Context
from trainer.errors import BadInputError
from trainer.hardware import choose_device, choose_precision, matrix_peaks
from trainer.sft import training
from trainer.sft.adapters import lora_config
from trainer.sft.answers import Asked, classifier_scores
from trainer.sft.chat import (
    ChatEncoder,
    add_tokens,
    conversation_of,
    end_of_turns,
    template_of,
)
from trainer.sft.loading import context_of, load_model, load_tokenizer
from trainer.sft.pairs import (
    LabelEncoder,
    PairEncoder,
    labels_of,
    plain_ids,
    source_text,
)
from trainer.sft.rows import (
    COLUMNS,
    Encode,
    Limit,
    Source,
    Tally,
    encoded,
    key_of,
    mixed,
    spread,
)

LOOKED_AT = 64
"""Conversations by which the end token of a template is found."""


@dataclass
class Parts:
    """What one task has made of a spec."""

    spec: Tuning
    sources: list[Source]
    tokenizer: PreTrainedTokenizerFast
    context_length: int
    ends: list[int]
    """Ids at which an answer is over."""
    encode: Encode
    key: str
    asked: Callable[[list[dict[str, Any]], str], list[Asked]]
    """(rows, kind) → what to answer; empty for a classifier."""
    stack: ExitStack
    make_trainer: "MakeTrainer"
    columns: tuple[str, ...] = COLUMNS
    """Lists of ids that are kept of each row."""
    adapts_itself: bool = False
    """Whether the trainer adds the adapter, and needs the model without it."""
    labels: tuple[str, ...] = ()
    template: str = ""
    num_new_tokens: int = 0
    rows: Dataset = None
    """Training rows as they were encoded, one behind the other."""
    train: Dataset = None
    """What an epoch goes through: mixed by weight, packed where that is wanted."""
    validation: Dataset = None
    tally: Tally = field(default_factory=Tally)
    """Of the training rows."""
    held_tally: Tally = field(default_factory=Tally)
    """Of the validation rows."""
    total_steps: int = 0
    precision: str = "fp32"
    peaks: dict[str, float] = field(default_factory=dict)

    def close(self) -> None:
        """End the process that renders."""
        self.stack.close()


MakeTrainer = Callable[[Parts, dict[str, Any], dict[str, Any]], Any]
"""(parts, arguments of the trainer, what it is made of) → the trainer."""
Build = Callable[[Any, list[Source], ExitStack], Parts]
"""(spec, sources, what is closed in the end) → parts without rows."""


def build_parts(spec: Tuning, context: Context, build: Build | None = None) -> Parts:
    """Read, render and encode everything; nothing is trained yet.

    Raises:
        BadInputError: the model, the template or a row cannot be used.
    """
    sources = [Source.open(path) for path in spec.datasets]
    refuse_kinds(spec, sources)
    with ExitStack() as stack:
        parts = (build or BUILDERS[spec.task])(spec, sources, stack)
        encode_all(parts, context)
        parts.stack = stack.pop_all()
    peaks = matrix_peaks(choose_device(spec.device), context.cache)
    parts.peaks = peaks
    parts.precision = choose_precision(spec.precision, peaks)
    return parts


def refuse_kinds(spec: Tuning, sources: list[Source]) -> None:
    """Refuse rows of a kind the task cannot learn from."""
    known = KINDS_OF.get(spec.task) or spec.kinds_of("datasets")
    for source in sources:
        if source.card.kind not in known:
            raise BadInputError(
                f"{source.name} holds {source.card.kind} rows; {spec.task} learns from "
                f"{' or '.join(known)}",
                "Choose other datasets, or bring this one in as another kind.",
            )


def build_chat(spec: Tuning, sources: list[Source], stack: ExitStack) -> Parts:
    """Prepare a decoder that shall hold conversations."""
    folder = Path(spec.model)
    tokenizer = load_tokenizer(folder)
    template = template_of(spec, tokenizer)
    num_new = add_tokens(tokenizer, template)
    encoder = ChatEncoder(
        tokenizer,
        template,
        stack.enter_context(renderer()),
        learns_all=spec.loss_on == "all",
    )
    first_end = tokenizer.eos_token_id
    end = template.end or find_end(encoder, sources)
    tokenizer.eos_token = end
    tokenizer.chat_template = template.source

    def asked(rows: list[dict[str, Any]], kind: str) -> list[Asked]:
        return ask_in_chat(encoder, rows, kind)

    return Parts(
        spec=spec,
        sources=sources,
        tokenizer=tokenizer,
        context_length=context_of(folder, spec.context),
        ends=list(dict.fromkeys([tokenizer.eos_token_id, first_end])),
        encode=encoder,
        key=key_of("chat", template.source, spec.loss_on, tokenizer_key(tokenizer)),
        asked=asked,
        stack=stack,
        make_trainer=lambda parts, common, pieces: training.chat_trainer(
            common, packing=parts.spec.packing, **pieces
        ),
        template=template.name,
        num_new_tokens=num_new,
    )


def find_end(encoder: ChatEncoder, sources: list[Source]) -> str:
    """Look at the first conversations for the token that ends a turn."""
    looked: list[dict[str, Any]] = []
    for source in sources:
        for row in source.rows("train"):
            if not row.get("is_chat", True):
                continue
            conversation = conversation_of(row, source.card.kind)
            if any(m["role"] == "assistant" for m in conversation["messages"]):
                looked.append(conversation)
            if len(looked) >= LOOKED_AT:
                break
    if not looked:
        return str(encoder.tokenizer.eos_token)
    marking = ChatEncoder(
        encoder.tokenizer, encoder.template, encoder.renderer, learns_all=False
    )
    return end_of_turns(marking, looked)


def ask_in_chat(
    encoder: ChatEncoder, rows: list[dict[str, Any]], kind: str
) -> list[Asked]:
    """Return each conversation up to its last answer, which is the right one."""
    conversations, right = [], []
    for row in rows:
        conversation = conversation_of(row, kind)
        messages = conversation["messages"]
        while messages and messages[-1]["role"] != "assistant":
            messages = messages[:-1]
        if not messages:
            continue
        conversations.append(conversation | {"messages": messages[:-1]})
        right.append(messages[-1]["content"] or "")
    prompts = encoder.render(conversations, as_prompt=True) if conversations else []
    return [
        Asked(
            prompt=str(conversation["messages"][-1]["content"])
            if conversation["messages"]
            else "",
            ids=[one for one, _, _ in encoder.text.encode(prompt.text)],
            right=answer,
        )
        for conversation, prompt, answer in zip(
            conversations, prompts, right, strict=True
        )
    ]


def build_pairs(spec: SftSpec, sources: list[Source], stack: ExitStack) -> Parts:
    """Prepare an encoder-decoder that shall turn one text into another."""
    folder = Path(spec.model)
    tokenizer = load_tokenizer(folder)

    def asked(rows: list[dict[str, Any]], _kind: str) -> list[Asked]:
        texts = [source_text(row) for row in rows]
        return [
            Asked(text, ids, str(row["completion"]))
            for text, ids, row in zip(
                texts, plain_ids(tokenizer, texts), rows, strict=True
            )
        ]

    return Parts(
        spec=spec,
        sources=sources,
        tokenizer=tokenizer,
        context_length=context_of(folder, spec.context),
        ends=[tokenizer.eos_token_id],
        encode=PairEncoder(tokenizer),
        key=key_of("pairs", tokenizer_key(tokenizer)),
        asked=asked,
        stack=stack,
        make_trainer=lambda _parts, common, pieces: training.pair_trainer(
            common, **pieces
        ),
    )


def build_labels(spec: SftSpec, sources: list[Source], stack: ExitStack) -> Parts:
    """Prepare an encoder that shall tell labels apart."""
    folder = Path(spec.model)
    tokenizer = load_tokenizer(folder)
    labels = labels_of(sources)
    return Parts(
        spec=spec,
        sources=sources,
        tokenizer=tokenizer,
        context_length=context_of(folder, spec.context),
        ends=[tokenizer.eos_token_id],
        encode=LabelEncoder(tokenizer, labels),
        key=key_of("labels", labels, tokenizer_key(tokenizer)),
        asked=lambda _rows, _kind: [],
        stack=stack,
        make_trainer=lambda _parts, common, pieces: training.label_trainer(
            common, compute_metrics=scores_of(labels), **pieces
        ),
        labels=labels,
    )


BUILDERS: dict[str, Build] = {
    "chat": build_chat,
    "text-to-text": build_pairs,
    "classification": build_labels,
}


def tokenizer_key(tokenizer: PreTrainedTokenizerFast) -> str:
    """Return what decides how a tokenizer encodes."""
    return key_of(tokenizer.backend_tokenizer.to_str(), special_variables(tokenizer))


def encode_all(parts: Parts, context: Context) -> None:
    """Encode both splits, mix the sources, and count the steps.

    Raises:
        BadInputError: no row is left to learn from.
    """
    spec = parts.spec
    key = key_of(
        parts.key,
        [source.card.content_sha256 for source in parts.sources],
        [source.name for source in parts.sources],
        parts.context_length,
        spec.too_long,
    )
    limits: dict[str, Any] = {
        "key": key,
        "context": context,
        "limit": Limit(parts.context_length, spec.too_long),
        "columns": parts.columns,
    }
    rows, parts.tally = encoded(parts.sources, "train", parts.encode, **limits)
    if not len(rows):
        return
    parts.rows = rows
    parts.train = mixed(rows, spec.weights, spec.seed)
    if spec.packing:
        chosen = parts.train.select_columns(["input_ids", "labels"])
        parts.train = pack_dataset(chosen, parts.context_length, "bfd")
    held, parts.held_tally = encoded(
        parts.sources, "validation", parts.encode, **limits
    )
    parts.validation = spread(held, spec.eval_rows) if len(held) else None
    per_epoch = math.ceil(len(parts.train) / (spec.batch_size * spec.accumulation))
    wanted = math.ceil(per_epoch * spec.epochs)
    parts.total_steps = min(wanted, spec.max_steps or wanted)


def build_model(parts: Parts) -> nn.Module:
    """Load the model, with room for new tokens; the seed decides all that is random."""
    spec = parts.spec
    set_seed(spec.seed)
    model: Any = load_model(
        Path(spec.model),
        spec.task,
        labels=parts.labels,
        quantized=spec.method == "qlora",
    )
    needed = max(parts.tokenizer.get_vocab().values()) + 1
    size = model.get_input_embeddings().weight.shape[0]
    if needed - parts.num_new_tokens > size:
        raise BadInputError(
            f"the tokenizer has {needed - parts.num_new_tokens:,} tokens, and the "
            f"model embeddings for {size:,}: they do not belong together",
            "Import the model again with the tokenizer it was trained with.",
        )
    if needed > size:
        model.resize_token_embeddings(needed)
    tokenizer = parts.tokenizer
    model.config.pad_token_id = tokenizer.pad_token_id
    if spec.task in {"chat", "dpo", "rlhf"}:
        model.config.eos_token_id = tokenizer.eos_token_id
    if model.can_generate():
        model.generation_config.eos_token_id = (
            parts.ends if len(parts.ends) > 1 else parts.ends[0]
        )
        model.generation_config.pad_token_id = tokenizer.pad_token_id
    if spec.method != "full" and not parts.adapts_itself:
        model = with_adapter(parts, model)
    found: nn.Module = model
    return found


def with_adapter(parts: Parts, model: Any) -> nn.Module:
    """Freeze a model and add what LoRA trains."""
    from peft import get_peft_model

    model, config = adapter_of(parts, model)
    adapted: nn.Module = get_peft_model(model, config)
    return adapted


def adapter_of(parts: Parts, model: Any) -> tuple[Any, Any]:
    """Return a model as LoRA needs it, and what LoRA adds to it."""
    from peft import prepare_model_for_kbit_training

    if parts.spec.method == "qlora":
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    return model, lora_config(parts.spec, model, num_new=parts.num_new_tokens)


def build_trainer(
    parts: Parts,
    model: nn.Module,
    folder: Path,
    *,
    save: training.Save,
    is_stopped: Callable[[], bool],
    callbacks: list[Any],
) -> Any:
    """Return the trainer of the task."""
    spec = parts.spec
    device = choose_device(spec.device)
    common = training.arguments(
        spec,
        folder,
        total_steps=max(1, parts.total_steps),
        is_bf16=parts.precision == "bf16",
        is_cpu=device.type == "cpu",
    )
    pieces: dict[str, Any] = {
        "model": model,
        "processing_class": parts.tokenizer,
        "train_dataset": parts.train,
        "eval_dataset": parts.validation,
        "callbacks": callbacks,
    }
    made = parts.make_trainer(parts, common, pieces)
    made.save = save
    made.is_stopped = is_stopped
    return made


def scores_of(labels: tuple[str, ...]) -> Callable[[Any], dict[str, float]]:
    """Return what transformers calls with all predictions of an evaluation."""

    def compute(prediction: Any) -> dict[str, float]:
        guesses = torch.from_numpy(prediction.predictions).argmax(-1).tolist()
        right = prediction.label_ids.tolist()
        return classifier_scores(guesses, right, len(labels))

    return compute
