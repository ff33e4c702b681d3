"""Answers that must be JSON are JSON, from a model that knows nothing."""

import json

import pytest
from tiny_decoders import Bench, byte_vocabulary, random_model

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 6},
        "age": {"type": "integer", "minimum": 0, "maximum": 99},
        "kind": {"enum": ["cat", "dog"]},
    },
    "required": ["name", "age", "kind"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench(random_model("llama"), byte_vocabulary())


def text_of(bench: Bench, ids: list[int]) -> str:
    return bench.runner.vocabulary.decode(ids)


def schema_format(schema: object) -> dict[str, object]:
    return {"type": "json_schema", "json_schema": schema}


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_an_answer_keeps_its_schema(bench, temperature):
    answer = bench.ask(
        [1, 2, 3], eos=(0,), max_tokens=100, temperature=temperature,
        response_format=schema_format(SCHEMA),
    )[1]  # fmt: skip
    bench.run()
    made = json.loads(text_of(bench, answer.ids))
    assert set(made) == {"name", "age", "kind"}
    assert made["kind"] in {"cat", "dog"}
    assert 0 <= made["age"] <= 99
    assert answer.reason == "stop"


def test_without_the_constraint_it_would_not(bench):
    answer = bench.ask([1, 2, 3], eos=(0,), max_tokens=100)[1]
    bench.run()
    with pytest.raises(ValueError, match="Expecting value"):
        json.loads(text_of(bench, answer.ids))


def test_neighbours_are_free(bench):
    kept = bench.ask(
        [1, 2, 3], eos=(0,), max_tokens=100, response_format=schema_format(SCHEMA)
    )[1]
    free = bench.ask([1, 2, 3], max_tokens=40)[1]
    bench.run()
    alone = bench.ask([1, 2, 3], max_tokens=40)[1]
    bench.run()
    assert json.loads(text_of(bench, kept.ids))
    assert free.ids == alone.ids


def test_a_broken_off_answer_goes_on_within_its_schema(bench):
    asked = {"eos": (0,), "max_tokens": 100, "response_format": schema_format(SCHEMA)}
    whole = bench.ask([4, 5], **asked)[1]
    bench.run()
    rest = bench.ask([4, 5], answered=tuple(whole.ids[:6]), **asked)[1]
    bench.run()
    assert whole.ids[:6] + rest.ids == whole.ids


@pytest.mark.parametrize("schema", [{"type": "nonsense"}, {"$ref": "#/nowhere"}])
def test_a_schema_that_cannot_be_kept_is_refused(bench, schema):
    answer = bench.ask([1], eos=(0,), response_format=schema_format(schema))[1]
    bench.run()
    assert "json_schema cannot be kept" in str(answer.error)


def test_a_model_that_cannot_end_is_refused(bench):
    answer = bench.ask([1], response_format={"type": "json_object"})[1]
    bench.run()
    assert "no end token" in str(answer.error)
