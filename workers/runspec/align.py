"""The specs of alignment: `dpo` and `reward` runs learn from preferences.

Both start from a decoder and read datasets of kind `preferences`. What they have in
common with fine-tuning is declared in `runspec.training`; what the machinery asks of
any spec, and these leave no choice about, stands as class variables.
"""

from typing import ClassVar, Literal, Self

from pydantic import model_validator

from runspec import training
from runspec.base import Device, setting

KINDS = ("preferences",)
DPO_METRICS = ("loss", "accuracy", "margin")
LossType = Literal["sigmoid", "ipo", "hinge", "robust", "sigmoid_norm", "apo_zero"]
SOFT_LABELS = setting(
    True,
    label="Learn how sure people were",
    help="A pair that two of three people chose so counts as that, a tie as half; "
    "pairs without votes count as certain.",
    group="Preference",
    level="advanced",
)


class DpoSpec(training.AlignmentSpec):
    """Align a model with preferences directly (DPO): no reward model, no sampling."""

    kind: Literal["dpo"] = "dpo"
    task: ClassVar[str] = "dpo"

    model: str = setting(
        help="The decoder to align; it is also the reference it is held to.",
        reference="model",
    )
    datasets: tuple[str, ...] = setting(
        help="Preferences to learn from; several are mixed.",
        reference="dataset",
        kinds=KINDS,
        min_length=1,
        max_length=training.MAX_DATASETS,
    )
    weights: tuple[float, ...] = training.WEIGHTS

    chat_template: training.Template = training.CHAT_TEMPLATE
    custom_template: str = training.CUSTOM_TEMPLATE

    loss_type: LossType = setting(
        "sigmoid",
        label="Loss",
        help="Sigmoid is DPO itself; IPO and hinge bound how far a pair pulls, robust "
        "assumes that some labels are flipped, sigmoid_norm counts tokens, apo_zero "
        "raises the chosen and lowers the rejected.",
        group="Preference",
    )
    beta: float = setting(
        0.1,
        label="Beta",
        help="How strongly the model is held to the reference; higher moves it less. "
        "For IPO it is the τ of the regularization.",
        gt=0,
        le=100,
        group="Preference",
    )
    label_smoothing: float = setting(
        0.0,
        help="Share of labels taken to be flipped; for the robust loss.",
        ge=0,
        lt=0.5,
        group="Preference",
        level="advanced",
    )
    soft_labels: bool = SOFT_LABELS
    sft_weight: float = setting(
        0.0,
        label="Weight of imitation",
        help="Weight of an added loss that imitates the chosen answer, which keeps its "
        "likelihood from falling; 0 none.",
        ge=0,
        le=100,
        group="Preference",
        level="advanced",
    )
    precompute_reference: bool = setting(
        False,
        help="Compute the reference's likelihoods once, before training: one pass over "
        "the data more, one model less in memory.",
        group="Preference",
        level="advanced",
    )

    method: training.Method = training.METHOD
    lora_rank: int = training.LORA_RANK
    lora_alpha: float = training.LORA_ALPHA
    lora_modules: tuple[str, ...] = training.LORA_MODULES

    epochs: float = setting(
        1.0, help="Passes over the pairs.", gt=0, le=10_000, group="Training"
    )
    max_steps: int | None = training.STEP_LIMIT
    context: int | None = training.CONTEXT
    too_long: training.TooLong = training.TOO_LONG
    batch_size: int = training.batch_size(
        8, unit="pairs", help="Pairs worked on at once; each is two rows."
    )
    accumulation: int = training.ACCUMULATION
    learning_rate: float = setting(
        1e-6, help="Peak rate; about ten times as much for LoRA.", gt=0, le=1,
        group="Training",
    )  # fmt: skip
    schedule: training.Schedule = training.SCHEDULE
    warmup_share: float = training.WARMUP_SHARE
    weight_decay: float = training.WEIGHT_DECAY
    clip_norm: float = training.CLIP_NORM
    seed: int = training.SEED

    eval_every: int = training.EVAL_EVERY
    eval_rows: int = training.EVAL_ROWS
    best_metric: Literal["loss", "accuracy", "margin"] = setting(
        "loss",
        label="Best by",
        help="Which number on the validation pairs tells the best checkpoint.",
        group="Watching",
        level="advanced",
    )
    early_stopping: int = training.EARLY_STOPPING
    publish: training.Publish = training.PUBLISH
    sample_prompts: tuple[str, ...] = setting(
        (),
        help="Asked at every evaluation, so that one can read how answers change.",
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
        training.refuse_template(self.chat_template, self.custom_template)
        if self.method == "full":
            training.must_be_default(self, training.LORA_ONLY, "method is full")
        if self.loss_type != "robust":
            why = f"the loss is {self.loss_type}, not robust"
            training.must_be_default(self, ("label_smoothing",), why)
        return self


class RewardSpec(training.AlignmentSpec):
    """Teach a decoder to rate answers by which of two people preferred."""

    kind: Literal["reward"] = "reward"
    task: ClassVar[str] = "reward"
    sample_prompts: ClassVar[tuple[str, ...]] = ()
    sample_tokens: ClassVar[int] = 1

    model: str = setting(
        help="The decoder to start from; its head is replaced by one that rates.",
        reference="model",
    )
    datasets: tuple[str, ...] = setting(
        help="Preferences to learn from; several are mixed.",
        reference="dataset",
        kinds=KINDS,
        min_length=1,
        max_length=training.MAX_DATASETS,
    )
    weights: tuple[float, ...] = training.WEIGHTS

    chat_template: training.Template = training.CHAT_TEMPLATE
    custom_template: str = training.CUSTOM_TEMPLATE

    soft_labels: bool = SOFT_LABELS
    strength_margin: float = setting(
        0.0,
        label="Margin by strength",
        help="Rewards shall be so much further apart for each step of strength, where "
        "the data has it; 0 takes no notice of it.",
        ge=0,
        le=10,
        group="Preference",
        level="advanced",
    )
    center_rewards: float = setting(
        0.0,
        label="Centring",
        help="Weight of a term that keeps rewards around zero, such as 0.01; 0 none.",
        ge=0,
        le=10,
        group="Preference",
        level="advanced",
    )

    method: training.Method = training.METHOD
    lora_rank: int = training.LORA_RANK
    lora_alpha: float = training.LORA_ALPHA
    lora_modules: tuple[str, ...] = training.LORA_MODULES

    epochs: float = setting(
        1.0, help="Passes over the pairs.", gt=0, le=10_000, group="Training"
    )
    max_steps: int | None = training.STEP_LIMIT
    context: int | None = training.CONTEXT
    too_long: training.TooLong = training.TOO_LONG
    batch_size: int = training.batch_size(
        8, unit="pairs", help="Pairs worked on at once; each is two rows."
    )
    accumulation: int = training.ACCUMULATION
    learning_rate: float = setting(
        1e-5, help="Peak rate; about ten times as much for LoRA.", gt=0, le=1,
        group="Training",
    )  # fmt: skip
    schedule: training.Schedule = training.SCHEDULE
    warmup_share: float = training.WARMUP_SHARE
    weight_decay: float = training.WEIGHT_DECAY
    clip_norm: float = training.CLIP_NORM
    seed: int = training.SEED

    eval_every: int = training.EVAL_EVERY
    eval_rows: int = training.EVAL_ROWS
    best_metric: Literal["loss", "accuracy", "margin"] = setting(
        "loss",
        label="Best by",
        help="Which number on the validation pairs tells the best checkpoint.",
        group="Watching",
        level="advanced",
    )
    early_stopping: int = training.EARLY_STOPPING
    publish: training.Publish = training.PUBLISH
    checkpoint_every: int = training.checkpoint_every(200)
    keep_checkpoints: int = training.KEEP_CHECKPOINTS
    keep_every: int = training.KEEP_EVERY

    device: Device = training.DEVICE
    precision: training.Precision = training.PRECISION

    @model_validator(mode="after")
    def nothing_is_ignored(self) -> Self:
        """Refuse settings that would be ignored, and what does not fit together."""
        training.refuse_weights(self.datasets, self.weights)
        training.refuse_template(self.chat_template, self.custom_template)
        if self.method == "full":
            training.must_be_default(self, training.LORA_ONLY, "method is full")
        return self
