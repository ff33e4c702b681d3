"""What a pipeline is described by, checked as far as that takes no database.

    name: Three stages
    steps:
      - name: tokenizer
        kind: tokenizer
        dataset: Tiny World
      - name: base
        kind: pretrain
        dataset: Tiny World@1
        tokenizer: {from: tokenizer}
        layers: 4

Beside `name`, `kind`, `needs` and `output`, a step holds the settings of its kind. What
another step makes is written `{from: STEP}`; what the project has already, by its name
(a dataset's with `@VERSION`, else the newest is meant) or its id.
"""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from runspec import SPECS, ExportSpec, IngestSpec, Spec

from trivium.datasets.models import DatasetVersion
from trivium.models.models import LanguageModel
from trivium.pipelines.campaign_step import CampaignStep
from trivium.pipelines.models import CAMPAIGN
from trivium.pipelines.yaml_text import read_yaml
from trivium.runs.errors import SubmitError
from trivium.runs.kinds import KINDS
from trivium.tokenizers.models import Tokenizer

MAX_STEPS = 100
STEP_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
FROM = "from"
NOUNS: dict[type, str] = {
    DatasetVersion: "dataset",
    Tokenizer: "tokenizer",
    LanguageModel: "model",
}
FITTING = {"choice": "model"}
"""Nouns of references that mean an object of another noun."""
ITS_OWN = ("preflight",)
"""Kinds that come by themselves with the run they belong to."""


class Reference(NamedTuple):
    """One place of a step's settings where an object is meant."""

    field: str
    noun: str
    value: str
    """The name of a step, or what names an object of the project."""
    is_step: bool


class StepIn(BaseModel):
    """One step as it is described."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str = Field(description="Lower case; other steps refer to it by this.")
    kind: str = Field(description="A kind of run, or `campaign`.")
    needs: tuple[str, ...] = Field(
        (), description="Steps to wait for, beside those it takes something from."
    )
    output: str = Field("", max_length=200, description="Names what it makes.")

    @property
    def settings(self) -> dict[str, Any]:
        """Fields of the spec, as they were written."""
        return dict(self.model_extra or {})


class Description(BaseModel):
    """A pipeline as it is described."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=200)
    steps: tuple[StepIn, ...] = Field(min_length=1, max_length=MAX_STEPS)


def read_description(source: str | Mapping[str, Any]) -> Description:
    """Return what YAML, or plain values, describe.

    Raises:
        SubmitError: it is no description; one sentence names the step and what is
            wrong with it.
    """
    values = read_yaml(source) if isinstance(source, str) else source
    if not isinstance(values, Mapping):
        raise SubmitError(
            "a pipeline is described by `name:` and `steps:`", field="yaml"
        )
    try:
        found = Description.model_validate(dict(values))
    except ValidationError as error:
        raise SubmitError(_shape_sentence(error, values), field="yaml") from error
    _check_steps(found)
    return found


def spec_class(kind: str) -> type[Spec]:
    """Return what describes a step of a kind."""
    return CampaignStep if kind == CAMPAIGN else SPECS[kind]


def references(kind: str, settings: Mapping[str, Any]) -> Iterator[Reference]:
    """Yield what settings refer to, in their order."""
    for field, noun in spec_class(kind).references().items():
        value = settings.get(field)
        for one in value if isinstance(value, list | tuple) else [value]:
            if isinstance(one, Mapping):
                yield Reference(field, noun, str(one.get(FROM)), is_step=True)
            elif one is not None:
                yield Reference(field, noun, str(one), is_step=False)


def with_references(
    kind: str, settings: Mapping[str, Any], found: Mapping[tuple[str, str, bool], Any]
) -> dict[str, Any]:
    """Return settings whose references are replaced.

    `found` holds what to write by (field, value, whether it names a step).
    """

    def replaced(field: str, one: Any) -> Any:
        is_step = isinstance(one, Mapping)
        key = (field, str(one[FROM] if is_step else one), is_step)
        return found.get(key, one)

    written = dict(settings)
    for field in spec_class(kind).references():
        value = settings.get(field)
        if isinstance(value, list | tuple):
            written[field] = [replaced(field, one) for one in value]
        elif value is not None:
            written[field] = replaced(field, value)
    return written


def feeders(kind: str, settings: Mapping[str, Any], needs: Sequence[str]) -> list[str]:
    """Return the names of the steps that a step waits for, each once."""
    taken = [one.value for one in references(kind, settings) if one.is_step]
    return list(dict.fromkeys([*taken, *needs]))


def check_settings(name: str, kind: str, settings: Mapping[str, Any]) -> None:
    """Refuse settings that the kind does not take, or not so.

    Raises:
        SubmitError: one sentence with the step's and the setting's name.
    """
    _check_references(name, kind, settings)
    # What a step makes has no id yet; any text stands for it.
    stand_ins = {
        (one.field, one.value, one.is_step): f"{FROM} {one.value}"
        if one.is_step
        else one.value
        for one in references(kind, settings)
    }
    values = with_references(kind, settings, stand_ins)
    try:
        spec_class(kind).model_validate({**values, "kind": kind})
    except ValidationError as error:
        raise refusal(name, kind, error) from error


def refusal(name: str, kind: str, error: ValueError) -> SubmitError:
    """Return what is wrong with a step's settings as one sentence."""
    if not isinstance(error, ValidationError):
        field = getattr(error, "field", "")
        return SubmitError(
            f"step {name}: {error}", field=f"steps.{name}.{field}".rstrip(".")
        )
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    text = str(first["msg"]).removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        known = spec_class(kind).model_fields
        near = difflib.get_close_matches(place, known, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        text = f"{place} is no setting of {kind}{hint}"
    elif first["type"] == "missing":
        text = f"{place} is missing"
    elif place:
        text = f"{place}: {text[:1].lower()}{text[1:]}"
    return SubmitError(
        f"step {name}: {text}", field=f"steps.{name}.{place}".rstrip(".")
    )


def noun_of(kind: str) -> str:
    """Return the noun of what a step makes; empty: nothing that can be taken."""
    if kind == CAMPAIGN:
        return "dataset"
    made = KINDS.get(SPECS[kind])
    return NOUNS.get(made.output, "") if made else ""


def rows_of(kind: str, settings: Mapping[str, Any]) -> str:
    """Return the kind of rows in the dataset a step makes; empty: not known."""
    if kind in {CAMPAIGN, ExportSpec.model_fields["kind"].default}:
        return "preferences"
    if kind == IngestSpec.model_fields["kind"].default:
        default = IngestSpec.model_fields["dataset_kind"].default
        return str(settings.get("dataset_kind", default))
    return ""


def in_order(steps: Sequence[StepIn]) -> list[StepIn]:
    """Return steps such that none comes before what it waits for.

    Raises:
        SubmitError: some wait for each other in a circle.
    """
    ordered: list[StepIn] = []
    placed: set[str] = set()
    left = list(steps)
    while left:
        ready = next(
            (
                one
                for one in left
                if placed.issuperset(feeders(one.kind, one.settings, one.needs))
            ),
            None,
        )
        if ready is None:
            raise SubmitError(
                f"step {left[0].name}: it waits for itself, by way of "
                f"{' and '.join(_circle(left)) or 'itself'}",
                field=f"steps.{left[0].name}",
            )
        ordered.append(ready)
        placed.add(ready.name)
        left.remove(ready)
    return ordered


def _circle(left: Sequence[StepIn]) -> list[str]:
    """Return the other names of one circle among steps that wait for each other."""
    waits = {one.name: feeders(one.kind, one.settings, one.needs) for one in left}
    seen = [left[0].name]
    while True:
        following = next(name for name in waits[seen[-1]] if name in waits)
        if following in seen:
            return seen[seen.index(following) + 1 :] or seen[:-1]
        seen.append(following)


def _check_steps(found: Description) -> None:
    by_name: dict[str, StepIn] = {}
    for number, step in enumerate(found.steps, start=1):
        if not STEP_NAME.fullmatch(step.name):
            raise SubmitError(
                f"step {number}: {step.name[:60]!r} is no name for a step; write lower "
                "case letters, digits, - and _, at most 40",
                field=f"steps.{number}",
            )
        if step.name in by_name:
            raise SubmitError(
                f"step {step.name}: two steps have this name", field=f"steps.{number}"
            )
        if step.kind in ITS_OWN or step.kind not in {*SPECS, CAMPAIGN}:
            known = ", ".join([*(one for one in SPECS if one not in ITS_OWN), CAMPAIGN])
            raise SubmitError(
                f"step {step.name}: there is no kind {step.kind[:40]!r}; there are "
                f"{known}",
                field=f"steps.{step.name}.kind",
            )
        by_name[step.name] = step
    for step in found.steps:
        check_settings(step.name, step.kind, step.settings)
    for step in found.steps:
        check_feeders(
            step.name,
            step.kind,
            step.settings,
            step.needs,
            {name: (one.kind, one.settings) for name, one in by_name.items()},
        )
    in_order(found.steps)


def check_feeders(
    name: str,
    kind: str,
    settings: Mapping[str, Any],
    needs: Sequence[str],
    others: Mapping[str, tuple[str, Mapping[str, Any]]],
) -> None:
    """Refuse steps that are not there, and what they make where it does not fit.

    `others` are all steps of the pipeline, each with its kind and settings.

    Raises:
        SubmitError: one sentence names the step and the setting.
    """
    for need in needs:
        if need not in others or need == name:
            raise SubmitError(
                f"step {name}: needs: {_no_such_step(need, others)}",
                field=f"steps.{name}.needs",
            )
    fields = spec_class(kind).model_fields
    for one in references(kind, settings):
        if not one.is_step:
            continue
        field = f"steps.{name}.{one.field}"
        if one.value not in others:
            raise SubmitError(
                f"step {name}: {one.field}: {_no_such_step(one.value, others)}",
                field=field,
            )
        other_kind, other_settings = others[one.value]
        if one.noun == CAMPAIGN and other_kind == CAMPAIGN:
            continue
        made, wanted = noun_of(other_kind), FITTING.get(one.noun, one.noun)
        if made != wanted:
            raise SubmitError(
                f"step {name}: {one.field}: step {one.value} makes "
                f"{'a ' + made if made else 'nothing that can be taken'}; a {wanted} "
                "is needed here",
                field=field,
            )
        extra = fields[one.field].json_schema_extra
        kinds: Any = extra.get("kinds", ()) if isinstance(extra, dict) else ()
        rows = rows_of(other_kind, other_settings)
        if made == "dataset" and rows and kinds and rows not in kinds:
            raise SubmitError(
                f"step {name}: {one.field}: step {one.value} makes a dataset of "
                f"{rows}; {' or '.join(map(str, kinds))} is needed here",
                field=field,
            )


def _no_such_step(wanted: str, others: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(wanted, others, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"there is no other step {wanted[:60]!r}{hint}"


def _check_references(name: str, kind: str, settings: Mapping[str, Any]) -> None:
    """Refuse what is neither a name nor `{from: STEP}`."""
    nouns = spec_class(kind).references()
    for field, value in settings.items():
        in_list = value if isinstance(value, list | tuple) else [value]
        for one in in_list:
            if field not in nouns:
                if isinstance(one, Mapping) and set(one) == {FROM}:
                    raise SubmitError(
                        f"step {name}: {field} takes nothing from another step",
                        field=f"steps.{name}.{field}",
                    )
                continue
            is_step = isinstance(one, Mapping)
            is_right = (
                set(one) == {FROM} and isinstance(one[FROM], str)
                if is_step
                else isinstance(one, str)
                or (isinstance(one, int) and not isinstance(one, bool))
                or one is None
            )
            if not is_right:
                raise SubmitError(
                    f"step {name}: {field}: write a name, an id, or {{from: STEP}}",
                    field=f"steps.{name}.{field}",
                )


def _shape_sentence(error: ValidationError, values: Mapping[str, Any]) -> str:
    """Return what is wrong with the outline of a description."""
    first = error.errors(include_url=False)[0]
    where = [str(part) for part in first["loc"]]
    text = str(first["msg"])
    if where[:1] == ["steps"] and len(where) > 1:
        at = int(where[1])
        steps = values["steps"]
        given = steps[at] if isinstance(steps[at], Mapping) else {}
        label = given.get("name")
        step = f"step {label if isinstance(label, str) else at + 1}"
        rest = ".".join(where[2:])
        if first["type"] == "missing":
            return f"{step}: {rest} is missing"
        return f"{step}: {rest + ': ' if rest else ''}{text[:1].lower()}{text[1:]}"
    place = ".".join(where)
    if first["type"] == "missing":
        return f"{place} is missing: a pipeline has a name and steps"
    if first["type"] == "extra_forbidden":
        return f"{place[:60]!r} is not known here; a pipeline has a name and steps"
    return f"{place}: {text[:1].lower()}{text[1:]}"
