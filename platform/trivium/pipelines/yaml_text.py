"""Reading and writing YAML, as far as a description needs it.

The text comes from strangers: it is small, holds plain values only, and says each of
them where it stands. Aliases, by which a few lines become gigabytes, are refused.
Booleans and numbers are those of YAML 1.2, so that `off` and `no` are words and `1e-4`
is a number.
"""

import math
import re
from typing import Any

import yaml

from trivium.runs.errors import SubmitError

MAX_BYTES = 200_000
MAX_EVENTS = 20_000
MAX_DEPTH = 20
MAP, SEQ = "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"
IN_LINE = 4
"""Values written beside each other."""
LONG = 40
NUMBER = re.compile(
    r"^[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$"
)


class PlainLoader(yaml.SafeLoader):
    """Loads plain values, by the rules of YAML 1.2's core schema."""

    yaml_implicit_resolvers: dict[str, Any] = {}


PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf")
)
PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:null", re.compile(r"^(?:~|null|)$"), ["~", "n", ""]
)
PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9]{0,300})$"),
    list("-+0123456789"),
)  # fmt: skip
PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", NUMBER, list("-+.0123456789")
)


class PlainDumper(yaml.SafeDumper):
    """Writes without aliases, and quotes what this loader or another would misread."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - yaml's own shape
        """Write everything out."""
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 - yaml's own shape
        """Write the items of a list further in than its key."""
        super().increase_indent(flow, indentless=False)


def _write_table(dumper: yaml.SafeDumper, table: dict[str, Any]) -> yaml.Node:
    """Write `{from: step}` and other small tables of plain values in one line."""
    is_small = len(table) <= IN_LINE and all(map(_is_plain, table.values()))
    node = dumper.represent_mapping(MAP, table.items())
    node.flow_style = is_small and "name" not in table
    return node


def _write_list(dumper: yaml.SafeDumper, values: list[Any]) -> yaml.Node:
    """Write short lists in one line."""
    short = [one for one in values if _is_plain(one) or _is_reference(one)]
    is_short = len(short) == len(values) <= IN_LINE
    return dumper.represent_sequence(SEQ, values, flow_style=is_short)


def _write_number(dumper: yaml.SafeDumper, number: float) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:float", repr(number))


def _is_plain(value: Any) -> bool:
    is_long = isinstance(value, str) and ("\n" in value or len(value) > LONG)
    return not is_long and not isinstance(value, dict | list)


def _is_reference(value: Any) -> bool:
    return isinstance(value, dict) and [*map(_is_plain, value.values())] == [True]


def _write_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = "|" if "\n" in text.strip("\n") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


PlainDumper.add_representer(str, _write_text)
PlainDumper.add_representer(dict, _write_table)
PlainDumper.add_representer(list, _write_list)
PlainDumper.add_representer(float, _write_number)
PlainDumper.add_implicit_resolver(
    "tag:yaml.org,2002:float", NUMBER, list("-+.0123456789")
)


def read_yaml(text: str) -> Any:
    """Return what a YAML document says, in plain values.

    Raises:
        SubmitError: it is too large or too deep, is no YAML, holds an alias, a tag or
            more than one document, or names a key twice.
    """
    if len(text.encode(errors="replace")) > MAX_BYTES:
        raise SubmitError(
            f"the description is larger than {MAX_BYTES:,} bytes", field="yaml"
        )
    if "\0" in text:
        raise SubmitError("the description holds a NUL character", field="yaml")
    try:
        _refuse_tricks(text)
        loader = PlainLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                raise SubmitError("the description is empty", field="yaml")
            _refuse_odd_nodes(node)
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        where = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        what = error.problem or error.context or "it cannot be read"
        raise SubmitError(f"this is no YAML{where}: {what}", field="yaml") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, SubmitError):
            raise
        raise SubmitError(f"this is no YAML: {error}", field="yaml") from error


def write_yaml(values: Any) -> str:
    """Return plain values as YAML a person would write."""
    written: str = yaml.dump(
        values,
        Dumper=PlainDumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
        width=88,
    )
    return written


def _refuse_tricks(text: str) -> None:
    """Look at the stream of events, of which none takes more than its own text."""
    depth = 0
    for number, event in enumerate(yaml.parse(text, Loader=PlainLoader)):
        mark = event.start_mark
        line = mark.line + 1 if mark is not None else 1
        if isinstance(event, yaml.AliasEvent):
            raise SubmitError(
                f"line {line}: aliases (*{event.anchor}) are not read here; write the "
                "value out",
                field="yaml",
            )
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise SubmitError(
                f"line {line}: tags ({tag}) are not read here; write text, "
                "numbers, true, false or null",
                field="yaml",
            )
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise SubmitError(
                f"line {line}: values lie more than {MAX_DEPTH} levels deep",
                field="yaml",
            )
        if number > MAX_EVENTS:
            raise SubmitError("the description has too many values", field="yaml")


def _refuse_odd_nodes(node: yaml.Node) -> None:
    """Refuse numbers beyond all bounds, and keys that are no text or stand twice."""
    if node.tag == "tag:yaml.org,2002:float" and math.isinf(float(node.value)):
        raise SubmitError(
            f"line {node.start_mark.line + 1}: {node.value} is no number", field="yaml"
        )
    if isinstance(node, yaml.SequenceNode):
        for one in node.value:
            _refuse_odd_nodes(one)
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if key.tag != "tag:yaml.org,2002:str":
                raise SubmitError(
                    f"line {key.start_mark.line + 1}: a key must be text", field="yaml"
                )
            if key.value in seen:
                raise SubmitError(
                    f"line {key.start_mark.line + 1}: {key.value!r} is there twice",
                    field="yaml",
                )
            seen.add(key.value)
            _refuse_odd_nodes(value)
