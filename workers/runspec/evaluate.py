"""The spec of an `evaluate` run: what came of training, measured side by side."""

from typing import ClassVar, Literal, Self

from pydantic import model_validator

from runspec.base import Spec, setting
from runspec.serving import Sampling

MAX_MODELS = 8
MAX_DATASETS = 8
MAX_ROWS = 10_000
ANSWERED = ("instructions", "conversations", "prompts", "preferences")
"""Kinds of rows that hold something to answer."""
EVALUATED = ("text", *ANSWERED)
Truth = Literal["none", "tinyworld"]
Rows = Literal["auto", "validation", "all"]


class EvaluateSpec(Spec):
    """Ask models the same, and say how well each does, with intervals."""

    kind: Literal["evaluate"] = "evaluate"
    is_resumable: ClassVar[bool] = True
    wants_accelerator: ClassVar[bool] = True

    models: tuple[str, ...] = setting(
        help="Models, checkpoints (grammar/run-5@300) or models of endpoints, in the "
        "order in which they shall stand: base, instruct, aligned.",
        reference="choice",
        min_length=1,
        max_length=MAX_MODELS,
    )
    datasets: tuple[str, ...] = setting(
        help="What they are measured on. Text gives a loss; instructions and "
        "conversations say which answers are right; prompts are answered side by side; "
        "preferences also tell how well a reward model judges.",
        reference="dataset",
        kinds=EVALUATED,
        min_length=1,
        max_length=MAX_DATASETS,
    )
    baseline: str | None = setting(
        None,
        help="The model that the others are compared with. None: the first.",
        reference="choice",
    )
    truth: Truth = setting(
        "none",
        label="Known truth",
        help="tinyworld: the rows ask about Tiny World, so what is right, honest and "
        "harmless is told from the answers themselves.",
    )
    judge: str | None = setting(
        None,
        help="A reward model whose scores decide which of two answers wins. None: "
        "known truth decides, where there is any.",
        reference="choice",
    )
    rows: Rows = setting(
        "auto",
        label="Which rows",
        help="auto: held-out rows where a dataset has any, and all prompts.",
        level="advanced",
    )
    max_rows: int = setting(
        200,
        label="Most rows",
        help="Of each dataset, spread evenly over it.",
        ge=1,
        le=MAX_ROWS,
    )
    max_characters: int = setting(
        400_000,
        label="Most characters of text",
        help="A loss is measured on whole texts, until so many characters were seen; "
        "the same ones for every model.",
        unit="characters",
        ge=100,
        le=1_000_000_000,
        level="advanced",
    )
    sampling: Sampling = setting(
        Sampling(temperature=0, max_tokens=128),
        help="How they choose their words; by default the likeliest each time.",
        level="advanced",
    )
    seed: int = setting(
        0,
        help="Of the sampling and of the intervals that are drawn.",
        ge=0,
        lt=2**63,
        level="advanced",
    )

    @model_validator(mode="after")
    def _names_each_once(self) -> Self:
        for field in ("models", "datasets"):
            named = getattr(self, field)
            twice = [one for one in named if named.count(one) > 1]
            if twice:
                raise ValueError(f"{field}: {twice[0]!r} stands there twice")
        return self

    @model_validator(mode="after")
    def _samples_by_one_seed(self) -> Self:
        if self.sampling.seed is not None:
            raise ValueError("sampling: its seed is the run's; set seed instead")
        return self
