"""What a campaign in a pipeline is described by: a spec like those of runs."""

from typing import Literal, Self

from pydantic import Field, model_validator
from runspec.base import Spec, setting
from runspec.generate import MAX_ANSWERERS, MAX_PROMPTS
from runspec.serving import Sampling

from trivium.campaigns.questions import Questions

MAX_GUIDELINES = 100_000
SAMPLING = Sampling(temperature=0.7, max_tokens=512)
EXPORTED = ("min_votes", "min_share", "validation_fraction")
"""Settings of the export that follows."""
CAMPAIGN_SETTINGS = (
    "overlap", "shared_overlap", "shared_share", "repeat_share", "gold_share",
    "policy", "random_share", "target_votes",
)  # fmt: skip
"""Fields of a `Campaign` that a step sets."""


class CampaignStep(Spec):
    """Have people compare answers; their votes become a dataset of preferences.

    It ends when it has its votes, or when somebody closes the campaign.
    """

    kind: Literal["campaign"] = "campaign"

    prompts: str = setting(
        help="What is asked; or pairs that were answered elsewhere.",
        reference="dataset",
        kinds=("prompts", "preferences", "conversations"),
    )
    answerers: tuple[str, ...] = setting(
        (),
        help="Two or more models; none where the prompts are pairs.",
        reference="choice",
        max_length=MAX_ANSWERERS,
    )
    samplings: tuple[Sampling, ...] = setting(
        (),
        help="How each of them chooses its words, in the same order.",
        max_length=MAX_ANSWERERS,
    )
    max_prompts: int = setting(
        0, help="Ask the first so many; 0 all.", ge=0, le=MAX_PROMPTS
    )
    guidelines: str = setting(
        "", help="Markdown; stands beside each task.", max_length=MAX_GUIDELINES
    )
    questions: Questions = Questions()
    target_votes: int | None = Field(None, ge=1, le=100_000_000)
    overlap: int = Field(1, ge=1, le=100)
    shared_overlap: int = Field(3, ge=1, le=100)
    shared_share: float = Field(0.2, ge=0, le=1)
    repeat_share: float = Field(0.03, ge=0, le=0.5)
    gold_share: float = Field(0.05, ge=0, le=0.5)
    policy: Literal["random", "margin", "uncertainty"] = "random"
    random_share: float = Field(0.3, ge=0.2, le=1)
    min_votes: int = Field(1, ge=1, le=100)
    min_share: float = Field(0.5, ge=0.5, le=1.0)
    validation_fraction: float = Field(0.05, ge=0.0, le=0.5)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if len(self.answerers) == 1:
            raise ValueError("answerers: at least two are needed for a comparison")
        if self.samplings and len(self.samplings) != len(self.answerers):
            raise ValueError(
                f"samplings: there are {len(self.samplings)} for "
                f"{len(self.answerers)} answerers"
            )
        return self

    @property
    def answered_by(self) -> list[tuple[str, Sampling]]:
        """Who answers, each with how it chooses its words."""
        samplings = self.samplings or (SAMPLING,) * len(self.answerers)
        return list(zip(self.answerers, samplings, strict=True))
