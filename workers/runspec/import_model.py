"""The spec of an `import` run: a model made elsewhere becomes one of the project."""

import re
from typing import ClassVar, Literal, Self

from pydantic import field_validator, model_validator

from runspec.base import Spec, setting

MAX_EXPANDED_BYTES = 500 * 2**30
HUB_PART = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
HUB_ID = re.compile(rf"{HUB_PART}(/{HUB_PART})?")
REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}")


class ImportSpec(Spec):
    """Check a model in the Hugging Face layout, and keep it."""

    kind: Literal["import"] = "import"
    is_resumable: ClassVar[bool] = False

    source: str | None = setting(
        None,
        help="An uploaded archive, or an allowed folder or archive of the server.",
        reference="source",
    )
    file_name: str = setting(
        "",
        help="The name it had where it came from; its ending names the packing.",
        max_length=255,
    )
    hub_id: str = setting(
        "",
        label="Hub id",
        help="A model of the Hugging Face Hub, like organisation/name; instead of a "
        "source.",
        max_length=193,
    )
    revision: str = setting(
        "main",
        help="Branch, tag or commit on the Hub. The commit it names is noted.",
        max_length=200,
        level="advanced",
    )
    stage: Literal["auto", "base", "instruct", "reward", "aligned"] = setting(
        "auto",
        help="What the model was made into; auto goes by its head and whether it has "
        "a chat template.",
    )
    max_expanded_bytes: int = setting(
        MAX_EXPANDED_BYTES,
        label="Largest expanded size",
        unit="bytes",
        help="Stop when the model is larger than this.",
        ge=1_000_000,
        level="advanced",
    )
    max_expansion_ratio: int = setting(
        200,
        label="Largest expansion ratio",
        help="Stop when an archive grows beyond this multiple of its size.",
        ge=10,
        le=100_000,
        level="advanced",
    )

    @field_validator("hub_id")
    @classmethod
    def hub_id_is_one(cls, value: str) -> str:
        """It goes into an address, so nothing else may."""
        if value and (not HUB_ID.fullmatch(value) or ".." in value or "--" in value):
            raise ValueError(f"{value!r} is not a Hub id like organisation/name")
        return value

    @field_validator("revision")
    @classmethod
    def revision_is_one(cls, value: str) -> str:
        """It goes into an address too."""
        if not REVISION.fullmatch(value) or ".." in value:
            raise ValueError(f"{value!r} is not a branch, tag or commit")
        return value

    @model_validator(mode="after")
    def comes_from_one_place(self) -> Self:
        """Ask for a source or a Hub id, and a file's name with a source."""
        if bool(self.source) == bool(self.hub_id):
            raise ValueError("give either source or hub_id")
        if self.source and not self.file_name:
            raise ValueError("file_name is missing: its ending names the packing")
        if self.source and self.revision != "main":
            raise ValueError("revision is of a model on the Hub; a source has none")
        return self
