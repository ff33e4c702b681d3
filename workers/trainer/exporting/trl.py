"""Lines as TRL reads them (its page “Dataset formats and types”).

`split` is ours: TRL passes over it, and with it nobody trains on what validates.
"""

from typing import Any

from runspec.labels import LabeledPair, Side

from trainer.exporting.deciding import Decision, is_desirable
from trainer.exporting.turns import (
    answer_messages,
    answer_text,
    is_chat,
    prompt_messages,
)

Line = dict[str, Any]


def explicit(pair: LabeledPair, decision: Decision, split: str) -> Line:
    """Return a preference with its prompt apart, as DPO wants it."""
    assert decision.chosen is not None
    assert decision.rejected is not None
    return {
        "prompt": _prompt(pair),
        "chosen": _answer(pair, decision.chosen),
        "rejected": _answer(pair, decision.rejected),
        "split": split,
    }


def implicit(pair: LabeledPair, decision: Decision, split: str) -> Line:
    """Return a preference between two whole texts, as reward modelling wants it."""
    line = explicit(pair, decision, split)
    prompt = line.pop("prompt")
    return {
        "chosen": prompt + line["chosen"],
        "rejected": prompt + line["rejected"],
        "split": split,
    }


def unpaired(pair: LabeledPair, decision: Decision, split: str) -> list[Line]:
    """Return the answers of which is known whether they are good, as KTO wants them."""
    sides: tuple[Side, Side] = ("a", "b")
    labels = ((side, is_desirable(pair, decision, side)) for side in sides)
    return [
        {
            "prompt": _prompt(pair),
            "completion": _answer(pair, side),
            "label": label,
            "split": split,
        }
        for side, label in labels
        if label is not None
    ]


def _prompt(pair: LabeledPair) -> Any:
    return prompt_messages(pair) if is_chat(pair) else pair.prompt


def _answer(pair: LabeledPair, side: Side) -> Any:
    return answer_messages(pair, side) if is_chat(pair) else answer_text(pair, side)
