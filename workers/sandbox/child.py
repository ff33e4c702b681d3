"""The child process that renders: `python -m sandbox.child`.

Each line of standard input is a request, each line of standard output its answer, both
JSON. Limits (docs of CVE-2026-115911 and its like): the sandbox of Jinja keeps a
template from the machine, but not from taking all its memory and time, so the kernel
does.

Request: {"template", "conversations": [{"messages", "tools"?}], "variables",
"add_generation_prompt", "find_spans"}. Answer: {"rendered": [{"text", "spans"}]} or
{"error": sentence, "index": number of the conversation at fault}.
"""

import datetime as dt
import json
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import FrameType
from typing import Any

from jinja2 import Template, nodes
from jinja2.exceptions import TemplateError as JinjaError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment

MEMORY_BYTES = 512 * 2**20
SECONDS = 2.0
"""For one conversation."""
OUTPUT_CHARACTERS = 2_000_000
CPU_SLACK_S = 2
"""An operation inside C hears no alarm; this much later the kernel ends it."""
OPEN, CLOSE = "\ue0f8", "\ue0f9"
"""Stand around what the assistant says, and are taken out again."""


class RefusedError(Exception):
    """A conversation was not rendered; the text is a sentence."""


class Generation(Extension):
    """`{% generation %}…{% endgeneration %}`, as transformers and TRL know it."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> nodes.Node:
        """Call `_mark` with what stands between the tags."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        call = self.call_method("_mark")
        return nodes.CallBlock(call, [], [], body).set_lineno(line)

    def _mark(self, caller: Macro) -> str:
        return f"{OPEN}{caller()}{CLOSE}"


@lru_cache(maxsize=4)
def compile_template(source: str) -> Template:
    """Compile a template as transformers does, and as harmlessly."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = to_json
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = strftime_now
    return environment.from_string(source)


def to_json(value: Any, indent: int | None = None, **_: Any) -> str:
    """Return JSON without Jinja's escapes for HTML."""
    return json.dumps(value, ensure_ascii=False, indent=indent)


def refuse(message: str) -> str:
    """Let a template say that it cannot write a conversation."""
    raise RefusedError(f"the template refuses it: {message}")


def strftime_now(form: str) -> str:
    """Return the date, as some templates tell it to a model."""
    return dt.datetime.now(tz=dt.UTC).strftime(form)


def render(request: dict[str, Any], conversation: dict[str, Any]) -> str:
    """Return the text of one conversation, marks of the assistant's parts included."""
    template = compile_template(request["template"])
    parts: list[str] = []
    size = 0
    for part in template.generate(
        messages=conversation["messages"],
        tools=conversation.get("tools"),
        documents=None,
        add_generation_prompt=request.get("add_generation_prompt", False),
        **request.get("variables", {}),
    ):
        parts.append(part)
        size += len(part)
        if size > OUTPUT_CHARACTERS:
            raise RefusedError(
                f"the template writes more than {OUTPUT_CHARACTERS:,} characters"
            )
    return "".join(parts)


def rendered(request: dict[str, Any], conversation: dict[str, Any]) -> dict[str, Any]:
    """Return text and spans (start, end) of what the assistant says in it."""
    marked = render(request, conversation)
    text, spans = unmark(marked)
    if not spans and request.get("find_spans") and OPEN not in marked:
        spans = spans_by_turns(request, conversation, text)
    return {"text": text, "spans": spans}


def unmark(marked: str) -> tuple[str, list[tuple[int, int]]]:
    """Take the marks out of a text; return where they stood."""
    text, spans, start = "", [], 0
    for piece in marked.split(CLOSE):
        before, opened, inside = piece.partition(OPEN)
        text += before
        if opened:
            start = len(text)
            text += inside
            spans.append((start, len(text)))
    return text, spans


def spans_by_turns(
    request: dict[str, Any], conversation: dict[str, Any], text: str
) -> list[tuple[int, int]]:
    """Find the assistant's parts of a template without marks.

    Each turn adds to the text before it: what is there with the turn and not with the
    prompt for it is what the assistant says.

    Raises:
        RefusedError: the template writes earlier turns anew when later ones come.
    """
    spans = []
    messages = conversation["messages"]
    for number, message in enumerate(messages):
        if message.get("role") != "assistant":
            continue
        before, after = (
            unmark(
                render(
                    request | {"add_generation_prompt": prompts},
                    conversation | {"messages": messages[:count]},
                )
            )[0]
            for count, prompts in ((number, True), (number + 1, False))
        )
        if not after.startswith(before) or not text.startswith(after):
            raise RefusedError(
                "the template does not let the assistant's turns be found: mark them "
                "with {% generation %} … {% endgeneration %}"
            )
        spans.append((len(before), len(after)))
    return spans


@contextmanager
def limited_time() -> Iterator[None]:
    """Let Python code end by an alarm, and C code by the kernel, a little later."""

    def give_up(_signal: int, _frame: FrameType | None) -> None:
        raise RefusedError(f"the template takes longer than {SECONDS:g} s")

    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(used.ru_utime + used.ru_stime + SECONDS + CPU_SLACK_S) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
    signal.signal(signal.SIGVTALRM, give_up)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Render every conversation of a request, or say which one cannot be."""
    found: list[dict[str, Any]] = []
    for index, conversation in enumerate(request["conversations"]):
        try:
            with limited_time():
                found.append(rendered(request, conversation))
        except RefusedError as error:
            return {"error": str(error), "index": index}
        except MemoryError:
            megabytes = MEMORY_BYTES // 2**20
            why = f"the template takes more than {megabytes} MB of memory"
            return {"error": why, "index": index}
        except RecursionError:
            return {"error": "the template calls itself without end", "index": index}
        except JinjaError as error:
            line = getattr(error, "lineno", None)
            where = f" (line {line})" if line else ""
            return {"error": f"{error.message}{where}", "index": index}
        except Exception as error:  # noqa: BLE001 - whatever a template does wrong
            return {"error": f"{type(error).__name__}: {error}", "index": index}
    return {"rendered": found}


def main() -> None:
    """Answer requests until standard input ends."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
