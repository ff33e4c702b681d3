"""LoRA: small matrices trained beside frozen weights (https://arxiv.org/abs/2106.09685)."""

from pathlib import Path
from typing import Any

from peft import LoraConfig, PeftModel, TaskType
from runspec import Tuning
from torch import nn
from transformers import PreTrainedModel

from trainer.errors import BadInputError

TASK_TYPES = {
    "chat": TaskType.CAUSAL_LM,
    "text-to-text": TaskType.SEQ_2_SEQ_LM,
    "classification": TaskType.SEQ_CLS,
    "dpo": TaskType.CAUSAL_LM,
    "rlhf": TaskType.CAUSAL_LM,
    "reward": TaskType.SEQ_CLS,
}
ALL_LINEAR = "all-linear"
MAX_SHOWN = 12


def lora_config(spec: Tuning, model: PreTrainedModel, *, num_new: int) -> LoraConfig:
    """Return what PEFT shall add to `model`.

    The embeddings of `num_new` tokens, the last of the vocabulary, are trained whole:
    nothing has ever taught them anything.

    Raises:
        BadInputError: a layer named in the spec is not there.
    """
    options: dict[str, Any] = {}
    if num_new:
        size = model.get_input_embeddings().weight.shape[0]
        name = name_of(model, model.get_input_embeddings())
        new = list(range(size - num_new, size))
        options["trainable_token_indices"] = {name: new}
        output = model.get_output_embeddings()
        is_tied = output is None or output.weight is model.get_input_embeddings().weight
        if not is_tied:
            options["modules_to_save"] = [name_of(model, output)]
    if spec.lora_modules:
        refuse_unknown(spec.lora_modules, model)
    return LoraConfig(
        task_type=TASK_TYPES[spec.task],
        r=spec.lora_rank,
        lora_alpha=spec.lora_alpha,
        lora_dropout=spec.lora_dropout,
        target_modules=list(spec.lora_modules) or ALL_LINEAR,
        **options,
    )


def name_of(model: nn.Module, module: nn.Module) -> str:
    """Return the last part of a module's name, by which PEFT finds it."""
    names = (name for name, one in model.named_modules() if one is module)
    return str(next(names)).rpartition(".")[2]


def refuse_unknown(names: tuple[str, ...], model: nn.Module) -> None:
    """Refuse layers that the model does not have, naming those it has."""
    known = {
        name.rpartition(".")[2]
        for name, module in model.named_modules()
        if type(module).__name__ in {"Linear", "Conv1D"} and "." in name
    }
    if missing := [name for name in names if name not in known]:
        has = ", ".join(sorted(known)[:MAX_SHOWN])
        raise BadInputError(
            f"lora_modules: the model has no layer {missing[0]!r}; it has {has}",
            "Choose among them, or leave lora_modules empty for every linear layer.",
        )


def merged(model: nn.Module) -> nn.Module:
    """Return the model with what an adapter learned added to its weights."""
    return model.merge_and_unload() if isinstance(model, PeftModel) else model


def save_adapter(model: PeftModel, folder: Path) -> None:
    """Write an adapter in PEFT's own layout."""
    # The rows of new tokens are in it; the embeddings as a whole are not.
    model.save_pretrained(folder, save_embedding_layers=False)
    # PEFT writes a card of its own beside it; the model's card says more.
    (folder / "README.md").unlink(missing_ok=True)
