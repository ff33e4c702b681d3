"""The spec of `rlhf` runs: a model answers, is rewarded, and learns from that.

What it has in common with fine-tuning is declared in `runspec.training`; what the
machinery asks of any spec, and this leaves no choice about, stands as class variables.
"""

from typing import ClassVar, Literal, Self

from pydantic import model_validator

from runspec import training
from runspec.base import Device, setting
from runspec.rewards import AnyReward

KINDS = ("prompts", "instructions", "conversations", "preferences")
MAX_WEIGHT = 100
COMPARED = 2
"""Answers that RLOO and GRPO need at least."""
ONLY_OF = {
    "rloo": ("normalize_advantages",),
    "grpo": ("scale_rewards", "loss_type"),
    "ppo": (
        "minibatches",
        "gamma",
        "gae_lambda",
        "value_learning_rate",
        "value_epsilon",
        "missing_end_penalty",
    ),
}
"""Settings that one algorithm alone reads."""
Algorithm = Literal["rloo", "grpo", "ppo"]
"""What `trainer.rlhf.stage.TRAINERS` knows."""


class RlhfSpec(training.AlignmentSpec):
    """Align a model by rewarding what it answers (RLHF)."""

    kind: Literal["rlhf"] = "rlhf"
    task: ClassVar[str] = "rlhf"
    chat_template: ClassVar[training.Template] = "model"
    """A policy answers chats already, by its own template."""
    custom_template: ClassVar[str] = ""
    epochs: ClassVar[float] = 1.0
    early_stopping: ClassVar[int] = 0

    model: str = setting(
        help="The policy: a decoder that answers chats; it is also the reference it is "
        "held to.",
        reference="model",
    )
    datasets: tuple[str, ...] = setting(
        help="Where the prompts come from; several are mixed.",
        reference="dataset",
        kinds=KINDS,
        min_length=1,
        max_length=training.MAX_DATASETS,
    )
    weights: tuple[float, ...] = training.WEIGHTS
    algorithm: Algorithm = setting(
        "rloo",
        help="RLOO compares each answer with the mean of the others to its prompt; "
        "GRPO with that of all, clips by token, and has the KL in its loss; PPO learns "
        "the value of each token beside, as InstructGPT did.",
        group="Algorithm",
    )

    reward_models: tuple[str, ...] = setting(
        (),
        help="Models that rate answers.",
        reference="model",
        kinds=("reward",),
        max_length=4,
        group="Reward",
    )
    reward_weights: tuple[float, ...] = setting(
        (),
        label="Weights of the reward models",
        help="Factor of each in the sum, in the order above; empty is 1 each.",
        max_length=4,
        group="Reward",
        level="advanced",
    )
    reward_functions: tuple[AnyReward, ...] = setting(
        (),
        help="Rules that reward answers, each with its settings: length (minimum, "
        "maximum words), format (form=sentence, one_line, bullets, json or "
        "no_repetition), pattern (pattern, whole), exact (sums, or the dataset's own "
        "answer), tinyworld, custom (function, registered on the workers); and weight, "
        "as in “length minimum=5 maximum=40 weight=0.5”.",
        max_length=8,
        group="Reward",
    )

    num_generations: int = setting(
        4,
        label="Answers per prompt",
        unit="answers",
        help="Each is judged against the others to the same prompt; PPO needs no more "
        "than one.",
        ge=1,
        le=256,
        group="Sampling",
    )
    max_answer_tokens: int = setting(
        128,
        label="Longest answer",
        unit="tokens",
        help="Longer ones are cut.",
        ge=1,
        le=32_768,
        group="Sampling",
    )
    temperature: float = setting(
        1.0,
        help="How freely answers are drawn; 1 is the policy itself.",
        gt=0,
        le=10,
        group="Sampling",
        level="advanced",
    )
    top_p: float = setting(
        1.0,
        label="Top-p",
        help="Draw among the likeliest tokens that make up this probability; 1 all.",
        gt=0,
        le=1,
        group="Sampling",
        level="advanced",
    )
    top_k: int = setting(
        0,
        label="Top-k",
        unit="tokens",
        help="Draw among so many of the likeliest tokens; 0 all.",
        ge=0,
        le=1_000_000,
        group="Sampling",
        level="advanced",
    )
    mask_cut: bool = setting(
        False,
        label="Ignore cut answers",
        help="Learn nothing from answers that were cut at the longest length.",
        group="Sampling",
        level="advanced",
    )

    beta: float = setting(
        0.05,
        label="KL weight",
        help="Beta: how strongly the policy is held to the reference; 0 not at all.",
        ge=0,
        le=100,
        group="Algorithm",
    )
    epsilon: float = setting(
        0.2,
        label="Clipping",
        help="A ratio of new to old likelihood counts up to 1 ± this.",
        gt=0,
        lt=1,
        group="Algorithm",
        level="advanced",
    )
    num_iterations: int = setting(
        1,
        label="Steps per sampling",
        unit="optimizer steps",
        help="How often the same answers are learnt from before new ones are drawn.",
        ge=1,
        le=64,
        group="Algorithm",
        level="advanced",
    )
    normalize_advantages: bool = setting(
        False,
        help="RLOO: bring the advantages of a step to mean 0 and deviation 1.",
        group="Algorithm",
        level="advanced",
    )
    scale_rewards: Literal["group", "batch", "none"] = setting(
        "group",
        help="GRPO: what rewards are divided by, the deviation of their prompt's, of "
        "the step's, or nothing.",
        group="Algorithm",
        level="advanced",
    )
    loss_type: Literal["grpo", "bnpo", "dr_grpo", "dapo"] = setting(
        "dapo",
        label="Loss",
        help="GRPO: how tokens are averaged; grpo by answer, bnpo by batch, dr_grpo by "
        "the longest length, dapo by step.",
        group="Algorithm",
        level="advanced",
    )

    minibatches: int = setting(
        4,
        help="PPO: into how many parts the answers are split each time they are learnt "
        "from, an optimizer step for each.",
        ge=1,
        le=4096,
        group="Algorithm",
        level="advanced",
    )
    gamma: float = setting(
        1.0,
        label="Discount",
        help="PPO: what a reward one token later is worth; 1 as much.",
        gt=0,
        le=1,
        group="Algorithm",
        level="advanced",
    )
    gae_lambda: float = setting(
        0.95,
        label="GAE lambda",
        help="PPO: 0 trusts the learnt values alone, 1 what was really rewarded.",
        ge=0,
        le=1,
        group="Algorithm",
        level="advanced",
    )
    value_learning_rate: float = setting(
        1e-5,
        label="Rate of the values",
        help="PPO: peak rate of the value function.",
        gt=0,
        le=1,
        group="Algorithm",
        level="advanced",
    )
    value_epsilon: float = setting(
        0.2,
        label="Clipping of the values",
        help="PPO: a value counts up to this far from what it was when the answers "
        "were drawn.",
        gt=0,
        le=1_000_000,
        group="Algorithm",
        level="advanced",
    )
    missing_end_penalty: float = setting(
        0.0,
        label="Penalty of cut answers",
        help="PPO: taken off the reward of an answer that did not end by itself.",
        ge=0,
        le=1_000_000,
        group="Algorithm",
        level="advanced",
    )

    method: Literal["full", "lora"] = setting(
        "full",
        help="Train all weights, or small added matrices (LoRA).",
        group="Method",
    )
    lora_rank: int = training.LORA_RANK
    lora_alpha: float = training.LORA_ALPHA
    lora_modules: tuple[str, ...] = training.LORA_MODULES

    max_steps: int = setting(
        500,
        label="Steps",
        unit="optimizer steps",
        help="How long to train.",
        ge=1,
        le=1_000_000,
        group="Training",
    )
    context: int | None = training.CONTEXT
    too_long: Literal["drop", "refuse"] = setting(
        "drop",
        label="Longer prompts",
        help="Those that leave no room for the longest answer: leave them out, or "
        "refuse to start.",
        group="Training",
    )
    batch_size: int = training.batch_size(
        16, unit="prompts", help="Prompts of each step; each is answered several times."
    )
    accumulation: int = setting(
        1,
        label="Gradient accumulation",
        unit="parts",
        help="In how many parts the answers of a step are worked on, to save memory.",
        ge=1,
        le=65_536,
        group="Training",
        level="advanced",
    )
    learning_rate: float = setting(
        1e-6, help="Peak rate; about ten times as much for LoRA.", gt=0, le=1,
        group="Training",
    )  # fmt: skip
    schedule: training.Schedule = training.SCHEDULE
    warmup_share: float = training.WARMUP_SHARE
    weight_decay: float = training.WEIGHT_DECAY
    clip_norm: float = training.CLIP_NORM
    seed: int = training.SEED

    eval_every: int = setting(
        50,
        unit="steps",
        help="How often to answer the held-out prompts, and to look at the limits "
        "below; also at start and end.",
        ge=1,
        group="Watching",
        level="advanced",
    )
    eval_rows: int = setting(
        64,
        unit="prompts",
        help="At most so many held-out prompts each time, spread evenly.",
        ge=1,
        le=10_000,
        group="Watching",
        level="advanced",
    )
    votes: str | None = setting(
        None,
        label="Human votes",
        help="Preferences of people, not learnt from: how often the policy and the "
        "reward model agree with them is measured at every evaluation.",
        reference="dataset",
        kinds=("preferences",),
        group="Watching",
    )
    best_metric: Literal["reward", "votes"] = setting(
        "reward",
        label="Best by",
        help="Which number tells the best checkpoint: the reward of answers to "
        "held-out prompts, or agreement with the votes.",
        group="Watching",
        level="advanced",
    )
    publish: training.Publish = setting(
        "last",
        label="Result",
        help="The model of the last step, or of the best evaluation.",
        group="Watching",
        level="advanced",
    )
    sample_prompts: tuple[str, ...] = setting(
        (),
        help="Answered at every evaluation, so that one can read how answers change; "
        "empty takes the first held-out prompts.",
        max_length=8,
        group="Watching",
        level="advanced",
    )
    checkpoint_every: int = training.checkpoint_every(50)
    keep_checkpoints: int = training.KEEP_CHECKPOINTS
    keep_every: int = training.KEEP_EVERY

    max_kl: float | None = setting(
        None,
        label="Pause above KL",
        unit="nats per token",
        help="Pause when the policy is further from the reference than this, as a mean "
        "since the last evaluation; empty never.",
        gt=0,
        group="Limits",
    )
    min_length: float | None = setting(
        None,
        label="Pause below length",
        unit="tokens",
        help="Pause when answers are shorter in the mean; empty never.",
        gt=0,
        group="Limits",
        level="advanced",
    )
    max_length: float | None = setting(
        None,
        label="Pause above length",
        unit="tokens",
        help="Pause when answers are longer in the mean; empty never.",
        gt=0,
        group="Limits",
        level="advanced",
    )
    min_entropy: float | None = setting(
        None,
        label="Pause below entropy",
        unit="nats per token",
        help="Pause when the policy hardly chooses any more; empty never.",
        gt=0,
        group="Limits",
    )
    max_cut_share: float | None = setting(
        None,
        label="Pause above cut answers",
        help="Pause when a greater share of answers is cut at the longest length; "
        "empty never.",
        gt=0,
        lt=1,
        group="Limits",
    )

    device: Device = training.DEVICE
    precision: training.Precision = training.PRECISION

    @property
    def sample_tokens(self) -> int:
        """Longest answer at an evaluation: the same as in training."""
        return self.max_answer_tokens

    @property
    def rollouts_per_step(self) -> int:
        """Answers of one step."""
        return self.batch_size * self.num_generations

    @model_validator(mode="after")
    def nothing_is_ignored(self) -> Self:
        """Refuse settings that would be ignored, and what does not fit together."""
        training.refuse_weights(self.datasets, self.weights)
        default = training.must_be_default
        if self.method == "full":
            default(self, training.LORA_ONLY, "method is full")
        for algorithm, names in ONLY_OF.items():
            if self.algorithm != algorithm:
                default(self, names, f"only {algorithm.upper()} reads it")
        self._refuse_rewards()
        self._refuse_steps()
        self._refuse_watching()
        return self

    def _refuse_rewards(self) -> None:
        if not self.reward_models and not self.reward_functions:
            raise ValueError(
                "reward_models and reward_functions are both empty: name what rewards"
            )
        if len(set(self.reward_models)) != len(self.reward_models):
            raise ValueError("reward_models names one twice")
        if self.reward_weights and (
            len(self.reward_weights) != len(self.reward_models)
        ):
            raise ValueError(
                f"reward_weights names {len(self.reward_weights)} numbers for "
                f"{len(self.reward_models)} reward models"
            )
        if any(not 0 < abs(weight) <= MAX_WEIGHT for weight in self.reward_weights):
            raise ValueError("reward_weights must be other than 0, within ±100")

    def _refuse_steps(self) -> None:
        if self.algorithm != "ppo" and self.num_generations < COMPARED:
            raise ValueError(
                "num_generations 1: an answer needs another to be compared with; set "
                "at least 2, or algorithm ppo"
            )
        parts = self.minibatches if self.algorithm == "ppo" else 1
        if self.rollouts_per_step % (parts * self.accumulation):
            by = f"minibatches {parts} times " if parts > 1 else ""
            raise ValueError(
                f"{by}accumulation {self.accumulation} does not divide the "
                f"{self.rollouts_per_step} answers of a step"
            )

    def _refuse_watching(self) -> None:
        if self.max_kl is not None and not self.beta:
            raise ValueError("max_kl would be ignored: with beta 0 no KL is measured")
        if self.best_metric == "votes" and self.votes is None:
            raise ValueError("best_metric votes needs a dataset of votes")
        low, high = self.min_length, self.max_length
        if low is not None and high is not None and low > high:
            raise ValueError("min_length is above max_length")
