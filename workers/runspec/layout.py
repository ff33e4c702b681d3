"""Names of files and folders that one side writes and the other reads.

A run's folder (`runs/<id>/`):
    spec-<fence>.json         the spec with local paths
    events-<fence>.jsonl      what the trainer says
    trainer-<fence>.log       what it prints
    stop-<fence>              asks the ranks of a distributed attempt to stop
    checkpoints/step-<n>/     complete checkpoints (see `runspec.manifest`)
    served/                   config and tokenizer of a pretraining run: what its
                              checkpoints need beside their weights to be talked to
    answers/<n>.jsonl         what the n-th answerer of a run has answered so far, one
                              line each as it came; the run goes on from there
    campaign.jsonl            what a run reads of a campaign: `labels.LabeledPair`
                              lines; gone once the run has succeeded
    output/                   what the run made; published to storage when it succeeds
    output/answers.jsonl      of a `generate` run: `labels.AnsweredPrompt` lines; of an
                              `evaluate` run: `evaluated.EvaluatedPrompt` lines
    output/verdicts.jsonl     of a `judge` run: `labels.Verdict` lines

A dataset's folder: `dataset.json` (DatasetCard) beside Parquet shards; one exported
    from a campaign has the formats of other tools in `exports/`.
A tokenizer's folder: `tokenizer.json`, `tokenizer_config.json` (Hugging Face layout)
    and `report.json` (TokenizerReport).
A model's folder: Hugging Face layout, safetensors only, with tokenizer and README.md.
"""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

CHECKPOINTS = "checkpoints"
OUTPUT = "output"
ANSWERS = "answers"
CAMPAIGN_FILE = "campaign.jsonl"
ANSWERS_FILE = "answers.jsonl"
VERDICTS_FILE = "verdicts.jsonl"
SERVED = "served"
DATASET_CARD = "dataset.json"
EXPORTS = "exports"
TOKENIZER_REPORT = "report.json"
MAX_LABELS = 1_000

EXIT_OK = 0
EXIT_FAILED = 1
"""The trainer said why in an `error` event."""
EXIT_STOPPED = 3
"""Asked to stop; a checkpoint was saved where the stage has any."""


def spec_file(folder: Path, fence: int) -> Path:
    """Return where the spec of one attempt lies."""
    return folder / f"spec-{fence}.json"


def events_file(folder: Path, fence: int) -> Path:
    """Return where the events of one attempt lie."""
    return folder / f"events-{fence}.jsonl"


def log_file(folder: Path, fence: int) -> Path:
    """Return where the log of one attempt lies."""
    return folder / f"trainer-{fence}.log"


def stop_file(folder: Path, fence: int) -> Path:
    """Return the file whose being there asks the ranks of one attempt to stop."""
    return folder / f"stop-{fence}"


class ExportFile(BaseModel):
    """One file in `exports/` of a dataset."""

    model_config = ConfigDict(extra="forbid")

    name: str
    size: int
    sha256: str
    lines: int
    about: str
    """What is in it, in a sentence."""


class Split(BaseModel):
    """One split of a dataset; `shards` are Parquet files, in order."""

    model_config = ConfigDict(extra="forbid")

    rows: int
    bytes: int
    characters: int
    shards: list[str]


class PairFacts(BaseModel):
    """What matters of rows of preferences: how much of it is length, what is odd."""

    model_config = ConfigDict(extra="forbid")

    num_pairs: int
    num_prompts: int
    """Different ones; a pair without a prompt counts as one."""
    chosen_longer: int
    """Pairs whose chosen answer has more characters."""
    rejected_longer: int
    chosen_characters: int
    """In all chosen answers together."""
    rejected_characters: int
    contradictions: int = 0
    """Pairs that are there both ways round."""
    repeated: int = 0
    """Pairs beyond the first with the same prompt and the same two answers."""
    blank_differences: int = 0
    """Pairs whose answers differ in white space alone."""
    ties: int = 0
    """Rows of the source that prefer neither answer, left out."""
    num_voted: int = 0
    """Pairs of which the share of votes is known."""

    @property
    def same_length(self) -> int:
        """Pairs whose answers have equally many characters."""
        return self.num_pairs - self.chosen_longer - self.rejected_longer

    @property
    def longer_share(self) -> float:
        """How often the longer answer is the chosen one; equal lengths count half."""
        return (self.chosen_longer + self.same_length / 2) / self.num_pairs

    @property
    def length_baseline(self) -> float:
        """How often length alone is right, guessing the better way round."""
        return max(self.longer_share, 1 - self.longer_share)


class DatasetCard(BaseModel):
    """What `dataset.json` holds: all a page shows without opening a shard."""

    model_config = ConfigDict(extra="forbid")

    kind: str
    columns: list[str]
    rows: int
    bytes: int
    """UTF-8 bytes of text, before compression."""
    characters: int
    distinct_rows: int
    duplicate_rows: int
    skipped_rows: int = 0
    length_histogram: list[tuple[int, int]]
    """(upper bound in characters, rows) for powers of two."""
    splits: dict[str, Split]
    """`train` and, unless empty, `validation`."""
    content_sha256: str
    source_name: str
    source_sha256: str
    notes: list[str] = []
    """What a reader should know: decodings, stripped characters, duplicates."""
    layout: str = ""
    """How the source wrote its rows, in words."""
    mapping: dict[str, str] = {}
    """Which column of the source each part of a row came from."""
    exports: list[ExportFile] = []
    """What lies beside the rows of a dataset exported from a campaign."""
    longest_row: int = 0
    """In characters."""
    column_lengths: dict[str, list[tuple[int, int]]] = {}
    """For kinds of several columns, a histogram like `length_histogram` for each."""
    turns: list[tuple[int, int]] = []
    """(turns in a conversation, or in a prompt of several columns of turns, rows)."""
    roles: dict[str, int] = {}
    """Turns by who speaks."""
    unanswered_rows: int = 0
    """Conversations in which the assistant says nothing."""
    labels: list[tuple[str, int]] = []
    """(label, rows), the most frequent first; at most `MAX_LABELS`. Of prompts their
    categories."""
    num_labels: int = 0
    shared_prompts: int = 0
    """Different rows beyond the first one with the same prompt (or text to label)."""
    chat_rows: int = 0
    """Preferences or prompts that are conversations; the others are plain text."""
    pairs: PairFacts | None = None
    """Of preferences alone."""


class TokenizerReport(BaseModel):
    """What `report.json` holds: how well a tokenizer fits held-out text."""

    model_config = ConfigDict(extra="forbid")

    algorithm: str
    vocabulary_size: int
    special_tokens: dict[str, int]
    bytes_per_token: float
    characters_per_token: float
    unused_tokens: int
    """Vocabulary never produced on the held-out text."""
    unknown_tokens: int
    measured_bytes: int
    measured_on: str
    """Which split was measured: `validation`, or `train` where there is none."""
    is_lossless: bool
    """Whether decoding gives every byte of any UTF-8 text back."""
    sha256: str
