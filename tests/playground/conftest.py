import pytest
from playground_lab import (
    choice,
    counting,
    make_model,
    make_node,
    model,
    node,
    say,
    talk,
)
from trivium.playground import streaming

__all__ = [
    "choice",
    "counting",
    "make_model",
    "make_node",
    "model",
    "node",
    "say",
    "talk",
]


@pytest.fixture(autouse=True)
def _nobody_reads() -> None:
    """Forget readers whose event loop ended with the test that made it."""
    streaming._live.clear()
