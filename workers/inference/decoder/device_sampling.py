"""Choosing tokens where the logits are, for many sequences, with nothing read back.

The same choices as `inference.sampling` makes one by one, as far as floating point
goes: the same penalties, the same tokens kept in the same order, the same draw.

Shapes: B sequences, V vocabulary, K likeliest tokens told, S slots, F values sent.
"""

from collections.abc import Sequence as Row
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from inference.decoder.torch_pass import upload
from inference.sampling import Choice, has_penalties, uniform_at
from inference.sequence import Sequence


class Asker(NamedTuple):
    """A sequence that wants a token, and what is known of it here."""

    sequence: Sequence
    slot: int
    place: int
    """Tokens it has answered, those that only the device knows included."""
    mask: Tensor | None
    """Which tokens a constraint allows (true: allowed)."""


class Reading:
    """Choices on their way from the device."""

    def __init__(self, packed_BF: Tensor, numbers_told: list[int]) -> None:
        """Have them sent."""
        self._numbers_told = numbers_told
        self._event: torch.cuda.Event | None = None
        # Into pinned memory: the host goes on while it is filled.
        self._packed_BF = packed_BF.to("cpu", non_blocking=True)
        if packed_BF.is_cuda:
            self._event = torch.cuda.Event()
            self._event.record()

    def choices(self) -> list[Choice]:
        """Return them, once they are here."""
        if self._event is not None:
            self._event.synchronize()
        found = []
        for values, number in zip(
            self._packed_BF.tolist(), self._numbers_told, strict=True
        ):
            token_id, logprob, entropy, *top = values
            half = len(top) // 2
            ids, logprobs = map(int, top[:number]), top[half : half + number]
            likeliest = tuple(zip(ids, logprobs, strict=True))
            found.append(Choice(int(token_id), logprob, entropy, likeliest))
        return found


class DeviceSampler:
    """Chooses for the slots of one model."""

    def __init__(self, chosen_S: Tensor, vocab_size: int) -> None:
        """`chosen_S` takes what was chosen last in each slot."""
        self.chosen_S = chosen_S
        self.vocab_size = vocab_size
        self.penalties: Penalties | None = None

    @torch.inference_mode()
    def choose(self, logits_BV: Tensor, askers: Row[Asker]) -> Reading:
        """Choose one token for each sequence; the host does not wait for it."""
        sequences = [one.sequence for one in askers]
        settings = Settings.of(askers, logits_BV.device)
        log_total_B = logits_BV.logsumexp(-1)
        logprobs_BV = logits_BV - log_total_B[:, None]
        entropy_B = -(logprobs_BV.exp() * logprobs_BV.clamp(min=-1e4)).sum(-1)
        chosen_B = self._chosen(logits_BV, askers, settings)
        self.chosen_S[settings.slots_B] = chosen_B
        picked_B = logits_BV.gather(1, chosen_B[:, None])[:, 0].double()
        told = [chosen_B.double()[:, None], (picked_B - log_total_B)[:, None]]
        told.append(entropy_B.double()[:, None])
        most = max(one.top_logprobs for one in sequences)
        if most:
            top = logprobs_BV.topk(min(most, self.vocab_size))
            told += [top.indices.double(), top.values.double()]
        numbers = [min(one.top_logprobs, self.vocab_size) for one in sequences]
        return Reading(torch.cat(told, 1), numbers)

    def _chosen(
        self, logits_BV: Tensor, askers: Row[Asker], settings: "Settings"
    ) -> Tensor:
        sequences = [one.sequence for one in askers]
        penalised = [row for row, one in enumerate(sequences) if has_penalties(one)]
        if penalised:
            self.penalties = self.penalties or Penalties(
                len(self.chosen_S), self.vocab_size, logits_BV.device
            )
            self.penalties.prepare([askers[row] for row in penalised])
            logits_BV = self.penalties.apply(logits_BV, penalised, settings)
        allowed = [(row, one.mask) for row, one in enumerate(askers)]
        constrained = [(row, mask) for row, mask in allowed if mask is not None]
        if constrained:
            logits_BV = masked(logits_BV, constrained)
        chosen_B = logits_BV.argmax(-1)
        if any(one.sampling.temperature for one in sequences):
            drawn_B = draw(logits_BV, sequences, settings)
            chosen_B = torch.where(settings.temperature_B > 0, drawn_B, chosen_B)
        if penalised:
            assert self.penalties is not None
            self.penalties.count(chosen_B, penalised, settings)
        return chosen_B


class Settings(NamedTuple):
    """What each sequence asks for, on the device."""

    slots_B: Tensor
    temperature_B: Tensor
    top_k_B: Tensor
    top_p_B: Tensor
    min_p_B: Tensor
    uniform_B: Tensor
    repetition_B: Tensor
    presence_B: Tensor
    frequency_B: Tensor

    @classmethod
    def of(cls, askers: Row[Asker], device: torch.device) -> "Settings":
        """Send all of it at once."""
        told = [
            (
                one.slot,
                one.sequence.sampling.temperature,
                one.sequence.sampling.top_k,
                one.sequence.sampling.top_p,
                one.sequence.sampling.min_p,
                uniform_at(one.sequence.seed, one.place),
                one.sequence.sampling.repetition_penalty,
                one.sequence.sampling.presence_penalty,
                one.sequence.sampling.frequency_penalty,
            )
            for one in askers
        ]
        [sent] = upload(device, np.array(told, np.float64).T.ravel())
        slots_B, *others = sent.view(len(cls._fields), len(askers))
        return cls(slots_B.long(), *others)


class Penalties:
    """What was read and answered in each slot, for sequences with penalties."""

    def __init__(self, num_slots: int, vocab_size: int, device: torch.device) -> None:
        """Begin with nothing."""
        shape = (num_slots, vocab_size)
        self.is_seen_SV = torch.zeros(shape, dtype=torch.bool, device=device)
        self.counts_SV = torch.zeros(shape, dtype=torch.float32, device=device)
        self.bias_SV = torch.zeros(shape, dtype=torch.float32, device=device)
        self._known: dict[int, Sequence] = {}

    def prepare(self, askers: Row[Asker]) -> None:
        """Take in what sequences read that are new in their slots."""
        for one in askers:
            if self._known.get(one.slot) is one.sequence:
                continue
            self._known[one.slot] = one.sequence
            size, device = self.counts_SV.shape[1], self.counts_SV.device
            answered, read, bias = np.zeros((3, size))
            np.add.at(answered, np.array(one.sequence.answer_ids, np.int64), 1)
            np.add.at(read, np.array(one.sequence.prompt_ids, np.int64), 1)
            for token_id, value in one.sequence.sampling.logit_bias.items():
                if 0 <= token_id < size:
                    bias[token_id] = value
            sent = upload(device, answered, read, bias)
            self.counts_SV[one.slot] = sent[0]
            self.is_seen_SV[one.slot] = sent[0] + sent[1] > 0
            self.bias_SV[one.slot] = sent[2]

    def apply(self, logits_BV: Tensor, rows: list[int], settings: Settings) -> Tensor:
        """Return logits with penalties and bias, as `sampling.penalised` has them."""
        [rows_P] = upload(logits_BV.device, np.array(rows))
        slots_P = settings.slots_B[rows_P]
        held_PV, counts_PV = logits_BV[rows_P], self.counts_SV[slots_P]
        repetition, presence, frequency = (
            values_B[rows_P, None].float()
            for values_B in (
                settings.repetition_B,
                settings.presence_B,
                settings.frequency_B,
            )
        )
        repeated_PV = torch.where(
            held_PV > 0, held_PV / repetition, held_PV * repetition
        )
        held_PV = torch.where(self.is_seen_SV[slots_P], repeated_PV, held_PV)
        held_PV = held_PV - (presence * (counts_PV > 0) + frequency * counts_PV)
        return logits_BV.index_copy(0, rows_P, held_PV + self.bias_SV[slots_P])

    def count(self, chosen_B: Tensor, rows: list[int], settings: Settings) -> None:
        """Take in what was chosen."""
        [rows_P] = upload(chosen_B.device, np.array(rows))
        slots_P, chosen_P = settings.slots_B[rows_P], chosen_B[rows_P]
        self.counts_SV[slots_P, chosen_P] += 1  # no slot is there twice
        self.is_seen_SV[slots_P, chosen_P] = True


def masked(logits_BV: Tensor, masks: list[tuple[int, Tensor]]) -> Tensor:
    """Return logits without what constraints of some rows forbid.

    Logits behind a mask's end are padding of the model: no token has them.
    """
    allowed = np.ones(tuple(logits_BV.shape), np.uint8)
    for row, mask in masks:
        allowed[row] = 0
        allowed[row, : len(mask)] = mask.numpy()
    [sent] = upload(logits_BV.device, allowed.ravel())
    return logits_BV.masked_fill(sent.view_as(logits_BV) == 0, -torch.inf)


def draw(logits_BV: Tensor, sequences: Row[Sequence], settings: Settings) -> Tensor:
    """Return drawn tokens_B; those of rows with temperature 0 mean nothing."""
    heat_B = torch.where(settings.temperature_B > 0, settings.temperature_B, 1.0)
    logits_BV = logits_BV / heat_B[:, None].float()
    probs_BV = logits_BV.softmax(-1)
    floor_B = settings.min_p_B.float() * probs_BV.amax(-1)
    probs_BV = probs_BV * (probs_BV >= floor_B[:, None])
    place_V = torch.arange(logits_BV.shape[1], device=logits_BV.device)
    ids_BV = place_V.expand_as(logits_BV)
    if any(one.sampling.top_k or one.sampling.top_p < 1 for one in sequences):
        kept_BV, sorted_BV = kept_tokens(logits_BV, settings)
        # Those draw from the likeliest on; others in the order of the vocabulary.
        is_cut_B = (settings.top_k_B > 0) | (settings.top_p_B < 1)
        probs_BV = torch.where(is_cut_B[:, None], kept_BV, probs_BV)
        ids_BV = torch.where(is_cut_B[:, None], sorted_BV, ids_BV)
    total_BV = probs_BV.double().cumsum(-1)
    wanted_B1 = total_BV[:, -1:] * settings.uniform_B[:, None]
    place_B1 = torch.searchsorted(total_BV, wanted_B1, right=True)
    last_B1 = (place_V * (probs_BV > 0)).amax(-1, keepdim=True)
    return ids_BV.gather(1, torch.minimum(place_B1, last_B1))[:, 0]


def kept_tokens(logits_BV: Tensor, settings: Settings) -> tuple[Tensor, Tensor]:
    """Return probabilities and ids, best first; those not kept have probability 0.

    Top-p counts within what top-k left, min-p within what top-p left.
    """
    values_BV, ids_BV = logits_BV.sort(-1, descending=True)
    place_V = torch.arange(logits_BV.shape[1], device=logits_BV.device)
    is_out_BV = (settings.top_k_B[:, None] > 0) & (place_V >= settings.top_k_B[:, None])
    probs_BV = values_BV.masked_fill(is_out_BV, -torch.inf).softmax(-1)
    before_BV = probs_BV.cumsum(-1) - probs_BV
    is_kept_BV = (before_BV < settings.top_p_B[:, None].float()) | (place_V == 0)
    is_kept_BV |= settings.top_p_B[:, None] >= 1
    is_kept_BV &= probs_BV >= settings.min_p_B[:, None].float() * probs_BV[:, :1]
    return probs_BV * is_kept_BV, ids_BV
