"""The official client, the web, a real node and tiny models: nothing is fake."""

import json
import math
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import node_lab
import openai
import pytest
from django.utils import timezone
from node_lab import CHAT, NodeProcess, write_model
from runspec.serving import NodeState
from trivium.models.models import LanguageModel
from trivium.serving import services
from trivium.serving.keys import node_key
from trivium.serving.models import Node

HI = [{"role": "user", "content": "Hi you"}]
SAME = {"temperature": 0, "max_tokens": 12}
KINDS = {
    "Chat": ("llama", "decoder", "instruct", CHAT),
    "Base": ("gpt2", "decoder", "base", ""),
    "T5": ("t5", "encoder-decoder", "instruct", ""),
    "Bert": ("bert", "encoder", "base", ""),
}


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage root with a tiny model of each kind."""
    root = tmp_path_factory.mktemp("storage")
    for name, (kind, _, _, template) in KINDS.items():
        write_model(root / "models" / name, kind, template=template)
    return root


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """One node for all tests here, which lets the web in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(node_lab, "KEY", node_key())
        made = NodeProcess(tmp_path_factory.mktemp("node"))
    yield made
    assert made.end() == 0


@pytest.fixture(autouse=True)
def _announced(process, storage, settings, project):
    settings.STORAGE_URL = f"file://{storage}"
    state = NodeState.model_validate(process.state())
    services.announce_node(name="real", url=process.url, state=state)
    # Nobody here renews it, and the first model may take long to get ready.
    Node.objects.update(heartbeat=timezone.now() + timedelta(hours=1))
    for name, (_, architecture, stage, _) in KINDS.items():
        LanguageModel.objects.create(
            project=project,
            name=name,
            architecture=architecture,
            stage=stage,
            path=f"models/{name}",
        )


def test_a_stream_says_what_the_whole_answer_says(client):
    whole = client.chat.completions.create(
        model="Chat", messages=HI, logprobs=True, top_logprobs=3, **SAME
    )
    chunks = list(
        client.chat.completions.create(
            model="Chat",
            messages=HI,
            stream=True,
            stream_options={"include_usage": True},
            **SAME,
        )
    )
    text = "".join(one.choices[0].delta.content or "" for one in chunks[:-1])
    (choice,) = whole.choices
    assert text == choice.message.content != ""
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert chunks[-2].choices[0].finish_reason == choice.finish_reason
    tokens = choice.logprobs.content
    assert len(tokens) == whole.usage.completion_tokens
    for token in tokens:  # greedy: the likeliest token was taken
        assert len(token.top_logprobs) == 3
        assert token.logprob == max(one.logprob for one in token.top_logprobs)
        assert math.exp(token.logprob) <= 1


def test_seeds_repeat_and_choices_differ(client):
    def draw(seed: int) -> list[str]:
        made = client.completions.create(
            model="Base", prompt="Once", n=3, seed=seed, max_tokens=12
        )
        return [one.text for one in made.choices]

    assert draw(5) == draw(5)
    assert len(set(draw(5))) > 1


def test_json_is_json(client):
    made = client.chat.completions.create(
        model="Chat",
        messages=HI,
        temperature=0,
        max_tokens=60,
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "x", "schema": {"enum": ["yes", "no"]}},
        },
    )
    assert json.loads(made.choices[0].message.content) in {"yes", "no"}


def test_a_base_model_says_that_it_has_no_template(client):
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="Base", messages=HI, stream=True)
    assert caught.value.code == "no_chat_template"


def test_a_prompt_that_is_too_long_names_both_numbers(client):
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(model="Base", prompt="word " * 300)
    assert caught.value.code == "context_length_exceeded"
    assert "256" in caught.value.message


def test_text_becomes_text_and_an_encoder_embeds(client):
    made = client.completions.create(model="T5", prompt="Haus", **SAME)
    again = client.chat.completions.create(
        model="T5", messages=[{"role": "user", "content": "Haus"}], **SAME
    )
    assert made.choices[0].text == again.choices[0].message.content
    with pytest.raises(openai.BadRequestError, match="is an encoder"):
        client.chat.completions.create(model="Bert", messages=HI)
    vectors = client.embeddings.create(model="Bert", input=["a cat", "a dog"]).data
    for one in vectors:
        assert math.hypot(*one.embedding) == pytest.approx(1, abs=1e-3)
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model="Base", input="x")
    assert caught.value.code == "model_not_suitable"


def test_a_client_that_leaves_frees_the_slot(client, process):
    stream = client.completions.create(
        model="Base",
        prompt="Once",
        max_tokens=250,
        logit_bias={"0": -100},
        stream=True,
        n=8,
    )
    next(iter(stream))
    stream.close()
    deadline = time.monotonic() + 1
    while process.state()["num_running"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
