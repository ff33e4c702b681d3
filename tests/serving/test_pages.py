"""Nodes on the page of workers, and endpoints on the admins' own."""

import asyncio
import json
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone
from fake_node import FakeNode, serving
from trivium.serving import services
from trivium.serving.keys import decrypt_key
from trivium.serving.models import Endpoint, Node

WORKERS = "/workers/"
URL = "/endpoints/"


class Listing:
    """A server that only lists models."""

    def __init__(self) -> None:
        self.status = 200
        self.body = json.dumps({"data": [{"id": "org/big"}, {"id": "small"}]}).encode()
        self.keys: list[str] = []
        self.paths: list[str] = []

    async def __call__(self, scope, receive, send) -> None:
        await asyncio.sleep(0)
        headers = dict(scope["headers"])
        self.keys.append(headers.get(b"authorization", b"").decode())
        self.paths.append(scope["path"])
        start = {"type": "http.response.start", "status": self.status}
        await send(start | {"headers": [(b"location", b"http://127.0.0.1:9/")]})
        await send({"type": "http.response.body", "body": self.body})


@pytest.fixture
def listing():
    server = Listing()
    with serving(server) as url:
        server.url = f"{url}/v1"
        yield server


@pytest.fixture
def admins(client, root):
    client.force_login(root)
    return client


@pytest.fixture
def form(listing):
    return {"name": "gpu-1", "url": listing.url, "api_key": "sk-1", "model_ids": ""}


# Nodes -------------------------------------------------------------------------------


@pytest.fixture
def told(model):
    fake = FakeNode("")
    fake.has_loaded(f"model-{model.pk}")
    fake.num_open = 3
    return services.announce_node(name="<b>n</b>", url="http://n", state=fake.state())


def test_a_node_is_shown_with_its_models_and_load(client, vera, told, model):
    client.force_login(vera)
    page = client.get(WORKERS).text
    assert "&lt;b&gt;n&lt;/b&gt;" in page
    assert "3 answering, 0 waiting" in page
    assert reverse("models:detail", args=["grammar", model.pk]) in page
    assert "1.24" in page
    assert URL not in page


def test_a_stranger_learns_no_names_of_models(client, mallory, told):
    client.force_login(mallory)
    page = client.get(WORKERS).text
    assert "A model of another project" in page
    assert "Tiny" not in page


def test_without_a_node_the_page_says_how_to_start_one(client, vera):
    client.force_login(vera)
    assert "No inference node is there" in client.get(WORKERS).text


def test_silent_draining_and_foreign_nodes_are_told_apart(client, vera, told):
    client.force_login(vera)
    services.drain_node(name=told.name)
    assert "Draining" in client.get(WORKERS).text
    Node.objects.update(heartbeat=timezone.now() - timedelta(minutes=5))
    assert "Silent" in client.get(WORKERS).text
    Node.objects.update(state={"of": "another version"})
    assert "not understood here" in client.get(WORKERS).text
    Node.objects.update(heartbeat=timezone.now() - timedelta(days=2))
    assert "No inference node is there" in client.get(WORKERS).text


# Endpoints ---------------------------------------------------------------------------


def test_an_endpoint_is_added_with_the_models_it_has(admins, form, listing):
    page = admins.post(URL, form, follow=True).text
    endpoint = Endpoint.objects.get()
    assert endpoint.model_ids == ["org/big", "small"]
    assert listing.paths == ["/v1/models"]
    assert listing.keys == ["Bearer sk-1"]
    assert "added, with 2 models" in page
    assert "sk-1" not in page


def test_an_endpoint_with_named_models_need_not_answer(admins, form):
    form |= {"url": "http://127.0.0.1:9/v1", "model_ids": "a\r\n\r\nb"}
    admins.post(URL, form)
    assert Endpoint.objects.get().model_ids == ["a", "b"]


@pytest.mark.parametrize(
    ("status", "body", "text"),
    [
        (401, b'{"error": {"message": "wrong key"}}', "wrong key"),
        (302, b"", "status 302"),
        (500, b"<html>", "status 500"),
        (200, b"<html>", "list of models"),
        (200, b'{"data": 5}', "list of models"),
        (200, b'{"data": [{"id": 1}, {}]}', "list of models"),
    ],
)
def test_a_server_that_does_not_answer_as_it_should_is_not_added(
    admins, form, listing, status, body, text
):
    listing.status, listing.body = status, body
    response = admins.post(URL, form)
    assert response.status_code == 422
    assert text in response.context["form"].errors["url"][0]
    tried = admins.post(f"{URL}try/", form, headers={"HX-Request": "true"}).text
    assert "It did not work" in tried
    assert not Endpoint.objects.exists()
    assert len(listing.paths) == 2  # a redirect was not followed


def test_a_test_tells_what_it_found_and_keeps_nothing(admins, form):
    page = admins.post(f"{URL}try/", form).text
    assert "It answers" in page
    assert "org/big" in page
    assert not Endpoint.objects.exists()
    gone = form | {"url": "http://127.0.0.1:9/v1"}
    assert "does not answer" in admins.post(f"{URL}try/", gone).text
    assert "no address" in admins.post(f"{URL}try/", {"url": "file:///x"}).text


def test_an_endpoint_is_changed_tested_and_deleted(admins, form, listing):
    admins.post(URL, form)
    endpoint = Endpoint.objects.get()
    page = admins.get(f"{URL}{endpoint.pk}/").text
    assert "org/big" in page
    assert "sk-1" not in page

    changed = {"url": listing.url, "model_ids": "one", "is_enabled": ""}
    admins.post(f"{URL}{endpoint.pk}/", changed)
    endpoint.refresh_from_db()
    assert (endpoint.model_ids, endpoint.is_enabled) == (["one"], False)
    assert decrypt_key(bytes(endpoint.api_key_encrypted)) == "sk-1"

    page = admins.post(f"{URL}{endpoint.pk}/refresh/", follow=True).text
    assert "answers, with 2 models" in page
    assert Endpoint.objects.get().model_ids == ["org/big", "small"]
    listing.status = 500
    page = admins.post(f"{URL}{endpoint.pk}/refresh/", follow=True).text
    assert "tried and failed" in page

    admins.post(f"{URL}{endpoint.pk}/", changed | {"drops_key": "on"})
    assert not Endpoint.objects.get().has_api_key
    admins.post(f"{URL}{endpoint.pk}/delete/")
    assert not Endpoint.objects.exists()


def test_a_key_is_not_kept_for_another_server(admins, form):
    admins.post(URL, form)
    endpoint = Endpoint.objects.get()
    changed = {"url": "http://elsewhere/v1", "model_ids": "one", "is_enabled": "on"}
    response = admins.post(f"{URL}{endpoint.pk}/", changed)
    assert response.status_code == 422
    assert "api_key" in response.context["form"].errors


@pytest.mark.parametrize("path", ["", "try/", "{pk}/", "{pk}/refresh/", "{pk}/delete/"])
def test_only_admins_of_the_installation_see_to_endpoints(path, client, alice, root):
    made = services.add_endpoint(
        name="e", url="http://e/v1", api_key="", model_ids=["m"], created_by=root
    )
    url = URL + path.format(pk=made.pk)
    assert client.post(url).headers["Location"].startswith("/accounts/login/")
    client.force_login(alice)
    assert client.post(url).status_code == 403
    assert Endpoint.objects.count() == 1


def test_an_endpoint_that_is_not_there_is_not_found(admins):
    for path in ("99/", "99/refresh/", "99/delete/"):
        assert admins.post(URL + path).status_code == 404
