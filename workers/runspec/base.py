"""What every spec has in common, and how a form, a flag or a table is read off it."""

import hashlib
import json
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

Level = Literal["basic", "advanced"]
Device = Literal["auto", "cpu", "cuda"]


def setting(
    default: Any = ...,
    *,
    help: str,  # noqa: A002 - the word argparse and Django use
    label: str = "",
    unit: str = "",
    group: str = "",
    level: Level = "basic",
    reference: str = "",
    widget: str = "",
    **bounds: Any,
) -> Any:
    """Declare one field of a spec with all that a form, a CLI flag and the docs need.

    `reference` names what an id in this field points at (`dataset`, `tokenizer`,
    `model`): the web stores the id as text, and the spec file given to a trainer
    holds the resolved local path instead.
    """
    extra = {
        "label": label,
        "unit": unit,
        "group": group,
        "level": level,
        "reference": reference,
        "widget": widget,
    }
    return Field(
        default,
        description=help,
        json_schema_extra={key: value for key, value in extra.items() if value},
        **bounds,
    )


class Spec(BaseModel):
    """What one run shall do: all that its trainer needs."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: str
    is_resumable: ClassVar[bool] = False
    """Whether an interrupted attempt can go on from a checkpoint."""
    wants_accelerator: ClassVar[bool] = False
    """Whether a GPU is preferred where one is there."""

    @classmethod
    def references(cls) -> dict[str, str]:
        """Return the fields that hold ids, each with the noun it points at."""
        return {
            name: str(extra["reference"])
            for name, field in cls.model_fields.items()
            if isinstance(extra := field.json_schema_extra, dict)
            and "reference" in extra
        }

    def with_references(self, paths: dict[str, str]) -> Self:
        """Return a copy whose references are replaced, ids by paths."""
        return type(self).model_validate(self.model_dump(mode="json") | paths)

    def sha256(self) -> str:
        """Return a hash that is equal for equal specs."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def parse_spec(values: dict[str, Any]) -> Spec:
    """Build the spec that `values["kind"]` names.

    Raises:
        ValueError: the kind is unknown, or a field is wrong (pydantic's
            ValidationError is a ValueError and names each field).
    """
    from runspec import SPECS

    kind = values.get("kind")
    if kind not in SPECS:
        raise ValueError(f"unknown kind {kind!r}; known kinds: {', '.join(SPECS)}")
    return SPECS[kind].model_validate(values)
