"""A model's parameters as the kernels want them.

Shapes: O results, I inputs, C width, D width of a head, F width of the feed-forward
part, V vocabulary.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from inference.decoder import kernels
from inference.decoder.kernels import NOWHERE, PANEL, Shape

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]

GATED = {"llama", "mistral", "mixtral", "qwen2", "qwen3"}
"""Families that compute as Llama does, but for biases, norms of heads and experts."""
PLAIN_ROTATIONS = {"default", "linear", "llama3"}


@dataclass(frozen=True)
class Weights:
    """Everything a pass reads. `matrices` is float32, or bfloat16 as its bits."""

    shape: Shape
    vocab_size: int
    context: int
    """Positions the model knows."""
    matrices: npt.NDArray[Any]
    matrix_places: Indices
    head_place: int
    vectors: Floats
    vector_places: Indices
    norm_place: int
    norm_bias_place: int
    embeddings_VC: Floats
    positions_TC: Floats
    """Learned positions (GPT-2), or no rows."""
    cosines_TD: Floats
    sines_TD: Floats

    @property
    def num_bytes(self) -> int:
        """Memory they take."""
        return sum(
            value.nbytes
            for value in vars(self).values()
            if isinstance(value, np.ndarray)
        )

    @property
    def dtype(self) -> str:
        """How matrices are stored."""
        return "fp32" if self.matrices.dtype == np.float32 else "bf16"


def can_lay_out(model: nn.Module) -> bool:
    """Whether the kernels compute what this model's own classes do."""
    config: Any = model.config
    kind = config.model_type
    if kind == "gpt2":
        return bool(
            config.activation_function in {"gelu_new", "gelu_pytorch_tanh"}
            and config.scale_attn_weights
            and not config.scale_attn_by_inverse_layer_idx
            and not getattr(config, "add_cross_attention", False)
        )
    if kind not in GATED or not hasattr(model, "lm_head"):
        return False
    layer_types = getattr(config, "layer_types", None) or ["full_attention"]
    rotation = getattr(config, "rope_parameters", None) or {}
    return bool(
        config.hidden_act == "silu"
        and not getattr(config, "mlp_bias", False)
        and not getattr(config, "sliding_window", None)
        and set(layer_types) == {"full_attention"}
        and rotation.get("rope_type", "default") in PLAIN_ROTATIONS
        and rotation.get("partial_rotary_factor", 1.0) == 1.0
    )


@torch.inference_mode()
def lay_out(model: nn.Module, *, is_half: bool) -> Weights:
    """Return a copy of a model's parameters for the kernels.

    `is_half` stores matrices in bfloat16: right where they were, or where half the
    memory is worth their rounding.
    """
    config: Any = model.config
    return (_lay_out_gpt2 if config.model_type == "gpt2" else _lay_out_gated)(
        model, is_half
    )


class Storage:
    """Collects matrices and vectors into one array of each."""

    def __init__(self, num_layers: int, *, is_half: bool, num_experts: int = 0) -> None:
        """Begin without any."""
        self.is_half = is_half
        self.matrices: list[npt.NDArray[Any]] = []
        self.vectors: list[Floats] = []
        self.sizes = {"matrices": 0, "vectors": 0}
        num_matrices = kernels.NUM_MATRICES + 2 * num_experts
        self.matrix_places = _nowhere(num_layers, num_matrices)
        self.vector_places = _nowhere(num_layers, kernels.NUM_VECTORS)

    def matrix(self, weight_OI: Tensor) -> int:
        """Store a matrix in panels; return its place.

        A panel holds PANEL results: for each input their weights, side by side.
        """
        num_out, num_in = weight_OI.shape
        padded = torch.zeros(pad(num_out), num_in, dtype=torch.bfloat16)
        if not self.is_half:
            padded = padded.float()
        padded[:num_out] = weight_OI
        panels = padded.view(-1, PANEL, num_in).transpose(1, 2).contiguous().flatten()
        flat = (
            panels.view(torch.int16).numpy().view(np.uint16)
            if self.is_half
            else (panels.numpy())
        )
        self.matrices.append(flat)
        self.sizes["matrices"] += flat.size
        return self.sizes["matrices"] - flat.size

    def vector(self, values: Tensor | None) -> int:
        """Store a vector; return its place."""
        if values is None:
            return NOWHERE
        flat = _floats(values)
        self.vectors.append(flat)
        self.sizes["vectors"] += flat.size
        return self.sizes["vectors"] - flat.size

    def joined(self) -> dict[str, Any]:
        """Return what `Weights` takes of it."""
        return {
            "matrices": np.concatenate(self.matrices),
            "matrix_places": self.matrix_places,
            "vectors": np.concatenate(self.vectors),
            "vector_places": self.vector_places,
        }


def pad(size: int) -> int:
    """Return the next multiple of PANEL."""
    return -(-size // PANEL) * PANEL


def _nowhere(num_layers: int, num_parts: int) -> Indices:
    return np.full((num_layers, num_parts), NOWHERE, np.int64)


def _floats(values: Tensor) -> Floats:
    return np.ascontiguousarray(values.detach().float().cpu().numpy())


def _pad_columns(values: Tensor, width: int) -> Floats:
    padded = np.zeros((values.shape[0], width), np.float32)
    padded[:, : values.shape[1]] = _floats(values)
    return padded


def _pad_heads(weight_OI: Tensor, head_width: int) -> Tensor:
    """Give each head's results room up to a multiple of PANEL; zeros stand there."""
    heads = weight_OI.view(-1, head_width, *weight_OI.shape[1:])
    room = heads.new_zeros(heads.shape[0], pad(head_width), *heads.shape[2:])
    room[:, :head_width] = heads
    return room.flatten(0, 1)


def _lay_out_gated(model: Any, is_half: bool) -> Weights:
    config = model.config
    first = model.model.layers[0].self_attn
    head_width = first.head_dim
    ffn = pad(config.intermediate_size)
    has_head_norms = hasattr(first, "q_norm")
    is_mixed = config.model_type == "mixtral"
    num_experts = config.num_local_experts if is_mixed else 0
    shape = Shape(
        num_layers=len(model.model.layers),
        width=config.hidden_size,
        num_heads=config.num_attention_heads,
        num_kv_heads=config.num_key_value_heads,
        head_width=head_width,
        padded_head=pad(head_width),
        ffn=ffn,
        context=pad(config.max_position_embeddings),
        epsilon=config.rms_norm_eps,
        scale=first.scaling,
        is_gpt2=False,
        has_head_norms=has_head_norms,
        num_experts=num_experts,
        num_chosen=config.num_experts_per_tok if num_experts else 0,
    )
    store = Storage(shape.num_layers, is_half=is_half, num_experts=num_experts)
    for number, layer in enumerate(model.model.layers):
        attn, mlp = layer.self_attn, layer.mlp
        inward = [attn.q_proj, attn.k_proj, attn.v_proj]
        places, small = store.matrix_places[number], store.vector_places[number]
        joined = torch.cat([_pad_heads(one.weight, head_width) for one in inward])
        places[kernels.QKV] = store.matrix(joined)
        places[kernels.OUT] = store.matrix(
            _pad_heads(attn.o_proj.weight.t(), head_width).t()
        )
        if num_experts:
            _lay_out_experts(mlp, store, places, ffn)
        else:
            up = torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight])
            places[kernels.UP] = store.matrix(_pad_halves(up, ffn))
            places[kernels.DOWN] = store.matrix(_pad_inputs(mlp.down_proj.weight, ffn))
        small[kernels.NORM_1] = store.vector(layer.input_layernorm.weight)
        small[kernels.NORM_2] = store.vector(layer.post_attention_layernorm.weight)
        if attn.q_proj.bias is not None:
            bias = torch.cat([_pad_heads(one.bias, head_width) for one in inward])
            small[kernels.QKV_BIAS] = store.vector(bias)
            small[kernels.OUT_BIAS] = store.vector(attn.o_proj.bias)
        if has_head_norms:
            small[kernels.Q_NORM] = store.vector(attn.q_norm.weight)
            small[kernels.K_NORM] = store.vector(attn.k_norm.weight)
    cosines_TD, sines_TD = _rotations(model)
    return Weights(
        shape=shape,
        vocab_size=config.vocab_size,
        context=config.max_position_embeddings,
        head_place=store.matrix(model.lm_head.weight),
        norm_place=store.vector(model.model.norm.weight),
        norm_bias_place=NOWHERE,
        embeddings_VC=_pad_columns(
            model.model.embed_tokens.weight, pad(config.hidden_size)
        ),
        positions_TC=np.zeros((0, pad(config.hidden_size)), np.float32),
        cosines_TD=cosines_TD,
        sines_TD=sines_TD,
        **store.joined(),
    )


def _lay_out_experts(mlp: Any, store: Storage, places: Indices, ffn: int) -> None:
    """Store the router, and what goes up and down in each expert."""
    places[kernels.ROUTER] = store.matrix(mlp.gate.weight)
    experts = mlp.experts
    pairs = zip(experts.gate_up_proj, experts.down_proj, strict=True)
    for number, (up, down) in enumerate(pairs):
        first = kernels.FIRST_EXPERT + 2 * number
        places[first] = store.matrix(_pad_halves(up, ffn))
        places[first + 1] = store.matrix(_pad_inputs(down, ffn))


def _pad_halves(weight_OI: Tensor, ffn: int) -> Tensor:
    """Give gate and up, one below the other, room for `ffn` results each."""
    num_out, num_in = weight_OI.shape
    room = torch.zeros(2, ffn, num_in)
    room[:, : num_out // 2] = weight_OI.view(2, num_out // 2, num_in)
    return room.flatten(0, 1)


def _pad_inputs(weight_OI: Tensor, num_in: int) -> Tensor:
    padded = torch.zeros(weight_OI.shape[0], num_in)
    padded[:, : weight_OI.shape[1]] = weight_OI
    return padded


def _rotations(model: Any) -> tuple[Floats, Floats]:
    """Return cosine and sine of each position, scaled as the model scales them."""
    rotary = model.model.rotary_emb
    places = torch.arange(model.config.max_position_embeddings)[None]
    like = torch.zeros(1, dtype=torch.float32)
    cosines, sines = rotary(like, places)
    return _floats(cosines[0]), _floats(sines[0])


def _lay_out_gpt2(model: Any, is_half: bool) -> Weights:
    config, body = model.config, model.transformer
    width, head_width = config.n_embd, config.n_embd // config.n_head
    ffn = pad(config.n_inner or 4 * width)
    shape = Shape(
        num_layers=config.n_layer,
        width=width,
        num_heads=config.n_head,
        num_kv_heads=config.n_head,
        head_width=head_width,
        padded_head=pad(head_width),
        ffn=ffn,
        context=pad(config.n_positions),
        epsilon=config.layer_norm_epsilon,
        scale=head_width**-0.5,
        is_gpt2=True,
        has_head_norms=False,
    )
    store = Storage(shape.num_layers, is_half=is_half)
    for number, block in enumerate(body.h):
        places, small = store.matrix_places[number], store.vector_places[number]
        attn, mlp = block.attn, block.mlp
        # Conv1D of transformers is a linear layer whose weight is transposed.
        qkv = attn.c_attn.weight.t()
        places[kernels.QKV] = store.matrix(_pad_heads(qkv, head_width))
        places[kernels.OUT] = store.matrix(
            _pad_heads(attn.c_proj.weight, head_width).t()
        )
        places[kernels.UP] = store.matrix(mlp.c_fc.weight.t())
        places[kernels.DOWN] = store.matrix(_pad_inputs(mlp.c_proj.weight.t(), ffn))
        small[kernels.QKV_BIAS] = store.vector(_pad_heads(attn.c_attn.bias, head_width))
        small[kernels.OUT_BIAS] = store.vector(attn.c_proj.bias)
        up_bias = torch.zeros(ffn)
        up_bias[: mlp.c_fc.bias.shape[0]] = mlp.c_fc.bias
        small[kernels.UP_BIAS] = store.vector(up_bias)
        small[kernels.DOWN_BIAS] = store.vector(mlp.c_proj.bias)
        small[kernels.NORM_1] = store.vector(block.ln_1.weight)
        small[kernels.NORM_1_BIAS] = store.vector(block.ln_1.bias)
        small[kernels.NORM_2] = store.vector(block.ln_2.weight)
        small[kernels.NORM_2_BIAS] = store.vector(block.ln_2.bias)
    return Weights(
        shape=shape,
        vocab_size=config.vocab_size,
        context=config.n_positions,
        head_place=store.matrix(model.lm_head.weight),
        norm_place=store.vector(body.ln_f.weight),
        norm_bias_place=store.vector(body.ln_f.bias),
        embeddings_VC=_pad_columns(body.wte.weight, pad(width)),
        positions_TC=_pad_columns(body.wpe.weight, pad(width)),
        cosines_TD=np.zeros((1, 1), np.float32),
        sines_TD=np.zeros((1, 1), np.float32),
        **store.joined(),
    )
