"""Which settings of a spec apply, given what was chosen before them.

A setting that would be ignored is neither shown nor sent; the specs refuse it.
"""

from collections.abc import Callable
from typing import Any

from runspec import SPECS
from runspec.families import FAMILIES
from runspec.pretrain import FROM_THE_BASE_MODEL
from runspec.rlhf import ONLY_OF
from runspec.sft import CHAT_ONLY, LORA_ONLY, TASKS_OF

from trivium.models.models import LanguageModel
from trivium.runs.fields import extra_of

CONTROLS = (
    "family", "base_model", "model", "method", "chat_template", "loss_type",
    "algorithm",
)  # fmt: skip
"""Settings on which it depends which others apply."""
RATES = {"full": 2e-5, "lora": 2e-4, "qlora": 2e-4}
"""Peak learning rate of each method, unless someone typed another."""
ALIGNS = ("dpo", "reward", "rlhf")
"""Kinds of runs that align a model, or teach one to rate."""
STARTS_FROM = {"pretrain": "base_model", **dict.fromkeys(("sft", *ALIGNS), "model")}
"""The setting that names the model a run of each kind goes on from."""


def decided(kind: str, start: LanguageModel | None) -> dict[str, str]:
    """Return the settings that the model a run starts from has decided."""
    if start is None:
        return {}
    if kind == "pretrain":
        return {"family": start.family}
    if kind in ALIGNS:
        return {}
    return {"task": TASKS_OF.get(start.architecture, "chat")}


def settings_left_out(
    kind: str, value_of: Callable[[str], object], given: dict[str, str]
) -> set[str]:
    """Return the settings that do not apply; `given` are those `decided`."""
    if kind == "sft":
        return _left_out_of_sft(value_of, given.get("task", "chat"))
    if kind == "rlhf":
        return _left_out_of_rlhf(value_of)
    if kind in ALIGNS:
        return _left_out_of_alignment(value_of)
    if kind != "pretrain":
        return set()
    family = given.get("family") or value_of("family")
    left_out = {
        name
        for name, field in SPECS[kind].model_fields.items()
        if (families := extra_of(field).get("families")) and family not in families
    }
    return left_out | {"family", *FROM_THE_BASE_MODEL} if given else left_out


def settings_ignored(spec: dict[str, Any]) -> set[str]:
    """Return the settings of a submitted spec that meant nothing to its run."""
    kind = str(spec.get("kind"))
    given: dict[str, str] = {}
    if kind == "sft":
        given = {"task": str(spec.get("task"))}
    elif spec.get("base_model"):
        given = {"family": str(spec.get("family"))}
    return settings_left_out(kind, spec.get, given) - {"task"}


def _left_out_of_sft(value_of: Callable[[str], object], task: str) -> set[str]:
    left_out = {"task"}
    if task != "chat":
        left_out |= {*CHAT_ONLY}
    if task == "classification":
        left_out |= {"evaluate_on", "answer_rows"}
    if value_of("method") not in {"lora", "qlora"}:
        left_out |= {*LORA_ONLY}
    if value_of("chat_template") != "custom":
        left_out.add("custom_template")
    return left_out


def _left_out_of_alignment(value_of: Callable[[str], object]) -> set[str]:
    left_out: set[str] = set()
    if value_of("method") not in {"lora", "qlora"}:
        left_out |= {*LORA_ONLY}
    if value_of("chat_template") != "custom":
        left_out.add("custom_template")
    if value_of("loss_type") != "robust":
        left_out.add("label_smoothing")
    return left_out


def _left_out_of_rlhf(value_of: Callable[[str], object]) -> set[str]:
    left_out: set[str] = set()
    if value_of("method") != "lora":
        left_out |= {*LORA_ONLY}
    algorithm = value_of("algorithm")
    for known, names in ONLY_OF.items():
        if algorithm != known:
            left_out |= {*names}
    return left_out


def why_not_from(kind: str, start: LanguageModel | None) -> str:
    """Say why a run cannot go on from a model; empty where it can."""
    if start is None or kind not in STARTS_FROM:
        return ""
    if kind == "pretrain" and start.family not in FAMILIES:
        known = ", ".join(facts.title for facts in FAMILIES.values())
        return (
            f"{start} is of the family {start.family}, which cannot be pretrained "
            f"further here; choose a model of {known}."
        )
    if kind == "sft" and start.architecture not in TASKS_OF:
        return f"{start} is a {start.architecture}, which cannot be fine-tuned here."
    if kind in ALIGNS and start.architecture != "decoder":
        return f"{start} is no decoder; choose one that writes text, as a chat model."
    return ""
