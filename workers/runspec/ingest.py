"""The spec of an `ingest` run: an uploaded file becomes a dataset version."""

from typing import ClassVar, Literal, NamedTuple, Self

from pydantic import model_validator

from runspec.base import Spec, setting

MAX_ROW_CHARACTERS = 4_000_000
MAX_EXPANDED_BYTES = 200 * 2**30
MAX_COLUMN_NAME = 200

DatasetKind = Literal[
    "text",
    "instructions",
    "conversations",
    "text-to-text",
    "labelled",
    "preferences",
    "prompts",
]


class Part(NamedTuple):
    """Something a row consists of, to be found in one of the source's columns."""

    name: str
    is_required: bool
    help: str


PARTS: dict[str, tuple[Part, ...]] = {
    "text": (Part("text", True, "What is learnt from."),),
    "instructions": (
        Part("prompt", True, "What is asked."),
        Part("completion", True, "The answer to learn."),
        Part("input", False, "Goes below what is asked, after a blank line."),
        Part("system", False, "How the model shall behave."),
    ),
    "conversations": (
        Part("messages", False, "A list of turns, or a tree of replies."),
        Part("prompt", False, "Instead of messages: the turns before the last."),
        Part("completion", False, "Instead of messages: the turns that answer."),
        Part("system", False, "How the model shall behave."),
        Part("tools", False, "Descriptions of the tools it may call."),
    ),
    "text-to-text": (
        Part("prompt", True, "What is rewritten, translated or summed up."),
        Part("completion", True, "What becomes of it."),
    ),
    "labelled": (
        Part("text", True, "What is judged."),
        Part("label", True, "The class it belongs to."),
    ),
    "preferences": (
        Part("prompt", False, "What both answer; without it, what both begin with."),
        Part("chosen", False, "The better answer, or the conversation it ends."),
        Part("rejected", False, "The worse answer, or the conversation it ends."),
        Part("input", False, "Goes below the prompt, after a blank line."),
        Part("system", False, "How the model was to behave."),
        Part("chosen_transcript", False, "Instead of chosen: “Human: … Assistant: …”."),
        Part("rejected_transcript", False, "Instead of rejected: a transcript."),
        Part("completions", False, "Instead of both: a list of answers with scores."),
        Part("answer_a", False, "Instead of both: the first answer of a battle."),
        Part("answer_b", False, "The second answer of a battle."),
        Part("winner", False, "Who won the battle: model_a, model_b or a tie."),
        Part("winner_a", False, "Instead of a winner: 1 where the first won."),
        Part("winner_b", False, "Instead of a winner: 1 where the second won."),
        Part("chosen_score", False, "How good the chosen answer is."),
        Part("rejected_score", False, "How good the rejected answer is."),
        Part("chosen_share", False, "Share of votes for the chosen answer, 0 to 1."),
        Part("num_votes", False, "How many votes there were."),
        Part("strength", False, "How much better the chosen answer is."),
        Part("pair_id", False, "What the pair is called elsewhere."),
    ),
    "prompts": (
        Part("prompt", True, "What is asked: a text, or turns up to the user's last."),
        Part("input", False, "Goes below what is asked, after a blank line."),
        Part("system", False, "How the model shall behave."),
        Part("answer", False, "A right answer, where one is known."),
        Part("category", False, "What it belongs to, like a kind of harm."),
    ),
}
"""What a row of each kind is made of; of kinds in `WAYS`, one way is needed."""

WAYS: dict[str, tuple[tuple[str, ...], ...]] = {
    "conversations": (("messages",), ("prompt", "completion")),
    "preferences": (
        ("chosen", "rejected"),
        ("chosen_transcript", "rejected_transcript"),
        ("prompt", "completions"),
        ("answer_a", "answer_b", "winner"),
        ("answer_a", "answer_b", "winner_a", "winner_b"),
    ),
}
"""The parts that make a row of kinds that may be written in several ways."""


def ways_of(dataset_kind: str) -> tuple[tuple[str, ...], ...]:
    """Return the sets of parts of which one makes a row, the usual one first."""
    needed = tuple(part.name for part in PARTS[dataset_kind] if part.is_required)
    return WAYS.get(dataset_kind, (needed,))


def is_complete(dataset_kind: str, parts: "set[str]") -> bool:
    """Whether these parts make a row of a kind."""
    return any(parts.issuperset(way) for way in ways_of(dataset_kind))


def missing_parts(dataset_kind: str, parts: "set[str]") -> list[str]:
    """Return what lacks to a row, by the way of writing it that lacks least."""
    return [name for name in way_taken(dataset_kind, parts) if name not in parts]


def way_taken(dataset_kind: str, parts: "set[str]") -> tuple[str, ...]:
    """Return the way of writing a row that lacks least, the usual one where unclear."""
    return min(ways_of(dataset_kind), key=lambda way: len(set(way) - parts))


def other_ways(dataset_kind: str, parts: "set[str]") -> "set[str]":
    """Return the parts of ways a row is not written in, once one is complete."""
    if not is_complete(dataset_kind, parts):
        return set()
    others = {name for way in ways_of(dataset_kind) for name in way}
    others -= set(way_taken(dataset_kind, parts))
    # A prompt may stand beside chosen and rejected, and beside the answers of a battle.
    return others - {"prompt"} if dataset_kind == "preferences" else others


MIXED = {
    "conversations": "a conversation is in messages, or in prompt and completion",
    "preferences": "a pair is in chosen and rejected (or their transcripts), in "
    "completions with scores, or in answer_a and answer_b with a winner",
}


class IngestSpec(Spec):
    """Read a source file row by row into an immutable, content-addressed dataset."""

    kind: Literal["ingest"] = "ingest"
    is_resumable: ClassVar[bool] = False

    source: str = setting(
        help="The uploaded file, or an allowed path or URL to read.",
        reference="source",
        min_length=1,
    )
    file_name: str = setting(
        help="The name the file had where it came from; its ending names the format.",
        min_length=1,
        max_length=255,
    )
    dataset_kind: DatasetKind = setting(
        "text", label="Kind of rows", help="What one row of this dataset is."
    )
    columns: dict[str, str] = setting(
        {},
        help="Which column of the file holds which part of a row, like "
        "prompt=question. What is not given is found by its name, or asked for; "
        "a.b is b inside of a.",
        max_length=20,
        level="advanced",
    )
    file_format: Literal["auto", "txt", "jsonl", "json", "csv", "tsv", "parquet"] = (
        setting(
            "auto",
            label="Format",
            help="How the file is written; auto goes by its name and first bytes.",
            level="advanced",
        )
    )
    text_column: str = setting(
        "",
        label="Text column",
        help="Short for columns with text alone: the column that holds the text; empty "
        "picks the only likely one, or asks.",
        max_length=MAX_COLUMN_NAME,
        level="advanced",
    )
    header: Literal["auto", "yes", "no"] = setting(
        "auto",
        label="First line of a csv or tsv",
        help="Whether it names the columns; auto takes names nobody would give for a "
        "row. Without names they are called column 1, column 2 and so on.",
        level="advanced",
    )
    text_rows: Literal["paragraph", "line", "file"] = setting(
        "paragraph",
        label="Rows of a text file",
        help="What makes a row in a plain text file: blank-line paragraphs, "
        "single lines, or the whole file.",
    )
    bad_rows: Literal["reject", "skip"] = setting(
        "reject",
        label="Bad rows",
        help="Reject the whole file and list what is wrong, or skip and count them.",
    )
    validation_fraction: float = setting(
        0.05,
        label="Validation share",
        help="Share of distinct rows kept for validation; identical rows always "
        "fall on the same side.",
        ge=0.0,
        le=0.5,
    )
    split: Literal["hash", "tail"] = setting(
        "hash",
        label="Validation rows",
        help="Choose validation rows by a hash of their content, or take the last "
        "ones in file order (tail); tail keeps identical rows on one side too.",
        level="advanced",
    )
    max_row_characters: int = setting(
        MAX_ROW_CHARACTERS,
        label="Longest row",
        unit="characters",
        help="A longer row is bad; long text lines are cut into rows of this length.",
        ge=1_000,
        le=50_000_000,
        level="advanced",
    )
    max_expanded_bytes: int = setting(
        MAX_EXPANDED_BYTES,
        label="Largest expanded size",
        unit="bytes",
        help="Stop when a compressed file grows beyond this.",
        ge=1_000_000,
        level="advanced",
    )
    max_expansion_ratio: int = setting(
        200,
        label="Largest expansion ratio",
        help="Stop when a compressed file grows beyond this multiple of its size.",
        ge=10,
        le=100_000,
        level="advanced",
    )

    @model_validator(mode="after")
    def _knows_its_columns(self) -> Self:
        known = [part.name for part in PARTS[self.dataset_kind]]
        for part, column in self.columns.items():
            if part not in known:
                raise ValueError(
                    f"columns: rows of {self.dataset_kind} have no part {part!r}; they "
                    f"have {', '.join(known)}"
                )
            if not column or len(column) > MAX_COLUMN_NAME or "\0" in column:
                raise ValueError(
                    f"columns: the column of {part} needs a name of 1 to "
                    f"{MAX_COLUMN_NAME} characters without NUL"
                )
        named = set(self.columns)
        if other_ways(self.dataset_kind, named) & named:
            raise ValueError(
                f"columns: {MIXED[self.dataset_kind]}; name the one or the others"
            )
        if self.text_column and self.dataset_kind != "text":
            raise ValueError(
                f"text_column is for rows of text; these are {self.dataset_kind}: "
                "use columns"
            )
        if self.text_column and self.columns:
            raise ValueError("give columns or text_column, not both")
        return self

    def chosen_columns(self) -> dict[str, str]:
        """Return the columns a person named, by the part each holds."""
        return {"text": self.text_column} if self.text_column else self.columns
