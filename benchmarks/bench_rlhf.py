"""Tokens per second at which RLHF draws answers: the engine, and `generate`.

In turns, one process, as a run on a CPU does it; the engine's time includes taking over
the policy's new weights, which is also told by itself. Random weights, so that no
answer ends early: 64 answers of 64 tokens to prompts of 20.

    python benchmarks/bench_rlhf.py
"""

import statistics
import sys
import time
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "workers")]

from trainer.rlhf.by_engine import EngineSampler, weights_of  # noqa: E402
from trainer.rlhf.by_library import LibrarySampler  # noqa: E402
from trainer.rlhf.sampling import Drawing, seed_of  # noqa: E402

ANSWERS, PROMPT, TOKENS, VOCABULARY = 64, 20, 64, 2000
TURNS = 5
SHAPES = ((96, 4), (256, 4))
"""Width and layers."""


def build(width: int, layers: int) -> LlamaForCausalLM:
    """Return a Llama with random weights."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=width // 32,
        max_position_embeddings=256,
    )
    return LlamaForCausalLM(config).eval()


def tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer of as many words."""
    words = {f"w{number}": number for number in range(VOCABULARY)}
    made = Tokenizer(WordLevel(words, unk_token="w0"))
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="w1")


def main() -> None:
    """Measure and print."""
    prompts = [[2 + number] * PROMPT for number in range(ANSWERS)]
    seeds = [seed_of(0, 0, number) for number in range(ANSWERS)]
    options = {"ends": [VOCABULARY], "is_stopped": lambda: False}
    for width, layers in SHAPES:
        model = build(width, layers)
        drawing = Drawing(TOKENS)
        samplers = [
            made(model, tokenizer(), drawing, **options)
            for made in (EngineSampler, LibrarySampler)
        ]
        speeds: dict[str, list[float]] = {one.name: [] for one in samplers}
        handing: list[float] = []
        for turn in range(TURNS + 1):
            began = time.perf_counter()
            weights_of(model)
            handing.append(time.perf_counter() - began)
            for one in samplers:
                began = time.perf_counter()
                found = one.sample(prompts, seeds=seeds)
                took_s = time.perf_counter() - began
                if turn:  # the first one warms up
                    tokens = sum(len(answer.ids) for answer in found)
                    speeds[one.name].append(tokens / took_s)
        size = sum(parameter.numel() for parameter in model.parameters())
        medians = {name: statistics.median(each) for name, each in speeds.items()}
        ratio = medians["engine"] / medians["transformers"]
        print(
            f"{size / 1e6:.1f} M parameters: "
            + ", ".join(
                f"{name} {each:,.0f} tokens/s" for name, each in medians.items()
            )
            + f" ({ratio:.1f} x); weights handed over in "
            f"{1000 * statistics.median(handing):.0f} ms"
        )


if __name__ == "__main__":
    main()
