"""What a sweep tries: values read, points spread, combinations checked."""

import pytest
from runspec import PretrainSpec
from trivium.runs.errors import SubmitError
from trivium.runs.sweep_plan import (
    Axis,
    grid_values,
    parse_axis,
    plan_members,
    sweepable_settings,
)

BASE = PretrainSpec(dataset="1", tokenizer="2").model_dump(mode="json")
KNOWN = sweepable_settings("pretrain")


def plan(*axes: Axis, **how):
    return plan_members("pretrain", BASE, axes, **how)


def axis(setting: str, text: str, **how) -> Axis:
    return parse_axis(setting, text, **how)


@pytest.mark.parametrize(
    ("setting", "text", "expected"),
    [
        ("learning_rate", "1e-3, 3e-4", [1e-3, 3e-4]),
        ("layers", "2,4 , 8", [2, 4, 8]),
        ("precision", "fp32, bf16", ["fp32", "bf16"]),
        ("tied_embeddings", "yes, no", [True, False]),
        ("kv_heads", "empty, 2", [None, 2]),
        ("learning_rate", "1e-5..1e-2:4", [1e-5, 1e-4, 1e-3, 1e-2]),
        ("dropout", "0..0.4", [0, 0.1, 0.2, 0.3, 0.4]),
        ("weight_decay", "0.01 … 1:3", [0.01, 0.505, 1.0]),
    ],
)
def test_lists_and_ranges_are_read_as_written(setting, text, expected):
    found = grid_values(axis(setting, text), KNOWN[setting])
    assert found == pytest.approx(expected) if ".." in text else found == expected


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ("layers", ""),
        ("layers", ","),
        ("layers", "8..2"),
        ("layers", "1..x"),
        ("layers", "1..4:1"),
        ("layers", "1..4:999"),
        ("learning_rate", "1..inf"),
        ("learning_rate", "nan..1"),
    ],
)
def test_what_is_neither_a_list_nor_a_range_is_refused(setting, text):
    with pytest.raises(SubmitError):
        axis(setting, text)


def test_only_numbers_and_choices_are_swept():
    assert {"learning_rate", "layers", "family", "tied_embeddings"} <= set(KNOWN)
    assert not {"dataset", "tokenizer", "kind", "sample_prompts"} & set(KNOWN)
    assert KNOWN["learning_rate"].is_rate
    assert not KNOWN["layers"].is_rate


def test_a_grid_is_every_combination_once():
    members = plan(axis("layers", "2, 4, 2"), axis("learning_rate", "1e-3, 5e-4"))
    assert [member.values for member in members] == [
        {"layers": 2, "learning_rate": 1e-3},
        {"layers": 2, "learning_rate": 5e-4},
        {"layers": 4, "learning_rate": 1e-3},
        {"layers": 4, "learning_rate": 5e-4},
    ]
    for member in members:
        changed = {k: v for k, v in BASE.items() if k not in member.values}
        assert member.spec.model_dump(mode="json", include=set(changed)) == changed


def test_counts_are_whole_numbers():
    members = plan(axis("layers", "1..4:3"))
    assert [member.values["layers"] for member in members] == [1, 2, 4]


def test_a_random_sweep_draws_the_same_for_the_same_seed():
    axes = [axis("learning_rate", "1e-4..1e-2"), axis("layers", "2, 4, 8")]
    first, again, other = (
        plan(*axes, method="random", number=12, seed=seed) for seed in (1, 1, 2)
    )
    assert first == again != other
    assert len(first) == 12
    rates = [member.values["learning_rate"] for member in first]
    assert all(1e-4 <= rate <= 1e-2 for rate in rates)
    assert len(set(rates)) == 12


def test_rates_are_drawn_over_their_logarithm():
    members = plan(
        axis("learning_rate", "1e-4..1e-2"), method="random", number=100, seed=3
    )
    below = sum(member.values["learning_rate"] < 1e-3 for member in members)
    # Half of the draws lie below the middle decade; evenly spread, a tenth would.
    assert 35 <= below <= 65


def test_a_random_sweep_of_few_choices_gives_each_once():
    members = plan(axis("layers", "2, 4"), method="random", number=10)
    assert sorted(member.values["layers"] for member in members) == [2, 4]


def test_draws_that_do_not_fit_are_drawn_anew():
    members = plan(
        axis("width", "64, 96, 128"), axis("heads", "3, 4"), method="random", number=6
    )
    assert {(m.values["width"], m.values["heads"]) for m in members} == {
        (64, 4),
        (96, 4),
        (96, 3),
        (128, 4),
    }


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        ([Axis(setting="colour", values=(1,))], "is no number or choice"),
        ([Axis(setting="dataset", values=("1",))], "is no number or choice"),
        ([Axis(setting="layers", values=(1,))] * 2, "given twice"),
        ([], "takes 1 to"),
        ([Axis(setting="layers", values=("x",))], "layers x: layers: Input should be"),
        ([Axis(setting="layers", values=(0,))], "greater than or equal to 1"),
        ([Axis(setting="family", low=1, high=2)], "is a choice; list some of: llama"),
        ([Axis(setting="learning_rate", low=0, high=1)], "starts above 0"),
        (
            [Axis(setting="width", values=(100,)), Axis(setting="heads", values=(3,))],
            "width 100, heads 3: width 100 is not a multiple of heads 3",
        ),
        (
            [Axis(setting="learning_rate", values=(1e-6,))],
            "min_learning_rate is above learning_rate. Leave that out, or sweep",
        ),
        (
            [
                Axis(setting="layers", low=1, high=50, points=50),
                Axis(setting="seed", low=1, high=50, points=50),
            ],
            "this grid makes 2,500 runs; a sweep has 1 to 100",
        ),
    ],
)
def test_a_wrong_plan_is_refused_in_words(axes, said):
    with pytest.raises(SubmitError, match=said):
        plan(*axes)


def test_too_many_draws_are_refused():
    with pytest.raises(SubmitError, match="that is 101 runs"):
        plan(axis("layers", "1..9"), method="random", number=101)
