"""DPO: it starts at ln 2, learns, resumes to the bit, and writes a whole model."""

import math

import pytest
from align_lab import AlignLab, pair, polite
from stage_lab import curve, result_of
from trainer.errors import BadInputError

pytestmark = [
    pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`"),
    # PEFT asks transformers by an old name.
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning"),
]
CURVES = (
    "train/loss",
    "train/gradient_norm",
    "train/learning_rate",
    "train/reward_chosen",
    "train/reward_rejected",
    "train/margin",
    "train/accuracy",
    "validation/loss",
    "validation/margin",
    "validation/accuracy",
)
METHODS = {
    "full": {},
    "lora": {"method": "lora", "lora_rank": 4},
    "precomputed": {"precompute_reference": True},
    "with imitation": {"sft_weight": 0.5},
}


def checkpoints(folder):
    names = (folder / "checkpoints").iterdir()
    return sorted(int(path.name.removeprefix("step-")) for path in names)


@pytest.mark.parametrize("changes", METHODS.values(), ids=METHODS)
def test_a_resumed_curve_is_the_same_to_the_bit(lab: AlignLab, changes):
    spec = lab.dpo(lab.pairs(), **changes)
    whole = lab.run(spec, "whole")
    broken = lab.run(spec, "broken", stop_at=6)
    newest = max(checkpoints(broken))
    assert newest < spec.max_steps
    resume = broken / f"checkpoints/step-{newest}"
    lab.run(spec, "broken", fence=2, resume=resume)
    for name in CURVES:
        assert curve(broken, name, 1, 2) == curve(whole, name), name
        assert len(curve(whole, name)) >= 4
    assert result_of(broken, 2)["tokens"] == result_of(whole)["tokens"]
    assert result_of(broken, 2)["preference"] == result_of(whole)["preference"]


@pytest.mark.parametrize("method", ["full", "lora", "precomputed"])
def test_the_loss_begins_at_ln_2(lab: AlignLab, method):
    folder = lab.run(lab.dpo(lab.pairs(), max_steps=1, **METHODS[method]))
    for name, step in (("train/loss", 1), ("validation/loss", 0)):
        loss = float(curve(folder, name)[step])
        assert loss == pytest.approx(math.log(2), abs=1e-6)
