import gzip
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runspec import TokenizerSpec
from runspec.events import Progress, Result, Warning  # noqa: A004
from runspec.layout import DatasetCard, Split, TokenizerReport
from trainer.errors import BadInputError, Stopped
from trainer.tokenizer import build_tokenizer, load_tokenizer, run_tokenizer

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"
WORDS = "the quick brown fox jumps over a lazy dog while eight queens play chess"
TEXTS = [" ".join(WORDS.split()[at:] + WORDS.split()[:at]) + ".\n" for at in range(14)]
BYTE_LEVEL = ["bpe", "unigram", "bytes"]
ALL = [*BYTE_LEVEL, "characters", "wordpiece"]


class FakeContext:
    """As much of a context as this stage uses; checks what is reported."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.report = self
        self.stop = threading.Event()
        self.units: set[str] = set()
        self.warnings: list[str] = []
        self.results: list[dict[str, Any]] = []

    def progress(self, **values: Any) -> None:
        self.units.add(Progress(**values).unit)

    def warning(self, message: str) -> None:
        self.warnings.append(Warning(message=message).message)

    def result(self, **values: Any) -> None:
        self.results.append(Result(values=values).values)


def write_dataset(folder: Path, splits: dict[str, list[str]]) -> Path:
    folder.mkdir()
    made = {}
    for name, texts in splits.items():
        pq.write_table(pa.table({"text": texts}), folder / f"{name}.parquet")
        characters = sum(map(len, texts))
        made[name] = Split(
            rows=len(texts),
            bytes=sum(len(text.encode()) for text in texts),
            characters=characters,
            shards=[f"{name}.parquet"],
        )
    card = DatasetCard(
        kind="text",
        columns=["text"],
        rows=sum(split.rows for split in made.values()),
        bytes=sum(split.bytes for split in made.values()),
        characters=sum(split.characters for split in made.values()),
        distinct_rows=1,
        duplicate_rows=0,
        length_histogram=[],
        splits=made,
        content_sha256="",
        source_name="texts",
        source_sha256="",
    )
    (folder / "dataset.json").write_text(card.model_dump_json())
    return folder


def learn(
    tmp_path: Path, algorithm: str, splits: dict[str, list[str]], **settings: Any
) -> tuple[Path, TokenizerReport, FakeContext]:
    dataset = write_dataset(tmp_path / "dataset", splits)
    context = FakeContext(tmp_path)
    spec = TokenizerSpec(dataset=str(dataset), algorithm=algorithm, **settings)
    run_tokenizer(spec, context=context)
    output = tmp_path / "output"
    report = (output / "report.json").read_text()
    return output, TokenizerReport.model_validate_json(report), context


@pytest.mark.parametrize("algorithm", ALL)
def test_transformers_loads_it_and_gives_the_same_ids(algorithm, tmp_path):
    from transformers import AutoTokenizer

    output, report, _ = learn(tmp_path, algorithm, {"train": TEXTS})
    own = load_tokenizer(output)
    theirs = AutoTokenizer.from_pretrained(output)
    text = "the lazy fox <|endoftext|> jumps"
    ids = own.encode(text).ids
    assert theirs(text)["input_ids"] == ids
    assert len(theirs) == report.vocabulary_size
    assert theirs.eos_token_id == report.special_tokens["<|endoftext|>"]
    assert theirs.pad_token_id is not None
    assert not {theirs.eos_token_id, theirs.pad_token_id} & set(ids)


@pytest.mark.parametrize("algorithm", ["bpe", "bytes", "characters"])
def test_a_japanese_novel_comes_back_exactly(algorithm, tmp_path):
    from transformers import AutoTokenizer

    if not SHARED.is_dir():
        pytest.skip("the folder of real texts is not on this machine")
    packed = (SHARED / "data/pretrain/ja_wagahai.txt.gz").read_bytes()
    novel = gzip.decompress(packed).decode()
    odd = (SHARED / "data_bad/control_and_bidi.txt").read_bytes().decode()
    output, report, _ = learn(tmp_path, algorithm, {"train": [novel, odd]})
    own = load_tokenizer(output)
    theirs = AutoTokenizer.from_pretrained(output)
    for text in (novel, odd):
        ids = own.encode(text).ids
        assert own.decode(ids, skip_special_tokens=False) == text
        assert theirs.decode(ids) == text
    assert report.is_lossless == (algorithm != "characters")


BUILT = {
    algorithm: build_tokenizer(
        TokenizerSpec(dataset="-", algorithm=algorithm), iter(TEXTS)
    )
    for algorithm in BYTE_LEVEL
}


@pytest.mark.parametrize("algorithm", BYTE_LEVEL)
@settings(max_examples=200, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back_exactly(algorithm, text):
    tokenizer = BUILT[algorithm]
    tokenizer.encode_special_tokens = True
    ids = tokenizer.encode(text).ids
    assert tokenizer.decode(ids, skip_special_tokens=False) == text


def test_bytes_are_their_own_ids(tmp_path):
    output, report, _ = learn(tmp_path, "bytes", {"train": TEXTS})
    text = "aé日\0\n"
    assert load_tokenizer(output).encode(text).ids == list(text.encode())
    assert report.vocabulary_size == 256 + len(report.special_tokens)
    assert report.bytes_per_token == 1


def test_characters_are_those_of_the_training_text(tmp_path):
    output, report, _ = learn(
        tmp_path, "characters", {"train": ["abc\n"], "validation": ["abz"]}
    )
    tokenizer = load_tokenizer(output)
    assert report.vocabulary_size == 4 + len(report.special_tokens)
    assert report.unknown_tokens == 1
    assert report.unused_tokens == 2
    assert report.measured_on == "validation"
    assert tokenizer.decode(tokenizer.encode("cab\n").ids) == "cab\n"


def test_tiny_shakespeare_has_65_characters(tmp_path):
    if not SHARED.is_dir():
        pytest.skip("the folder of real texts is not on this machine")
    text = (SHARED / "data/pretrain/tinyshakespeare.txt").read_text()
    _, report, _ = learn(tmp_path, "characters", {"train": [text]})
    assert report.vocabulary_size - len(report.special_tokens) == 65


def test_wordpiece_has_the_tokens_of_bert(tmp_path):
    from transformers import AutoTokenizer

    output, report, _ = learn(
        tmp_path,
        "wordpiece",
        {"train": TEXTS},
        vocabulary_size=100,
        lowercase=True,
        special_tokens=("<|user|>",),
    )
    theirs = AutoTokenizer.from_pretrained(output)
    assert theirs.mask_token == "[MASK]"
    assert theirs.pad_token == "[PAD]"
    assert "<|user|>" in theirs.all_special_tokens
    assert report.special_tokens["<|user|>"] == 6
    assert theirs("THE FOX")["input_ids"] == theirs("the fox")["input_ids"]


@pytest.mark.parametrize("algorithm", ALL)
def test_special_tokens_in_a_text_are_parsed_only_where_asked(algorithm, tmp_path):
    from transformers import AutoTokenizer

    output, report, _ = learn(
        tmp_path, algorithm, {"train": TEXTS}, special_tokens=("<|user|>",)
    )
    theirs = AutoTokenizer.from_pretrained(output)
    special = report.special_tokens["<|user|>"]
    assert special not in theirs("the <|user|> fox")["input_ids"]
    asked = theirs("the <|user|> fox", split_special_tokens=False)["input_ids"]
    assert special in asked


def test_a_vocabulary_below_the_bytes_is_refused(tmp_path):
    with pytest.raises(BadInputError, match="256 bytes"):
        learn(tmp_path, "bpe", {"train": TEXTS}, vocabulary_size=200)


def test_the_vocabulary_has_the_size_asked_for(tmp_path):
    _, report, context = learn(
        tmp_path, "bpe", {"train": TEXTS}, vocabulary_size=280, special_tokens=("<a>",)
    )
    assert report.vocabulary_size == 280
    assert not context.warnings
    assert context.results[0]["vocabulary_size"] == 280
    assert context.units == {"characters"}


def test_a_text_too_poor_for_the_size_is_told(tmp_path):
    _, report, context = learn(tmp_path, "bpe", {"train": ["ab"]})
    assert report.vocabulary_size < 4096
    assert "4,096" in context.warnings[0]


def test_learning_reads_no_more_than_it_may(tmp_path):
    texts = ["a" * 1000, "b" * 1000, "c" * 1000]
    _, report, _ = learn(
        tmp_path, "characters", {"train": texts}, max_training_characters=1500
    )
    assert report.vocabulary_size == 2 + len(report.special_tokens)


def test_a_stop_is_answered_at_once_while_learning(tmp_path):
    texts = [f"{at} {WORDS} {at * 7919}" for at in range(200_000)]
    dataset = write_dataset(tmp_path / "dataset", {"train": texts})
    context = FakeContext(tmp_path)
    threading.Timer(0.5, context.stop.set).start()
    start = time.monotonic()
    spec = TokenizerSpec(
        dataset=str(dataset), algorithm="unigram", vocabulary_size=50_000
    )
    with pytest.raises(Stopped):
        run_tokenizer(spec, context=context)
    assert time.monotonic() - start < 5
    assert not (tmp_path / "output").exists()


def test_the_stages_load_no_torch():
    code = (
        "import sys, trainer.tokenizer, trainer.ingest;"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    environment = {"PYTHONPATH": ":".join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_the_report_is_what_the_files_say(tmp_path):
    output, report, _ = learn(
        tmp_path, "bpe", {"train": TEXTS, "validation": TEXTS[:3]}, vocabulary_size=300
    )
    stored = json.loads((output / "tokenizer.json").read_text())
    assert len(stored["model"]["vocab"]) == report.vocabulary_size
    text = "".join(TEXTS[:3])
    assert report.measured_bytes == len(text)
    ids = [len(load_tokenizer(output).encode(row).ids) for row in TEXTS[:3]]
    assert report.bytes_per_token == pytest.approx(len(text) / sum(ids))
