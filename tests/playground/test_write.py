"""Pages on which a model goes on with a text, or makes another of it."""

import pytest
from django.urls import reverse
from real_node_lab import announced, put_model, real_node, tiny_folder, written
from trivium.playground.models import Generation

__all__ = ["announced", "put_model", "real_node", "tiny_folder"]

JSON = {"Accept": "application/json"}
ASKED = {"temperature": "0", "top_p": "1", "max_tokens": "8", "seed": "5"}


def url(name: str, model: str = "", slug: str = "grammar") -> str:
    query = f"?model=grammar/{model}" if model else ""
    return reverse(f"playground:{name}", args=[slug]) + query


def send(client, name: str, model: str, text: str, **more):
    sent = ASKED | {"text": text} | more
    return client.post(url(name, model), sent, headers=JSON)


@pytest.mark.parametrize(("name", "kind"), [("complete", "llama"), ("rewrite", "t5")])
def test_a_text_is_written_by_what_can(
    client, vera, project, put_model, announced, name, kind
):
    put_model(project, kind)
    client.force_login(vera)
    told = send(client, name, f"Tiny {kind}", " It was\r\nthe best").json()
    answer = written(Generation.objects.get(pk=told["id"]))
    assert 0 < len(answer.token_ids) <= 8
    # Spaces stand as they were written, and lines end in one way.
    assert answer.prompt["text"] == " It was\nthe best"
    assert answer.sampling["seed"] == 5
    page = client.get(told["tokens"]).text
    assert page.count('class="tok tok--p') == len(answer.token_ids)
    assert told["events"].endswith("/events/")
    assert told["stop"].endswith("/stop/")


def test_without_scripts_the_answers_own_page_shows_it(
    client, vera, project, put_model
):
    put_model(project, "llama")
    client.force_login(vera)
    sent = client.post(url("complete", "Tiny llama"), ASKED | {"text": "It was"})
    made = Generation.objects.get()
    tokens = reverse("playground:next-token", args=["grammar", made.pk])
    assert sent.headers["Location"] == tokens


def test_a_base_models_page_says_that_it_completes(client, vera, project, put_model):
    put_model(project, "llama")
    client.force_login(vera)
    page = client.get(url("complete"), {"text": "Once <b>"}).text
    assert "not taught to follow instructions" in page
    assert "Once &lt;b&gt;" in page


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"text": ""}, "Text: This field is required."),
        ({"max_tokens": "-1"}, "Most tokens: "),
        ({"temperature": "nan"}, "Temperature: "),
        ({"top_p": "0"}, "Top-p: "),
        ({"seed": "x"}, "Seed: "),
    ],
)
def test_what_cannot_be_written_is_told(client, vera, project, put_model, more, told):
    put_model(project, "llama")
    client.force_login(vera)
    sent = ASKED | {"text": "It was"} | more
    refused = client.post(url("complete"), sent, headers=JSON)
    assert refused.status_code == 422
    assert refused.json()["error"].startswith(told)
    assert client.post(url("complete"), sent).status_code == 422
    assert not Generation.objects.exists()


def test_a_model_that_cannot_write_so_is_not_there(client, vera, project, put_model):
    put_model(project, "bert")
    put_model(project, "t5")
    client.force_login(vera)
    assert client.get(url("complete", "Tiny bert")).status_code == 404
    assert client.get(url("complete", "Tiny t5")).status_code == 404
    assert send(client, "rewrite", "Tiny bert", "x").status_code == 404
    assert "No model here writes text" in client.get(url("complete")).text


@pytest.mark.parametrize("name", ["complete", "rewrite"])
def test_strangers_see_nothing(client, mallory, project, put_model, name):
    put_model(project, "llama")
    client.force_login(mallory)
    assert client.get(url(name)).status_code == 404
    assert send(client, name, "Tiny llama", "x").status_code == 404
    assert not Generation.objects.exists()


@pytest.mark.parametrize("name", ["complete", "rewrite"])
def test_whoever_is_not_signed_in_is_asked_to(client, project, name):
    assert "login" in client.get(url(name)).headers["Location"]
    assert "login" in client.post(url(name)).headers["Location"]
