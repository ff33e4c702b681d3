"""The spec of a `pretrain` run: a model learns from raw text."""

from typing import ClassVar, Literal, Self

from pydantic import model_validator

from runspec import training
from runspec.base import Device, Spec, setting
from runspec.families import FAMILIES, Family, FamilyFacts, families_of

ENCODERS = families_of("encoder")
ENCODER_DECODERS = families_of("encoder-decoder")
GATED = ("llama", "mixtral", "modernbert", "t5")
"""Families whose feed-forward layers have three matrices instead of two."""
ROTARY = ("llama", "mixtral", "modernbert")
FROM_THE_BASE_MODEL = (
    "layers",
    "heads",
    "kv_heads",
    "width",
    "feed_forward",
    "experts",
    "experts_per_token",
    "tied_embeddings",
    "tokenizer",
)
"""Settings a base model has decided."""


class PretrainSpec(Spec):
    """Train a model on raw text, from random weights or going on from a base model."""

    kind: Literal["pretrain"] = "pretrain"
    is_resumable: ClassVar[bool] = True
    wants_accelerator: ClassVar[bool] = True
    has_preflight: ClassVar[bool] = True

    dataset: str = setting(
        help="Text to train on.", reference="dataset", kinds=("text",)
    )
    tokenizer: str | None = setting(
        None,
        help="How text becomes tokens; a base model brings its own.",
        reference="tokenizer",
    )
    base_model: str | None = setting(
        None,
        label="Start from",
        help="Go on from a model's weights; empty starts from random ones.",
        reference="model",
    )

    family: Family = setting(
        "llama",
        help="The architecture, and with it the objective: what the model learns by.",
        widget="family",
        group="Model",
    )
    layers: int = setting(
        4,
        help="Transformer blocks; an encoder-decoder has so many on either side.",
        ge=1,
        le=512,
        group="Model",
    )
    heads: int = setting(
        4, help="Attention heads; must divide the width.", ge=1, le=512, group="Model"
    )
    kv_heads: int | None = setting(
        None,
        label="Key-value heads",
        help="Fewer than heads shares keys and values; empty: as heads.",
        families=("llama", "mixtral"),
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
        help="Empty: 4 x width, or as much work where it is gated (8/3 x width; "
        "ModernBERT 3/2 x width), rounded up to a multiple of 32.",
        ge=8,
        le=1_000_000,
        group="Model",
        level="advanced",
    )
    context: int = setting(
        128,
        label="Context length",
        unit="tokens",
        help="How many tokens the model sees at once; of a base model, how many of "
        "those it can see are trained on.",
        ge=8,
        le=1_048_576,
        group="Model",
    )
    tied_embeddings: bool = setting(
        True,
        help="Share input and output embeddings; saves parameters in small models.",
        families=("llama", "gpt2", "mixtral"),
        group="Model",
        level="advanced",
    )
    dropout: float = setting(
        0.0,
        help="Share of values zeroed while training; helps when data repeats often.",
        families=("gpt2", *ENCODERS, *ENCODER_DECODERS),
        ge=0.0,
        lt=1.0,
        group="Model",
        level="advanced",
    )
    experts: int = setting(
        8,
        help="Feed-forward layers to choose from in each block.",
        families=("mixtral",),
        ge=2,
        le=1024,
        group="Model",
    )
    experts_per_token: int = setting(
        2,
        help="Experts each token uses.",
        families=("mixtral",),
        ge=1,
        le=1024,
        group="Model",
    )

    corrupted_share: float | None = setting(
        None,
        label="Corrupted share",
        help="Share of tokens hidden from the model. Empty: 0.15, for BART 0.3.",
        families=(*ENCODERS, *ENCODER_DECODERS),
        gt=0.0,
        le=0.9,
        group="Objective",
    )
    mean_span: float | None = setting(
        None,
        label="Mean span",
        unit="tokens",
        help="Mean length of a hidden span. Empty: 3.",
        families=ENCODER_DECODERS,
        ge=1.0,
        le=100.0,
        group="Objective",
    )
    whole_words: bool = setting(
        False,
        help="Mask all tokens of a word together: harder, and often better.",
        families=ENCODERS,
        group="Objective",
    )
    permute_sentences: bool = setting(
        True,
        help="Shuffle the sentences of the input as well.",
        families=("bart",),
        group="Objective",
    )

    max_steps: int = setting(
        1000,
        label="Steps",
        unit="optimizer steps",
        help="How long to train.",
        ge=1,
        le=training.MAX_STEPS,
        group="Training",
    )
    batch_size: int = training.batch_size(
        16, unit="sequences", help="Sequences a device works on at once."
    )
    accumulation: int = training.ACCUMULATION
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
    clip_norm: float = training.CLIP_NORM
    seed: int = training.SEED

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
        help="Beginnings a decoder continues (an empty one starts from nothing); for "
        "other models texts whose gaps, written [MASK], they fill (empty: validation "
        "text with gaps made as in training).",
        max_length=8,
        group="Watching",
        level="advanced",
    )
    sample_tokens: int = training.sample_tokens("Length of a sample.")
    checkpoint_every: int = training.checkpoint_every(500)
    keep_checkpoints: int = training.KEEP_CHECKPOINTS
    keep_every: int = training.KEEP_EVERY

    device: Device = training.DEVICE
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
    precision: training.Precision = training.PRECISION
    compile: Literal["auto", "on", "off"] = setting(
        "auto",
        help="torch.compile; auto only when the run is long enough to repay it.",
        group="Device",
        level="advanced",
    )

    @property
    def facts(self) -> FamilyFacts:
        """Architecture and objective of the family."""
        return FAMILIES[self.family]

    @property
    def share_corrupted(self) -> float:
        """Share of tokens hidden from the model, filled in."""
        default = 0.3 if self.family == "bart" else 0.15
        return self.corrupted_share or default

    @property
    def mean_span_tokens(self) -> float:
        """Mean length of a hidden span, filled in."""
        return self.mean_span or 3.0

    @property
    def num_kv_heads(self) -> int:
        """Key-value heads, filled in."""
        return self.kv_heads or self.heads

    @property
    def feed_forward_width(self) -> int:
        """Feed-forward width, filled in."""
        if self.feed_forward is not None:
            return self.feed_forward
        if self.family not in GATED:
            return 4 * self.width
        thirds = 4.5 if self.family == "modernbert" else 8
        return -(-int(thirds * self.width / 3) // 32) * 32

    @property
    def tokens_per_step(self) -> int:
        """Tokens one optimizer step sees, all devices together."""
        return self.batch_size * self.accumulation * self.context * self.num_devices

    @model_validator(mode="after")
    def settings_fit_together(self) -> Self:
        """Refuse what cannot be built, and settings that would be ignored."""
        self._refuse_ignored()
        if self.width % self.heads:
            raise ValueError(
                f"width {self.width} is not a multiple of heads {self.heads}"
            )
        if self.family in ROTARY and (self.width // self.heads) % 2:
            raise ValueError(
                f"width / heads is {self.width // self.heads}; the rotary positions "
                f"of {self.family} need an even number"
            )
        if self.kv_heads is not None and self.heads % self.kv_heads:
            raise ValueError(
                f"heads {self.heads} is not a multiple of kv_heads {self.kv_heads}"
            )
        if self.experts_per_token > self.experts:
            raise ValueError(
                f"experts_per_token {self.experts_per_token} is more than "
                f"experts {self.experts}"
            )
        if self.warmup_steps >= self.max_steps and self.max_steps > 1:
            raise ValueError(
                f"warmup_steps {self.warmup_steps} must be below "
                f"max_steps {self.max_steps}"
            )
        if self.min_learning_rate > self.learning_rate:
            raise ValueError("min_learning_rate is above learning_rate")
        hidden = self.share_corrupted
        if self.family in ENCODER_DECODERS and (
            hidden / self.mean_span_tokens > 1 - hidden
        ):
            raise ValueError(
                f"corrupted_share {hidden} in spans of {self.mean_span_tokens} tokens "
                "leaves too few others to part the spans"
            )
        return self

    def _refuse_ignored(self) -> None:
        """Refuse settings that another family, or the base model, has decided."""
        for name, field in type(self).model_fields.items():
            extra = field.json_schema_extra
            families = extra.get("families") if isinstance(extra, dict) else None
            is_set = getattr(self, name) != field.get_default()
            if isinstance(families, list) and self.family not in families and is_set:
                known = ", ".join(map(str, families))
                raise ValueError(f"{name} applies to {known}; not to {self.family}")
            if self.base_model and name in FROM_THE_BASE_MODEL and is_set:
                raise ValueError(f"{name} comes from the base model; leave it out")
        if not self.base_model and not self.tokenizer:
            raise ValueError("tokenizer is missing: random weights need one")
