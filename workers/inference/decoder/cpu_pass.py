"""One forward pass over rows of any sequences, with keys and values in slots.

Shapes: N rows, W rows whose logits are wanted, C padded width, V vocabulary.
"""

import time

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from inference.decoder import kernels
from inference.decoder.kernels import PANEL
from inference.decoder.team import Team, ThreadChooser, team
from inference.decoder.weights import Indices, Weights, lay_out


class CpuPass:
    """Weights, and keys and values of `num_slots` sequences."""

    is_exact = True

    def __init__(self, weights: Weights, num_slots: int) -> None:
        """Reserve the slots; memory is taken as they fill."""
        self.weights = weights
        self.threads = ThreadChooser(team().num_threads)
        shape = weights.shape
        panels = (shape.context // PANEL, shape.num_kv_heads, shape.padded_head, PANEL)
        rows = (shape.context, shape.num_kv_heads, shape.padded_head)
        self.keys = np.zeros((num_slots, shape.num_layers, *panels), np.float32)
        self.values = np.zeros((num_slots, shape.num_layers, *rows), np.float32)
        num_logits = PANEL * -(-weights.vocab_size // PANEL)
        self._num_logits = num_logits

    @property
    def context(self) -> int:
        """Positions the model knows."""
        return self.weights.context

    @property
    def num_bytes(self) -> int:
        """Memory of parameters, keys and values."""
        return self.weights.num_bytes + self.keys.nbytes + self.values.nbytes

    @property
    def dtype_name(self) -> str:
        """How matrices are stored, as receipts name it."""
        return self.weights.dtype

    @staticmethod
    def bytes_per_slot(weights: Weights) -> int:
        """Memory one sequence of full length takes."""
        shape = weights.shape
        heads = shape.num_layers * shape.num_kv_heads
        return 2 * 4 * heads * shape.padded_head * shape.context

    def forward(
        self, ids_N: Indices, slots_N: Indices, positions_N: Indices, wanted_W: Indices
    ) -> Tensor:
        """Read tokens into their slots; return logits_WV of the wanted rows.

        Rows of one slot follow each other, and all positions before theirs have been
        read.
        """
        weights = self.weights
        x_NC = weights.embeddings_VC[ids_N]
        if weights.shape.is_gpt2:
            x_NC += weights.positions_TC[positions_N]
        num_rows = len(ids_N)
        with team().joined(self.threads.choose(num_rows)) as num_threads:
            began = time.perf_counter()
            logits_WV = self._run(x_NC, slots_N, positions_N, wanted_W, num_threads)
            took_s = time.perf_counter() - began
        self.threads.note(num_rows, num_threads, took_s)
        return torch.from_numpy(logits_WV[:, : weights.vocab_size])

    def _run(
        self,
        x_NC: npt.NDArray[np.float32],
        slots_N: Indices,
        positions_N: Indices,
        wanted_W: Indices,
        num_threads: int,
    ) -> npt.NDArray[np.float32]:
        weights = self.weights
        logits_WV: npt.NDArray[np.float32] = kernels.run(
            x_NC, slots_N, positions_N, wanted_W, self.keys, self.values,
            weights.matrices, weights.matrix_places, weights.head_place,
            weights.vectors, weights.vector_places,
            weights.norm_place, weights.norm_bias_place,
            weights.cosines_TD, weights.sines_TD, weights.shape,
            self._num_logits, team().words, num_threads,
        )  # fmt: skip
        return logits_WV

    def copy_prefix(self, *, source: int, target: int, num_tokens: int) -> None:
        """Give a slot the keys and values of the first tokens of another."""
        num_panels = -(-num_tokens // PANEL)
        self.keys[target, :, :num_panels] = self.keys[source, :, :num_panels]
        self.values[target, :, :num_tokens] = self.values[source, :, :num_tokens]


def indices(values: list[int]) -> npt.NDArray[np.int64]:
    """Return whole numbers as the kernels take them."""
    return np.array(values, np.int64)


def compile_kernels() -> None:
    """Have the loops compiled, for both ways of storing matrices.

    It takes seconds, once: numba keeps what it compiled. Nobody shall wait for it in
    front of a first answer.
    """
    config = LlamaConfig(
        vocab_size=PANEL,
        hidden_size=PANEL,
        intermediate_size=PANEL,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        max_position_embeddings=PANEL,
    )
    model = LlamaForCausalLM(config)
    first = indices([0])
    helped = Team(2)
    with helped.joined(2):
        pass
    helped.close()
    for is_half in (False, True):
        holder = CpuPass(lay_out(model, is_half=is_half), 1)
        kernels.summarise(holder.forward(first, first, first, first).numpy())
