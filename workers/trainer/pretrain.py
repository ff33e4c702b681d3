"""Stage `pretrain`: a model of any family learns from raw text.

It starts from random weights or goes on from a base model; its family decides what it
is asked (`trainer.objectives`). The same spec, seed, device and number of threads give
the same curve, resumed or not: windows, and what is hidden in them, are drawn by
(seed, step), and a checkpoint holds all else.
"""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from runspec import PretrainSpec
from torch.nn.parallel import DistributedDataParallel

from trainer.architectures import LanguageModel, num_parameters
from trainer.checkpoint import load_checkpoint, random_states, save_checkpoint
from trainer.context import Context
from trainer.errors import BadInputError, NotFiniteError, Stopped
from trainer.hardware import (
    choose_device,
    choose_precision,
    device_name,
    matrix_peaks,
)
from trainer.library_forward import training_forward
from trainer.loop import NOT_FINITE_ADVICE, Batch, Trainer, measure
from trainer.model_folder import save_config, save_model
from trainer.objectives import evaluation_batches, training_batches
from trainer.pretrain_parts import (
    Parts,
    build_model_of,
    build_parts,
    flops_per_token,
    optimizer_of,
    pays_to_compile,
    samples_of,
)
from trainer.schedule import learning_rate

logger = logging.getLogger(__name__)

PROGRESS_EVERY_S = 0.5


def run_pretrain(spec: PretrainSpec, *, context: Context) -> None:
    """Make `output/` a trained model that the `AutoModelFor…` of its kind loads.

    Raises:
        BadInputError: the text is too short, the device is not there, or the base
            model does not fit.
        NotFiniteError: the loss stayed NaN or infinite.
        Stopped: the run was asked to stop, and a checkpoint was saved.
    """
    if context.ranks.size != spec.num_devices:
        raise BadInputError(
            f"num_devices is {spec.num_devices}, but {context.ranks.size} process(es) "
            "train",
            "Start it with --launcher torchrun (one host) or ray (a cluster).",
        )
    run = Pretraining.start(build_parts(spec, context), context)
    try:
        run.train()
        run.finish()
    except Stopped:
        run.save()
        raise


@dataclass
class Pretraining:
    """One attempt: what it works with, and what it has seen so far."""

    parts: Parts
    context: Context
    model: LanguageModel
    trainer: Trainer
    precision: str
    is_compiled: bool
    peak_flops: float
    """Measured matrix-product FLOP/s in the precision of training, of all devices."""
    losses: dict[str, float] = field(default_factory=dict)
    """Validation losses: `initial`, `last` and `best`; and the last `accuracy`."""
    evaluated_step: int = -1
    seconds: float = 0.0
    """Spent in all attempts."""
    _began: float = field(default_factory=time.monotonic)
    _said: float = 0.0
    _saved_step: int = -1

    @property
    def spec(self) -> PretrainSpec:
        """What it shall do, the shape of a base model filled in."""
        return self.parts.spec

    @classmethod
    def start(cls, parts: Parts, context: Context) -> "Pretraining":
        """Build model and optimizer, or restore them from the checkpoint to resume."""
        spec = parts.spec
        device = choose_device(spec.device)
        ranks = context.ranks
        with ranks.first_goes_ahead():
            peaks = matrix_peaks(device, context.cache)
        peaks = ranks.say(peaks)  # hosts may differ, decisions must not
        model = build_model_of(parts, context.report).to(device)
        if not ranks.is_first:
            torch.manual_seed(torch.initial_seed() + ranks.rank)  # dropout of its own
        else:
            save_config(context.folder, model, parts.tokenizer)
        optimizer = optimizer_of(spec, model)
        # How it computes is decided once: a resumed run must not change its numbers.
        state: dict[str, Any] = {
            "step": 0,
            "precision": choose_precision(spec.precision, peaks),
            "is_compiled": pays_to_compile(spec, flops_per_token(spec, model), peaks),
            "losses": {},
            "evaluated_step": -1,
            "seconds": 0.0,
        }
        if context.resume is not None:
            state = load_checkpoint(context.resume, model, optimizer, rank=ranks.rank)
            logger.info("Going on from step %s", state["step"])
        forward: Any = training_forward(model, spec).to(device)
        if state["is_compiled"]:
            forward = torch.compile(forward)
        if ranks.size > 1:
            forward = DistributedDataParallel(
                forward, forward_sync_buffers=False, gradient_as_bucket_view=True
            )
        trainer = Trainer(
            forward=forward,
            model=model,
            optimizer=optimizer,
            device=device,
            clip_norm=spec.clip_norm,
            is_bf16=state["precision"] == "bf16",
            ranks=ranks,
            step=state["step"],
        )
        return cls(
            parts=parts,
            context=context,
            model=model,
            trainer=trainer,
            precision=state["precision"],
            is_compiled=state["is_compiled"],
            peak_flops=peaks[state["precision"]] * ranks.size,
            losses=state["losses"],
            evaluated_step=state["evaluated_step"],
            seconds=state["seconds"],
            _saved_step=state["step"] if context.resume else -1,
        )

    def train(self) -> None:
        """Take the steps that are left; evaluate, sample and save as the spec says."""
        spec, trainer = self.spec, self.trainer
        self.say_progress()
        # Also where a stop broke off the evaluation of the step to go on from.
        if trainer.step % spec.eval_every == 0 and trainer.step < spec.max_steps:
            self.evaluate()
        while trainer.step < spec.max_steps:
            self.stop_if_asked()
            trainer.take_step(
                self.batches(trainer.step + 1),
                learning_rate=learning_rate(spec, trainer.step + 1),
            )
            step = trainer.step
            if trainer.is_due or self.is_pause(step):
                self.report_steps()
            if step % spec.eval_every == 0 and step < spec.max_steps:
                self.evaluate()
            if spec.sample_every and step % spec.sample_every == 0:
                self.sample()
            if step % spec.checkpoint_every == 0 and step < spec.max_steps:
                self.save()

    def stop_if_asked(self) -> None:
        """Raise Stopped on all ranks once any was asked; all must come by here."""
        if any(self.context.ranks.total(self.context.stop.is_set())):
            raise Stopped

    def is_pause(self, step: int) -> bool:
        """Whether something follows this step whose time is not training."""
        every = [self.spec.eval_every, self.spec.checkpoint_every, self.spec.max_steps]
        if self.spec.sample_every:
            every.append(self.spec.sample_every)
        return any(step % number == 0 for number in every)

    def batches(self, step: int) -> list[Batch]:
        """Return what this rank sees in a step, its share of what all of them see."""
        return training_batches(
            self.parts.objective,
            self.parts.corpus.train_ids,
            batch_size=self.spec.batch_size,
            count=self.spec.batch_size * self.spec.accumulation,
            rank=self.context.ranks.rank,
            num_ranks=self.context.ranks.size,
            seed=self.spec.seed,
            step=step,
        )

    def report_steps(self) -> None:
        """Report the points of the steps since the last report, and the progress."""
        for report in self.trainer.read():
            self.context.report.metric(
                report.step,
                **{
                    "train/loss": report.loss,
                    "train/learning_rate": report.learning_rate,
                    "train/gradient_norm": report.gradient_norm,
                },
            )
            self.trainer.check(report)
        if time.monotonic() - self._said > PROGRESS_EVERY_S:
            speed = self.tokens_per_s
            self.context.report.metric(
                self.trainer.step,
                **{
                    "train/tokens_per_s": speed or 0.0,
                    "train/mfu": self.share_of_peak,
                },
            )
            self.say_progress()

    def say_progress(self, phase: str = "training") -> None:
        """Say how far the run is, and how long it still takes."""
        self._said = time.monotonic()
        per_step = self.trainer.seconds_per_step
        left = self.spec.max_steps - self.trainer.step
        self.context.report.progress(
            step=self.trainer.step,
            total=self.spec.max_steps,
            unit="steps",
            tokens=self.trainer.step * self.spec.tokens_per_step,
            tokens_per_s=self.tokens_per_s,
            eta_s=None if per_step is None else left * per_step,
            phase=phase,
        )

    @property
    def tokens_per_s(self) -> float | None:
        """Tokens trained on per second, smoothed."""
        per_step = self.trainer.seconds_per_step
        return None if per_step is None else self.spec.tokens_per_step / per_step

    @property
    def share_of_peak(self) -> float:
        """Products per second (6·N·tokens of a decoder) as a share of the peak."""
        flops = flops_per_token(self.spec, self.model) * (self.tokens_per_s or 0.0)
        return flops / self.peak_flops

    def evaluate(self, *, is_last: bool = False) -> None:
        """Measure the validation loss once a step; the last time over all of it."""
        if self.evaluated_step == self.trainer.step:
            return
        batches = evaluation_batches(
            self.parts.objective,
            self.parts.corpus.validation_ids,
            batch_size=self.spec.batch_size,
            most=None if is_last else self.spec.eval_batches,
        )
        loss, accuracy = measure(self.trainer, self.watched(batches))
        self.evaluated_step = self.trainer.step
        if loss is None:
            return
        self.losses.setdefault("initial", loss)
        self.losses["last"] = loss
        self.losses["best"] = min(loss, self.losses.get("best", loss))
        self.context.report.metric(self.trainer.step, **{"validation/loss": loss})
        if accuracy is not None:
            self.losses["accuracy"] = accuracy
            self.context.report.metric(
                self.trainer.step, **{"validation/accuracy": accuracy}
            )
        self.say_progress()

    def watched(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Pass this rank's share on until asked to stop, and say that all is well."""
        ranks = self.context.ranks
        for number, batch in enumerate(batches):
            if number % ranks.size == 0:
                self.stop_if_asked()
            if number % ranks.size != ranks.rank:
                continue
            if time.monotonic() - self._said > PROGRESS_EVERY_S:
                self.say_progress("evaluating")
            yield batch

    def sample(self) -> None:
        """Let the model write; the same step always writes the same.

        Only the first rank does, and leaves it to the loop to stop: the others wait.
        """
        if not self.context.ranks.is_first:
            return
        written = samples_of(
            self.parts, self.model, step=self.trainer.step, stop=self.context.stop
        )
        for prompt, text in written:
            if self.context.stop.is_set():
                return
            self.context.report.sample(step=self.trainer.step, prompt=prompt, text=text)

    def save(self) -> None:
        """Save a checkpoint of this step, once; never one that is not finite."""
        self.report_steps()
        step = self.trainer.step
        if step == self._saved_step or not self.trainer.is_finite:
            return
        self._saved_step = step
        random = self.context.ranks.collect(random_states())
        if not self.context.ranks.is_first:
            return
        saved = save_checkpoint(
            self.context.folder,
            self.model,
            self.trainer.optimizer,
            step=step,
            fence=self.context.fence,
            spec_sha256=self.parts.spec_sha256,
            state={
                "precision": self.precision,
                "is_compiled": self.is_compiled,
                "losses": self.losses,
                "evaluated_step": self.evaluated_step,
                "seconds": self.seconds + time.monotonic() - self._began,
            },
            random=random,
            metric=self.losses.get("last"),
        )
        self.context.report.checkpoint(
            step=step,
            path=saved.path,
            manifest_sha256=saved.manifest_sha256,
            size_bytes=saved.size_bytes,
            metric=self.losses.get("last"),
        )

    def finish(self) -> None:
        """Evaluate and sample a last time, write the model, and say what came of it."""
        if not self.trainer.is_finite:
            raise NotFiniteError(
                f"the loss of the last step, {self.trainer.step}, is not finite",
                NOT_FINITE_ADVICE,
            )
        self.say_progress("finishing")
        self.evaluate(is_last=True)
        if not len(self.parts.corpus.validation_ids):
            self.context.report.warning(
                "the dataset has no validation split, so there is no validation loss",
                step=self.trainer.step,
            )
        if not (
            self.spec.sample_every and self.spec.max_steps % self.spec.sample_every == 0
        ):
            self.sample()
        self.stop_if_asked()
        self.save()
        if not self.context.ranks.is_first:
            return
        facts = self.facts()
        save_model(
            self.context.folder,
            self.model,
            self.parts.tokenizer,
            self.spec,
            facts=facts,
            lineage=self.parts.corpus.lineage
            | {"spec (sha256)": self.parts.spec_sha256},
        )
        self.context.report.result(**facts)

    def facts(self) -> dict[str, Any]:
        """Return what page, card and registry show of the finished model."""
        return {
            "parameters": num_parameters(self.model),
            "architecture": self.spec.facts.architecture,
            "family": self.spec.family,
            "vocabulary_size": self.parts.tokenizer.vocabulary_size,
            "initial_validation_loss": self.losses.get("initial"),
            "validation_loss": self.losses.get("last"),
            "best_validation_loss": self.losses.get("best"),
            "validation_accuracy": self.losses.get("accuracy"),
            "bytes_per_token": self.parts.corpus.bytes_per_token,
            "tokens": self.spec.max_steps * self.spec.tokens_per_step,
            "seconds": self.seconds + time.monotonic() - self._began,
            "tokens_per_s": self.tokens_per_s,
            "mfu": self.share_of_peak,
            "peak_flops": self.peak_flops,
            "precision": self.precision,
            "compiled": self.is_compiled,
            "device": device_name(self.trainer.device),
            "num_devices": self.context.ranks.size,
        }
