"""The spec of an `ingest` run: an uploaded file becomes a dataset version."""

from typing import ClassVar, Literal

from runspec.base import Spec, setting

MAX_ROW_CHARACTERS = 4_000_000
MAX_EXPANDED_BYTES = 200 * 2**30


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
    dataset_kind: Literal["text"] = setting(
        "text", label="Kind of rows", help="What one row of this dataset is."
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
        help="Column that holds the text; empty picks the only likely one, or asks.",
        max_length=200,
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
