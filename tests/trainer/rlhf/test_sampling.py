"""Drawing: engine and library draw the same answers, by seed alone."""

from collections import Counter

import pytest
import torch
from rlhf_lab import RlhfLab
from trainer.errors import Stopped
from trainer.rlhf import by_engine
from trainer.rlhf.by_engine import EngineSampler
from trainer.rlhf.by_library import LibrarySampler, draw_each
from trainer.rlhf.sampling import Drawing, make_sampler, seed_of
from trainer.sft.loading import load_model, load_tokenizer


@pytest.fixture
def policy(lab: RlhfLab):
    folder = lab.models["policy"]
    return load_model(folder, "rlhf").eval(), load_tokenizer(folder)


def sampler(made, policy, drawing=None, **options):
    model, tokenizer = policy
    given = {"ends": range(20), "is_stopped": lambda: False} | options
    return made(model, tokenizer, drawing or Drawing(24), **given)


PROMPTS = [[5, 6, 7], [8] * 11, [9], [5, 6, 7]]
SEEDS = [seed_of(1, 2, number) for number in range(4)]


@pytest.mark.parametrize(
    "drawing",
    [Drawing(24), Drawing(24, 0.3, 0.9), Drawing(24, 1.0, 1.0, 7)],
    ids=["plain", "top-p", "top-k"],
)
def test_engine_and_library_draw_the_same(policy, drawing):
    by_engine = sampler(EngineSampler, policy, drawing).sample(PROMPTS, seeds=SEEDS)
    by_library = sampler(LibrarySampler, policy, drawing).sample(PROMPTS, seeds=SEEDS)
    for one, other in zip(by_engine, by_library, strict=True):
        assert (one.ids, one.ended) == (other.ids, other.ended)
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)
    assert any(one.ended for one in by_engine)
    assert len({tuple(one.ids) for one in by_engine}) == len(PROMPTS)


def test_an_answer_is_the_same_whatever_is_drawn_beside_it(policy):
    engine = sampler(EngineSampler, policy)
    together = engine.sample(PROMPTS, seeds=SEEDS)
    assert engine.sample(PROMPTS[1:2], seeds=SEEDS[1:2]) == together[1:2]


def test_logprobs_are_those_of_the_model_itself(policy):
    model, _ = policy
    [one] = sampler(EngineSampler, policy, Drawing(6, 0.5)).sample([[5, 6]], seeds=[3])
    ids = torch.tensor([[*one.prompt_ids, *one.ids]])
    with torch.no_grad():
        logprobs = model(ids).logits[0, 1:-1].log_softmax(-1)
    found = logprobs.gather(1, torch.tensor(one.ids)[:, None])[:, 0].tolist()
    assert one.logprobs == pytest.approx(found, abs=1e-4)


def test_new_weights_are_drawn_from(policy):
    model, _ = policy
    engine = sampler(EngineSampler, policy)
    before = engine.sample(PROMPTS, seeds=SEEDS, is_greedy=True)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(-1.5)
    assert engine.sample(PROMPTS, seeds=SEEDS, is_greedy=True) != before


def test_a_stop_breaks_off(policy):
    for made in (EngineSampler, LibrarySampler):
        with pytest.raises(Stopped):
            sampler(made, policy, is_stopped=lambda: True).sample(PROMPTS, seeds=SEEDS)


def test_drawing_leaves_torch_its_threads(monkeypatch):
    before = torch.get_num_threads()
    # What numba's first word to OpenMP does.
    monkeypatch.setattr(by_engine, "team", lambda: torch.set_num_threads(before + 1))
    by_engine.begin_team()
    assert torch.get_num_threads() == before


def test_the_engine_draws_where_it_knows_the_family(policy):
    assert sampler(make_sampler, policy).name == "engine"
    model, _ = policy
    model.config.model_type = "unknown"
    assert sampler(make_sampler, policy).name == "transformers"


def test_places_are_drawn_as_often_as_they_are_likely():
    probs = torch.tensor([[0.5, 0.0, 0.25, 0.25, 0.0]]).repeat(1000, 1)
    uniform = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    found = Counter(draw_each(probs, uniform).tolist())
    assert found == {0: 500, 2: 250, 3: 250}
    last = torch.tensor([1.0 - 2**-53], dtype=torch.float64)
    assert draw_each(probs[:1], last).item() == 3
