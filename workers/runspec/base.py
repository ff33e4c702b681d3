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
    families: tuple[str, ...] = (),
    kinds: tuple[str, ...] = (),
    **bounds: Any,
) -> Any:
    """Declare one field of a spec with all that a form, a CLI flag and the docs need.

    `reference` names what an id in this field points at (`dataset`, `tokenizer`,
    `model`): the web stores the id as text, and the spec file given to a trainer
    holds the resolved local path instead. A reference may be optional, or a tuple of
    ids. `families` names the model families the field applies to, `kinds` the kinds
    of datasets it may refer to, or the stages of models, where that is not all.
    """
    extra: dict[str, Any] = {
        "label": label,
        "unit": unit,
        "group": group,
        "level": level,
        "reference": reference,
        "widget": widget,
        "families": list(families),
        "kinds": list(kinds),
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
    has_preflight: ClassVar[bool] = False
    """Whether a run waits for a check of what it would see."""

    @classmethod
    def references(cls) -> dict[str, str]:
        """Return the fields that hold ids, each with the noun it points at."""
        return {
            name: str(extra["reference"])
            for name, field in cls.model_fields.items()
            if isinstance(extra := field.json_schema_extra, dict)
            and "reference" in extra
        }

    def kinds_of(self, field: str) -> tuple[str, ...]:
        """Return the kinds of datasets a field may refer to; empty means any."""
        extra = type(self).model_fields[field].json_schema_extra
        kinds = extra.get("kinds", []) if isinstance(extra, dict) else []
        return tuple(str(kind) for kind in kinds) if isinstance(kinds, list) else ()

    def referred(self) -> dict[str, tuple[str, tuple[str, ...]]]:
        """Return each field that refers to something: field → (noun, ids or paths)."""
        found: dict[str, tuple[str, tuple[str, ...]]] = {}
        for name, noun in self.references().items():
            value = getattr(self, name)
            ids = value if isinstance(value, tuple) else (value,)
            if present := tuple(one for one in ids if one is not None):
                found[name] = (noun, present)
        return found

    def with_references(self, paths: dict[str, tuple[str, ...]]) -> Self:
        """Return a copy whose references are replaced, ids by paths."""
        values = self.model_dump(mode="json")
        for name, found in paths.items():
            is_many = isinstance(getattr(self, name), tuple)
            values[name] = list(found) if is_many else found[0]
        return type(self).model_validate(values)

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
