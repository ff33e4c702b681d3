"""Rankings: baseball, other implementations, strengths found again, and refusals."""

import choix
import numpy as np
import pytest
import statsmodels.api as sm
from scipy.optimize import minimize
from statistics_lab import battles
from trivium.statistics import davidson
from trivium.statistics.pairs import PairCounts, count_pairs
from trivium.statistics.ranking import POINTS, rank_models

NOTHING = np.empty(0, np.int64)
TEAMS = [
    "Milwaukee",
    "Detroit",
    "Toronto",
    "New York",
    "Boston",
    "Cleveland",
    "Baltimore",
]
# American League, East, 1987 (Agresti, Categorical Data Analysis): wins of the row.
GAMES = np.array(
    [
        [0, 7, 9, 7, 7, 9, 11],
        [6, 0, 7, 5, 11, 9, 9],
        [4, 6, 0, 7, 7, 8, 12],
        [6, 8, 6, 0, 6, 7, 10],
        [6, 2, 6, 7, 0, 7, 12],
        [4, 4, 5, 6, 6, 0, 6],
        [2, 4, 1, 3, 1, 7, 0],
    ]
)


def counted(wins, ties=None, bad=None) -> PairCounts:
    """Return the counts of a table of wins, and one of ties."""
    first, second = np.triu_indices(len(wins), 1)
    nothing = np.zeros_like(wins)
    ties, bad = (nothing if table is None else table for table in (ties, bad))
    columns = [
        wins[first, second],
        wins[second, first],
        ties[first, second],
        bad[first, second],
    ]
    outcomes = np.stack(columns, axis=1)
    at = outcomes.any(axis=1)
    return PairCounts(first[at], second[at], outcomes[at])


def strengths(counts, num, *, ridge=1e-9):
    """Return log strengths with a mean of 0, and the other parameters."""
    design = davidson.design_of(counts, num)
    found = davidson.fit(design, davidson.three_outcomes(counts), ridge=ridge)
    return found[:num] - found[:num].mean(), found[num:]


def test_baseball_teams_are_as_strong_as_published():
    """Against Baltimore, as the R package BradleyTerry2 prints them."""
    found, _ = strengths(counted(GAMES), 7)
    published = [1.5814, 1.4364, 1.2945, 1.2476, 1.1077, 0.6839, 0.0]
    np.testing.assert_allclose(found - found[-1], published, atol=5e-5)


def test_a_record_is_that_of_the_table():
    for team in rank_models(counted(GAMES), TEAMS).models:
        won, lost = GAMES[team.model].sum(), GAMES[:, team.model].sum()
        assert (team.wins, team.losses, team.ties) == (won, lost, 0)
        assert (team.num_votes, team.name) == (won + lost, TEAMS[team.model])


@pytest.mark.parametrize("ridge", [0, 3])
def test_strengths_without_ties_are_those_of_choix(ridge):
    rng = np.random.default_rng(0)
    wins = rng.integers(1, 20, (8, 8)) * (1 - np.eye(8, dtype=int))
    rows = [
        (int(winner), int(loser))
        for winner, loser in np.argwhere(wins)
        for _ in range(wins[winner, loser])
    ]
    found, _ = strengths(counted(wins), 8, ridge=ridge or 1e-9)
    # choix weighs the squares, we half of them.
    expected = choix.opt_pairwise(8, rows, alpha=ridge / 2)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_newton_steps_follow_the_true_curvature():
    """A wrong second derivative would still arrive, only late, or not at all."""
    rng = np.random.default_rng(2)
    votes = battles(rng, np.zeros(3), 200, nu=0.7)
    counts = count_pairs(
        votes.model_a, votes.model_b, votes.choice, length_V=votes.length
    )
    design = davidson.design_of(counts, 3)
    outcomes = davidson.three_outcomes(counts)[None]
    lead = (outcomes[:, :, 0] - outcomes[:, :, 1]) / 2
    told = outcomes.sum(axis=2), lead, outcomes[:, :, 2].sum(axis=1)
    at = rng.normal(size=(1, 5))
    _, curve = davidson.derivatives(design, *told, at)
    for number, step in enumerate(1e-6 * np.eye(5)):
        ahead, _ = davidson.derivatives(design, *told, at + step)
        behind, _ = davidson.derivatives(design, *told, at - step)
        slope_change = (behind - ahead)[0] / 2e-6
        np.testing.assert_allclose(curve[0, number], slope_change, atol=1e-6)


def poisson_fit(wins, ties):
    """Fit Davidson's model as a log-linear one (Fienberg 1979), by statsmodels.

    Each pair has a constant of its own, so strengths and nu are what is left.
    """
    num, (first, second) = len(wins), np.triu_indices(len(wins), 1)
    rows, seen = [], []
    for pair, (i, j) in enumerate(zip(first, second, strict=True)):
        for count, share_i, share_j, tie in (
            (wins[i, j], 1, 0, 0),
            (wins[j, i], 0, 1, 0),
            (ties[i, j], 0.5, 0.5, 1),
        ):
            row = np.zeros(num + 1 + len(first))
            row[i], row[j], row[num], row[num + 1 + pair] = share_i, share_j, tie, 1
            rows.append(row[1:])
            seen.append(count)
    fitted = sm.GLM(seen, np.array(rows), family=sm.families.Poisson()).fit().params
    theta = np.concatenate([[0], fitted[: num - 1]])
    return theta - theta.mean(), fitted[num - 1]


@pytest.mark.parametrize("seed", range(3))
def test_strengths_with_ties_are_those_of_a_poisson_regression(seed):
    rng = np.random.default_rng(seed)
    wins, ties = rng.integers(1, 15, (2, 6, 6))
    found, (log_nu,) = strengths(counted(wins, ties), 6)
    theta, expected_log_nu = poisson_fit(wins, ties)
    np.testing.assert_allclose(found, theta, atol=1e-6)
    assert log_nu == pytest.approx(expected_log_nu, abs=1e-6)


def test_both_bad_is_a_tie_to_the_scores_and_counted_apart():
    rng = np.random.default_rng(0)
    wins, ties, bad = rng.integers(1, 15, (3, 4, 4))
    apart = rank_models(counted(wins, ties, bad), "abcd")
    together = rank_models(counted(wins, ties + bad), "abcd")
    assert [m.score for m in apart.models] == [m.score for m in together.models]
    upper = np.triu_indices(4, 1)
    assert apart.both_bad.hits == bad[upper].sum()
    assert apart.both_bad.total == apart.num_votes
    (worst,) = [model for model in apart.models if model.name == "a"]
    assert worst.both_bad.hits == bad[0, 1:].sum()
    assert worst.num_votes == worst.wins + worst.losses + worst.ties
    assert together.both_bad.value == 0


def test_the_effect_of_length_is_that_of_single_votes():
    """Votes grouped by length give what a direct fit of each vote gives."""
    rng = np.random.default_rng(4)
    votes = battles(rng, np.array([-0.5, 0, 0.7]), 3000, nu=0.5, per_length=1.5)

    def cost(params) -> float:
        theta, log_nu, effect = np.append(0, params[:2]), params[2], params[3]
        d = theta[votes.model_a] - theta[votes.model_b] + effect * votes.length
        logits = np.stack([d / 2, -d / 2, np.full(len(d), log_nu)])
        chosen = logits[votes.choice, np.arange(len(d))]
        return float((np.log(np.exp(logits).sum(axis=0)) - chosen).sum())

    single = minimize(cost, np.zeros(4)).x
    counts = count_pairs(
        votes.model_a, votes.model_b, votes.choice, length_V=votes.length
    )
    found, (log_nu, effect) = strengths(counts, 3)
    np.testing.assert_allclose(found[1:] - found[0], single[:2], atol=0.01)
    assert (log_nu, effect) == pytest.approx(tuple(single[2:]), abs=0.01)


def test_true_strengths_ties_and_length_are_recovered():
    rng = np.random.default_rng(9)
    truth = np.array([-1.0, -0.2, 0.3, 0.9])
    votes = battles(rng, truth, 60_000, nu=0.8, per_length=1.2, both_bad=0.3)
    counts = count_pairs(
        votes.model_a, votes.model_b, votes.choice, length_V=votes.length
    )
    ranking = rank_models(counts, ["poor", "fair", "good", "best"], num_rounds=100)
    assert [model.name for model in ranking.models] == ["best", "good", "fair", "poor"]
    assert [(m.rank, m.worst_rank) for m in ranking.models] == [
        (k, k) for k in range(1, 5)
    ]
    for model in ranking.models:
        assert model.score == pytest.approx(1000 + POINTS * truth[model.model], abs=8)
    assert ranking.nu == pytest.approx(0.8, abs=0.03)
    assert ranking.length_effect.value == pytest.approx(1.2 * POINTS / 3, abs=4)
    assert ranking.both_bad.value == pytest.approx(
        0.3 * (votes.choice >= 2).mean(), abs=0.01
    )


def test_length_that_is_not_looked_at_flatters_the_wordy_model():
    rng = np.random.default_rng(10)
    votes = battles(rng, np.zeros(2), 20_000, per_length=2.0)
    # Model 1 writes longer: keep mostly those of its answers that are.
    longer = np.where(votes.model_a == 1, votes.length, -votes.length)
    kept = rng.random(len(longer)) < np.where(longer > 0, 1.0, 0.2)
    a, b, choice, length = (part[kept] for part in votes)
    plain = rank_models(count_pairs(a, b, choice), ["brief", "wordy"])
    fair = rank_models(count_pairs(a, b, choice, length_V=length), ["brief", "wordy"])
    assert plain.models[0].name == "wordy"
    assert plain.models[0].interval.low > plain.models[1].interval.high
    assert fair.models[0].rank == fair.models[1].rank == 1


def test_intervals_of_scores_cover_the_truth_nearly_as_often_as_they_say():
    truth = np.array([-0.6, 0.0, 0.1, 0.5])
    covered = []
    for seed in range(60):
        votes = battles(np.random.default_rng(seed), truth, 400, nu=0.5)
        counts = count_pairs(votes.model_a, votes.model_b, votes.choice)
        covered += [
            model.interval.contains(1000 + POINTS * truth[model.model])
            for model in rank_models(counts, "abcd").models
        ]
    assert 0.9 <= np.mean(covered) < 1


def test_the_matrix_of_wins_adds_up_and_agrees_with_the_votes():
    votes = battles(np.random.default_rng(1), np.array([0.0, 1.0]), 5000, nu=0.6)
    ranking = rank_models(
        count_pairs(votes.model_a, votes.model_b, votes.choice), ["zero", "one"]
    )
    won = np.where(votes.model_a == 1, votes.choice == 0, votes.choice == 1).mean()
    seen = won + (votes.choice == 2).mean() / 2
    # Two models: the model fits what was seen.
    assert ranking.win_KK[0, 1] == pytest.approx(seen, abs=1e-3)
    np.testing.assert_allclose(ranking.win_KK + ranking.win_KK.T, 1)
    assert (ranking.win_low_KK <= ranking.win_KK + 1e-12).all()
    assert (ranking.win_KK <= ranking.win_high_KK + 1e-12).all()
    assert ranking.win_low_KK[0, 1] < seen < ranking.win_high_KK[0, 1]


def test_models_whose_intervals_overlap_share_a_rank():
    wins = np.array([[0, 30, 99], [28, 0, 99], [1, 1, 0]])
    best, second, last = rank_models(counted(wins), "abc").models
    assert (best.rank, best.worst_rank) == (second.rank, second.worst_rank) == (1, 2)
    assert (last.name, last.rank, last.worst_rank) == ("c", 3, 3)


def test_the_same_seed_gives_the_same_intervals(monkeypatch):
    first = rank_models(counted(GAMES), TEAMS, seed=3).models
    monkeypatch.setattr(davidson, "CHUNK_CELLS", 50)
    again = rank_models(counted(GAMES), TEAMS, seed=3).models
    for one, other in zip(first, again, strict=True):
        assert one.interval.low == pytest.approx(other.interval.low, abs=1e-6)
    assert first != rank_models(counted(GAMES), TEAMS, seed=4).models


def test_groups_that_nothing_links_are_refused_by_name():
    wins = np.zeros((5, 5), int)
    wins[0, 1] = wins[1, 0] = wins[2, 3] = wins[3, 2] = 8
    ranking = rank_models(counted(wins), ["ant", "bee", "cat", "dog", "eel"])
    assert ranking.models == ()
    assert "(ant, bee) and (cat, dog)" in ranking.refusal
    assert ranking.without_votes == ("eel",)
    assert ranking.num_votes == 32


@pytest.mark.parametrize("models", [([], []), ([0, 0], [0, 0])])
def test_fewer_than_two_models_are_no_ranking(models):
    a, b = (np.array(part, np.int64) for part in models)
    for length in (None, np.zeros(len(a))):
        ranking = rank_models(count_pairs(a, b, 0 * a, length_V=length), ["only"])
        assert ranking.models == ()
        assert "nothing to rank" in ranking.refusal
        assert ranking.both_bad.value is None


def test_a_model_that_always_won_is_finite_and_said_to_be_unbounded():
    wins = np.array([[0, 9, 9], [0, 0, 5], [0, 4, 0]])
    ranking = rank_models(counted(wins), ["champion", "one", "other"])
    assert ranking.models[0].name == "champion"
    assert np.isfinite(ranking.models[0].interval.high)
    top, bottom = ranking.cautions
    assert top.startswith("champion never lost to")
    assert "no upper bound" in top
    assert bottom.startswith("one, other never beat")


def test_cautions_are_for_the_extremes_alone():
    assert rank_models(counted(GAMES), TEAMS).cautions == ()
    chain = np.zeros((3, 3), int)
    chain[0, 1] = chain[1, 2] = 3
    top, bottom = rank_models(counted(chain), "abc").cautions
    assert top.startswith("a never")
    assert bottom.startswith("c never")


@pytest.mark.parametrize("seed", range(20))
def test_sparse_and_lopsided_votes_never_give_nan(seed):
    rng = np.random.default_rng(seed)
    wins = rng.integers(0, 1000, (7, 7)) * (rng.random((7, 7)) < 0.3)
    wins[np.arange(6), np.arange(1, 7)] = 1
    ties = rng.integers(0, 3, (7, 7)) * (seed % 3)
    ranking = rank_models(counted(wins, ties), "abcdefg")
    numbers = [model.score for model in ranking.models]
    numbers += [
        end for m in ranking.models for end in (m.interval.low, m.interval.high)
    ]
    assert len(ranking.models) == 7
    assert np.isfinite(numbers).all()
    assert np.isfinite(ranking.win_KK).all()


def in_a_circle(*length: float) -> PairCounts:
    """Return votes by which three models beat each other in a circle."""
    votes = [[941, 4323, 0, 1], [5173, 0, 0, 1800], [0, 7466, 1972, 0]]
    first, second = np.triu_indices(3, 1)
    return PairCounts(first, second, np.array(votes), np.array(length))


def test_a_maximum_is_found_where_the_likelihood_is_flat():
    counts = in_a_circle(0.0898, -0.791, -0.9096)
    design, outcomes = davidson.design_of(counts, 3), davidson.three_outcomes(counts)
    found = davidson.fit(design, outcomes)
    slope, _ = davidson.derivatives(
        design,
        outcomes.sum(axis=1)[None],
        (outcomes[:, 0] - outcomes[:, 1])[None] / 2,
        outcomes[:, 2].sum()[None],
        found[None],
    )
    np.testing.assert_allclose(slope[0], davidson.RIDGE * found, atol=1e-6)
    # Lengths add up around the circle, nearly as habits would.
    assert "cannot be told apart" in rank_models(counts, "abc").refusal


def test_length_that_decides_everything_is_said_to():
    ranking = rank_models(in_a_circle(0.25, 0.4, -0.2), "abc", num_rounds=100)
    assert "Length alone" in ranking.cautions[0]
    assert np.isfinite(ranking.length_effect.value)


def test_nothing_but_ties_makes_everybody_equal():
    ranking = rank_models(counted(np.zeros((3, 3), int), np.full((3, 3), 9)), "abc")
    assert [round(model.score, 6) for model in ranking.models] == [1000] * 3
    assert {model.rank for model in ranking.models} == {1}
    assert ranking.cautions == ()


def test_length_that_is_a_models_habit_is_refused():
    votes = battles(np.random.default_rng(0), np.zeros(3), 900)
    length = 0.1 * (votes.model_a - votes.model_b)
    counts = count_pairs(votes.model_a, votes.model_b, votes.choice, length_V=length)
    assert "cannot be told apart" in rank_models(counts, "abc").refusal
