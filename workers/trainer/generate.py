"""Samples a model writes while it trains."""

import threading
from collections.abc import Iterator

import torch
from tokenizers import Tokenizer

from trainer.architectures import LanguageModel

TEMPERATURE = 0.8
TOP_K = 50


@torch.no_grad()
def write_samples(
    model: LanguageModel,
    tokenizer: Tokenizer,
    *,
    prompts: tuple[str, ...],
    num_tokens: int,
    end: int,
    seed: int,
    stop: threading.Event,
) -> Iterator[tuple[str, str]]:
    """Yield each prompt with what the model writes after it.

    A beginning is continued with the likeliest tokens, so that samples of different
    steps compare; where there is none, tokens are drawn, or all samples were alike.
    The random numbers of training are left as they were. Once `stop` is set, a text
    ends where it is.
    """
    was_training = model.training
    model.eval()
    device = model.device
    limit = int(model.config.max_position_embeddings)
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        for number, prompt in enumerate(prompts):
            torch.manual_seed(seed + number)
            ids = [end, *tokenizer.encode(prompt, add_special_tokens=False).ids]
            ids = ids[-max(1, limit - num_tokens) :]
            ids_BT = torch.tensor([ids], device=device)
            choice = (
                {"do_sample": False}
                if prompt
                else {"do_sample": True, "temperature": TEMPERATURE, "top_k": TOP_K}
            )
            out_BT = model.generate(
                ids_BT,
                attention_mask=torch.ones_like(ids_BT),
                max_new_tokens=max(1, min(num_tokens, limit - len(ids))),
                eos_token_id=end,
                pad_token_id=end,
                stopping_criteria=[
                    lambda ids_BT, _scores: torch.full(
                        ids_BT.shape[:1], stop.is_set(), device=ids_BT.device
                    )
                ],
                **choice,
            )
            written = out_BT[0, len(ids) :].tolist()
            yield prompt, tokenizer.decode(written, skip_special_tokens=True)
    model.train(was_training)
