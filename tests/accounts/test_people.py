"""A person's own pages, and signing in and out by password."""

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from trivium.accounts import services
from trivium.accounts.models import User

PROFILE = "/accounts/settings/"
PASSWORD = "sesame and 7 other words"


@pytest.fixture(autouse=True)
def no_earlier_attempts() -> None:
    """Forget who tried to sign in before: attempts are counted per address."""
    cache.clear()


@pytest.fixture
def bobs(client: Client, bob: User) -> Client:
    client.force_login(bob)
    return client


def test_a_profile_is_shown_and_stored(bobs: Client, bob: User):
    assert "bob" in bobs.get(PROFILE).text
    sent = {"first_name": " Bob ", "last_name": "Böhm", "email": "bob@example.org"}
    response = bobs.post(PROFILE, sent, follow=True)
    assert "Your profile was saved." in response.text
    bob.refresh_from_db()
    assert (bob.first_name, bob.last_name) == ("Bob", "Böhm")
    assert bob.email == "bob@example.org"


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"email": "no address"}, "email"),
        ({"email": "ALICE@example.org"}, "email"),
        ({"first_name": "a\u202eb"}, "first_name"),
        ({"last_name": "x" * 151}, "last_name"),
    ],
)
def test_a_wrong_profile_is_refused_beside_its_field(
    wrong: dict[str, str], field: str, bobs: Client, bob: User, alice: User
):
    User.objects.filter(pk=alice.pk).update(email="alice@example.org")
    response = bobs.post(PROFILE, wrong)
    assert response.status_code == 422
    assert list(response.context["form"].errors) == [field]
    bob.refresh_from_db()
    assert bob.email == ""


def test_a_hostile_name_stays_text(bobs: Client):
    bobs.post(PROFILE, {"first_name": '"><img src=x onerror=alert(1)>'})
    assert "<img src=x" not in bobs.get(PROFILE).text


@pytest.mark.django_db
def test_whoever_is_not_signed_in_is_asked_to(client: Client):
    response = client.get(PROFILE)
    assert response.headers["Location"] == f"/accounts/login/?next={PROFILE}"


def test_a_password_signs_in_and_leads_where_one_wanted_to_go(
    client: Client, bob: User
):
    bob.set_password(PASSWORD)
    bob.save()
    page = client.get(f"/accounts/login/?next={PROFILE}").text
    assert "Sign in to Trivium" in page
    assert f'value="{PROFILE}"' in page
    sent = {"login": "bob", "password": PASSWORD, "next": PROFILE}
    response = client.post("/accounts/login/", sent)
    assert response.headers["Location"] == PROFILE


def test_signing_in_leads_to_no_other_site(client: Client, bob: User):
    bob.set_password(PASSWORD)
    bob.save()
    sent = {"login": "bob", "password": PASSWORD, "next": "https://evil.example/"}
    response = client.post("/accounts/login/", sent)
    assert response.headers["Location"] == reverse("pages:home")


def test_a_wrong_password_says_no_more_than_that(client: Client, bob: User):
    texts = set()
    for name in ("bob", "nobody"):
        response = client.post("/accounts/login/", {"login": name, "password": "x"})
        texts |= set(response.context["form"].non_field_errors())
        assert 'role="alert"' in response.text
    assert len(texts) == 1


@pytest.mark.django_db
def test_strangers_cannot_make_an_account(client: Client):
    page = client.get("/accounts/signup/")
    assert "by invitation" in page.text
    sent = {"username": "eve", "password1": PASSWORD, "password2": PASSWORD}
    client.post("/accounts/signup/", sent)
    assert not User.objects.exists()


def test_signing_out_asks_first(bobs: Client):
    url = reverse("account_logout")
    assert "Runs go on without you" in bobs.get(url).text
    assert "_auth_user_id" in bobs.session
    bobs.post(url)
    assert "_auth_user_id" not in bobs.session


def test_whoever_came_by_link_sets_a_password_and_then_may_change_it(
    client: Client, bob: User
):
    bob.set_unusable_password()
    bob.save()
    client.get(services.create_sign_in_link(bob))
    assert "You have no password yet" in client.get(PROFILE).text
    sent = {"password1": PASSWORD, "password2": PASSWORD}
    response = client.post(reverse("account_set_password"), sent)
    assert response.headers["Location"] == PROFILE
    bob.refresh_from_db()
    assert bob.check_password(PASSWORD)

    assert "Change the password" in client.get(PROFILE).text
    page = client.get(reverse("account_change_password"))
    assert page.status_code == 200
    weak = {"oldpassword": PASSWORD, "password1": "12345678", "password2": "12345678"}
    refused = client.post(reverse("account_change_password"), weak)
    assert "field--wrong" in refused.text
    bob.refresh_from_db()
    assert bob.check_password(PASSWORD)


@pytest.mark.parametrize("name", ["account_reauthenticate", "mfa_index"])
def test_pages_of_security_have_our_shell(name: str, bobs: Client, bob: User):
    bob.set_password(PASSWORD)
    bob.save()
    bobs.force_login(bob)
    page = bobs.get(reverse(name)).text
    assert "skip-link" in page
    assert "Menu:" not in page


def test_a_forgotten_password_leads_to_a_link_not_to_mail(client: Client, db: None):
    page = client.get(reverse("account_reset_password")).text
    assert "No mail is sent from here" in page
    assert "<form" not in page


def test_a_second_factor_is_set_up_in_our_shell(bobs: Client, bob: User):
    page = bobs.get(reverse("mfa_activate_totp"))
    assert 'class="qr"' in page.text
    assert page.context["form"].secret in page.text


def test_a_form_from_another_site_changes_nothing_and_says_why(bob: User):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(bob)
    response = browser.post(PROFILE, {"first_name": "Eve"})
    assert response.status_code == 403
    assert "too old to send from" in response.text
    bob.refresh_from_db()
    assert bob.first_name == ""


def test_a_host_that_is_not_served_gets_a_plain_answer(client: Client, db: None):
    response = client.get("/accounts/login/", headers={"Host": "evil.example"})
    assert response.status_code == 400
    assert "could not be read" in response.text
