import gzip
import io
import json
import tarfile
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ROWS = ["one", 'two, "quoted"', "three\nlines\nhere", "vier, fünf", "five\u2028six"]
KEEP = {"validation_fraction": 0, "text_column": "text"}


def as_jsonl(rows):
    return "".join(json.dumps({"id": 1, "text": row}) + "\n" for row in rows).encode()


def as_csv(rows):
    quoted = ('"' + row.replace('"', '""') + '"' for row in rows)
    return ("id,text\n" + "".join(f"1,{row}\n" for row in quoted)).encode()


def as_parquet(rows):
    sink = io.BytesIO()
    pq.write_table(pa.table({"id": [1] * len(rows), "text": rows}), sink)
    return sink.getvalue()


FORMATS = {
    "jsonl": as_jsonl,
    "json": lambda rows: json.dumps([{"text": row} for row in rows], indent=1).encode(),
    "csv": as_csv,
    "parquet": as_parquet,
}
ENDINGS = [*FORMATS, "txt", "tsv", "zip", "tar", "txt.gz", "jsonl.zst"]
PACKINGS = {
    "": lambda content: content,
    ".gz": gzip.compress,
    ".zst": zstandard.ZstdCompressor().compress,
}


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("ending", FORMATS)
def test_each_format_gives_the_same_rows(ending, packing, ingest):
    content = PACKINGS[packing](FORMATS[ending](ROWS))
    made = ingest(content, f"rows.{ending}{packing}", **KEEP)
    assert made.card is not None, made.error
    assert made.texts() == ROWS


def test_the_content_hash_is_that_of_the_rows(ingest):
    hashes = {
        ingest(FORMATS[ending](ROWS), f"rows.{ending}", **KEEP).card.content_sha256
        for ending in FORMATS
    }
    other = ingest(as_jsonl([*ROWS, "more"]), "rows.jsonl", **KEEP)
    assert len(hashes) == 1
    assert other.card.content_sha256 not in hashes


def test_tabs_separate_and_quotes_are_characters(ingest):
    made = ingest('id\ttext\n1\tsay "hi"\n', "rows.tsv", **KEEP)
    assert made.texts() == ['say "hi"']


def zip_of(members):
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return sink.getvalue()


def tar_of(members):
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return sink.getvalue()


MEMBERS = {
    "a/one.txt": b"first paragraph\n\nsecond",
    "two.jsonl.gz": gzip.compress(as_jsonl(["third"])),
    "three.parquet": as_parquet(["fourth"]),
    ".hidden.txt": b"no",
    "picture.png": b"\x89PNG",
}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("pack.zip", zip_of(MEMBERS)),
        ("pack.tar", tar_of(MEMBERS)),
        ("pack.tgz", gzip.compress(tar_of(MEMBERS))),
        ("pack.tar.zst", zstandard.ZstdCompressor().compress(tar_of(MEMBERS))),
    ],
)
def test_an_archive_is_read_member_by_member(name, content, ingest):
    made = ingest(content, name, validation_fraction=0)
    assert made.card is not None, made.error
    assert made.texts() == ["first paragraph", "second", "third", "fourth"]
    assert "picture.png" in made.notes()
    left = {path.name for path in made.folder.rglob("*") if path.is_file()}
    assert left == {"dataset.json", "train-00000.parquet"}


@pytest.mark.parametrize("name", ["/etc/x.txt", "a/../../x.txt", "a\\b.txt", "C:x.txt"])
@pytest.mark.parametrize("pack", [zip_of, tar_of])
def test_an_unsafe_member_condemns_the_archive(pack, name, ingest):
    content = pack({"good.txt": b"good", name: b"evil"})
    made = ingest(content, "pack.zip" if pack is zip_of else "pack.tar")
    assert "not safe" in made.error


def test_bad_rows_of_a_member_are_named_with_it(ingest):
    made = ingest(zip_of({"x.jsonl": b'{"text": "a"}\n{"text": 3}\n'}), "pack.zip")
    assert "x.jsonl line 2" in made.error


def test_a_zip_bomb_is_stopped(ingest):
    made = ingest(zip_of({"x.txt": bytes(60_000_000).replace(b"\0", b"a")}), "x.zip")
    assert "max_expansion_ratio" in made.error


def test_a_zstd_bomb_is_stopped(ingest):
    bomb = zstandard.ZstdCompressor().compress(b"a" * 60_000_000)
    assert "max_expansion_ratio" in ingest(bomb, "x.txt.zst").error


def test_a_truncated_zstd_file_is_refused(ingest):
    content = zstandard.ZstdCompressor().compress(as_jsonl(ROWS))
    made = ingest(content[:-3], "x.jsonl.zst", **KEEP)
    assert "truncated" in made.error or "damaged" in made.error


def test_an_unknown_ending_is_refused_with_the_known_ones(ingest):
    made = ingest("text", "notes.docx")
    assert ".docx" in made.error
    assert "jsonl" in made.error


def test_the_named_format_wins_over_the_ending(ingest):
    made = ingest(as_jsonl(ROWS), "rows.data", file_format="jsonl", **KEEP)
    assert made.texts() == ROWS


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ('[{"text": "a"},\n{"text": "b"}\n', 3),
        ('[{"text": "a"},\n{"text": }]', 2),
        ('[{"text": "a"}\n\n{"text": "b"}]', 3),
        ('[{"text": "a"}]\n[]', 2),
    ],
)
def test_a_broken_array_names_the_line(content, line, ingest):
    made = ingest(content, "rows.json")
    assert f"line {line}" in made.error


def test_an_array_larger_than_what_is_read_at_once(ingest):
    rows = [f"{number} " + "x" * (number * 37 % 5_000) for number in range(2_000)]
    content = json.dumps([{"text": row} for row in rows])
    made = ingest(content, "rows.json", **KEEP)
    assert made.texts() == rows


def test_a_text_without_an_ending_is_text(ingest):
    assert ingest("just text", "README", validation_fraction=0).texts() == ["just text"]


# The fixture only makes fresh folders: sharing it between examples is harmless.
@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_a_whole_file_is_kept_exactly(ingest, text):
    made = ingest(text, "any.txt", text_rows="file", split="tail")
    # A mark at the start is how files name their encoding: it is not text.
    text = text.removeprefix("\ufeff")
    if not text.strip(" \t\n\r\x0b\x0c"):
        assert made.card is None
    else:
        assert "".join(made.all_texts()) == text


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.binary(max_size=300), st.sampled_from(ENDINGS))
def test_no_bytes_crash_it(ingest, content, ending):
    made = ingest(content, f"any.{ending}")
    assert made.card is not None or made.error
