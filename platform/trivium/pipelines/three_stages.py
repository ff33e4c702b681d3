"""The template "three stages": text → base → instruct → aligned, as a description."""

from typing import Any, Literal, NamedTuple

Align = Literal["dpo", "rlhf", "both"]
Size = Literal["tiny", "small", "medium"]


class Sized(NamedTuple):
    """A model of one size, and how it is taught."""

    label: str
    shape: dict[str, int]
    vocabulary_size: int
    pretraining: dict[str, Any]
    tuning: dict[str, Any]
    aligning: dict[str, Any]


SIZES: dict[Size, Sized] = {
    "tiny": Sized(
        "Tiny: minutes on two CPU cores",
        {"layers": 4, "heads": 4, "width": 128, "context": 128},
        512,
        {"batch_size": 32, "learning_rate": 2e-3, "warmup_steps": 30},
        {"learning_rate": 3e-4, "batch_size": 16, "epochs": 5},
        {"learning_rate": 2e-5, "batch_size": 16},
    ),
    "small": Sized(
        "Small: hours on a CPU, minutes on a GPU",
        {"layers": 8, "heads": 8, "width": 512, "context": 512},
        8_192,
        {"batch_size": 32, "learning_rate": 6e-4, "warmup_steps": 30},
        {"learning_rate": 5e-5, "batch_size": 16, "epochs": 3},
        {"learning_rate": 5e-6, "batch_size": 16},
    ),
    "medium": Sized(
        "Medium: 124 M parameters, for a GPU",
        {"layers": 12, "heads": 12, "width": 768, "context": 1_024},
        32_768,
        {"batch_size": 32, "learning_rate": 6e-4, "warmup_steps": 30},
        {"learning_rate": 2e-5, "batch_size": 16, "epochs": 3},
        {"learning_rate": 1e-6, "batch_size": 16},
    ),
}
LABELED_WITH = (
    {"temperature": 0.7, "max_tokens": 128},
    {"temperature": 1.0, "max_tokens": 128},
)
"""Two ways of choosing words: people compare what one model writes by each."""
BASELINE = "instruct"


class Chosen(NamedTuple):
    """What the form asks; data by names as a description has them."""

    name: str
    text: str
    instructions: str
    preferences: str
    """Empty: a campaign collects them."""
    prompts: str
    """What the campaign asks; also what RLHF answers, where it is given."""
    target_votes: int
    align: Align
    size: Size
    steps: int
    """Of pretraining."""
    evaluates: bool
    knows_truth: bool = False
    """Whether all of it is about Tiny World, so that answers can be checked."""


def three_stages(chosen: Chosen) -> dict[str, Any]:
    """Return what describes the pipeline, as `read_description` takes it."""
    sized = SIZES[chosen.size]
    steps = [
        {
            "name": "tokenizer",
            "kind": "tokenizer",
            "dataset": chosen.text,
            "vocabulary_size": sized.vocabulary_size,
        },
        {
            "name": "base",
            "kind": "pretrain",
            "dataset": chosen.text,
            "tokenizer": {"from": "tokenizer"},
            **sized.shape,
            "max_steps": chosen.steps,
            **sized.pretraining,
        },
        *_evaluation(chosen, "base", ["base"]),
        {
            "name": "instruct",
            "kind": "sft",
            "model": {"from": "base"},
            "datasets": [chosen.instructions],
            **sized.tuning,
        },
        *_evaluation(chosen, "instruct", ["base", "instruct"]),
        *_campaign(chosen),
        *_alignment(chosen, sized),
    ]
    return {"name": chosen.name, "steps": steps}


def _campaign(chosen: Chosen) -> list[dict[str, Any]]:
    if chosen.preferences:
        return []
    return [
        {
            "name": "labels",
            "kind": "campaign",
            "prompts": chosen.prompts,
            "answerers": [{"from": "instruct"}, {"from": "instruct"}],
            "samplings": [dict(one) for one in LABELED_WITH],
            "target_votes": chosen.target_votes,
        }
    ]


def _alignment(chosen: Chosen, sized: Sized) -> list[dict[str, Any]]:
    preferences: Any = chosen.preferences or {"from": "labels"}
    common = {"model": {"from": "instruct"}, "datasets": [preferences]}
    steps: list[dict[str, Any]] = []
    if chosen.align in {"rlhf", "both"}:
        steps += [
            {"name": "reward", "kind": "reward", **common, **sized.aligning},
            {
                "name": "rlhf",
                "kind": "rlhf",
                **common,
                "datasets": [chosen.prompts or preferences],
                "reward_models": [{"from": "reward"}],
                "batch_size": 8,
                "max_steps": 100,
                "max_answer_tokens": 64,
                "learning_rate": sized.aligning["learning_rate"],
            },
        ]
    if chosen.align in {"dpo", "both"}:
        steps.append({"name": "dpo", "kind": "dpo", **common, **sized.aligning})
    made = [one for one in ("dpo", "rlhf") if one in {step["name"] for step in steps}]
    for name in made:
        steps += _evaluation(chosen, name, ["base", BASELINE, name])
    if len(made) > 1:
        steps += _evaluation(chosen, "all", ["base", BASELINE, *made])
    return steps


def _evaluation(chosen: Chosen, name: str, models: list[str]) -> list[dict[str, Any]]:
    """Return the step that measures a stage, beside those before it."""
    if not chosen.evaluates:
        return []
    is_aligned = len(models) > len(("base", BASELINE))
    measured = [chosen.text, chosen.instructions]
    if is_aligned and chosen.prompts:
        measured.append(chosen.prompts)
    step: dict[str, Any] = {
        "name": f"{name}-evaluation",
        "kind": "evaluate",
        "models": [{"from": one} for one in models],
        "datasets": measured,
        "max_rows": 100,
    }
    if BASELINE in models and is_aligned:
        step["baseline"] = {"from": BASELINE}
    if chosen.knows_truth:
        step["truth"] = "tinyworld"
    elif is_aligned and chosen.align != "dpo":
        step["judge"] = {"from": "reward"}
    return [step]
