"""The spec of an `sft` run: a pretrained model learns from examples."""

from typing import ClassVar, Literal, Self

from pydantic import model_validator

from runspec import training
from runspec.base import Device, Spec, setting

Task = Literal["chat", "text-to-text", "classification"]
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
    weights: tuple[float, ...] = training.WEIGHTS
    task: Task = setting(
        "chat",
        help="Chat for decoders, text to text for encoder-decoders, classification "
        "for encoders.",
    )

    chat_template: training.Template = training.CHAT_TEMPLATE
    custom_template: str = training.CUSTOM_TEMPLATE
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

    method: training.Method = training.METHOD
    lora_rank: int = training.LORA_RANK
    lora_alpha: float = training.LORA_ALPHA
    lora_dropout: float = setting(
        0.0,
        label="LoRA dropout",
        help="Share of their inputs zeroed while training.",
        ge=0,
        lt=1,
        group="Method",
        level="advanced",
    )
    lora_modules: tuple[str, ...] = training.LORA_MODULES

    epochs: float = training.EPOCHS
    max_steps: int | None = training.STEP_LIMIT
    context: int | None = training.CONTEXT
    too_long: training.TooLong = training.TOO_LONG
    batch_size: int = training.batch_size(
        8, unit="rows", help="Rows worked on at once."
    )
    accumulation: int = training.ACCUMULATION
    learning_rate: float = setting(
        2e-5, help="Peak rate; about ten times as much for LoRA.", gt=0, le=1,
        group="Training",
    )  # fmt: skip
    schedule: training.Schedule = training.SCHEDULE
    warmup_share: float = training.WARMUP_SHARE
    weight_decay: float = training.WEIGHT_DECAY
    clip_norm: float = training.CLIP_NORM
    seed: int = training.SEED

    eval_every: int = training.EVAL_EVERY
    eval_rows: int = training.EVAL_ROWS
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
    early_stopping: int = training.EARLY_STOPPING
    publish: training.Publish = training.PUBLISH
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
        training.refuse_weights(self.datasets, self.weights)
        if self.task != "chat":
            training.must_be_default(self, CHAT_ONLY, f"the task is {self.task}")
        if self.best_metric not in METRICS_OF[self.task]:
            raise ValueError(
                f"best_metric {self.best_metric} is not measured for {self.task}; "
                f"it has {', '.join(METRICS_OF[self.task])}"
            )
        if self.method == "full":
            training.must_be_default(self, LORA_ONLY, "method is full")
        if self.task == "classification" and self.evaluate_on:
            raise ValueError("evaluate_on would be ignored: a classifier writes none")
        training.refuse_template(self.chat_template, self.custom_template)
        return self
