"""PPO's parts by hand and by the definition, and the whole in a world that is known."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from known_world import (
    ANSWERS,
    World,
    best_policy,
    distribution,
    earned,
    tiny_policy,
    variation,
)
from torch import Tensor
from trainer.rlhf.ppo import (
    Learner,
    Settings,
    critic_of,
    explained_variance,
    gae,
    kl_k1,
    kl_k3,
    minibatches,
    padded,
    policy_loss,
    token_rewards,
    value_loss,
    whiten,
)
from trainer.rlhf.sampling import Rollout

ONES = torch.ones(1, 1)
ALL = torch.ones(1, 3)


def row(*values: float) -> Tensor:
    return torch.tensor([values])


# Rewards and advantages


def test_the_score_comes_with_the_last_token_and_the_kl_with_each() -> None:
    kl_BT = torch.tensor([[9.0, 1.0, 2.0, 9.0], [1.0, 1.0, 1.0, 1.0]])
    mask_BT = torch.tensor([[0.0, 1.0, 1.0, 0.0], [0.0, 0.0, 1.0, 1.0]])
    rewards_BT = token_rewards(torch.tensor([5.0, -1.0]), kl_BT, mask_BT, beta=0.5)
    assert rewards_BT.tolist() == [[0, -0.5, 4, 0], [0, 0, -0.5, -1.5]]


def test_advantages_are_what_one_computes_by_hand() -> None:
    # Deltas 1 + .5·4 - 2 = 1, 0 + .5·6 - 4 = -1 and 10 - 6 = 4, each with a quarter of
    # what comes behind it.
    advantages_BT, returns_BT = gae(
        row(1, 0, 10), row(2, 4, 6), ALL, gamma=0.5, lam=0.5
    )
    assert advantages_BT.tolist() == [[1.0, 0.0, 4.0]]
    assert returns_BT.tolist() == [[3.0, 4.0, 10.0]]


def test_nothing_before_or_behind_an_answer_counts() -> None:
    mask_BT = row(0, 1, 1, 1, 0)
    inside = gae(row(1, 0, 10), row(2, 4, 6), ALL, gamma=0.5, lam=0.5)
    around = gae(row(7, 1, 0, 10, 7), row(7, 2, 4, 6, 7), mask_BT, gamma=0.5, lam=0.5)
    for one, other in zip(inside, around, strict=True):
        assert other[:, 1:4].tolist() == one.tolist()
        assert other[:, [0, 4]].tolist() == [[0, 0]]


@given(
    steps=st.lists(st.tuples(*[st.floats(-10, 10)] * 2), min_size=1, max_size=8),
    behind=st.integers(0, 2),
    gamma=st.floats(0, 1),
    lam=st.floats(0, 1),
)
@settings(max_examples=60, deadline=None)
def test_advantages_are_the_double_sum_of_the_paper(
    steps: list[tuple[float, float]], behind: int, gamma: float, lam: float
) -> None:
    rewards, values = (list(each) for each in zip(*steps, strict=True))
    last = len(steps)
    deltas = [
        rewards[t] + gamma * (values[t + 1] if t + 1 < last else 0) - values[t]
        for t in range(last)
    ]
    naive = [
        sum((gamma * lam) ** (k - t) * deltas[k] for k in range(t, last))
        for t in range(last)
    ]
    junk = [3.0] * behind
    found, returns = gae(
        torch.tensor([rewards + junk], dtype=torch.float64),
        torch.tensor([values + junk], dtype=torch.float64),
        torch.tensor([[1.0] * last + [0.0] * behind], dtype=torch.float64),
        gamma=gamma,
        lam=lam,
    )
    assert found[0, :last].tolist() == pytest.approx(naive, abs=1e-9)
    wanted = [one + value for one, value in zip(naive, values, strict=True)]
    assert returns[0, :last].tolist() == pytest.approx(wanted, abs=1e-9)
    assert found[0, last:].tolist() == [0.0] * behind


def test_whitened_values_have_mean_0_and_variance_1_where_they_count() -> None:
    white = whiten(row(1, 2, 3, 100), row(1, 1, 1, 0))
    assert white[0, :3].tolist() == pytest.approx([-math.sqrt(1.5), 0, math.sqrt(1.5)])
    assert white[0, 3] == 0
    # Nothing to tell apart is no division by zero.
    assert whiten(row(4, 4, 4), ALL).tolist() == [[0, 0, 0]]


def test_both_estimators_have_the_kl_as_their_mean() -> None:
    policy = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    reference = torch.tensor([0.2, 0.2, 0.6], dtype=torch.float64)
    kl = float((policy * (policy / reference).log()).sum())
    for estimate in (kl_k1, kl_k3):
        each = estimate(policy.log(), reference.log())
        assert float((policy * each).sum()) == pytest.approx(kl)
    assert (kl_k1(policy.log(), reference.log()) < 0).any()
    assert (kl_k3(policy.log(), reference.log()) >= 0).all()


# Clipping


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "slope"),
    [
        (1.1, 1.0, -1.1, -1.1),  # within: as it is
        (1.5, 1.0, -1.2, 0.0),  # too far, in the good direction: no more to gain
        (0.5, 1.0, -0.5, -0.5),  # too far, in the bad one: brought back
        (0.5, -1.0, 0.8, 0.0),
        (1.5, -1.0, 1.5, 1.5),
        (0.9, -1.0, 0.9, 0.9),
    ],
)
def test_a_ratio_is_clipped_only_where_going_further_would_pay(
    ratio: float, advantage: float, loss: float, slope: float
) -> None:
    logprob = torch.tensor([[math.log(ratio)]], requires_grad=True)
    found, share = policy_loss(
        logprob, torch.zeros(1, 1), ONES * advantage, ONES, epsilon=0.2
    )
    found.backward()
    assert found.item() == pytest.approx(loss)
    assert logprob.grad is not None
    assert float(logprob.grad) == pytest.approx(slope)
    assert float(share) == (slope == 0)


def test_the_loss_is_a_mean_over_tokens_of_answers_alone() -> None:
    loss, share = policy_loss(
        torch.tensor([[math.log(1.5), 50.0], [0.0, 0.0]]),
        torch.zeros(2, 2),
        torch.tensor([[1.0, 99.0], [-3.0, 3.0]]),
        torch.tensor([[1.0, 0.0], [1.0, 1.0]]),
        epsilon=0.2,
    )
    assert float(loss) == pytest.approx((-1.2 + 3 - 3) / 3)
    assert float(share) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("value", "loss", "slope"),
    [
        (1.1, 0.5 * 1.9**2, -1.9),  # within: as it is
        (2.0, 0.5 * 1.8**2, 0.0),  # towards the return, too far: held at 1.2
        (0.0, 0.5 * 3.0**2, -3.0),  # away from it: brought back
    ],
)
def test_a_value_is_clipped_only_where_it_went_towards_the_return(
    value: float, loss: float, slope: float
) -> None:
    given_value = torch.tensor([[value]], requires_grad=True)
    found = value_loss(given_value, ONES, ONES * 3, ONES, epsilon=0.2)
    found.backward()
    assert found.item() == pytest.approx(loss)
    assert given_value.grad is not None
    assert float(given_value.grad) == pytest.approx(slope)


def test_explained_variance_is_the_share_foreseen() -> None:
    returns, mask = row(1, 2, 3, 50), row(1, 1, 1, 0)
    assert explained_variance(row(1, 2, 3, 0), returns, mask) == pytest.approx(1)
    assert explained_variance(row(7, 7, 7, 0), returns, mask) == pytest.approx(0)
    assert explained_variance(row(3, 2, 1, 0), returns, mask) == pytest.approx(-3)


# Answers as they are learnt from


def rollouts() -> list[Rollout]:
    return [
        Rollout([1, 2, 3], [4, 0], [0.0, 0.0], True),
        Rollout([2], [3, 1, 4], [0.0, 0.0, 0.0], False),
    ]


def test_answers_of_different_lengths_stand_in_one_table() -> None:
    ids_BL, lengths_B, mask_BT = padded(rollouts())
    assert ids_BL.tolist() == [[1, 2, 3, 4, 0], [2, 3, 1, 4, 0]]
    assert lengths_B.tolist() == [5, 4]
    assert mask_BT.tolist() == [[0, 0, 1, 1], [1, 1, 1, 0]]


def learner(**changes: float) -> Learner:
    policy = tiny_policy()
    return Learner(policy, critic_of(policy), tiny_policy(5), Settings(**changes))


def test_likelihoods_are_those_of_each_answer_read_alone() -> None:
    made, _ = learner().experience(rollouts(), torch.zeros(2), at_once=2)
    policy = tiny_policy()
    for number, one in enumerate(rollouts()):
        ids = one.prompt_ids + one.ids
        said = policy(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
        start = len(one.prompt_ids)
        wanted = [said[at - 1, ids[at]].item() for at in range(start, len(ids))]
        found = made.logprobs[number][made.mask[number] == 1].tolist()
        assert found == pytest.approx(wanted, abs=1e-5)


def test_the_first_loss_has_ratio_1_and_the_policy_is_not_clipped() -> None:
    one = learner()
    made, _ = one.experience(rollouts(), torch.tensor([1.0, 0.0]), at_once=1)
    losses = one.losses(made)
    assert losses.measured["clip_share"] == 0
    # Whitened advantages have mean 0, and each counts once.
    assert losses.policy.item() == pytest.approx(0, abs=1e-5)


def test_an_answer_that_never_ended_loses_the_penalty() -> None:
    plain, _ = learner(beta=0.0, lam=1.0).experience(
        rollouts(), torch.zeros(2), at_once=2
    )
    fined, _ = learner(beta=0.0, lam=1.0, missing_end_penalty=2.0).experience(
        rollouts(), torch.zeros(2), at_once=2
    )
    lost = plain.returns - fined.returns
    assert lost.tolist() == [[0, 0, 0, 0], [2, 2, 2, 0]]


def test_nothing_is_learnt_from_cut_answers_where_that_is_wanted() -> None:
    made, _ = learner(mask_cut=True).experience(
        rollouts(), torch.tensor([1.0, 5.0]), at_once=2
    )
    assert made.mask.tolist() == [[0, 0, 1, 1], [0, 0, 0, 0]]
    assert made.advantages[1].tolist() == [0, 0, 0, 0]


def test_minibatches_take_each_answer_once_and_are_the_same_again() -> None:
    parts = minibatches(10, 4, seed=7)
    assert sorted(torch.cat(parts).tolist()) == list(range(10))
    again = minibatches(10, 4, seed=7)
    assert all(torch.equal(*both) for both in zip(parts, again, strict=True))
    other = torch.cat(minibatches(10, 4, seed=8))
    assert not torch.equal(torch.cat(parts), other)


# A world whose best policy is known

BETA = 0.5
SMALL_RATE = {"rate": 1e-3, "rounds": 60, "answers": 128}
MANY_STEPS = {"rate": 1e-2, "rounds": 15, "answers": 128, "passes": 12}


def known_rewards() -> Tensor:
    return torch.randn(len(ANSWERS), generator=torch.Generator().manual_seed(5))


@pytest.fixture(scope="module")
def reference() -> Tensor:
    return distribution(tiny_policy())


@pytest.fixture(scope="module")
def best(reference: Tensor) -> Tensor:
    return best_policy(reference, known_rewards(), BETA)


def test_the_closed_form_is_earned_by_no_other_policy(
    reference: Tensor, best: Tensor
) -> None:
    most = earned(best, reference, known_rewards(), BETA)
    for seed in range(20):
        noise = torch.randn(len(ANSWERS), generator=torch.Generator().manual_seed(seed))
        other = best * (0.1 * noise).exp()
        assert earned(other / other.sum(), reference, known_rewards(), BETA) < most


def test_ppo_comes_to_the_policy_that_is_known_to_be_best(
    reference: Tensor, best: Tensor
) -> None:
    assert variation(reference, best) > 0.5
    world = World(known_rewards(), Settings(beta=BETA), **SMALL_RATE)
    assert variation(distribution(world.train().policy), best) < 0.06
    # And its values came to foresee what is rewarded, from nothing.
    assert world.foreseen[0] == 0
    assert sum(world.foreseen[-10:]) / 10 > 0.5


def test_many_steps_on_the_same_answers_are_held_by_clipping(best: Tensor) -> None:
    def distance(epsilon: float) -> float:
        told = Settings(beta=BETA, epsilon=epsilon)
        world = World(known_rewards(), told, **MANY_STEPS)
        return variation(distribution(world.train().policy), best)

    assert distance(0.2) < 0.15
    assert distance(1e9) > 0.5


def test_the_penalty_of_answers_without_end_is_part_of_what_is_best(
    reference: Tensor,
) -> None:
    fined = torch.tensor([0.0 if answer[-1] == 0 else -1.0 for answer in ANSWERS])
    best = best_policy(reference, known_rewards() + fined, BETA)
    told = Settings(beta=BETA, missing_end_penalty=1.0)
    world = World(known_rewards(), told, **SMALL_RATE)
    assert variation(distribution(world.train().policy), best) < 0.06
