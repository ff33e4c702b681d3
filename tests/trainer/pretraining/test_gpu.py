"""The stage on a GPU: it learns in bf16, and goes on from a checkpoint."""

import pytest
import torch
from runspec import events as spoken
from stage_lab import curve, read_events

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def has_gpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("torch sees no GPU")


@pytest.mark.parametrize("compiled", ["off", "on"])
def test_it_learns_in_bf16(lab, compiled):
    spec = lab.spec(
        device="cuda",
        precision="bf16",
        compile=compiled,
        max_steps=150,
        learning_rate=5e-3,
    )
    folder = lab.run(spec)
    [found] = [e for e in read_events(folder) if isinstance(e, spoken.Result)]
    facts = found.values
    assert facts["validation_loss"] < 0.6 * facts["initial_validation_loss"]
    assert facts["peak_flops"] > 1e12


def test_it_goes_on_where_it_was(lab):
    spec = lab.spec(device="cuda")
    whole = lab.run(spec, "whole")
    parted = lab.run(spec, "parted", stop_at=20)
    [*_, newest] = sorted(
        (parted / "checkpoints").iterdir(), key=lambda path: int(path.name[5:])
    )
    lab.run(spec, "parted", fence=2, resume=newest)
    left = curve(parted, "train/loss", 1, 2)
    right = curve(whole, "train/loss")
    assert left.keys() == right.keys()
    for step, value in left.items():
        assert float(value) == pytest.approx(float(right[step]), rel=1e-3)
