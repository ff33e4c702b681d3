"""Names people give to things: cleaned, checked, and made up where they gave none."""

import re
import unicodedata
from collections.abc import Callable

from trivium.runs.errors import SubmitError

MAX_NAME = 200


def clean_name(raw: str, *, field: str = "name") -> str:
    """Return `raw` in NFKC, with single spaces; raises SubmitError if unusable."""
    name = " ".join(unicodedata.normalize("NFKC", raw).split())
    hidden = [
        character
        for character in name
        if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co"}
    ]
    if hidden:
        raise SubmitError(
            f"the name holds an invisible character (U+{ord(hidden[0]):04X})",
            field=field,
        )
    if len(name) > MAX_NAME:
        raise SubmitError(
            f"the name has {len(name)} characters; {MAX_NAME} are allowed", field=field
        )
    return name


def name_from_file(file_name: str) -> str:
    """Make a readable name from a file's: no folders, no endings, no odd characters."""
    stem = file_name.replace("\\", "/").rsplit("/", 1)[-1]
    stem = re.sub(
        r"(\.(txt|jsonl|json|csv|tsv|parquet|zip|tar|tgz|gz|zst))+$",
        "",
        stem,
        flags=re.IGNORECASE,
    )
    return re.sub(r"[^\w .()-]+", " ", stem).strip()[:100] or "data"


def free_name(wanted: str, is_taken: Callable[[str], bool], *, joint: str = " ") -> str:
    """Return `wanted`, or `wanted 2`, `wanted 3`… whichever is free first."""
    name, number = wanted, 1
    while is_taken(name):
        number += 1
        name = f"{wanted}{joint}{number}"
    return name
