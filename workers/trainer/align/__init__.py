"""Stages `dpo` and `reward`: a decoder learns which of two answers people prefer.

Checkpoints, resume, evaluation and output are those of `trainer.sft`; here is what
pairs of answers need: their encoding, TRL's trainers for them, and their measures.
"""

from trainer.align.stage import run_dpo, run_reward

__all__ = ["run_dpo", "run_reward"]
