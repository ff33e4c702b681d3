"""Looking at what runs made: rows of a dataset, tokens of a text, files of a model."""

import hashlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from runspec.layout import DatasetCard, Split
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from trivium import storage
from trivium.datasets.models import DatasetVersion
from trivium.models.models import LanguageModel


@pytest.fixture
def rows_address(version, tmp_path) -> str:
    """A version of 1,000 rows in two shards of small row groups."""
    folder = tmp_path / "made"
    folder.mkdir()
    texts = [f"row {number}" for number in range(1000)]
    texts[7] = "long " * 10_000
    for name, part in {"a": texts[:600], "b": texts[600:]}.items():
        pq.write_table(
            pa.table({"text": part}), folder / f"{name}.parquet", row_group_size=100
        )
    card = DatasetCard(
        kind="text",
        columns=["text"],
        rows=1000,
        bytes=1,
        characters=1,
        distinct_rows=1000,
        duplicate_rows=0,
        length_histogram=[],
        splits={
            "train": Split(
                rows=1000, bytes=1, characters=1, shards=["a.parquet", "b.parquet"]
            )
        },
        content_sha256="0" * 64,
        source_name="x",
        source_sha256="0" * 64,
    )
    DatasetVersion.objects.filter(pk=version.pk).update(
        path=storage.publish(folder, "datasets/x"), card=card.model_dump(mode="json")
    )
    return f"/datasets/{version.dataset_id}/versions/1/rows"


@pytest.mark.parametrize(
    ("offset", "limit"), [(0, 3), (95, 10), (598, 5), (990, 100), (1000, 5)]
)
def test_rows_are_read_across_groups_and_shards(offset, limit, ada, rows_address):
    found = ada.get(rows_address, offset=offset, limit=limit).json()
    expected = list(range(offset, min(offset + limit, 1000)))
    assert [item["row"] for item in found["items"]] == expected
    assert [item["values"]["text"] for item in found["items"]] == [
        f"row {number}" for number in expected
    ]
    assert found["total"] == 1000


def test_a_long_text_is_cut_and_said_to_be(ada, rows_address):
    found = ada.get(rows_address, offset=6, limit=2, max_characters=100).json()
    assert [item["is_cut"] for item in found["items"]] == [False, True]
    assert len(found["items"][1]["values"]["text"]) == 100


def test_a_split_that_is_not_there_is_not_found(ada, rows_address):
    assert ada.get(rows_address, split="validation").status_code == 404


def test_rows_of_a_version_being_prepared_are_not_found(ada, version):
    address = f"/datasets/{version.dataset_id}/versions/1/rows"
    assert ada.get(address).status_code == 404


@pytest.fixture
def tokenizer_address(tokenizer_run, tmp_path) -> str:
    folder = tmp_path / "tokenizer"
    folder.mkdir()
    made = Tokenizer(models.WordLevel({"a": 0, "b": 1, "?": 2}, unk_token="?"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.add_special_tokens([AddedToken("<|end|>", special=True)])
    made.save(str(folder / "tokenizer.json"))
    tokenizer = tokenizer_run.tokenizer
    tokenizer.path = storage.publish(folder, f"tokenizers/{tmp_path.name}")
    tokenizer.save(update_fields=["path"])
    return f"/tokenizers/{tokenizer.pk}"


def test_a_text_is_split_and_special_tokens_are_plain_text(ada, tokenizer_address):
    found = ada.post(f"{tokenizer_address}/try", {"text": "a <|end|> b"}).json()
    assert [token["id"] for token in found["tokens"]] == [0, 2, 1]
    assert [(token["start"], token["end"]) for token in found["tokens"]] == [
        (0, 1),
        (2, 9),
        (10, 11),
    ]
    assert (found["num_tokens"], found["num_bytes"]) == (3, 11)


def test_a_tokenizer_being_prepared_splits_nothing(ada, tokenizer_run):
    refused = ada.post(f"/tokenizers/{tokenizer_run.tokenizer.pk}/try", {"text": "a"})
    assert refused.status_code == 409


def test_a_tokenizers_file_is_sent_as_it_is(ada, tokenizer_address):
    listed = ada.get(f"{tokenizer_address}/files").json()["items"]
    assert [file["name"] for file in listed] == ["tokenizer.json"]
    sent = ada.get(f"{tokenizer_address}/files/tokenizer.json")
    content = b"".join(sent.streaming_content)
    assert hashlib.sha256(content).hexdigest() == listed[0]["sha256"]
    assert sent["Content-Disposition"].startswith("attachment")
    assert sent["Content-Security-Policy"] == "sandbox"


@pytest.mark.parametrize(
    "name", ["../secret", "..%2fsecret", "%2e%2e/secret", "/etc/passwd", "a%00b", "."]
)
def test_no_name_leads_out_of_a_folder(name, ada, project, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "link").symlink_to("/etc/passwd")
    key = storage.publish(folder, "models/1-1")
    (storage.local_copy(key).parent / "secret").write_text("secret")
    model = LanguageModel.objects.create(
        project=project,
        name="m",
        stage="base",
        architecture="decoder",
        family="llama",
        path=key,
    )
    assert ada.get(f"/models/{model.pk}/files/{name}").status_code == 404
    assert ada.get(f"/models/{model.pk}/files/link").status_code == 404
    sound = ada.get(f"/models/{model.pk}/files/config.json")
    assert b"".join(sound.streaming_content) == b"{}"
