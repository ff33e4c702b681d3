"""DPO learns how sure people were: each loss is as if every vote were a pair."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from align_lab import AlignLab
from stage_lab import curve, result_of
from torch import nn
from torch.nn.functional import logsigmoid
from trainer.align.losses import added_by_turning
from trainer.align.parts import build_pair_parts
from trainer.sft.parts import build_model, build_trainer

pytestmark = [
    pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`"),
    # PEFT asks transformers by an old name.
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning"),
]
SETTINGS = {
    "sigmoid": {},
    "ipo": {"loss_type": "ipo"},
    # So far apart that pairs lie on every side of its two kinks.
    "hinge": {"loss_type": "hinge", "beta": 5.0},
    "robust": {"loss_type": "robust", "label_smoothing": 0.2},
    "sigmoid_norm": {"loss_type": "sigmoid_norm"},
    "apo_zero": {"loss_type": "apo_zero"},
    "sigmoid, precomputed": {"precompute_reference": True},
    "sigmoid, lora": {"method": "lora", "lora_rank": 4},
}
OTHER_WAY = {
    "chosen_ids": "rejected_ids",
    "rejected_ids": "chosen_ids",
    "ref_chosen_logps": "ref_rejected_logps",
    "ref_rejected_logps": "ref_chosen_logps",
}


def turned(row: dict[str, Any]) -> dict[str, Any]:
    return {OTHER_WAY.get(name, name): value for name, value in row.items()}


@pytest.fixture
def make_trainer(lab: AlignLab) -> Callable[..., Any]:
    """Make trainers whose policies differ from the reference, all in the same way."""

    def make(pairs: str, **changes: Any) -> Any:
        spec = lab.dpo(pairs, **{"beta": 0.5} | changes)
        context = lab.context(f"soft-{spec.soft_labels}")
        parts = build_pair_parts(spec, context)
        model = build_model(parts)
        trainer = build_trainer(
            parts,
            model,
            context.folder,
            save=lambda _write: None,
            is_stopped=lambda: False,
            callbacks=[],
        )
        move(trainer.model)
        context.report.close()
        parts.close()
        return trainer

    return make


def move(model: nn.Module) -> None:
    draw = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.add_(torch.randn(weight.shape, generator=draw), alpha=0.05)


def loss_and_gradient(trainer: Any, rows: list[dict[str, Any]]) -> tuple[float, Any]:
    trainer.model.zero_grad()
    loss = trainer.compute_loss(trainer.model, trainer.data_collator(rows))
    loss.backward()
    parts = [
        one.grad.flatten() for one in trainer.model.parameters() if one.grad is not None
    ]
    return loss.item(), torch.cat(parts).clone()


@pytest.mark.parametrize("changes", SETTINGS.values(), ids=SETTINGS)
def test_a_pair_counts_as_its_votes_would_one_by_one(
    lab: AlignLab, make_trainer, changes
):
    shares = (0.6, 1.0, 0.75, 0.5, 0.9)
    pairs = lab.voted(*shares)
    soft = make_trainer(pairs, **changes)
    hard = make_trainer(pairs, soft_labels=False, **changes)
    places = [8, 3, 11, 0, 20, 7]
    loss, gradient = loss_and_gradient(soft, [soft.train_dataset[at] for at in places])
    expected, expected_gradient = 0.0, torch.zeros_like(gradient)
    for at in places:
        row, share = hard.train_dataset[at], shares[at % len(shares)]
        for votes, one in ((share, row), (1 - share, turned(row))):
            value, slope = loss_and_gradient(hard, [one])
            expected += votes * value / len(places)
            expected_gradient += votes * slope / len(places)
    assert loss == pytest.approx(expected, rel=1e-5)
    assert torch.allclose(gradient, expected_gradient, rtol=1e-4, atol=1e-6)
    unsure = loss_and_gradient(hard, [hard.train_dataset[at] for at in places])[0]
    assert abs(loss - unsure) > 1e-3


@pytest.mark.parametrize("share", [0.5, 0.6, 0.8, 1.0])
@pytest.mark.parametrize("apart", [-3.0, 0.0, 0.7, 40.0])
def test_the_sigmoid_is_smoothed_for_each_pair(share, apart):
    z = torch.tensor([apart], dtype=torch.float64, requires_grad=True)
    one = torch.ones(1, dtype=torch.float64)
    added = added_by_turning(
        "sigmoid", z, torch.zeros_like(z), one, one, beta=0.1, label_smoothing=0
    )
    loss = -logsigmoid(z) + (1 - share) * added
    loss.sum().backward()
    by_hand = share * math.log1p(math.exp(-apart))
    by_hand += (1 - share) * math.log1p(math.exp(apart))
    assert loss.item() == pytest.approx(by_hand)
    # d/dz: the sigmoid of z less the share, so nothing pulls where they are equal.
    slope = 1 / (1 + math.exp(-apart)) - share
    assert z.grad is not None
    assert z.grad.item() == pytest.approx(slope, abs=1e-12)
    if (share, apart) == (0.5, 0.0):
        assert z.grad.item() == 0


def test_the_validation_loss_counts_votes_too(lab: AlignLab, make_trainer):
    shares = (0.6, 1.0, 0.75)
    trainer = make_trainer(lab.voted(*shares))
    chosen, rejected = trainer.held_out_rewards()
    z = torch.from_numpy(chosen - rejected)
    share = torch.tensor([shares[at % 3] for at in range(29, 40)])
    expected = -(share * logsigmoid(z) + (1 - share) * logsigmoid(-z)).mean()
    assert trainer.evaluate()["eval_loss"] == pytest.approx(expected.item(), rel=1e-5)


def test_pairs_without_votes_are_learnt_as_before(lab: AlignLab):
    curves = []
    for is_soft in (True, False):
        spec = lab.dpo(lab.pairs(f"pairs-{is_soft}"), soft_labels=is_soft)
        folder = lab.run(spec, f"soft-{is_soft}")
        names = ("train/loss", "train/gradient_norm", "validation/loss")
        curves.append([curve(folder, name) for name in names])
    assert curves[0] == curves[1]


def test_a_pair_people_were_divided_on_moves_the_model_less(lab: AlignLab):
    pairs = lab.voted(0.6)
    margins = {}
    for is_soft in (True, False):
        spec = lab.dpo(
            pairs, soft_labels=is_soft, beta=0.5, learning_rate=1e-2, publish="last"
        )
        margins[is_soft] = result_of(lab.run(spec, f"soft-{is_soft}"))["preference"][
            "margin"
        ]
    # What the loss asks for is the logit of the share.
    assert margins[True] == pytest.approx(math.log(0.6 / 0.4), abs=0.3)
    assert margins[False] > 2


def test_its_preflight_tries_a_step_with_the_votes(lab: AlignLab):
    report = lab.check(lab.dpo(lab.voted(0.75)))
    by_name = {check["name"]: check for check in report["checks"]}
    assert by_name["pairs"]["status"] == "ok"
    assert by_name["memory"]["status"] == "ok"
