"""The spec of a `pretrain` run: decoder-only models from random weights."""

from typing import ClassVar, Literal, Self

from pydantic import model_validator

from runspec.base import Device, Spec, setting

Family = Literal["llama", "gpt2"]


class PretrainSpec(Spec):
    """Train a decoder-only model from random weights to predict the next token."""

    kind: Literal["pretrain"] = "pretrain"
    is_resumable: ClassVar[bool] = True
    wants_accelerator: ClassVar[bool] = True

    dataset: str = setting(help="Text to train on.", reference="dataset")
    tokenizer: str = setting(help="How text becomes tokens.", reference="tokenizer")

    family: Family = setting(
        "llama",
        help="Llama (rotary positions, SwiGLU) or GPT-2 (learned positions, GELU).",
        group="Model",
    )
    layers: int = setting(4, help="Transformer blocks.", ge=1, le=512, group="Model")
    heads: int = setting(
        4, help="Attention heads; must divide the width.", ge=1, le=512, group="Model"
    )
    kv_heads: int | None = setting(
        None,
        label="Key-value heads",
        help="Fewer than heads shares keys and values (Llama only); empty: as heads.",
        ge=1,
        le=512,
        group="Model",
        level="advanced",
    )
    width: int = setting(
        128, help="Size of the hidden state.", ge=8, le=65_536, group="Model"
    )
    feed_forward: int | None = setting(
        None,
        label="Feed-forward width",
        help="Empty: 4 x width for GPT-2; for Llama 8/3 x width, "
        "rounded up to a multiple of 32.",
        ge=8,
        le=1_000_000,
        group="Model",
        level="advanced",
    )
    context: int = setting(
        128,
        label="Context length",
        unit="tokens",
        help="How many tokens the model sees at once.",
        ge=8,
        le=1_048_576,
        group="Model",
    )
    tied_embeddings: bool = setting(
        True,
        help="Share input and output embeddings; saves parameters in small models.",
        group="Model",
        level="advanced",
    )
    dropout: float = setting(
        0.0, help="GPT-2 only.", ge=0.0, lt=1.0, group="Model", level="advanced"
    )

    max_steps: int = setting(
        1000,
        label="Steps",
        unit="optimizer steps",
        help="How long to train.",
        ge=1,
        le=100_000_000,
        group="Training",
    )
    batch_size: int = setting(
        16,
        unit="sequences",
        help="Sequences a device works on at once.",
        ge=1,
        le=65_536,
        group="Training",
    )
    accumulation: int = setting(
        1,
        label="Gradient accumulation",
        unit="batches",
        help="Batches added up before each optimizer step.",
        ge=1,
        le=65_536,
        group="Training",
        level="advanced",
    )
    learning_rate: float = setting(
        1e-3, help="Peak rate, after warm-up.", gt=0, le=1, group="Training"
    )
    warmup_steps: int = setting(
        100,
        label="Warm-up",
        unit="steps",
        help="Steps over which the rate rises from zero.",
        ge=0,
        group="Training",
        level="advanced",
    )
    min_learning_rate: float = setting(
        1e-4,
        label="Final rate",
        help="Where the cosine ends, at the last step.",
        ge=0,
        le=1,
        group="Training",
        level="advanced",
    )
    weight_decay: float = setting(
        0.1,
        help="AdamW's decay of matrices; vectors are never decayed.",
        ge=0,
        le=10,
        group="Training",
        level="advanced",
    )
    beta1: float = setting(
        0.9, help="AdamW beta 1.", ge=0, lt=1, group="Training", level="advanced"
    )
    beta2: float = setting(
        0.95, help="AdamW beta 2.", ge=0, lt=1, group="Training", level="advanced"
    )
    clip_norm: float = setting(
        1.0,
        label="Gradient clipping",
        help="Largest gradient norm; 0 turns clipping off.",
        ge=0,
        group="Training",
        level="advanced",
    )
    seed: int = setting(
        1337,
        help="Same seed, same device, same curve.",
        ge=0,
        lt=2**31,
        group="Training",
        level="advanced",
    )

    eval_every: int = setting(
        200,
        unit="steps",
        help="How often to measure the validation loss; also at start and end.",
        ge=1,
        group="Watching",
        level="advanced",
    )
    eval_batches: int = setting(
        50,
        unit="batches",
        help="At most this many validation batches each time, spread evenly; "
        "the last evaluation reads them all.",
        ge=1,
        group="Watching",
        level="advanced",
    )
    sample_every: int = setting(
        200,
        unit="steps",
        help="How often to write sample texts; 0 only at the end.",
        ge=0,
        group="Watching",
        level="advanced",
    )
    sample_prompts: tuple[str, ...] = setting(
        ("",),
        help="Beginnings the samples continue; an empty one starts from nothing.",
        max_length=8,
        group="Watching",
        level="advanced",
    )
    sample_tokens: int = setting(
        80,
        unit="tokens",
        help="Length of a sample.",
        ge=1,
        le=2_000,
        group="Watching",
        level="advanced",
    )
    checkpoint_every: int = setting(
        500,
        unit="steps",
        help="How often to save a state the run can go on from; also when stopped.",
        ge=1,
        group="Watching",
        level="advanced",
    )
    keep_checkpoints: int = setting(
        2,
        help="Newest checkpoints kept, beside the best and pinned ones.",
        ge=1,
        le=1000,
        group="Watching",
        level="advanced",
    )
    keep_every: int = setting(
        0,
        label="Keep every",
        unit="checkpoints",
        help="One of so many checkpoints stays to the end, beside those; 0 none.",
        ge=0,
        le=1_000_000,
        group="Watching",
        level="advanced",
    )

    device: Device = setting(
        "auto",
        help="Where to train; auto takes a GPU if a worker has one.",
        group="Device",
        level="advanced",
    )
    num_devices: int = setting(
        1,
        label="Devices",
        help="Devices that train together, each on batch_size sequences at once; "
        "all on one worker.",
        ge=1,
        le=4096,
        group="Device",
        level="advanced",
    )
    precision: Literal["auto", "fp32", "bf16"] = setting(
        "auto",
        help="bf16 where the device is measurably faster with it, else fp32.",
        group="Device",
        level="advanced",
    )
    compile: Literal["auto", "on", "off"] = setting(
        "auto",
        help="torch.compile; auto only when the run is long enough to repay it.",
        group="Device",
        level="advanced",
    )

    @property
    def num_kv_heads(self) -> int:
        """Key-value heads, filled in."""
        return self.kv_heads or self.heads

    @property
    def feed_forward_width(self) -> int:
        """Feed-forward width, filled in."""
        if self.feed_forward is not None:
            return self.feed_forward
        if self.family == "gpt2":
            return 4 * self.width
        return -(-8 * self.width // 3 // 32) * 32

    @property
    def tokens_per_step(self) -> int:
        """Tokens one optimizer step sees, all devices together."""
        return self.batch_size * self.accumulation * self.context * self.num_devices

    @model_validator(mode="after")
    def settings_fit_together(self) -> Self:
        """Refuse what cannot be built, and settings that would be ignored."""
        if self.width % self.heads:
            raise ValueError(
                f"width {self.width} is not a multiple of heads {self.heads}"
            )
        if self.family == "llama":
            if self.dropout:
                raise ValueError("dropout applies to gpt2 only; llama has none")
            if (self.width // self.heads) % 2:
                raise ValueError(
                    f"width / heads is {self.width // self.heads}; llama's rotary "
                    "positions need an even number"
                )
        if self.kv_heads is not None:
            if self.family == "gpt2":
                raise ValueError("kv_heads applies to llama only")
            if self.heads % self.kv_heads:
                raise ValueError(
                    f"heads {self.heads} is not a multiple of kv_heads {self.kv_heads}"
                )
        if self.warmup_steps >= self.max_steps and self.max_steps > 1:
            raise ValueError(
                f"warmup_steps {self.warmup_steps} must be below "
                f"max_steps {self.max_steps}"
            )
        if self.min_learning_rate > self.learning_rate:
            raise ValueError("min_learning_rate is above learning_rate")
        return self
