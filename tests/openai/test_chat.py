"""Chat through the official client, whole and streamed."""

import openai
import pytest
from fake_node import end, receipt, token
from runspec.serving import ErrorEvent, FinishEvent, PromptEvent, TokensEvent

MODEL = "grammar/Tiny"
HI = [{"role": "user", "content": "Hi you"}]
SAID = "Hello there, wörld!"


@pytest.fixture
def say(node):
    """Let the node answer with these pieces of text."""

    def script_of(*pieces: str, last: str = ""):
        async def script(request):
            yield PromptEvent(receipt=receipt(request))
            for number, text in enumerate(pieces):
                told = token(number, text, top=request.top_logprobs)
                yield TokensEvent(index=0, tokens=(told,), text=text)
            yield FinishEvent(index=0, reason="stop", text=last)
            yield end(request, len(pieces))

        node.script = script

    return script_of


def test_a_whole_answer_has_the_official_shape(node, model, client):
    answer = client.chat.completions.create(model=MODEL, messages=HI)
    assert answer.object == "chat.completion"
    assert answer.id.startswith("chatcmpl-")
    assert answer.model == MODEL
    assert answer.system_fingerprint.startswith("fp_")
    (choice,) = answer.choices
    assert (choice.message.role, choice.message.content) == ("assistant", SAID)
    assert (choice.finish_reason, choice.logprobs) == ("stop", None)
    usage = answer.usage
    assert (usage.completion_tokens, usage.prompt_tokens_details.cached_tokens) == (
        5,
        2,
    )
    assert usage.total_tokens == usage.prompt_tokens + 5


def test_a_stream_has_the_official_order(node, model, client):
    chunks = list(
        client.chat.completions.create(
            model=MODEL,
            messages=HI,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert len({(one.id, one.created, one.model) for one in chunks}) == 1
    assert {one.object for one in chunks} == {"chat.completion.chunk"}
    first, *middle, last, usage = chunks
    assert (first.choices[0].delta.role, first.choices[0].delta.content) == (
        "assistant",
        "",
    )
    assert "".join(one.choices[0].delta.content for one in middle) == SAID
    assert all(one.choices[0].finish_reason is None for one in [first, *middle])
    assert last.choices[0].finish_reason == "stop"
    assert last.choices[0].delta.content is None
    assert usage.choices == []
    assert usage.usage.completion_tokens == 5
    assert all(one.usage is None for one in chunks[:-1])


def test_a_stream_ends_with_done_once_and_tells_no_usage_unasked(node, model, raw):
    body = {"model": MODEL, "messages": HI, "stream": True}
    response = raw.post("/chat/completions", json=body)
    assert response.headers["Content-Type"] == "text/event-stream"
    lines = [line for line in response.text.split("\n\n") if line]
    assert all(line.startswith("data: ") for line in lines)
    assert lines[-1] == "data: [DONE]"
    assert response.text.count("[DONE]") == 1
    assert "usage" not in response.text


def test_settings_reach_the_node(node, model, client):
    client.chat.completions.create(
        model=MODEL,
        messages=HI,
        temperature=0,
        top_p=0.5,
        seed=-1,
        stop=["\n", "END"],
        max_completion_tokens=3,
        presence_penalty=0.5,
        frequency_penalty=-0.5,
        logit_bias={"5": -100},
        response_format={"type": "json_object"},
        extra_body={"top_k": 7, "min_p": 0.1, "repetition_penalty": 1.1},
    )
    sampling = node.requests[-1].sampling
    assert sampling.model_dump(exclude={"seed", "response_format"}) == {
        "max_tokens": 3,
        "temperature": 0,
        "top_k": 7,
        "top_p": 0.5,
        "min_p": 0.1,
        "repetition_penalty": 1.1,
        "presence_penalty": 0.5,
        "frequency_penalty": -0.5,
        "logit_bias": {5: -100},
        "stop": ("\n", "END"),
    }
    assert sampling.seed == 2**63 - 1
    assert sampling.response_format.type == "json_object"


def test_what_is_not_said_is_left_to_the_defaults(node, model, client):
    client.chat.completions.create(model=MODEL, messages=HI)
    request = node.requests[-1]
    assert request.sampling.model_dump(exclude_defaults=True) == {}
    assert request.prompt.messages == ({"role": "user", "content": "Hi you"},)


def test_a_schema_reaches_the_node(node, model, client):
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    client.chat.completions.create(
        model=MODEL,
        messages=HI,
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "x", "schema": schema, "strict": True},
        },
    )
    assert node.requests[-1].sampling.response_format.json_schema == schema


def test_too_few_tokens_are_told_as_length(node, model, client):
    answer = client.chat.completions.create(model=MODEL, messages=HI, max_tokens=2)
    assert answer.choices[0].finish_reason == "length"
    assert answer.choices[0].message.content == "Hello there"


def test_several_answers_stream_beside_each_other(node, model, client):
    chunks = list(
        client.chat.completions.create(model=MODEL, messages=HI, n=3, stream=True)
    )
    texts = {0: "", 1: "", 2: ""}
    roles, ends = [], []
    for chunk in chunks:
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            roles += [choice.index] if choice.delta.role else []
            ends += [choice.index] if choice.finish_reason else []
    assert texts == dict.fromkeys(range(3), SAID)
    assert (sorted(roles), sorted(ends)) == ([0, 1, 2], [0, 1, 2])


@pytest.mark.parametrize("is_stream", [True, False])
def test_probabilities_have_the_shape_of_chat(is_stream, node, model, client):
    made = client.chat.completions.create(
        model=MODEL,
        messages=HI,
        logprobs=True,
        top_logprobs=3,
        stream=is_stream,
    )
    found = [chunk for chunk in made if chunk.choices[0].logprobs] if is_stream else []
    choices = [one.choices[0] for one in found] if is_stream else made.choices
    content = [token for choice in choices for token in choice.logprobs.content]
    assert "".join(one.token for one in content) == SAID
    assert bytes(b for one in content for b in one.bytes).decode() == SAID
    first = content[0]
    assert first.logprob == -0.5
    assert [one.token for one in first.top_logprobs] == ["Hello", " other", "\ufffd"]
    assert first.top_logprobs[0].bytes == list(b"Hello")
    assert first.top_logprobs[2].bytes is None


def test_parts_developers_and_names_become_what_templates_read(node, model, client):
    client.chat.completions.create(
        model=MODEL,
        messages=[
            {"role": "developer", "content": "Be brief."},
            {
                "role": "user",
                "name": "ann",
                "content": [
                    {"type": "text", "text": "Hi "},
                    {"type": "text", "text": "you"},
                ],
            },
        ],
    )
    assert node.requests[-1].prompt.messages == (
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi you", "name": "ann"},
    )


def test_an_answer_that_was_begun_is_gone_on_with(node, model, client):
    messages = [*HI, {"role": "assistant", "content": "Well,"}]
    client.chat.completions.create(
        model=MODEL, messages=messages, extra_body={"continue_final_message": True}
    )
    assert node.requests[-1].prompt.continues


# Tools -------------------------------------------------------------------------------

TOOLS = [{"type": "function", "function": {"name": "add", "parameters": {}}}]
CALL = '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>'


def test_a_call_in_the_text_becomes_a_tool_call(say, model, client, node):
    say("Let me see. <tool", "_call>", CALL.removeprefix("<tool_call>"))
    answer = client.chat.completions.create(model=MODEL, messages=HI, tools=TOOLS)
    choice = answer.choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content == "Let me see. "
    (call,) = choice.message.tool_calls
    assert (call.type, call.function.name) == ("function", "add")
    assert call.function.arguments == '{"a": 1}'
    assert node.requests[-1].prompt.tools == tuple(TOOLS)


def test_a_streamed_call_is_never_shown_as_text(say, model, client):
    say("Ok <", "tool_", "call>", CALL.removeprefix("<tool_call>"), CALL)
    chunks = list(
        client.chat.completions.create(
            model=MODEL, messages=HI, tools=TOOLS, stream=True
        )
    )
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert "".join(delta.content or "" for delta in deltas) == "Ok "
    calls = [call for delta in deltas for call in delta.tool_calls or ()]
    assert [(call.index, call.function.name) for call in calls] == [
        (0, "add"),
        (1, "add"),
    ]
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize(
    "text", ["a < b", "<tool_calls> are nice", "<tool_call>{broken", "<tool_call>[1]"]
)
def test_what_is_no_call_stays_text(text, say, model, client):
    say(*text)
    made = client.chat.completions.create(model=MODEL, messages=HI, tools=TOOLS)
    assert made.choices[0].message.content == text
    assert made.choices[0].finish_reason == "stop"


def test_without_tools_a_call_is_text(say, model, client, node):
    say(CALL)
    for choice in ({}, {"tools": TOOLS, "tool_choice": "none"}):
        made = client.chat.completions.create(model=MODEL, messages=HI, **choice)
        assert made.choices[0].message.content == CALL
        assert node.requests[-1].prompt.tools == ()


def test_a_call_that_is_sent_back_is_opened_for_the_template(node, model, client):
    call = {
        "id": "call_1",
        "type": "function",
        "function": {"name": "add", "arguments": '{"a": 1}'},
    }
    messages = [
        *HI,
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "2"},
    ]
    client.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS)
    _, assistant, tool = node.requests[-1].prompt.messages
    assert assistant["tool_calls"][0]["function"]["arguments"] == {"a": 1}
    assert (tool["tool_call_id"], tool["content"]) == ("call_1", "2")


# Models of other kinds ---------------------------------------------------------------


def test_an_encoder_says_what_it_is_for(node, project, make_model, client):
    make_model(project, "E", architecture="encoder")
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="E", messages=HI)
    assert "is an encoder" in caught.value.message
    assert "/v1/embeddings" in caught.value.message
    assert (caught.value.code, caught.value.param) == ("model_not_suitable", "model")
    assert node.requests == []


def test_a_classifier_says_what_it_is_for(node, project, make_model, client):
    make_model(project, "R", stage="reward")
    with pytest.raises(openai.BadRequestError, match="is a classifier"):
        client.chat.completions.create(model="R", messages=HI)


def test_an_encoder_decoder_is_given_the_last_question(
    node, project, make_model, client
):
    make_model(project, "T5", architecture="encoder-decoder")
    messages = [
        {"role": "system", "content": "ignored"},
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "answer"},
        {"role": "user", "content": "translate: Haus"},
    ]
    made = client.chat.completions.create(model="T5", messages=messages)
    assert made.choices[0].message.content == SAID
    assert node.requests[-1].prompt.text == "translate: Haus"


# What goes wrong ---------------------------------------------------------------------


def test_a_prompt_that_is_too_long_is_a_bad_request(node, model, client):
    node.refusal = ErrorEvent(
        status=400,
        code="context_length_exceeded",
        message="the prompt has 99 tokens, and the model sees 64",
        param="prompt",
    )
    for stream in (True, False):
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(model=MODEL, messages=HI, stream=stream)
        assert caught.value.code == "context_length_exceeded"
        assert caught.value.type == "invalid_request_error"


def test_a_full_node_is_429_and_says_when_to_come_back(model, client, node):
    node.refusal = ErrorEvent(status=503, code="overloaded", message="too many wait")
    for stream in (True, False):
        with pytest.raises(openai.RateLimitError) as caught:
            client.chat.completions.create(model=MODEL, messages=HI, stream=stream)
        assert caught.value.code == "overloaded"
        assert caught.value.response.headers["Retry-After"] == "1"


def test_without_a_node_the_answer_is_503(model, client):
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model=MODEL, messages=HI, stream=True)
    assert caught.value.status_code == 503
    assert "make up" in caught.value.message
    assert caught.value.response.headers["Retry-After"] == "1"


def test_a_node_lost_in_the_middle_ends_the_stream_with_an_error(node, model, raw):
    node.breaks_after = 3
    body = {"model": MODEL, "messages": HI, "stream": True}
    response = raw.post("/chat/completions", json=body)
    *_, last = [line for line in response.text.split("\n\n") if line]
    assert response.status_code == 200
    assert '"error"' in last
    assert '"code":"node_lost"' in last
    assert "[DONE]" not in response.text


def test_the_official_client_raises_what_ends_a_stream(node, model, client):
    node.breaks_after = 3
    stream = client.chat.completions.create(model=MODEL, messages=HI, stream=True)
    with pytest.raises(openai.APIError, match="lost"):
        list(stream)


def test_a_node_lost_before_a_whole_answer_is_an_error(node, model, client):
    node.breaks_after = 3
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model=MODEL, messages=HI)
    assert (caught.value.status_code, caught.value.code) == (502, "node_lost")
