"""API tokens: shown once, kept as a hash, revoked by their owner alone."""

import html
import re

import pytest
from django.test import Client
from django.urls import reverse
from serving_lab import MakeModel, make_model
from trivium.accounts import services
from trivium.accounts.models import ApiToken, User
from trivium.projects.models import Project

__all__ = ["make_model"]

URL = "/accounts/settings/tokens/"
FORM = {"name": "laptop", "scope": "full", "lifetime": "90"}


@pytest.fixture
def bobs(client: Client, bob: User) -> Client:
    client.force_login(bob)
    return client


def shown_secret(page: str) -> str:
    found = set(re.findall(r"tv_[\w-]{40,}", page))
    assert len(found) == 1
    return found.pop()


def test_a_new_token_is_shown_once_and_works(bobs: Client, bob: User):
    response = bobs.post(URL, FORM)
    secret = shown_secret(response.text)
    assert "data-copy" in response.text
    assert "no-store" in response.headers["Cache-Control"]
    token = services.authenticate_token(secret)
    assert token is not None
    assert token.user == bob

    later = bobs.get(URL).text
    assert secret not in later
    assert token.prefix in later
    assert "laptop" in later


def test_only_the_hash_of_a_token_is_kept(bobs: Client):
    secret = shown_secret(bobs.post(URL, FORM).text)
    kept = ApiToken.objects.values().get()
    assert kept["sha256"] == services.secret_sha256(secret)
    assert secret not in str(kept)
    assert len(kept["prefix"]) < 12


def test_a_token_may_last_for_ever_or_not(bobs: Client):
    bobs.post(URL, FORM | {"name": "a"})
    bobs.post(URL, FORM | {"name": "b", "lifetime": ""})
    assert ApiToken.objects.get(name="a").expires is not None
    assert ApiToken.objects.get(name="b").expires is None


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a\u202eb"}, "name"),
        ({"scope": "everything"}, "scope"),
        ({"lifetime": "7"}, "lifetime"),
    ],
)
def test_a_wrong_token_is_refused_beside_its_field(
    wrong: dict[str, str], field: str, bobs: Client
):
    response = bobs.post(URL, FORM | wrong)
    assert response.status_code == 422
    assert list(response.context["form"].errors) == [field]
    assert 'role="alert"' in response.text
    assert not ApiToken.objects.exists()


def test_a_tokens_name_stays_text(bobs: Client):
    page = bobs.post(URL, FORM | {"name": '"><script>alert(1)</script>'}).text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_a_revoked_token_no_longer_works(bobs: Client):
    secret = shown_secret(bobs.post(URL, FORM).text)
    url = reverse("accounts:token-revoke", args=[ApiToken.objects.get().pk])
    page = bobs.post(url, follow=True).text
    assert "no longer works" in page
    assert "No token yet" in page
    assert services.authenticate_token(secret) is None
    assert bobs.post(url).status_code == 404


def test_nobody_sees_or_revokes_anothers_token(
    client: Client, alice: User, mallory: User
):
    token, secret = services.create_token(user=alice, name="alices own")
    client.force_login(mallory)
    assert "alices own" not in client.get(URL).text
    url = reverse("accounts:token-revoke", args=[token.pk])
    assert client.post(url).status_code == 404
    assert services.authenticate_token(secret) is not None


def test_a_get_revokes_nothing(bobs: Client, bob: User):
    token, _ = services.create_token(user=bob, name="laptop")
    url = reverse("accounts:token-revoke", args=[token.pk])
    assert bobs.get(url).status_code == 405


def test_whoever_is_not_signed_in_is_asked_to(client: Client, bob: User):
    token, _ = services.create_token(user=bob, name="laptop")
    revoke = reverse("accounts:token-revoke", args=[token.pk])
    responses = [client.get(URL), client.post(URL, FORM), client.post(revoke)]
    for response in responses:
        assert response.status_code == 302
        assert response.headers["Location"].startswith("/accounts/login/?next=")
    assert ApiToken.objects.get().revoked is None


@pytest.mark.parametrize(
    ("scope", "is_shown"), [("full", True), ("inference", True), ("read", False)]
)
def test_a_token_that_may_talk_comes_with_the_lines_to_do_so(
    scope: str, is_shown: bool, bobs: Client
):
    page = bobs.post(URL, FORM | {"scope": scope}).text
    assert ("from openai import OpenAI" in page) is is_shown
    assert ("http://testserver/v1" in page) is is_shown
    assert ("trivium login" in page) is (scope != "inference")


def test_the_lines_name_a_model_that_can_be_talked_to(
    bobs: Client, project: Project, make_model: MakeModel
):
    make_model(project, "An encoder", architecture="encoder")
    make_model(project, 'Say "hi"', path="models/1-1")
    page = html.unescape(bobs.post(URL, FORM | {"scope": "inference"}).text)
    assert r'model="grammar/Say \"hi\""' in page
