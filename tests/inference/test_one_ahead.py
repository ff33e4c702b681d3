"""Turns taken a pass ahead, as on a GPU: the answers of those who wait."""

from types import SimpleNamespace

import pytest
import torch
import transformers as hf
from inference.encoder_decoder import EncoderDecoderReader
from inference.library import LibraryReader
from inference.one_ahead import OneAheadRunner
from inference.one_by_one import MOST_SLOTS, OneByOneRunner
from inference.sequence import Sequence
from runspec.serving import Sampling
from tiny_decoders import VOCABULARY, Answer, byte_vocabulary, prompt_of, random_model

SETTINGS = [
    {"temperature": 0},
    {"temperature": 1.0, "top_p": 0.8},
    {"temperature": 0.8, "top_k": 7, "frequency_penalty": 0.7},
    {"temperature": 0, "repetition_penalty": 1.5, "logit_bias": {"9": 3}},
    {"temperature": 1.0, "response_format": {"type": "json_object"}},
]


def mamba():
    torch.manual_seed(3)
    config = hf.MambaConfig(
        vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, state_size=8
    )
    return LibraryReader(hf.MambaForCausalLM(config).eval())


def t5():
    torch.manual_seed(3)
    config = hf.T5Config(
        vocab_size=VOCABULARY, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4,
        decoder_start_token_id=1, eos_token_id=None, pad_token_id=1,
    )  # fmt: skip
    return EncoderDecoderReader(hf.T5ForConditionalGeneration(config).eval())


READERS = {
    "mixtral": lambda: LibraryReader(random_model("mixtral")),
    "mamba": mamba,
    "t5": t5,
}


def ask(runner: OneByOneRunner, number: int, **changes: object) -> Answer:
    answer = Answer()
    asked = {"max_tokens": 6 + number, **SETTINGS[number % len(SETTINGS)], **changes}
    sequence = Sequence(
        prompt_ids=prompt_of(3 + number, seed=number),
        sampling=Sampling(**asked),
        tell=lambda token: answer.told.append(token) or len(answer.told) == 11,
        finish=lambda reason: setattr(answer, "reason", reason),
        fail=lambda error: setattr(answer, "error", error),
        start=lambda _: None,
        eos_ids=frozenset({0, 50, 51, 52}),
        max_tokens=asked["max_tokens"],
        seed=number,
        top_logprobs=number % 3,
        answer_ids=[4, 5] if number % 4 == 1 else [],
    )
    answer.sequence = sequence
    runner.add(sequence)
    return answer


@pytest.mark.parametrize("name", READERS)
def test_answers_are_those_of_turns_that_are_waited_for(name):
    found = []
    for made in (OneByOneRunner, OneAheadRunner):
        runner = made(READERS[name](), byte_vocabulary(), context=24)
        answers = [ask(runner, number) for number in range(MOST_SLOTS + 5)]
        while runner.step():
            pass
        found.append([(one.ids, one.reason, one.error) for one in answers])
    assert found[0] == found[1]
    assert {reason for _, reason, _ in found[0]} == {"stop", "length"}


def test_the_next_pass_is_asked_for_before_the_token_is_known():
    runner = OneAheadRunner(READERS["mixtral"](), byte_vocabulary(), context=100)
    answer = ask(runner, 0, max_tokens=4)
    known: list[int] = []
    read = runner.reader.read

    def noted(memory, ids_T):
        known.append(len(answer.told))
        return read(memory, ids_T)

    runner.reader.read = noted
    while runner.step():
        pass
    assert known == [0, 0, 1, 2]  # and the token nobody reads is not read
    assert len(answer.ids) == 4


@pytest.mark.parametrize("name", ["llama", "gpt2", "mamba", "t5"])
def test_no_number_is_read_back_by_a_pass(name):
    """On the meta device there are none: whoever wants to know one fails."""
    made = READERS.get(name) or (lambda: LibraryReader(random_model(name)))
    reader = made()
    reader.model = reader.model.to("meta")
    sequence = SimpleNamespace(prompt_ids=[1, 2, 3])
    memory, first = reader.begin(sequence)
    assert reader.read(memory, torch.tensor(first)).is_meta
    chosen = torch.zeros(1, dtype=torch.long, device="meta")
    logits = reader.read(memory, chosen)
    with pytest.raises(RuntimeError, match="meta tensors"):
        int(logits.argmax())


def test_a_cancelled_one_is_told_nothing_more():
    runner = OneAheadRunner(READERS["t5"](), byte_vocabulary(), context=100)
    answer = ask(runner, 0, max_tokens=50)
    for _ in range(4):
        runner.step()
    assert len(answer.told) == 3
    answer.sequence.is_cancelled = True
    assert not runner.step()
    assert (len(answer.told), answer.reason) == (3, "cancelled")
