"""What a person reads when something is not there or not theirs."""

from django.test import Client
from django.urls import reverse
from django.views.defaults import server_error
from trivium.accounts.models import User
from trivium.projects.models import Project


def test_a_page_that_is_not_there_leads_home(bobs: Client):
    response = bobs.get("/p/no-such-project/")
    assert response.status_code == 404
    assert "There is nothing here" in response.text
    assert f'href="{reverse("pages:home")}"' in response.text


def test_a_strangers_404_does_not_name_the_project(
    client: Client, mallory: User, project: Project
):
    client.force_login(mallory)
    assert "Grammar" not in client.get("/p/grammar/").text


def test_a_refusal_says_which_role_is_needed(
    client: Client, vera: User, project: Project
):
    client.force_login(vera)
    response = client.get(reverse("models:new", args=["grammar"]))
    assert response.status_code == 403
    assert "Your role in Grammar is viewer; this needs engineer." in response.text


def test_a_crash_is_answered_without_a_database(rf, settings):
    response = server_error(rf.get("/"))
    assert response.status_code == 500
    assert b"Something broke" in response.content
