"""Tiny models of each architecture, rows for them, and a stage that can be stopped."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from runspec import PreflightSpec, SftSpec
from runspec import events as spoken
from runspec.layout import DatasetCard, Split
from stage_lab import context_for, read_events
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from trainer.context import Context
from trainer.errors import BadInputError, Stopped
from trainer.preflight import run_preflight
from trainer.sft import run_sft

COLOURS = ("red", "blue", "green", "white")
THINGS = ("door", "coat", "boat", "cup", "hat", "roof")
COMMON: dict[str, Any] = {
    "batch_size": 8,
    "learning_rate": 3e-3,
    "max_steps": 12,
    "epochs": 50,
    "eval_every": 4,
    "checkpoint_every": 4,
    "answer_rows": 4,
    "sample_tokens": 12,
    "device": "cpu",
    "precision": "fp32",
}
MESSAGES = pa.list_(
    pa.struct(
        [("role", pa.string()), ("content", pa.string()), ("tool_calls", pa.string())]
    )
)
SCHEMAS = {
    "instructions": pa.schema(
        [("prompt", pa.string()), ("completion", pa.string()), ("system", pa.string())]
    ),
    "conversations": pa.schema([("messages", MESSAGES), ("tools", pa.string())]),
    "text-to-text": pa.schema([("prompt", pa.string()), ("completion", pa.string())]),
    "labelled": pa.schema([("text", pa.string()), ("label", pa.string())]),
    "preferences": pa.schema(
        [
            ("prompt", MESSAGES),
            ("chosen", MESSAGES),
            ("rejected", MESSAGES),
            ("is_chat", pa.bool_()),
            ("chosen_share", pa.float32()),
            ("strength", pa.float32()),
        ]
    ),
}


def instructions() -> list[dict[str, Any]]:
    """Which colour has a thing? Always the same one."""
    return [
        {
            "prompt": f"What colour is the {thing} of number {number}?",
            "completion": f"It is {COLOURS[(number + len(thing)) % 4]}.",
            "system": None,
        }
        for number in range(10)
        for thing in THINGS
    ]


def turns(*contents: str, start: str = "user") -> dict[str, Any]:
    """Return a conversation in which people take turns."""
    roles = ["user", "assistant"] if start == "user" else ["assistant", "user"]
    return {
        "messages": [
            {"role": roles[at % 2], "content": text, "tool_calls": None}
            for at, text in enumerate(contents)
        ],
        "tools": None,
    }


def write_rows(
    folder: Path, kind: str, train: list[Any], validation: list[Any] | None = None
) -> Path:
    """Lay down a dataset as an ingest run does."""
    folder.mkdir(parents=True)
    splits = {}
    for name, rows in (("train", train), ("validation", validation or [])):
        if not rows:
            continue
        table = pa.Table.from_pylist(rows, schema=SCHEMAS[kind])
        pq.write_table(table, folder / f"{name}.parquet")
        splits[name] = Split(
            rows=len(rows), bytes=1, characters=1, shards=[f"{name}.parquet"]
        )
    card = DatasetCard(
        kind=kind,
        columns=SCHEMAS[kind].names,
        rows=len(train) + len(validation or []),
        bytes=1,
        characters=1,
        distinct_rows=len(train),
        duplicate_rows=0,
        length_histogram=[],
        splits=splits,
        content_sha256=str(abs(hash(json.dumps([train, validation])))),
        source_name=f"{folder.name}.jsonl",
        source_sha256="",
    )
    (folder / "dataset.json").write_text(card.model_dump_json())
    return folder


def byte_tokenizer(folder: Path, *, architecture: str) -> int:
    """Write a byte-level tokenizer; return the size of its vocabulary."""
    names = ["<|endoftext|>", "<|pad|>", "<|mask|>", "<|start|>"]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {piece: number for number, piece in enumerate([*names, *letters])}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(names)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": names[0],
        "bos_token": names[0],
        "pad_token": names[1],
        "clean_up_tokenization_spaces": False,
        "split_special_tokens": True,
    }
    if architecture == "encoder":
        config |= {"mask_token": names[2], "cls_token": names[3], "sep_token": names[0]}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return len(vocabulary)


def write_model(folder: Path, architecture: str, *, context: int = 128) -> Path:
    """Write a tiny model with random weights."""
    import torch
    from transformers import (
        BertConfig,
        BertForMaskedLM,
        LlamaConfig,
        LlamaForCausalLM,
        T5Config,
        T5ForConditionalGeneration,
    )

    torch.manual_seed(3)
    size = byte_tokenizer(folder, architecture=architecture)
    shape = {"vocab_size": size, "pad_token_id": 1, "eos_token_id": 0}
    model: Any
    if architecture == "decoder":
        config = LlamaConfig(
            **shape,
            bos_token_id=0,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=context,
            attention_dropout=0.1,  # random numbers that a resume must restore
        )
        model = LlamaForCausalLM(config)
    elif architecture == "encoder":
        model = BertForMaskedLM(
            BertConfig(
                **shape,
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=2,
                num_attention_heads=2,
                max_position_embeddings=context,
            )
        )
    else:
        model = T5ForConditionalGeneration(
            T5Config(
                **shape,
                d_model=32,
                d_kv=16,
                d_ff=64,
                num_layers=2,
                num_heads=2,
                decoder_start_token_id=1,
                feed_forward_proj="gated-gelu",
            )
        )
    model.save_pretrained(folder)
    return folder


@dataclass
class Lab:
    """Runs tiny stages in a folder of the test."""

    root: Path
    cache: Path
    models: dict[str, Path]

    def rows(self, name: str, kind: str, *splits: list[Any]) -> str:
        return str(write_rows(self.root / name, kind, *splits))

    def spec(self, architecture: str, *datasets: str, **changes: Any) -> SftSpec:
        task = {
            "decoder": "chat",
            "encoder": "classification",
            "encoder-decoder": "text-to-text",
        }[architecture]
        values = {
            "model": str(self.models[architecture]),
            "datasets": datasets,
            "task": task,
        }
        return SftSpec(**{**values, **COMMON, **changes})

    def context(self, name: str, **options: Any) -> Context:
        return context_for(self.root / name, cache=self.cache, **options)

    def run(self, spec: SftSpec, name: str = "run", **options: Any) -> Path:
        """Run to the end, or to a stop; return the run's folder."""
        context = self.context(name, **options)
        try:
            run_sft(spec, context=context)
        except Stopped:
            assert options.get("stop_at") is not None
        finally:
            context.report.close()
        return context.folder

    def check(
        self, spec: SftSpec, name: str = "check", *, trains_on: str = "cpu"
    ) -> dict[str, Any]:
        """Run a preflight; return its report, refused or not."""
        context = self.context(name)
        try:
            checked = PreflightSpec(training=spec, trains_on=trains_on)
            run_preflight(checked, context=context)
        except BadInputError:
            pass
        finally:
            context.report.close()
        (result,) = [
            event
            for event in read_events(context.folder)
            if isinstance(event, spoken.Result)
        ]
        report: dict[str, Any] = result.values["report"]
        return report
