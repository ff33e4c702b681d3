"""Who is a member, who may change that, and links to hand over."""

import re

import pytest
from django.test import Client
from django.urls import reverse
from trivium.accounts.models import SignInLink, User
from trivium.projects.models import Membership, Project, Role
from trivium.projects.queries import role_in

MEMBERS = "/p/grammar/members/"


def membership(user: User) -> Membership:
    return Membership.objects.get(user=user, project__slug="grammar")


def address(name: str, user: User) -> str:
    return reverse(f"projects:member-{name}", args=["grammar", membership(user).pk])


def sign_in_path(page: str) -> str:
    found = re.findall(r"http://testserver(/accounts/sign-in/[\w-]+/)", page)
    return found[0] if found else ""


@pytest.fixture
def alices(client: Client, alice: User, project: Project) -> Client:
    client.force_login(alice)
    return client


def test_an_invited_person_signs_in_by_a_link_shown_once(
    alices: Client, project: Project
):
    sent = {"username": "nina", "role": 30, "email": "nina@example.org"}
    page = alices.post(MEMBERS, sent)
    link = sign_in_path(page.text)
    assert link
    assert "no-store" in page.headers["Cache-Control"]
    assert not sign_in_path(alices.get(MEMBERS).text)

    nina = User.objects.get(username="nina")
    assert role_in(nina, project) == Role.ENGINEER
    assert not nina.has_usable_password()
    browser = Client()
    browser.get(link)
    assert browser.get(reverse("datasets:new", args=["grammar"])).status_code == 200
    assert Client().get(link).status_code == 410


def test_someone_with_an_account_becomes_a_member_without_a_link(
    alices: Client, mallory: User, project: Project
):
    page = alices.post(MEMBERS, {"username": "MALLORY", "role": 10}).text
    assert "is a member now" in page
    assert not sign_in_path(page)
    assert not SignInLink.objects.exists()
    assert role_in(mallory, project) == Role.VIEWER


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"username": ""}, "username"),
        ({"username": "bob"}, "username"),
        ({"username": "two words"}, "username"),
        ({"username": "<script>"}, "username"),
        ({"username": "x" * 151}, "username"),
        ({"role": "50"}, "role"),
        ({"role": "boss"}, "role"),
        ({"email": "nowhere"}, "email"),
    ],
)
def test_a_wrong_invitation_is_refused_beside_its_field(
    wrong: dict[str, str], field: str, alices: Client, bob: User
):
    response = alices.post(MEMBERS, {"username": "nina", "role": "10"} | wrong)
    assert response.status_code == 422
    assert list(response.context["form"].errors) == [field]
    assert "<script>" not in response.text.split("</head>")[1]
    assert not User.objects.filter(username="nina").exists()


def test_a_viewer_sees_the_members_and_may_change_none(
    client: Client, vera: User, bob: User
):
    client.force_login(vera)
    page = client.get(MEMBERS)
    assert "bob" in page.text
    assert "Add a member" not in page.text
    sent = {"username": "nina", "role": 10}
    urls = [MEMBERS, address("role", bob), address("remove", bob), address("link", bob)]
    assert [client.post(url, sent).status_code for url in urls] == [403] * 4
    assert role_in(bob, membership(bob).project) == Role.ENGINEER


def test_an_admin_changes_a_role(alices: Client, bob: User, project: Project):
    page = alices.post(address("role", bob), {"role": 40}, follow=True).text
    assert "bob is admin now." in page
    assert role_in(bob, project) == Role.ADMIN


def test_a_role_nobody_knows_changes_nothing(
    alices: Client, bob: User, project: Project
):
    page = alices.post(address("role", bob), {"role": "99"}, follow=True).text
    assert "There is no such role." in page
    assert role_in(bob, project) == Role.ENGINEER


@pytest.mark.parametrize(("name", "sent"), [("role", {"role": 10}), ("remove", {})])
def test_the_last_admin_stays(
    name: str, sent: dict[str, int], alices: Client, alice: User, project: Project
):
    page = alices.post(address(name, alice), sent, follow=True).text
    assert "the only admin" in page
    assert role_in(alice, project) == Role.ADMIN


def test_an_admin_removes_a_member(alices: Client, bob: User, project: Project):
    page = alices.post(address("remove", bob), follow=True).text
    assert "no longer a member" in page
    assert role_in(bob, project) is None


def test_a_member_may_leave(client: Client, vera: User, project: Project):
    client.force_login(vera)
    assert "Leave" in client.get(MEMBERS).text
    response = client.post(address("remove", vera))
    assert response.headers["Location"] == reverse("pages:home")
    assert client.get(MEMBERS).status_code == 404


def test_only_the_installations_admin_makes_a_link_for_an_account(
    client: Client, alice: User, bob: User, root: User
):
    client.force_login(alice)
    page = client.post(address("link", bob), follow=True).text
    assert "Only an admin of the installation" in page
    assert not SignInLink.objects.exists()

    client.force_login(root)
    link = sign_in_path(client.post(address("link", bob)).text)
    browser = Client()
    browser.get(link)
    assert browser.session["_auth_user_id"] == str(bob.pk)


def test_a_membership_of_another_project_is_out_of_reach(
    client: Client, mallory: User, bob: User, alice: User
):
    client.force_login(mallory)
    pk = membership(bob).pk
    for name in ("role", "remove", "link"):
        for slug in ("grammar", "elsewhere"):
            url = reverse(f"projects:member-{name}", args=[slug, pk])
            assert client.post(url, {"role": 10}).status_code == 404
    assert client.get(MEMBERS).status_code == 404
    assert client.post(MEMBERS, {"username": "x", "role": 40}).status_code == 404
    assert membership(bob).role == Role.ENGINEER


def test_whoever_is_not_signed_in_is_asked_to(client: Client, bob: User):
    urls = [MEMBERS, address("role", bob), address("remove", bob), address("link", bob)]
    for url in urls:
        response = client.post(url, {"role": 10})
        assert response.status_code == 302
        assert response.headers["Location"].startswith("/accounts/login/")


def test_a_get_changes_nothing(alices: Client, bob: User):
    urls = [address(name, bob) for name in ("role", "remove", "link")]
    assert [alices.get(url).status_code for url in urls] == [405] * 3
