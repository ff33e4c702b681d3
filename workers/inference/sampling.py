"""Choosing the next token: penalties, temperature, min-p, top-k, top-p, and a draw.

The draw is a number made of the seed and the place in the answer. So what else is
computed beside it does not matter, and an answer that was broken off can be gone on
with exactly where it stood.

Shapes: B sequences, V vocabulary, K kept tokens.
"""

import hashlib
import struct
from typing import NamedTuple

import torch
from torch import Tensor

from inference.decoder import kernels
from inference.sequence import Sequence

SURE_K = 256
"""Tokens sorted at first for top-p; seldom are more needed."""


class Choice(NamedTuple):
    """A token, and what the model thought before it was chosen."""

    id: int
    logprob: float
    entropy: float
    top: tuple[tuple[int, float], ...]
    """(id, logprob) of the likeliest, best first."""


def choose_tokens(
    logits_BV: Tensor,
    sequences: list[Sequence],
    masks: list[Tensor | None] | None = None,
) -> list[Choice]:
    """Choose one token for each sequence.

    `masks` say which tokens a constraint allows (true: allowed).
    """
    logits_BV = logits_BV.float()
    best, logits, log_totals, entropies = summarise(logits_BV)
    chosen = list(best)
    for row, sequence in enumerate(sequences):
        mask = masks[row] if masks else None
        if not is_plain_greedy(sequence) or mask is not None:
            chosen[row] = choose_one(logits_BV[row], sequence, mask)
    most = max(sequence.top_logprobs for sequence in sequences)
    tops: list[tuple[tuple[int, float], ...]] = [()] * len(sequences)
    if most:
        log_total_B = torch.tensor(log_totals, device=logits_BV.device)
        tops = likeliest(logits_BV - log_total_B[:, None], sequences, most)
    if chosen != best:
        picked = torch.tensor(chosen, device=logits_BV.device)
        logits = logits_BV.gather(1, picked[:, None])[:, 0].tolist()
    logprobs = [
        logit - log_total for logit, log_total in zip(logits, log_totals, strict=True)
    ]
    return [
        Choice(*values)
        for values in zip(chosen, logprobs, entropies, tops, strict=True)
    ]


def summarise(
    logits_BV: Tensor,
) -> tuple[list[int], list[float], list[float], list[float]]:
    """Return likeliest token, its logit, log of the sum of exponentials, entropy."""
    if logits_BV.device.type == "cpu":
        # Torch passes over the rows six times, which took longer than the model.
        found = kernels.summarise(logits_BV.contiguous().numpy())
        best, logits, log_totals, entropies = (values.tolist() for values in found)
        return best, logits, log_totals, entropies
    logit_B, best_B = logits_BV.max(-1)
    log_total_B = logits_BV.logsumexp(-1)
    logprobs_BV = logits_BV - log_total_B[:, None]
    entropy_B = -(logprobs_BV.exp() * logprobs_BV.clamp(min=-1e4)).sum(-1)
    return best_B.tolist(), logit_B.tolist(), log_total_B.tolist(), entropy_B.tolist()


def is_plain_greedy(sequence: Sequence) -> bool:
    """Whether the likeliest token of the model itself is taken."""
    sampling = sequence.sampling
    return sampling.temperature == 0 and not has_penalties(sequence)


def has_penalties(sequence: Sequence) -> bool:
    """Whether logits are changed before the choice."""
    sampling = sequence.sampling
    return bool(
        sampling.repetition_penalty != 1
        or sampling.presence_penalty
        or sampling.frequency_penalty
        or sampling.logit_bias
    )


def likeliest(
    logprobs_BV: Tensor, sequences: list[Sequence], most: int
) -> list[tuple[tuple[int, float], ...]]:
    """Return the likeliest tokens of each row, as many as its sequence asks for."""
    values_BK, ids_BK = logprobs_BV.topk(min(most, logprobs_BV.shape[1]))
    rows = zip(ids_BK.tolist(), values_BK.tolist(), strict=True)
    return [
        tuple(zip(ids, values, strict=True))[: sequence.top_logprobs]
        for sequence, (ids, values) in zip(sequences, rows, strict=True)
    ]


def choose_one(logits_V: Tensor, sequence: Sequence, mask_V: Tensor | None) -> int:
    """Choose the token of one sequence by its own settings."""
    sampling = sequence.sampling
    if has_penalties(sequence):
        logits_V = penalised(logits_V, sequence)
    if mask_V is not None:
        # Logits behind the tokenizer's last token are padding of the model.
        logits_V = logits_V[: mask_V.shape[0]].masked_fill(~mask_V, -torch.inf)
    if sampling.temperature == 0:
        return int(logits_V.argmax())
    logits_V = logits_V / sampling.temperature
    uniform = uniform_at(sequence.seed, len(sequence.answer_ids))
    if sampling.top_p == 1 and not sampling.top_k:
        probs_V = logits_V.softmax(-1)
        if sampling.min_p:
            probs_V = probs_V * (probs_V >= sampling.min_p * probs_V.max())
        return draw(probs_V, uniform)
    values_K, ids_K = kept_tokens(logits_V, top_k=sampling.top_k, top_p=sampling.top_p)
    if sampling.min_p:
        is_kept_K = values_K >= sampling.min_p * values_K[0]
        values_K, ids_K = values_K[is_kept_K], ids_K[is_kept_K]
    return int(ids_K[draw(values_K, uniform)])


def penalised(logits_V: Tensor, sequence: Sequence) -> Tensor:
    """Apply penalties and bias.

    Repetition (CTRL, arXiv 1909.05858) counts prompt and answer; presence and
    frequency count the answer alone, as OpenAI defines them.
    """
    sampling = sequence.sampling
    logits_V = logits_V.clone()
    if sampling.repetition_penalty != 1:
        seen = torch.tensor(
            sorted({*sequence.prompt_ids, *sequence.answer_ids}),
            device=logits_V.device,
        )
        held = logits_V[seen]
        penalty = sampling.repetition_penalty
        logits_V[seen] = torch.where(held > 0, held / penalty, held * penalty)
    if sequence.answer_ids:
        ids, counts = torch.tensor(sequence.answer_ids, device=logits_V.device).unique(
            return_counts=True
        )
        logits_V[ids] -= sampling.presence_penalty + sampling.frequency_penalty * counts
    for token_id, bias in sampling.logit_bias.items():
        if 0 <= token_id < logits_V.shape[0]:
            logits_V[token_id] += bias
    return logits_V


def kept_tokens(logits_V: Tensor, *, top_k: int, top_p: float) -> tuple[Tensor, Tensor]:
    """Return probabilities and ids of the tokens top-k and top-p leave, best first.

    Top-p counts within what top-k left, as transformers does it.
    """
    size = logits_V.shape[0]
    num = min(top_k or SURE_K, size)
    values_K, ids_K = logits_V.topk(num)
    if top_k:
        probs_K = values_K.softmax(-1)
    else:
        probs_K = (values_K - logits_V.logsumexp(-1)).exp()
        if float(probs_K.sum()) < top_p and num < size:
            values_K, ids_K = logits_V.sort(descending=True)
            probs_K = values_K.softmax(-1)
    if top_p < 1:
        # A token stays while those before it do not yet reach top-p.
        before_K = probs_K.cumsum(-1) - probs_K
        num_kept = max(1, int((before_K < top_p).sum()))
        probs_K, ids_K = probs_K[:num_kept], ids_K[:num_kept]
    return probs_K, ids_K


def draw(probs_K: Tensor, uniform: float) -> int:
    """Return the place a number from [0, 1) falls on, by inverse distribution."""
    total_K = probs_K.double().cumsum(-1)
    place = torch.searchsorted(total_K, float(total_K[-1]) * uniform, right=True)
    place_of_last = int(probs_K.nonzero()[-1])
    return min(int(place), place_of_last)


def uniform_at(seed: int, place: int) -> float:
    """Return the number from [0, 1) that a seed has for one place of an answer."""
    digest = hashlib.blake2b(struct.pack("<QQ", seed, place), digest_size=8).digest()
    return float((int.from_bytes(digest, "little") >> 11) * 2.0**-53)
