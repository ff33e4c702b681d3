"""The training forward pass: ids in, summed loss out, on the parameters of a
transformers model.

The classes of transformers also serve generation, padding and caches, and pay for
that in each call: they build masks, recompute rotary tables and keep logits. Here is
only what training needs. A test holds both to the same numbers.

Shapes: B batch, T time, C width, H heads, K key-value heads, D width of a head,
V vocabulary, N = B x T.
"""

import math
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import GPT2LMHeadModel, LlamaForCausalLM

from trainer.architectures import LanguageModel

SLOW_BF16_CONTEXT = 512
"""Up to this many positions a CPU attends faster in fp32, products with AMX or not."""
IGNORED = -100
"""A label that counts for nothing: padding of the last validation windows."""


def can_train(model: LanguageModel) -> bool:
    """Whether the pass here computes what the model's own does.

    Models from elsewhere may scale their positions or attention, or have other gates.
    """
    config: Any = model.config
    if isinstance(model, GPT2LMHeadModel):
        return (
            config.activation_function in {"gelu_new", "gelu_pytorch_tanh"}
            and config.scale_attn_weights
            and not config.scale_attn_by_inverse_layer_idx
        )
    return (
        isinstance(model, LlamaForCausalLM)
        and config.hidden_act == "silu"
        and model.model.rotary_emb.attention_scaling == 1.0
        and config.rope_parameters.get("rope_type") in {"default", "linear", "llama3"}
    )


class TrainingForward(nn.Module):
    """`(ids_BT, labels_BT)` → the sum of the losses of all labels but `IGNORED`."""

    def __init__(self, model: LanguageModel) -> None:
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
            wide = gelu(_conv1d(mlp.c_fc, block.ln_2(x_BTC)))
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
        mixed_BHTD = causal_attention(
            q_BHTD,
            k_BHTD,
            v_BHTD,
            dropout=attn.attn_dropout.p if attn.training else 0.0,
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
        mixed_BHTD = causal_attention(
            _rotate(q_BHTD, cos_TD, sin_TD), _rotate(k_BKTD, cos_TD, sin_TD), v_BKTD
        )
        out_BTC: Tensor = attn.o_proj(mixed_BHTD.transpose(1, 2).reshape(B, T, -1))
        return out_BTC


def causal_attention(
    q_BHTD: Tensor, k_BKTD: Tensor, v_BKTD: Tensor, *, dropout: float = 0.0
) -> Tensor:
    """Return what each position gathers from itself and those before it.

    Where the bf16 kernel of CPUs is slower than the one for fp32 (docs/LOG.md), fp32
    computes, whatever autocast says.
    """
    device, T = q_BHTD.device.type, q_BHTD.shape[2]
    is_slow = device == "cpu" and T <= SLOW_BF16_CONTEXT
    if is_slow:
        q_BHTD, k_BKTD, v_BKTD = q_BHTD.float(), k_BKTD.float(), v_BKTD.float()
    with torch.autocast(device, enabled=False) if is_slow else nullcontext():
        return F.scaled_dot_product_attention(
            q_BHTD,
            k_BKTD,
            v_BKTD,
            is_causal=True,
            dropout_p=dropout,
            enable_gqa=q_BHTD.shape[1] != k_BKTD.shape[1],
        )


def gelu(x: Tensor) -> Tensor:
    """Return GELU by its tanh formula (https://arxiv.org/abs/1606.08415).

    1 + tanh(y) is 2 * sigmoid(2y), and a compiled kernel has a fast sigmoid but no fast
    tanh; outside a compiled graph the ready-made operation is the faster one.
    """
    if not torch.compiler.is_compiling():
        return F.gelu(x, approximate="tanh")
    return x * torch.sigmoid(2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x))


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
