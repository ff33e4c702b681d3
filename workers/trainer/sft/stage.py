"""The stage itself: train, measure, save, and write the model.

The same spec, seed, device and number of threads give the same curve, resumed or not.
"""

import json
import math
import time
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from runspec import SftSpec
from runspec.layout import CHECKPOINTS
from runspec.manifest import read_manifest
from torch import nn
from transformers import TrainerCallback

from trainer.checkpoint import publish_checkpoint
from trainer.context import Context
from trainer.errors import NotFiniteError, Stopped
from trainer.hardware import peak_memory
from trainer.loop import MAX_NOT_FINITE, NOT_FINITE_ADVICE
from trainer.sft.answers import exact_share, rouge_l, write_answers
from trainer.sft.output import facts_of, write_output
from trainer.sft.parts import (
    Parts,
    build_model,
    build_parts,
    build_trainer,
)
from trainer.sft.questions import further_questions, questions
from trainer.sft.rows import refuse_empty
from trainer.sft.state import MEASURED, NAMES, STATE, Speed, State, score_of
from trainer.sft.trial import longest_batch, take_trial_step

SAY_EVERY_S = 0.5
NUM_SAMPLES = 3


def run_sft(spec: SftSpec, *, context: Context) -> None:
    """Make `output/` a fine-tuned model that plain `from_pretrained` loads.

    Raises:
        BadInputError: the model, a dataset or a setting cannot be worked with.
        NotFiniteError: the loss stayed NaN or infinite.
        Stopped: the run was asked to stop, and a checkpoint was saved.
    """
    parts = build_parts(spec, context)
    try:
        refuse_empty(parts.tally)
        Finetuning(parts, context).run()
    finally:
        parts.close()


class Finetuning(TrainerCallback):
    """One attempt. The trainer calls it back; it speaks, measures and decides."""

    state_class = State

    def __init__(self, parts: Parts, context: Context) -> None:
        self.parts = parts
        self.spec = parts.spec
        self.context = context
        self.state = self.state_class()
        self.model: nn.Module = build_model(parts)
        self.trainer = build_trainer(
            parts,
            self.model,
            context.folder / "trainer",
            save=self.save,
            is_stopped=context.stop.is_set,
            callbacks=[self],
        )
        # What speaks to terminals has nothing to say here.
        for spoken in ("PrinterCallback", "ProgressCallback"):
            for known in list(self.trainer.callback_handler.callbacks):
                if type(known).__name__ == spoken:
                    self.trainer.remove_callback(known)
        self.questions = questions(parts)
        self.trial_peak = 0
        """Bytes a step at the longest batch took, where that was tried here."""
        self._began = self._said = time.monotonic()
        self.speed = Speed()
        self._num_not_finite = 0

    @property
    def step(self) -> int:
        """Optimizer steps taken."""
        return int(self.trainer.state.global_step)

    @property
    def total(self) -> int:
        """Optimizer steps to take, as far as is known."""
        return self.parts.total_steps

    @property
    def is_measured(self) -> bool:
        """Whether there are rows that are not learnt from."""
        return self.parts.validation is not None

    @property
    def shall_end(self) -> bool:
        """Whether the run shall save and stop before it is done."""
        return self.context.stop.is_set()

    def run(self) -> None:
        """Train from the start, or go on; then write the model.

        Raises:
            Stopped: after saving.
        """
        resume = self.context.resume
        self.say_progress("starting")
        if resume is not None:
            read_manifest(resume, verify_hashes=True)
            self.load_state(resume)
        else:
            self.evaluate()
        if self.trainer.args.device.type == "cuda":
            self.try_longest_batch()
        at = read_manifest(resume, verify_hashes=False)[0].step if resume else 0
        try:
            if self.state.is_done or at >= self.total:
                assert resume is not None
                self.restore(resume, at)
            else:
                self.trainer.train(
                    resume_from_checkpoint=str(resume) if resume else None
                )
            if self.shall_end:
                raise Stopped
            if self.state.evaluated_step != self.step:
                self.evaluate()
            self.finish()
        except Stopped:
            if self.step:
                self.save_now()
            raise

    def try_longest_batch(self) -> None:
        """Fail now, and not at step 3,000, where the longest batch does not fit.

        The preflight did so on a CPU; it holds no GPU.
        """
        self.say_progress("trying the longest batch")
        take_trial_step(self.trainer, longest_batch(self.trainer))
        self.model.zero_grad(set_to_none=True)
        self.trial_peak = peak_memory(self.trainer.args.device)

    def load_state(self, checkpoint: Path) -> None:
        """Take over what an earlier attempt knew."""
        stored = json.loads((checkpoint / STATE).read_text())
        known = {item.name for item in fields(self.state_class)}
        self.state = self.state_class(**{k: v for k, v in stored.items() if k in known})
        self.trainer.tokens = self.state.tokens

    def restore(self, checkpoint: Path, step: int) -> None:
        """Load the weights of a checkpoint, where no training follows."""
        read_manifest(checkpoint, verify_hashes=True)
        self.trainer._load_from_checkpoint(str(checkpoint))  # noqa: SLF001
        self.trainer.state.global_step = step

    # What the trainer tells, in the order of a step.

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """Make up for an evaluation that a stop broke off."""
        is_due = self.step > 0 and self.step % self.spec.eval_every == 0
        if is_due and self.state.evaluated_step != self.step:
            self.evaluate()
        self.speed.begin(self.trainer.tokens)

    def on_step_end(self, _args: Any, _state: Any, control: Any, **_: Any) -> None:
        """Decide what follows this step."""
        self.speed.end(self.trainer.tokens)
        step = self.step
        if self.context.stop.is_set():
            control.should_training_stop = True
            control.should_save = True
            return
        is_last = step >= self.total
        control.should_evaluate = is_last or step % self.spec.eval_every == 0
        control.should_save = is_last or step % self.spec.checkpoint_every == 0
        control.should_training_stop = is_last

    def on_log(self, *_: Any, logs: dict[str, float] | None = None, **__: Any) -> None:
        """Report what the libraries log, under the names curves have here."""
        values = self.named(logs or {})
        if values:
            self.context.report.metric(self.step, **values)
        if "loss" in (logs or {}):
            self.check_finite(values)
        if time.monotonic() - self._said > SAY_EVERY_S:
            if speeds := self.speeds():
                self.context.report.metric(self.step, **speeds)
            self.say_progress()

    def named(self, logs: dict[str, float]) -> dict[str, float]:
        """Return what is logged, under the names curves have here."""
        return {NAMES[k]: float(v) for k, v in logs.items() if k in NAMES}

    def speeds(self) -> dict[str, float]:
        """Return tokens per second, as curves of their own."""
        speed = self.speed.tokens_per_s
        return {} if speed is None else {"train/tokens_per_s": speed}

    def on_evaluate(
        self,
        _args: Any,
        _state: Any,
        control: Any,
        metrics: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Measure what the libraries do not, and see whether it is the best so far."""
        given = {
            name.removeprefix("eval_"): float(value)
            for name, value in (metrics or {}).items()
            if name in NAMES
        }
        found = {MEASURED.get(name, name): value for name, value in given.items()}
        found |= self.answer()
        self.state.measured |= found
        self.state.evaluated_step = self.step
        if not self.state.initial:
            self.state.initial = dict(self.state.measured)
        self.judge(found, control)
        self.say_progress()

    def evaluate(self) -> None:
        """Evaluate outside of training's own order, where there is anything to."""
        if self.parts.validation is not None:
            self.trainer.evaluate()
        else:
            self.on_evaluate(None, None, self.trainer.control)

    def judge(self, found: dict[str, float], control: Any) -> None:
        """Keep the best checkpoint, and stop early where nothing gets better."""
        if self.spec.best_metric not in found or self.step == 0:
            return
        score = score_of(self.spec.best_metric, found[self.spec.best_metric])
        if score < self.state.best_score:
            self.state.best_score, self.state.best_step = score, self.step
            self.state.without_better = 0
            control.should_save = True
            return
        self.state.without_better += 1
        if self.spec.early_stopping and (
            self.state.without_better >= self.spec.early_stopping
        ):
            self.state.is_done = True
            control.should_training_stop = True
            control.should_save = True
            self.context.report.warning(
                f"stopped early: {self.state.without_better} evaluations in a row were "
                f"no better than the one at step {self.state.best_step}",
                step=self.step,
            )

    def answer(self) -> dict[str, float]:
        """Let the model answer validation rows; report samples and how right it is."""
        found: dict[str, float] = {}
        if self.questions:
            answers = self.write(self.questions)
            right = [one.right or "" for one in self.questions]
            found["exact_match"] = exact_share(answers, right)
            if self.spec.task == "text-to-text":
                found["rouge_l"] = rouge_l(answers, right)
            for one, text in list(zip(self.questions, answers, strict=True))[
                :NUM_SAMPLES
            ]:
                self.context.report.sample(step=self.step, prompt=one.prompt, text=text)
        for prompt, text in self.own_samples():
            self.context.report.sample(step=self.step, prompt=prompt, text=text)
        values = {f"validation/{name}": value for name, value in found.items()}
        if self.step == 0:
            values |= self.answer_further()
        if values:
            self.context.report.metric(self.step, **values)
        return found

    def own_samples(self) -> list[tuple[str, str]]:
        """Return the spec's own prompts with what the model answers."""
        if not self.spec.sample_prompts or self.spec.task == "classification":
            return []
        rows = [
            {"prompt": prompt, "completion": "", "system": None}
            for prompt in self.spec.sample_prompts
        ]
        asked = self.parts.asked(rows, "instructions")
        return list(zip(self.spec.sample_prompts, self.write(asked), strict=True))

    def answer_further(self) -> dict[str, float]:
        """Answer the further datasets; their shares are curves of two points."""
        found = {}
        for name, asked in further_questions(self.parts).items():
            answers = self.write(asked)
            share = exact_share(answers, [one.right or "" for one in asked])
            found[f"answers/{name}"] = share
            self.state.measured[f"answers/{name}"] = share
        return found

    def write(self, asked: list[Any]) -> list[str]:
        """Write answers, or stop."""
        self.say_progress("answering")
        answers = write_answers(
            self.trainer.model,
            self.parts.tokenizer,
            asked,
            num_tokens=self.spec.sample_tokens,
            ends=self.parts.ends,
            is_stopped=self.context.stop.is_set,
        )
        if len(answers) < len(asked):
            raise Stopped
        return answers

    def check_finite(self, values: dict[str, float]) -> None:
        """Count losses that are not finite.

        Raises:
            NotFiniteError: there were several in a row.
        """
        numbers = [values["train/loss"], values.get("train/gradient_norm", 0.0)]
        is_finite = all(map(math.isfinite, numbers))
        self._num_not_finite = 0 if is_finite else self._num_not_finite + 1
        if self._num_not_finite >= MAX_NOT_FINITE:
            raise NotFiniteError(
                f"the loss was not finite for {MAX_NOT_FINITE} steps in a row, up to "
                f"step {self.step}",
                NOT_FINITE_ADVICE.replace("warmup_steps", "warmup_share"),
            )

    def say_progress(self, phase: str = "training") -> None:
        """Say how far the run is, and how long it still takes."""
        self._said = time.monotonic()
        self.context.report.progress(
            step=self.step,
            total=self.total,
            unit="steps",
            tokens=self.trainer.tokens,
            tokens_per_s=self.speed.tokens_per_s,
            eta_s=self.speed.eta_s(self.total - self.step),
            phase=phase,
        )

    def save(self, write: Any) -> None:
        """Make a verified checkpoint of what the trainer writes; never a broken one."""
        if self._num_not_finite:
            return
        metric = None if self.state.best_step < 0 else self.last_score()

        def write_all(folder: Path) -> None:
            write(folder)
            stored = asdict(self.state) | {
                "seconds": self.state.seconds + time.monotonic() - self._began,
                "tokens": self.trainer.tokens,
            }
            (folder / STATE).write_text(json.dumps(stored))

        saved = publish_checkpoint(
            self.context.folder,
            write_all,
            step=self.step,
            fence=self.context.fence,
            spec_sha256=self.spec.sha256(),
            metric=metric,
        )
        self.context.report.checkpoint(
            step=self.step,
            path=saved.path,
            manifest_sha256=saved.manifest_sha256,
            size_bytes=saved.size_bytes,
            metric=metric,
        )

    def last_score(self) -> float | None:
        """Return the score of this very step, by which retention keeps the best."""
        if self.state.evaluated_step != self.step:
            return None
        value = self.state.measured.get(self.spec.best_metric)
        return None if value is None else score_of(self.spec.best_metric, value)

    def save_now(self) -> None:
        """Save outside of the trainer's own order."""
        self.trainer._save_checkpoint(self.trainer.model, None)  # noqa: SLF001

    def further_facts(self) -> dict[str, Any]:
        """Return what else is known of the weights that are published."""
        return {}

    def finish(self) -> None:
        """Take the weights that are wanted, and write the model."""
        self.say_progress("finishing")
        step = self.step
        if self._num_not_finite:
            raise NotFiniteError(
                f"the loss of the last step, {step}, is not finite", NOT_FINITE_ADVICE
            )
        best = self.state.best_step
        if self.spec.publish == "best" and 0 < best != step:
            folder = self.context.folder / CHECKPOINTS / f"step-{best}"
            self.restore(folder, step)
        if not self.is_measured:
            self.context.report.warning(
                "the datasets have no validation split, so nothing was measured on "
                "rows the model has not seen",
                step=step,
            )
        # Of the weights that are published, which need not be those of the last step.
        if shares := self.answer_further():
            self.context.report.metric(step, **shares)
        further = self.further_facts()
        facts = further | facts_of(
            self.parts,
            self.trainer,
            self.state,
            seconds=self.state.seconds + time.monotonic() - self._began,
            tokens_per_s=self.speed.tokens_per_s,
        )
        if self.trial_peak:
            facts["peak_memory_bytes"] = self.trial_peak
        write_output(self.context.folder, self.trainer.model, self.parts, facts)
        self.context.report.result(**facts)
