"""The stages themselves: fine-tuning's, with what is measured of preferences."""

from typing import Any

from datasets import Dataset
from runspec import DpoSpec, RewardSpec

from trainer.align.measures import judged, length_baseline
from trainer.align.pairs import refuse_no_pair
from trainer.align.parts import build_pair_parts
from trainer.context import Context
from trainer.sft.stage import Finetuning


def run_dpo(spec: DpoSpec, *, context: Context) -> None:
    """Make `output/` an aligned model that plain `from_pretrained` loads.

    Raises:
        BadInputError: the model, a dataset or a setting cannot be worked with.
        NotFiniteError: the loss stayed NaN or infinite.
        Stopped: the run was asked to stop, and a checkpoint was saved.
    """
    learn(spec, context)


def run_reward(spec: RewardSpec, *, context: Context) -> None:
    """Make `output/` a reward model: one number for each text.

    Raises:
        BadInputError: the model, a dataset or a setting cannot be worked with.
        NotFiniteError: the loss stayed NaN or infinite.
        Stopped: the run was asked to stop, and a checkpoint was saved.
    """
    learn(spec, context)


def learn(spec: DpoSpec | RewardSpec, context: Context) -> None:
    """Build what a run is made of, and train."""
    parts = build_pair_parts(spec, context)
    try:
        refuse_no_pair(parts.tally)
        Aligning(parts, context).run()
    finally:
        parts.close()


class Aligning(Finetuning):
    """One attempt at learning from preferences."""

    def further_facts(self) -> dict[str, Any]:
        """Judge the validation pairs by the weights that are published."""
        held_out = self.parts.validation
        if held_out is None:
            return {}
        self.say_progress("judging the validation pairs")
        found = judged(*self.trainer.held_out_rewards())
        found["by_length"] = length_baseline(
            differences(self.parts.rows), differences(held_out)
        )
        self.state.measured |= {
            "accuracy": found["accuracy"]["value"],
            "margin": found["margin"],
            "reward_chosen": found["reward_chosen"],
            "reward_rejected": found["reward_rejected"],
        }
        return {"preference": found}


def differences(rows: Dataset) -> list[int]:
    """Return how many tokens each chosen answer has more than the rejected one."""
    sides = zip(rows["chosen_ids"], rows["rejected_ids"], strict=True)
    return [len(chosen) - len(rejected) for chosen, rejected in sides]
