"""A tiny policy that answers chats, prompts for it, and stages that reward it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from align_lab import AlignLab
from runspec import RlhfSpec
from sandbox.templates import CHATML
from sft_lab import instructions, write_model
from trainer.errors import Stopped
from trainer.rlhf import run_rlhf

END = "<|endoftext|>"
BAND = "length minimum=3 maximum=8"
ONLINE: dict[str, Any] = {
    "reward_functions": (BAND, "pattern pattern=e weight=0.5"),
    "num_generations": 4,
    "batch_size": 2,
    "max_answer_tokens": 8,
    "max_steps": 6,
    "eval_every": 3,
    "checkpoint_every": 2,
    "eval_rows": 4,
    "learning_rate": 3e-3,
    "device": "cpu",
    "precision": "fp32",
}


def write_policy(folder: Path) -> Path:
    """Write a decoder with random weights and a chat template."""
    write_model(folder, "decoder")
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text())
    # What ends a turn must be a token; ChatML's own is none of this tokenizer's.
    config["chat_template"] = CHATML.source.replace("<|im_end|>", END)
    path.write_text(json.dumps(config))
    return folder


@dataclass
class RlhfLab(AlignLab):
    """Runs tiny stages in a folder of the test."""

    def prompts(self, name: str = "prompts", *splits: list[Any]) -> str:
        rows = instructions()
        return self.rows(name, "instructions", *(splits or (rows[:20], rows[40:])))

    def rlhf(self, *datasets: str, **changes: Any) -> RlhfSpec:
        values = {"model": str(self.models["policy"]), "datasets": datasets}
        return RlhfSpec(**{**values, **ONLINE, **changes})

    def run(self, spec: Any, name: str = "run", **options: Any) -> Path:
        """Run to the end, or to a stop; return the run's folder."""
        if not isinstance(spec, RlhfSpec):
            return super().run(spec, name, **options)
        context = self.context(name, **options)
        is_paused_ok = options.get("stop_at") is not None or spec.max_kl is not None
        try:
            run_rlhf(spec, context=context)
        except Stopped:
            assert is_paused_ok
        finally:
            context.report.close()
        return context.folder
