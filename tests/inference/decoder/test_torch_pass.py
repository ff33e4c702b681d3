"""The pass GPUs take, on the CPU of this machine: the same answers, batched."""

import pytest
import torch
from inference.decoder.ahead import AheadRunner
from inference.decoder.cpu_pass import indices
from inference.decoder.torch_pass import TorchPass, can_join
from tiny_decoders import (
    FAMILIES,
    Bench,
    byte_vocabulary,
    prompt_of,
    random_model,
)

JOINED = sorted(name for name in FAMILIES if name != "mixtral")


def bench_of(family: str, num_slots: int = 8) -> Bench:
    vocabulary = byte_vocabulary()
    bench = Bench(random_model("llama"), vocabulary)
    holder = TorchPass(random_model(family), num_slots)
    bench.runner = AheadRunner(holder, vocabulary, num_slots)
    return bench


@pytest.mark.parametrize("family", JOINED)
def test_logits_are_those_of_transformers(family):
    model = random_model(family)
    ids = prompt_of(40)
    with torch.inference_mode():
        expected = model(torch.tensor([ids])).logits[0]
    holder = TorchPass(model, 3)
    # In two pieces, and beside another sequence that answers.
    for start, stop in ((0, 25), (25, 40)):
        rows = list(range(start, stop))
        found = holder.forward(
            indices([7, *ids[start:stop]]),
            indices([2, *[1] * len(rows)]),
            indices([start // 25, *rows]),
            indices(list(range(1, len(rows) + 1))),
        )
        torch.testing.assert_close(found, expected[start:stop], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", JOINED)
def test_greedy_answers_are_those_of_generate(family):
    bench = bench_of(family)
    prompts = [prompt_of(length, seed=length) for length in (3, 17, 40, 17)]
    answers = [bench.ask(prompt, max_tokens=25)[1] for prompt in prompts]
    bench.run()
    model = random_model(family)
    for prompt, answer in zip(prompts, answers, strict=True):
        expected = model.generate(
            torch.tensor([prompt]), max_new_tokens=25, do_sample=False, pad_token_id=0
        )[0, len(prompt) :].tolist()
        assert answer.ids == expected


def test_what_was_read_is_lent_and_reused():
    bench = bench_of("llama")
    shared = prompt_of(50)
    bench.ask(shared + prompt_of(5, 1), max_tokens=30)
    bench.runner.step()
    other = bench.ask(shared + prompt_of(5, 2), max_tokens=6)[1]
    bench.run()
    assert other.cached == 50
    again = bench_of("llama")
    alone = again.ask(shared + prompt_of(5, 2), max_tokens=6)[1]
    again.run()
    assert other.ids == alone.ids


def test_it_does_not_claim_to_be_exact():
    assert not TorchPass(random_model("llama"), 1).is_exact


def test_mixtures_of_experts_are_left_to_the_library():
    assert not can_join(random_model("mixtral"))


@pytest.mark.gpu
@pytest.mark.parametrize("family", JOINED)
def test_greedy_answers_on_a_gpu_are_those_of_generate(family):
    vocabulary = byte_vocabulary()
    bench = Bench(random_model("llama"), vocabulary)
    holder = TorchPass(random_model(family).cuda(), 8)
    bench.runner = AheadRunner(holder, vocabulary, 8)
    prompts = [prompt_of(length, seed=length) for length in (3, 17, 40)]
    answers = [bench.ask(prompt, max_tokens=25)[1] for prompt in prompts]
    bench.run()
    model = random_model(family).cuda()
    for prompt, answer in zip(prompts, answers, strict=True):
        expected = model.generate(
            torch.tensor([prompt]).cuda(),
            max_new_tokens=25,
            do_sample=False,
            pad_token_id=0,
        )[0, len(prompt) :].tolist()
        assert answer.ids == expected
