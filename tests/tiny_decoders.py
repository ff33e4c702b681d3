"""Tiny decoders of every family the fast pass knows, a tokenizer, and a bench."""

import random
from dataclasses import dataclass, field

import numpy as np
import torch
from inference.decoder.kernels import PANEL
from inference.decoder.making import make_runner
from inference.decoder.runner import DecoderRunner
from inference.sequence import Sequence
from inference.vocabulary import Vocabulary
from runspec.serving import Sampling, TokenTold
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

VOCABULARY = 300
TEXT = "It was the best of times, it was the worst of times. Straße, 東京!"
COMMON = {
    "vocab_size": VOCABULARY,
    "hidden_size": 48,
    "intermediate_size": 100,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "initializer_range": 0.2,
    "bos_token_id": None,
    "eos_token_id": None,
}


def llama(**changes: object) -> LlamaForCausalLM:
    return LlamaForCausalLM(LlamaConfig(**(COMMON | changes)))


FAMILIES = {
    "llama": llama,
    "llama, every head its keys": lambda: llama(num_key_value_heads=4),
    "llama, tied and biased": lambda: llama(
        tie_word_embeddings=True, attention_bias=True, head_dim=24
    ),
    "llama, scaled positions": lambda: llama(
        rope_parameters={
            "rope_type": "llama3",
            "rope_theta": 10_000.0,
            "factor": 4.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 32,
        }
    ),
    "mistral": lambda: MistralForCausalLM(MistralConfig(**COMMON, sliding_window=None)),
    "mixtral": lambda: MixtralForCausalLM(
        MixtralConfig(
            **COMMON, num_local_experts=5, num_experts_per_tok=2, sliding_window=None
        )
    ),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**COMMON)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**COMMON, head_dim=40)),
    "gpt2": lambda: GPT2LMHeadModel(
        GPT2Config(
            vocab_size=VOCABULARY,
            n_embd=48,
            n_layer=2,
            n_head=4,
            n_positions=128,
            initializer_range=0.2,
            bos_token_id=None,
            eos_token_id=None,
        )
    ),
}


def prompt_of(length: int, seed: int = 0) -> list[int]:
    return random.Random(seed).choices(range(1, VOCABULARY), k=length)


def random_model(family: str) -> PreTrainedModel:
    """Return a model whose every parameter differs from the value it begins with."""
    torch.manual_seed(7)
    made = FAMILIES[family]().eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return made


def panels_of(weights: np.ndarray) -> np.ndarray:
    """Lay weights of [results, inputs] out as `kernels.multiply` takes them."""
    num_out, num_in = weights.shape
    return np.ascontiguousarray(
        weights.reshape(num_out // PANEL, PANEL, num_in).transpose(0, 2, 1)
    ).ravel()


def byte_vocabulary() -> Vocabulary:
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.train_from_iterator(
        [TEXT] * 10,
        trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            special_tokens=["<end>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return Vocabulary(inner, frozenset({0}))


def unheard(sampling: Sampling, **fields: object) -> Sequence:
    """Return a sequence nobody listens to."""
    told = {
        "prompt_ids": [1, 2, 3],
        "tell": lambda _: False,
        "finish": lambda _: None,
        "fail": lambda _: None,
        "start": lambda _: None,
        "eos_ids": frozenset(),
        "max_tokens": 10**6,
    }
    return Sequence(sampling=sampling, **(told | fields))


@dataclass
class Answer:
    """What a sequence told."""

    told: list[TokenTold] = field(default_factory=list)
    reason: str = ""
    error: Exception | None = None
    cached: int | None = None

    @property
    def ids(self) -> list[int]:
        return [one.id for one in self.told]


class Bench:
    """A runner, and what its sequences answer."""

    def __init__(self, model: PreTrainedModel, vocabulary: Vocabulary) -> None:
        made = make_runner(model, vocabulary, room_bytes=2**30)
        assert made is not None
        self.runner: DecoderRunner = made

    def ask(
        self,
        prompt: list[int],
        *,
        answered: tuple[int, ...] = (),
        eos: tuple[int, ...] = (),
        top: int = 0,
        seed: int = 1,
        until: int | None = None,
        **sampling: object,
    ) -> tuple[Sequence, Answer]:
        """Queue a prompt; `until` asks to finish after so many tokens."""
        answer = Answer()

        def tell(token: TokenTold) -> bool:
            answer.told.append(token)
            return len(answer.told) == until

        def start(cached: int) -> None:
            answer.cached = cached

        settings = Sampling(**({"max_tokens": 12, "temperature": 0.0} | sampling))
        sequence = Sequence(
            prompt_ids=prompt,
            sampling=settings,
            tell=tell,
            finish=lambda reason: setattr(answer, "reason", reason),
            fail=lambda error: setattr(answer, "error", error),
            start=start,
            eos_ids=frozenset(eos),
            max_tokens=settings.max_tokens or 10**9,
            seed=seed,
            top_logprobs=top,
            answer_ids=list(answered),
        )
        self.runner.add(sequence)
        return sequence, answer

    def run(self, most: int = 1000) -> None:
        """Step until there is nothing to do."""
        for _ in range(most):
            if not self.runner.step():
                return
        raise AssertionError("the runner never came to an end")
