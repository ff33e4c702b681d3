"""Tokens per second of the inference engine, beside what else would answer.

One process, one run: compare ratios, not machines. `generate` of transformers gets the
number of threads it is fastest with. Random weights: what a token is does not matter.

The engine chooses its number of threads as it goes; beside it stands what it makes with
one, also while another process keeps a core busy.

    python benchmarks/bench_inference.py
"""

import importlib.util
import multiprocessing
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
import transformers
from transformers import ContinuousBatchingConfig, LlamaConfig, LlamaForCausalLM

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "workers"), str(ROOT / "tests")]

from inference.decoder.cpu_pass import CpuPass  # noqa: E402
from inference.decoder.making import make_runner  # noqa: E402
from inference.decoder.runner import DecoderRunner  # noqa: E402
from inference.decoder.team import ThreadChooser, team  # noqa: E402
from inference.engine import Engine  # noqa: E402
from inference.sequence import Sequence  # noqa: E402
from runspec.serving import Sampling, TokenTold  # noqa: E402
from tiny_decoders import byte_vocabulary  # noqa: E402

PROMPT, ANSWER, STREAMS = 32, 128, 16
REPEATS = 5
GAP_S = 0.01
"""Between the arrivals of streams."""


def build_model() -> LlamaForCausalLM:
    """Return a Llama of 6.6 M parameters."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=4096,
        hidden_size=256,
        intermediate_size=640,
        num_hidden_layers=6,
        num_attention_heads=8,
        num_key_value_heads=8,
        max_position_embeddings=512,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=None,
    )
    return LlamaForCausalLM(config).eval()


def generate(model: LlamaForCausalLM, prompts: list[list[int]]) -> float:
    """Return tokens per second of one call of `generate`."""
    began = time.perf_counter()
    model.generate(
        torch.tensor(prompts),
        max_new_tokens=ANSWER,
        min_new_tokens=ANSWER,
        do_sample=False,
        pad_token_id=0,
    )
    return len(prompts) * ANSWER / (time.perf_counter() - began)


def generate_continuously(model: LlamaForCausalLM, prompts: list[list[int]]) -> float:
    """Return tokens per second of transformers' continuous batching."""
    settings = transformers.GenerationConfig(
        max_new_tokens=ANSWER, do_sample=False, pad_token_id=0, eos_token_id=-1
    )
    began = time.perf_counter()
    model.generate_batch(
        inputs=prompts,
        generation_config=settings,
        continuous_batching_config=ContinuousBatchingConfig(num_blocks=256),
        progress_bar=False,
    )
    return len(prompts) * ANSWER / (time.perf_counter() - began)


class Reader:
    """One stream: when its tokens came."""

    def __init__(self, prompt: list[int]) -> None:
        self.times: list[float] = []
        self.is_over = threading.Event()
        self.began = time.perf_counter()
        self.sequence = Sequence(
            prompt_ids=prompt,
            sampling=Sampling(max_tokens=ANSWER, temperature=0),
            tell=self.tell,
            finish=lambda _: self.is_over.set(),
            fail=self.fail,
            start=lambda _: None,
            eos_ids=frozenset(),
            max_tokens=ANSWER,
        )

    def tell(self, _: TokenTold) -> bool:
        self.times.append(time.perf_counter())
        return False

    def fail(self, error: Exception) -> None:
        raise error


def answer(
    engine: Engine, runner: DecoderRunner, prompts: list[list[int]], gap_s: float = 0
) -> tuple[float, float]:
    """Return tokens per second, and the median wait for a first token, in seconds."""
    began = time.perf_counter()
    readers = []
    for prompt in prompts:
        reader = Reader(prompt)
        readers.append(reader)
        engine.call(lambda one=reader: runner.add(one.sequence))
        time.sleep(gap_s)
    for reader in readers:
        reader.is_over.wait()
    took = max(reader.times[-1] for reader in readers) - began
    waits = [reader.times[0] - reader.began for reader in readers]
    return sum(len(one.times) for one in readers) / took, statistics.median(waits)


def median(measure: Callable[[], float]) -> float:
    """Return the median of some runs after one that warms up."""
    measure()
    return statistics.median(measure() for _ in range(REPEATS))


def read_bandwidth() -> float:
    """Return bytes per second one core reads from memory (a sum over 1 GB)."""
    block = np.ones(2**27, np.float64)
    times = []
    for _ in range(3):
        began = time.perf_counter()
        block.sum()
        times.append(time.perf_counter() - began)
    return block.nbytes / min(times)


def measure_llama_cpp(
    model: LlamaForCausalLM, prompts: list[list[int]], cores: int
) -> None:
    """Print what llama.cpp makes of the same weights, where it is installed."""
    names = ("llama_cpp", "gguf")
    missing = [one for one in names if importlib.util.find_spec(one) is None]
    if missing:
        print(f"llama.cpp: not measured, {' and '.join(missing)} not installed")
        return
    from llama_cpp_peer import Peer, write_model

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.gguf"
        write_model(model, file)
        one: dict[int, float] = {}
        many: dict[int, float] = {}
        for threads in sorted({1, cores}):
            peer = Peer(file, num_threads=threads, num_sequences=STREAMS)
            one[threads] = median(lambda made=peer: made.answer(prompts[:1], ANSWER)[0])
            many[threads] = median(lambda made=peer: made.answer(prompts, ANSWER)[0])
    print("llama.cpp, fp32 (tokens/s by number of threads)")
    show("one stream", max(one.values()), one)
    show(f"batch of {STREAMS}", max(many.values()), many)


def work_for_ever() -> None:
    """Keep a core busy."""
    while True:
        pass


def compare_threads(
    engine: Engine, runner: DecoderRunner, prompts: list[list[int]], remark: str
) -> None:
    """Print what one thread makes, and what the number chosen as it goes does.

    By turns, so that both meet the same load of the machine.
    """
    holder = runner.holder
    assert isinstance(holder, CpuPass)
    ways = {"one thread": ThreadChooser(1), "chosen": ThreadChooser(team().num_threads)}
    for what, asked in (("one stream", prompts[:1]), (f"{STREAMS} streams", prompts)):
        made: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(REPEATS + 1):
            for way, chooser in ways.items():
                holder.threads = chooser
                made[way].append(answer(engine, runner, asked, GAP_S)[0])
        alone, chosen = (statistics.median(one[1:]) for one in made.values())
        compared = f"{chosen / alone:.2f} x one thread ({alone:.0f})"
        show(f"{what}{remark}", chosen, compared)


def show(what: str, tokens_per_s: float, remark: object) -> None:
    """Print one line of the table."""
    print(f"  {what:28} {tokens_per_s:8.0f} tokens/s  {remark}")


def main() -> None:
    """Measure and print."""
    transformers.logging.set_verbosity_error()
    model = build_model()
    num_parameters = sum(one.numel() for one in model.parameters())
    prompts = torch.randint(1, 4096, (STREAMS, PROMPT)).tolist()
    print(f"{num_parameters / 1e6:.1f} M parameters, fp32, greedy, {ANSWER} tokens")

    cores = torch.get_num_threads()
    plain: dict[int, float] = {}
    static: dict[int, float] = {}
    for threads in sorted({1, cores}):
        torch.set_num_threads(threads)
        plain[threads] = median(lambda: generate(model, prompts[:1]))
        static[threads] = median(lambda: generate(model, prompts))
    one, many = max(plain.values()), max(static.values())
    print("transformers (tokens/s by number of threads)")
    show("generate, one stream", one, plain)
    show(f"generate, static batch of {STREAMS}", many, static)
    torch.set_num_threads(cores)
    theirs = generate_continuously(model, prompts)
    show(f"continuous batching, {STREAMS}", theirs, "")

    torch.set_num_threads(1)
    engine = Engine()
    engine.start()
    limit = read_bandwidth() / (4 * num_parameters)
    for name, held in (("fp32", model), ("bf16 weights", deepcopy(model).bfloat16())):
        runner = make_runner(held, byte_vocabulary(), room_bytes=2**30)
        assert runner is not None
        engine.call(lambda made=runner: engine.add(made)).result()
        print(f"engine, {name}")
        alone = median(lambda made=runner: answer(engine, made, prompts[:1])[0])
        show("one stream", alone, f"{alone / one:.2f} x generate")
        share = f"{alone / limit:.0%} of the limit of reading fp32 weights from memory"
        show("", limit, share)
        first = statistics.median(
            answer(engine, runner, [prompt])[1] for prompt in prompts
        )
        crowd = median(lambda made=runner: answer(engine, made, prompts, GAP_S)[0])
        compared = f"{crowd / many:.2f} x static, {crowd / theirs:.1f} x continuous"
        show(f"{STREAMS} streams, {GAP_S * 1000:.0f} ms apart", crowd, compared)
        print(f"  first token, warm: {first * 1000:.1f} ms (prompt of {PROMPT})")
        if name == "fp32":
            compare_threads(engine, runner, prompts, "")
            busy = multiprocessing.Process(target=work_for_ever, daemon=True)
            busy.start()
            compare_threads(engine, runner, prompts, ", a core busy")
            busy.terminate()
        engine.call(lambda made=runner: engine.remove(made)).result()
    engine.stop()
    measure_llama_cpp(model, prompts, cores)


if __name__ == "__main__":
    main()
