"""Nodes that come and go, endpoints, keys at rest, and which node is asked."""

from datetime import timedelta

import pytest
from django.utils import timezone
from fake_node import FakeNode
from runspec.serving import ModelRef
from trivium.projects.services import create_project
from trivium.runs.errors import SubmitError
from trivium.serving import services
from trivium.serving.errors import ServingError
from trivium.serving.keys import UnreadableKeyError, decrypt_key, node_key
from trivium.serving.models import Endpoint, Node
from trivium.serving.routing import choose_node

REF = ModelRef(key="model-1", url="file:///x", sha256="")


def state(*models: str, busy: int = 0):
    fake = FakeNode("")
    for key in models:
        fake.has_loaded(key)
    fake.num_open = busy
    return fake.state()


@pytest.fixture
def announce(db):
    def one(name: str, *models: str, busy: int = 0) -> Node:
        told = state(*models, busy=busy)
        return services.announce_node(name=name, url=f"http://{name}:1/", state=told)

    return one


def add(root, **changes) -> Endpoint:
    given = {
        "name": "gpu",
        "url": "https://gpu.example/v1/",
        "api_key": "sk-very-secret",
        "model_ids": ["a", "b", "a", " "],
    }
    return services.add_endpoint(**(given | changes), created_by=root)


def test_a_node_announced_twice_is_one(announce):
    announce("n")
    node = announce("n", "model-1")
    assert Node.objects.count() == 1
    assert node.url == "http://n:1"
    assert node.state["models"][0]["facts"]["key"] == "model-1"


def test_a_heartbeat_of_a_forgotten_node_says_so(announce):
    assert services.beat_node(name="n", state=state()) is False
    announce("n")
    assert services.beat_node(name="n", state=state(busy=3)) is True
    assert Node.objects.get().state["num_running"] == 3
    services.retire_node("n")
    services.retire_node("n")
    assert not Node.objects.exists()


def test_the_node_that_has_the_model_is_asked(announce):
    announce("idle")
    announce("has-it", "model-1", busy=5)
    assert choose_node(REF).name == "has-it"


def test_of_equals_the_least_busy_is_asked(announce):
    announce("busy", busy=2)
    announce("idle", busy=1)
    assert choose_node(REF).name == "idle"
    assert choose_node(REF, avoid=["idle"]).name == "busy"


def test_silent_and_draining_nodes_are_asked_nothing(announce):
    announce("silent")
    Node.objects.update(heartbeat=timezone.now() - timedelta(seconds=60))
    announce("draining")
    services.drain_node(name="draining")
    with pytest.raises(ServingError) as caught:
        choose_node(REF)
    assert (caught.value.event.status, caught.value.event.code) == (503, "no_node")


def test_a_node_of_another_version_is_asked_last(announce):
    announce("new", busy=1)
    announce("odd")
    Node.objects.filter(name="odd").update(state={"what": "ever"})
    assert choose_node(REF).name in {"new", "odd"}
    announce("new", "model-1")
    assert choose_node(REF).name == "new"


def test_a_key_is_encrypted_at_rest(root, settings):
    endpoint = add(root)
    stored = bytes(Endpoint.objects.get().api_key_encrypted)
    assert b"sk-very-secret" not in stored
    assert decrypt_key(stored) == "sk-very-secret"
    assert endpoint.url == "https://gpu.example/v1"
    assert endpoint.model_ids == ["a", "b"]

    was = settings.SECRET_KEY
    settings.SECRET_KEY = "x" * 40
    with pytest.raises(UnreadableKeyError, match="enter it again"):
        decrypt_key(stored)
    settings.SECRET_KEY_FALLBACKS = [was]
    assert decrypt_key(stored) == "sk-very-secret"


def test_the_nodes_key_belongs_to_the_secret_of_the_installation(settings):
    before = node_key()
    settings.SECRET_KEY = "y" * 40
    assert node_key() != before
    assert "y" * 8 not in node_key()


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "Big GPU"}, "name"),
        ({"name": "../x"}, "name"),
        ({"url": "ftp://gpu/v1"}, "url"),
        ({"url": "file:///etc/passwd"}, "url"),
        ({"url": "http://"}, "url"),
        ({"url": "http://user:pass@gpu/v1"}, "url"),
        ({"url": "http://gpu/v1?x=1"}, "url"),
        ({"url": "http://gpu:99999/v1"}, "url"),
        ({"url": "http://169.254.169.254/latest"}, "url"),
        ({"url": "http://gpu/\u202ev1"}, "url"),
        ({"api_key": "ключ"}, "api_key"),
        ({"api_key": "a\nb"}, "api_key"),
        ({"model_ids": ["x" * 301]}, "model_ids"),
        ({"model_ids": [str(n) for n in range(1001)]}, "model_ids"),
    ],
)
def test_a_wrong_endpoint_is_refused_beside_its_field(root, wrong, field):
    with pytest.raises(SubmitError) as caught:
        add(root, **wrong)
    assert caught.value.field == field
    assert not Endpoint.objects.exists()


def test_an_endpoint_never_takes_anothers_name(root):
    add(root)
    with pytest.raises(SubmitError, match="exists already"):
        add(root)
    create_project(name="Logic", created_by=root)
    with pytest.raises(SubmitError, match="a project has the address"):
        add(root, name="logic")


def test_a_kept_key_is_never_sent_to_another_server(root):
    endpoint = add(root)
    same = {"model_ids": ["a"], "is_enabled": True}
    services.change_endpoint(
        endpoint, url="https://gpu.example/v2", api_key=None, **same
    )
    assert decrypt_key(Endpoint.objects.get().api_key_encrypted) == "sk-very-secret"
    for other in ("https://evil.example/v1", "http://gpu.example/v1"):
        with pytest.raises(SubmitError, match="another server"):
            services.change_endpoint(endpoint, url=other, api_key=None, **same)
    assert Endpoint.objects.get().url == "https://gpu.example/v2"
    services.change_endpoint(endpoint, url="https://other/v1", api_key="", **same)
    assert not Endpoint.objects.get().has_api_key
    services.delete_endpoint(endpoint)
    assert not Endpoint.objects.exists()
