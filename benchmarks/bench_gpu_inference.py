"""Tokens per second on a GPU: one pass ahead of the host, beside a host that waits.

One process, one run: compare ratios, not machines. A Llama of 91 M random parameters,
bf16; `generate` of transformers stands beside it. Without a GPU nothing is measured;
`--cpu` goes through the same with a tiny model, to see that it runs.

    python benchmarks/bench_gpu_inference.py
"""

import argparse
import time
from functools import partial

import torch
import transformers
from bench_inference import ANSWER, PROMPT, Reader, median, show
from inference.decoder.ahead import AheadRunner
from inference.decoder.runner import DecoderRunner
from inference.decoder.torch_pass import TorchPass
from runspec.serving import Sampling
from tiny_decoders import byte_vocabulary
from transformers import LlamaConfig, LlamaForCausalLM

STREAMS = (1, 16, 64)
VOCABULARY = 4096
WAYS = {
    "greedy": Sampling(max_tokens=ANSWER, temperature=0),
    "top-p 0.9": Sampling(max_tokens=ANSWER, temperature=1, top_p=0.9),
}


def build_model(*, is_tiny: bool) -> LlamaForCausalLM:
    """Return a Llama with GPT-2's width and depth, or a tiny one."""
    torch.manual_seed(0)
    width, depth = (64, 2) if is_tiny else (768, 12)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=width,
        intermediate_size=width * 8 // 3,
        num_hidden_layers=depth,
        num_attention_heads=width // 32,
        num_key_value_heads=width // 32,
        max_position_embeddings=1024,
        bos_token_id=None,
        eos_token_id=None,
    )
    return LlamaForCausalLM(config).eval()


def generate(model: LlamaForCausalLM, prompts: list[list[int]]) -> float:
    """Return tokens per second of one call of `generate`."""
    clock = Clock()
    model.generate(
        torch.tensor(prompts, device=model.device),
        max_new_tokens=ANSWER,
        min_new_tokens=ANSWER,
        do_sample=False,
        pad_token_id=0,
    )
    return clock.rate(len(prompts) * ANSWER)


def answer(
    runner: DecoderRunner, prompts: list[list[int]], sampling: Sampling
) -> float:
    """Return tokens per second of streams that begin together."""
    readers = [Reader(prompt) for prompt in prompts]
    clock = Clock()
    for reader in readers:
        reader.sequence.sampling = sampling
        runner.add(reader.sequence)
    while runner.step():
        pass
    return clock.rate(sum(len(one.times) for one in readers))


class Clock:
    """Time that counts what the device was asked to do, done."""

    def __init__(self) -> None:
        self.began = self.now()

    @staticmethod
    def now() -> float:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter()

    def rate(self, count: int) -> float:
        return count / (self.now() - self.began)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cpu", action="store_true", help="see that it runs")
    is_cpu = parser.parse_args().cpu
    if not is_cpu and not torch.cuda.is_available():
        print("no NVIDIA device: nothing measured")
        return
    transformers.logging.set_verbosity_error()
    model = build_model(is_tiny=is_cpu)
    model = model if is_cpu else model.cuda().bfloat16()
    num_parameters = sum(one.numel() for one in model.parameters())
    name = "CPU" if is_cpu else torch.cuda.get_device_name()
    print(f"{num_parameters / 1e6:.0f} M parameters, {model.dtype}, {name}")
    prompts = torch.randint(1, VOCABULARY, (max(STREAMS), PROMPT)).tolist()
    theirs = {
        number: median(partial(generate, model, prompts[:number])) for number in STREAMS
    }
    holder = TorchPass(model, max(STREAMS))
    runners = [
        made(holder, byte_vocabulary(), max(STREAMS))
        for made in (DecoderRunner, AheadRunner)
    ]
    for way, sampling in WAYS.items():
        print(way)
        for number in STREAMS:
            waiting, ahead = (
                median(partial(answer, one, prompts[:number], sampling))
                for one in runners
            )
            show(f"{number} streams, host waits", waiting, "")
            compared = f"{ahead / waiting:.2f} x waiting"
            compared += f", {ahead / theirs[number]:.2f} x generate, greedy"
            show(f"{number} streams, one pass ahead", ahead, compared)


if __name__ == "__main__":
    main()
