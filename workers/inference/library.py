"""Any decoder transformers loads, computed by its own forward pass.

Shapes: B batch (1), T tokens, V vocabulary.
"""

import inspect
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from inference.sequence import Sequence


@dataclass
class Memory:
    """What a sequence's tokens left behind."""

    cache: Any
    """Keys and values; None where the model keeps no such cache."""
    tokens_T: Tensor | None = None
    """All read so far, where they must be read again each time."""


class LibraryReader:
    """Reads with a decoder of transformers, one sequence at a time."""

    def __init__(self, model: Any) -> None:
        """Take a loaded model."""
        self.model = model
        takes = inspect.signature(model.forward).parameters
        self._has_cache = "past_key_values" in takes
        self._options = {"logits_to_keep": 1} if "logits_to_keep" in takes else {}

    def begin(self, sequence: Sequence) -> tuple[Memory, list[int]]:
        """Return an empty memory, and the prompt."""
        cache = DynamicCache(config=self.model.config) if self._has_cache else None
        return Memory(cache), list(sequence.prompt_ids)

    @torch.inference_mode()
    def read(self, memory: Memory, ids_T: Tensor) -> Tensor:
        """Read some more tokens; return logits_V of what comes next."""
        options = dict(self._options)
        ids_T = ids_T.to(self.model.device, non_blocking=True)
        if memory.cache is None:
            # Slower, but right for every model: recurrent ones keep other states.
            if memory.tokens_T is not None:
                ids_T = torch.cat([memory.tokens_T, ids_T])
            memory.tokens_T = ids_T
            options["use_cache"] = False
        else:
            options |= {"past_key_values": memory.cache, "use_cache": True}
        logits_V: Tensor = self.model(input_ids=ids_T[None], **options).logits[0, -1]
        return logits_V
