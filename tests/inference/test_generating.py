"""Answers of a node over real HTTP: transformers' tokens, streamed, stopped, told."""

import asyncio
import json
import threading
import time

import httpx
import pytest
import torch
import transformers as hf
from node_lab import END, asked_of, ref_of

LOADERS = {
    "llama": hf.AutoModelForCausalLM,
    "gpt2": hf.AutoModelForCausalLM,
    "mixtral": hf.AutoModelForCausalLM,
    "t5": hf.AutoModelForSeq2SeqLM,
    "bart": hf.AutoModelForSeq2SeqLM,
}
RUNNERS = {
    "llama": "fused",
    "gpt2": "fused",
    "mixtral": "library",
    "t5": "encoder-decoder",
    "bart": "encoder-decoder",
}
TEXT = "It was the best of times, it was"
LONG = {"max_tokens": 8000, "logit_bias": {str(END): -100}}
"""An answer that is in the middle for a while, where `slow` gives it."""


@pytest.mark.parametrize("kind", sorted(LOADERS))
def test_greedy_answers_are_those_of_generate(node, model, kind):
    folder = model(kind)
    told = node.generate(folder, TEXT, max_tokens=30)
    [loaded] = [
        one for one in node.state()["models"] if one["facts"]["key"] == folder.name
    ]
    assert loaded["facts"]["runner"] == RUNNERS[kind]
    reference = LOADERS[kind].from_pretrained(folder)
    ids = torch.tensor([told.receipt.prompt_ids])
    made = reference.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=30, do_sample=False
    )[0].tolist()
    expected = made[1:] if reference.config.is_encoder_decoder else made[ids.shape[1] :]
    ended = expected[-1] == END
    assert told.ids() == (expected[:-1] if ended else expected)
    assert told.finish().reason == ("stop" if ended else "length")
    assert len(told.ids()) > 1


@pytest.mark.parametrize("kind", ["llama", "mixtral", "t5"])
def test_neighbours_change_nothing(node, model, kind):
    folder = model(kind)
    alone = node.generate(folder, TEXT, max_tokens=40, temperature=0.9, seed=4)
    others = [
        threading.Thread(
            target=lambda text=text: httpx.post(
                f"{node.url}/generate",
                json=asked_of(folder, text, max_tokens=40),
                headers=node.http.headers,
                timeout=60,
            )
        )
        for text in ("it", "worst of times", "Straße")
    ]
    for other in others:
        other.start()
    beside = node.generate(folder, TEXT, max_tokens=40, temperature=0.9, seed=4)
    for other in others:
        other.join()
    assert beside.tokens() == alone.tokens()
    assert beside.receipt.is_exact


def test_a_stream_is_prompt_tokens_finish_end(node, model):
    told = node.generate(model("mixtral"), TEXT, **(LONG | {"max_tokens": 200}))
    assert told.types[0] == "prompt"
    assert set(told.types[1:-2]) == {"tokens"}
    assert told.types[-2:] == ["finish", "end"]
    # The first tokens come at once, later ones together.
    sizes = [len(one.tokens) for one in told.events if one.type == "tokens"]
    assert sizes[0] < max(sizes)
    assert len(sizes) < sum(sizes) == 200
    assert told.end.prompt_tokens == len(told.receipt.prompt_ids)
    assert told.end.completion_tokens == len(told.ids())
    timings = told.end.timings
    assert 0 <= timings.queue_s <= timings.first_token_s <= timings.total_s
    assert timings.tokens_per_s > 0


def test_text_is_what_the_tokens_say(node, model):
    tokenizer = hf.AutoTokenizer.from_pretrained(model("llama"))
    told = node.generate(model("llama"), TEXT, max_tokens=60, temperature=1, seed=2)
    assert told.text() == tokenizer.decode(told.ids(), skip_special_tokens=True)
    assert told.text()


def test_a_seed_is_drawn_and_told_and_repeats_the_answer(node, model):
    first = node.generate(model("llama"), TEXT, temperature=1, max_tokens=30)
    seed = first.receipt.sampling.seed
    assert seed is not None
    again = node.generate(model("llama"), TEXT, temperature=1, max_tokens=30, seed=seed)
    other = node.generate(model("llama"), TEXT, temperature=1, max_tokens=30)
    assert again.ids() == first.ids()
    assert other.receipt.sampling.seed != seed
    assert other.ids() != first.ids()


def test_several_answers_have_seeds_one_after_the_other(node, model):
    both = node.generate(
        model("llama"), TEXT, n=2, temperature=1, seed=7, max_tokens=20
    )
    second = node.generate(model("llama"), TEXT, temperature=1, seed=8, max_tokens=20)
    assert both.ids(1) == second.ids()
    assert both.ids(0) != both.ids(1)
    assert both.types.count("prompt") == 1
    assert both.types.count("finish") == 2
    assert both.end.completion_tokens == len(both.ids(0)) + len(both.ids(1))


def test_a_broken_off_answer_goes_on_where_it_was(node, model):
    asked = {"temperature": 1.0, "seed": 9, "max_tokens": 30, "logit_bias": {END: -99}}
    whole = node.generate(model("llama"), TEXT, **asked)
    rest = node.generate(model("llama"), TEXT, **asked, answered_ids=whole.ids()[:13])
    assert whole.ids()[:13] + rest.ids() == whole.ids()
    nothing = node.generate(model("llama"), TEXT, **asked, answered_ids=whole.ids())
    assert nothing.ids() == []
    assert nothing.finish().reason == "length"


def test_without_a_limit_an_answer_fills_the_context(node, model):
    told = node.generate(model("llama"), TEXT, max_tokens=None, logit_bias={END: -100})
    assert told.finish().reason == "length"
    prompt = len(told.receipt.prompt_ids)
    assert told.receipt.sampling.max_tokens == 256 - prompt
    assert prompt + len(told.ids()) == told.receipt.context == 256


def test_a_stop_sequence_ends_the_answer_and_is_not_shown(node, model):
    whole = node.generate(model("llama"), TEXT, max_tokens=40, temperature=1, seed=5)
    text = whole.text()
    stop = text[len(text) // 2 :][:3]
    told = node.generate(
        model("llama"), TEXT, max_tokens=40, temperature=1, seed=5, stop=[stop]
    )
    assert told.text() == text[: text.index(stop)]
    assert told.finish().reason == "stop"
    assert told.finish().stop == stop


def test_alternatives_are_told_best_first(node, model):
    told = node.generate(model("llama"), TEXT, top_logprobs=4)
    for token in told.tokens():
        logprobs = [one[2] for one in token.top]
        assert len(logprobs) == 4
        assert logprobs == sorted(logprobs, reverse=True)
        assert token.top[0][0] == token.id
        assert token.logprob == pytest.approx(logprobs[0])
        assert token.entropy > 0


@pytest.mark.parametrize("kind", ["llama", "mixtral"])
def test_answers_keep_to_json(node, model, kind):
    schema = {"type": "object", "properties": {"a": {"enum": ["x", "y"]}},
              "required": ["a"], "additionalProperties": False}  # fmt: skip
    wanted = {"type": "json_schema", "json_schema": schema}
    told = node.generate(
        model(kind), TEXT, max_tokens=60, temperature=1, seed=3, response_format=wanted
    )
    assert json.loads(told.text()) in ({"a": "x"}, {"a": "y"})
    assert told.finish().reason == "stop"


def test_next_tokens_are_those_of_the_model(node, model):
    ids = [40, 60, 100, 7]
    found = node.post("/next", model=ref_of(model("llama")), ids=ids, top=5).json()
    reference = hf.AutoModelForCausalLM.from_pretrained(model("llama"))
    with torch.inference_mode():
        logprobs = reference(torch.tensor([ids])).logits[0, -1].log_softmax(-1)
    expected = logprobs.topk(5)
    assert [one["id"] for one in found["candidates"]] == expected.indices.tolist()
    assert [one["logprob"] for one in found["candidates"]] == pytest.approx(
        expected.values.tolist(), abs=1e-4
    )
    entropy = -(logprobs.exp() * logprobs).sum()
    assert found["entropy"] == pytest.approx(float(entropy), abs=1e-4)


def test_cancel_frees_the_slot_and_tells_when(node, model):
    with node.stream(model("slow"), TEXT, id="long", **LONG) as stream:
        stream.until("tokens")
        freed = node.post("/cancel", id="long").json()["freed_ms"]
        assert 0 <= freed < 5000
        assert node.state()["num_running"] == 0
        assert stream.until("finish").reason == "cancelled"
        assert stream.until("end").completion_tokens < 8000
    assert node.post("/cancel", id="long").json() == {"freed_ms": None}


def test_who_leaves_frees_the_slot(node, model):
    with node.stream(model("slow"), TEXT, **LONG) as stream:
        stream.until("tokens")
        assert node.state()["num_running"] == 1
    deadline = time.monotonic() + 5
    while node.state()["num_running"]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert node.state()["num_waiting"] == 0


def test_fifty_streams_all_come_to_their_end(node, model):
    """Also beside some that leave in the middle; and nothing of them is left."""

    async def ask(client: httpx.AsyncClient, number: int) -> str:
        body = asked_of(
            model("llama"), TEXT, max_tokens=5 * number, logit_bias={END: -100}
        )
        last, num_tokens = "", 0
        async with client.stream("POST", "/generate", json=body) as response:
            async for line in response.aiter_lines():
                event = json.loads(line)
                last = event["type"]
                num_tokens += len(event.get("tokens", ()))
                if number % 10 == 0 and num_tokens:
                    return "left"
        assert num_tokens == 5 * number
        return last

    async def ask_all() -> list[str]:
        async with httpx.AsyncClient(
            base_url=node.url, headers=node.http.headers, timeout=60
        ) as client:
            return await asyncio.gather(*(ask(client, one) for one in range(1, 51)))

    found = asyncio.run(ask_all())
    assert found.count("end") == 45
    assert found.count("left") == 5
    deadline = time.monotonic() + 5
    while node.state()["num_running"] or node.state()["num_waiting"]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert all(one["num_running"] == 0 for one in node.state()["models"])
