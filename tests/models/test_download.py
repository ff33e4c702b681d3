"""Downloads: what is in them, their size, and how a broken one goes on."""

import hashlib
import io
import json
import zipfile
from pathlib import Path

import pytest
from asgiref.sync import async_to_sync
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.test import AsyncClient
from django.urls import reverse
from tiny_models import write_model
from trivium import storage
from trivium.accounts.models import User
from trivium.models import archive
from trivium.models.archive import Entry, text_entry, zip_parts, zip_size
from trivium.models.download import entries_of
from trivium.models.models import LanguageModel
from trivium.models.services import publish_model
from trivium.runs.models import Run


@pytest.fixture
def tiny(model: LanguageModel, tmp_path: Path) -> LanguageModel:
    """A real model with an adapter beside it, published as a run would."""
    folder = write_model(tmp_path / "tiny", "llama")
    (folder / "README.md").write_text("---\nlicense: x\n---\n# Card\n")
    (folder / "adapter").mkdir()
    (folder / "adapter" / "adapter_model.safetensors").write_bytes(b"weights")
    config = {"base_model_name_or_path": "/srv/trivium/models/7-1", "r": 8}
    (folder / "adapter" / "adapter_config.json").write_text(json.dumps(config))
    run = Run.objects.get(kind=Run.Kind.PRETRAIN)
    LanguageModel.objects.update(**publish_model(run, folder, {"parameters": 1}))
    return LanguageModel.objects.get()


def fetch(
    user: User, model: LanguageModel, query: str = "", **headers: str
) -> tuple[HttpResponse | StreamingHttpResponse, bytes]:
    """Ask the way an async server does."""
    url = reverse("models:download", args=[model.project.slug, model.pk]) + query

    async def ask() -> tuple[HttpResponse | StreamingHttpResponse, bytes]:
        client = AsyncClient()
        await client.aforce_login(user)
        response = await client.get(url, headers=headers)
        if not response.streaming:
            return response, response.content
        return response, b"".join([part async for part in response.streaming_content])

    return async_to_sync(ask)()


def names_in(content: bytes) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        assert packed.testzip() is None
        return [name.partition("/")[2] for name in packed.namelist()]


def test_the_size_is_known_before_anything_is_read(vera: User, tiny: LanguageModel):
    response, content = fetch(vera, tiny)
    assert int(response.headers["Content-Length"]) == len(content)
    assert fetch(vera, tiny)[1] == content


@pytest.mark.parametrize("limit", [10, 60, 400, 2**31 - 1])
def test_the_size_is_right_for_large_archives_too(limit: int, monkeypatch):
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", limit)
    monkeypatch.setattr(archive, "LARGE", limit)
    entries = [
        text_entry(name, "x" * size)
        for name, size in [("a", 5), ("été", 100), ("b/c", 0), ("d", 70), ("e", 200)]
    ]
    assert len(b"".join(zip_parts(entries, top="möp"))) == zip_size(entries, top="möp")


def test_a_broken_download_goes_on_where_it_stopped(vera: User, tiny: LanguageModel):
    whole, content = fetch(vera, tiny)
    tag = whole.headers["ETag"]
    half = len(content) // 2
    rest, tail = fetch(vera, tiny, Range=f"bytes={half}-", **{"If-Range": tag})
    assert rest.status_code == 206
    assert content[:half] + tail == content
    expected = f"bytes {half}-{len(content) - 1}/{len(content)}"
    assert rest.headers["Content-Range"] == expected
    assert fetch(vera, tiny, Range="bytes=3-9")[1] == content[3:10]
    assert fetch(vera, tiny, Range=f"bytes={len(content)}-")[0].status_code == 416
    assert fetch(vera, tiny, Range="bytes=x")[1] == content


def test_a_changed_card_makes_it_another_download(vera: User, tiny: LanguageModel):
    tag = fetch(vera, tiny)[0].headers["ETag"]
    LanguageModel.objects.update(notes="Ask before use.")
    again, content = fetch(vera, tiny, Range="bytes=9-", **{"If-Range": tag})
    assert again.status_code == 200
    assert len(names_in(content)) == 8


def test_looking_at_the_size_sends_nothing(client, vera: User, tiny: LanguageModel):
    client.force_login(vera)
    url = reverse("models:download", args=["grammar", tiny.pk])
    response = client.head(url)
    assert response.status_code == 200
    assert response.headers["Content-Length"] == str(
        zip_size(entries_of(tiny), top="fabler")
    )


def test_a_model_with_an_adapter_is_offered_merged_or_as_that(
    client, vera: User, tiny: LanguageModel
):
    assert names_in(fetch(vera, tiny, "?part=merged")[1]) == [
        "README.md",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    adapter, content = fetch(vera, tiny, "?part=adapter")
    assert "fabler-adapter.zip" in adapter.headers["Content-Disposition"]
    assert names_in(content) == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    client.force_login(vera)
    page = client.get(reverse("models:detail", args=["grammar", tiny.pk])).text
    assert "Download merged" in page
    assert "Adapter only" in page


def test_an_adapter_names_its_base_and_no_path_of_the_server(
    tiny: LanguageModel,
):
    LanguageModel.objects.create(project=tiny.project, name="Base").children.add(tiny)
    content = entries_of(tiny, "adapter")[1].content
    assert json.loads(content) == {"base_model_name_or_path": "Base", "r": 8}


@pytest.mark.parametrize("part", ["adapter", "nothing"])
def test_a_part_it_does_not_have_is_a_404(part: str, model: LanguageModel):
    with pytest.raises(Http404):
        entries_of(model, part)


def test_the_download_loads_plainly(vera: User, tiny: LanguageModel, tmp_path: Path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    _, content = fetch(vera, tiny, "?part=merged")
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        packed.extractall(tmp_path / "unpacked")
    folder = tmp_path / "unpacked" / "fabler"
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert model(**tokenizer("abba", return_tensors="pt")).logits.shape == (1, 4, 32)
    kept = storage.local_copy(tiny.path) / "model.safetensors"
    sent = (folder / "model.safetensors").read_bytes()
    assert hashlib.sha256(sent).hexdigest() == tiny.files["model.safetensors"]["sha256"]
    assert sent == kept.read_bytes()


def test_an_entry_reads_what_it_was_given():
    assert Entry("x", 1, content=b"y").open().read() == b"y"
