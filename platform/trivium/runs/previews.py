"""How a conversation of the chosen dataset reads through the chosen chat template."""

import threading
from typing import Any, NamedTuple

from django.utils.safestring import SafeString
from sandbox.errors import TemplateError
from sandbox.render import render_conversations
from sandbox.templates import CHATML, EXAMPLE, TEMPLATES

from trivium.datasets.conversations import conversation_of, first_row
from trivium.models.chat import chat_template_of, special_tokens_of
from trivium.models.models import LanguageModel
from trivium.runs.coloured import MAX_CHARACTERS, by_spans, draw
from trivium.runs.forms import SpecForm

MAX_AT_ONCE = 4
"""Templates rendered at the same time by one web process."""
PATIENCE_S = 5.0
_places = threading.BoundedSemaphore(MAX_AT_ONCE)


class Preview(NamedTuple):
    """A sample as the model will read it."""

    source: str
    """Where the sample is from."""
    reads: SafeString = SafeString()
    writes: SafeString = SafeString()
    """What an encoder-decoder shall write."""
    label: str = ""
    """What a classifier shall say."""
    notes: list[str] = []
    error: str = ""
    is_cut: bool = False


def preview_of(form: SpecForm) -> Preview | None:
    """Return the preview of what a fine-tuning form holds, valid or not."""
    if form.kind != "sft" or form.start is None:
        return None
    chosen = [one.version for one in form.ingredients if one.is_chosen]
    row = first_row(chosen[0]) if chosen and chosen[0].is_ready else None
    source = f"The first row of {chosen[0]}" if row else "An example"
    if form.task == "chat":
        return chat_preview(form, form.start, row, source)
    if row is None:
        return Preview("Rows are shown here once a dataset is ready.")
    return plain_preview(row, source)


def plain_preview(row: dict[str, Any], source: str) -> Preview:
    """Return a text pair, or a text and its label."""
    text = str(row.get("prompt", row.get("text", "")))
    reads = draw([(text, False, "only read")])
    if "label" in row:
        return Preview(source, reads, label=str(row["label"])[:200])
    answer = str(row.get("completion", ""))
    return Preview(source, reads, draw([(answer, True, "learned from")]))


def chat_preview(
    form: SpecForm, model: LanguageModel, row: dict[str, Any] | None, source: str
) -> Preview:
    """Return a conversation written by the chosen template, in a limited child."""
    choice = str(form.value_of("chat_template"))
    template, notes = template_of(choice, form, model)
    if not template.strip():
        return Preview(source, error="Write a template to see what it makes of a row.")
    conversation = conversation_of(row) if row else {"messages": EXAMPLE}
    if not _places.acquire(timeout=PATIENCE_S):
        return Preview(source, error="Others are trying templates; try again shortly.")
    try:
        tokens = special_tokens_of(model)
        [rendered] = render_conversations(template, [conversation], variables=tokens)
    except TemplateError as error:
        text = str(error)
        why = text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
        return Preview(source, error=why)
    finally:
        _places.release()
    spans = rendered.spans
    if form.value_of("loss_on") == "all":
        spans = ((0, len(rendered.text)),)
    elif not spans:
        notes.append(
            "Nothing here would be learned: the assistant says nothing in this row."
        )
    return Preview(
        source,
        draw(by_spans(rendered.text, spans)),
        notes=notes,
        is_cut=len(rendered.text) > MAX_CHARACTERS,
    )


def template_of(
    choice: str, form: SpecForm, model: LanguageModel
) -> tuple[str, list[str]]:
    """Return the source of the chosen template, and what a person should know of it."""
    if choice == "custom":
        return str(form.value_of("custom_template")), []
    if choice == "model":
        own = chat_template_of(model)
        if own:
            return own, []
        return CHATML.source, [f"{model} has no template of its own; it gets ChatML."]
    known = TEMPLATES.get(choice, CHATML)
    return known.source, [known.help]
