"""Reward functions that an admin registered on this worker.

`TRIVIUM_REWARD_FUNCTIONS` lists them as `module:function`, separated by commas. A spec
names one of them; nothing that is not in the list is ever imported.

A function is called as `function(prompts, answers, references)`: what was asked (the
messages of each conversation), the answers, and how the dataset answers (empty where it
does not). It returns a number for each answer.
"""

import math
import os
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from trainer.errors import BadInputError
from trainer.rlhf.prompts import Asked
from trainer.rlhf.rewards.judging import Judge

SETTING = "TRIVIUM_REWARD_FUNCTIONS"


def registered() -> list[str]:
    """Return the functions of this worker, as `module:function`."""
    listed = os.environ.get(SETTING, "").split(",")
    return [name for one in listed if (name := one.strip())]


def custom_judge(name: str) -> Judge:
    """Return a registered function as a judge.

    Raises:
        BadInputError: it is not registered, or cannot be imported.
    """
    known = registered()
    if name not in known:
        has = f"it has {', '.join(known)}" if known else "it has none"
        raise BadInputError(
            f"reward_functions: no function {name!r} is registered on this worker "
            f"({has})",
            f"Ask an admin to add it to {SETTING} on the workers, or name another.",
        )
    function = imported(name)

    def judge(asked: Sequence[Asked], answers: Sequence[str]) -> list[float]:
        found = function(
            [one.messages for one in asked],
            list(answers),
            [one.reference for one in asked],
        )
        return checked(name, found, len(answers))

    return judge


def imported(name: str) -> Callable[..., Any]:
    """Import a function.

    Raises:
        BadInputError: it is not there, or its module fails.
    """
    module, _, attribute = name.partition(":")
    try:
        function = getattr(import_module(module), attribute)
    except Exception as error:  # whatever a module of others raises
        raise BadInputError(
            f"the reward function {name!r} cannot be imported: {error}",
            f"Mend it, or {SETTING}, on the workers.",
        ) from error
    if not callable(function):
        raise BadInputError(f"the reward function {name!r} is not a function")
    made: Callable[..., Any] = function
    return made


def checked(name: str, found: Any, num_answers: int) -> list[float]:
    """Return what a function said, if it is a number for each answer.

    Raises:
        BadInputError: it is not.
    """
    try:
        numbers = [float(one) for one in found]
    except (TypeError, ValueError) as error:
        raise BadInputError(
            f"the reward function {name!r} returned no list of numbers: {error}"
        ) from error
    if len(numbers) != num_answers or not all(map(math.isfinite, numbers)):
        raise BadInputError(
            f"the reward function {name!r} returned {len(numbers)} numbers for "
            f"{num_answers} answers, or one that is not finite",
            "It shall return one finite number for each answer.",
        )
    return numbers
