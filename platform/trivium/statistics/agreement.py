"""Do labelers agree more than chance: Krippendorff's alpha, and plain percent."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from trivium.statistics.intervals import (
    Bools,
    Estimate,
    Floats,
    Ints,
    middle_of,
)

Metric = Literal["nominal", "ordinal"]
"""`nominal` for choices, `ordinal` for `choices.signed_strengths`."""

ROUNDS = 1000
MIN_UNITS = 10
"""Fewer items than this are not resampled: the interval would be far too narrow."""
MIN_DEFINED_ROUNDS = 0.9
CHUNK_CELLS = 4_000_000
"""How many numbers a bootstrap holds at a time."""

NO_PAIR = "No item has votes of two labelers yet, so there is nothing to compare."
ONE_CATEGORY = (
    "All votes on shared items say the same, so there is no disagreement that chance "
    "could have made, and alpha is undefined. It says nothing about the labelers."
)
FEW_UNITS = (
    f"Fewer than {MIN_UNITS} items have two votes: too few to say how far off the "
    "number may be."
)
NO_WIDTH = (
    "Labelers agree on every shared item, so resampling the items has no spread. "
    "More shared items would say how sure that is."
)
RARE_CATEGORY = (
    "Nearly all votes say the same; most samples of the items have only one "
    "category, so alpha has no interval."
)


@dataclass(frozen=True, slots=True)
class Agreement:
    """Alpha and percent agreement of items with two votes or more.

    Never show the percentage alone: two labelers who say A nine times in ten agree
    82 % of the time by chance.
    """

    metric: Metric
    alpha: Estimate
    percent: Estimate
    """Share of all pairs of votes on one item that are equal."""
    num_units: int
    """Items with two votes or more."""
    num_labelers: int
    """Who voted on these."""
    num_pairable: int
    """Votes on these."""


@dataclass(frozen=True, slots=True)
class WindowAgreement:
    """The agreement on items whose second vote fell into one window of time."""

    start_s: float
    agreement: Agreement


@dataclass(frozen=True, slots=True)
class Band:
    """How often people agreed elsewhere."""

    who: str
    percent: float
    plus_minus: float | None
    source: str
    is_quoted: bool
    """Known to us through a quotation, not from the paper itself."""


INSTRUCT_GPT = "Ouyang et al. 2022 (InstructGPT), section 3.4"
HUMAN_BANDS = (
    Band("InstructGPT: labeler with labeler", 72.6, 1.5, INSTRUCT_GPT, True),
    Band("InstructGPT: held-out labelers", 77.3, 1.3, INSTRUCT_GPT, True),
    Band(
        "Summaries: researcher with researcher",
        73.0,
        4.0,
        "Stiennon et al. 2020, as given in " + INSTRUCT_GPT,
        True,
    ),
    Band(
        "HH-RLHF: researchers with crowd workers",
        63.0,
        None,
        "Bai et al. 2022 (Anthropic), about 63 %",
        True,
    ),
    Band("MT-bench: human with human", 81.0, None, "Zheng et al. 2023, ~81 %", True),
)
"""Published percent agreement, to be shown next to one's own. Tasks, choices and the
treatment of ties differ, so these are a band, not a target."""


@dataclass(frozen=True, slots=True)
class Units:
    """Items with two votes or more: how often each got each category."""

    counts_UC: Ints
    is_kept_V: Bools
    """Which votes they are made of."""
    unit_V: Ints
    """Which item each of these votes belongs to."""


def measure_agreement(
    item_V: Ints,
    labeler_V: Ints,
    value_V: Ints,
    *,
    metric: Metric = "nominal",
    num_rounds: int = ROUNDS,
    seed: int = 0,
) -> Agreement:
    """Return the agreement of all labelers; votes may be missing anywhere.

    `value_V` holds codes in their order; a negative one is a vote without a value
    and left out. Alpha is 1 - observed / expected disagreement (Krippendorff, Content
    Analysis, 4th ed., chapter 12). Intervals: percentile bootstrap over items, which
    takes labelers as given; of simulated ones 92 % cover the truth at 15 items and
    about 95 % from 40 on.

    Raises:
        ValueError: a labeler has two votes on one item (leave repeats out: they are
            the same person's, and `labelers` judges them).
    """
    units = units_of(item_V, labeler_V, value_V)
    return agreement_of_units(
        units.counts_UC,
        num_labelers=len(np.unique(labeler_V[units.is_kept_V])),
        metric=metric,
        num_rounds=num_rounds,
        seed=seed,
    )


def agreement_over_time(
    item_V: Ints,
    labeler_V: Ints,
    value_V: Ints,
    time_V: Floats,
    *,
    window_s: float,
    metric: Metric = "nominal",
    num_rounds: int = 200,
    seed: int = 0,
) -> tuple[WindowAgreement, ...]:
    """Return the agreement in each window of `window_s` seconds that has any items.

    An item counts where its second vote fell: from then on it can be judged, and it
    stays in that window when more votes come. Raises as `measure_agreement` does.
    """
    units = units_of(item_V, labeler_V, value_V)
    if not len(units.counts_UC):
        return ()
    window_U = windows_of(units, time_V, window_s)
    order_U = np.argsort(window_U, kind="stable")
    windows, starts = np.unique(window_U[order_U], return_index=True)
    num_labelers = labelers_by_window(
        window_U[units.unit_V], labeler_V[units.is_kept_V]
    )
    return tuple(
        WindowAgreement(
            start_s=float(window * window_s),
            agreement=agreement_of_units(
                counts_UC,
                num_labelers=num_labelers[int(window)],
                metric=metric,
                num_rounds=num_rounds,
                seed=seed,
            ),
        )
        for window, counts_UC in zip(
            windows, np.split(units.counts_UC[order_U], starts[1:]), strict=True
        )
    )


def windows_of(units: Units, time_V: Floats, window_s: float) -> Ints:
    """Return the number of the window in which each item got its second vote."""
    times = time_V[units.is_kept_V]
    order = np.lexsort((times, units.unit_V))
    first_U = np.searchsorted(units.unit_V[order], np.arange(len(units.counts_UC)))
    return np.floor(times[order][first_U + 1] / window_s).astype(np.int64)


def labelers_by_window(window_V: Ints, labeler_V: Ints) -> dict[int, int]:
    """Return how many different labelers each window has."""
    both = np.unique(np.stack([window_V, labeler_V], axis=1), axis=0)
    windows, counts = np.unique(both[:, 0], return_counts=True)
    return dict(zip(windows.tolist(), counts.tolist(), strict=True))


def units_of(item_V: Ints, labeler_V: Ints, value_V: Ints) -> Units:
    """Count the categories of each item that has two votes or more.

    Raises:
        ValueError: a labeler has two votes on one item.
    """
    has_value_V = np.asarray(value_V >= 0)
    at = np.flatnonzero(has_value_V)
    _, unit, sizes = np.unique(item_V[at], return_inverse=True, return_counts=True)
    refuse_repeats(unit, labeler_V[at])
    at, unit = at[sizes[unit] >= 2], unit[sizes[unit] >= 2]
    new_number = np.cumsum(sizes >= 2) - 1
    unit = new_number[unit]
    categories, category = np.unique(value_V[at], return_inverse=True)
    num_units, num_categories = int((sizes >= 2).sum()), len(categories)
    counts = np.bincount(
        unit * num_categories + category, minlength=num_units * num_categories
    )
    is_kept_V = np.zeros(len(item_V), bool)
    is_kept_V[at] = True
    return Units(counts.reshape(num_units, num_categories), is_kept_V, unit)


def refuse_repeats(unit_V: Ints, labeler_V: Ints) -> None:
    """Refuse two votes of one labeler on one item.

    Raises:
        ValueError: there are some.
    """
    if not len(unit_V):
        return
    _, labeler = np.unique(labeler_V, return_inverse=True)
    keys = np.sort(unit_V.astype(np.int64) * (int(labeler.max()) + 1) + labeler)
    num_repeats = int((keys[1:] == keys[:-1]).sum())
    if num_repeats:
        raise ValueError(
            f"{num_repeats} votes are a labeler's second on the same item; agreement "
            "is between labelers, so leave repeats out"
        )


def agreement_of_units(
    counts_UC: Ints, *, num_labelers: int, metric: Metric, num_rounds: int, seed: int
) -> Agreement:
    """Return the agreement within rows that hold how often each category was said."""
    alpha = percent = Estimate(None, None, NO_PAIR)
    if len(counts_UC):
        pairs_PCC, num_P = coincidences_of(counts_UC)
        observed_RCC = resampled(pairs_PCC, num_P, num_rounds=num_rounds, seed=seed)
        alpha = estimate_alpha(pairs_PCC, num_P, observed_RCC, metric)
        percent = estimate_percent(counts_UC, num_rounds=num_rounds, seed=seed)
    return Agreement(
        metric=metric,
        alpha=alpha,
        percent=percent,
        num_units=len(counts_UC),
        num_labelers=num_labelers,
        num_pairable=int(counts_UC.sum()),
    )


def coincidences_of(counts_UC: Ints) -> tuple[Floats, Ints]:
    """Return the coincidence matrix of each different row, and how many have it.

    Items differ in few ways (three votes on four choices: 20), so a bootstrap that
    draws patterns instead of items costs nothing.
    """
    patterns_PC, num_P = unique_rows(counts_UC)
    size_P = patterns_PC.sum(axis=1)
    pairs_PCC = patterns_PC[:, :, None] * patterns_PC[:, None, :].astype(np.float64)
    diagonal = np.arange(patterns_PC.shape[1])
    pairs_PCC[:, diagonal, diagonal] -= patterns_PC
    return pairs_PCC / (size_P - 1)[:, None, None], num_P


def unique_rows(counts_UC: Ints) -> tuple[Ints, Ints]:
    """Return the different rows, and how often each occurs."""
    base = int(counts_UC.max()) + 1
    num_categories = counts_UC.shape[1]
    if base**num_categories >= 2**62:
        rows_PC, num_P = np.unique(counts_UC, axis=0, return_counts=True)
        return rows_PC, num_P
    # One number per row: sorting these is thirty times faster than sorting rows.
    key_U = counts_UC @ base ** np.arange(num_categories, dtype=np.int64)
    _, first_P, num_P = np.unique(key_U, return_index=True, return_counts=True)
    return counts_UC[first_P], num_P


def resampled(sums_PX: Floats, num_P: Ints, *, num_rounds: int, seed: int) -> Floats:
    """Return the sums of `num_rounds` samples of as many items, with replacement.

    The axes behind the first of `sums_PX` are kept.
    """
    rng = np.random.default_rng(seed)
    flat_PX = sums_PX.reshape(len(sums_PX), -1)
    num_units = int(num_P.sum())
    chunk = max(1, CHUNK_CELLS // len(num_P))
    parts = [
        rng.multinomial(num_units, num_P / num_units, min(chunk, num_rounds - done))
        @ flat_PX
        for done in range(0, num_rounds, chunk)
    ]
    return np.concatenate(parts).reshape(num_rounds, *sums_PX.shape[1:])


def estimate_alpha(
    pairs_PCC: Floats, num_P: Ints, observed_RCC: Floats, metric: Metric
) -> Estimate:
    """Return alpha with the interval its bootstrap samples give."""
    observed_CC = np.tensordot(num_P, pairs_PCC, axes=1)
    value = float(alpha_of(observed_CC[None], metric)[0])
    if np.isnan(value):
        return Estimate(None, None, ONE_CATEGORY)
    if num_P.sum() < MIN_UNITS:
        return Estimate(value, None, FEW_UNITS)
    if value == 1.0:
        return Estimate(value, None, NO_WIDTH)
    alpha_R = alpha_of(observed_RCC, metric)
    alpha_R = alpha_R[~np.isnan(alpha_R)]
    if len(alpha_R) < MIN_DEFINED_ROUNDS * len(observed_RCC):
        return Estimate(value, None, RARE_CATEGORY)
    return Estimate(value, middle_of(alpha_R))


def alpha_of(observed_RCC: Floats, metric: Metric) -> Floats:
    """Return alpha of each coincidence matrix; NaN where only one category occurs."""
    margin_RC = observed_RCC.sum(axis=2)
    total_R = margin_RC.sum(axis=1)
    distance_RCC = distances_of(margin_RC, metric)
    expected_RCC = margin_RC[:, :, None] * margin_RC[:, None, :]
    seen_R = (observed_RCC * distance_RCC).sum(axis=(1, 2))
    chance_R = (expected_RCC * distance_RCC).sum(axis=(1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio_R = np.where(chance_R > 0, seen_R / chance_R, np.nan)
    return np.asarray(1 - (total_R - 1) * ratio_R)


def distances_of(margin_RC: Floats, metric: Metric) -> Floats:
    """Return how far categories are apart, squared.

    Ordinal: the votes between the middles of both categories.
    """
    num_categories = margin_RC.shape[1]
    if metric == "nominal":
        return np.broadcast_to(
            1.0 - np.eye(num_categories), (len(margin_RC), *[num_categories] * 2)
        )
    middle_RC = margin_RC.cumsum(axis=1) - margin_RC / 2
    return np.asarray((middle_RC[:, :, None] - middle_RC[:, None, :]) ** 2)


def estimate_percent(counts_UC: Ints, *, num_rounds: int, seed: int) -> Estimate:
    """Return the share of equal pairs of votes, each pair counted once."""
    size_U = counts_UC.sum(axis=1)
    pairs_UX = np.stack(
        [(counts_UC * (counts_UC - 1)).sum(axis=1), size_U * (size_U - 1)], axis=1
    )
    patterns_PX, num_P = unique_rows(pairs_UX)
    equal, total = num_P @ patterns_PX
    value = float(equal / total)
    if len(counts_UC) < MIN_UNITS:
        return Estimate(value, None, FEW_UNITS)
    if value in {0.0, 1.0}:
        return Estimate(value, None, NO_WIDTH)
    sums_RX = resampled(
        patterns_PX.astype(np.float64), num_P, num_rounds=num_rounds, seed=seed
    )
    return Estimate(value, middle_of(sums_RX[:, 0] / sums_RX[:, 1]))
