"""Signing in by a link that works once."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from trivium.accounts import services
from trivium.accounts.models import SignInLink, User
from trivium.projects.models import Project


def is_signed_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def test_a_link_signs_in_its_user_once(client: Client, bob: User):
    link = services.create_sign_in_link(bob)
    response = client.get(link)
    assert response.headers["Location"] == reverse("pages:home")
    assert client.session["_auth_user_id"] == str(bob.pk)

    other = Client()
    spent = other.get(link)
    assert spent.status_code == 410
    assert "This link no longer works" in spent.text
    assert not is_signed_in(other)


def test_a_link_gives_the_session_a_new_key(client: Client, bob: User):
    client.session["seen"] = True
    client.session.save()
    before = client.session.session_key
    client.get(services.create_sign_in_link(bob))
    assert client.session.session_key != before


def test_only_the_hash_of_a_link_is_kept(bob: User):
    secret = services.create_sign_in_link(bob).rstrip("/").rsplit("/", 1)[-1]
    link = SignInLink.objects.get()
    assert link.sha256 == services.secret_sha256(secret)
    assert secret not in str(SignInLink.objects.values().get())


@pytest.mark.parametrize("method", ["head", "post", "put"])
def test_only_a_get_spends_a_link(method: str, client: Client, bob: User):
    link = services.create_sign_in_link(bob)
    assert getattr(client, method)(link).status_code == 405
    assert not is_signed_in(client)
    assert SignInLink.objects.get().used is None


def test_a_browser_that_fetches_ahead_spends_nothing(client: Client, bob: User):
    link = services.create_sign_in_link(bob)
    ahead = client.get(link, headers={"Sec-Purpose": "prefetch;prerender"})
    assert ahead.status_code == 204
    assert not is_signed_in(client)
    assert client.get(link).status_code == 302


def test_an_expired_link_signs_in_nobody(client: Client, bob: User):
    link = services.create_sign_in_link(bob)
    SignInLink.objects.update(expires=timezone.now() - timedelta(seconds=1))
    assert client.get(link).status_code == 410
    assert not is_signed_in(client)


def test_a_link_of_someone_shut_out_signs_in_nobody(client: Client, bob: User):
    link = services.create_sign_in_link(bob)
    User.objects.filter(pk=bob.pk).update(is_active=False)
    assert client.get(link).status_code == 410
    assert not is_signed_in(client)


@pytest.mark.parametrize("secret", ["x", "%00", "%3Cscript%3E", "a" * 5000])
@pytest.mark.django_db
def test_a_made_up_link_signs_in_nobody(secret: str, client: Client):
    response = client.get(f"/accounts/sign-in/{secret}/")
    assert response.status_code == 410
    assert "<script>" not in response.text.split("</head>")[1]


def test_a_spent_link_does_not_disturb_who_is_signed_in(client: Client, bob: User):
    link = services.create_sign_in_link(bob)
    client.get(link)
    assert client.get(link).headers["Location"] == reverse("pages:home")


def test_a_link_is_never_kept_by_a_cache(client: Client, bob: User):
    response = client.get(services.create_sign_in_link(bob))
    assert "no-store" in response.headers["Cache-Control"]


def test_the_first_start_makes_one_admin_with_a_project_and_no_password(db: None):
    admin = services.ensure_first_admin()
    assert services.ensure_first_admin() == admin
    assert admin.is_staff
    assert not admin.has_usable_password()
    assert Project.objects.get().memberships.get().user == admin
