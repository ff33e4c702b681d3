"""Stage `rlhf`: a model answers prompts, its answers are rewarded, and it learns.

`prompts` reads what is asked, `sampling` draws answers, `rewards` judges them; the
algorithms are TRL's (`training`). Checkpoints, resume and output are those of
`trainer.sft`.
"""

from trainer.rlhf.stage import run_rlhf

__all__ = ["run_rlhf"]
