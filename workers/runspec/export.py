"""The spec of an `export` run: a campaign becomes a dataset of preferences."""

from typing import ClassVar, Literal

from runspec.base import Spec, setting


class ExportSpec(Spec):
    """Write the votes of a campaign as a dataset of preferences, and all beside it."""

    kind: Literal["export"] = "export"
    is_resumable: ClassVar[bool] = False

    campaign: str = setting(help="Whose votes.", reference="campaign")
    source_name: str = setting(
        "", help="What the dataset's page names as its source.", max_length=255
    )
    min_votes: int = setting(
        1,
        label="Least votes",
        help="Comparisons with fewer votes are left to the sidecar.",
        ge=1,
        le=100,
    )
    min_share: float = setting(
        0.5,
        label="Least share of the majority",
        help="A pair is taken where more than this share of its votes prefer one "
        "answer (a tie counts half for each).",
        ge=0.5,
        le=1.0,
    )
    uses_adjudicated: bool = setting(
        True,
        label="Adjudicated first",
        help="Where a second look decided, that decides; the votes stay in the "
        "sidecar.",
    )
    names_labelers: bool = setting(
        False,
        label="Labelers' names",
        help="Write names instead of pseudonyms into the sidecar.",
    )
    validation_fraction: float = setting(
        0.05,
        label="Validation share",
        help="Share of prompts kept for validation; pairs of one prompt fall on the "
        "same side.",
        ge=0.0,
        le=0.5,
    )
