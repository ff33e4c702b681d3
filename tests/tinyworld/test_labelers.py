import pytest
from tinyworld import Labeler, preferences, shown, voted, world

NUM_VOTES = 10_000
TOLERANCE = 0.02
"""Four standard errors of a share of so many votes are at most this."""


def votes(labeler, better=lambda item: "ab"[item % 2]):
    return [
        (better(item), labeler.vote(item, better(item))) for item in range(NUM_VOTES)
    ]


@pytest.mark.parametrize(
    ("error_rate", "bias", "tie_rate"),
    [(0.0, 0.0, 0.0), (0.2, 0.0, 0.1), (0.1, 0.3, 0.2), (0.3, -0.5, 0.0), (0.5, 0, 0)],
)
def test_habits_are_recovered_from_votes(error_rate, bias, tie_rate):
    labeler = Labeler("Ada", error_rate, bias, tie_rate, seed=3)
    cast = votes(labeler)
    decided = [(better, vote) for better, vote in cast if vote.choice != "tie"]
    ties = 1 - len(decided) / len(cast)
    assert ties == pytest.approx(tie_rate, abs=TOLERANCE)
    left = sum(vote.choice == vote.left for _, vote in decided) / len(decided)
    assert 2 * left - 1 == pytest.approx(bias, abs=2 * TOLERANCE)
    wrong = sum(vote.choice != better for better, vote in decided) / len(decided)
    read = 1 - abs(bias)
    found = (wrong - abs(bias) / 2) / read
    assert found == pytest.approx(error_rate, abs=TOLERANCE / read)


def test_a_vote_does_not_depend_on_what_was_voted_on_before():
    def cast(labeler, items=range(100)):
        return {item: labeler.vote(item, "b") for item in items}

    ada = Labeler("Ada", 0.3, 0.2, 0.1)
    assert cast(ada) == cast(ada, reversed(range(100)))
    assert cast(ada) != cast(Labeler("Bob", 0.3, 0.2, 0.1))
    assert cast(ada) != cast(Labeler("Ada", 0.3, 0.2, 0.1, seed=1))


def test_two_labelers_err_independently():
    both = [
        (one.choice != better, other.choice != better)
        for (better, one), (_, other) in zip(
            votes(Labeler("Ada", 0.3, 0, 0)),
            votes(Labeler("Bob", 0.3, 0, 0)),
            strict=True,
        )
    ]
    assert sum(a and b for a, b in both) / NUM_VOTES == pytest.approx(0.09, abs=0.015)


def test_a_side_a_campaign_chose_is_kept():
    labeler = Labeler("Ada", position_bias=1, tie_rate=0)
    assert labeler.vote(1, "b", left="a") == ("a", "a")
    assert labeler.vote(1, "a", left="b") == ("b", "b")
    assert Labeler("Ada", 0, -1, 0).vote(1, "a", left="a") == ("b", "a")


def test_equal_answers_are_a_tie_unless_one_errs():
    cast = votes(Labeler("Ada", 0.2, 0, 0), better=lambda _: "tie")
    named = [vote.choice for _, vote in cast if vote.choice != "tie"]
    assert len(named) / NUM_VOTES == pytest.approx(0.2, abs=TOLERANCE)
    assert named.count("a") / len(named) == pytest.approx(0.5, abs=0.05)


def test_a_repeat_is_a_vote_of_its_own():
    labeler = Labeler("Ada", error_rate=0.5, tie_rate=0)
    again = [labeler.vote(item, "a", round_number=1).choice for item in range(200)]
    assert again != [labeler.vote(item, "a").choice for item in range(200)]


def test_letters_do_not_tell_the_better_answer():
    pairs = preferences(world(), sizes={"known": 2000})
    seen = [shown(pair) for pair in pairs]
    assert seen == [shown(pair) for pair in pairs]
    share = sum(one.better == "a" for one in seen) / len(seen)
    assert share == pytest.approx(0.5, abs=0.05)
    for pair, one in zip(pairs, seen, strict=True):
        better = one.answer_a if one.better == "a" else one.answer_b
        assert better == pair.chosen
        assert {one.answer_a, one.answer_b} == {pair.chosen, pair.rejected}


@pytest.mark.parametrize("rates", [(1.1, 0, 0), (0, -1.5, 0), (0, 0, -0.1)])
def test_what_is_no_rate_is_refused(rates):
    with pytest.raises(ValueError, match="rates are from 0 to 1"):
        Labeler("Ada", *rates)


def test_most_votes_decide_and_where_they_do_not_a_pair_is_left_out():
    pairs = preferences(world(), sizes={"known": 2000})
    people = [Labeler(name, 0.2, tie_rate=0) for name in ("Ada", "Bob", "Cyd")]
    seen = voted(pairs, people)
    assert len(seen) == 2000
    swapped = [
        (one.chosen, one.rejected) == (pair.rejected, pair.chosen)
        for pair, one in zip(pairs, seen, strict=True)
    ]
    # Three who err one time in five: 3 * 0.2**2 * 0.8 + 0.2**3.
    assert sum(swapped) / 2000 == pytest.approx(0.104, abs=0.025)
    assert voted(pairs, people) == seen != voted(pairs, people, seed=1)
    assert len(voted(pairs, people[:2])) == pytest.approx(2000 * 0.68, abs=60)
    assert voted(pairs, [Labeler("Dot", 0, 0, 0)]) == pairs
