"""The spec of a `generate` run: models answer prompts, for people to compare."""

from typing import ClassVar, Literal, Self

from pydantic import model_validator

from runspec.base import Spec, setting
from runspec.serving import Sampling

MAX_ANSWERERS = 8
MAX_PROMPTS = 1_000_000


class GenerateSpec(Spec):
    """Have two or more models answer the same prompts, and compare what they wrote."""

    kind: Literal["generate"] = "generate"
    is_resumable: ClassVar[bool] = True
    wants_accelerator: ClassVar[bool] = True

    prompts: str = setting(
        help="What is asked; or pairs that were answered elsewhere.",
        reference="dataset",
        kinds=("prompts", "preferences", "conversations"),
    )
    answerers: tuple[str, ...] = setting(
        (),
        label="Who answers",
        help="Two or more models, checkpoints (grammar/run-5@300) or models of "
        "endpoints; the same one may stand here twice with other sampling. None: the "
        "dataset holds pairs.",
        reference="choice",
        max_length=MAX_ANSWERERS,
    )
    samplings: tuple[Sampling, ...] = setting(
        (),
        label="Sampling",
        help="How each of them chooses its words, in the same order.",
        max_length=MAX_ANSWERERS,
    )
    max_prompts: int = setting(
        0,
        label="Most prompts",
        help="Answer the first so many rows; 0 answers all.",
        ge=0,
        le=MAX_PROMPTS,
    )

    @model_validator(mode="after")
    def _has_pairs(self) -> Self:
        if len(self.answerers) == 1:
            raise ValueError("answerers: at least two are needed for a comparison")
        if len(self.samplings) != len(self.answerers):
            raise ValueError(
                f"samplings: there are {len(self.samplings)} for "
                f"{len(self.answerers)} answerers"
            )
        return self
