"""Which comparison to show next: scores from 0 to 1, and at least a fifth by chance."""

from dataclasses import dataclass

import numpy as np

from trivium.statistics.intervals import Bools, Floats, Ints
from trivium.statistics.ranking import Ranking

MIN_RANDOM_SHARE = 0.2
"""What is chosen for being uncertain is no fair sample, so statistics of quality need
a part that chance alone chose."""
GOLDEN, FIRST_MIX, SECOND_MIX = (
    np.uint64(0x9E3779B97F4A7C15),
    np.uint64(0xBF58476D1CE4E5B9),
    np.uint64(0x94D049BB133111EB),
)


@dataclass(frozen=True, slots=True, eq=False)
class Order:
    """Candidates in the order to show them."""

    at_N: Ints
    """Indices of the candidates."""
    is_random_N: Bools
    """Which of these places chance alone filled. Store it with the comparison: only
    these votes are a fair sample."""


def random_scores(id_N: Ints, *, seed: int) -> Floats:
    """Return a number in [0, 1) for each id, the same for the same seed.

    The finaliser of SplitMix64 (Steele, Lea and Flood, Fast splittable pseudorandom
    number generators, 2014); neighbouring ids get unrelated numbers.
    """
    with np.errstate(over="ignore"):
        state_N = id_N.astype(np.uint64) + mixed(np.array([seed], np.uint64))
        bits_N = mixed(state_N)
    return np.asarray((bits_N >> np.uint64(11)) * 2.0**-53)


def mixed(state_N: np.ndarray) -> np.ndarray:
    """Return 64-bit numbers that change in half their bits when one bit changes."""
    bits_N = state_N + GOLDEN
    bits_N = (bits_N ^ (bits_N >> np.uint64(30))) * FIRST_MIX
    bits_N = (bits_N ^ (bits_N >> np.uint64(27))) * SECOND_MIX
    return np.asarray(bits_N ^ (bits_N >> np.uint64(31)))


def margin_scores(margin_N: Floats) -> Floats:
    """Return how unsure a reward model is: 1 at a margin of 0, to 0 far off.

    With p the chance that A wins, sigmoid(margin), this is 4 p (1 - p). Candidates
    that were not scored (NaN) get 0.
    """
    fall_N = np.exp(-np.abs(margin_N))
    return np.asarray(np.nan_to_num(4 * fall_N / (1 + fall_N) ** 2))


def ranking_scores(model_a_N: Ints, model_b_N: Ints, ranking: Ranking) -> Floats:
    """Return how unsure a ranking is of each pair's outcome, 1 for those unknown.

    That is the variance of the predicted win probability over samples of the votes,
    times 4. Two equal models stop being asked for once enough votes say that they are
    equal, which they would not by the variance of the outcome itself. Without a
    ranking all pairs are unknown, and a model against itself has nothing to tell.
    """
    num_models = max(
        1 + int(max(model_N.max(initial=-1), 0)) for model_N in (model_a_N, model_b_N)
    )
    num_models = max([num_models, *(1 + score.model for score in ranking.models)])
    known = [score.model for score in ranking.models]
    unsure_KK = np.ones((num_models, num_models))
    if known:
        unsure_KK[np.ix_(known, known)] = np.minimum(1, 4 * ranking.win_variance_KK)
    np.fill_diagonal(unsure_KK, 0)
    return np.asarray(unsure_KK[model_a_N, model_b_N])


def mix_order(
    id_N: Ints,
    score_N: Floats,
    *,
    seed: int,
    random_share: float = MIN_RANDOM_SHARE,
) -> Order:
    """Order candidates by score, with every fifth (or more) place left to chance.

    However far a queue is worked off, at least `random_share` of what was shown is
    random. Chance picks from all candidates before scores are looked at, so that part
    is a fair sample; equal scores are ordered by chance as well.

    Raises:
        ValueError: `random_share` is below one fifth or above 1.
    """
    if not MIN_RANDOM_SHARE <= random_share <= 1:
        raise ValueError(
            f"random_share is {random_share}; it must be {MIN_RANDOM_SHARE} to 1, or "
            "nothing fair could be said of the votes"
        )
    num = len(id_N)
    # A place is random whenever the share would else fall short.
    due = np.ceil(np.arange(1, num + 1) * random_share - 1e-9).astype(np.int64)
    is_random_N = np.diff(due, prepend=0) > 0
    chance_N = random_scores(id_N, seed=seed)
    by_chance = np.argsort(chance_N, kind="stable")
    num_random = int(is_random_N.sum())
    rest = by_chance[num_random:]
    at_N = np.empty(num, np.int64)
    at_N[is_random_N] = by_chance[:num_random]
    at_N[~is_random_N] = rest[np.argsort(-score_N[rest], kind="stable")]
    return Order(at_N, is_random_N)
