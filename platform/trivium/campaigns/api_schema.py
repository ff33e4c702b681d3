"""What `/api/v1/campaigns` takes and gives."""

from datetime import datetime
from typing import Annotated, Any, Literal

from ninja import Schema
from pydantic import ConfigDict, Field
from runspec.generate import MAX_ANSWERERS, MAX_PROMPTS
from runspec.serving import Sampling

from trivium.api.pagination import MAX_PK, PageOf
from trivium.api.schema import Body
from trivium.campaigns.forms import MAX_CATEGORIES, MAX_GUIDELINES, MAX_LINES
from trivium.campaigns.questions import Questions

MAX_PROMPT = 100_000
State = Literal["open", "paused", "closed"]
Policy = Literal["random", "margin", "uncertainty"]


class ProgressOut(Schema):
    """How far a campaign is."""

    comparisons: int
    done: int = Field(description="Comparisons that have all their votes.")
    wanted: int = Field(description="Votes it wants in all, gold items left out.")
    given: int = Field(description="Of those, the votes that are there.")
    votes: int = Field(description="Votes of people, those on gold items included.")
    share: float = Field(description="`given` of `wanted`, 0 to 1.")


class CampaignRow(Schema):
    """A campaign of the list."""

    id: int
    project: str
    name: str
    state: State
    is_standing: bool = Field(description="Whether votes of the playground land here.")
    progress: ProgressOut
    created_by: str | None
    created: datetime
    closed: datetime | None


class CampaignPage(PageOf):
    """Campaigns, newest first."""

    items: list[CampaignRow]


class GuidelineOut(Schema):
    """What labelers are told."""

    number: int = Field(description="Version; each vote names its own.")
    text: str = Field(description="Markdown.")
    created: datetime


class AnswererOut(Schema):
    """One who answers: a model with its sampling."""

    id: int
    model: str = Field(description="Id of the model; empty: answers brought in.")
    title: str
    sampling: dict[str, Any]


class BatchOut(Schema):
    """Answers on their way in, or in."""

    id: int
    run_id: int | None
    run_state: str | None
    facts: dict[str, Any] = Field(description="Counts, once it is in; empty before.")
    created: datetime


class JudgeOut(Schema):
    """A model that votes too, apart from people."""

    id: int
    run_id: int | None
    model: str
    title: str
    rubric: str
    facts: dict[str, Any] = Field(description="Counts, once it is done; empty before.")
    created: datetime


class CampaignOut(CampaignRow):
    """A campaign with its settings."""

    questions: Questions
    overlap: int
    shared_overlap: int
    shared_share: float
    repeat_share: float
    gold_share: float
    policy: Policy
    random_share: float
    target_votes: int | None
    categories: list[str]
    harm_cap: int
    guideline: GuidelineOut | None = Field(description="The newest version, if any.")
    may_label: bool = Field(description="Whether you may vote in it.")
    is_restricted: bool = Field(description="Whether only the invited may label.")
    labelers: list[str] | None = Field(
        description="Who was invited; null for all but engineers."
    )
    answerers: list[AnswererOut] | None = Field(
        description="Null for labelers, whom names would sway."
    )
    batches: list[BatchOut] | None = Field(description="Newest; null for labelers.")
    judges: list[JudgeOut] | None = Field(description="Newest; null for labelers.")


class AnswererIn(Body):
    """One who shall answer."""

    model: str = Field(
        min_length=1,
        max_length=400,
        description="Id of a model, a checkpoint (`grammar/run-5@300`) or a model of "
        "an endpoint.",
    )
    sampling: Sampling = Field(
        Sampling(temperature=0.7, max_tokens=512),
        description="How it chooses its words; without a seed one is drawn.",
    )


class AnswersIn(Body):
    """What is asked, and who answers."""

    dataset_version_id: int | None = Field(
        None, ge=1, le=MAX_PK, description="Prompts, conversations, or pairs."
    )
    prompts: list[Annotated[str, Field(min_length=1, max_length=MAX_PROMPT)]] = Field(
        [],
        max_length=MAX_LINES,
        description="Prompts themselves, instead; they become a dataset.",
    )
    answerers: list[AnswererIn] = Field(
        [],
        max_length=MAX_ANSWERERS,
        description="Two or more; none where the dataset holds pairs.",
    )
    max_prompts: int = Field(
        0, ge=0, le=MAX_PROMPTS, description="The first so many; 0: all."
    )


class SettingsIn(Body):
    """What can be changed later."""

    questions: Questions = Field(Questions(), description="Asked beside the choice.")
    overlap: int = Field(1, ge=1, le=20, description="Labelers for each comparison.")
    shared_overlap: int = Field(
        3, ge=1, le=20, description="Labelers for each shared comparison."
    )
    shared_share: float = Field(
        0.2,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="Share of comparisons agreement is measured by.",
    )
    repeat_share: float = Field(
        0.03,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="Share of tasks that come back with the sides swapped.",
    )
    gold_share: float = Field(
        0.05,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="Share of tasks whose right choice is known.",
    )
    policy: Policy = Field("random", description="Which comparison comes next.")
    random_share: float = Field(
        0.3,
        ge=0.2,
        le=1,
        allow_inf_nan=False,
        description="Share drawn by chance whatever the policy.",
    )
    target_votes: int | None = Field(
        None, ge=1, le=100_000_000, description="Votes at which it pauses; null: all."
    )
    labelers: list[str] | None = Field(
        None,
        min_length=1,
        max_length=10_000,
        description="Usernames of those who alone may label; null: every labeler.",
    )
    categories: list[Annotated[str, Field(min_length=1, max_length=80)]] = Field(
        [],
        max_length=MAX_CATEGORIES,
        description="Of harmful content; labelers opt in to each.",
    )
    harm_cap: int = Field(
        40, ge=1, le=1_000, description="Harmful comparisons a person sees an hour."
    )


class CampaignIn(SettingsIn, AnswersIn):
    """A campaign to make, with the answers that are compared in it."""

    project: str = Field(description="Slug of the project.")
    name: str = Field(max_length=200, description="Labelers see it.")
    guidelines: str = Field("", max_length=MAX_GUIDELINES, description="Markdown.")


def _forget_defaults(schema: dict[str, Any]) -> None:
    for described in schema["properties"].values():
        described.pop("default", None)


class ChangesIn(SettingsIn):
    """Settings to change; what is not named stays as it is."""

    model_config = ConfigDict(json_schema_extra=_forget_defaults)

    name: str = Field("", max_length=200)


class GuidelinesIn(Body):
    """What labelers shall be told from now on."""

    text: str = Field(max_length=MAX_GUIDELINES, description="Markdown.")


class CampaignFilter(Body):
    """Which campaigns to list."""

    project: str = Field(default="", description="Slug of a project.")
    state: State | None = None
