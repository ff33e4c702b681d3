"""Completions, embeddings and the list of models, through the official client."""

import base64
import struct

import openai
import pytest
from trivium.serving import services

MODEL = "grammar/Tiny"
SAID = "Hello there, wörld!"


def test_a_completion_has_the_official_shape(node, model, client):
    made = client.completions.create(model=MODEL, prompt="Once upon")
    assert made.object == "text_completion"
    assert made.id.startswith("cmpl-")
    (choice,) = made.choices
    assert (choice.text, choice.finish_reason) == (SAID, "stop")
    assert choice.logprobs is None
    assert made.usage.total_tokens == 7
    assert node.requests[-1].prompt.text == "Once upon"
    assert node.requests[-1].sampling.max_tokens == 16


def test_a_streamed_completion_has_the_same_shape(node, model, client):
    chunks = list(
        client.completions.create(
            model=MODEL,
            prompt="Hi",
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert len({(one.id, one.created, one.object) for one in chunks}) == 1
    assert "".join(one.choices[0].text for one in chunks[:-1]) == SAID
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == 5


def test_prompts_may_be_texts_or_ids(node, model, client):
    for prompt, expected in [
        (["a", "b c"], [("a", None), ("b c", None)]),
        ([1, 2, 3], [(None, (1, 2, 3))]),
        ([[1, 2], [3]], [(None, (1, 2)), (None, (3,))]),
    ]:
        node.requests.clear()
        made = client.completions.create(model=MODEL, prompt=prompt)
        given = sorted(node.requests, key=lambda request: request.id)
        assert [(one.prompt.text, one.prompt.ids) for one in given] == expected
        assert [one.index for one in made.choices] == list(range(len(expected)))
        assert {one.text for one in made.choices} == {SAID}


@pytest.mark.parametrize("is_stream", [True, False])
def test_several_answers_to_several_prompts_keep_their_places(
    is_stream, node, model, client
):
    made = client.completions.create(
        model=MODEL, prompt=["a", "b", "c"], n=2, echo=True, stream=is_stream
    )
    texts = dict.fromkeys(range(6), "")
    for one in made if is_stream else [made]:
        for choice in one.choices:
            texts[choice.index] += choice.text
    assert list(texts.values()) == [prompt + SAID for prompt in "abc" for _ in range(2)]


def test_ids_are_echoed_as_the_model_sees_them(node, model, client):
    made = client.completions.create(model=MODEL, prompt=[1, 2], echo=True)
    assert made.choices[0].text == "[1][2]" + SAID


@pytest.mark.parametrize("is_stream", [True, False])
def test_probabilities_have_the_shape_of_completions(is_stream, node, model, client):
    made = client.completions.create(
        model=MODEL, prompt="Hi", logprobs=2, stream=is_stream
    )
    parts = [
        one.choices[0].logprobs
        for one in (made if is_stream else [made])
        if one.choices[0].logprobs
    ]
    tokens = [token for part in parts for token in part.tokens]
    offsets = [offset for part in parts for offset in part.text_offset]
    assert tokens == ["Hello", " there", ",", " wörld", "!"]
    assert offsets == [0, 5, 11, 12, 18]
    told = zip(offsets, tokens, strict=True)
    assert all(SAID[at:].startswith(one) for at, one in told)
    assert parts[0].token_logprobs[0] == -0.5
    assert parts[0].top_logprobs[0] == {"Hello": -0.5, " other": -1.5}


def test_probabilities_without_alternatives_tell_none(node, model, client):
    made = client.completions.create(model=MODEL, prompt="Hi", logprobs=0)
    logprobs = made.choices[0].logprobs
    assert logprobs.token_logprobs == [-0.5] * 5
    assert logprobs.top_logprobs is None


def test_an_encoder_decoder_turns_text_into_text(node, project, make_model, client):
    make_model(project, "T5", architecture="encoder-decoder")
    made = client.completions.create(model="T5", prompt="translate: Haus")
    assert made.choices[0].text == SAID
    assert node.requests[-1].prompt.text == "translate: Haus"


def test_an_encoder_completes_nothing(node, project, make_model, client):
    make_model(project, "E", architecture="encoder")
    with pytest.raises(openai.BadRequestError, match="is an encoder"):
        client.completions.create(model="E", prompt="x")


def test_one_failing_prompt_of_several_fails_the_request(node, model, client):
    node.breaks_after = 2
    with pytest.raises(openai.InternalServerError, match="lost"):
        client.completions.create(model=MODEL, prompt=["a", "b"])


# Embeddings --------------------------------------------------------------------------


def test_embeddings_come_as_the_client_asks_for_them(node, model, client):
    made = client.embeddings.create(model=MODEL, input=["a", "bbb"])
    assert made.object == "list"
    assert [one.index for one in made.data] == [0, 1]
    assert made.data[1].embedding == [3.0, 0.5, -0.25]
    assert (made.usage.prompt_tokens, made.usage.total_tokens) == (2, 2)


def test_embeddings_are_numbers_or_base64(node, model, raw):
    for encoding, decode in [
        ("float", list),
        (
            "base64",
            lambda text: list(struct.unpack("<3f", base64.b64decode(text))),
        ),
        (None, list),
    ]:
        body = {"model": MODEL, "input": "four"}
        if encoding:
            body["encoding_format"] = encoding
        told = raw.post("/embeddings", json=body).json()
        assert decode(told["data"][0]["embedding"]) == [4.0, 0.5, -0.25]


def test_more_texts_than_a_node_takes_are_asked_in_turn(node, model, client):
    made = client.embeddings.create(model=MODEL, input=["x"] * 300)
    assert len(made.data) == 300
    sizes = [len(body["texts"]) for path, body in node.calls if path == "/embed"]
    assert sizes == [256, 44]


def test_a_length_the_model_does_not_have_is_refused(node, model, client):
    assert client.embeddings.create(model=MODEL, input="x", dimensions=3).data
    with pytest.raises(openai.BadRequestError, match="vectors of 3 numbers"):
        client.embeddings.create(model=MODEL, input="x", dimensions=2)


def test_ids_cannot_be_embedded(node, model, client):
    with pytest.raises(openai.BadRequestError, match="send text"):
        client.embeddings.create(model=MODEL, input=[1, 2])


# Models ------------------------------------------------------------------------------


def test_models_are_listed_and_found(model, root, client):
    services.add_endpoint(
        name="gpu-1",
        url="http://gpu/v1",
        api_key="",
        model_ids=["org/big"],
        created_by=root,
    )
    found = client.models.list().data
    assert [one.id for one in found] == [MODEL, "gpu-1/org/big"]
    one = client.models.retrieve(MODEL)
    assert (one.id, one.object, one.owned_by) == (MODEL, "model", "grammar")
    assert one.created == int(model.created.timestamp())
    assert client.models.retrieve("gpu-1/org/big").id == "gpu-1/org/big"


def test_a_model_that_is_not_there_is_not_found(client, model):
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("nothing")
    assert caught.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError):
        client.completions.create(model="grammar/nothing", prompt="x")
