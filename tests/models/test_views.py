"""Pages of models."""

import io
import zipfile

from asgiref.sync import async_to_sync
from django.test import AsyncClient, Client
from django.urls import reverse
from trivium.accounts.models import User
from trivium.models.archive import file_entry, zip_parts
from trivium.models.models import LanguageModel
from trivium.projects.models import Project


def address(name: str, model: LanguageModel) -> str:
    return reverse(f"models:{name}", args=[model.project.slug, model.pk])


def download(user: User, model: LanguageModel) -> tuple[dict[str, str], bytes]:
    """Fetch the archive the way an async server does."""
    url = address("download", model)

    async def fetch() -> tuple[dict[str, str], bytes]:
        client = AsyncClient()
        await client.aforce_login(user)
        response = await client.get(url)
        parts = [part async for part in response.streaming_content]
        return dict(response.headers), b"".join(parts)

    return async_to_sync(fetch)()


def test_a_viewer_lists_models(client: Client, vera: User, model: LanguageModel):
    client.force_login(vera)
    page = client.get(reverse("models:list", args=["grammar"])).text
    assert "Fabler" in page
    assert "1.24\N{NO-BREAK SPACE}M" in page
    assert "1.877" in page or "1.876" in page
    assert "Pretrain a model" not in page


def test_a_list_is_narrowed_by_name(client: Client, vera: User, model: LanguageModel):
    client.force_login(vera)
    url = reverse("models:list", args=["grammar"])
    assert list(client.get(url, {"q": "FAB"}).context["paged"]) == [model]
    assert "No model is like that" in client.get(url, {"q": "xy"}).text
    assert client.get(url, {"q": "x\0y", "stage": "none"}).status_code == 200


def test_an_empty_list_says_what_to_do(client: Client, bob: User, project: Project):
    client.force_login(bob)
    page = client.get(reverse("models:list", args=[project.slug])).text
    assert "No model yet" in page
    assert reverse("models:new", args=[project.slug]) in page


def test_a_model_shows_lineage_files_and_how_to_load_it(
    client: Client, vera: User, model: LanguageModel
):
    client.force_login(vera)
    page = client.get(address("detail", model))
    boxes = sorted(page.context["levels"].wide.boxes, key=lambda box: box.x)
    nouns = [box.node.noun for box in boxes]
    assert nouns == ["Dataset", "Tokenizer", "Run", "Base model"]
    assert "AutoModelForCausalLM.from_pretrained(&quot;fabler&quot;)" in page.text or (
        'AutoModelForCausalLM.from_pretrained("fabler")' in page.text
    )
    assert "model.safetensors" in page.text
    assert "cd" * 32 in page.text
    assert "Delete this" not in page.text


def test_a_card_is_rendered_and_made_harmless(
    client: Client, vera: User, model: LanguageModel
):
    client.force_login(vera)
    card = client.get(address("detail", model)).context["card"]
    assert "<strong>fables</strong>" in card
    assert "<h3>Fabler</h3>" in card
    assert "<td>1</td>" in card
    assert 'href="https://example.org/"' in card
    for evil in ("<script", 'javascript:"', 'href="javascript', "<img", "license"):
        assert evil not in card


def test_a_model_in_the_making_says_so(
    client: Client, vera: User, waiting: LanguageModel
):
    client.force_login(vera)
    page = client.get(address("detail", waiting)).text
    assert "is waiting" in page
    assert "How to load it" not in page
    assert client.get(address("download", waiting)).status_code == 404


def test_a_model_is_downloaded_as_one_zip(vera: User, model: LanguageModel):
    headers, content = download(vera, model)
    assert headers["Content-Disposition"] == 'attachment; filename="fabler.zip"'
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [
            "fabler/README.md",
            "fabler/config.json",
            "fabler/model.safetensors",
        ]
        weights = archive.read("fabler/model.safetensors")
        assert weights == bytes(range(256)) * 9_000


def test_an_archive_is_made_in_small_parts(tmp_path):
    (tmp_path / "large").write_bytes(b"\0" * 10_000_000)
    parts = list(zip_parts([file_entry("large", tmp_path / "large")], top="x"))
    assert max(map(len, parts)) < 1_100_000


def test_a_model_whose_files_are_gone_is_a_404(
    client: Client, vera: User, model: LanguageModel
):
    LanguageModel.objects.update(path="models/gone")
    client.force_login(vera)
    assert client.get(address("download", model)).status_code == 404
    assert client.get(address("detail", model)).status_code == 200


def test_a_new_model_begins_as_a_run(client: Client, bob: User, project: Project):
    client.force_login(bob)
    response = client.get(reverse("models:new", args=[project.slug]))
    expected = reverse("runs:new", args=[project.slug]) + "?kind=pretrain"
    assert response.headers["Location"] == expected


def test_an_engineer_deletes_a_model(client: Client, bob: User, model: LanguageModel):
    client.force_login(bob)
    assert "cannot be undone" in client.get(address("detail", model)).text
    response = client.post(address("delete", model))
    assert response.headers["Location"] == reverse("models:list", args=["grammar"])
    assert not LanguageModel.objects.exists()


def test_looking_deletes_nothing(client: Client, bob: User, model: LanguageModel):
    client.force_login(bob)
    assert client.get(address("delete", model)).status_code == 405


def test_a_model_others_come_from_is_kept(
    client: Client, bob: User, model: LanguageModel
):
    child = LanguageModel.objects.create(project=model.project, name="Follower")
    child.parents.add(model)
    client.force_login(bob)
    page = client.post(address("delete", model), follow=True)
    assert "model Follower" in page.text
    assert LanguageModel.objects.count() == 2


def test_a_labeler_neither_makes_nor_deletes(
    client: Client, lara: User, model: LanguageModel
):
    client.force_login(lara)
    assert client.post(address("delete", model)).status_code == 403
    assert client.get(reverse("models:new", args=["grammar"])).status_code == 403


def test_strangers_see_nothing(client: Client, mallory: User, model: LanguageModel):
    client.force_login(mallory)
    urls = [
        reverse("models:list", args=["grammar"]),
        reverse("models:new", args=["grammar"]),
        address("detail", model),
        address("download", model),
        reverse("models:detail", args=["elsewhere", model.pk]),
    ]
    assert [client.get(url).status_code for url in urls] == [404] * 5
    assert client.post(address("delete", model)).status_code == 404


def test_whoever_is_not_signed_in_is_asked_to(client: Client, model: LanguageModel):
    for name in ("detail", "download"):
        response = client.get(address(name, model))
        assert response.status_code == 302
        assert "login" in response.headers["Location"]


def test_a_model_that_writes_leads_to_the_playground(
    client: Client, vera: User, model: LanguageModel
):
    client.force_login(vera)
    talk_url = client.get(address("detail", model)).context["talk_url"]
    assert "Talk to it" in client.get(address("detail", model)).text
    assert client.get(talk_url).context["choice"].model == model


def test_one_cannot_talk_to_a_model_that_writes_nothing_or_is_not_there(
    client: Client, vera: User, model: LanguageModel, waiting: LanguageModel
):
    client.force_login(vera)
    LanguageModel.objects.filter(pk=model.pk).update(stage="reward")
    assert "Talk to it" not in client.get(address("detail", model)).text
    LanguageModel.objects.filter(pk=waiting.pk).update(path="")
    assert "Talk to it" not in client.get(address("detail", waiting)).text
