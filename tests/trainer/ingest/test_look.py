"""A look says what a file is, keeps nothing, and survives any file."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from runspec.looking import Look
from trainer.ingest import look as looking
from trainer.ingest.kinds import KINDS

WORKERS = Path(looking.__file__).parents[2]
REAL = {
    "sft/floresv1_dev.jsonl.gz": ("text-to-text", "src"),
    "sft/gpteacher_codegen.jsonl.gz": ("instructions", "instruction"),
    "sft/gpteacher_roleplay.jsonl.gz": ("instructions", "instruction"),
    "sft/gpteacher_toolformer.jsonl.gz": ("instructions", "instruction"),
    "sft/gsm8k_train.jsonl.gz": ("instructions", "question"),
    "sft/oasst_en_100_tree.jsonl.gz": ("conversations", "prompt"),
    "sft/oasst_threads.parquet": ("conversations", "messages"),
    "sft/rasbt_instructions.jsonl.gz": ("instructions", "instruction"),
    "sft/self_instruct_seed_tasks.jsonl.gz": ("instructions", "instruction"),
    "evals/sentence_polarity.jsonl.gz": ("labelled", "text"),
    "evals/humaneval.jsonl.gz": ("prompts", "prompt"),
    "pref/oasst_ranked_pairs.jsonl.gz": ("preferences", "prompt"),
    "pretrain/bible_multilingual.jsonl.gz": ("text", "text"),
    "pretrain/tinyshakespeare.txt": ("text", ""),
}
"""Files, each with its kind and the column of its first part."""


@pytest.fixture
def see(tmp_path):
    """Look at a file, or at content."""

    def run(source: Path | str | bytes, name: str = "", **settings) -> Look:
        if not isinstance(source, Path):
            content = source.encode() if isinstance(source, str) else source
            source = tmp_path / "source"
            source.write_bytes(content)
        before = set(tmp_path.iterdir())
        work = tmp_path / f"work-{len(before)}"
        work.mkdir()
        return looking.look(str(source), name or source.name, settings, work)

    return run


def jsonl(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.mark.parametrize("name", REAL)
def test_a_real_file_is_recognised(name, see, real_files):
    found = see(real_files / name)
    kind, column = REAL[name]
    assert (found.error, found.question) == ("", "")
    assert (found.kind, found.is_recognised) == (kind, True)
    assert next(iter(found.mapping.values()), "") == column
    assert found.rows
    assert all(row.values for row in found.rows)
    assert found.num_bad == 0


def test_a_table_without_names_is_asked_about(see, real_files):
    found = see(real_files / "sft" / "wikisplit_tune.tsv.gz")
    assert (found.kind, found.error) == ("", "")
    assert "What are its rows?" in found.question
    assert [column.name for column in found.columns] == ["column 1", "column 2"]


def test_every_broken_file_gets_an_answer(see, bad_files):
    for path in bad_files.iterdir():
        found = see(path)
        assert found.error or found.question or found.rows, path.name
        assert len(found.model_dump_json()) < 2_000_000, path.name


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_no_chosen_kind_brings_a_look_down(kind, see, bad_files):
    for path in bad_files.glob("*.jsonl"):
        found = see(path, dataset_kind=kind)
        assert found.error or found.question or found.rows, path.name


def test_what_a_look_shows_is_what_is_stored(see, ingest, real_files):
    for name in ("sft/rasbt_instructions.jsonl.gz", "sft/oasst_en_100_tree.jsonl.gz"):
        seen = see(real_files / name)
        made = ingest(
            real_files / name,
            dataset_kind=seen.kind,
            columns=seen.mapping,
            validation_fraction=0,
        )
        shown = [row.values for row in seen.rows]
        assert shown == made.rows()[: len(shown)]


def test_columns_may_be_changed(see):
    row = {"prompt": "a", "completion": "b", "other": "c"}
    chosen = {"prompt": "other", "completion": "prompt"}
    found = see(jsonl(row), "r.jsonl", dataset_kind="instructions", columns=chosen)
    values = {"prompt": "c", "completion": "a", "system": None}
    assert found.rows[0].values == values
    assert found.mapping == chosen


def test_bad_rows_are_counted_and_named(see):
    rows = jsonl({"text": "a", "label": "x"}, {"text": "b"}, {"text": "", "label": "y"})
    found = see(rows + "{", "r.jsonl")
    assert (found.kind, found.num_rows, found.num_bad) == ("labelled", 4, 3)
    told = {row.place: row.reason for row in found.rows if row.reason}
    assert list(told) == ["line 2", "line 3", "line 4"]
    assert 'no column "label"' in told["line 2"]


def test_conversations_nobody_answers_are_shown_as_kept_or_bad(see):
    ask = {"messages": [{"role": "user", "content": "?"}]}
    say = {"messages": [*ask["messages"], {"role": "assistant", "content": "!"}]}
    found = see(jsonl(ask, ask), "r.jsonl")
    assert found.num_bad == 0
    assert "no conversation has an assistant turn" in found.notes
    found = see(jsonl(ask, say), "r.jsonl")
    assert [row.reason for row in found.rows if row.reason] == [
        "nobody answers: it has no assistant turn"
    ]


def test_long_texts_are_cut_and_long_talks_too(see):
    turns = [{"role": "user", "content": "a" * 30_000}] * 100
    found = see(jsonl({"messages": turns}), "r.jsonl")
    shown = found.rows[0].values["messages"]
    assert len(shown) == looking.SHOWN_TURNS
    assert len(shown[0]["content"]) == looking.SHOWN_CHARACTERS


def test_a_wrong_setting_is_a_sentence(see):
    found = see("a", "r.csv", dataset_kind="labelled", columns={"prompt": "a"})
    assert "rows of labelled have no part" in found.error


def test_pairs_of_preferences_are_not_taken_for_instructions(see):
    found = see(jsonl({"prompt": "p", "chosen": "a", "rejected": "b"}), "r.jsonl")
    assert (found.kind, found.question) == ("preferences", "")


def test_only_the_first_file_of_an_archive_is_looked_at(see, tmp_path):
    import zipfile

    path = tmp_path / "many.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("one.csv", "text,label\na,b\n")
        archive.writestr("two.jsonl", "not json")
    found = see(path)
    assert (found.file, found.kind) == ("one.csv", "labelled")


def test_the_child_answers_in_json(tmp_path):
    source = tmp_path / "r.csv"
    source.write_text("text,label\na,b\n")
    request = {"source": str(source), "file_name": "r.csv", "settings": {}}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "trainer.ingest.look"],
        input=json.dumps(request).encode(),
        env={"PYTHONPATH": str(WORKERS)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert Look.model_validate_json(done.stdout).kind == "labelled"


def test_a_look_loads_neither_torch_nor_django():
    code = (
        "import sys, trainer.ingest.look; "
        "print([name for name in ('torch', 'transformers', 'django') "
        "if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(WORKERS)},
        capture_output=True,
        check=True,
    )
    assert done.stdout.strip() == b"[]"
