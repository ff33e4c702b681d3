"""The runner for GPUs: one pass ahead, with the answers of one that waits."""

import pytest
import torch
from inference.decoder.ahead import AheadRunner
from inference.decoder.cpu_pass import indices
from inference.decoder.device_sampling import Asker, DeviceSampler
from inference.decoder.runner import DecoderRunner
from inference.decoder.torch_pass import AS_CHOSEN, TorchPass
from inference.sampling import choose_tokens
from inference.sequence import Sequence
from runspec.serving import Sampling
from tiny_decoders import (
    Answer,
    Bench,
    byte_vocabulary,
    prompt_of,
    random_model,
    unheard,
)

V = 300
SETTINGS = [
    {"temperature": 0},
    {"temperature": 1.0},
    {"temperature": 0.7, "top_k": 5},
    {"temperature": 1.3, "top_p": 0.6},
    {"temperature": 1.0, "top_k": 40, "top_p": 0.9, "min_p": 0.1},
    {"temperature": 1.0, "min_p": 0.2},
    {"temperature": 0, "repetition_penalty": 1.7},
    {"temperature": 0.9, "presence_penalty": 1.1, "frequency_penalty": 0.4},
    {"temperature": 0, "logit_bias": {"17": 100, "9999": 5}},
    {"temperature": 1.0, "top_k": 1, "frequency_penalty": -0.5},
]


def bench_of(runner: type[DecoderRunner], num_slots: int = 8) -> Bench:
    vocabulary = byte_vocabulary()
    model = random_model("llama")
    bench = Bench(random_model("llama"), vocabulary)
    bench.runner = runner(TorchPass(model, num_slots), vocabulary, num_slots)
    return bench


def sequence(seed: int = 1, top: int = 0, **sampling: object) -> Sequence:
    return unheard(
        Sampling(**sampling),
        prompt_ids=[5, 6, 7],
        seed=seed,
        top_logprobs=top,
        answer_ids=[7, 8, 8, 20],
    )


def askers(asked: list[Sequence], masks: list[torch.Tensor | None]) -> list[Asker]:
    return [
        Asker(one, slot, len(one.answer_ids), mask)
        for slot, (one, mask) in enumerate(zip(asked, masks, strict=True))
    ]


@pytest.mark.parametrize("seed", range(20))
def test_choices_are_those_made_one_by_one(seed):
    logits = torch.randn(20, V, generator=torch.Generator().manual_seed(seed)) * 3
    asked = [
        sequence(seed * 100 + row, top=row % 4, **SETTINGS[row % len(SETTINGS)])
        for row in range(20)
    ]
    masks: list[torch.Tensor | None] = [None] * 20
    masks[3] = masks[10] = torch.arange(V - 9) % 7 == 3
    chosen = torch.zeros(20, dtype=torch.long)
    sampler = DeviceSampler(chosen, V)
    expected = choose_tokens(logits, asked, masks)
    found = sampler.choose(logits, askers(asked, masks)).choices()
    assert [one.id for one in found] == [one.id for one in expected]
    assert chosen.tolist() == [one.id for one in expected]
    for mine, other in zip(found, expected, strict=True):
        assert mine.logprob == pytest.approx(other.logprob, abs=1e-5)
        assert mine.entropy == pytest.approx(other.entropy, abs=1e-4)
        assert [one for one, _ in mine.top] == [one for one, _ in other.top]


def test_what_was_chosen_counts_for_penalties():
    """The host has not seen it yet, and the device does not forget it."""
    logits = torch.zeros(1, V)
    logits[0, 42] = 10.0
    one = sequence(temperature=0, frequency_penalty=2.0)
    sampler = DeviceSampler(torch.zeros(1, dtype=torch.long), V)
    found = [
        sampler.choose(logits, [Asker(one, 0, place, None)]).choices()[0].id
        for place in range(7)
    ]
    assert found[:5] == [42] * 5
    assert 42 not in found[5:]
    fresh = sequence(temperature=0, frequency_penalty=2.0)
    assert sampler.choose(logits, [Asker(fresh, 0, 4, None)]).choices()[0].id == 42


def ask_all(bench: Bench) -> list[Answer]:
    """Ask for more answers than there are slots, of every kind."""
    answers = []
    for number in range(20):
        asked = dict(SETTINGS[number % len(SETTINGS)])
        asked["max_tokens"] = 5 + number
        if number == 4:
            asked["max_tokens"] = 500  # more than the model sees
        if number % 5 == 2:
            asked["response_format"] = {"type": "json_object"}
        answer = bench.ask(
            prompt_of(3 + 4 * number, seed=number),
            eos=(0, 11, 12, 13, 14, 15),
            top=number % 3,
            seed=number,
            until=4 if number % 7 == 3 else None,
            answered=(9, 10) if number % 4 == 1 else (),
            **asked,
        )[1]
        answers.append(answer)
    return answers


def test_answers_are_those_of_a_runner_that_waits():
    ahead, waiting = bench_of(AheadRunner), bench_of(DecoderRunner)
    found, expected = ask_all(ahead), ask_all(waiting)
    ahead.run()
    waiting.run()
    assert {one.reason for one in expected} == {"stop", "length"}
    for mine, other in zip(found, expected, strict=True):
        assert (mine.ids, mine.reason) == (other.ids, other.reason)
    for told, other in zip(found[0].told, expected[0].told, strict=True):
        assert told.logprob == pytest.approx(other.logprob, abs=1e-4)


def test_it_asks_for_the_next_token_before_it_knows_the_last():
    bench = bench_of(AheadRunner)
    read: list[list[int]] = []
    forward = bench.runner.holder.forward

    def noted(ids, *others):
        read.append(ids.tolist())
        return forward(ids, *others)

    bench.runner.holder.forward = noted
    answer = bench.ask([3, 4], max_tokens=5)[1]
    bench.run()
    assert read == [[3, 4], *[[AS_CHOSEN]] * 4]  # and none whose token nobody takes
    assert len(answer.ids) == 5
    assert answer.reason == "length"


def test_a_cancelled_one_leaves_nothing_to_who_comes_after():
    bench = bench_of(AheadRunner, num_slots=1)
    gone, left = bench.ask(prompt_of(9), max_tokens=50)
    after = bench.ask(prompt_of(12, seed=5), max_tokens=20)[1]
    for _ in range(6):
        bench.runner.step()
    gone.is_cancelled = True
    bench.run()
    assert left.reason == "cancelled"
    assert len(left.ids) == 5  # the sixth was on its way
    alone = bench_of(AheadRunner, num_slots=1)
    expected = alone.ask(prompt_of(12, seed=5), max_tokens=20)[1]
    alone.run()
    assert after.ids == expected.ids


def test_a_conversation_goes_on_behind_what_was_read():
    bench = bench_of(AheadRunner)
    first = bench.ask(prompt_of(20), max_tokens=10)[1]
    bench.run()
    told = [*prompt_of(20), *first.ids, 33]
    second = bench.ask(told, max_tokens=8)[1]
    bench.run()
    assert second.cached == 29  # all but the last token, which nobody read, and the new
    alone = bench_of(AheadRunner)
    expected = alone.ask(told, max_tokens=8)[1]
    alone.run()
    assert second.ids == expected.ids


def test_a_step_that_fails_ends_its_answers_and_no_others():
    bench = bench_of(AheadRunner)
    forward = bench.runner.holder.forward
    answer = bench.ask([3, 4], max_tokens=9)[1]
    bench.runner.step()

    def broken(*_):
        raise RuntimeError("out of order")

    bench.runner.holder.forward = broken
    bench.run()
    assert str(answer.error) == "out of order"
    bench.runner.holder.forward = forward
    later = bench.ask([3, 4], max_tokens=9)[1]
    bench.run()
    assert len(later.ids) == 9


def test_nothing_is_read_back_while_a_pass_is_launched():
    """On the meta device there are no numbers: whoever wants to know one fails."""
    holder = TorchPass(random_model("llama").to("meta"), len(SETTINGS))
    sampler = DeviceSampler(holder.chosen_S, V)
    rows = list(range(len(SETTINGS)))
    asked = [sequence(top=row % 3, **one) for row, one in enumerate(SETTINGS)]
    masks: list[torch.Tensor | None] = [None, torch.ones(V).bool(), *[None] * 8]
    logits = holder.forward(
        indices([*[AS_CHOSEN] * len(rows), 1, 2, 3]),
        indices([*rows, 0, 0, 0]),
        indices([*[70] * len(rows), 71, 72, 73]),
        indices(rows),
    )
    assert logits.device.type == "meta"
    with pytest.raises(NotImplementedError, match="no data"):
        choose_tokens(logits, asked, masks)  # the way of the CPU does want to know
    # Only what is sent at the very end has to have numbers.
    with pytest.raises(NotImplementedError, match="Cannot copy out of meta") as caught:
        sampler.choose(logits, askers(asked, masks))
    assert caught.traceback[-1].frame.code.name == "__init__"
    assert caught.traceback[-1].frame.code.path.name == "device_sampling.py"


@pytest.mark.gpu
def test_a_gpu_is_never_waited_for_while_a_pass_is_launched():
    bench = bench_of(AheadRunner)
    vocabulary = byte_vocabulary()
    holder = TorchPass(random_model("llama").cuda(), 8)
    bench.runner = AheadRunner(holder, vocabulary, 8)
    answers = ask_all(bench)
    launch = bench.runner._launch

    def watched():
        torch.cuda.set_sync_debug_mode("error")
        try:
            return launch()
        finally:
            torch.cuda.set_sync_debug_mode("default")

    bench.runner._launch = watched
    bench.run()
    assert [one.error for one in answers] == [None] * len(answers)
    assert all(one.reason for one in answers)
