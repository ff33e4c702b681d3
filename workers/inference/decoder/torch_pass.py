"""The pass of `cpu_pass`, by torch: for GPUs, where batching is what counts.

The parameters are the model's own, projections joined; the model is taken apart. Keys
and values lie in buffers made once. A step is one product for all rows of a layer;
sequences that answer attend together, pieces of prompts each for itself.

Not exact as the CPU's pass is: how torch sums depends on how many rows there are.

Shapes: N rows, B rows that answer, P rows of a piece of a prompt, C width, H heads, K
key-value heads, D width of a head, T positions, S slots.
"""

from itertools import groupby
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inference.decoder.weights import Indices

Numbers = npt.NDArray[np.int64] | npt.NDArray[np.float64] | npt.NDArray[np.uint8]
STEP = 64
"""Positions attended to are a multiple of it, so that shapes repeat."""
AS_CHOSEN = -1
"""An id that stands for what was chosen last in its slot: the host need not know."""


class TorchPass:
    """A model's layers, and keys and values of `num_slots` sequences."""

    is_exact = False

    def __init__(self, model: nn.Module, num_slots: int) -> None:
        """Join projections and make the buffers."""
        config: Any = model.config
        self.parameter_bytes = sum(one.nbytes for one in model.parameters())
        self.is_gpt2 = config.model_type == "gpt2"
        self.context = (
            config.n_positions if self.is_gpt2 else config.max_position_embeddings
        )
        self.vocab_size = config.vocab_size
        self.num_heads = config.num_attention_heads
        self.num_kv_heads = getattr(config, "num_key_value_heads", self.num_heads)
        body: Any = model.transformer if self.is_gpt2 else model.model
        layers = body.h if self.is_gpt2 else body.layers
        prepare = _gpt2_layer if self.is_gpt2 else _gated_layer
        self.layers = [prepare(layer) for layer in layers]
        self.embeddings = body.wte if self.is_gpt2 else body.embed_tokens
        self.places = body.wpe if self.is_gpt2 else None
        self.rotary = None if self.is_gpt2 else body.rotary_emb
        self.norm = body.ln_f if self.is_gpt2 else body.norm
        self.head: Any = model.lm_head
        weight = self.embeddings.weight
        self.device, self.dtype = weight.device, weight.dtype
        width = self.layers[0].head_width
        shape = (num_slots, self.num_kv_heads, self.context, width)
        self.keys = [self._buffer(shape) for _ in self.layers]
        self.values = [self._buffer(shape) for _ in self.layers]
        self.chosen_S = torch.zeros(num_slots, dtype=torch.long, device=self.device)
        """The token chosen last in each slot; whoever chooses writes it down."""

    @staticmethod
    def bytes_per_slot(model: nn.Module) -> int:
        """Memory one sequence of full length takes."""
        config: Any = model.config
        heads = getattr(config, "num_key_value_heads", config.num_attention_heads)
        width = getattr(config, "head_dim", None)
        width = width or config.hidden_size // config.num_attention_heads
        each = next(model.parameters()).element_size()
        places = int(config.max_position_embeddings)
        return int(2 * each * config.num_hidden_layers * heads * width * places)

    @property
    def num_bytes(self) -> int:
        """Memory of parameters, keys and values."""
        return self.parameter_bytes + sum(
            one.nbytes for one in (*self.keys, *self.values)
        )

    @property
    def dtype_name(self) -> str:
        """How numbers are stored, as receipts name it."""
        return {torch.float32: "fp32", torch.bfloat16: "bf16"}.get(
            self.dtype, str(self.dtype).removeprefix("torch.")
        )

    @torch.inference_mode()
    def forward(
        self, ids_N: Indices, slots_N: Indices, positions_N: Indices, wanted_W: Indices
    ) -> Tensor:
        """Read tokens into their slots; return logits_WV of the wanted rows.

        Nothing here waits for the device.
        """
        plan = Plan(slots_N, positions_N)
        told, slots, positions, wanted, *answering = upload(
            self.device, ids_N, slots_N, positions_N, wanted_W, *plan.answering
        )
        plan.place(*answering)
        ids = torch.where(told == AS_CHOSEN, self.chosen_S[slots], told)
        x_NC = self.embeddings(ids)
        if self.places is not None:
            x_NC = x_NC + self.places(positions)
        turned = self.rotary(x_NC, positions[None]) if self.rotary else None
        for number, layer in enumerate(self.layers):
            q_NHD, k_NKD, v_NKD = self._project(layer, layer.norm_1(x_NC), turned)
            self.keys[number][slots, :, positions] = k_NKD
            self.values[number][slots, :, positions] = v_NKD
            mixed_NC = self._attend(number, q_NHD, plan, layer.scale)
            x_NC = x_NC + layer.out(mixed_NC)
            x_NC = x_NC + layer.feed_forward(layer.norm_2(x_NC))
        logits_WV: Tensor = self.head(self.norm(x_NC[wanted])).float()
        return logits_WV

    def copy_prefix(self, *, source: int, target: int, num_tokens: int) -> None:
        """Give a slot the keys and values of the first tokens of another."""
        for held in (*self.keys, *self.values):
            held[target, :, :num_tokens] = held[source, :, :num_tokens]

    def _buffer(self, shape: tuple[int, ...]) -> Tensor:
        return torch.zeros(shape, device=self.device, dtype=self.dtype)

    def _project(
        self, layer: SimpleNamespace, y_NC: Tensor, turned: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        heads = self.num_heads + 2 * self.num_kv_heads
        all_NHD = layer.qkv(y_NC).view(-1, heads, layer.head_width)
        q_NHD, k_NKD, v_NKD = all_NHD.split(
            [self.num_heads, self.num_kv_heads, self.num_kv_heads], dim=1
        )
        if layer.q_norm is not None:
            q_NHD, k_NKD = layer.q_norm(q_NHD), layer.k_norm(k_NKD)
        if turned is not None:
            q_NHD, k_NKD = _rotate(q_NHD, *turned), _rotate(k_NKD, *turned)
        return q_NHD, k_NKD, v_NKD

    def _attend(self, number: int, q_NHD: Tensor, plan: "Plan", scale: float) -> Tensor:
        keys, values = self.keys[number], self.values[number]
        mixed_NHD = torch.empty_like(q_NHD)
        shared = {
            "enable_gqa": self.num_heads != self.num_kv_heads,
            "scale": scale,
        }
        if plan.num_seen:
            seen = min(plan.num_seen, self.context)
            mixed_BHD = F.scaled_dot_product_attention(
                q_NHD[plan.rows, :, None],
                keys[plan.slots, :, :seen],
                values[plan.slots, :, :seen],
                attn_mask=plan.mask_BT[:, None, None, :seen],
                **shared,
            )
            mixed_NHD[plan.rows] = mixed_BHD[:, :, 0]
        for start, stop, slot, end in plan.pieces:
            mixed_HPD = F.scaled_dot_product_attention(
                q_NHD[start:stop].transpose(0, 1)[None],
                keys[slot, None, :, :end],
                values[slot, None, :, :end],
                attn_mask=_causal(stop - start, end, q_NHD.device),
                **shared,
            )[0]
            mixed_NHD[start:stop] = mixed_HPD.transpose(0, 1)
        return mixed_NHD.flatten(1)


def can_join(model: nn.Module) -> bool:
    """Whether this pass computes what a model that `weights` knows does."""
    config: Any = model.config
    return bool(config.model_type != "mixtral")


def upload(device: torch.device, *rows: Numbers) -> tuple[Tensor, ...]:
    """Send numbers of one type to the device, all at once; the host goes on."""
    joined = torch.from_numpy(np.concatenate(rows))
    if device.type == "cuda":
        joined = joined.pin_memory()
    sent = joined.to(device, non_blocking=True)
    parts: tuple[Tensor, ...] = sent.split([len(one) for one in rows])
    return parts


class Plan:
    """Which rows attend together: those that answer, and each piece of a prompt."""

    def __init__(self, slots_N: Indices, positions_N: Indices) -> None:
        """Part the rows."""
        self.pieces: list[tuple[int, int, int, int]] = []
        """(first row, row behind the last, slot, positions seen by the last)."""
        alone: list[int] = []
        row = 0
        for slot, group in groupby(slots_N.tolist()):
            size = len(list(group))
            if size == 1:
                alone.append(row)
            else:
                end = int(positions_N[row + size - 1]) + 1
                self.pieces.append((row, row + size, slot, end))
            row += size
        rows = np.array(alone, np.int64)
        self.answering = (rows, slots_N[rows], positions_N[rows])
        """Rows that answer, their slots and their positions."""
        most = int(positions_N[rows].max()) + 1 if alone else 0
        self.num_seen = -(-most // STEP) * STEP

    def place(self, rows: Tensor, slots: Tensor, places_B: Tensor) -> None:
        """Take what lies on the device now."""
        self.rows, self.slots = rows, slots
        seen_T = torch.arange(self.num_seen, device=rows.device)
        self.mask_BT = seen_T <= places_B[:, None]


def _causal(num_rows: int, end: int, device: torch.device) -> Tensor:
    """Return which of the first `end` positions each of the last rows may see."""
    places_P = torch.arange(end - num_rows, end, device=device)
    return torch.arange(end, device=device) <= places_P[:, None]


def _rotate(x_NHD: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Turn each pair (i, i + D/2) by its position's angle (RoPE)."""
    left, right = x_NHD.chunk(2, dim=-1)
    swapped_NHD = torch.cat([-right, left], dim=-1)
    return x_NHD * cosines[0][:, None] + swapped_NHD * sines[0][:, None]


def _gated_layer(layer: Any) -> SimpleNamespace:
    attn, mlp = layer.self_attn, layer.mlp
    inward = [attn.q_proj, attn.k_proj, attn.v_proj]
    weight = torch.cat([one.weight.detach() for one in inward])
    biases = [one.bias for one in inward if one.bias is not None]
    bias = torch.cat([one.detach() for one in biases]) if biases else None
    up = torch.cat([mlp.gate_proj.weight.detach(), mlp.up_proj.weight.detach()])
    # What is joined now need not be held twice.
    attn.q_proj = attn.k_proj = attn.v_proj = mlp.gate_proj = mlp.up_proj = None

    def feed_forward(y_NC: Tensor) -> Tensor:
        gate, value = F.linear(y_NC, up).chunk(2, dim=-1)
        made: Tensor = mlp.down_proj(F.silu(gate) * value)
        return made

    return SimpleNamespace(
        head_width=attn.head_dim,
        scale=attn.scaling,
        qkv=lambda y_NC: F.linear(y_NC, weight, bias),
        out=attn.o_proj,
        q_norm=getattr(attn, "q_norm", None),
        k_norm=getattr(attn, "k_norm", None),
        norm_1=layer.input_layernorm,
        norm_2=layer.post_attention_layernorm,
        feed_forward=feed_forward,
    )


def _gpt2_layer(block: Any) -> SimpleNamespace:
    attn = block.attn
    return SimpleNamespace(
        head_width=attn.head_dim,
        scale=attn.head_dim**-0.5,
        qkv=attn.c_attn,
        out=attn.c_proj,
        q_norm=None,
        k_norm=None,
        norm_1=block.ln_1,
        norm_2=block.ln_2,
        feed_forward=block.mlp,
    )
