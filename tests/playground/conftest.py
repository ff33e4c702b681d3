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
