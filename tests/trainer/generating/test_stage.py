"""Models answer prompts: side by side, each once, and the same after a break."""

import json
from pathlib import Path
from typing import Any

import pytest
from asking_lab import (
    attempt,
    local_source,
    preference_row,
    prompt_row,
    turn,
    write_dataset,
)
from runspec import GenerateSpec, events
from runspec.labels import AnsweredPrompt
from runspec.layout import ANSWERS, ANSWERS_FILE, OUTPUT
from stage_lab import read_events, result_of
from trainer.errors import BadInputError, Stopped
from trainer.generating import run_generate
from trainer.generating.rows import Rows

SHORT = {"max_tokens": 6}


def spec_for(dataset: Path, *answerers: str, **values: Any) -> GenerateSpec:
    samplings = values.pop("samplings", (SHORT,) * len(answerers))
    return GenerateSpec(
        prompts=str(dataset), answerers=answerers, samplings=samplings, **values
    )


def written(folder: Path) -> bytes:
    return (folder / OUTPUT / ANSWERS_FILE).read_bytes()


def generate(spec: GenerateSpec, folder: Path, **values: int) -> list[AnsweredPrompt]:
    with attempt(folder, **values) as context:
        run_generate(spec, context=context)
    lines = written(folder).splitlines()
    return [AnsweredPrompt.model_validate_json(line) for line in lines]


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    rows = [prompt_row(f"Say {number}") for number in range(12)]
    others = [prompt_row("Last", is_chat=False, category="theft")]
    return write_dataset(tmp_path / "prompts", "prompts", validation=others, train=rows)


def test_each_prompt_gets_an_answer_of_each_model_in_the_order_of_rows(
    prompts, tiny, tmp_path
):
    chat = local_source(tiny("chat"), is_chat=True)
    greedy = {"temperature": 0, "max_tokens": 4}
    spec = spec_for(prompts, chat, chat, samplings=(SHORT, greedy))
    run = tmp_path / "run"
    found = generate(spec, run)
    assert [one.number for one in found] == list(range(13))
    assert found[3].prompt == [{"role": "user", "content": "Say 3"}]
    assert (found[12].prompt[0]["content"], found[12].category) == ("Last", "theft")
    seeds = [answer.sampling.seed for one in found for answer in one.answers]
    assert len(set(seeds)) == len(seeds)
    first, second = found[0].answers
    assert (first.sampling.temperature, second.sampling.temperature) == (1, 0)
    assert len(second.token_ids) == 4
    assert "<|im_start|>user\nSay 0" in second.receipt.rendered
    result = result_of(run)
    assert (result["prompts"], result["answers"], result["failed"]) == (13, 26, 0)
    tokens = sum(len(answer.token_ids) for one in found for answer in one.answers)
    assert result["tokens"] == tokens
    shown = [e for e in read_events(run) if isinstance(e, events.Sample)]
    assert len(shown) == 6
    assert shown[0].prompt.startswith("chat: Say ")


def test_where_one_was_not_taught_to_converse_all_go_on_with_the_bare_text(
    tiny, tmp_path
):
    turns = [turn("system", "Be brief."), turn("user", "One"), turn("assistant", "1")]
    rows = [{"messages": [*turns, turn("user", "Two"), turn("assistant", "2")]}]
    talks = write_dataset(tmp_path / "talks", "conversations", train=rows)
    chat = local_source(tiny("chat"), is_chat=True)
    base = local_source(tiny("gpt2"))
    [found] = generate(spec_for(talks, chat, base), tmp_path / "bare")
    assert found.prompt == "Two"
    assert [answer.receipt.rendered for answer in found.answers] == ["Two", "Two"]
    [found] = generate(spec_for(talks, chat, chat), tmp_path / "chat")
    assert [one["content"] for one in found.prompt] == ["Be brief.", "One", "1", "Two"]


@pytest.mark.parametrize("kind", ["chat", "t5"])
def test_a_run_that_was_broken_off_writes_the_file_it_would_have_written(
    kind, prompts, tiny, tmp_path
):
    source = local_source(tiny(kind), is_chat=kind == "chat")
    spec = spec_for(prompts, source, source, samplings=(SHORT, {"max_tokens": 9}))
    whole, run = tmp_path / "whole", tmp_path / "run"
    generate(spec, whole)
    with pytest.raises(Stopped):
        generate(spec, run, stop_at=2)
    part = run / ANSWERS / "0.jsonl"
    kept = part.read_bytes()
    num_kept = len(kept.splitlines())
    assert 2 <= num_kept < 13
    assert not (run / OUTPUT / ANSWERS_FILE).exists()
    part.write_bytes(kept + b'{"number":11,"answer":{"text":"torn')
    generate(spec, run, fence=2)
    assert written(run) == written(whole)
    # What was answered before was not asked again: its lines are as they were.
    lines = part.read_bytes()
    assert lines.startswith(kept)
    numbers = [json.loads(line)["number"] for line in lines.splitlines()]
    assert sorted(numbers) == list(range(13))
    told = [e for e in read_events(run, 2) if isinstance(e, events.Progress)]
    assert (told[0].step, told[-1].step, told[-1].total) == (num_kept, 26, 26)


def test_a_finished_part_needs_its_model_no_more(prompts, tiny, tmp_path):
    chat = local_source(tiny("chat"), is_chat=True)
    run = tmp_path / "run"
    expected = generate(spec_for(prompts, chat, chat), run)
    gone = local_source(tmp_path / "gone", title="chat", is_chat=True)
    assert generate(spec_for(prompts, gone, gone), run, fence=2) == expected
    (run / ANSWERS / "1.jsonl").unlink()
    with pytest.raises(BadInputError, match="cannot be loaded"):
        generate(spec_for(prompts, gone, gone), run, fence=3)


def test_a_prompt_that_does_not_fit_fails_alone(tiny, tmp_path):
    rows = [prompt_row("Short"), prompt_row("v" * 400)]
    dataset = write_dataset(tmp_path / "prompts", "prompts", train=rows)
    source = local_source(tiny("chat"), is_chat=True)
    run = tmp_path / "run"
    whole, failed = generate(spec_for(dataset, source, source), run)
    assert None not in whole.answers
    assert failed.answers == (None, None)
    assert "the model sees 256 at most" in failed.errors[1]
    assert result_of(run)["failed"] == 2


def test_a_model_that_answers_nothing_fails_the_run_and_may_be_asked_again(
    tiny, tmp_path
):
    rows = [prompt_row("v" * 400)]
    dataset = write_dataset(tmp_path / "prompts", "prompts", train=rows)
    source = local_source(tiny("chat"), is_chat=True)
    run = tmp_path / "run"
    with pytest.raises(BadInputError, match="answered none of 1 prompts"):
        generate(spec_for(dataset, source, source), run)
    assert not (run / ANSWERS / "0.jsonl").exists()


@pytest.mark.parametrize(
    ("kind", "words"), [("bert", "writes no text"), ("nowhere", "cannot be loaded")]
)
def test_a_model_that_cannot_answer_is_refused_with_advice(
    kind, words, prompts, tiny, tmp_path
):
    folder = tmp_path / "nowhere" if kind == "nowhere" else tiny(kind)
    source = local_source(folder)
    with pytest.raises(BadInputError, match=words) as refused:
        generate(spec_for(prompts, source, source), tmp_path / "run")
    assert refused.value.advice


def test_pairs_answered_elsewhere_stand_in_an_order_drawn_by_lot(tmp_path):
    rows = [preference_row(f"Ask {n}", "good", "bad") for n in range(40)]
    rows[7] = preference_row("Ask 7", "same", "same")
    pairs = write_dataset(tmp_path / "pairs", "preferences", train=rows)
    run = tmp_path / "run"
    found = generate(spec_for(pairs), run)
    for one in found:
        chosen = one.answers["ab".index(one.preferred)]
        assert chosen.text in {"good", "same"}
        assert chosen.sampling is None
    assert 10 < sum(one.preferred == "a" for one in found) < 30
    assert result_of(run)["identical_pairs"] == 1
    again = generate(spec_for(pairs), tmp_path / "again")
    assert again == found


def test_prompts_without_pairs_need_someone_who_answers(prompts, tmp_path):
    with pytest.raises(BadInputError, match="nobody is to answer"):
        generate(spec_for(prompts), tmp_path / "run")


def test_the_first_so_many_rows_are_taken_training_rows_first(prompts):
    assert [row.text for row in Rows(prompts, 2)] == ["Say 0", "Say 1"]
    assert [row.text for row in Rows(prompts)][-1] == "Last"
