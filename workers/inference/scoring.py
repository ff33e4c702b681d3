"""Models that judge a text: rewards, and logits of labels."""

from typing import Any

import torch


class Scorer:
    """Asks a classification head about one text at a time: no padding can matter."""

    def __init__(self, model: Any) -> None:
        """Take a loaded model with such a head."""
        self.model = model
        # Decoders look for the last token that is no padding. Here nothing is, and a
        # text may well end with the token that pads elsewhere.
        if not model.config.is_encoder_decoder:
            model.config.pad_token_id = None

    @property
    def labels(self) -> tuple[str, ...]:
        """What the numbers are called; nothing for a single reward."""
        names = self.model.config.id2label or {}
        found = tuple(str(names[one]) for one in sorted(names))
        return found if len(found) > 1 else ()

    @torch.inference_mode()
    def score(self, ids: list[int]) -> tuple[float, ...]:
        """Return the head's numbers for one text."""
        ids_BT = torch.tensor([ids], device=self.model.device)
        logits = self.model(input_ids=ids_BT).logits[0]
        return tuple(logits.float().tolist())
