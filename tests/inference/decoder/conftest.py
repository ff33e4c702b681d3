"""Every family the fast pass knows, on a bench."""

import pytest
from inference.vocabulary import Vocabulary
from tiny_decoders import FAMILIES, Bench, byte_vocabulary, random_model
from transformers import PreTrainedModel


@pytest.fixture(params=sorted(FAMILIES))
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    return random_model(request.param)


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    return byte_vocabulary()


@pytest.fixture
def bench(model: PreTrainedModel, vocabulary: Vocabulary) -> Bench:
    return Bench(model, vocabulary)


@pytest.fixture
def plain(vocabulary: Vocabulary) -> Bench:
    """One family, for what does not depend on it."""
    return Bench(random_model("llama"), vocabulary)
