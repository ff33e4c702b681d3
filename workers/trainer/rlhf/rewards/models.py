"""Reward models: they read a conversation just as the engine writes it for them.

Shapes: B texts, T tokens, C width.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from inference.scoring import Scorer
from sandbox.render import Renderer
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    PreTrainedTokenizerFast,
)

from trainer.errors import BadInputError
from trainer.rlhf.prompts import Asked
from trainer.sft.chat import ChatEncoder, Template
from trainer.sft.loading import SAFE, context_of, load_tokenizer

BATCH = 32


class RewardModel:
    """Rates answers with a model that has a head for it."""

    def __init__(self, folder: Path, renderer: Renderer, device: torch.device) -> None:
        """Load it.

        Raises:
            BadInputError: it rates nothing, or it is not known how it reads.
        """
        self.name = folder.name
        self.model = load_rater(folder).to(device).eval()
        tokenizer = load_tokenizer(folder)
        self.encoder = encoder_of(folder, tokenizer, renderer)
        self.context = context_of(folder, None)
        self.scorer = Scorer(self.model)

    @torch.no_grad()
    def __call__(self, asked: Sequence[Asked], answers: Sequence[str]) -> list[float]:
        """Return what the model says of each answer."""
        rows = self.encode(asked, answers)
        if not hasattr(self.model, "score"):  # an encoder's head stands elsewhere
            return [self.scorer.score(ids)[0] for ids in rows]
        order = sorted(range(len(rows)), key=lambda at: len(rows[at]))
        found = [0.0] * len(rows)
        for start in range(0, len(order), BATCH):
            places = order[start : start + BATCH]
            scores = self._score([rows[at] for at in places])
            for at, score in zip(places, scores, strict=True):
                found[at] = score
        return found

    def encode(self, asked: Sequence[Asked], answers: Sequence[str]) -> list[list[int]]:
        """Return whole conversations as the model reads them.

        Of one that is longer than the model can see, the end.
        """
        conversations: list[Any] = [
            {"messages": [*one.messages, {"role": "assistant", "content": text}]}
            for one, text in zip(asked, answers, strict=True)
        ]
        rendered = self.encoder.render(conversations)
        encode = self.encoder.text.encode
        ids = [[one for one, _, _ in encode(each.text)] for each in rendered]
        return [row[-self.context :] for row in ids]

    def _score(self, rows: list[list[int]]) -> list[float]:
        """Return the head's number behind the last token of each text.

        A decoder does not look ahead, so padding on the right changes nothing.
        """
        device = self.model.device
        lengths = torch.tensor([len(row) for row in rows], device=device)
        ids_BT = torch.zeros(len(rows), int(lengths.max()), dtype=torch.long)
        for at, row in enumerate(rows):
            ids_BT[at, : len(row)] = torch.tensor(row)
        places_T = torch.arange(ids_BT.shape[1], device=device)
        mask_BT = (places_T < lengths[:, None]).long()
        hidden_BTC: Tensor = self.model.base_model(
            input_ids=ids_BT.to(device), attention_mask=mask_BT, use_cache=False
        ).last_hidden_state
        last_BC = hidden_BTC[torch.arange(len(rows), device=device), lengths - 1]
        scores: list[float] = self.model.score(last_BC)[:, 0].float().tolist()
        return scores


def load_rater(folder: Path) -> Any:
    """Load a reward model in fp32.

    Raises:
        BadInputError: it has no head that rates, or a part of its weights is missing.
    """
    refuse_no_head(folder)
    model, found = AutoModelForSequenceClassification.from_pretrained(
        folder,
        dtype=torch.float32,
        use_safetensors=True,
        output_loading_info=True,
        **SAFE,
    )
    if missing := sorted(found["missing_keys"]):
        raise BadInputError(
            f"the reward model {folder.name} lacks weights: {', '.join(missing[:3])}",
            "Train or import it again.",
        )
    return model.requires_grad_(requires_grad=False)


def refuse_no_head(folder: Path) -> None:
    """Refuse a model that does not say one number of a text.

    Raises:
        BadInputError: it does something else.
    """
    config = AutoConfig.from_pretrained(folder, **SAFE)
    kind = str((config.architectures or ["a model without a class"])[0])
    if not kind.endswith("ForSequenceClassification"):
        raise BadInputError(
            f"the reward model {folder.name} rates nothing: it is a {kind}, with no "
            "head that rates",
            "Choose a model that a reward run made, or one imported with such a head.",
        )
    if config.num_labels != 1:
        raise BadInputError(
            f"the reward model {folder.name} tells {config.num_labels} labels apart "
            "instead of saying one number",
            "Choose a model with one label, such as one that a reward run made.",
        )


def encoder_of(
    folder: Path, tokenizer: PreTrainedTokenizerFast, renderer: Renderer
) -> ChatEncoder:
    """Return what writes conversations by a model's own template.

    Raises:
        BadInputError: it has none.
    """
    source = tokenizer.chat_template
    if isinstance(source, dict):
        source = source.get("default") or next(iter(source.values()))
    if not source:
        raise BadInputError(
            f"the model {folder.name} has no chat template, so it is not known how it "
            "reads conversations",
            "Choose a model that was taught to converse (SFT), or import it with its "
            "template.",
        )
    template = Template(str(source), "the model's own", str(tokenizer.eos_token))
    return ChatEncoder(tokenizer, template, renderer, learns_all=True)
