"""The fast decoder: transformers' tokens, and the same bits in any company."""

import math

import pytest
import torch
from inference.decoder.cpu_pass import CpuPass, indices
from inference.decoder.making import MOST_SLOTS, make_runner
from inference.decoder.runner import ROWS_PER_STEP
from inference.decoder.weights import can_lay_out, lay_out
from tiny_decoders import prompt_of, random_model
from transformers import MistralConfig, MistralForCausalLM


def test_logits_are_those_of_transformers(model):
    ids = prompt_of(40)
    with torch.inference_mode():
        expected = model(torch.tensor([ids])).logits[0]
        holder = CpuPass(lay_out(model, is_half=False), 2)
    every = indices(list(range(40)))
    found = holder.forward(indices(ids), indices([1] * 40), every, every)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_greedy_answers_are_those_of_generate(model, bench):
    prompts = [prompt_of(length, seed=length) for length in (3, 17, 40)]
    answers = [bench.ask(prompt, max_tokens=30)[1] for prompt in prompts]
    bench.run()
    for prompt, answer in zip(prompts, answers, strict=True):
        expected = model.generate(
            torch.tensor([prompt]), max_new_tokens=30, do_sample=False, pad_token_id=0
        )[0, len(prompt) :].tolist()
        assert answer.ids == expected
        assert answer.reason == "length"


def test_neighbours_change_no_bit(model, bench):
    """Also not when they come and go, and whatever is read at the same time."""
    prompt = prompt_of(25)
    alone = bench.ask(prompt, max_tokens=40)[1]
    bench.run()
    crowd = [bench.ask(prompt_of(size, size), max_tokens=9) for size in range(5, 12)]
    bench.runner.step()
    beside = bench.ask(prompt_of(1, 99) + prompt, max_tokens=5)[1]
    again = bench.ask(prompt, max_tokens=40)[1]
    for number, (sequence, _) in enumerate(crowd):
        sequence.is_cancelled = number % 2 == 0
    bench.run()
    assert beside.told
    assert again.ids == alone.ids
    assert [one.logprob for one in again.told] == [one.logprob for one in alone.told]


def test_weights_stored_in_bfloat16_stay_so_and_lose_nothing(vocabulary):
    model = random_model("llama").bfloat16()
    runner = make_runner(model, vocabulary, room_bytes=2**30)
    assert runner.holder.weights.dtype == "bf16"
    whole = CpuPass(lay_out(model.float(), is_half=False), 1)
    ids, every = indices(prompt_of(20)), indices(list(range(20)))
    slots = indices([0] * 20)
    assert (
        runner.holder.forward(ids, slots, every, every)
        == whole.forward(ids, slots, every, every)
    ).all()


def test_a_prompt_read_in_pieces_gives_the_same_bits(plain):
    prompt = prompt_of(100)
    whole = plain.ask(prompt, max_tokens=8)[1]
    plain.run()
    # Others fill the step, so that this prompt is read in small pieces.
    for seed in range(MOST_SLOTS - 1):
        plain.ask(prompt_of(100, seed + 1), max_tokens=20)
    pieces = plain.ask([*prompt[:-1], prompt[-1]], max_tokens=8)[1]
    assert MOST_SLOTS * 100 > 2 * ROWS_PER_STEP
    plain.run()
    assert [one.logprob for one in pieces.told] == [one.logprob for one in whole.told]


@pytest.mark.parametrize("sampling", [{}, {"temperature": 0.9, "top_p": 0.9}])
def test_a_broken_off_answer_goes_on_with_the_very_tokens(plain, sampling):
    prompt = prompt_of(20)
    whole = plain.ask(prompt, max_tokens=30, seed=5, **sampling)[1]
    plain.run()
    rest = plain.ask(
        prompt, answered=tuple(whole.ids[:11]), max_tokens=30, seed=5, **sampling
    )[1]
    plain.run()
    assert rest.ids == whole.ids[11:]


def test_a_seed_decides_and_another_decides_otherwise(plain):
    prompt = prompt_of(20)
    asked = [
        plain.ask(prompt, seed=seed, temperature=1.0, max_tokens=30)[1]
        for seed in (3, 3, 4)
    ]
    plain.run()
    assert asked[0].ids == asked[1].ids
    assert asked[0].ids != asked[2].ids


def test_what_was_read_before_is_not_read_again(plain):
    prompt = prompt_of(60)
    first = plain.ask(prompt, max_tokens=4)[1]
    plain.run()
    longer = prompt + first.ids + prompt_of(9, seed=8)
    again = plain.ask(longer, max_tokens=4)[1]
    plain.run()
    assert first.cached == 0
    # The last token answered was never read: nothing came after it.
    assert again.cached == len(prompt) + len(first.ids) - 1


def test_a_busy_slot_lends_what_it_read(plain):
    shared = prompt_of(50)
    long = plain.ask(shared + prompt_of(5, 1), max_tokens=60)[1]
    plain.runner.step()
    other = plain.ask(shared + prompt_of(5, 2), max_tokens=6)[1]
    plain.run()
    alone = plain.ask(prompt_of(1, 3) + shared, max_tokens=1)[1]
    plain.run()
    assert other.cached == 50
    assert alone.cached == 0
    assert len(long.ids) == 60
    fresh = plain.ask(shared + prompt_of(5, 2), max_tokens=6)[1]
    plain.run()
    assert fresh.ids == other.ids


def test_more_sequences_than_slots_wait_and_are_all_answered(plain):
    asked = [plain.ask(prompt_of(4, seed), max_tokens=5)[1] for seed in range(40)]
    plain.runner.step()
    assert plain.runner.num_running == MOST_SLOTS
    assert plain.runner.num_waiting == 40 - MOST_SLOTS
    plain.run()
    assert all(len(answer.ids) == 5 for answer in asked)


def test_cancelling_takes_effect_before_the_next_token(plain):
    sequence, answer = plain.ask(prompt_of(5), max_tokens=100)
    waiting, never = plain.ask(prompt_of(6), max_tokens=100)
    for _ in range(4):
        plain.runner.step()
    num_told = len(answer.told)
    sequence.is_cancelled = waiting.is_cancelled = True
    assert not plain.runner.step()
    assert len(answer.told) == num_told
    assert answer.reason == never.reason == "cancelled"
    assert plain.runner.num_running == 0


def test_the_end_token_ends_and_is_not_told(model, bench):
    prompt = prompt_of(9)
    free = bench.ask(prompt, max_tokens=20)[1]
    bench.run()
    end = free.ids[7]
    ended = bench.ask(prompt, max_tokens=20, eos=(end,))[1]
    bench.run()
    assert ended.ids == free.ids[: free.ids.index(end)]
    assert ended.reason == "stop"


def test_the_listener_may_end_it(plain):
    answer = plain.ask(prompt_of(5), until=3)[1]
    plain.run()
    assert len(answer.told) == 3
    assert answer.reason == "stop"


def test_the_context_ends_it(plain):
    answer = plain.ask(prompt_of(120), max_tokens=None)[1]
    plain.run()
    assert len(answer.told) == 8
    assert answer.reason == "length"


def test_logprobs_and_entropy_are_of_the_models_own_distribution(plain):
    """Before temperature and penalties."""
    prompt = prompt_of(12)
    answer = plain.ask(
        prompt, top=5, temperature=1.7, presence_penalty=1.0, max_tokens=6
    )[1]
    plain.run()
    model = random_model("llama")
    ids = prompt + answer.ids
    with torch.inference_mode():
        logprobs = model(torch.tensor([ids])).logits[0].log_softmax(-1)
    for place, told in enumerate(answer.told):
        row = logprobs[len(prompt) - 1 + place]
        assert told.logprob == pytest.approx(float(row[told.id]), abs=1e-3)
        entropy = -float((row.exp() * row).sum())
        assert told.entropy == pytest.approx(entropy, abs=1e-3)
        values, likeliest = row.topk(5)
        assert [one[0] for one in told.top] == likeliest.tolist()
        assert [one[2] for one in told.top] == pytest.approx(values.tolist(), abs=1e-3)
        assert math.exp(told.logprob) <= 1


def test_an_unloaded_model_fails_what_is_left(plain):
    answers = [plain.ask(prompt_of(4, seed))[1] for seed in range(MOST_SLOTS + 2)]
    plain.runner.step()
    plain.runner.close()
    assert all("unloaded" in str(answer.error) for answer in answers)


def test_a_step_that_fails_ends_its_sequences_and_not_the_runner(plain, monkeypatch):
    broken = plain.ask(prompt_of(4))[1]

    def fail(*_: object) -> None:
        raise MemoryError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(plain.runner.holder, "forward", fail)
        plain.run()
    assert isinstance(broken.error, MemoryError)
    fine = plain.ask(prompt_of(4))[1]
    plain.run()
    assert fine.reason == "length"


def test_families_with_a_window_are_left_to_the_library(vocabulary):
    config = MistralConfig(
        vocab_size=300, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=1, num_key_value_heads=1, sliding_window=8,
    )  # fmt: skip
    model = MistralForCausalLM(config)
    assert not can_lay_out(model)
    assert make_runner(model, vocabulary, room_bytes=2**20) is None
