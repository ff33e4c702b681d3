"""Sequences in turns: what goes wrong with one is its own affair."""

from dataclasses import dataclass, field

import pytest
import torch
import transformers as hf
from inference.library import LibraryReader
from inference.one_by_one import MOST_SLOTS, READ_AT_ONCE, OneByOneRunner
from inference.sequence import Sequence
from runspec.serving import Sampling
from tiny_decoders import VOCABULARY, byte_vocabulary, random_model


@pytest.fixture(scope="module")
def vocabulary():
    return byte_vocabulary()


@dataclass
class Asked:
    """What a sequence told."""

    ids: list[int] = field(default_factory=list)
    reason: str = ""
    error: Exception | None = None
    sequence: Sequence | None = None


def ask(runner, prompt, *, max_tokens=8):
    asked = Asked()
    asked.sequence = Sequence(
        prompt_ids=prompt,
        sampling=Sampling(max_tokens=max_tokens, temperature=0),
        tell=lambda token: bool(asked.ids.append(token.id)),
        finish=lambda reason: setattr(asked, "reason", reason),
        fail=lambda error: setattr(asked, "error", error),
        start=lambda _: None,
        eos_ids=frozenset(),
        max_tokens=max_tokens,
    )
    runner.add(asked.sequence)
    return asked


def run(runner):
    while runner.step():
        pass


class Fragile(LibraryReader):
    """Fails at a token."""

    BAD = 13

    def read(self, memory, ids):
        if self.BAD in ids:
            raise RuntimeError("a bad token")
        return super().read(memory, ids)


def test_a_sequence_that_fails_ends_alone(vocabulary):
    runner = OneByOneRunner(Fragile(random_model("llama")), vocabulary, context=128)
    before, bad, after = (ask(runner, [one]) for one in (5, Fragile.BAD, 7))
    run(runner)
    assert "a bad token" in str(bad.error)
    assert bad.reason == ""
    assert len(before.ids) == len(after.ids) == 8
    assert runner.num_running == runner.num_waiting == 0


def test_cancelled_sequences_leave_whether_they_wait_or_not(vocabulary):
    runner = OneByOneRunner(
        LibraryReader(random_model("llama")), vocabulary, context=128
    )
    asked = [ask(runner, [5], max_tokens=50) for _ in range(MOST_SLOTS + 2)]
    for _ in range(MOST_SLOTS):
        runner.step()
    assert (runner.num_running, runner.num_waiting) == (MOST_SLOTS, 2)
    asked[0].sequence.is_cancelled = asked[-1].sequence.is_cancelled = True
    runner.step()
    assert asked[0].reason == asked[-1].reason == "cancelled"
    run(runner)
    assert {one.reason for one in asked[1:-1]} == {"length"}


def test_an_unloaded_model_fails_what_is_left(vocabulary):
    runner = OneByOneRunner(
        LibraryReader(random_model("llama")), vocabulary, context=128
    )
    asked = [ask(runner, [5], max_tokens=50) for _ in range(MOST_SLOTS + 1)]
    runner.step()
    runner.close()
    assert all("unloaded" in str(one.error) for one in asked)
    assert not runner.step()


def test_a_long_prompt_is_read_in_pieces_with_the_same_answer(vocabulary):
    torch.manual_seed(3)
    config = hf.LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=2048,
        initializer_range=0.3,
    )
    network = hf.LlamaForCausalLM(config).eval()
    prompt = torch.randint(1, VOCABULARY, (READ_AT_ONCE + 100,)).tolist()
    runner = OneByOneRunner(LibraryReader(network), vocabulary, context=2048)
    long, short = ask(runner, prompt), ask(runner, [5])
    runner.step()
    runner.step()
    assert len(short.ids) == 1  # did not wait for all of the long one
    assert long.ids == []
    run(runner)
    expected = network.generate(
        torch.tensor([prompt]), max_new_tokens=8, do_sample=False, eos_token_id=None
    )[0, len(prompt) :].tolist()
    assert long.ids == expected


def test_a_model_without_keys_and_values_answers_all_the_same(vocabulary):
    torch.manual_seed(3)
    config = hf.MambaConfig(
        vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, state_size=8
    )
    network = hf.MambaForCausalLM(config).eval()
    runner = OneByOneRunner(LibraryReader(network), vocabulary, context=128)
    asked = ask(runner, [5, 9, 30])
    run(runner)
    expected = network.generate(
        torch.tensor([[5, 9, 30]]),
        max_new_tokens=8,
        do_sample=False,
        eos_token_id=None,
        pad_token_id=0,
    )[0, 3:].tolist()
    assert asked.ids == expected
