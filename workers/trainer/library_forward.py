"""Training passes of the families that compute as transformers has them.

Like `trainer.forward.TrainingForward`: ids in, summed loss out. Outside training they
also return how many labels the model would have guessed.

Shapes: B batch, T context, C width, K labels of a row at most, V vocabulary,
N = B x T or B x K.
"""

from collections.abc import Callable
from typing import Any

import torch
from runspec import PretrainSpec
from runspec.sizing import most_labels
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

from trainer.architectures import LanguageModel
from trainer.forward import IGNORED, TrainingForward, can_train


def training_forward(model: LanguageModel, spec: PretrainSpec) -> nn.Module:
    """Return the pass that trains a model of the spec's family."""
    if spec.facts.objective == "masked":
        return MaskedForward(model, most_labels(spec, spec.context))
    if spec.facts.architecture == "encoder-decoder":
        return EncoderDecoderForward(model)
    return TrainingForward(model) if can_train(model) else DecoderForward(model)


class DecoderForward(nn.Module):
    """Next-token loss, and in training the one that keeps experts evenly used.

    The latter counts from its least value, so that the losses of training and
    validation compare.
    """

    def __init__(self, model: LanguageModel) -> None:
        super().__init__()
        self.model = model
        self.has_experts = model.config.model_type == "mixtral"

    def forward(self, ids_BT: Tensor, labels_BT: Tensor) -> Tensor:
        asks_router = self.model.training and self.has_experts
        more = {"output_router_logits": True} if asks_router else {}
        found = self.model(ids_BT, use_cache=False, **more)
        logits_NV = found.logits.flatten(0, 1).float()
        loss = _summed_loss(logits_NV, labels_BT.flatten())
        if not asks_router:
            return loss
        config: Any = self.model.config
        top_k = config.num_experts_per_tok
        uneven = load_balancing_loss_func(
            found.router_logits, config.num_local_experts, top_k
        )
        weight = config.router_aux_loss_coef * (labels_BT != IGNORED).sum()
        with_router: Tensor = loss + weight * (uneven - top_k)
        return with_router


class MaskedForward(nn.Module):
    """Loss of the hidden tokens alone: the others are never scored."""

    def __init__(self, model: LanguageModel, most: int) -> None:
        super().__init__()
        self.model = model
        self.most = most
        """Labels of a row; with a fixed number shapes never change."""
        self._score: Callable[[Tensor], Tensor] = _head_of(model)

    def forward(self, ids_BT: Tensor, labels_BT: Tensor) -> Tensor:
        hidden_BTC = self.model.base_model(input_ids=ids_BT).last_hidden_state
        is_asked_BT = (labels_BT != IGNORED).int()
        # Stable, so that the order in which losses are summed is always the same.
        places_BT = is_asked_BT.argsort(dim=1, descending=True, stable=True)
        places_BK = places_BT[:, : self.most]
        labels_N = labels_BT.gather(1, places_BK).flatten()
        picked_BKC = hidden_BTC.gather(
            1, places_BK.unsqueeze(2).expand(-1, -1, hidden_BTC.shape[2])
        )
        logits_NV = self._score(picked_BKC).flatten(0, 1).float()
        return _with_guesses(logits_NV, labels_N, is_training=self.model.training)


class EncoderDecoderForward(nn.Module):
    """Loss of each target token, given the input and the targets before it."""

    def __init__(self, model: LanguageModel) -> None:
        super().__init__()
        self.model = model
        self.may_be_padded = model.config.model_type == "bart"

    def forward(self, ids_BT: Tensor, labels_BT: Tensor) -> Tensor:
        mask_BT = ids_BT.ne(self.model.config.pad_token_id).long()
        found = self.model(
            input_ids=ids_BT,
            attention_mask=mask_BT if self.may_be_padded else None,
            decoder_input_ids=self.model.prepare_decoder_input_ids_from_labels(
                labels_BT
            ),
            use_cache=False,
        )
        logits_NV = found.logits.flatten(0, 1).float()
        return _with_guesses(
            logits_NV, labels_BT.flatten(), is_training=self.model.training
        )


def _head_of(model: LanguageModel) -> Callable[[Tensor], Tensor]:
    """Return what scores the vocabulary, of the class for masked language modelling."""
    parts: Any = model
    match model.config.model_type:
        case "bert":
            head: Callable[[Tensor], Tensor] = parts.cls
        case "roberta":
            head = parts.lm_head
        case _:

            def head(hidden_BKC: Tensor) -> Tensor:
                scored: Tensor = parts.decoder(parts.head(hidden_BKC))
                return scored

    return head


def _summed_loss(logits_NV: Tensor, labels_N: Tensor) -> Tensor:
    return F.cross_entropy(logits_NV, labels_N, ignore_index=IGNORED, reduction="sum")


def _with_guesses(logits_NV: Tensor, labels_N: Tensor, *, is_training: bool) -> Tensor:
    loss = _summed_loss(logits_NV, labels_N)
    if is_training:
        return loss
    right = (logits_NV.argmax(dim=1) == labels_N).sum()
    return torch.stack([loss, right.to(loss.dtype)])
