"""Samples of models that read both ways: they fill the gaps of a text.

A prompt marks its gaps with [MASK]; one without any gets one at its end. An empty one
takes validation text with gaps made as in training, always the same.
"""

import threading
from collections.abc import Iterator

import numpy as np
import torch
from runspec import PretrainSpec

from trainer.architectures import LanguageModel
from trainer.forward import IGNORED
from trainer.objectives.batches import LEAST_ROW, Objective, ask
from trainer.special_tokens import ModelTokenizer
from trainer.windows import Ids

GAP = "[MASK]"


@torch.no_grad()
def fill_samples(
    model: LanguageModel,
    made: ModelTokenizer,
    objective: Objective,
    spec: PretrainSpec,
    *,
    text: Ids,
    stop: threading.Event,
) -> Iterator[tuple[str, str]]:
    """Yield each prompt of the spec, gaps marked, with the text the model makes of it.

    The likeliest tokens fill a gap, so that samples of different steps compare. Once
    `stop` is set, a text ends where it is.
    """
    was_training = model.training
    model.eval()
    for number, prompt in enumerate(spec.sample_prompts):
        ids = (
            _with_gaps(made, prompt, most=objective.raw_tokens)
            if prompt
            else _from_text(made, objective, text, number, spec.sample_tokens)
        )
        if not ids:
            continue
        if spec.facts.architecture == "encoder":
            filled = _fill_masks(model, made, ids, stop)
        else:
            filled = _write(model, made, ids, spec, stop)
        yield _shown(made, ids), _shown(made, filled)
    model.train(was_training)


def _with_gaps(made: ModelTokenizer, prompt: str, *, most: int) -> list[int]:
    """Return the framed ids of a prompt, a special token for each of its gaps."""
    pieces = prompt.split(GAP)
    if len(pieces) == 1:
        pieces.append("")
    encode, special = made.tokenizer.encode, made.special
    # Where a space belongs to the word behind it, the gap holds it.
    holds_space = len(encode(" a", add_special_tokens=False).ids) == len(
        encode("a", add_special_tokens=False).ids
    )
    ids: list[int] = []
    for number, piece in enumerate(pieces):
        is_before_gap = number < len(pieces) - 1
        shown = piece.rstrip(" ") if is_before_gap and holds_space else piece
        ids += encode(shown, add_special_tokens=False).ids
        if is_before_gap:
            ids.append(_gap(made, number))
    framed = [special.start, *ids[-most:], special.close]
    return [token for token in framed if token is not None]


def _gap(made: ModelTokenizer, number: int) -> int:
    sentinels = made.special.sentinels
    if sentinels:
        return sentinels[number % len(sentinels)]
    assert made.special.mask is not None
    return made.special.mask


def _from_text(
    made: ModelTokenizer, objective: Objective, text: Ids, number: int, length: int
) -> list[int]:
    """Return framed ids of a piece of text with gaps; nothing where it is too short."""
    length = min(length, objective.raw_tokens, len(text))
    at = number * length if (number + 1) * length <= len(text) else 0
    raw = np.asarray(text[at : at + length])
    ends = np.flatnonzero(raw == made.special.end)
    if len(ends) and ends[0] >= LEAST_ROW:
        raw = raw[: ends[0]]
    if len(raw) < LEAST_ROW:
        return []
    inputs_BT, labels_BT = ask(objective, raw[None], rows=range(number, number + 1))
    if inputs_BT.shape == labels_BT.shape and (labels_BT == IGNORED).any():
        inputs_BT = torch.where(labels_BT == IGNORED, inputs_BT, _gap(made, 0))
    found: list[int] = inputs_BT[0].tolist()
    return [token for token in found if token != made.special.pad]


def _fill_masks(
    model: LanguageModel, made: ModelTokenizer, ids: list[int], stop: threading.Event
) -> list[int]:
    """Fill one gap after the other, the surest first."""
    ids_T = torch.tensor(ids, device=model.device)
    banned, mask = sorted(made.special.all), _gap(made, 0)
    while not stop.is_set():
        (gaps,) = ids_T.eq(mask).nonzero(as_tuple=True)
        if not len(gaps):
            break
        logits_GV = model(input_ids=ids_T[None]).logits[0, gaps].float()
        logits_GV[:, banned] = -torch.inf
        sure_G, token_G = logits_GV.softmax(dim=1).max(dim=1)
        best = sure_G.argmax()
        ids_T[gaps[best]] = token_G[best]
    filled: list[int] = ids_T.tolist()
    return filled


def _write(
    model: LanguageModel,
    made: ModelTokenizer,
    ids: list[int],
    spec: PretrainSpec,
    stop: threading.Event,
) -> list[int]:
    """Let a decoder write what belongs into the gaps, or the whole text anew."""
    ids_BT = torch.tensor([ids], device=model.device)
    room = spec.sample_tokens + len(ids)
    out_BT = model.generate(
        input_ids=ids_BT,
        attention_mask=torch.ones_like(ids_BT),
        max_new_tokens=max(1, min(room, spec.context - 1)),
        do_sample=False,
        num_beams=1,
        stopping_criteria=[
            lambda ids_BT, _scores: torch.full(
                ids_BT.shape[:1], stop.is_set(), device=ids_BT.device
            )
        ],
    )
    written: list[int] = out_BT[0].tolist()
    if not made.special.sentinels:
        return written
    # A gap of which nothing was written stays empty.
    spans: dict[int, list[int]] = {token: [] for token in made.special.sentinels}
    current: list[int] = []
    for token in written:
        if token in made.special.sentinels:
            current = spans[token]
        elif token not in made.special.all:
            current.append(token)
    return [part for token in ids for part in spans.get(token, [token])]


def _shown(made: ModelTokenizer, ids: list[int]) -> str:
    special = made.special
    frame = {special.start, special.close, special.end, special.pad}
    kept = [token for token in ids if token not in frame]
    text = str(made.tokenizer.decode(kept, skip_special_tokens=False))
    for token in (special.mask, *special.sentinels):
        if token is not None:
            text = text.replace(str(made.tokenizer.id_to_token(token)), GAP)
    return text
