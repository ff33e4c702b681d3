"""The spec of an `sft` run: a pretrained model learns from examples."""

from typing import ClassVar, Literal, Self

from pydantic import model_validator

from runspec import training
from runspec.base import Device, Spec, setting

Task = Literal["chat", "text-to-text", "classification"]
Template = Literal["model", "chatml", "llama3", "plain", "custom"]
TASKS_OF: dict[str, Task] = {
    "decoder": "chat",
    "encoder-decoder": "text-to-text",
    "encoder": "classification",
}
"""What a model of each architecture can be taught."""
KINDS_OF: dict[str, tuple[str, ...]] = {
    "chat": ("instructions", "conversations"),
    "text-to-text": ("text-to-text", "instructions"),
    "classification": ("labelled",),
}
"""Kinds of datasets each task learns from."""
MAX_TEMPLATE = 50_000
METRICS_OF: dict[str, tuple[str, ...]] = {
    "chat": ("loss", "exact_match"),
    "text-to-text": ("loss", "exact_match", "rouge_l"),
    "classification": ("loss", "accuracy", "f1"),
}
"""What the best checkpoint can be chosen by."""
CHAT_ONLY = ("loss_on", "packing", "chat_template", "custom_template")
LORA_ONLY = ("lora_rank", "lora_alpha", "lora_dropout", "lora_modules")


class SftSpec(Spec):
    """Fine-tune a model on instructions, conversations, text pairs or labels."""

    kind: Literal["sft"] = "sft"
    is_resumable: ClassVar[bool] = True
    wants_accelerator: ClassVar[bool] = True
    has_preflight: ClassVar[bool] = True

    model: str = setting(help="The model to start from.", reference="model")
    datasets: tuple[str, ...] = setting(
        help="Examples to learn from; several are mixed.",
        reference="dataset",
        kinds=("instructions", "conversations", "text-to-text", "labelled"),
        min_length=1,
        max_length=20,
    )
    weights: tuple[float, ...] = setting(
        (),
        label="Weights of the datasets",
        help="How often each dataset's rows are drawn, in the order above; empty "
        "takes every row once an epoch.",
        max_length=20,
        level="advanced",
    )
    task: Task = setting(
        "chat",
        help="Chat for decoders, text to text for encoder-decoders, classification "
        "for encoders.",
    )

    chat_template: Template = setting(
        "model",
        help="How a conversation is written as text. A model that has a template keeps "
        "it; one that has none gets ChatML.",
        group="Conversation",
    )
    custom_template: str = setting(
        "",
        label="Template of your own",
        help="Jinja, as transformers reads it; mark what the assistant says with "
        "{% generation %} … {% endgeneration %}.",
        max_length=MAX_TEMPLATE,
        group="Conversation",
        widget="template",
    )
    loss_on: Literal["assistant", "all"] = setting(
        "assistant",
        label="Learn from",
        help="Only what the assistant says, or every token of the conversation.",
        group="Conversation",
    )
    packing: bool = setting(
        False,
        help="Fill each row with several short conversations; none attends to another.",
        group="Conversation",
        level="advanced",
    )

    method: Literal["full", "lora", "qlora"] = setting(
        "full",
        help="Train all weights, or small added matrices (LoRA), or those over 4-bit "
        "weights (QLoRA, on a CUDA device only).",
        group="Method",
    )
    lora_rank: int = setting(
        16,
        label="LoRA rank",
        help="Rank of the added matrices.",
        ge=1,
        le=1024,
        group="Method",
    )
    lora_alpha: float = setting(
        32.0,
        label="LoRA alpha",
        help="Scale of what they add, divided by the rank.",
        gt=0,
        le=4096,
        group="Method",
        level="advanced",
    )
    lora_dropout: float = setting(
        0.0,
        label="LoRA dropout",
        help="Share of their inputs zeroed while training.",
        ge=0,
        lt=1,
        group="Method",
        level="advanced",
    )
    lora_modules: tuple[str, ...] = setting(
        (),
        label="LoRA modules",
        help="Names of the layers to add to, like q_proj; empty: every linear layer.",
        max_length=64,
        group="Method",
        level="advanced",
    )

    epochs: float = setting(
        3.0,
        help="Passes over the examples.",
        gt=0,
        le=10_000,
        group="Training",
    )
    max_steps: int | None = setting(
        None,
        label="Steps",
        unit="optimizer steps",
        help="Stop after so many steps, whatever the epochs say.",
        ge=1,
        le=training.MAX_STEPS,
        group="Training",
        level="advanced",
    )
    context: int | None = setting(
        None,
        label="Longest row",
        unit="tokens",
        help="Empty: the model's own context.",
        ge=8,
        le=1_048_576,
        group="Training",
    )
    too_long: Literal["drop", "truncate", "refuse"] = setting(
        "drop",
        label="Longer rows",
        help="Leave them out, cut them off, or refuse to start.",
        group="Training",
    )
    batch_size: int = training.batch_size(
        8, unit="rows", help="Rows worked on at once."
    )
    accumulation: int = training.ACCUMULATION
    learning_rate: float = setting(
        2e-5, help="Peak rate; about ten times as much for LoRA.", gt=0, le=1,
        group="Training",
    )  # fmt: skip
    schedule: Literal["linear", "cosine", "constant"] = setting(
        "cosine",
        help="How the rate falls after warm-up.",
        group="Training",
        level="advanced",
    )
    warmup_share: float = setting(
        0.03,
        label="Warm-up",
        help="Share of the steps over which the rate rises from zero.",
        ge=0,
        lt=1,
        group="Training",
        level="advanced",
    )
    weight_decay: float = setting(
        0.0, help="AdamW's decay of matrices.", ge=0, le=10, group="Training",
        level="advanced",
    )  # fmt: skip
    clip_norm: float = training.CLIP_NORM
    seed: int = training.SEED

    eval_every: int = setting(
        100,
        unit="steps",
        help="How often to measure on the validation rows; also at start and end.",
        ge=1,
        group="Watching",
        level="advanced",
    )
    eval_rows: int = setting(
        500,
        unit="rows",
        help="At most so many validation rows each time, spread evenly.",
        ge=1,
        group="Watching",
        level="advanced",
    )
    answer_rows: int = setting(
        32,
        label="Answered rows",
        unit="rows",
        help="Validation rows whose answer is written out each time, and compared with "
        "the right one; 0 none. A classifier needs none.",
        ge=0,
        le=10_000,
        group="Watching",
        level="advanced",
    )
    evaluate_on: tuple[str, ...] = setting(
        (),
        label="Also answer",
        help="Further datasets, answered at start and end: the share of exact answers "
        "becomes a curve of its own.",
        reference="dataset",
        kinds=("instructions", "conversations", "text-to-text"),
        max_length=8,
        group="Watching",
        level="advanced",
    )
    best_metric: Literal["loss", "exact_match", "rouge_l", "accuracy", "f1"] = setting(
        "loss",
        label="Best by",
        help="Which number on the validation rows tells the best checkpoint.",
        group="Watching",
        level="advanced",
    )
    early_stopping: int = setting(
        0,
        unit="evaluations",
        help="Stop when so many evaluations in a row brought nothing better; 0 never.",
        ge=0,
        le=1000,
        group="Watching",
        level="advanced",
    )
    publish: Literal["best", "last"] = setting(
        "best",
        label="Result",
        help="The model of the best evaluation, or of the last step.",
        group="Watching",
        level="advanced",
    )
    sample_prompts: tuple[str, ...] = setting(
        (),
        help="Asked at every evaluation; empty takes the first validation rows.",
        max_length=8,
        group="Watching",
        level="advanced",
    )
    sample_tokens: int = training.sample_tokens("Longest answer to them.")
    checkpoint_every: int = training.checkpoint_every(200)
    keep_checkpoints: int = training.KEEP_CHECKPOINTS
    keep_every: int = training.KEEP_EVERY

    device: Device = training.DEVICE
    precision: training.Precision = training.PRECISION

    @model_validator(mode="after")
    def nothing_is_ignored(self) -> Self:
        """Refuse settings that would be ignored, and what does not fit together."""
        if self.weights and len(self.weights) != len(self.datasets):
            raise ValueError(
                f"weights names {len(self.weights)} numbers for "
                f"{len(self.datasets)} datasets"
            )
        if any(not 0 < weight <= 1e6 for weight in self.weights):
            raise ValueError("weights must be above 0")
        if len(set(self.datasets)) != len(self.datasets):
            raise ValueError("datasets names one twice")
        if self.task != "chat":
            self._must_be_default(CHAT_ONLY, f"the task is {self.task}")
        if self.best_metric not in METRICS_OF[self.task]:
            raise ValueError(
                f"best_metric {self.best_metric} is not measured for {self.task}; "
                f"it has {', '.join(METRICS_OF[self.task])}"
            )
        if self.method == "full":
            self._must_be_default(LORA_ONLY, "method is full")
        if self.task == "classification" and self.evaluate_on:
            raise ValueError("evaluate_on would be ignored: a classifier writes none")
        if (self.chat_template == "custom") != bool(self.custom_template.strip()):
            raise ValueError(
                "custom_template is what chat_template custom needs, and only it"
            )
        return self

    def _must_be_default(self, names: tuple[str, ...], why: str) -> None:
        for name in names:
            if getattr(self, name) != type(self).model_fields[name].get_default():
                raise ValueError(f"{name} would be ignored: {why}")
