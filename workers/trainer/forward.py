"""The training forward pass: ids in, summed loss out, on the parameters of a
transformers model.

The classes of transformers also serve generation, padding and caches, and pay for
that in each call: they build masks, recompute rotary tables and keep logits. Here is
only what training needs. A test holds both to the same numbers.

Shapes: B batch, T time, C width, H heads, K key-value heads, D width of a head,
V vocabulary, N = B x T.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import GPT2LMHeadModel, LlamaForCausalLM

from trainer.architectures import CausalModel

IGNORED = -100
"""A label that counts for nothing: padding of the last validation windows."""


class TrainingForward(nn.Module):
    """`(ids_BT, labels_BT)` → the sum of the losses of all labels but `IGNORED`."""

    def __init__(self, model: CausalModel) -> None:
        super().__init__()
        self.model = model
        self._hidden: Callable[[Tensor], Tensor]
        if isinstance(model, GPT2LMHeadModel):
            self._hidden = self._gpt2
        else:
            assert isinstance(model, LlamaForCausalLM)
            self._hidden = self._llama
            cos_TD, sin_TD = rotary_tables(model)
            self.register_buffer("cos_TD", cos_TD, persistent=False)
            self.register_buffer("sin_TD", sin_TD, persistent=False)

    def forward(self, ids_BT: Tensor, labels_BT: Tensor) -> Tensor:
        hidden_BTC = self._hidden(ids_BT)
        logits_NV = self.model.lm_head(hidden_BTC).flatten(0, 1).float()
        return F.cross_entropy(
            logits_NV, labels_BT.flatten(), ignore_index=IGNORED, reduction="sum"
        )

    def _gpt2(self, ids_BT: Tensor) -> Tensor:
        body = self.model.transformer
        positions_T = torch.arange(ids_BT.shape[1], device=ids_BT.device)
        x_BTC = body.drop(body.wte(ids_BT) + body.wpe(positions_T))
        for block in body.h:
            x_BTC = x_BTC + self._gpt2_attention(block.attn, block.ln_1(x_BTC))
            mlp = block.mlp
            wide = F.gelu(_conv1d(mlp.c_fc, block.ln_2(x_BTC)), approximate="tanh")
            x_BTC = x_BTC + mlp.dropout(_conv1d(mlp.c_proj, wide))
        out_BTC: Tensor = body.ln_f(x_BTC)
        return out_BTC

    def _gpt2_attention(self, attn: Any, x_BTC: Tensor) -> Tensor:
        B, T, C = x_BTC.shape
        qkv_3BHTD = (
            _conv1d(attn.c_attn, x_BTC)
            .view(B, T, 3, attn.num_heads, attn.head_dim)
            .permute(2, 0, 3, 1, 4)
        )
        q_BHTD, k_BHTD, v_BHTD = qkv_3BHTD.unbind(0)
        mixed_BHTD = F.scaled_dot_product_attention(
            q_BHTD,
            k_BHTD,
            v_BHTD,
            is_causal=True,
            dropout_p=attn.attn_dropout.p if self.training else 0.0,
        )
        out_BTC = _conv1d(attn.c_proj, mixed_BHTD.transpose(1, 2).reshape(B, T, C))
        dropped_BTC: Tensor = attn.resid_dropout(out_BTC)
        return dropped_BTC

    def _llama(self, ids_BT: Tensor) -> Tensor:
        body = self.model.model
        x_BTC = body.embed_tokens(ids_BT)
        for layer in body.layers:
            x_BTC = x_BTC + self._llama_attention(
                layer.self_attn, _rms_norm(layer.input_layernorm, x_BTC)
            )
            mlp = layer.mlp
            y_BTC = _rms_norm(layer.post_attention_layernorm, x_BTC)
            x_BTC = x_BTC + mlp.down_proj(
                F.silu(mlp.gate_proj(y_BTC)) * mlp.up_proj(y_BTC)
            )
        return _rms_norm(body.norm, x_BTC)

    def _llama_attention(self, attn: Any, x_BTC: Tensor) -> Tensor:
        B, T, _ = x_BTC.shape
        tables: Any = self
        cos_TD, sin_TD = tables.cos_TD[:T], tables.sin_TD[:T]
        q_BHTD = attn.q_proj(x_BTC).view(B, T, -1, attn.head_dim).transpose(1, 2)
        k_BKTD = attn.k_proj(x_BTC).view(B, T, -1, attn.head_dim).transpose(1, 2)
        v_BKTD = attn.v_proj(x_BTC).view(B, T, -1, attn.head_dim).transpose(1, 2)
        mixed_BHTD = F.scaled_dot_product_attention(
            _rotate(q_BHTD, cos_TD, sin_TD),
            _rotate(k_BKTD, cos_TD, sin_TD),
            v_BKTD,
            is_causal=True,
            enable_gqa=attn.num_key_value_groups > 1,
        )
        out_BTC: Tensor = attn.o_proj(mixed_BHTD.transpose(1, 2).reshape(B, T, -1))
        return out_BTC


def rotary_tables(model: LlamaForCausalLM) -> tuple[Tensor, Tensor]:
    """Return cosine and signed sine for every position of the model's context."""
    rotary = model.model.rotary_emb
    positions_T = torch.arange(model.config.max_position_embeddings).float()
    angles_TD = torch.outer(positions_T, rotary.inv_freq.float().cpu()).repeat(1, 2)
    sin_TD = angles_TD.sin()
    # The first half is rotated against the second with the sign turned.
    sin_TD[:, : sin_TD.shape[1] // 2].neg_()
    return angles_TD.cos(), sin_TD


def _rotate(x_BHTD: Tensor, cos_TD: Tensor, sin_TD: Tensor) -> Tensor:
    """Turn each pair (i, i + D/2) by its position's angle."""
    swapped_BHTD = x_BHTD.roll(x_BHTD.shape[-1] // 2, dims=-1)
    return (x_BHTD * cos_TD + swapped_BHTD * sin_TD).to(x_BHTD.dtype)


def _rms_norm(norm: Any, x_BTC: Tensor) -> Tensor:
    return F.rms_norm(x_BTC, (x_BTC.shape[-1],), norm.weight, norm.variance_epsilon)


def _conv1d(layer: Any, x_BTC: Tensor) -> Tensor:
    """Apply transformers' Conv1D, a linear layer whose weight is transposed."""
    return F.linear(x_BTC, layer.weight.t(), layer.bias)
