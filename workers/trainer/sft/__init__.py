"""Stage `sft`: a pretrained model learns from examples.

TRL, transformers and PEFT do the training; here is what they lack: one encoding that
the preflight shows and the training uses, verified checkpoints, events, exact resume.
"""

from trainer.sft.stage import run_sft

__all__ = ["run_sft"]
