"""Models that read a text whole and write another one: T5, BART and their like.

Shapes: B batch (1), T tokens, V vocabulary.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, EncoderDecoderCache

from inference.sequence import Sequence


@dataclass
class Memory:
    """What was read of the prompt, and of the answer so far."""

    encoded: Any
    cache: EncoderDecoderCache


class EncoderDecoderReader:
    """Encodes a prompt once, and decodes one sequence at a time."""

    def __init__(self, model: Any) -> None:
        """Take a loaded model."""
        self.model = model
        settings = model.generation_config
        start = settings.decoder_start_token_id
        if start is None:
            start = model.config.decoder_start_token_id
        if start is None:
            start = settings.bos_token_id
        # A token every answer is made to begin with is read, not chosen.
        forced = getattr(settings, "forced_bos_token_id", None)
        self.start_ids = [one for one in (start, forced) if one is not None]

    @torch.inference_mode()
    def begin(self, sequence: Sequence) -> tuple[Memory, list[int]]:
        """Encode the prompt; return the tokens every answer begins with."""
        ids_BT = torch.tensor([sequence.prompt_ids], device=self.model.device)
        # One text has no padding. A mask that said so would be read back each time.
        encoded = self.model.get_encoder()(input_ids=ids_BT)
        config = self.model.config.get_text_config(decoder=True)
        cache = EncoderDecoderCache(
            DynamicCache(config=config), DynamicCache(config=config)
        )
        return Memory(encoded, cache), list(self.start_ids)

    @torch.inference_mode()
    def read(self, memory: Memory, ids_T: Tensor) -> Tensor:
        """Read some more of the answer; return logits_V of what comes next."""
        out = self.model(
            encoder_outputs=memory.encoded,
            decoder_input_ids=ids_T[None].to(self.model.device, non_blocking=True),
            past_key_values=memory.cache,
            use_cache=True,
        )
        logits_V: Tensor = out.logits[0, -1]
        return logits_V
