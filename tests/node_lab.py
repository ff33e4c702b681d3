"""A real inference node in a process of its own, and tiny models for it to load."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import httpx
import torch
import transformers as hf
from runspec.serving import NODE_KEY_HEADER, ModelRef, StreamEvent, parse_event
from sandbox.templates import CHATML
from tiny_decoders import byte_vocabulary
from tokenizers import AddedToken
from tokenizers.processors import TemplateProcessing
from transformers.utils import logging

KEY = "the node's key"
ROOT = Path(__file__).resolve().parents[1]
SPECIAL = ["<|im_start|>", "<|im_end|>", "<mask>", "<pad>"]
SIZE = 320
"""Embeddings; more than the tokenizer has tokens, as many models have."""
END, START, TURN_END, MASK, PAD = 0, 292, 293, 294, 295


def write_tokenizer(folder: Path, *, template: str = "", closes: bool = False) -> None:
    """Write a byte-level tokenizer; `closes` puts an end token behind each text."""
    inner = byte_vocabulary().tokenizer
    inner.add_special_tokens([AddedToken(name, special=True) for name in SPECIAL])
    if closes:
        inner.post_processor = TemplateProcessing(
            single="$A <end>", special_tokens=[("<end>", END)]
        )
    made = hf.PreTrainedTokenizerFast(
        tokenizer_object=inner,
        eos_token="<end>",
        mask_token="<mask>",
        pad_token="<pad>",
    )
    made.chat_template = template or None
    made.save_pretrained(folder)


def write_model(folder: Path, kind: str, *, template: str = "", **changes: Any) -> Path:
    """Write a tiny model with weights that differ enough for answers to vary."""
    logging.disable_progress_bar()
    torch.manual_seed(11)
    with torch.device("cpu"):
        model = MODELS[kind](**changes)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(folder)
    write_tokenizer(folder, template=template, closes=kind in {"t5", "bart", "bert"})
    return folder


COMMON = {
    "vocab_size": SIZE,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 256,
    "initializer_range": 0.3,
    "bos_token_id": None,
    "eos_token_id": END,
    "pad_token_id": PAD,
}
JUDGES = {"num_labels": 1}


def _llama(**changes: Any) -> Any:
    return hf.LlamaForCausalLM(
        hf.LlamaConfig(**(COMMON | {"num_key_value_heads": 2} | changes))
    )


def _mixtral(**changes: Any) -> Any:
    # With a window, which the fast pass leaves to the library.
    config = COMMON | {
        "num_key_value_heads": 2, "num_local_experts": 4, "sliding_window": 8192,
    }  # fmt: skip
    return hf.MixtralForCausalLM(hf.MixtralConfig(**(config | changes)))


def _gpt2(**changes: Any) -> Any:
    config = {
        "vocab_size": SIZE, "n_embd": 32, "n_layer": 2, "n_head": 4,
        "n_positions": 256, "initializer_range": 0.3, "bos_token_id": None,
        "eos_token_id": END,
    }  # fmt: skip
    return hf.GPT2LMHeadModel(hf.GPT2Config(**(config | changes)))


def _t5(**changes: Any) -> Any:
    config = {
        "vocab_size": SIZE, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2,
        "num_heads": 4, "decoder_start_token_id": PAD, "pad_token_id": PAD,
        "eos_token_id": END, "initializer_factor": 3.0,
    }  # fmt: skip
    return hf.T5ForConditionalGeneration(hf.T5Config(**(config | changes)))


def _bart(**changes: Any) -> Any:
    config = {
        "vocab_size": SIZE, "d_model": 32, "encoder_layers": 2, "decoder_layers": 2,
        "encoder_attention_heads": 4, "decoder_attention_heads": 4,
        "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "max_position_embeddings": 128,
        "bos_token_id": None, "eos_token_id": END, "pad_token_id": PAD,
        "decoder_start_token_id": PAD, "forced_eos_token_id": None, "init_std": 0.3,
    }  # fmt: skip
    return hf.BartForConditionalGeneration(hf.BartConfig(**(config | changes)))


def _bert(**changes: Any) -> Any:
    return hf.BertForMaskedLM(hf.BertConfig(**(COMMON | changes)))


def _judge(**changes: Any) -> Any:
    return hf.LlamaForSequenceClassification(
        hf.LlamaConfig(**(COMMON | JUDGES | {"num_key_value_heads": 2} | changes))
    )


def _labels(**changes: Any) -> Any:
    names = {"id2label": {0: "calm", 1: "angry", 2: "glad"}}
    return hf.BertForSequenceClassification(hf.BertConfig(**(COMMON | names | changes)))


MODELS = {
    "llama": _llama, "mixtral": _mixtral, "gpt2": _gpt2, "t5": _t5, "bart": _bart,
    "bert": _bert, "judge": _judge, "labels": _labels,
}  # fmt: skip


def ref_of(folder: Path, **changes: str) -> dict[str, str]:
    """Return what names a model, as JSON."""
    ref = ModelRef(key=folder.name, url=folder.as_uri(), sha256="0" * 64).model_dump()
    return ref | changes


class NodeProcess:
    """`python -m inference`, and a client that knows its key."""

    def __init__(self, cache: Path, *flags: str) -> None:
        cache.mkdir(exist_ok=True)
        self.log = cache / "node.log"
        with self.log.open("ab") as log:
            self.process = self._start(cache, flags, log)
        assert self.process.stdout is not None
        self.url = json.loads(self.process.stdout.readline())["url"]
        self.http = httpx.Client(
            base_url=self.url, headers={NODE_KEY_HEADER: KEY}, timeout=60
        )

    def _start(
        self, cache: Path, flags: tuple[str, ...], log: IO[bytes]
    ) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [
                sys.executable, "-P", "-m", "inference", "--device=cpu",
                f"--cache-dir={cache}", *flags,
            ],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(cache),
                "PYTHONPATH": str(ROOT / "workers"),
                "OMP_NUM_THREADS": "1",
                "TRIVIUM_NODE_KEY": KEY,
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )  # fmt: skip

    def post(self, path: str, **body: Any) -> httpx.Response:
        return self.http.post(path, json=body)

    def state(self) -> dict[str, Any]:
        return self.http.get("/state").json()

    @contextmanager
    def stream(self, folder: Path, prompt: Any, **body: Any) -> Iterator["Stream"]:
        """Open a stream of an answer; leaving it leaves the node."""
        asked = asked_of(folder, prompt, **body)
        with self.http.stream("POST", "/generate", json=asked) as answer:
            yield Stream(answer)

    def generate(self, folder: Path, prompt: Any, **body: Any) -> "Told":
        """Return a whole answer."""
        with self.stream(folder, prompt, **body) as stream:
            assert stream.status == 200, stream.response.read()
            return Told(list(stream))

    def refused(self, folder: Path, prompt: Any, **body: Any) -> dict[str, Any]:
        """Return why an answer is refused; its status is part of it."""
        found = self.http.post("/generate", json=asked_of(folder, prompt, **body))
        assert found.status_code == found.json()["status"], found.text
        assert found.status_code >= 400
        return found.json()

    def end(self) -> int:
        """End its standard input, and wait; may be called again."""
        self.http.close()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        code = self.process.wait(timeout=20)
        self.process.stdout.close()
        return code


def asked_of(folder: Path, prompt: Any, **body: Any) -> dict[str, Any]:
    """Return a request: a str is a text, a list a conversation."""
    shape = prompt if isinstance(prompt, dict) else {"text": prompt}
    if isinstance(prompt, list):
        shape = {"messages": prompt}
    reserved = {"id", "n", "top_logprobs", "answered_ids", "model"}
    asked = {key: body.pop(key) for key in list(body) if key in reserved}
    sampling = {"temperature": 0, "max_tokens": 12} | body
    return {
        "id": os.urandom(8).hex(),
        "model": ref_of(folder),
        "prompt": shape,
        "sampling": sampling,
        **asked,
    }


class Stream:
    """Events as they come."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.status = response.status_code
        self._lines = response.iter_lines()

    def __iter__(self) -> Iterator[StreamEvent]:
        for line in self._lines:
            yield parse_event.validate_json(line)

    def until(self, kind: str) -> Any:
        """Return the next event of a kind."""
        for event in self:
            if event.type == kind:
                return event
        raise AssertionError(f"no event {kind}")


class Told:
    """A whole answer, sorted."""

    def __init__(self, events: list[StreamEvent]) -> None:
        self.events: list[Any] = list(events)
        self.types = [event.type for event in events]

    @property
    def receipt(self) -> Any:
        return self.events[0].receipt

    @property
    def end(self) -> Any:
        return self.events[-1]

    def ids(self, index: int = 0) -> list[int]:
        return [one.id for one in self.tokens(index)]

    def tokens(self, index: int = 0) -> list[Any]:
        return [
            token
            for event in self.events
            if event.type == "tokens" and event.index == index
            for token in event.tokens
        ]

    def text(self, index: int = 0) -> str:
        return "".join(
            event.text
            for event in self.events
            if event.type in {"tokens", "finish"} and event.index == index
        )

    def finish(self, index: int = 0) -> Any:
        [found] = [
            event
            for event in self.events
            if event.type == "finish" and event.index == index
        ]
        return found


CHAT = CHATML.source
