"""What a look at a file tells before anything of it is stored."""

from typing import Any

from pydantic import BaseModel, ConfigDict


class SeenColumn(BaseModel):
    """A column of the file; `a.b` is `b` inside of `a`."""

    model_config = ConfigDict(extra="forbid")

    name: str
    holds: list[str]
    example: str = ""


class SeenRow(BaseModel):
    """A row as it would be stored, or why it would not."""

    model_config = ConfigDict(extra="forbid")

    place: str
    values: dict[str, Any] = {}
    reason: str = ""


class Look(BaseModel):
    """The first rows of a file, and what they are taken for."""

    model_config = ConfigDict(extra="forbid")

    file: str = ""
    """The file looked at; in an archive, the first one."""
    file_format: str = ""
    kind: str = ""
    """Of rows; empty where it must be chosen."""
    is_recognised: bool = False
    """Whether nobody had to say the kind."""
    layout: str = ""
    """How the file writes its rows, in words."""
    columns: list[SeenColumn] = []
    mapping: dict[str, str] = {}
    rows: list[SeenRow] = []
    num_rows: int = 0
    """Rows looked at, shown or not."""
    num_bad: int = 0
    """How many of them would not be taken."""
    notes: list[str] = []
    question: str = ""
    """What must be said before it can be read: a sentence, with advice."""
    error: str = ""
    """Why it cannot be read at all: a sentence, with advice."""
