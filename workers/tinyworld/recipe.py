"""From raw text to aligned models on two cores in minutes: what each stage is told.

The settings are specs (`runspec`) without their references: whoever runs them adds the
ids, or the paths, of datasets and models. `docs/LOG.md` has how they were found.
"""

from collections.abc import Mapping
from typing import Any

from tinyworld.facts import World
from tinyworld.labelers import Labeler, voted
from tinyworld.preferences import Pair, preferences
from tinyworld.prompts import Kind, Prompt, prompts

Settings = Mapping[str, Any]

TOKENIZER: Settings = {"kind": "tokenizer", "vocabulary_size": 1024}
"""Enough that an inhabitant's name is one token and an invented one is several: so do
models of any size know people they have read of from those they have not."""

PRETRAIN: Settings = {
    "kind": "pretrain",
    "family": "llama",
    "layers": 4,
    "heads": 4,
    "width": 128,
    "context": 128,
    "batch_size": 16,
    "max_steps": 1500,
    "learning_rate": 2e-3,
    "warmup_steps": 30,
    "eval_every": 150,
    "eval_batches": 20,
    "sample_every": 0,
    "sample_tokens": 16,
    "checkpoint_every": 500,
    # Compiling takes longer than it saves in so short a run.
    "compile": "off",
}
SFT: Settings = {
    "kind": "sft",
    "epochs": 8,
    "batch_size": 16,
    "learning_rate": 5e-4,
    "warmup_share": 0.1,
    "eval_every": 100,
    "answer_rows": 16,
    "sample_tokens": 24,
    "checkpoint_every": 200,
    "publish": "last",
}
REWARD: Settings = {
    "kind": "reward",
    "epochs": 1,
    "batch_size": 16,
    "learning_rate": 3e-4,
    "warmup_share": 0.1,
    "eval_every": 100,
    "checkpoint_every": 200,
    "publish": "last",
}
ADAPTER: Settings = {"method": "lora", "lora_rank": 16, "lora_alpha": 32.0}
"""Alignment that changes all weights forgets more of what nobody asks about in it."""
DPO: Settings = {
    "kind": "dpo",
    **ADAPTER,
    "epochs": 1,
    "batch_size": 16,
    "learning_rate": 5e-4,
    "beta": 1.0,
    "sft_weight": 1.0,
    "precompute_reference": True,
    "warmup_share": 0.1,
    "eval_every": 100,
    "sample_tokens": 24,
    "checkpoint_every": 200,
    "publish": "last",
}
RLHF: Settings = {
    "kind": "rlhf",
    **ADAPTER,
    "algorithm": "rloo",
    "num_generations": 8,
    "batch_size": 8,
    "max_answer_tokens": 24,
    "max_steps": 60,
    "learning_rate": 4e-4,
    "beta": 0.05,
    # A reward model that never saw one sentence said four times likes it four times.
    "reward_functions": [
        {"name": "length", "maximum": 12},
        {"name": "format", "form": "no_repetition"},
    ],
    "warmup_share": 0.05,
    "eval_every": 20,
    "checkpoint_every": 100,
}
EVALUATE: Settings = {
    "kind": "evaluate",
    "truth": "tinyworld",
    "max_rows": 1_000,
    "sampling": {"temperature": 0, "max_tokens": 32},
}

LABELERS, ERROR_RATE = 3, 0.1
"""People who vote on every pair, and how often each is wrong."""
ASKED: Mapping[Kind, int] = {
    "helpful": 100,
    "honest": 200,
    "harmless": 300,
    "known": 600,
}
"""Prompts that RLHF draws answers to."""
JUDGED: Mapping[Kind, int] = {"honest": 200, "harmless": 200, "known": 300}
"""Prompts that all models are judged by."""


def preferred(of: World, *, seed: int = 0) -> list[Pair]:
    """Return the pairs to learn from, as simulated labelers voted on them."""
    people = [
        Labeler(f"labeler {number}", error_rate=ERROR_RATE, seed=seed)
        for number in range(1, LABELERS + 1)
    ]
    return voted(preferences(of, seed=seed), people)


def asked(of: World, *, seed: int = 0) -> list[Prompt]:
    """Return what RLHF asks."""
    return prompts(of, "training", sizes=ASKED, seed=seed)


def judged(of: World) -> list[Prompt]:
    """Return what models are judged by: names and wordings no training has met."""
    return prompts(of, "evaluation", sizes=JUDGED)
