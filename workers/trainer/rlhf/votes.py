"""People's choices that are held out: does the policy come to agree with them?

Shapes: B texts, T tokens.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainer.align.measures import Floats, wins
from trainer.align.pairs import PairExample, PreferenceEncoder
from trainer.errors import Stopped
from trainer.generating.rows import message_of
from trainer.rlhf.prompts import Asked
from trainer.rlhf.rewards.judging import Rewards
from trainer.sft.chat import ChatEncoder
from trainer.sft.rows import Source

BATCH = 16


@dataclass
class Vote:
    """A pair of answers, the first of which a person preferred."""

    asked: Asked
    texts: tuple[str, str]
    prompt: list[int]
    answers: tuple[list[int], list[int]]


@dataclass
class Votes:
    """Held-out pairs, and how likely the model that training began with finds them."""

    pairs: list[Vote]
    reference: Floats | None = None
    """How much likelier each chosen answer was than the rejected one, in nats."""

    def share(self, margins: Floats) -> float:
        """Return the share of pairs whose chosen answer is ahead; ties count half."""
        return wins(margins) / max(1, len(margins))

    def rewarded(self, rewards: Rewards) -> float:
        """Return how often the reward agrees with the people."""
        asked = [pair.asked for pair in self.pairs for _ in pair.texts]
        texts = [text for pair in self.pairs for text in pair.texts]
        total = rewards(asked, texts).total.double().numpy().reshape(-1, 2)
        return self.share(total[:, 0] - total[:, 1])

    def preferred(self, model: Any, is_stopped: Callable[[], bool]) -> float:
        """Return how often the policy does, by how much likelier it made the answers.

        Raises:
            Stopped: the run shall stop.
        """
        assert self.reference is not None
        return self.share(self.ahead(model, is_stopped) - self.reference)

    @torch.no_grad()
    def ahead(self, model: Any, is_stopped: Callable[[], bool]) -> Floats:
        """Return the log-likelihood of each chosen answer less the rejected one's."""
        was_training = model.training
        model.eval()
        texts = [(pair.prompt, ids) for pair in self.pairs for ids in pair.answers]
        found: list[float] = []
        try:
            for start in range(0, len(texts), BATCH):
                if is_stopped():
                    raise Stopped
                found += likelihoods(model, texts[start : start + BATCH])
        finally:
            model.train(was_training)
        both = np.asarray(found, float).reshape(-1, 2)
        ahead: Floats = both[:, 0] - both[:, 1]
        return ahead


def likelihoods(model: Any, texts: list[tuple[list[int], list[int]]]) -> list[float]:
    """Return the log-likelihood of each answer behind its prompt."""
    width = max(len(prompt) + len(ids) for prompt, ids in texts)
    ids_BT = torch.zeros(len(texts), width, dtype=torch.long)
    said_BT = torch.zeros(len(texts), width, dtype=torch.bool)
    mask_BT = torch.zeros(len(texts), width, dtype=torch.long)
    for at, (prompt, ids) in enumerate(texts):
        end = len(prompt) + len(ids)
        ids_BT[at, :end] = torch.tensor([*prompt, *ids])
        mask_BT[at, :end] = 1
        said_BT[at, len(prompt) : end] = True
    device = model.device
    ids_BT, said_BT = ids_BT.to(device), said_BT.to(device)
    logits_BTV = model(
        input_ids=ids_BT, attention_mask=mask_BT.to(device), use_cache=False
    ).logits
    log_BTV: Tensor = logits_BTV[:, :-1].float().log_softmax(-1)
    each_BT = log_BTV.gather(2, ids_BT[:, 1:, None])[..., 0]
    sums: list[float] = (each_BT * said_BT[:, 1:]).sum(1).double().tolist()
    return sums


def votes_of(source: Source, encoder: ChatEncoder, *, most: int, limit: int) -> Votes:
    """Read at most so many pairs, spread evenly, of at most `limit` tokens each."""
    rows = [row for split in ("train", "validation") for row in source.rows(split)]
    step = max(1, len(rows) // most)
    marking = ChatEncoder(
        encoder.tokenizer, encoder.template, encoder.renderer, learns_all=False
    )
    # The policy answers chats: plain pairs are put to it as such, too.
    chosen = [row | {"is_chat": True} for row in rows[::step][:most]]
    examples = PreferenceEncoder(marking, rates=False)(chosen, "preferences")
    pairs = [
        Vote(asked_of(row, one), texts_of(row), one.ids, (one.labels, one.rejected))
        for row, one in zip(chosen, examples, strict=True)
        if isinstance(one, PairExample) and one.trained_tokens and one.length <= limit
    ]
    return Votes(pairs)


def asked_of(row: dict[str, Any], example: PairExample) -> Asked:
    """Return what a pair answers."""
    return Asked(example.ids, [message_of(turn) for turn in row["prompt"] or []])


def texts_of(row: dict[str, Any]) -> tuple[str, str]:
    """Return both answers, the chosen one first."""
    chosen, rejected = (
        "".join(turn["content"] or "" for turn in row[side])
        for side in ("chosen", "rejected")
    )
    return chosen, rejected
