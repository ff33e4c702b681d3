"""Bradley-Terry with ties, fitted by maximum likelihood, many samples at once.

Davidson, On extending the Bradley-Terry model to accommodate ties (JASA 1970): with
strengths s and a tie parameter nu, first : second : tie are as
s_1 : s_2 : nu sqrt(s_1 s_2). With d = ln s_1 - ln s_2 the three logits are d/2, -d/2
and ln nu, so the log likelihood is concave. A further regressor x adds effect · x to
d. A row of parameters holds the K log strengths, ln nu, and the effect if there is x.
"""

from dataclasses import dataclass

import numpy as np

from trivium.statistics.intervals import Floats, Ints
from trivium.statistics.pairs import PairCounts

RIDGE = 0.01
"""Weight of half the squared parameters: a prior of standard deviation 10, which is
1,737 points. It only matters where votes leave a strength without bound."""
MAX_STEPS = 100
TOLERANCE = 1e-8
MAX_STEP = 4.0
"""Longer ones overshoot and return where votes are lopsided; with shorter ones a flat
likelihood takes hundreds."""
CHUNK_CELLS = 400_000
"""Rounds times groups taken at a time, so that arrays stay in the cache."""


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """Which groups of votes there are, and what tells them apart."""

    first_G: Ints
    second_G: Ints
    length_G: Floats | None
    start_P: Ints
    """Where the groups of each pair of models begin."""
    num_models: int
    has_ties: bool

    @property
    def num_parameters(self) -> int:
        """Log strengths, ln nu, and the effect of length if it has one."""
        return self.num_models + 1 + (self.length_G is not None)


def design_of(counts: PairCounts, num_models: int) -> Design:
    """Return the design of counted votes."""
    pair_G = counts.first_G * num_models + counts.second_G
    starts = np.flatnonzero(np.diff(pair_G, prepend=-1))
    return Design(
        first_G=counts.first_G,
        second_G=counts.second_G,
        length_G=counts.length_G,
        start_P=starts,
        num_models=num_models,
        has_ties=bool(counts.outcomes_GO[:, 2:].any()),
    )


def three_outcomes(counts: PairCounts) -> Floats:
    """Return first, second and tie of each group; both bad is a tie to a ranking."""
    outcomes_GO = counts.outcomes_GO.astype(np.float64)
    return np.column_stack([outcomes_GO[:, :2], outcomes_GO[:, 2:].sum(axis=1)])


def fit(design: Design, outcomes_GO: Floats, *, ridge: float = RIDGE) -> Floats:
    """Return the parameters that make the votes most likely."""
    start = np.zeros((1, design.num_parameters))
    return np.asarray(climb(design, outcomes_GO[None], start, ridge)[0])


def fit_samples(
    design: Design,
    outcomes_GO: Floats,
    fitted_D: Floats,
    *,
    num_rounds: int,
    seed: int,
    ridge: float = RIDGE,
) -> Floats:
    """Return the parameters of `num_rounds` bootstrap samples of as many votes.

    A sample is one multinomial draw over the counts. Each fit starts at `fitted_D`.
    """
    rng = np.random.default_rng(seed)
    total = int(outcomes_GO.sum())
    share = outcomes_GO.ravel() / total
    chunk = max(1, CHUNK_CELLS // len(outcomes_GO))
    parts = []
    for done in range(0, num_rounds, chunk):
        num = min(chunk, num_rounds - done)
        drawn = rng.multinomial(total, share, num).reshape(num, *outcomes_GO.shape)
        start = np.repeat(fitted_D[None], num, axis=0)
        parts.append(climb(design, drawn.astype(np.float64), start, ridge))
    return np.concatenate(parts)


def climb(
    design: Design, outcomes_RGO: Floats, params_RD: Floats, ridge: float
) -> Floats:
    """Take Newton steps, all rounds together, until none moves."""
    votes_RG = outcomes_RGO.sum(axis=2)
    lead_RG = (outcomes_RGO[:, :, 0] - outcomes_RGO[:, :, 1]) / 2
    ties_R = outcomes_RGO[:, :, 2].sum(axis=1)
    for _ in range(MAX_STEPS):
        slope_RD, curve_RDD = derivatives(design, votes_RG, lead_RG, ties_R, params_RD)
        slope_RD -= ridge * params_RD
        curve_RDD += ridge * np.eye(design.num_parameters)
        step_RD = np.linalg.solve(curve_RDD, slope_RD[:, :, None])[:, :, 0]
        # A full step from far off can overshoot where the likelihood is flat.
        longest_R1 = np.abs(step_RD).max(axis=1, keepdims=True)
        params_RD = params_RD + step_RD * np.minimum(
            1, MAX_STEP / np.maximum(longest_R1, MAX_STEP)
        )
        if longest_R1.max() < TOLERANCE:
            break
    return params_RD


def derivatives(
    design: Design, votes_RG: Floats, lead_RG: Floats, ties_R: Floats, params_RD: Floats
) -> tuple[Floats, Floats]:
    """Return the slope of the log likelihood, and minus its second derivative."""
    num = design.num_models
    lean_RG, tie_RG = predicted(design, params_RD)
    slope_RD = np.zeros_like(params_RD)
    curve_RDD = np.zeros((*params_RD.shape, params_RD.shape[1]))
    pull_RG = lead_RG - votes_RG * lean_RG
    # Variance of a vote's side (1/2, -1/2, or 0 for a tie), and how it goes with ties.
    spread_RG = votes_RG * ((1 - tie_RG) / 4 - lean_RG**2)
    cross_RG = -votes_RG * tie_RG * lean_RG
    slope_RD[:, :num] = by_model(design, pull_RG)
    slope_RD[:, num] = ties_R - (votes_RG * tie_RG).sum(axis=1)
    curve_RDD[:, :num, :num] = laplacian(design, spread_RG)
    set_both(curve_RDD, num, by_model(design, cross_RG))
    curve_RDD[:, num, num] = (votes_RG * tie_RG * (1 - tie_RG)).sum(axis=1)
    if design.length_G is not None:
        slope_RD[:, -1] = pull_RG @ design.length_G
        set_both(curve_RDD, num + 1, by_model(design, spread_RG * design.length_G))
        curve_RDD[:, num, -1] = curve_RDD[:, -1, num] = cross_RG @ design.length_G
        curve_RDD[:, -1, -1] = spread_RG @ design.length_G**2
    return slope_RD, curve_RDD


def predicted(design: Design, params_RD: Floats) -> tuple[Floats, Floats]:
    """Return half of P(first) - P(second), and P(tie), of each group."""
    num = design.num_models
    half_RG = (params_RD[:, design.first_G] - params_RD[:, design.second_G]) / 2
    if design.length_G is not None:
        half_RG += params_RD[:, -1:] * design.length_G / 2
    log_nu_R1 = params_RD[:, num : num + 1] if design.has_ties else -np.inf
    top_RG = np.maximum(np.abs(half_RG), log_nu_R1)
    first_RG, second_RG = np.exp(half_RG - top_RG), np.exp(-half_RG - top_RG)
    tie_RG = np.exp(log_nu_R1 - top_RG)
    total_RG = first_RG + second_RG + tie_RG
    return (first_RG - second_RG) / (2 * total_RG), tie_RG / total_RG


def by_model(design: Design, values_RG: Floats) -> Floats:
    """Return the sum for each model: as first added, as second taken off."""
    sums_RP = np.add.reduceat(values_RG, design.start_P, axis=1)
    sign_PK = np.zeros((len(design.start_P), design.num_models))
    at = np.arange(len(design.start_P))
    sign_PK[at, design.first_G[design.start_P]] = 1
    sign_PK[at, design.second_G[design.start_P]] = -1
    return np.asarray(sums_RP @ sign_PK)


def laplacian(design: Design, weight_RG: Floats) -> Floats:
    """Return the matrix that weights of pairs make: off-diagonal minus the weight."""
    num = design.num_models
    weight_RP = np.add.reduceat(weight_RG, design.start_P, axis=1)
    first_P, second_P = design.first_G[design.start_P], design.second_G[design.start_P]
    matrix_RKK = np.zeros((len(weight_RG), num, num))
    matrix_RKK[:, first_P, second_P] = matrix_RKK[:, second_P, first_P] = -weight_RP
    diagonal = np.arange(num)
    matrix_RKK[:, diagonal, diagonal] = -matrix_RKK.sum(axis=2)
    return matrix_RKK


def set_both(curve_RDD: Floats, at: int, values_RK: Floats) -> None:
    """Set what the log strengths share with parameter `at`, on both sides."""
    num_models = values_RK.shape[1]
    curve_RDD[:, :num_models, at] = curve_RDD[:, at, :num_models] = values_RK


def win_probabilities(log_strength_RK: Floats, nu_R: Floats) -> Floats:
    """Return, for each two models, P(first wins) with half of P(tie) added."""
    half_RKK = (log_strength_RK[:, :, None] - log_strength_RK[:, None, :]) / 2
    top_RKK = np.abs(half_RKK)
    first, second = np.exp(half_RKK - top_RKK), np.exp(-half_RKK - top_RKK)
    tie = nu_R[:, None, None] * np.exp(-top_RKK)
    return np.asarray((first + tie / 2) / (first + second + tie))
