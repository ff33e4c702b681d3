"""A model's card: Markdown of unknown origin made into harmless HTML."""

import re

import nh3
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt

from trivium import storage
from trivium.models.models import LanguageModel

CARD = "README.md"
MAX_BYTES = 200_000
TAGS = {
    "a", "blockquote", "br", "code", "del", "em", "h3", "h4", "h5", "h6", "hr", "li",
    "ol", "p", "pre", "s", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
FRONT_MATTER = re.compile(r"\A---\r?\n.*?^---\s*?$\n?", re.DOTALL | re.MULTILINE)
LINKS = {"http", "https", "mailto"}


def card_html(model: LanguageModel) -> SafeString | None:
    """Return the card of a model, or None where it has none."""
    if not model.is_ready:
        return None
    try:
        folder = storage.local_copy(model.path)
        with storage.resolve_beneath(folder, CARD).open("rb") as file:
            text = file.read(MAX_BYTES).decode(errors="replace")
    except (OSError, ValueError):
        return None
    return render_markdown(text)


def render_markdown(text: str) -> SafeString:
    """Return `text` as HTML without scripts, pictures or styles."""
    parser = MarkdownIt("commonmark", {"html": False}).enable(
        ["table", "strikethrough"]
    )
    tokens = parser.parse(FRONT_MATTER.sub("", text))
    for token in tokens:
        # The page has the h1 and h2 itself.
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(6, int(token.tag[1]) + 2)}"
    html = parser.renderer.render(tokens, parser.options, {})
    clean = nh3.clean(
        html, tags=TAGS, attributes={"a": {"href", "title"}}, url_schemes=LINKS
    )
    return mark_safe(clean)  # noqa: S308 - cleaned above
