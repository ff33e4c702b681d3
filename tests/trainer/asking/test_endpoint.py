"""Endpoints answer over real sockets: busy, broken, hostile, and never told the key."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from asking_lab import (
    Answered,
    asked_text,
    attempt,
    endpoint_source,
    prompt_row,
    refuses,
    says,
    serving,
    write_dataset,
)
from runspec import GenerateSpec
from runspec.labels import AnsweredPrompt
from runspec.layout import ANSWERS, ANSWERS_FILE, OUTPUT
from trainer.asking import endpoint
from trainer.asking.endpoint import EndpointDownError, wait_s
from trainer.errors import BadInputError, Stopped
from trainer.generating import run_generate

KEY = "sk-a-very-secret-key"
VARIABLE = "TRIVIUM_ENDPOINT_KEY_1"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(endpoint, "BACKOFF_S", 0.002)


@pytest.fixture
def ask(tmp_path: Path) -> Callable[..., list[AnsweredPrompt]]:
    """Let an endpoint answer twenty prompts twice."""
    rows = [prompt_row(f"Say {number}") for number in range(20)]
    dataset = write_dataset(tmp_path / "prompts", "prompts", train=rows)

    def run(url: str, *, fence: int = 1, stop_at: int = 0, **source: Any) -> Any:
        spec = GenerateSpec(
            prompts=str(dataset),
            answerers=(endpoint_source(url, **source),) * 2,
            samplings=({"max_tokens": 5, "temperature": 0.5}, {"seed": 7}),
        )
        with attempt(tmp_path / "run", fence=fence, stop_at=stop_at) as context:
            run_generate(spec, context=context)
        lines = (tmp_path / "run" / OUTPUT / ANSWERS_FILE).read_text().splitlines()
        return [AnsweredPrompt.model_validate_json(line) for line in lines]

    return run


def echo(body: dict[str, Any]) -> Answered:
    return says(f"You said {asked_text(body)}")


def test_an_endpoint_is_asked_as_the_api_has_it(ask, monkeypatch):
    monkeypatch.setenv(VARIABLE, KEY)
    with serving(echo) as server:
        found = ask(server.url, key_variable=VARIABLE)
    texts = [one.answers[1].text for one in found]
    assert texts == [f"You said Say {number}" for number in range(20)]
    assert set(server.paths) == {"/v1/chat/completions"}
    assert set(server.keys) == {f"Bearer {KEY}"}
    seeds = [body.pop("seed") for body in server.asked]
    assert len(set(seeds)) == 40
    assert {
        "model": "big",
        "temperature": 0.5,
        "max_tokens": 5,
        "messages": [{"role": "user", "content": "Say 4"}],
    } in server.asked
    assert found[0].answers[0].receipt.engine == "big at the endpoint elsewhere"


def test_bare_text_goes_to_the_completions(ask):
    with serving(echo) as server:
        found = ask(server.url, is_chat=False)
    assert set(server.paths) == {"/v1/completions"}
    assert found[3].prompt == "Say 3"


def test_busy_and_broken_answers_are_asked_for_again(ask):
    seen: dict[str, int] = {}

    def answer(body: dict[str, Any]) -> Answered:
        key = f"{asked_text(body)} {body['seed']}"
        seen[key] = seen.get(key, 0) + 1
        troubles = [refuses(429, "busy", **{"Retry-After": "0"}), (500, {}, b"<html>")]
        troubles += [(200, {}, None)]  # hangs up
        return troubles[seen[key] - 1] if seen[key] <= 3 else echo(body)

    with serving(answer) as server:
        found = ask(server.url)
    assert all(answer is not None for one in found for answer in one.answers)
    assert set(seen.values()) == {4}


def test_the_wait_is_what_the_server_asks_for_and_has_a_bound():
    assert wait_s({"retry-after": "3"}, 1) == 3
    assert wait_s({"retry-after": "99999"}, 1) == endpoint.MOST_WAIT_S
    assert wait_s({}, 3) == pytest.approx(4 * endpoint.BACKOFF_S)
    later = format_datetime(datetime.now(tz=UTC) + timedelta(seconds=30), usegmt=True)
    assert 25 < wait_s({"retry-after": later}, 1) <= 30
    assert wait_s({"retry-after": "soon"}, 1) == endpoint.BACKOFF_S


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (refuses(400, "too many tokens"), "status 400: too many tokens"),
        ((307, {"Location": "http://127.0.0.1:9/"}, b""), "status 307"),
        ((200, {}, b'{"choices": []}'), "not what the OpenAI API has"),
        ((200, {}, b"[" * 100_000), "not what the OpenAI API has"),
        ((200, {}, b"x" * (endpoint.MOST_BYTES + 1)), "more than 4,194,304 bytes"),
        (says("", message={"content": None}), "without any text"),
    ],
)  # fmt: skip
def test_a_prompt_it_cannot_answer_fails_alone(ask, told, words):
    def answer(body: dict[str, Any]) -> Answered:
        return told if asked_text(body) == "Say 3" else echo(body)

    with serving(answer) as server:
        found = ask(server.url)
    assert [one.number for one in found if None in one.answers] == [3]
    assert words in found[3].errors[0]
    assert len(server.asked) == 40


def test_a_refused_key_ends_the_run_at_once_and_is_never_told(
    ask, monkeypatch, tmp_path, caplog
):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv(VARIABLE, KEY)
    with (
        serving(lambda _: refuses(401, f"Incorrect API key: {KEY}")) as server,
        pytest.raises(BadInputError, match="endpoint elsewhere refuses") as refused,
    ):
        ask(server.url, key_variable=VARIABLE)
    assert len(server.asked) <= endpoint.AT_ONCE
    assert KEY not in str(refused.value) + refused.value.advice + caplog.text
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


def test_nothing_is_asked_without_the_key_it_takes(ask):
    with serving(echo) as server, pytest.raises(BadInputError, match="given none"):
        ask(server.url, key_variable=VARIABLE)
    assert not server.asked


def test_an_endpoint_that_never_answers_is_told_of(ask):
    with pytest.raises(BadInputError, match=r"does not answer \(ConnectError\)"):
        ask("http://127.0.0.1:9/v1")


def test_one_that_goes_away_is_waited_for_by_another_attempt(ask, tmp_path):
    num_asked = 0

    def answer(body: dict[str, Any]) -> Answered:
        nonlocal num_asked
        num_asked += 1
        return echo(body) if num_asked <= 10 else refuses(503, "going down")

    with serving(answer) as server, pytest.raises(EndpointDownError, match="503"):
        ask(server.url)
    kept = (tmp_path / "run" / ANSWERS / "0.jsonl").read_text().splitlines()
    assert len(kept) == 10
    with serving(echo) as server:
        found = ask(server.url, fence=2)
    assert len(server.asked) == 30
    assert all(answer is not None for one in found for answer in one.answers)


def test_what_an_endpoint_refuses_is_left_out_from_then_on(ask):
    def answer(body: dict[str, Any]) -> Answered:
        return refuses(422, "unknown field 'seed'") if "seed" in body else echo(body)

    with serving(answer) as server:
        found = ask(server.url)
    assert all(answer is not None for one in found for answer in one.answers)
    assert len(server.asked) <= 40 + 2 * endpoint.AT_ONCE


def test_a_stop_abandons_what_is_still_waited_for(ask):
    with serving(echo) as server:
        with pytest.raises(Stopped):
            ask(server.url, stop_at=2)
        before = len(server.asked)
        assert before < 20
        ask(server.url, fence=2)
    # Only what was under way when it stopped is asked for again.
    assert len(server.asked) <= 40 + endpoint.AT_ONCE
