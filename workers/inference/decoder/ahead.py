"""The runner for GPUs: each step is launched before the one before it was looked at.

A GPU computes while its host prepares; where the host reads each token before it asks
for the next, both wait in turns. Here what is chosen stays on the device and is the
next pass's input there. The host reads it one pass later, while the device is at work
(vLLM calls this asynchronous scheduling). So a sequence that ends is found out one pass
late: what that pass computed for it is not looked at.

A constrained answer is the exception: what may come next depends on the token before
it, which the host has to know. It takes part in every other pass.
"""

from dataclasses import dataclass

from inference.decoder.device_sampling import Asker, DeviceSampler, Reading
from inference.decoder.runner import Active, DecoderRunner
from inference.decoder.torch_pass import TorchPass
from inference.vocabulary import Vocabulary


@dataclass
class Launched:
    """Choices the device makes, and whose they are."""

    ready: list[Active]
    reading: Reading


class AheadRunner(DecoderRunner):
    """Answers with one model on a GPU, one pass ahead of what the host knows."""

    holder: TorchPass

    def __init__(
        self, holder: TorchPass, vocabulary: Vocabulary, num_slots: int
    ) -> None:
        """Begin with no sequence."""
        super().__init__(holder, vocabulary, num_slots)
        self.sampler = DeviceSampler(holder.chosen_S, holder.vocab_size)
        self._launched: Launched | None = None

    def step(self) -> bool:
        """Launch a pass and take what the one before it chose; False where idle."""
        is_busy = super().step()
        if not is_busy:
            self._launched = None  # nobody waits for it any more
        return is_busy

    def _advance(self) -> None:
        before, self._launched = self._launched, None
        self._launched = self._launch()
        if before is not None:
            self._take_all(before)

    def _launch(self) -> Launched | None:
        """Ask the device for a pass and its choices; nothing here waits for it."""
        rows = self._gather()
        if not rows.ids:  # all wait to be looked at
            return None
        logits_WV = self._read(rows)
        if not rows.ready:
            return None
        reading = self.sampler.choose(logits_WV, [asker(one) for one in rows.ready])
        for one in rows.ready:
            one.num_ahead += 1
        return Launched(rows.ready, reading)

    def _take_all(self, launched: Launched) -> None:
        """Take what a pass chose for those that are still here."""
        if not any(one in self.active for one in launched.ready):
            return
        choices = launched.reading.choices()
        for one, choice in zip(launched.ready, choices, strict=True):
            if one not in self.active:
                continue
            one.num_ahead -= 1
            self._take(one, choice)
            one.note_read(0)


def asker(one: Active) -> Asker:
    """Return what is known of a sequence whose next token is wanted."""
    return Asker(
        one.sequence,
        one.slot.number,
        len(one.sequence.answer_ids) + one.num_ahead,
        one.constraint.mask() if one.constraint else None,
    )
