"""Making a project, and changing what it is called."""

import pytest
from django.test import Client
from django.urls import reverse
from trivium.accounts.models import User
from trivium.projects.models import Project, Role
from trivium.projects.queries import role_in

NEW = "/projects/new/"
SETTINGS = "/p/grammar/settings/"


def test_anyone_signed_in_makes_a_project_and_is_its_admin(client: Client, vera: User):
    client.force_login(vera)
    assert client.get(NEW).status_code == 200
    response = client.post(NEW, {"name": "Café  Corpus", "description": "Why"})
    made = Project.objects.get(slug="cafe-corpus")
    assert response.headers["Location"] == reverse(
        "pages:project-home", args=[made.slug]
    )
    assert (made.name, made.description) == ("Café Corpus", "Why")
    assert role_in(vera, made) == Role.ADMIN


def test_a_second_project_of_a_name_gets_an_address_of_its_own(
    client: Client, alice: User, project: Project
):
    client.force_login(alice)
    client.post(NEW, {"name": project.name})
    slugs = Project.objects.filter(name=project.name).values_list("slug", flat=True)
    assert sorted(slugs) == ["grammar", "grammar-2"]


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "a\u200bb", "a\x07b"])
@pytest.mark.parametrize("url", [NEW, SETTINGS])
def test_an_unusable_name_is_refused_beside_its_field(
    name: str, url: str, client: Client, alice: User, project: Project
):
    client.force_login(alice)
    response = client.post(url, {"name": name})
    assert response.status_code == 422
    assert list(response.context["form"].errors) == ["name"]
    assert "field--wrong" in response.text
    assert [item.name for item in Project.objects.all()] == ["Grammar"]


@pytest.mark.parametrize("name", ["شبكة", "<>", "new", "---"])
def test_any_name_gets_an_address_that_works(name: str, client: Client, alice: User):
    client.force_login(alice)
    response = client.post(NEW, {"name": name}, follow=True)
    assert response.status_code == 200
    assert response.context["project"].name == name


def test_an_admin_renames_a_project_and_its_address_stays(
    client: Client, alice: User, project: Project
):
    client.force_login(alice)
    assert 'value="Grammar"' in client.get(SETTINGS).text
    sent = {"name": "Logic", "description": "Second road"}
    page = client.post(SETTINGS, sent, follow=True).text
    assert "The project was saved." in page
    project.refresh_from_db()
    assert (project.name, project.slug) == ("Logic", "grammar")


def test_hostile_names_stay_text(client: Client, alice: User, project: Project):
    client.force_login(alice)
    bad = '"><script>alert(1)</script>'
    client.post(SETTINGS, {"name": bad, "description": "</textarea>" + bad})
    for name in ("settings", "members"):
        page = client.get(reverse(f"projects:{name}", args=["grammar"])).text
        assert "<script>alert" not in page
        assert "</textarea>&quot;" not in page


@pytest.mark.parametrize("who", ["bob", "lara", "vera"])
def test_only_an_admin_changes_a_project(
    who: str, client: Client, bob: User, lara: User, vera: User, project: Project
):
    client.force_login(User.objects.get(username=who))
    assert client.get(SETTINGS).status_code == 403
    assert client.post(SETTINGS, {"name": "Mine"}).status_code == 403
    project.refresh_from_db()
    assert project.name == "Grammar"


def test_a_stranger_learns_nothing(client: Client, mallory: User, project: Project):
    client.force_login(mallory)
    responses = [client.get(SETTINGS), client.post(SETTINGS, {"name": "Mine"})]
    assert [response.status_code for response in responses] == [404, 404]
    assert "Grammar" not in responses[0].text
    project.refresh_from_db()
    assert project.name == "Grammar"


def test_an_admin_of_the_installation_may_do_it_too(
    client: Client, root: User, project: Project
):
    client.force_login(root)
    assert client.post(SETTINGS, {"name": "Order"}).status_code == 302


@pytest.mark.parametrize("url", [NEW, SETTINGS])
def test_whoever_is_not_signed_in_is_asked_to(
    url: str, client: Client, project: Project
):
    for response in (client.get(url), client.post(url, {"name": "Mine"})):
        assert response.headers["Location"] == f"/accounts/login/?next={url}"
    assert Project.objects.count() == 1
