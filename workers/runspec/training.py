"""Settings that mean the same in every training run, declared once.

Each is the declaration of one field; what a stage means in its own way (its steps, its
batches, its rate) it declares itself.
"""

from typing import Literal

from runspec.base import setting

Precision = Literal["auto", "fp32", "bf16"]
MAX_STEPS = 100_000_000

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
