"""Models ranked by votes: scores, intervals, ranks - or why there is no ranking."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from trivium.statistics import davidson
from trivium.statistics.intervals import (
    LEVEL,
    NOTHING,
    Estimate,
    Floats,
    Interval,
    Ints,
    Share,
    middle_of,
    share_of,
    shares_of,
)
from trivium.statistics.pairs import (
    BOTH_BAD,
    FIRST,
    SECOND,
    TIE,
    PairCounts,
    chains_of,
    components_of,
    tells_length_apart,
)

ROUNDS = 200
MEAN_SCORE = 1000.0
POINTS = 400 / np.log(10)
"""Points per unit of log strength, as in chess: 400 points are odds of ten to one,
ties left out."""
TWICE_AS_LONG = 1 / 3
"""The difference of length of an answer that has twice the words of the other."""
MAX_EFFECT = 500.0
"""Points for twice the words beyond which votes hardly look at anything else."""
MAX_NAMES = 5

NOT_CONTROLLED = Estimate(None, None, "Length was not looked at.")
LENGTH_DECIDES = (
    "Length alone foretells nearly every vote, so scores at equal length are guesses. "
    "Look at what labelers reward before comparing models."
)
NO_PAIR = (
    "No vote compares answers of two different models yet, so there is nothing to rank."
)
NO_LENGTH = (
    "Length cannot be told apart from the models: each one's answers are of nearly "
    "the same length throughout. Compare the models on prompts that ask for short "
    "and for long answers, or look at the ranking without length."
)


@dataclass(frozen=True, slots=True)
class ModelScore:
    """One model, as the votes have it."""

    model: int
    name: str
    score: float
    interval: Interval
    rank: int
    """1 and the number of models whose whole interval lies above this one's."""
    worst_rank: int
    """The rank if all whose intervals overlap this one's were better."""
    num_votes: int
    wins: int
    losses: int
    ties: int
    """Both bad included."""
    both_bad: Share
    """Of its votes, those that found both answers bad."""


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """Models from the best to the worst; empty where `refusal` says why."""

    models: tuple[ModelScore, ...] = ()
    win_KK: Floats = field(default_factory=lambda: np.empty((0, 0)))
    """How often the model of the row beats that of the column, a tie as half a win;
    rows and columns in the order of `models`."""
    win_low_KK: Floats = field(default_factory=lambda: np.empty((0, 0)))
    win_high_KK: Floats = field(default_factory=lambda: np.empty((0, 0)))
    win_variance_KK: Floats = field(default_factory=lambda: np.empty((0, 0)))
    """How far samples of the votes differ on it: what more votes would lessen."""
    nu: float = 0.0
    """Davidson's: two equal models tie in nu / (2 + nu) of all votes."""
    length_effect: Estimate = NOT_CONTROLLED
    """Points that twice the words are worth."""
    num_votes: int = 0
    both_bad: Share = NOTHING
    without_votes: tuple[str, ...] = ()
    """Models that no vote compares with another."""
    refusal: str = ""
    cautions: tuple[str, ...] = ()
    """What to know before believing it, as sentences."""


def rank_models(
    counts: PairCounts,
    names: Sequence[str],
    *,
    num_rounds: int = ROUNDS,
    seed: int = 0,
    ridge: float = davidson.RIDGE,
) -> Ranking:
    """Rank models by Davidson's form of Bradley-Terry; `names[k]` names model k.

    Counts with lengths give the ranking at equal length. Intervals: percentile
    bootstrap over votes, drawn as one multinomial over the counts, scores centred in
    each sample. They take votes as independent. Ranks go by overlap of intervals, as
    arenas do: models that overlap are not told apart.
    """
    model_K = np.unique(np.concatenate([counts.first_G, counts.second_G]))
    known = set(model_K.tolist())
    without = tuple(name for at, name in enumerate(names) if at not in known)
    dense = PairCounts(
        np.searchsorted(model_K, counts.first_G),
        np.searchsorted(model_K, counts.second_G),
        counts.outcomes_GO,
        counts.length_G,
    )
    ranked = [names[model] for model in model_K.tolist()]
    refusal = refusal_of(dense, ranked)
    both_bad = share_of(int(counts.outcomes_GO[:, BOTH_BAD].sum()), counts.num_votes)
    if refusal:
        return Ranking(
            num_votes=counts.num_votes,
            both_bad=both_bad,
            without_votes=without,
            refusal=refusal,
        )
    design = davidson.design_of(dense, len(ranked))
    outcomes_GO = davidson.three_outcomes(dense)
    fitted_D = davidson.fit(design, outcomes_GO, ridge=ridge)
    sampled_RD = davidson.fit_samples(
        design, outcomes_GO, fitted_D, num_rounds=num_rounds, seed=seed, ridge=ridge
    )
    models = score_models(dense, model_K, ranked, fitted_D, sampled_RD)
    effect = effect_of_length(design, fitted_D, sampled_RD)
    order = sorted(range(len(models)), key=lambda at: -models[at].score)
    num = len(ranked)
    win_RKK = win_matrix(sampled_RD, num, design.has_ties)[:, order][:, :, order]
    win_KK = win_matrix(fitted_D[None], num, design.has_ties)[0][order][:, order]
    low_KK, high_KK = np.quantile(win_RKK, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return Ranking(
        models=tuple(models[at] for at in order),
        win_KK=win_KK,
        win_low_KK=low_KK,
        win_high_KK=high_KK,
        win_variance_KK=win_RKK.var(axis=0),
        nu=float(np.exp(fitted_D[num])) if design.has_ties else 0.0,
        length_effect=effect,
        num_votes=counts.num_votes,
        both_bad=both_bad,
        without_votes=without,
        cautions=cautions_of(dense, ranked, effect),
    )


def refusal_of(counts: PairCounts, names: Sequence[str]) -> str:
    """Return why these votes rank nobody, or an empty text."""
    if not len(counts.first_G):
        return NO_PAIR
    group_K = components_of(counts, len(names))
    if group_K.any():
        groups = " and ".join(
            f"({named(names, group_K == group)})" for group in np.unique(group_K)
        )
        return (
            f"No vote links these groups of models: {groups}. Scores across them "
            "would be invented. Compare a model of each with one of another."
        )
    if counts.length_G is not None and not tells_length_apart(counts, len(names)):
        return NO_LENGTH
    return ""


def cautions_of(
    counts: PairCounts, names: Sequence[str], effect: Estimate
) -> tuple[str, ...]:
    """Return a sentence on all that votes leave without bound.

    That is each group of models that won, or lost, everything; and length, where it
    alone foretells nearly every vote.
    """
    wordy = abs(effect.value or 0) > MAX_EFFECT
    cautions = (LENGTH_DECIDES,) if wordy else ()
    group_K, winner_E, loser_E = chains_of(counts, len(names))
    if not len(winner_E):
        return cautions
    groups = np.unique(group_K)
    return cautions + tuple(
        f"{named(names, group_K == group)} never {did} any other model, so the "
        f"distance to the rest has no {bound} bound. A weak prior keeps it finite; "
        "more votes would tell."
        for did, bound, crossed in (
            ("lost to, or tied with,", "upper", loser_E),
            ("beat, or tied with,", "lower", winner_E),
        )
        for group in groups[~np.isin(groups, crossed)]
    )


def named(names: Sequence[str], is_in_K: np.ndarray) -> str:
    """Return the names of some models, the first few of many."""
    found = [name for name, is_in in zip(names, is_in_K, strict=True) if is_in]
    if len(found) > MAX_NAMES:
        return f"{', '.join(found[:MAX_NAMES])} and {len(found) - MAX_NAMES} more"
    return ", ".join(found)


def score_models(
    counts: PairCounts,
    model_K: Ints,
    names: Sequence[str],
    fitted_D: Floats,
    sampled_RD: Floats,
) -> list[ModelScore]:
    """Return what is known of each model, in the order of their numbers."""
    num = len(names)
    score_K = scores_of(fitted_D[None], num)[0]
    intervals = [middle_of(score_R) for score_R in scores_of(sampled_RD, num).T]
    low_K = np.array([interval.low for interval in intervals])
    high_K = np.array([interval.high for interval in intervals])
    tally_KO = tally(counts, num)
    votes_K = tally_KO.sum(axis=1)
    return [
        ModelScore(
            model=model,
            name=name,
            score=score,
            interval=interval,
            rank=1 + int((low_K > interval.high).sum()),
            worst_rank=num - int((high_K < interval.low).sum()),
            num_votes=votes,
            wins=outcomes[FIRST],
            losses=outcomes[SECOND],
            ties=outcomes[TIE] + outcomes[BOTH_BAD],
            both_bad=both_bad,
        )
        for model, name, score, interval, votes, outcomes, both_bad in zip(
            model_K.tolist(),
            names,
            score_K.tolist(),
            intervals,
            votes_K.tolist(),
            tally_KO.tolist(),
            shares_of(tally_KO[:, BOTH_BAD], votes_K),
            strict=True,
        )
    ]


def tally(counts: PairCounts, num_models: int) -> Ints:
    """Return wins, losses, ties and both bad of each model."""
    tally_KO = np.zeros((num_models, 4), np.int64)
    np.add.at(tally_KO, counts.first_G, counts.outcomes_GO)
    np.add.at(
        tally_KO, counts.second_G, counts.outcomes_GO[:, [SECOND, FIRST, TIE, BOTH_BAD]]
    )
    return tally_KO


def scores_of(params_RD: Floats, num_models: int) -> Floats:
    """Return scores with a mean of 1,000."""
    strength_RK = params_RD[:, :num_models]
    centred_RK = strength_RK - strength_RK.mean(axis=1, keepdims=True)
    return np.asarray(MEAN_SCORE + POINTS * centred_RK)


def win_matrix(params_RD: Floats, num_models: int, has_ties: bool) -> Floats:
    """Return how often each model beats each other, at equal length."""
    nu_R = np.exp(params_RD[:, num_models]) * has_ties
    return davidson.win_probabilities(params_RD[:, :num_models], nu_R)


def effect_of_length(
    design: davidson.Design, fitted_D: Floats, sampled_RD: Floats
) -> Estimate:
    """Return the points that an answer of twice the words is given for it."""
    if design.length_G is None:
        return NOT_CONTROLLED
    points = POINTS * TWICE_AS_LONG
    return Estimate(float(points * fitted_D[-1]), middle_of(points * sampled_RD[:, -1]))
