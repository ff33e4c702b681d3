"""The tokens a model needs beside those of text, and the tokenizer that goes with it.

Tokenizers trained here have all but the sentinels of T5 from the start; what another
tokenizer lacks is added behind its vocabulary, so that no id of text ever changes.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from runspec.families import FAMILIES
from tokenizers import AddedToken, Tokenizer
from tokenizers.processors import TemplateProcessing

from trainer.errors import BadInputError
from trainer.tokenizer import MASK, PAD, START, load_tokenizer

Name = TypeVar("Name")
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


@dataclass(frozen=True)
class SpecialTokens:
    """Ids of what no text contains."""

    end: int
    """Ends a document, and so begins the next one."""
    pad: int
    mask: int | None = None
    start: int | None = None
    """Stands first in what the model reads, where its family has such a token."""
    close: int | None = None
    """Stands last in what the model reads; mostly the end token."""
    sentinels: tuple[int, ...] = ()
    """Each stands for one span that T5 shall fill in."""

    @property
    def all(self) -> set[int]:
        """Every one, once."""
        named = (self.end, self.pad, self.mask, self.start, self.close)
        return {*(item for item in named if item is not None), *self.sentinels}


@dataclass(frozen=True)
class ModelTokenizer:
    """A tokenizer with the special tokens one family of models needs."""

    source: Path
    tokenizer: Tokenizer
    config: dict[str, Any]
    """What `tokenizer_config.json` shall hold."""
    special: SpecialTokens
    is_changed: bool
    """Whether anything differs from the files in `source`."""

    @property
    def vocabulary_size(self) -> int:
        """Rows a model's embeddings need."""
        return max(self.tokenizer.get_vocab(with_added_tokens=True).values()) + 1

    def save(self, folder: Path) -> None:
        """Write the files of the Hugging Face layout, or copy what needs no change."""
        for name in TOKENIZER_FILES:
            if (self.source / name).is_file():
                shutil.copyfile(self.source / name, folder / name)
        if self.is_changed:
            self.tokenizer.save(str(folder / "tokenizer.json"))
            text = json.dumps(self.config, indent=1, ensure_ascii=False)
            (folder / "tokenizer_config.json").write_text(text)


def end_token(folder: Path) -> str:
    """Return the token that ends a document.

    Raises:
        BadInputError: the tokenizer names none.
    """
    config = _config(folder)
    for name in ("eos_token", "sep_token"):
        if token := _text_of(config.get(name)):
            return token
    raise BadInputError(
        "the tokenizer has no token that ends a text: its tokenizer_config.json "
        "names no eos_token",
        "Train a tokenizer in this project, or name the eos_token of yours.",
    )


def end_id(tokenizer: Tokenizer, folder: Path) -> int:
    """Return the id of the token that ends a document.

    Raises:
        BadInputError: the tokenizer names none, or one it does not have.
    """
    return _ids(tokenizer, {"end": end_token(folder)})["end"]


def tokenizer_for(folder: Path, family: str, *, num_sentinels: int) -> ModelTokenizer:
    """Return the tokenizer in `folder` with all that a family of models needs.

    Raises:
        BadInputError: the tokenizer has no end token.
    """
    tokenizer, config = load_tokenizer(folder), _config(folder)
    facts = FAMILIES[family]
    end = end_token(folder)
    pad = _text_of(config.get("pad_token"))
    if facts.architecture == "decoder":
        ids = _ids(tokenizer, {"eos_token": end, "pad_token": pad or end})
        special = SpecialTokens(end=ids["eos_token"], pad=ids["pad_token"])
        return ModelTokenizer(folder, tokenizer, config, special, is_changed=False)

    named = {"eos_token": end, "pad_token": pad if pad and pad != end else PAD}
    if facts.objective != "spans":
        start = _text_of(config.get("cls_token")) or START
        named |= {
            "mask_token": _text_of(config.get("mask_token")) or MASK,
            "cls_token": start,
            "bos_token": start,
            "sep_token": end,
        }
    if facts.objective == "masked":
        named["sep_token"] = _text_of(config.get("sep_token")) or end
    sentinels = [f"<extra_id_{number}>" for number in range(num_sentinels)]
    if facts.objective != "spans":
        sentinels = []
    is_grown = _add(tokenizer, [*named.values(), *sentinels])
    is_framed = tokenizer.post_processor is not None
    if not is_framed:
        _frame(tokenizer, named)
    if is_grown or not is_framed:
        # Without sentence types, which only BERT knows.
        names = ["input_ids", "attention_mask"]
        names += ["token_type_ids"] if family == "bert" else []
        config = config | named | {"model_input_names": names}
        if sentinels:
            config["extra_special_tokens"] = sentinels
    ids = _ids(tokenizer, named)
    special = SpecialTokens(
        end=ids["eos_token"],
        pad=ids["pad_token"],
        mask=ids.get("mask_token"),
        start=ids.get("cls_token"),
        close=ids.get("sep_token", ids["eos_token"]),
        sentinels=tuple(_ids(tokenizer, dict(enumerate(sentinels))).values()),
    )
    is_changed = is_grown or not is_framed
    return ModelTokenizer(folder, tokenizer, config, special, is_changed)


def _ids(tokenizer: Tokenizer, named: dict[Name, str]) -> dict[Name, int]:
    """Return the id of each token by its name.

    Raises:
        BadInputError: the tokenizer's files name a token that it does not have.
    """
    found: dict[Name, int] = {}
    for name, token in named.items():
        number = tokenizer.token_to_id(token)
        if number is None:
            raise BadInputError(
                f"the tokenizer has no {token} token, though its "
                "tokenizer_config.json names it",
                "Train a tokenizer in this project, or add that token to yours.",
            )
        found[name] = number
    return found


def _add(tokenizer: Tokenizer, tokens: list[str]) -> bool:
    """Add what is missing, and say whether anything was."""
    new = [token for token in tokens if tokenizer.token_to_id(token) is None]
    return bool(
        tokenizer.add_special_tokens(
            [AddedToken(token, special=True, normalized=False) for token in new]
        )
    )


def _frame(tokenizer: Tokenizer, named: dict[str, str]) -> None:
    """Let the tokenizer frame a text as training frames it."""
    start = named.get("cls_token")
    close = named.get("sep_token", named["eos_token"])
    single = f"{start}:0 $A:0 {close}:0" if start else f"$A:0 {close}:0"
    used = {token for token in (start, close) if token}
    tokenizer.post_processor = TemplateProcessing(
        single=single,
        pair=f"{single} $B:1 {close}:1",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in used],
    )


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "tokenizer_config.json"
    if not path.is_file():
        return {}
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def _text_of(token: object) -> str | None:
    """Return a token's text, however its configuration writes it."""
    if isinstance(token, dict):
        token = token.get("content")
    return token if isinstance(token, str) and token else None
