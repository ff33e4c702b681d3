"""Models of other servers: this very API, registered as an endpoint of itself."""

import asyncio
import json
import time

import openai
import pytest
from fake_node import serving
from runspec.serving import ErrorEvent, GenerateRequest, Prompt, RenderRequest
from serving_lab import run_async
from trivium.serving import client as serving_client
from trivium.serving import services
from trivium.serving.choices import ModelChoice, of_endpoint
from trivium.serving.errors import ServingError
from trivium.serving.models import Endpoint

MODEL = "self/grammar/Tiny"
HI = [{"role": "user", "content": "Hi you"}]
SAID = "Hello there, wörld!"


@pytest.fixture
def endpoint(address, secret, root, node, model) -> Endpoint:
    return services.add_endpoint(
        name="self",
        url=f"{address}/v1",
        api_key=secret,
        model_ids=["grammar/Tiny"],
        created_by=root,
    )


@pytest.mark.parametrize("is_stream", [True, False])
def test_a_chat_passes_through_with_probabilities(is_stream, endpoint, client, node):
    made = client.chat.completions.create(
        model=MODEL,
        messages=HI,
        stream=is_stream,
        logprobs=True,
        top_logprobs=2,
        temperature=0.5,
        seed=7,
        stop=["x"],
        max_tokens=4,
        extra_body={"top_k": 3},
    )
    if is_stream:
        deltas = [chunk.choices[0] for chunk in made]
        text = "".join(one.delta.content or "" for one in deltas)
        logprobs = [t for one in deltas if one.logprobs for t in one.logprobs.content]
        assert deltas[-1].finish_reason == "length"
    else:
        text, logprobs = (
            made.choices[0].message.content,
            made.choices[0].logprobs.content,
        )
        assert made.choices[0].finish_reason == "length"
        assert made.usage.completion_tokens == 4
    assert text == "Hello there, wörld"
    assert [one.token for one in logprobs[0].top_logprobs] == ["Hello", " other"]
    sampling = node.requests[-1].sampling
    assert sampling.model_dump(exclude_defaults=True) == {
        "max_tokens": 4,
        "temperature": 0.5,
        "top_k": 3,
        "seed": 7,
        "stop": ("x",),
    }


def test_a_completion_passes_through(endpoint, client, node):
    made = client.completions.create(
        model=MODEL, prompt="Once", logprobs=2, n=2, max_tokens=50
    )
    assert [one.text for one in made.choices] == [SAID, SAID]
    assert made.choices[0].logprobs.top_logprobs[0] == {"Hello": -0.5, " other": -1.5}
    assert node.requests[-1].prompt.text == "Once"


def test_what_tools_and_schemas_say_passes_through(endpoint, client, node):
    tools = [{"type": "function", "function": {"name": "add", "parameters": {}}}]
    schema = {"type": "object"}
    node.words = ['<tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>']
    made = client.chat.completions.create(
        model=MODEL,
        messages=HI,
        tools=tools,
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "x", "schema": schema},
        },
    )
    call = made.choices[0].message.tool_calls[0].function
    assert (call.name, call.arguments) == ("add", '{"a": 1}')
    request = node.requests[-1]
    assert request.prompt.tools == tuple(tools)
    assert request.sampling.response_format.json_schema == schema


def test_embeddings_pass_through(endpoint, client):
    made = client.embeddings.create(model=MODEL, input=["a", "bbb"])
    assert made.data[1].embedding == [3.0, 0.5, -0.25]
    assert made.usage.prompt_tokens == 2


def test_a_refusal_of_the_other_server_is_told_with_its_name(endpoint, client, node):
    node.refusal = ErrorEvent(
        status=400, code="context_length_exceeded", message="99 tokens are too many"
    )
    for stream in (True, False):
        with pytest.raises(openai.BadRequestError) as caught:
            client.completions.create(model=MODEL, prompt="x", stream=stream)
        assert caught.value.code == "context_length_exceeded"
        assert "endpoint self: 99 tokens" in caught.value.message


def test_a_wrong_key_is_our_failure_and_not_the_callers(endpoint, client, address):
    services.change_endpoint(
        endpoint,
        url=endpoint.url,
        api_key="tv_wrong",
        model_ids=endpoint.model_ids,
        is_enabled=True,
    )
    with pytest.raises(openai.InternalServerError) as caught:
        client.completions.create(model=MODEL, prompt="x")
    assert (caught.value.status_code, caught.value.code) == (502, "endpoint_failed")
    assert "tv_wrong" not in caught.value.message


def test_a_lost_secret_key_says_what_to_do(endpoint, client, settings):
    settings.SECRET_KEY = "z" * 40
    with pytest.raises(openai.InternalServerError, match="enter it again"):
        client.completions.create(model=MODEL, prompt="x")


def test_a_server_that_is_gone_is_said_to_be(endpoint, client):
    Endpoint.objects.update(url="http://127.0.0.1:9/v1")
    for stream in (True, False):
        with pytest.raises(openai.APIError, match="endpoint self does not answer"):
            list(client.completions.create(model=MODEL, prompt="x", stream=stream))
    with pytest.raises(openai.InternalServerError, match="does not answer"):
        client.embeddings.create(model=MODEL, input="x")


def test_leaving_frees_the_node_behind_the_other_server(endpoint, raw, node):
    node.is_endless, node.delay_s = True, 0.01
    body = {"model": MODEL, "messages": HI, "stream": True}
    with raw.stream("POST", "/chat/completions", json=body) as response:
        lines = response.iter_lines()
        assert any("there" in line for line in lines)
        left_at = time.monotonic()
    assert node.left.wait(5)
    assert max(node.left_at.values()) - left_at < 1


# Strange servers ---------------------------------------------------------------------


def ask(choice: ModelChoice, **values):
    given = {"id": "r", "model": choice.ref, "prompt": Prompt(text="x")} | values

    async def go():
        request = GenerateRequest(**given)
        return [event async for event in serving_client.generate(choice, request)]

    return run_async(go())


@pytest.fixture
def strange(root):
    """A choice whose server sends these lines."""

    class Strange:
        lines: tuple[str, ...] = ()
        status = 200

        async def __call__(self, scope, receive, send) -> None:
            await asyncio.sleep(0)
            start = {"type": "http.response.start", "status": self.status}
            await send(start | {"headers": []})
            body = "".join(f"{line}\n\n" for line in self.lines).encode()
            await send({"type": "http.response.body", "body": body})

    server = Strange()
    with serving(server) as url:
        made = services.add_endpoint(
            name="odd", url=url, api_key="", model_ids=["m"], created_by=root
        )
        server.choice = of_endpoint(made, "m")
        yield server


def chunk(text: str, reason: str | None = None) -> str:
    choice = {"index": 0, "text": text, "finish_reason": reason}
    return "data: " + json.dumps({"choices": [choice]})


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([], "broke off"),
        ([chunk("a")], "broke off"),
        ([chunk("a"), "data: [DONE]"], "broke off"),
        (["data: {"], "not what the OpenAI API has"),
        (["data: []"], "not what the OpenAI API has"),
        (['data: {"choices": [{"index": "x"}]}'], "not what the OpenAI API has"),
        (['data: {"choices": 5}'], "not what the OpenAI API has"),
        ([chunk("a"), 'data: {"error": {"message": "no memory"}}'], "no memory"),
        ([chunk("a"), 'data: {"error": "plain"}'], "plain"),
    ],
)
def test_a_strange_stream_ends_with_one_error(lines, told, strange):
    strange.lines = tuple(lines)
    *before, last = ask(strange.choice)
    assert (last.type, last.status) == ("error", 502)
    assert told in last.message
    assert {event.type for event in before} <= {"prompt", "tokens"}


def test_a_redirect_is_not_followed(strange):
    strange.status = 307
    last = ask(strange.choice)[-1]
    assert "status 307" in last.message


def test_a_server_that_tells_no_usage_is_counted_by_what_it_sends(strange):
    strange.lines = (": comment", chunk("a"), chunk("b"), chunk("", "stop"))
    *_, finish, end = ask(strange.choice)
    assert (finish.type, finish.reason) == ("finish", "stop")
    assert (end.type, end.completion_tokens) == ("end", 2)


def test_what_only_nodes_can_do_is_refused(strange):
    (only,) = ask(strange.choice, answered_ids=(1, 2))
    assert (only.status, only.code) == (400, "not_supported")
    request = RenderRequest(model=strange.choice.ref, prompt=Prompt(text="x"))
    with pytest.raises(ServingError, match="needs a model of this installation"):
        serving_client.call_sync(strange.choice, "/render", request)
    assert serving_client.cancel_sync(strange.choice, "r").freed_ms is None
