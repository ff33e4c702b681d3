"""Pages of tokenizers."""

import re

import pytest
from django.test import Client
from django.urls import reverse
from trivium.accounts.models import User
from trivium.models.models import LanguageModel
from trivium.projects.models import Project
from trivium.tokenizers.forms import MAX_TRIED
from trivium.tokenizers.models import Tokenizer

HTMX = {"HX-Request": "true"}


def address(name: str, tokenizer: Tokenizer) -> str:
    return reverse(f"tokenizers:{name}", args=[tokenizer.project.slug, tokenizer.pk])


def split(client: Client, tokenizer: Tokenizer, text: str, **headers: str):
    return client.post(address("try", tokenizer), {"text": text}, headers=headers)


def test_a_viewer_lists_tokenizers_with_their_state(
    client: Client, vera: User, tokenizer: Tokenizer, waiting: Tokenizer
):
    client.force_login(vera)
    page = client.get(reverse("tokenizers:list", args=["grammar"])).text
    assert "Letters" in page
    assert "1.062" in page
    assert "Later" in page
    assert "Queued" in page
    assert "Train a tokenizer" not in page


def test_a_list_is_narrowed_by_name(
    client: Client, bob: User, tokenizer: Tokenizer, waiting: Tokenizer
):
    client.force_login(bob)
    page = client.get(reverse("tokenizers:list", args=["grammar"]), {"q": "lett\0"})
    assert [item.name for item in page.context["paged"]] == ["Letters"]


def test_an_empty_list_says_what_to_do(client: Client, bob: User, project: Project):
    client.force_login(bob)
    page = client.get(reverse("tokenizers:list", args=[project.slug])).text
    assert "No tokenizer yet" in page
    assert reverse("tokenizers:new", args=[project.slug]) in page


def test_a_tokenizer_shows_its_report_and_how_an_example_splits(
    client: Client, vera: User, tokenizer: Tokenizer
):
    client.force_login(vera)
    page = client.get(address("detail", tokenizer))
    assert page.context["unused_share"] == pytest.approx(64 / 257)
    assert "Exactly" in page.text
    assert "&lt;|endoftext|&gt;" in page.text
    assert "Fables v1" in page.text
    assert page.context["pieces"]
    assert "Delete this" not in page.text


def test_a_tokenizer_in_the_making_says_so(
    client: Client, bob: User, waiting: Tokenizer
):
    client.force_login(bob)
    page = client.get(address("detail", waiting))
    assert "is queued" in page.text
    assert "Try it" not in page.text


def test_htmx_gets_the_pieces_alone(client: Client, vera: User, tokenizer: Tokenizer):
    client.force_login(vera)
    page = split(client, tokenizer, "thé", **HTMX)
    shown = re.findall(
        r'__text">(.*?)</bdi>\s*<span class="piece__ids">(.*?)<', page.text
    )
    assert [(text, len(ids.split())) for text, ids in shown] == [("th", 1), ("é", 2)]
    assert "3 tokens" in page.text
    assert "4 bytes" in page.text
    assert "<html" not in page.text


def test_without_scripts_the_whole_page_comes_back(
    client: Client, vera: User, tokenizer: Tokenizer
):
    client.force_login(vera)
    page = split(client, tokenizer, "the\r\nend")
    assert "<html" in page.text
    assert page.context["num_characters"] == len("the\nend")


def test_what_looks_like_markup_stays_text(
    client: Client, vera: User, tokenizer: Tokenizer
):
    client.force_login(vera)
    page = split(client, tokenizer, "<b>\u202e<|endoftext|>", **HTMX)
    assert "<b>" not in page.text
    assert "RLO" in page.text


def test_line_ends_and_tabs_are_marked(
    client: Client, vera: User, tokenizer: Tokenizer
):
    client.force_login(vera)
    page = split(client, tokenizer, "a\r\n\tb", **HTMX).text
    assert "↵" in page
    assert "⇥" in page


def test_nothing_to_split_is_no_error(client: Client, vera: User, tokenizer: Tokenizer):
    client.force_login(vera)
    assert "Type something" in split(client, tokenizer, "", **HTMX).text


def test_a_text_too_long_is_refused_with_the_limit(
    client: Client, vera: User, tokenizer: Tokenizer
):
    client.force_login(vera)
    text = "a" * (MAX_TRIED + 1)
    assert str(MAX_TRIED) in split(client, tokenizer, text, **HTMX).text
    assert split(client, tokenizer, text).status_code == 422


def test_files_gone_from_storage_are_named(
    client: Client, vera: User, tokenizer: Tokenizer
):
    Tokenizer.objects.update(path="tokenizers/gone")
    client.force_login(vera)
    assert "gone from storage" in client.get(address("detail", tokenizer)).text


def test_a_new_tokenizer_begins_as_a_run(client: Client, bob: User, project: Project):
    client.force_login(bob)
    response = client.get(reverse("tokenizers:new", args=[project.slug]))
    expected = reverse("runs:new", args=[project.slug]) + "?kind=tokenizer"
    assert response.headers["Location"] == expected


def test_an_engineer_deletes_a_tokenizer(
    client: Client, bob: User, tokenizer: Tokenizer
):
    client.force_login(bob)
    response = client.post(address("delete", tokenizer))
    assert response.headers["Location"] == reverse("tokenizers:list", args=["grammar"])
    assert not Tokenizer.objects.exists()


def test_a_tokenizer_in_use_is_kept_and_its_user_named(
    client: Client, bob: User, tokenizer: Tokenizer
):
    LanguageModel.objects.create(
        project=tokenizer.project, name="Reader", tokenizer=tokenizer
    )
    client.force_login(bob)
    page = client.post(address("delete", tokenizer), follow=True)
    assert "model Reader" in page.text
    assert Tokenizer.objects.exists()


def test_a_labeler_neither_makes_nor_deletes(
    client: Client, lara: User, tokenizer: Tokenizer
):
    client.force_login(lara)
    assert client.post(address("delete", tokenizer)).status_code == 403
    new = reverse("tokenizers:new", args=[tokenizer.project.slug])
    assert client.get(new).status_code == 403


def test_strangers_see_nothing(client: Client, mallory: User, tokenizer: Tokenizer):
    client.force_login(mallory)
    slug = tokenizer.project.slug
    gets = [
        reverse("tokenizers:list", args=[slug]),
        reverse("tokenizers:new", args=[slug]),
        address("detail", tokenizer),
        reverse("tokenizers:detail", args=["elsewhere", tokenizer.pk]),
    ]
    assert [client.get(url).status_code for url in gets] == [404] * 4
    assert split(client, tokenizer, "a").status_code == 404
    assert client.post(address("delete", tokenizer)).status_code == 404


def test_whoever_is_not_signed_in_is_asked_to(client: Client, tokenizer: Tokenizer):
    response = client.get(address("detail", tokenizer))
    assert response.status_code == 302
    assert "login" in response.headers["Location"]
    assert split(client, tokenizer, "a").status_code == 302
