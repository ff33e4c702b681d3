"""Settings that mean the same in every training run, declared once.

Each is the declaration of one field; what a stage means in its own way (its steps, its
batches, its rate) it declares itself.
"""

from typing import ClassVar, Literal

from runspec.base import Spec, setting

Precision = Literal["auto", "fp32", "bf16"]
Template = Literal["model", "chatml", "llama3", "plain", "custom"]
Method = Literal["full", "lora", "qlora"]
TooLong = Literal["drop", "truncate", "refuse"]
Schedule = Literal["linear", "cosine", "constant"]
Publish = Literal["best", "last"]
LORA_ONLY = ("lora_rank", "lora_alpha", "lora_modules")
MAX_DATASETS = 20
MAX_STEPS = 100_000_000
MAX_TEMPLATE = 50_000

ACCUMULATION = setting(
    1,
    label="Gradient accumulation",
    unit="batches",
    help="Batches added up before each optimizer step.",
    ge=1,
    le=65_536,
    group="Training",
    level="advanced",
)
CLIP_NORM = setting(
    1.0,
    label="Gradient clipping",
    help="Largest gradient norm; 0 turns clipping off.",
    ge=0,
    group="Training",
    level="advanced",
)
SEED = setting(
    1337,
    help="Same seed, same device, same curve.",
    ge=0,
    lt=2**31,
    group="Training",
    level="advanced",
)
KEEP_CHECKPOINTS = setting(
    2,
    help="Newest checkpoints kept, beside the best and pinned ones.",
    ge=1,
    le=1000,
    group="Watching",
    level="advanced",
)
KEEP_EVERY = setting(
    0,
    label="Keep every",
    unit="checkpoints",
    help="One of so many checkpoints stays to the end, beside those; 0 none.",
    ge=0,
    le=1_000_000,
    group="Watching",
    level="advanced",
)
DEVICE = setting(
    "auto",
    help="Where to train; auto takes a GPU if a worker has one.",
    group="Device",
    level="advanced",
)
PRECISION = setting(
    "auto",
    help="bf16 where the device is measurably faster with it, else fp32.",
    group="Device",
    level="advanced",
)
WEIGHTS = setting(
    (),
    label="Weights of the datasets",
    help="How often each dataset's rows are drawn, in the order above; empty "
    "takes every row once an epoch.",
    max_length=20,
    level="advanced",
)
CHAT_TEMPLATE = setting(
    "model",
    help="How a conversation is written as text. A model that has a template keeps "
    "it; one that has none gets ChatML.",
    group="Conversation",
)
CUSTOM_TEMPLATE = setting(
    "",
    label="Template of your own",
    help="Jinja, as transformers reads it; mark what the assistant says with "
    "{% generation %} … {% endgeneration %}.",
    max_length=MAX_TEMPLATE,
    group="Conversation",
    widget="template",
)
METHOD = setting(
    "full",
    help="Train all weights, or small added matrices (LoRA), or those over 4-bit "
    "weights (QLoRA, on a CUDA device only).",
    group="Method",
)
LORA_RANK = setting(
    16,
    label="LoRA rank",
    help="Rank of the added matrices.",
    ge=1,
    le=1024,
    group="Method",
)
LORA_ALPHA = setting(
    32.0,
    label="LoRA alpha",
    help="Scale of what they add, divided by the rank.",
    gt=0,
    le=4096,
    group="Method",
    level="advanced",
)
LORA_MODULES = setting(
    (),
    label="LoRA modules",
    help="Names of the layers to add to, like q_proj; empty: every linear layer.",
    max_length=64,
    group="Method",
    level="advanced",
)
EPOCHS = setting(
    3.0,
    help="Passes over the examples.",
    gt=0,
    le=10_000,
    group="Training",
)
STEP_LIMIT = setting(
    None,
    label="Steps",
    unit="optimizer steps",
    help="Stop after so many steps, whatever the epochs say.",
    ge=1,
    le=MAX_STEPS,
    group="Training",
    level="advanced",
)
CONTEXT = setting(
    None,
    label="Longest row",
    unit="tokens",
    help="Empty: the model's own context.",
    ge=8,
    le=1_048_576,
    group="Training",
)
TOO_LONG = setting(
    "drop",
    label="Longer rows",
    help="Leave them out, cut them off, or refuse to start.",
    group="Training",
)
SCHEDULE = setting(
    "cosine",
    help="How the rate falls after warm-up.",
    group="Training",
    level="advanced",
)
WARMUP_SHARE = setting(
    0.03,
    label="Warm-up",
    help="Share of the steps over which the rate rises from zero.",
    ge=0,
    lt=1,
    group="Training",
    level="advanced",
)
WEIGHT_DECAY = setting(
    0.0, help="AdamW's decay of matrices.", ge=0, le=10, group="Training",
    level="advanced",
)  # fmt: skip
EVAL_EVERY = setting(
    100,
    unit="steps",
    help="How often to measure on the validation rows; also at start and end.",
    ge=1,
    group="Watching",
    level="advanced",
)
EVAL_ROWS = setting(
    500,
    unit="rows",
    help="At most so many validation rows each time, spread evenly.",
    ge=1,
    group="Watching",
    level="advanced",
)
EARLY_STOPPING = setting(
    0,
    unit="evaluations",
    help="Stop when so many evaluations in a row brought nothing better; 0 never.",
    ge=0,
    le=1000,
    group="Watching",
    level="advanced",
)
PUBLISH = setting(
    "best",
    label="Result",
    help="The model of the best evaluation, or of the last step.",
    group="Watching",
    level="advanced",
)


def batch_size(default: int, *, unit: str, help: str) -> int:  # noqa: A002
    """Declare how much a device works on at once."""
    declared: int = setting(
        default, unit=unit, help=help, ge=1, le=65_536, group="Training"
    )
    return declared


def checkpoint_every(default: int) -> int:
    """Declare how often a state is saved."""
    declared: int = setting(
        default,
        unit="steps",
        help="How often to save a state the run can go on from; also when stopped.",
        ge=1,
        group="Watching",
        level="advanced",
    )
    return declared


def sample_tokens(help: str) -> int:  # noqa: A002
    """Declare how long a sample is."""
    declared: int = setting(
        80,
        unit="tokens",
        help=help,
        ge=1,
        le=2_000,
        group="Watching",
        level="advanced",
    )
    return declared


def refuse_weights(datasets: tuple[str, ...], weights: tuple[float, ...]) -> None:
    """Raise ValueError for weights that do not fit the datasets, or one named twice."""
    if weights and len(weights) != len(datasets):
        raise ValueError(
            f"weights names {len(weights)} numbers for {len(datasets)} datasets"
        )
    if any(not 0 < weight <= 1e6 for weight in weights):
        raise ValueError("weights must be above 0")
    if len(set(datasets)) != len(datasets):
        raise ValueError("datasets names one twice")


def refuse_template(chosen: str, custom: str) -> None:
    """Raise ValueError for a template of one's own that is missing, or not used."""
    if (chosen == "custom") != bool(custom.strip()):
        raise ValueError(
            "custom_template is what chat_template custom needs, and only it"
        )


def must_be_default(spec: Spec, names: tuple[str, ...], why: str) -> None:
    """Raise ValueError for settings that would be ignored."""
    for name in names:
        if getattr(spec, name) != type(spec).model_fields[name].get_default():
            raise ValueError(f"{name} would be ignored: {why}")


class AlignmentSpec(Spec):
    """What all stages of alignment share: all that the machinery asks and they fix."""

    is_resumable: ClassVar[bool] = True
    wants_accelerator: ClassVar[bool] = True
    has_preflight: ClassVar[bool] = True
    loss_on: ClassVar[str] = "assistant"
    packing: ClassVar[bool] = False
    lora_dropout: ClassVar[float] = 0.0
    """Answers are compared by likelihood or reward: both must be without chance."""
    answer_rows: ClassVar[int] = 0
    evaluate_on: ClassVar[tuple[str, ...]] = ()
