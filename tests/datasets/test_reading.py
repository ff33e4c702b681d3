"""What a file was taken for is shown on its rows, and corrected before it is stored."""

import json
import re
import subprocess
import sys

import pytest
from django.test import Client
from django.urls import reverse
from trivium import storage
from trivium.datasets import looking
from trivium.datasets.models import Upload
from trivium.projects.models import Project

ASK = {"role": "user", "content": "<b>Who?</b>"}
SAY = {"role": "assistant", "content": "\u05d0\u05d3\u05d4 \u202egnp"}


def jsonl(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.fixture
def kept(project: Project, bob):
    """Keep a file as if it had been sent; return the address of its page."""

    def keep(content: bytes, name: str) -> str:
        key, path = storage.new_upload()
        path.write_bytes(content)
        storage.publish(path, key)
        upload = Upload.objects.create(
            project=project, created_by=bob, file_name=name, path=key
        )
        return reverse("datasets:upload", args=["grammar", upload.pk])

    return keep


def options(page: str, field: str) -> list[str]:
    """Return the value chosen in a select, and then all it offers."""
    found = re.search(rf'<select name="{field}".*?</select>', page, re.DOTALL)
    assert found is not None, field
    chosen = re.findall(r'value="([^"]*)" selected', found[0])
    return [*chosen, "|", *re.findall(r'value="([^"]*)"', found[0])]


def test_instructions_are_recognised_and_shown_as_stored(kept, bobs: Client):
    row = {"instruction": "Add.", "input": "1, 2", "output": "3", "id": 7}
    page = bobs.get(kept(jsonl(row), "rows.jsonl")).text
    assert "Recognised: Alpaca" in page
    assert options(page, "dataset_kind")[0] == "instructions"
    assert options(page, "part_prompt")[:2] == ["instruction", "|"]
    assert options(page, "part_completion")[0] == "output"
    assert options(page, "part_input")[2:] == [
        "", "instruction", "input", "output", "id",
    ]  # fmt: skip
    assert "Add.\n\n1, 2" in page


def test_turns_are_shown_as_bubbles_and_cannot_do_harm(kept, bobs: Client):
    page = bobs.get(kept(jsonl({"messages": [ASK, SAY]}), "rows.jsonl")).text
    assert "Recognised: OpenAI messages" in page
    assert 'class="turn turn--user"' in page
    assert 'class="turn turn--assistant"' in page
    assert "&lt;b&gt;Who?&lt;/b&gt;" in page
    assert "\u202e" not in page


def test_another_column_redraws_the_rows_alone(kept, bobs: Client):
    rows = jsonl({"prompt": "a", "completion": "short", "long_answer": "at length"})
    chosen = {
        "dataset_kind": "instructions",
        "shown_kind": "instructions",
        "part_prompt": "prompt",
        "part_completion": "long_answer",
    }
    piece = bobs.get(kept(rows, "r.jsonl"), chosen, headers={"HX-Request": "true"}).text
    assert "<html" not in piece
    stored = piece.split("As it will be stored")[1]
    assert "at length" in stored
    assert "short" not in stored
    assert options(piece, "part_completion")[0] == "long_answer"


def test_another_kind_forgets_the_columns_of_the_last(kept, bobs: Client):
    rows = jsonl({"text": "a", "label": "b", "prompt": "c", "completion": "d"})
    chosen = {
        "dataset_kind": "labelled",
        "shown_kind": "instructions",
        "part_prompt": "prompt",
        "part_text": "completion",
    }
    piece = bobs.get(kept(rows, "r.jsonl"), chosen, headers={"HX-Request": "true"}).text
    assert options(piece, "part_text")[0] == "text"
    assert options(piece, "part_label")[0] == "label"
    assert "Read as labelled" in piece


def test_a_table_that_does_not_tell_is_asked_about(kept, bobs: Client):
    page = bobs.get(kept(b"a,b\nc,d\n", "r.csv")).text
    assert "What are its rows?" in page
    assert options(page, "dataset_kind")[:3] == ["", "|", ""]
    assert "The first row, column by column" in page
    chosen = {"dataset_kind": "text-to-text", "shown_kind": ""}
    page = bobs.get(kept(b"a,b\nc,d\n", "r.csv"), chosen).text
    assert "which one is the prompt?" in page
    assert options(page, "part_prompt")[1:] == ["|", "", "a", "b"] or (
        options(page, "part_prompt") == ["", "|", "", "a", "b"]
    )


def test_bad_rows_are_named_before_anything_is_stored(kept, bobs: Client):
    rows = jsonl({"text": "a", "label": 1}, {"text": "b", "label": None})
    page = bobs.get(kept(rows, "r.jsonl")).text
    assert "1 of the first 2 rows cannot be taken" in page
    assert "line 2" in page
    assert "&quot;label&quot; is null" in page


def test_plain_text_needs_no_columns(kept, bobs: Client):
    page = bobs.get(kept(b"Once.\n\nTwice.", "book.txt"), {"text_rows": "file"}).text
    assert "Recognised: plain text" in page
    assert "part_" not in page
    assert options(page, "text_rows")[0] == "file"
    assert options(page, "dataset_kind")[1:] == ["|", "text", "prompts"]


@pytest.mark.parametrize(
    ("content", "name", "sentence"),
    [
        (b"", "r.jsonl", "r.jsonl is empty"),
        (b"x", "model.pt", "never opened here"),
        (b"PAR1", "r.parquet", "not a readable Parquet file"),
        (b"x", "r.jsonl.gz", "not a gzip file"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_sentence(
    content, name, sentence, kept, bobs: Client
):
    page = bobs.get(kept(content, name))
    assert page.status_code == 200
    assert sentence in page.text
    assert "Nothing was stored" in page.text
    assert "Bring it in" not in page.text


def test_hostile_names_of_columns_are_only_names(kept, bobs: Client, shared_dir):
    content = (shared_dir / "data_bad" / "html_in_keys.jsonl").read_bytes()
    page = bobs.get(kept(content, "r.jsonl")).text
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page


def test_a_file_that_is_gone_is_said_to_be(kept, bobs: Client):
    address = kept(b"x", "a.txt")
    storage.delete(Upload.objects.get().path)
    assert "The file is gone" in bobs.get(address).text


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch):
    """Let the child process run this code instead."""
    run = subprocess.run

    def replace(code: str) -> None:
        monkeypatch.setattr(
            looking.subprocess,
            "run",
            lambda _, **more: run([sys.executable, "-c", code], **more),
        )

    return replace


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("import os; os.abort()", "more memory or time"),
        ("print('{}' * 20_000_000)", "more memory or time"),
        ("print('[')", "does not end as it should"),
        ("import time; time.sleep(60)", "takes longer than 0.5 s"),
    ],
)
def test_whatever_becomes_of_the_child_is_a_sentence(
    code, sentence, child, monkeypatch: pytest.MonkeyPatch
):
    child(code)
    monkeypatch.setattr(looking, "WALL_S", 0.5 if "sleep" in code else 30.0)
    assert sentence in looking.look("x", "x", {}).error


def test_the_kernel_holds_the_child_to_its_memory(tmp_path):
    greedy = (
        "from trainer.ingest import look\n"
        "look.MEMORY_BYTES = 600 * 2**20\n"
        "look.look = lambda *_: bytearray(2**30)\n"
        "look.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", greedy],
        input=b'{"source": "x", "file_name": "x", "settings": {}}',
        env={"PYTHONPATH": str(looking.WORKERS)},
        capture_output=True,
        check=False,
    )
    assert b"MemoryError" in done.stderr
