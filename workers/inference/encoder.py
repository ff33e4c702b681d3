"""Models that read a whole text at once: what stands behind masks, and vectors.

Shapes: B texts, T tokens, C width, M masks, V vocabulary.
"""

from typing import Any

import torch
from runspec.serving import IMPOSSIBLE, Candidate, Filled, FillRequest
from torch import Tensor

from inference.errors import RefusedError
from inference.vocabulary import Vocabulary

BATCH = 16
"""Texts embedded at once; between batches streams go on."""


class MaskFiller:
    """Says which tokens may stand behind the masks of a text."""

    def __init__(self, model: Any, vocabulary: Vocabulary, mask_id: int) -> None:
        """Take a loaded model with a head for masked tokens."""
        self.model = model
        self.vocabulary = vocabulary
        self.mask_id = mask_id

    @torch.inference_mode()
    def fill(self, request: FillRequest, ids: list[int]) -> Filled:
        """Fill the masks among `ids`, apart or one after the other."""
        places = [place for place, one in enumerate(ids) if one == self.mask_id]
        if not places:
            name = self.vocabulary.tokenizer.id_to_token(self.mask_id)
            raise RefusedError(
                400, "no_mask", f"the text has no {name} to be filled", "text"
            )
        targets = [self._target_ids(word) for word in request.targets]
        if request.joint:
            filled, masks, order = self._fill_jointly(ids, places, request, targets)
        else:
            logprobs_MV = self._logprobs(ids, places)
            masks = [self._best(one, request.top, targets) for one in logprobs_MV]
            filled, order = list(ids), []
            for place, candidates in zip(places, masks, strict=True):
                filled[place] = candidates[0].id
        return Filled(
            masks=tuple(masks),
            sequence=self.vocabulary.decode(filled),
            order=tuple(order),
            ids=tuple(ids),
        )

    def _fill_jointly(
        self,
        ids: list[int],
        places: list[int],
        request: FillRequest,
        targets: list[list[int]],
    ) -> tuple[list[int], list[tuple[Candidate, ...]], list[int]]:
        """Fill the surest mask, and look at the others anew, until all are filled."""
        filled = list(ids)
        found: dict[int, tuple[Candidate, ...]] = {}
        left = list(places)
        while left:
            logprobs_MV = self._logprobs(filled, left)
            best = [self._best(one, request.top, targets) for one in logprobs_MV]
            surest = max(range(len(left)), key=lambda one: best[one][0].logprob)
            place = left.pop(surest)
            found[place] = best[surest]
            filled[place] = best[surest][0].id
        order = [places.index(place) for place in found]
        return filled, [found[place] for place in places], order

    def _logprobs(self, ids: list[int], places: list[int]) -> Tensor:
        ids_BT = torch.tensor([ids], device=self.model.device)
        logits_TV = self.model(input_ids=ids_BT).logits[0]
        logprobs_MV: Tensor = logits_TV[places].float().log_softmax(-1)
        return logprobs_MV

    def _best(
        self, logprobs_V: Tensor, top: int, targets: list[list[int]]
    ) -> tuple[Candidate, ...]:
        """Return the likeliest tokens, or the targets in the order of likelihood."""
        if targets:
            chosen = [
                max(spellings, key=lambda one: float(logprobs_V[one]))
                for spellings in targets
            ]
            values = {one: float(logprobs_V[one]) for one in chosen}
            pairs = sorted(values.items(), key=lambda item: -item[1])[:top]
        else:
            best, best_ids = logprobs_V.topk(min(top, logprobs_V.shape[0]))
            pairs = list(zip(best_ids.tolist(), best.tolist(), strict=True))
        return tuple(
            Candidate(
                id=one,
                text=self.vocabulary.text_of(one),
                logprob=max(logprob, IMPOSSIBLE),
            )
            for one, logprob in pairs
        )

    def _target_ids(self, word: str) -> list[int]:
        """Return the tokens that write a word: as it is, and after a space."""
        tokenizer = self.vocabulary.tokenizer
        spelled = [
            tokenizer.encode(text, add_special_tokens=False).ids
            for text in (word, f" {word}")
        ]
        found = [ids[0] for ids in spelled if len(ids) == 1]
        known = tokenizer.token_to_id(word)
        if not found and known is not None:
            found = [known]
        if not found:
            pieces = " ".join(self.vocabulary.text_of(one) for one in spelled[0])
            raise RefusedError(
                400,
                "invalid_target",
                f"{word!r} is no single token of this model ({pieces}), so a mask "
                "cannot hold it",
                "targets",
            )
        return list(dict.fromkeys(found))


class Embedder:
    """Turns texts into vectors: the mean of the last hidden states, of length 1."""

    def __init__(self, model: Any) -> None:
        """Take a loaded model; its head is not used."""
        is_both = model.config.is_encoder_decoder
        self.model = model.get_encoder() if is_both else model.base_model
        self.pad_id = model.config.pad_token_id or 0

    @torch.inference_mode()
    def embed(self, batch: list[list[int]]) -> list[tuple[float, ...]]:
        """Return one vector for each text; padding on the right is masked."""
        width = max(len(ids) for ids in batch)
        ids_BT = torch.full((len(batch), width), self.pad_id)
        mask_BT = torch.zeros_like(ids_BT)
        for row, ids in enumerate(batch):
            ids_BT[row, : len(ids)] = torch.tensor(ids)
            mask_BT[row, : len(ids)] = 1
        device = next(self.model.parameters()).device
        mask_BT = mask_BT.to(device)
        out = self.model(input_ids=ids_BT.to(device), attention_mask=mask_BT)
        hidden_BTC = out.last_hidden_state.float() * mask_BT[..., None]
        mean_BC = hidden_BTC.sum(1) / mask_BT.sum(1, keepdim=True)
        unit_BC = torch.nn.functional.normalize(mean_BC, dim=-1)
        return [tuple(row) for row in unit_BC.tolist()]
