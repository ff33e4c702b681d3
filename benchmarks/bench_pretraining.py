"""Pretraining: tokens per second, and the share of the device's matrix-product peak.

Two models, each trained by a plain loop in the manner of nanoGPT (eager, fp32, a model
written out in modules) and by the stage's own loop, eager and compiled. The contenders
take short turns, and the lower quartile of their steps counts, so that other work on
the machine hits all of them alike: read the ratios, not the seconds. The share is
6·N·tokens/s over the product measured in the precision of training. Run:

    python benchmarks/bench_pretraining.py [--rounds 12] [--only characters llama]
        [--precision fp32 bf16] [--no-compile]

Shapes: B sequences, T context, C width, H heads, D width of a head, V vocabulary.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workers"))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from runspec import PretrainSpec  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812
from trainer.architectures import (  # noqa: E402
    TokenIds,
    build_model,
    decay_groups,
    num_parameters,
)
from trainer.forward import TrainingForward  # noqa: E402
from trainer.hardware import (  # noqa: E402
    choose_device,
    device_name,
    matrix_peaks,
)
from trainer.loop import Trainer  # noqa: E402
from trainer.windows import draw_windows  # noqa: E402

COMMON = {
    "dataset": "-",
    "tokenizer": "-",
    "max_steps": 2000,
    "warmup_steps": 100,
    "beta2": 0.99,
}
MODELS = {
    "characters": (
        65,
        {
            "family": "gpt2",
            "layers": 4,
            "heads": 4,
            "width": 128,
            "context": 64,
            "batch_size": 12,
        },
    ),
    "llama": (
        2048,
        {
            "family": "llama",
            "layers": 6,
            "heads": 8,
            "width": 256,
            "context": 256,
            "batch_size": 8,
        },
    ),
}
PRECISIONS = ["fp32", "bf16"]
TURN_S = 0.5
"""A contender's turn: as many steps as fit, one at least."""

TakeStep = Callable[[], object]


class PlainBlock(nn.Module):
    """One layer as written by hand, of either family."""

    def __init__(self, spec: PretrainSpec) -> None:
        super().__init__()
        self.is_llama = spec.family == "llama"
        self.heads = spec.heads
        C, inner, bias = spec.width, spec.feed_forward_width, not self.is_llama
        norm = nn.RMSNorm if self.is_llama else nn.LayerNorm
        self.norm_1, self.norm_2 = norm(C), norm(C)
        self.qkv = nn.Linear(C, 3 * C, bias=bias)
        self.out = nn.Linear(C, C, bias=bias)
        self.up = nn.Linear(C, inner, bias=bias)
        self.down = nn.Linear(inner, C, bias=bias)
        self.gate = nn.Linear(C, inner, bias=False) if self.is_llama else None

    def forward(self, x_BTC: Tensor, turns_TD: Tensor) -> Tensor:
        x_BTC = x_BTC + self.attend(self.norm_1(x_BTC), turns_TD)
        y_BTC = self.norm_2(x_BTC)
        if self.gate is None:
            return x_BTC + self.down(F.gelu(self.up(y_BTC)))
        return x_BTC + self.down(F.silu(self.gate(y_BTC)) * self.up(y_BTC))

    def attend(self, x_BTC: Tensor, turns_TD: Tensor) -> Tensor:
        B, T, C = x_BTC.shape
        q_BHTD, k_BHTD, v_BHTD = (
            part.view(B, T, self.heads, C // self.heads).transpose(1, 2)
            for part in self.qkv(x_BTC).split(C, dim=2)
        )
        if self.is_llama:
            q_BHTD, k_BHTD = rotate(q_BHTD, turns_TD), rotate(k_BHTD, turns_TD)
        y_BHTD = F.scaled_dot_product_attention(q_BHTD, k_BHTD, v_BHTD, is_causal=True)
        return self.out(y_BHTD.transpose(1, 2).reshape(B, T, C))


def rotate(x_BHTD: Tensor, turns_TD: Tensor) -> Tensor:
    """Turn pairs of numbers as complex ones, as the Llama paper's own code does."""
    pairs = torch.view_as_complex(x_BHTD.float().reshape(*x_BHTD.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * turns_TD).flatten(-2)


class PlainModel(nn.Module):
    """The whole model, with as many parameters as the stage's own."""

    def __init__(self, spec: PretrainSpec, vocabulary_size: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary_size, spec.width)
        self.places = (
            nn.Embedding(spec.context, spec.width) if spec.family == "gpt2" else None
        )
        self.blocks = nn.ModuleList(PlainBlock(spec) for _ in range(spec.layers))
        norm = nn.RMSNorm if spec.family == "llama" else nn.LayerNorm
        self.norm = norm(spec.width)
        self.head = nn.Linear(spec.width, vocabulary_size, bias=False)
        self.head.weight = self.tokens.weight
        D = spec.width // spec.heads
        rates_D = 10_000.0 ** (-torch.arange(0, D, 2) / D)
        angles_TD = torch.outer(torch.arange(spec.context), rates_D)
        turns_TD = torch.polar(torch.ones_like(angles_TD), angles_TD)
        self.register_buffer("turns_TD", turns_TD, persistent=False)

    def forward(self, ids_BT: Tensor, labels_BT: Tensor) -> Tensor:
        x_BTC = self.tokens(ids_BT)
        if self.places is not None:
            x_BTC = x_BTC + self.places(torch.arange(ids_BT.shape[1]))
        for block in self.blocks:
            x_BTC = block(x_BTC, self.turns_TD)
        logits_BTV = self.head(self.norm(x_BTC))
        return F.cross_entropy(logits_BTV.flatten(0, 1), labels_BT.flatten())


def plain_steps(spec: PretrainSpec, vocabulary_size: int, ids: np.ndarray) -> TakeStep:
    """Return one step of a plain loop: random windows, backward, clip, AdamW."""
    model = PlainModel(spec, vocabulary_size)
    reference = build_model(spec, TokenIds(vocabulary_size, 0))
    assert num_parameters(model) == num_parameters(reference)
    betas = (spec.beta1, spec.beta2)
    groups = decay_groups(model, spec.weight_decay)
    optimizer = torch.optim.AdamW(groups, lr=spec.learning_rate, betas=betas)

    def window(at: int) -> Tensor:
        return torch.from_numpy(ids[at : at + spec.context].astype(np.int64))

    def take_step() -> None:
        starts = torch.randint(len(ids) - spec.context, (spec.batch_size,)).tolist()
        ids_BT = torch.stack([window(at) for at in starts])
        labels_BT = torch.stack([window(at + 1) for at in starts])
        loss = model(ids_BT, labels_BT)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), spec.clip_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return take_step


def stage_steps(
    spec: PretrainSpec,
    vocabulary_size: int,
    ids: np.ndarray,
    *,
    precision: str,
    is_compiled: bool,
) -> TakeStep:
    """Return one step of the stage's loop, reading of windows included."""
    model = build_model(spec, TokenIds(vocabulary_size, 0))
    forward = TrainingForward(model)
    trainer = Trainer(
        forward=torch.compile(forward) if is_compiled else forward,
        model=model,
        optimizer=torch.optim.AdamW(
            decay_groups(model, spec.weight_decay),
            lr=spec.learning_rate,
            betas=(spec.beta1, spec.beta2),
            fused=True,
        ),
        device=torch.device("cpu"),
        clip_norm=spec.clip_norm,
        is_bf16=precision == "bf16",
    )

    def take_step() -> None:
        batch = draw_windows(
            ids,
            count=spec.batch_size,
            context=spec.context,
            seed=spec.seed,
            step=trainer.step,
        )
        trainer.take_step([batch], learning_rate=spec.learning_rate)
        if trainer.is_due:
            trainer.read()

    return take_step


def seconds_per_step(contenders: dict[str, TakeStep], rounds: int) -> dict[str, float]:
    """Return the lower quartile of each contender's seconds per step, in turns."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, take_step in contenders.items():
            until = time.perf_counter() + TURN_S
            # One step unmeasured: the caches hold what the contender before used.
            take_step()
            while True:
                start = time.perf_counter()
                take_step()
                times[name].append(time.perf_counter() - start)
                if time.perf_counter() > until:
                    break
    return {name: float(np.quantile(found, 0.25)) for name, found in times.items()}


def measure(name: str, options: argparse.Namespace, peaks: dict[str, float]) -> None:
    """Print one model's table."""
    vocabulary_size, values = MODELS[name]
    spec = PretrainSpec(**COMMON, **values)
    rng = np.random.default_rng(1)
    ids = rng.integers(0, vocabulary_size, 1_000_000).astype("<u2")
    contenders = {"plain, eager, fp32": plain_steps(spec, vocabulary_size, ids)}
    for how in ("eager",) if options.no_compile else ("eager", "compiled"):
        for precision in options.precision:
            contenders[f"stage, {how}, {precision}"] = stage_steps(
                spec,
                vocabulary_size,
                ids,
                precision=precision,
                is_compiled=how == "compiled",
            )
    first_s = {}
    for label, take_step in contenders.items():
        start = time.perf_counter()
        take_step()
        first_s[label] = time.perf_counter() - start
    seconds = seconds_per_step(contenders, options.rounds)

    parameters = num_parameters(build_model(spec, TokenIds(vocabulary_size, 0)))
    print(
        f"\n{name}: {spec.family}, {parameters / 1e6:.2f} M parameters, "
        f"{spec.batch_size} x {spec.context} tokens a step"
    )
    titles = ("ms/step", "tokens/s", "x plain", "of peak", "first s")
    print(f"{'':<24}" + "".join(f"{title:>10}" for title in titles))
    plain_s = seconds["plain, eager, fp32"]
    for label, step_s in seconds.items():
        speed = spec.tokens_per_step / step_s
        share = 6 * parameters * speed / peaks[label.rpartition(" ")[2]]
        print(
            f"{label:<24}{step_s * 1000:>10.1f}{speed:>10,.0f}"
            f"{plain_s / step_s:>10.2f}{share:>10.0%}{first_s[label]:>10.1f}",
            flush=True,
        )


def main() -> None:
    """Measure the device, then each model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--only", nargs="*", default=list(MODELS), choices=MODELS)
    parser.add_argument(
        "--precision", nargs="*", default=PRECISIONS, choices=PRECISIONS
    )
    parser.add_argument("--no-compile", action="store_true")
    options = parser.parse_args()
    device = choose_device("cpu")
    with tempfile.TemporaryDirectory() as folder:
        peaks = matrix_peaks(device, Path(folder))
    print(
        f"{device_name(device)}, torch {torch.__version__}: matrix product "
        + ", ".join(f"{peak / 1e9:.0f} GFLOP/s {name}" for name, peak in peaks.items())
    )
    for name in options.only:
        measure(name, options, peaks)


if __name__ == "__main__":
    main()
