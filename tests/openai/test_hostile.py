"""Who may ask, and what no request may do: every refusal in the one shape."""

import json
import time

import httpx
import openai
import pytest
from serving_lab import make_secret
from trivium.accounts.models import ApiToken, User
from trivium.openai.models import ApiCall
from trivium.openai.shapes import ChatShaper

MODEL = "grammar/Tiny"
HI = [{"role": "user", "content": "Hi"}]
CHAT = "/chat/completions"


def shape(response: httpx.Response) -> dict:
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    return error


def chat(**values) -> dict:
    return {"model": MODEL, "messages": HI} | values


# Who may ask -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Basic dTpw",
        "Bearer tv_wrong",
        "Bearer \xff\xfe",
        "tv_x",
    ],
)
def test_without_a_valid_key_nothing_is_told(header, address, model):
    headers = {"Authorization": header.encode("latin-1")} if header else {}
    with httpx.Client(base_url=f"{address}/v1", headers=headers) as client:
        for response in (client.get("/models"), client.post(CHAT, json=chat())):
            assert response.status_code == 401
            assert shape(response)["code"] == "invalid_api_key"
            assert response.headers["WWW-Authenticate"] == "Bearer"


def test_a_browsers_session_is_no_key(client_of, bob, model):
    client_of.force_login(bob)
    response = client_of.post("/v1/chat/completions", chat(), "application/json")
    assert response.status_code == 401


@pytest.fixture
def client_of():
    from django.test import Client

    return Client(enforce_csrf_checks=True)


def test_the_official_client_knows_a_wrong_key(address):
    wrong = openai.OpenAI(base_url=f"{address}/v1", api_key="tv_no")
    with wrong, pytest.raises(openai.AuthenticationError) as caught:
        wrong.models.list()
    assert caught.value.code == "invalid_api_key"


@pytest.mark.parametrize(
    ("scope", "status"), [("full", 200), ("inference", 200), ("read", 403)]
)
def test_a_tokens_scope_decides(scope, status, address, bob, node, model):
    secret = make_secret(bob, ApiToken.Scope(scope))
    headers = {"Authorization": f"Bearer {secret}"}
    with httpx.Client(base_url=f"{address}/v1", headers=headers) as client:
        response = client.post(CHAT, json=chat())
    assert response.status_code == status
    if status == 403:
        assert shape(response)["code"] == "insufficient_scope"


def test_a_token_for_inference_may_nothing_else(address, secret):
    headers = {"Authorization": f"Bearer {secret}"}
    response = httpx.get(f"{address}/api/v1/me", headers=headers)
    assert response.status_code == 403


def test_a_stranger_is_told_what_is_told_of_nothing(address, mallory, node, model):
    headers = {"Authorization": f"Bearer {make_secret(mallory)}"}
    with httpx.Client(base_url=f"{address}/v1", headers=headers) as client:
        assert client.get("/models").json()["data"] == []
        told = [
            shape(client.post(CHAT, json=chat(model=f"grammar/{name}")))
            for name in ("Tiny", "None")
        ]
    assert told[0] == {**told[1], "message": told[0]["message"]}
    assert told[0]["message"] == told[1]["message"].replace("None", "Tiny")
    assert node.requests == []


# Broken requests ---------------------------------------------------------------------


def test_a_wrong_value_never_reaches_a_node(raw, node, model):
    for wrong, param in [
        ({"max_tokens": -1}, "max_tokens"),
        ({"n": 1000}, "n"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"response_format": {"type": "xml"}}, "response_format"),
    ]:
        response = raw.post(CHAT, json=chat(**wrong))
        assert response.status_code == 400
        error = shape(response)
        assert (error["type"], error["param"]) == ("invalid_request_error", param)
    for body in (b"", b"{", b"[]", b"\xff\xfe"):
        for path in (CHAT, "/completions", "/embeddings"):
            response = raw.post(path, content=body)
            assert response.status_code == 400
            assert shape(response)["type"] == "invalid_request_error"
    assert node.requests == []


def test_not_a_number_never_reaches_a_node(raw, node, model):
    for value in ("NaN", "Infinity", "-Infinity"):
        body = json.dumps(chat())[:-1] + f', "temperature": {value}}}'
        response = raw.post(CHAT, content=body.encode())
        assert response.status_code == 400
        assert shape(response)["param"] == "temperature"
    assert node.requests == []


def test_a_prompt_of_ten_megabytes_is_too_large(raw, node, model):
    text = "x" * 10_000_000
    body = json.dumps({"model": MODEL, "prompt": text}).encode()

    def pieces():
        yield from (body[at : at + 2**16] for at in range(0, len(body), 2**16))

    for content in (body, pieces()):  # with its length told before, and without
        response = raw.post("/completions", content=content)
        assert response.status_code == 413
        assert shape(response)["code"] == "request_too_large"
    message = {"role": "user", "content": text}
    assert raw.post(CHAT, json=chat(messages=[message])).status_code == 413
    assert node.requests == []


def test_more_text_than_any_model_reads_is_too_large(raw, node, model):
    text = "x" * 4_000_001
    for path, body in (
        ("/completions", {"model": MODEL, "prompt": text}),
        (CHAT, chat(messages=[{"role": "user", "content": text}])),
    ):
        response = raw.post(path, json=body)
        assert response.status_code == 413
        assert shape(response)["code"] == "request_too_large"


def test_other_methods_and_addresses_are_refused_in_the_same_shape(raw, model):
    response = raw.get(CHAT)
    assert (response.status_code, response.headers["Allow"]) == (405, "POST")
    assert shape(response)["code"] == "method_not_allowed"
    for path in ("", "/", "/engines", "/chat/completions/", "/images/generations"):
        response = raw.post(path, json={})
        assert response.status_code == 404, path
        shape(response)


def test_a_fault_of_ours_is_told_as_one_and_logged(
    raw, node, model, monkeypatch, caplog
):
    def fail(*_):
        raise RuntimeError("secret detail")

    monkeypatch.setattr(ChatShaper, "take", fail)
    response = raw.post(CHAT, json=chat())
    assert response.status_code == 500
    assert shape(response)["type"] == "server_error"
    streamed = raw.post(CHAT, json=chat(stream=True)).text
    assert json.loads(streamed.removeprefix("data: "))["error"]["type"] == (
        "server_error"
    )
    assert "secret detail" not in response.text + streamed
    assert "secret detail" in caplog.text


def test_fields_of_newer_clients_are_tolerated(raw, node, model):
    body = chat(user="u", store=False, metadata={"a": "b"}, whatever={"x": [1]})
    assert raw.post(CHAT, json=body).status_code == 200


# Clients that leave ------------------------------------------------------------------


def wait_until(is_so, seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, chat(stream=True)),
        ("/completions", {"model": MODEL, "prompt": "x", "stream": True}),
        ("/completions", {"model": MODEL, "prompt": ["x", "y"], "stream": True}),
    ],
    ids=["chat", "completion", "two prompts"],
)
def test_a_client_that_leaves_a_stream_frees_the_node_at_once(
    path, body, raw, node, model
):
    node.is_endless, node.delay_s = True, 0.01
    with raw.stream("POST", path, json=body) as response:
        lines = (line for line in response.iter_lines() if line)
        for _ in range(3):
            assert next(lines).startswith("data: ")
        left_at = time.monotonic()
    wait_until(lambda: node.num_open == 0)
    assert len(node.left_at) == len(node.requests)
    assert max(node.left_at.values()) - left_at < 1
    wait_until(lambda: not ApiCall.objects.filter(ended=None).exists())
    assert ApiCall.objects.get().tokens > 0


def test_a_client_that_does_not_wait_for_a_whole_answer_frees_the_node(
    raw, node, model
):
    node.is_endless, node.delay_s = True, 0.01
    with pytest.raises(httpx.ReadTimeout):
        raw.post(CHAT, json=chat(), timeout=0.5)
    left_at = time.monotonic()
    wait_until(lambda: node.num_open == 0)
    assert max(node.left_at.values()) - left_at < 1
    wait_until(lambda: not ApiCall.objects.filter(ended=None).exists())


# Limits ------------------------------------------------------------------------------


def refused(response: httpx.Response, kind: str) -> int:
    assert response.status_code == 429, response.text
    error = shape(response)
    assert (error["type"], error["code"]) == (kind, "rate_limit_exceeded")
    return int(response.headers["Retry-After"])


def test_too_many_at_once_are_asked_to_wait(raw, node, model, settings):
    settings.API_MAX_CONCURRENT = 1
    node.is_endless, node.delay_s = True, 0.01
    with raw.stream("POST", CHAT, json=chat(stream=True)) as response:
        lines = response.iter_lines()
        next(lines)
        assert refused(raw.post(CHAT, json=chat()), "concurrency") == 1
    wait_until(lambda: not ApiCall.objects.filter(ended=None).exists())
    node.is_endless = False
    assert raw.post(CHAT, json=chat()).status_code == 200


def test_too_many_a_minute_are_told_when_to_come_back(raw, node, model, settings):
    settings.API_REQUESTS_PER_MINUTE = 2
    assert raw.post(CHAT, json=chat()).status_code == 200
    body = {"model": MODEL, "input": "x"}
    assert raw.post("/embeddings", json=body).status_code == 200
    assert 50 <= refused(raw.post(CHAT, json=chat()), "requests") <= 60


def test_tokens_are_counted_over_all_tokens_of_a_person(
    raw, node, model, settings, bob, vera, address
):
    settings.API_TOKENS_PER_MINUTE = 5
    assert raw.post(CHAT, json=chat()).status_code == 200
    assert ApiCall.objects.get().tokens == 6

    def status_of(user: User) -> int:
        headers = {"Authorization": f"Bearer {make_secret(user)}"}
        url = f"{address}/v1{CHAT}"
        return httpx.post(url, json=chat(), headers=headers).status_code

    assert status_of(bob) == 429
    assert status_of(vera) == 200


def test_a_refused_request_is_counted_out_again(raw, node, model):
    raw.post(CHAT, json=chat(n=1000))
    raw.post(CHAT, json=chat(model="none"))
    assert not ApiCall.objects.exists()
    node.words = []
    node.breaks_after = 0
    assert raw.post(CHAT, json=chat(stream=True)).status_code == 503
    assert ApiCall.objects.get().ended is not None
