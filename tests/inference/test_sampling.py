"""Choosing tokens: against transformers' own processors, and by counting draws."""

import pytest
import torch
from inference.sampling import choose_tokens, kept_tokens, summarise, uniform_at
from inference.sequence import Sequence
from runspec.serving import Sampling
from tiny_decoders import unheard
from transformers import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

V = 50


def sequence(*, answered: list[int] | None = None, **sampling: object) -> Sequence:
    return unheard(Sampling(**sampling), seed=11, answer_ids=answered or [])


def logits(seed: int = 0) -> torch.Tensor:
    return torch.randn(1, V, generator=torch.Generator().manual_seed(seed)) * 2


def drawn(values: torch.Tensor, asked: Sequence, number: int = 4000) -> torch.Tensor:
    """Return how often each token was chosen, as shares."""
    counts = torch.zeros(values.shape[1])
    for seed in range(number):
        asked.seed = seed
        counts[choose_tokens(values, [asked])[0].id] += 1
    return counts / number


@pytest.mark.parametrize(
    ("sampling", "warpers"),
    [
        ({"temperature": 0.7}, [TemperatureLogitsWarper(0.7)]),
        ({"temperature": 1.0, "top_k": 5}, [TopKLogitsWarper(5)]),
        ({"temperature": 1.0, "top_p": 0.6}, [TopPLogitsWarper(0.6)]),
        ({"temperature": 1.0, "min_p": 0.2}, [MinPLogitsWarper(0.2)]),
        (
            {"temperature": 1.3, "top_k": 9, "top_p": 0.8},
            [TemperatureLogitsWarper(1.3), TopKLogitsWarper(9), TopPLogitsWarper(0.8)],
        ),
    ],
)
def test_draws_follow_the_distribution_transformers_has(sampling, warpers):
    values = logits()
    expected = values.clone()
    for warper in warpers:
        expected = warper(torch.tensor([[1]]), expected)
    expected = expected.softmax(-1)[0]
    found = drawn(values, sequence(**sampling))
    assert not found[expected == 0].any()
    # Four standard deviations of a share of 4,000 draws.
    bound = 4 * (expected * (1 - expected) / 4000).sqrt() + 1e-6
    assert ((found - expected).abs() <= bound).all()


def test_top_p_of_a_flat_distribution_sorts_the_whole_vocabulary():
    """More tokens than are looked at first may be needed."""
    flat = torch.zeros(3000)
    probs, ids = kept_tokens(flat, top_k=0, top_p=0.9)
    assert len(ids) == pytest.approx(2700, abs=1)
    assert float(probs.sum()) == pytest.approx(0.9, abs=1e-3)


def test_repetition_penalty_is_transformers():
    values = logits(3)
    asked = sequence(answered=[4, 5], temperature=0, repetition_penalty=1.8)
    ids = torch.tensor([[1, 2, 3, 4, 5]])
    expected = RepetitionPenaltyLogitsProcessor(1.8)(ids, values.clone())
    assert choose_tokens(values, [asked])[0].id == int(expected.argmax())


def test_presence_counts_once_and_frequency_each_time():
    values = torch.zeros(1, V)
    values[0, 7], values[0, 8] = 1.0, 0.9

    def best(**sampling: object) -> int:
        asked = sequence(answered=[7, 7, 7], temperature=0, **sampling)
        return choose_tokens(values, [asked])[0].id

    assert best() == 7
    assert best(presence_penalty=0.2) == 8
    assert best(presence_penalty=0.05) == 7
    assert best(frequency_penalty=0.05) == 8  # three times


def test_bias_bans_and_forces():
    values = logits(5)
    best = int(values.argmax())
    banned = sequence(temperature=0, logit_bias={best: -100.0, 10**6: 5.0})
    forced = sequence(temperature=0, logit_bias={13: 100.0})
    assert choose_tokens(values, [banned])[0].id != best
    assert choose_tokens(values, [forced])[0].id == 13


def test_only_allowed_tokens_are_chosen():
    allowed = torch.zeros(V, dtype=torch.bool)
    allowed[[3, 9]] = True
    values = logits(6)
    greedy = choose_tokens(values, [sequence(temperature=0)], [allowed])[0].id
    assert greedy == (3 if values[0, 3] > values[0, 9] else 9)
    for seed in range(50):
        asked = sequence(temperature=2.0)
        asked.seed = seed
        assert choose_tokens(values, [asked], [allowed])[0].id in {3, 9}


def test_rows_are_chosen_each_by_its_own_settings():
    values = torch.cat([logits(1), logits(2), logits(3)])
    asked = [
        sequence(temperature=0),
        sequence(temperature=0.9, top_p=0.7),
        sequence(
            temperature=0, presence_penalty=2.0, answered=[int(logits(3).argmax())]
        ),
    ]
    together = choose_tokens(values, asked)
    apart = [
        choose_tokens(values[row : row + 1], [one])[0] for row, one in enumerate(asked)
    ]
    assert [one.id for one in together] == [one.id for one in apart]


def test_each_place_of_each_seed_has_its_own_number():
    numbers = {uniform_at(seed, place) for seed in range(100) for place in range(100)}
    assert len(numbers) == 10_000
    assert all(0 <= number < 1 for number in numbers)
    assert sum(numbers) / len(numbers) == pytest.approx(0.5, abs=0.02)
    assert uniform_at(2**63 - 1, 5) == uniform_at(2**63 - 1, 5)


def test_summaries_are_torchs():
    values = torch.cat([logits(1), logits(2) * 30, torch.zeros(1, V)])
    values[0, 5] = -torch.inf
    best, highest, log_totals, entropies = summarise(values)
    logprobs = values.log_softmax(-1)
    expected = -(logprobs.exp() * logprobs.clamp(min=-1e4)).sum(-1)
    assert best == values.argmax(-1).tolist()
    assert highest == values.amax(-1).tolist()
    assert log_totals == pytest.approx(values.logsumexp(-1).tolist(), rel=1e-5)
    assert entropies == pytest.approx(expected.tolist(), abs=1e-4)


def test_numbers_that_are_none_do_no_harm():
    best, *_ = summarise(torch.full((2, V), torch.nan))
    assert all(0 <= one < V for one in best)
