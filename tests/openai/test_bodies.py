"""Bodies that ask for what cannot be: each is refused, and the field named."""

import json

import pytest
from django.http import HttpRequest
from django.test import RequestFactory
from trivium.openai.asking import sampling_of
from trivium.openai.calling import read_body
from trivium.openai.errors import ApiError
from trivium.openai.schema import (
    Asked,
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    Sampled,
)

HI = [{"role": "user", "content": "Hi"}]


def refusal(kind: type[Asked], body: dict | bytes) -> ApiError:
    """Return what a body is refused with."""
    if isinstance(body, dict):
        body = json.dumps({"model": "grammar/Tiny"} | body).encode()
    request = RequestFactory().post("/v1/x", body, content_type="application/json")
    with pytest.raises(ApiError) as caught:
        read(request, kind)
    return caught.value


def read(request: HttpRequest, kind: type[Asked]) -> None:
    asked = read_body(request, kind)
    assert isinstance(asked, Sampled)
    sampling_of(asked, None)


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_completion_tokens": -5}, "max_completion_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"n": 1000}, "n"),
        ({"n": 0}, "n"),
        ({"n": True}, "n"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": 1.5}, "top_p"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": -1}, "top_logprobs"),
        ({"top_logprobs": 3}, None),
        ({"logit_bias": {"hello": 1}}, "logit_bias"),
        ({"logit_bias": {"5": 101}}, "logit_bias"),
        ({"stop": ["a"] * 17}, "stop"),
        ({"stop": ""}, "stop"),
        ({"seed": 2**63}, "seed"),
        ({"model": 5}, "model"),
        ({"model": ""}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [{"role": "king", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user"}]}, "messages.0"),
        ({"messages": [{"role": "user", "content": None}]}, "messages.0"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages.0.content"),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image_url", "image_url": {"url": "x"}}],
                    }
                ]
            },
            "messages.0.content.0",
        ),
        ({"response_format": {"type": "xml"}}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"tools": [], "tool_choice": "required"}, "tool_choice"),
        ({"functions": [{"name": "f"}]}, None),
        ({"chat_template": "{{ x }}"}, None),
        ({"continue_final_message": True}, None),
        ({"stream": "yes"}, "stream"),
    ],
)
def test_a_wrong_value_is_refused_by_name(wrong, param):
    error = refusal(ChatRequest, {"messages": HI} | wrong)
    assert (error.status, error.kind) == (400, "invalid_request_error")
    assert error.param == param


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"prompt": []}, "prompt"),
        ({"prompt": ["x"] * 65}, "prompt"),
        ({"prompt": {"a": 1}}, "prompt"),
        ({"prompt": [1, "x"]}, "prompt"),
        ({}, "prompt"),
        ({"prompt": "x", "logprobs": 21}, "logprobs"),
        ({"prompt": "x", "best_of": 5}, None),
        ({"prompt": "x", "echo": True, "logprobs": 1}, None),
        ({"prompt": "x", "suffix": "y"}, None),
        ({"prompt": "x", "max_tokens": 0}, "max_tokens"),
    ],
)
def test_a_wrong_completion_is_refused_by_name(wrong, param):
    error = refusal(CompletionRequest, wrong)
    assert (error.status, error.param) == (400, param)


@pytest.mark.parametrize("wrong", [[], ["x"] * 2049, 5, None, [1.5]])
def test_a_wrong_input_of_embeddings_is_refused(wrong):
    error = refusal(EmbeddingRequest, {"input": wrong})
    assert (error.status, error.param) in {(400, "input"), (400, "input.0")}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b"\xff\xfe",
        b'{"model": "grammar/Tiny", "temperature": NaN, "messages": []}',
        b'{"model": "\\ud800", "messages": [{"role": "user", "content": "x"}]}',
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b'{"model": "grammar/Tiny", "max_tokens": 1' + b"0" * 5000 + b"}",
    ],
    ids=range(10),
)
def test_what_is_no_request_is_refused(body):
    for kind in (ChatRequest, CompletionRequest, EmbeddingRequest):
        error = refusal(kind, body)
        assert (error.status, error.kind) == (400, "invalid_request_error")
