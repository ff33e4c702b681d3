"""The stage learns, resumes to the bit, and leaves a model anybody can load."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from runspec import TokenizerSpec
from runspec import events as spoken
from runspec.layout import EXIT_STOPPED, OUTPUT, spec_file
from runspec.manifest import read_manifest
from stage_lab import context_for, curve, read_events, result_of
from trainer.errors import BadInputError, NotFiniteError
from trainer.pretrain import run_pretrain
from trainer.pretrain_parts import pays_to_compile
from trainer.token_cache import open_corpus
from trainer.tokenizer import load_tokenizer, run_tokenizer

CURVES = ["train/loss", "validation/loss", "train/gradient_norm"]


def test_it_learns(lab):
    folder = lab.run(lab.spec(max_steps=150, learning_rate=5e-3))
    facts = result_of(folder)
    assert facts["initial_validation_loss"] > 2.5
    assert facts["validation_loss"] < 0.6 * facts["initial_validation_loss"]


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_it_overfits_a_sentence(lab, dataset_of, family):
    dataset = dataset_of(train=["she sings and he is heard around"] * 20)
    spec = lab.spec(
        dataset=str(dataset),
        family=family,
        max_steps=120,
        learning_rate=1e-2,
        sample_prompts=("she sings",),
        sample_tokens=8,
    )
    folder = lab.run(spec)
    samples = [e for e in read_events(folder) if isinstance(e, spoken.Sample)]
    assert samples[-1].text.startswith(" and he")


@pytest.mark.parametrize("changes", [{}, {"family": "gpt2", "dropout": 0.2}])
@pytest.mark.parametrize("stop_at", [7, 20, 33])
def test_a_resumed_run_is_the_same_to_the_bit(lab, changes, stop_at):
    spec = lab.spec(accumulation=2, **changes)
    whole = lab.run(spec, "whole")
    parted = lab.run(spec, "parted", stop_at=stop_at)
    [*_, newest] = sorted(
        (parted / "checkpoints").iterdir(), key=lambda path: int(path.name[5:])
    )
    step = read_manifest(newest, verify_hashes=True)[0].step
    assert stop_at <= step < spec.max_steps
    lab.run(spec, "parted", fence=2, resume=newest)
    for name in CURVES:
        assert curve(parted, name, 1, 2) == curve(whole, name), name
    assert len(curve(whole, "train/loss")) == spec.max_steps
    for left in ("validation_loss", "initial_validation_loss"):
        assert result_of(parted, 2)[left] == result_of(whole)[left]


def test_samples_do_not_disturb_training(lab):
    often = lab.run(lab.spec(sample_every=5), "often")
    never = lab.run(lab.spec(sample_every=0), "never")
    assert curve(often, "train/loss") == curve(never, "train/loss")


def test_accumulation_gives_the_gradients_of_one_large_batch(lab):
    one = lab.run(lab.spec(batch_size=8, max_steps=5, warmup_steps=1), "one")
    two = lab.run(
        lab.spec(batch_size=4, accumulation=2, max_steps=5, warmup_steps=1), "two"
    )
    pairs = zip(
        curve(one, "train/loss").values(),
        curve(two, "train/loss").values(),
        strict=True,
    )
    for left, right in pairs:
        assert float(left) == pytest.approx(float(right), rel=1e-4)


def test_the_output_loads_with_plain_transformers(lab):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = lab.run(lab.spec())
    output = folder / OUTPUT
    model = AutoModelForCausalLM.from_pretrained(output)
    tokenizer = AutoTokenizer.from_pretrained(output)
    ids = tokenizer("12 and 13", return_tensors="pt")
    text = tokenizer.decode(model.generate(**ids, max_new_tokens=3, do_sample=False)[0])
    assert text.startswith("12 and 13")
    assert {path.suffix for path in output.iterdir()} == {
        ".json",
        ".safetensors",
        ".md",
    }
    card = (output / "README.md").read_text()
    dataset = json.loads((lab.dataset / "dataset.json").read_text())
    assert dataset["content_sha256"] in card
    assert f"{result_of(folder)['parameters']:,}" in card


def test_sigterm_saves_and_exits(lab, request):
    spec = lab.spec(max_steps=100_000, checkpoint_every=100_000)
    folder = lab.root / "signal"
    folder.mkdir()
    path = spec_file(folder, 1)
    path.write_text(spec.model_dump_json())
    child = subprocess.Popen(
        [sys.executable, "-m", "trainer", path, f"--folder={folder}"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    request.addfinalizer(child.kill)
    deadline = time.monotonic() + 60
    events = folder / "events-1.jsonl"
    while not events.exists() or '"train/loss"' not in events.read_text():
        assert time.monotonic() < deadline
        assert child.poll() is None
        time.sleep(0.1)
    child.send_signal(signal.SIGTERM)
    assert child.wait(timeout=20) == EXIT_STOPPED
    [saved] = (folder / "checkpoints").iterdir()
    read_manifest(saved, verify_hashes=True)


def test_a_loss_that_stays_nan_ends_the_run(lab, monkeypatch):
    spec = lab.spec(learning_rate=1.0, warmup_steps=0, clip_norm=0.0, max_steps=2000)
    context = context_for(lab.root / "nan")
    from trainer import loop

    real = torch.optim.AdamW.step

    def poisoned(self, *args, **kwargs):
        real(self, *args, **kwargs)
        with torch.no_grad():
            next(iter(self.param_groups[0]["params"])).fill_(math.nan)

    monkeypatch.setattr(torch.optim.AdamW, "step", poisoned)
    with pytest.raises(NotFiniteError) as caught:
        run_pretrain(spec, context=context)
    context.report.close()
    assert f"{loop.MAX_NOT_FINITE} steps in a row" in str(caught.value)
    assert "learning_rate" in caught.value.advice
    assert not (context.folder / "checkpoints").exists()
    assert '"NaN"' in (context.folder / "events-1.jsonl").read_text()


def test_too_little_text_is_refused(lab, dataset_of):
    dataset = dataset_of(train=["too short"])
    with pytest.raises(BadInputError, match="10 tokens"):
        lab.run(lab.spec(dataset=str(dataset)))


def test_no_validation_split_is_said_aloud(lab, dataset_of):
    dataset = dataset_of(train=["a b c d e f g h i j k l m n o p"] * 50)
    folder = lab.run(lab.spec(dataset=str(dataset)))
    warnings = [e for e in read_events(folder) if isinstance(e, spoken.Warning)]
    assert "no validation split" in warnings[0].message
    assert result_of(folder)["validation_loss"] is None


def test_devices_nobody_started_processes_for_are_refused_not_ignored(lab):
    with pytest.raises(BadInputError, match="num_devices is 2, but 1 process"):
        lab.run(lab.spec(num_devices=2))


def test_a_gpu_that_is_not_there_is_refused(lab):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(BadInputError, match="sees no GPU"):
        lab.run(lab.spec(device="cuda"))


def test_the_token_cache_holds_the_documents_and_is_reused(lab):
    spec = lab.spec()
    context = context_for(lab.root / "cached")
    corpus = open_corpus(Path(spec.dataset), Path(spec.tokenizer), context)
    tokenizer = load_tokenizer(Path(spec.tokenizer))
    ids = np.asarray(corpus.validation_ids).tolist()
    documents = json.dumps(ids).count(f" {corpus.end},") + (ids[-1] == corpus.end)
    assert documents == 60
    first = ids[: ids.index(corpus.end)]
    assert tokenizer.decode(first) == "540 and 541 are neighbours.\n"
    [made] = (context.cache / "tokens").iterdir()
    before = made.stat().st_mtime_ns
    open_corpus(Path(spec.dataset), Path(spec.tokenizer), context)
    assert made.stat().st_mtime_ns == before
    assert not list((context.cache / "tokens").glob(".tmp-*"))
    context.report.close()


def test_compiling_is_chosen_only_where_it_pays(lab):
    peaks = {"fp32": 100e9, "bf16": 1e9}
    short, long = lab.spec(compile="auto"), lab.spec(compile="auto", max_steps=10**8)
    assert not pays_to_compile(short, 10**6, peaks)
    assert pays_to_compile(long, 10**6, peaks)
    assert pays_to_compile(lab.spec(compile="on"), 1, peaks)
    assert not pays_to_compile(lab.spec(compile="off", max_steps=10**8), 10**9, peaks)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_tinyshakespeare_reaches_the_published_loss(shared_dir, lab, dataset_of):
    """nanoGPT's README gives 1.88 for this model after 2,000 steps.

    Its weights begin with a spread of 0.02, ours with `initial_std`; with 0.02 this
    stage ends between 1.886 and 1.901 (four runs, all of the validation split).
    """
    text = (shared_dir / "data/pretrain/tinyshakespeare.txt").read_text()
    cut = len(text) * 9 // 10
    dataset = dataset_of(train=[text[:cut]], validation=[text[cut:]])
    context = context_for(lab.root / "characters")
    spec = TokenizerSpec(dataset=str(dataset), algorithm="characters")
    run_tokenizer(spec, context=context)
    context.report.close()
    folder = lab.run(
        lab.spec(
            dataset=str(dataset),
            tokenizer=str(context.folder / OUTPUT),
            family="gpt2",
            layers=4,
            heads=4,
            width=128,
            context=64,
            batch_size=12,
            max_steps=2000,
            learning_rate=1e-3,
            min_learning_rate=1e-4,
            warmup_steps=100,
            beta2=0.99,
            eval_every=500,
            eval_batches=20,
            sample_every=0,
            checkpoint_every=2000,
        )
    )
    loss = result_of(folder)["validation_loss"]
    assert loss <= 1.88, f"{loss:.4f} nats per character"
