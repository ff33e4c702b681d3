"""Pairs that tiny models learn to tell apart, and stages that learn from them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runspec import DpoSpec, RewardSpec
from sft_lab import COMMON, Lab
from trainer.align import run_dpo, run_reward
from trainer.errors import Stopped

SHARED = {k: v for k, v in COMMON.items() if k not in {"answer_rows", "sample_tokens"}}


def pair(
    prompt: str, chosen: str, rejected: str, *, is_chat: bool = True
) -> dict[str, Any]:
    """Return a row as an ingest stores it."""

    def turn(role: str, text: str) -> dict[str, Any]:
        return {"role": role, "content": text, "tool_calls": None}

    return {
        "prompt": [turn("user", prompt)] if prompt else [],
        "chosen": [turn("assistant", chosen)],
        "rejected": [turn("assistant", rejected)],
        "is_chat": is_chat,
    }


def polite() -> list[dict[str, Any]]:
    """Thanks are preferred, whatever is asked."""
    return [
        pair(f"Take {number} {thing}s.", "Thank you!", f"No, {number}.")
        for number in range(10)
        for thing in ("cup", "hat", "door", "boat")
    ]


@dataclass
class AlignLab(Lab):
    """Runs tiny alignment stages in a folder of the test."""

    def pairs(self, name: str = "pairs", *splits: list[Any]) -> str:
        rows = polite()
        return self.rows(name, "preferences", *(splits or (rows[:29], rows[29:])))

    def voted(self, *shares: float) -> str:
        """Return pairs chosen by these shares of people, in turn."""
        rows = [
            row | {"chosen_share": shares[at % len(shares)]}
            for at, row in enumerate(polite())
        ]
        return self.pairs("voted", rows[:29], rows[29:])

    def dpo(self, *datasets: str, **changes: Any) -> DpoSpec:
        values = {"model": str(self.models["decoder"]), "datasets": datasets}
        return DpoSpec(**{**values, **SHARED, **changes})

    def reward(self, *datasets: str, **changes: Any) -> RewardSpec:
        values = {"model": str(self.models["decoder"]), "datasets": datasets}
        return RewardSpec(**{**values, **SHARED, **changes})

    def run(self, spec: Any, name: str = "run", **options: Any) -> Path:
        """Run to the end, or to a stop; return the run's folder."""
        context = self.context(name, **options)
        stage = run_dpo if isinstance(spec, DpoSpec) else run_reward
        try:
            stage(spec, context=context)
        except Stopped:
            assert options.get("stop_at") is not None
        finally:
            context.report.close()
        return context.folder
