"""Whenever a run is interrupted, it goes on as if it had not been."""

import math
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from pretraining_lab import Lab
from runspec import PretrainSpec
from runspec import events as spoken
from runspec.layout import EXIT_OK, EXIT_STOPPED, events_file, spec_file
from stage_lab import context_for, curve, read_events
from trainer import loop, main, pretrain
from trainer.errors import NotFiniteError, Stopped
from trainer.pretrain import run_pretrain

CURVES = ["train/loss", "train/gradient_norm", "train/learning_rate", "validation/loss"]


@pytest.fixture
def signals() -> Iterator[None]:
    """Give pytest its own signal handlers back after a run in its process."""
    kept = {number: signal.getsignal(number) for number in (15, 2)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def start(lab: Lab, folder: Path, spec: PretrainSpec, fence: int, *more: str) -> int:
    folder.mkdir(exist_ok=True)
    path = spec_file(folder, fence)
    path.write_text(spec.model_dump_json())
    cache = f"--cache={lab.root / 'cache'}"
    options = [str(path), f"--folder={folder}", f"--fence={fence}", cache, *more]
    return main.run(options)


def send_sigterm_at(folder: Path, step: int) -> threading.Thread:
    """Send this process SIGTERM once the first attempt has reported `step`."""
    sign = f'"step":{step},"name":"train/loss"'

    def watch() -> None:
        path = events_file(folder, 1)
        while not path.exists() or sign not in path.read_text():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("changes", [{}, {"family": "gpt2", "dropout": 0.1}])
def test_a_run_ended_by_sigterm_resumes_to_the_bit(lab, signals, monkeypatch, changes):
    monkeypatch.setattr(loop, "READ_EVERY_S", 0.02)
    spec = lab.spec(
        max_steps=300, eval_every=50, checkpoint_every=10_000, sample_every=0, **changes
    )
    whole, parted = lab.root / "whole", lab.root / "parted"
    assert start(lab, whole, spec, 1) == EXIT_OK

    watcher = send_sigterm_at(parted, 60)
    assert start(lab, parted, spec, 1) == EXIT_STOPPED
    watcher.join()
    [saved] = (parted / "checkpoints").iterdir()
    assert 60 <= int(saved.name[5:]) < 300
    assert start(lab, parted, spec, 2, f"--resume={saved}") == EXIT_OK

    for name in CURVES:
        assert curve(parted, name, 1, 2) == curve(whole, name), name
    steps = [event.step for event in read_events(parted, 2) if metric_of_loss(event)]
    assert steps[0] == int(saved.name[5:]) + 1


def metric_of_loss(event: spoken.AnyEvent) -> bool:
    return isinstance(event, spoken.Metric) and event.name == "train/loss"


@pytest.mark.parametrize("at", [0, 10, 40])
def test_an_evaluation_broken_off_is_made_up_for(lab, monkeypatch, at):
    """At the start, in between, and after the last step."""
    spec = lab.spec()
    whole = lab.run(spec, "whole")
    folder = lab.root / "parted"
    context = context_for(folder)
    real = pretrain.evaluation_batches
    steps = iter(range(0, spec.max_steps + 1, spec.eval_every))

    def stopping(*args, **kwargs):
        step = next(steps)
        for batch in real(*args, **kwargs):
            yield batch
            if step == at:
                context.stop.set()

    with monkeypatch.context() as patch:
        patch.setattr(pretrain, "evaluation_batches", stopping)
        with pytest.raises(Stopped):
            run_pretrain(spec, context=context)
    context.report.close()
    resume = folder / "checkpoints" / f"step-{at}"
    lab.run(spec, "parted", fence=2, resume=resume)
    for name in CURVES:
        assert curve(folder, name, 1, 2) == curve(whole, name), name


def test_a_stop_is_heard_while_samples_are_written(lab, monkeypatch):
    from transformers import GPT2LMHeadModel, LlamaForCausalLM

    context = context_for(lab.root / "sampled")
    asked_at = []
    for model in (GPT2LMHeadModel, LlamaForCausalLM):
        real = model.forward

        def forward(self, *args, real=real, **kwargs):
            asked_at.append(len(asked_at))
            if len(asked_at) == 3:
                context.stop.set()
            return real(self, *args, **kwargs)

        monkeypatch.setattr(model, "forward", forward)
    with pytest.raises(Stopped):
        run_pretrain(lab.spec(sample_every=1, sample_tokens=20), context=context)
    context.report.close()
    assert len(asked_at) == 3
    assert (context.folder / "checkpoints" / "step-1").is_dir()


def poison(monkeypatch: pytest.MonkeyPatch, *, after: int) -> None:
    """Let the weights become NaN by optimizer step `after`."""
    real = torch.optim.AdamW.step
    count = iter(range(1, 10_000))

    def step(self, *args, **kwargs):
        real(self, *args, **kwargs)
        if next(count) >= after:
            with torch.no_grad():
                self.param_groups[0]["params"][0].fill_(math.nan)

    monkeypatch.setattr(torch.optim.AdamW, "step", step)


def test_weights_that_are_not_numbers_are_never_saved(lab, monkeypatch):
    poison(monkeypatch, after=8)
    context = context_for(lab.root / "nan")
    with pytest.raises(NotFiniteError):
        run_pretrain(lab.spec(checkpoint_every=1, sample_every=0), context=context)
    context.report.close()
    # The loss of step 9 is the first that the poisoned weights give.
    assert not (context.folder / "checkpoints" / "step-9").exists()
    assert (context.folder / "checkpoints" / "step-7").is_dir()


def test_a_run_whose_last_loss_is_not_a_number_fails(lab, monkeypatch):
    poison(monkeypatch, after=39)
    context = context_for(lab.root / "nan")
    with pytest.raises(NotFiniteError, match="last step, 40"):
        run_pretrain(lab.spec(sample_every=0), context=context)
    context.report.close()
    assert not (context.folder / "output").exists()
