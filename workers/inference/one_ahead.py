"""Sequences that take turns on a GPU: none is waited for while it is its turn.

What was chosen stays on the device and is read there by the next pass; the host learns
it a turn later, as in `decoder.ahead`. Constrained answers wait for each token.
"""

import torch

from inference.decoder.device_sampling import Asker, DeviceSampler, Reading
from inference.one_by_one import READ_AT_ONCE, Active, OneByOneRunner


class OneAheadRunner(OneByOneRunner):
    """Answers with one model on a GPU, a pass ahead of what the host knows."""

    def _advance(self, one: Active) -> None:
        before, one.reading = one.reading, None
        if before is None:
            one.reading = self._launch(one, is_ahead=False)
            return
        num_answered = len(one.sequence.answer_ids) + 1
        is_over = (
            num_answered >= one.sequence.max_tokens
            or len(one.tokens) + 1 >= self.context
        )
        if not is_over and one.constraint is None:
            one.reading = self._launch(one, is_ahead=True)
        [choice] = before.choices()
        self._take(one, choice)

    def _launch(self, one: Active, *, is_ahead: bool) -> Reading | None:
        """Read some more and have a token chosen; None while a prompt is read."""
        if is_ahead:
            assert one.sampler is not None
            ids_T = one.sampler.chosen_S
        else:
            piece = one.tokens[one.num_read : one.num_read + READ_AT_ONCE]
            ids_T = torch.tensor(piece)
        logits_V = self.reader.read(one.memory, ids_T)
        one.num_read += len(ids_T)
        if one.num_read < len(one.tokens):
            return None
        if one.sampler is None:
            place = torch.zeros(1, dtype=torch.long, device=logits_V.device)
            one.sampler = DeviceSampler(place, len(logits_V))
        asker = Asker(
            one.sequence,
            0,
            len(one.sequence.answer_ids) + is_ahead,
            one.constraint.mask() if one.constraint else None,
        )
        return one.sampler.choose(logits_V[None].float(), [asker])
