"""Cohen's kappa: how far two labelers agree beyond chance."""

from dataclasses import dataclass

import numpy as np

from trivium.statistics.agreement import refuse_repeats
from trivium.statistics.intervals import (
    LEVEL,
    Estimate,
    Floats,
    Interval,
    Ints,
    normal_quantile,
)

MAX_LABELERS = 30
"""How many labelers a table compares with each other."""

NO_SHARED = "The two have voted on no item in common."
ONE_CATEGORY = (
    "Both always said the same one thing, so chance alone explains that they agree, "
    "and kappa is undefined."
)
NO_WIDTH = "They agree, or differ, in every case; that has no standard error."


@dataclass(frozen=True, slots=True)
class PairAgreement:
    """Two labelers on the items both voted on."""

    first: int
    second: int
    num_shared: int
    percent: float | None
    kappa: Estimate


def cohen_kappa(table_CC: Ints) -> Estimate:
    """Return kappa of a table of counts: rows say one labeler, columns the other.

    Cohen, A coefficient of agreement for nominal scales (1960); the interval takes
    the large-sample variance of Fleiss, Cohen and Everitt (1969).
    """
    return kappas_of(np.asarray(table_CC)[None])[0]


def kappas_of(table_MCC: Ints) -> list[Estimate]:
    """Return kappa of each of M tables."""
    total_M = table_MCC.sum(axis=(1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        p_MCC = table_MCC / total_M[:, None, None]
        row_MC, column_MC = p_MCC.sum(axis=2), p_MCC.sum(axis=1)
        observed_M = np.trace(p_MCC, axis1=1, axis2=2)
        chance_M = (row_MC * column_MC).sum(axis=1)
        kappa_M = (observed_M - chance_M) / (1 - chance_M)
        half_M = normal_quantile((1 + LEVEL) / 2) * np.sqrt(
            variance_of(p_MCC, row_MC, column_MC, kappa_M, chance_M) / total_M
        )
    return [
        estimate_of(*row)
        for row in zip(total_M.tolist(), kappa_M.tolist(), half_M.tolist(), strict=True)
    ]


def variance_of(
    p_MCC: Floats, row_MC: Floats, column_MC: Floats, kappa_M: Floats, chance_M: Floats
) -> Floats:
    """Return the variance of kappa, times the number of items."""
    rest_M = 1 - kappa_M
    on_MC = np.diagonal(p_MCC, axis1=1, axis2=2)
    both_MC = row_MC + column_MC
    agreed_M = (on_MC * (1 - both_MC * rest_M[:, None]) ** 2).sum(axis=1)
    crossed_MCC = p_MCC * (column_MC[:, :, None] + row_MC[:, None, :]) ** 2
    differed_M = crossed_MCC.sum(axis=(1, 2)) - (on_MC * both_MC**2).sum(axis=1)
    middle_M = (kappa_M - chance_M * rest_M) ** 2
    variance_M = (agreed_M + rest_M**2 * differed_M - middle_M) / (1 - chance_M) ** 2
    return np.asarray(np.maximum(variance_M, 0))


def estimate_of(total: int, kappa: float, half: float) -> Estimate:
    """Return one kappa, or why there is none."""
    if total == 0:
        return Estimate(None, None, NO_SHARED)
    if np.isnan(kappa):
        return Estimate(None, None, ONE_CATEGORY)
    if half < 1e-9:
        return Estimate(kappa, None, NO_WIDTH)
    return Estimate(kappa, Interval(max(-1, kappa - half), min(1, kappa + half)))


def kappa_table(
    item_V: Ints,
    labeler_V: Ints,
    value_V: Ints,
    *,
    max_labelers: int = MAX_LABELERS,
    min_shared: int = 1,
) -> tuple[PairAgreement, ...]:
    """Return the pairs among those labelers who share most, most shared items first.

    Compared are the `max_labelers` with the most votes on items that others voted on
    too. Negative values are votes without one and left out.

    Raises:
        ValueError: a labeler has two votes on one item.
    """
    item, labeler, value, labelers = busiest_votes(
        item_V, labeler_V, value_V, max_labelers
    )
    if not len(item):
        return ()
    table_LLCC = shared_tables(item, labeler, value, len(labelers))
    num_shared_LL = table_LLCC.sum(axis=(2, 3))
    first_M, second_M = np.nonzero(num_shared_LL >= max(1, min_shared))
    order = np.argsort(-num_shared_LL[first_M, second_M], kind="stable")
    first_M, second_M = first_M[order], second_M[order]
    table_MCC = table_LLCC[first_M, second_M]
    equal_M = np.trace(table_MCC, axis1=1, axis2=2)
    return tuple(
        PairAgreement(int(first), int(second), int(num), float(equal / num), kappa)
        for first, second, num, equal, kappa in zip(
            labelers[first_M],
            labelers[second_M],
            table_MCC.sum(axis=(1, 2)),
            equal_M,
            kappas_of(table_MCC),
            strict=True,
        )
    )


def busiest_votes(
    item_V: Ints, labeler_V: Ints, value_V: Ints, max_labelers: int
) -> tuple[Ints, Ints, Ints, Ints]:
    """Return items, labelers and values of the busiest labelers, sorted by item.

    Labelers and values are renumbered from 0; last comes who the labelers are.
    """
    at = np.flatnonzero(value_V >= 0)
    _, item, sizes = np.unique(item_V[at], return_inverse=True, return_counts=True)
    refuse_repeats(item, labeler_V[at])
    is_shared = sizes[item] >= 2
    at, item = at[is_shared], item[is_shared]
    labelers, labeler, num_L = np.unique(
        labeler_V[at], return_inverse=True, return_counts=True
    )
    busiest = np.sort(np.argsort(-num_L, kind="stable")[:max_labelers])
    is_in = np.isin(labeler, busiest)
    at, item, labeler = at[is_in], item[is_in], labeler[is_in]
    _, value = np.unique(value_V[at], return_inverse=True)
    order = np.lexsort((labeler, item))
    renumbered = np.searchsorted(busiest, labeler[order])
    return item[order], renumbered, value[order], labelers[busiest]


def shared_tables(item_V: Ints, labeler_V: Ints, value_V: Ints, num: int) -> Ints:
    """Return, for each two labelers (first < second), what they said of shared items.

    Votes come sorted by item and labeler, so all pairs lie 1, 2, … places apart, and
    the number of passes is that of the labelers of the fullest item.
    """
    num_values = int(value_V.max()) + 1
    shape = (num, num, num_values, num_values)
    table = np.zeros(np.prod(shape), np.int64)
    for apart in range(1, num):
        is_pair = item_V[apart:] == item_V[:-apart]
        if not is_pair.any():
            break
        at = np.flatnonzero(is_pair)
        key = labeler_V[at] * num + labeler_V[at + apart]
        key = (key * num_values + value_V[at]) * num_values + value_V[at + apart]
        table += np.bincount(key, minlength=len(table))
    return table.reshape(shape)
