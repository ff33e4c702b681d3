"""A model's card: what its run wrote, completed with what people know since.

Shown on a page, Markdown of unknown origin is made into harmless HTML.
"""

import re

import nh3
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from runspec.licences import LICENCE_KEYS, licence_lines

from trivium import storage
from trivium.models.models import LanguageModel

CARD = "README.md"
MAX_BYTES = 200_000
TAGS = {
    "a", "blockquote", "br", "code", "del", "em", "h3", "h4", "h5", "h6", "hr", "li",
    "ol", "p", "pre", "s", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
FRONT_MATTER = re.compile(
    r"\A---\r?\n(.*?)^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE
)
EMPTY_HEAD = re.compile(r"<thead>\s*<tr>\s*(?:<th>\s*</th>\s*)+</tr>\s*</thead>")
"""Markdown has no table without a head; ours of facts have an empty one."""
ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}}
LINKS = {"http", "https", "mailto"}
PARSER = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
PARSER.render("Rules are put together by the first text, *before* threads share them.")


def card_html(model: LanguageModel) -> SafeString | None:
    """Return the card of a model for its page, or None where it has none."""
    if not model.is_ready:
        return None
    try:
        return render_markdown(stored_card(model))
    except (OSError, ValueError):
        return None


def stored_card(model: LanguageModel) -> str:
    """Return the card as its run wrote it.

    Raises:
        OSError: there is none.
        ValueError: its path is no path.
    """
    folder = storage.local_copy(model.path)
    with storage.resolve_beneath(folder, CARD).open("rb") as file:
        return file.read(MAX_BYTES).decode(errors="replace")


def card_text(model: LanguageModel) -> str:
    """Return the card of a download: with licence, names and notes.

    Raises:
        OSError: the model has none.
        ValueError: its path is no path.
    """
    text = stored_card(model)
    found = FRONT_MATTER.match(text)
    lines = found.group(1).splitlines() if found else ["library_name: transformers"]
    kept = [line for line in lines if line.partition(":")[0] not in LICENCE_KEYS]
    header = "\n".join([*kept, *licence_lines(model.licence)])
    body = text[found.end() :] if found else text
    parts = [f"---\n{header}\n---", body.strip()]
    if names := _names(model):
        parts.append("## Names in Trivium\n\n" + "\n".join(names))
    if model.notes:
        parts.append(f"## Notes\n\n{model.notes}")
    return "\n\n".join(part for part in parts if part) + "\n"


def _names(model: LanguageModel) -> list[str]:
    """Return what a trainer does not know: how people call what it was made with."""
    found: list[tuple[str, object]] = [("model", model.name)]
    found += [("parent", parent.name) for parent in model.parents.all()]
    if model.dataset:
        found.append(("dataset", model.dataset))
    if model.tokenizer:
        found.append(("tokenizer", model.tokenizer.name))
    return [f"- {noun}: {_plain(str(name))}" for noun, name in found]


def _plain(text: str) -> str:
    """Return a name as text and not as Markdown or HTML."""
    return re.sub(r"([\\`*_\[\]<|])", r"\\\1", " ".join(text.split()))


def render_markdown(text: str) -> SafeString:
    """Return a card as HTML, without its front matter."""
    return markdown_html(FRONT_MATTER.sub("", text))


def markdown_html(text: str) -> SafeString:
    """Return all of `text` as HTML without scripts, pictures or styles."""
    tokens = PARSER.parse(text)
    for token in tokens:
        # The page has the h1 and h2 itself.
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(6, int(token.tag[1]) + 2)}"
    html = PARSER.renderer.render(tokens, PARSER.options, {})
    html = EMPTY_HEAD.sub("", html)
    clean = nh3.clean(html, tags=TAGS, attributes=ATTRIBUTES, url_schemes=LINKS)
    return mark_safe(clean)  # noqa: S308 - cleaned above
