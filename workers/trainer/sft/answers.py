"""What a model answers, and how right it is.

Exact match, ROUGE-L (Lin 2004, by Google's own package), accuracy and macro F1.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from rouge_score.rouge_scorer import RougeScorer
from transformers import PreTrainedTokenizerFast

BATCH = 32


@dataclass(frozen=True)
class Asked:
    """Something to answer, encoded; and the right answer, where one is known."""

    prompt: str
    ids: list[int]
    right: str | None = None


@torch.no_grad()
def write_answers(
    model: Any,
    tokenizer: PreTrainedTokenizerFast,
    asked: Sequence[Asked],
    *,
    num_tokens: int,
    ends: Sequence[int],
    is_stopped: Callable[[], bool],
) -> list[str]:
    """Return the likeliest answer to each; fewer where the run shall stop.

    The model is left in the mode it was in, and no random number is drawn.
    """
    was_training = model.training
    model.eval()
    is_decoder = not model.config.is_encoder_decoder
    limit = getattr(model.config, "max_position_embeddings", None)
    answers: list[str] = []
    for start in range(0, len(asked), BATCH):
        if is_stopped():
            break
        part = asked[start : start + BATCH]
        width = max(len(one.ids) for one in part)
        room = num_tokens
        if is_decoder and limit:
            room = max(1, min(num_tokens, limit - width))
        pad = tokenizer.pad_token_id
        ids_BT = torch.full((len(part), width), pad, device=model.device)
        mask_BT = torch.zeros_like(ids_BT)
        for row, one in enumerate(part):
            # A decoder goes on at the right end: padding stands on the left.
            place = (
                slice(width - len(one.ids), width)
                if is_decoder
                else slice(len(one.ids))
            )
            ids_BT[row, place] = torch.tensor(one.ids, device=model.device)
            mask_BT[row, place] = 1
        out_BT = model.generate(
            input_ids=ids_BT,
            attention_mask=mask_BT,
            max_new_tokens=room,
            do_sample=False,
            num_beams=1,
            eos_token_id=list(ends),
            pad_token_id=pad,
        )
        written_BT = out_BT[:, width:] if is_decoder else out_BT
        answers += [
            one.strip()
            for one in tokenizer.batch_decode(written_BT, skip_special_tokens=True)
        ]
    model.train(was_training)
    return answers


def exact_share(answers: Sequence[str], right: Sequence[str]) -> float:
    """Return the share of answers right to the letter, but for outer spaces."""
    pairs = list(zip(answers, right, strict=False))
    return sum(a.strip() == r.strip() for a, r in pairs) / max(1, len(pairs))


@cache
def _scorer() -> RougeScorer:
    return RougeScorer(["rougeL"], use_stemmer=False)


def rouge_l(answers: Sequence[str], right: Sequence[str]) -> float:
    """Return the mean F measure of ROUGE-L."""
    scores = [
        _scorer().score(wanted, answer)["rougeL"].fmeasure
        for answer, wanted in zip(answers, right, strict=False)
    ]
    return float(sum(scores) / max(1, len(scores)))


def classifier_scores(
    guesses: Sequence[int], right: Sequence[int], num_labels: int
) -> dict[str, float]:
    """Return accuracy and macro F1: the mean over labels that occur.

    A label nobody has and nobody guessed counts for nothing, as in scikit-learn.
    """
    guessed, wanted = torch.tensor(guesses), torch.tensor(right)
    scores = []
    for label in range(num_labels):
        is_guessed, is_wanted = guessed == label, wanted == label
        total = int(is_guessed.sum() + is_wanted.sum())
        if total:
            scores.append(2 * int((is_guessed & is_wanted).sum()) / total)
    return {
        "accuracy": float((guessed == wanted).float().mean()),
        "f1": sum(scores) / max(1, len(scores)),
    }
