"""Does what stands on the left win because it stands on the left?"""

from dataclasses import dataclass

import numpy as np

from trivium.statistics.choices import Choice
from trivium.statistics.intervals import Bools, Floats, Ints, Share, share_of, shares_of

ALARM = 0.05
"""Adjusted p-value below which a labeler is named."""

INDEPENDENCE = (
    "Ties are left out, and votes are taken as independent of each other. With many "
    "labelers some deviate by chance, so their p-values are adjusted (Holm); only an "
    "adjusted one below 0.05 is worth a talk."
)


@dataclass(frozen=True, slots=True)
class LeftShare:
    """How often the answer on the left won, of the votes that named a winner."""

    labeler: int | None
    """None stands for all of them."""
    share: Share
    p_value: float | None
    """Exact two-sided binomial test against one half."""
    adjusted_p: float | None
    """The same after Holm's correction for the number of labelers."""

    @property
    def is_half_inside(self) -> bool | None:
        """Whether the interval allows that side does not matter."""
        inside = self.share.interval
        return inside.contains(0.5) if inside else None

    @property
    def is_alarming(self) -> bool:
        """Whether chance hardly explains it, however many labelers are looked at."""
        return self.adjusted_p is not None and self.adjusted_p < ALARM


@dataclass(frozen=True, slots=True)
class PositionAudit:
    """All votes together, and each labeler."""

    overall: LeftShare
    labelers: tuple[LeftShare, ...]
    note: str = INDEPENDENCE


def left_wins(choice_V: Ints, left_V: Ints) -> tuple[Bools, Bools]:
    """Return which votes named a winner, and in which of all the left side won.

    `left_V` is `Choice.A` where answer A stood on the left, else `Choice.B`.
    """
    is_decided_V = (choice_V == Choice.A) | (choice_V == Choice.B)
    return is_decided_V, is_decided_V & (choice_V == left_V)


def audit_position(labeler_V: Ints, choice_V: Ints, left_V: Ints) -> PositionAudit:
    """Return how often the left side won, overall and by labeler."""
    is_decided_V, is_left_V = left_wins(choice_V, left_V)
    labelers, labeler_at_V = np.unique(labeler_V, return_inverse=True)
    num_decided_L = np.bincount(labeler_at_V[is_decided_V], minlength=len(labelers))
    num_left_L = np.bincount(labeler_at_V[is_left_V], minlength=len(labelers))
    total, left = int(num_decided_L.sum()), int(num_left_L.sum())
    p_value = float(half_test(np.array([left]), np.array([total]))[0])
    return PositionAudit(
        overall=LeftShare(
            None,
            share_of(left, total),
            p_value if total else None,
            p_value if total else None,
        ),
        labelers=left_shares(labelers, num_left_L, num_decided_L),
    )


def left_shares(
    labelers_L: Ints, num_left_L: Ints, num_decided_L: Ints
) -> tuple[LeftShare, ...]:
    """Return the share of each labeler, with p-values adjusted for their number."""
    p_L = half_test(num_left_L, num_decided_L)
    adjusted_L = np.full(len(p_L), np.nan)
    has_any_L = num_decided_L > 0
    adjusted_L[has_any_L] = holm(p_L[has_any_L])
    return tuple(
        LeftShare(
            labeler,
            share,
            p if share.total else None,
            adjusted if share.total else None,
        )
        for labeler, share, p, adjusted in zip(
            labelers_L.tolist(),
            shares_of(num_left_L, num_decided_L),
            p_L.tolist(),
            adjusted_L.tolist(),
            strict=True,
        )
    )


def half_test(hits_N: Ints, totals_N: Ints) -> Floats:
    """Return the exact two-sided p-value of each share against one half."""
    from scipy.special import bdtr

    # Under one half the distribution is symmetric: two equal tails.
    smaller_N = np.minimum(hits_N, totals_N - hits_N)
    return np.asarray(np.minimum(1.0, 2 * bdtr(smaller_N, totals_N, 0.5)))


def holm(p_N: Floats) -> Floats:
    """Return p-values adjusted so that even one false alarm among all is rare.

    Holm, A simple sequentially rejective multiple test procedure (1979).
    """
    order = np.argsort(p_N, kind="stable")
    steps = np.arange(len(p_N), 0, -1)
    adjusted = np.minimum(1.0, np.maximum.accumulate(p_N[order] * steps))
    result = np.empty(len(p_N))
    result[order] = adjusted
    return result
