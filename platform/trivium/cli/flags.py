"""Command-line flags, read off a spec."""

import argparse
import types
import typing
from collections.abc import Collection
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from runspec import SPECS, Spec

from trivium.cli.errors import CliError


def spec_parser(
    kind: str, *, prog: str, without: Collection[str] = ()
) -> argparse.ArgumentParser:
    """Return a parser with one flag per field of the spec of `kind`."""
    spec = SPECS[kind]
    parser = argparse.ArgumentParser(
        prog=prog, description=spec.__doc__, add_help=True, allow_abbrev=False
    )
    groups: dict[str, Any] = {}
    for name, field in spec.model_fields.items():
        if name == "kind" or name in without:
            continue
        extra = field.json_schema_extra
        title = extra.get("group", "Settings") if isinstance(extra, dict) else ""
        title = str(title or "Settings")
        group = groups.setdefault(title, parser.add_argument_group(title))
        _add_flag(group, name, field)
    return parser


def required_fields(kind: str) -> set[str]:
    """Return the fields of the spec of `kind` that have no default."""
    fields = SPECS[kind].model_fields
    return {name for name, field in fields.items() if field.is_required()}


class _Pair(argparse.Action):
    """Gathers `NAME=VALUE`, given as often as needed."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: Any, values: Any, *_: Any
    ) -> None:
        name, sign, value = str(values).partition("=")
        if not (name and sign):
            parser.error(f"{self.option_strings[0]} {values!r}: write NAME=VALUE")
        pairs = {**getattr(namespace, self.dest, {}), name: value}
        setattr(namespace, self.dest, pairs)


def _add_flag(group: Any, name: str, field: FieldInfo) -> None:
    options: dict[str, Any] = {
        "dest": name,
        "default": argparse.SUPPRESS,
        "help": _help(field),
        "required": field.is_required(),
    }
    flag = "--" + name.replace("_", "-")
    kind = _plain_type(field.annotation)
    if kind is bool:
        options["action"] = argparse.BooleanOptionalAction
    elif typing.get_origin(kind) is tuple and typing.get_args(kind)[0] is float:
        options |= {"action": "extend", "nargs": "+", "metavar": "X"}
    elif typing.get_origin(kind) is tuple and _reference(field):
        options |= {"action": "extend", "nargs": "+", "metavar": "ID"}
    elif typing.get_origin(kind) is tuple:
        options |= {"action": "append", "metavar": "TEXT"}
    elif typing.get_origin(kind) is dict:
        options |= {"action": _Pair, "metavar": "NAME=VALUE"}
    elif typing.get_origin(kind) is typing.Literal:
        options["choices"] = typing.get_args(kind)
    else:
        options["metavar"] = {int: "N", float: "X"}.get(
            kind, "ID" if _reference(field) else "TEXT"
        )
    group.add_argument(flag, **options)


def _plain_type(annotation: Any) -> Any:
    """Return the type without `| None`."""
    if typing.get_origin(annotation) in {types.UnionType, typing.Union}:
        kinds = [kind for kind in typing.get_args(annotation) if kind is not type(None)]
        return kinds[0]
    return annotation


def _reference(field: FieldInfo) -> str:
    extra = field.json_schema_extra
    return str(extra.get("reference", "")) if isinstance(extra, dict) else ""


def _help(field: FieldInfo) -> str:
    extra = field.json_schema_extra
    unit = str(extra.get("unit", "")) if isinstance(extra, dict) else ""
    text = field.description or ""
    if unit:
        text += f" [{unit}]"
    families = extra.get("families") if isinstance(extra, dict) else None
    if isinstance(families, list):
        text += f" For {', '.join(map(str, families))}."
    if not field.is_required() and field.default not in (None, "", (), {}):
        text += f" (default: {field.default})"
    return text.replace("%", "%%")


def build_spec(kind: str, values: dict[str, Any]) -> dict[str, Any]:
    """Return the given values as the types of the spec of `kind`, checked.

    Raises:
        CliError: a value is wrong; the sentence names its flag.
    """
    spec: type[Spec] = SPECS[kind]
    try:
        checked = spec.model_validate({**values, "kind": kind})
    except ValidationError as error:
        raise CliError("; ".join(_sentences(error))) from None
    return checked.model_dump(mode="json", include={*values, "kind"})


def _sentences(error: ValidationError) -> list[str]:
    sentences = []
    for entry in error.errors(include_url=False):
        flag = ".".join(str(part) for part in entry["loc"]).replace("_", "-")
        message = entry["msg"].removeprefix("Value error, ")
        sentences.append(f"--{flag}: {message}" if flag else message)
    return sentences
