"""Which runner answers with a model: by its family, and by what it lies on."""

import torch
from torch import nn

from inference.decoder.ahead import AheadRunner
from inference.decoder.cpu_pass import CpuPass
from inference.decoder.runner import DecoderRunner
from inference.decoder.torch_pass import TorchPass, can_join
from inference.decoder.weights import can_lay_out, lay_out
from inference.vocabulary import Vocabulary

MOST_SLOTS = 16
MOST_GPU_SLOTS = 64


def make_runner(
    model: nn.Module, vocabulary: Vocabulary, *, room_bytes: int
) -> DecoderRunner | None:
    """Return a runner of this model; None where the kernels do not know its family.

    `room_bytes` is for keys and values: it decides how many sequences are answered at
    once. The model is copied and may be let go.
    """
    if not can_lay_out(model):
        return None
    if next(model.parameters()).device.type != "cpu":
        return _make_torch_runner(model, vocabulary, room_bytes)
    weights = lay_out(model, is_half=is_stored_half(model))
    num_slots = min(room_bytes // CpuPass.bytes_per_slot(weights), MOST_SLOTS)
    num_slots = max(num_slots, 1)
    return DecoderRunner(CpuPass(weights, num_slots), vocabulary, num_slots)


def _make_torch_runner(
    model: nn.Module, vocabulary: Vocabulary, room_bytes: int
) -> DecoderRunner | None:
    if not can_join(model):
        return None
    num_slots = min(room_bytes // TorchPass.bytes_per_slot(model), MOST_GPU_SLOTS)
    num_slots = max(num_slots, 1)
    return AheadRunner(TorchPass(model, num_slots), vocabulary, num_slots)


def is_stored_half(model: nn.Module) -> bool:
    """Whether bfloat16 holds every parameter exactly: that is how they were stored."""
    return next(model.parameters()).dtype == torch.bfloat16
