"""What a run would cost, and what speaks against it, before it is queued."""

import math
from typing import NamedTuple

from runspec import DpoSpec, PretrainSpec, RewardSpec, RlhfSpec, Spec, Tuning
from runspec.sizing import ACTIVATION_WIDTHS, Estimate, estimate

from trivium.datasets.models import DatasetVersion
from trivium.models.models import LanguageModel
from trivium.models.shapes import Shape, shape_of
from trivium.projects.models import Project
from trivium.tokenizers.models import Tokenizer
from trivium.workers.models import Device
from trivium.workers.queries import has_live_gpu, live_workers

DEFAULT_VOCABULARY = 4096
MANY_PASSES = 20
CHARACTERS_PER_TOKEN = 4.0
"""Assumed of a tokenizer that is still being trained."""
TRAINED_BYTES = 16
"""For each trained weight: itself, its gradient and two moments of AdamW, in fp32."""
FROZEN_BYTES = {"full": 0.0, "lora": 4.0, "qlora": 0.6}
"""For each weight that is only read; 4-bit weights carry scales."""
MANY_EPOCHS = 10


class Outlook(NamedTuple):
    """What the panel beside a pretraining form shows."""

    estimate: Estimate
    device: Device | None
    memory_share: float | None
    """Of the device's memory; None where no device is there."""
    passes: float | None
    """Times the run reads its dataset."""
    warnings: list[str]
    spec: PretrainSpec


class TuningOutlook(NamedTuple):
    """What the panel beside a fine-tuning form shows."""

    parameters: int
    """0 while the model is not made."""
    trained: int | None
    rows: int | None
    """Rows to learn from; None while a dataset is being prepared."""
    steps: int | None
    memory_bytes: float | None
    device: Device | None
    memory_share: float | None
    warnings: list[str]


def outlook(project: Project, spec: PretrainSpec) -> Outlook:
    """Return the cost of a run on the device at hand, and what speaks against it."""
    device = device_at_hand(spec)
    tokenizer = Tokenizer.objects.filter(
        project=project, pk=as_pk(spec.tokenizer)
    ).first()
    version = DatasetVersion.objects.filter(
        dataset__project=project, pk=as_pk(spec.dataset)
    ).first()
    parent = LanguageModel.objects.filter(
        project=project, pk=as_pk(spec.base_model)
    ).first()
    if parent is not None:
        tokenizer = parent.tokenizer
    made = estimate(
        shaped_like(spec, parent),
        vocabulary_size=vocabulary_of(tokenizer),
        peak_flops=peak_of(device, spec),
    )
    if parent is not None and parent.num_parameters:
        made = resized(made, parent.num_parameters)
    share = share_of(device, made.total_bytes)
    passes = passes_over(version, tokenizer, made.tokens)
    warnings = warnings_of(made, share, passes)
    return Outlook(made, device, share, passes, warnings, spec)


def shaped_like(spec: PretrainSpec, parent: LanguageModel | None) -> PretrainSpec:
    """Return the spec with the shape of the model it goes on from, where known."""
    shape = shape_of(parent) if parent is not None else None
    if shape is None or not shape.heads:
        return spec
    known = {
        "layers": shape.layers,
        "width": shape.width,
        "heads": shape.heads,
        "kv_heads": shape.kv_heads or None
        if spec.family in {"llama", "mixtral"}
        else None,
        "feed_forward": shape.inner or None,
    }
    return spec.model_copy(update=known)


def resized(made: Estimate, parameters: int) -> Estimate:
    """Return an estimate for a model whose parameters are known."""
    factor = parameters / made.parameters
    return made._replace(
        parameters=parameters,
        weights_bytes=round(made.weights_bytes * factor),
        optimizer_bytes=round(made.optimizer_bytes * factor),
        total_bytes=made.activation_bytes
        + round((made.weights_bytes + made.optimizer_bytes) * factor),
        tokens_for_20_per_parameter=20 * parameters,
        flops=made.flops * factor,
        seconds=made.seconds * factor if made.seconds is not None else None,
    )


def tuning_outlook(project: Project, spec: Tuning) -> TuningOutlook | None:
    """Return the cost of fine-tuning a model, as far as it is known yet."""
    model = LanguageModel.objects.filter(project=project, pk=as_pk(spec.model)).first()
    if model is None:
        return None
    versions = DatasetVersion.objects.filter(
        dataset__project=project, pk__in=[as_pk(pk) for pk in spec.datasets]
    )
    rows = rows_of(list(versions))
    shape = shape_of(model)
    trained = trained_parameters(spec, model, shape)
    memory = memory_of(spec, model, shape, trained)
    device = device_at_hand(spec)
    share = share_of(device, memory) if memory is not None else None
    return TuningOutlook(
        parameters=model.num_parameters,
        trained=trained,
        rows=rows,
        steps=steps_of(spec, rows),
        memory_bytes=memory,
        device=device,
        memory_share=share,
        warnings=tuning_warnings(spec, share),
    )


def rows_of(versions: list[DatasetVersion]) -> int | None:
    """Return the training rows of datasets; None while one is being prepared."""
    counts = [
        version.card.get("splits", {}).get("train", {}).get("rows")
        for version in versions
    ]
    known = [count for count in counts if isinstance(count, int)]
    return sum(known) if known and len(known) == len(counts) else None


def steps_of(spec: Tuning, rows: int | None) -> int | None:
    """Return the optimizer steps of so many epochs, or the limit on them."""
    if rows is None or isinstance(spec, RlhfSpec):
        return spec.max_steps
    steps = math.ceil(spec.epochs * rows / (spec.batch_size * spec.accumulation))
    return min(steps, spec.max_steps) if spec.max_steps else max(1, steps)


def trained_parameters(
    spec: Tuning, model: LanguageModel, shape: Shape | None
) -> int | None:
    """Return how many weights are trained: all, or about those LoRA adds."""
    if spec.method == "full":
        return model.num_parameters or None
    if shape is None or spec.lora_modules:
        return None
    return spec.lora_rank * shape.linear_sides


def memory_of(
    spec: Tuning, model: LanguageModel, shape: Shape | None, trained: int | None
) -> float | None:
    """Return about how much memory training takes: weights, optimizer, activations."""
    if shape is None or trained is None or not model.num_parameters:
        return None
    size = 4 if spec.precision == "fp32" else 2
    context = min(spec.context or shape.context or 1024, shape.context or 2**20)
    tokens = spec.batch_size * context
    if isinstance(spec, DpoSpec | RewardSpec):
        tokens *= 2  # both answers
    if isinstance(spec, RlhfSpec):
        # At most: prompts are seldom as long as they may be.
        tokens *= math.ceil(spec.num_generations / spec.accumulation)
    per_layer = ACTIVATION_WIDTHS * shape.width * size // 2
    activations = tokens * (shape.layers * per_layer + 8 * shape.vocabulary)
    frozen = FROZEN_BYTES[spec.method] * model.num_parameters
    if isinstance(spec, DpoSpec) and spec.method == "full":
        # The reference is a second model, in fp32 as all are loaded.
        frozen += 0 if spec.precompute_reference else 4 * model.num_parameters
    if isinstance(spec, RlhfSpec):
        learns_values = spec.algorithm == "ppo"
        if spec.method == "full" and (spec.beta or learns_values):
            frozen += 4 * model.num_parameters
        if learns_values:
            # The value function is as large as the policy, and learns as it does.
            frozen += FROZEN_BYTES[spec.method] * model.num_parameters
            trained, activations = 2 * trained, 2 * activations
    return frozen + TRAINED_BYTES * trained + activations


def tuning_warnings(spec: Tuning, memory_share: float | None) -> list[str]:
    """Return what a person should know before fine-tuning starts."""
    found = []
    if spec.method == "qlora" and not has_live_gpu():
        found.append(
            "QLoRA needs a CUDA device, and no worker there has one. Choose LoRA, or "
            "start a worker with a GPU."
        )
    if memory_share is not None and memory_share > 1:
        found.append(
            "It needs more memory than the device has. Lower the batch size and raise "
            "gradient accumulation, take a shorter longest row, or choose LoRA."
        )
    if spec.max_steps is None and spec.epochs > MANY_EPOCHS:
        found.append(
            f"It reads every example {spec.epochs:g} times; expect it to learn them by "
            "heart. Two or three passes are usual."
        )
    return found


def share_of(device: Device | None, needed: float) -> float | None:
    """Return the share of a device's memory; None where no device is there."""
    if device is None or not device.memory_bytes:
        return None
    return needed / device.memory_bytes


def as_pk(text: str | None) -> int:
    """Return the id a reference holds; 0 where it holds none."""
    is_id = text is not None and text.isascii() and text.isdecimal()
    return int(text) if text and is_id and len(text) < 19 else 0


def vocabulary_of(tokenizer: Tokenizer | None) -> int:
    """Return the size of a vocabulary, or the one asked for while it is learnt."""
    if tokenizer is None:
        return DEFAULT_VOCABULARY
    if tokenizer.vocabulary_size:
        return tokenizer.vocabulary_size
    asked = tokenizer.run.spec.get("vocabulary_size") if tokenizer.run else None
    return asked or DEFAULT_VOCABULARY


def device_at_hand(spec: Spec) -> Device | None:
    """Return the device the run would most likely get: a GPU if it may and can."""
    devices = Device.objects.filter(worker__in=live_workers()).select_related("worker")
    wanted = {"cpu": ["cpu"], "cuda": ["gpu"]}.get(
        getattr(spec, "device", "auto"), ["gpu", "cpu"]
    )
    for kind in wanted:
        device = devices.filter(kind=kind).order_by("-memory_bytes", "pk").first()
        if device is not None:
            return device
    return None


def peak_of(device: Device | None, spec: PretrainSpec) -> float | None:
    """Return the measured FLOP/s of a device in the precision the run would take."""
    if device is None or not device.peak_flops:
        return None
    measured = {
        name: value
        for name, value in device.peak_flops.items()
        if isinstance(value, int | float) and value > 0
    }
    if spec.precision in measured:
        return float(measured[spec.precision])
    return max(measured.values(), default=None)


def passes_over(
    version: DatasetVersion | None, tokenizer: Tokenizer | None, tokens: int
) -> float | None:
    """Return how often a run reads its training rows; None where none are counted."""
    card = version.card if version is not None else {}
    characters = card.get("splits", {}).get("train", {}).get("characters")
    if not characters:
        return None
    report = tokenizer.report if tokenizer is not None else {}
    per_token = report.get("characters_per_token") or CHARACTERS_PER_TOKEN
    return float(tokens / max(1.0, characters / per_token))


def warnings_of(
    made: Estimate, memory_share: float | None, passes: float | None
) -> list[str]:
    """Return what a person should know before the run starts."""
    found = []
    if memory_share is not None and memory_share > 1:
        found.append(
            "It needs more memory than the device has. Lower the batch size and raise "
            "gradient accumulation, or make the model smaller."
        )
    elif memory_share is not None and memory_share > 0.8:
        found.append("It will fill most of the device's memory.")
    if made.tokens < made.tokens_for_20_per_parameter / 4:
        found.append(
            "It sees far fewer than 20 tokens per parameter; a smaller model or more "
            "steps would learn more."
        )
    if passes is not None and passes > MANY_PASSES:
        found.append(
            f"It reads the data about {passes:.0f} times; expect it to learn the text "
            "by heart."
        )
    return found
