"""Alignment by a real worker: killed in the middle, each stage ends as if it were not.

One chain for all stages, since starting a worker is what takes longest.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest
from runspec import DpoSpec, IngestSpec, RewardSpec, RlhfSpec, Spec
from supervisor_lab import Curves, Lab, Node
from trivium import storage
from trivium.datasets.models import DatasetVersion, Upload
from trivium.metrics.queries import curve_names, read_curve
from trivium.models.models import LanguageModel
from trivium.runs import services
from trivium.runs.models import Run

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")
State = Run.State
PATIENCE_S = 240
"""Machines that test several things at once are slow."""
PAIRS = [
    {
        "prompt": f"{n} grows",
        "chosen": f"to {n * 7 % 101}.",
        "rejected": "and the wind turns",
    }
    for n in range(80)
]
COMMON = {
    "max_steps": 60,
    "eval_every": 20,
    "checkpoint_every": 10,
    "learning_rate": 1e-3,
    "precision": "fp32",
}
ONLINE = {
    "batch_size": 2,
    "reward_functions": ("length minimum=1 maximum=3",),
    "max_answer_tokens": 12,
    "eval_rows": 8,
}
# Step 20, of the checkpoint to go on from, is between two on the same answers.
SAME_ANSWERS = (
    {"algorithm": "grpo", "num_iterations": 3},
    {"algorithm": "ppo", "num_iterations": 3, "minibatches": 2},
)


def bring_in(lab: Lab) -> DatasetVersion:
    key, path = storage.new_upload()
    path.write_text("".join(json.dumps(row) + "\n" for row in PAIRS))
    storage.publish(path, key)
    upload = Upload.objects.create(
        project=lab.project,
        created_by=lab.user,
        file_name="pairs.jsonl",
        path=key,
        size_bytes=1,
    )
    spec = IngestSpec(
        source=str(upload.pk),
        file_name="pairs.jsonl",
        dataset_kind="preferences",
        validation_fraction=0.2,
    )
    return DatasetVersion.objects.get(run=lab.submit(spec, "Pairs"))


def model_of(run: Run) -> str:
    return str(LanguageModel.objects.get(run=run).pk)


def curves(run: Run) -> Curves:
    """Return all curves that time has no part in, to the bit."""
    found = {}
    for name in curve_names(run.pk):
        if not name.endswith("tokens_per_s"):
            curve = read_curve(run.pk, name, max_points=1_000_000)
            found[name] = (curve.steps.tolist(), curve.values.tobytes())
    return found


def killed_or_not(lab: Lab, spec: Spec) -> Run:
    """Run it twice, once killed in the middle; fail where that can be seen."""
    whole = lab.wait(lab.submit(spec), State.SUCCEEDED, PATIENCE_S)
    broken = lab.submit(spec)
    is_midway = lambda run: run.checkpoints.filter(step__gte=20).exists()  # noqa: E731
    lab.wait(broken, is_midway, PATIENCE_S)
    lab.trainer(broken).kill()
    lab.wait(broken, State.SUCCEEDED, PATIENCE_S)
    last = broken.attempts.order_by("-fence").first()
    assert last.fence == 2
    assert last.resumed_from >= 20
    assert "SIGKILL" in broken.attempts.get(fence=1).reason
    assert curves(broken) == curves(whole)
    assert broken.result["measured"] == whole.result["measured"]
    assert LanguageModel.objects.get(run=broken).is_ready
    return whole


def start_learning(lab: Lab, start_node: Callable[..., Node]) -> dict[str, Any]:
    """Start a worker; return a base model and pairs, as every stage is told of them."""
    # Nobody here takes over from a host that is only slow; a thread for each run.
    start_node(TRIVIUM_LEASE_S="60", TRIVIUM_CPU_SLOTS="2").wait_until_warm()
    base = lab.pretrain(
        max_steps=30, eval_every=30, checkpoint_every=30, context=96, batch_size=8
    )
    pairs = str(bring_in(lab).pk)
    return {"model": model_of(base), "datasets": (pairs,), "batch_size": 4, **COMMON}


@pytest.mark.timeout(1200)
def test_each_stage_goes_on_after_a_kill_and_a_limit_pauses(lab, start_node, bob):
    learns = start_learning(lab, start_node)
    aligned = killed_or_not(lab, DpoSpec(**learns, epochs=100))
    rater = killed_or_not(lab, RewardSpec(**learns, epochs=100))
    answers = {"model": model_of(aligned), "reward_models": (model_of(rater),)}
    online = RlhfSpec(**learns | ONLINE | answers, votes=learns["datasets"][0])
    killed_or_not(lab, online)

    limited = {"max_kl": 1e-9, "max_steps": 12, "eval_every": 4}
    paused = lab.submit(online.model_copy(update=limited))
    lab.wait(paused, State.PAUSED, PATIENCE_S)
    assert paused.step == 4
    assert paused.reason.startswith("the KL to the reference is ")
    for step in (8, 12):
        services.resume_run(paused, bob)
        lab.wait(paused, lambda run, at=step: run.step >= at, PATIENCE_S)
        target = State.PAUSED if step < 12 else State.SUCCEEDED
        lab.wait(paused, target, PATIENCE_S)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_grpo_and_ppo_go_on_between_steps_on_the_same_answers(lab, start_node):
    learns = start_learning(lab, start_node)
    aligned = lab.submit(DpoSpec(**learns | {"max_steps": 1}))
    for algorithm in SAME_ANSWERS:
        model = {"model": model_of(aligned)}
        killed_or_not(lab, RlhfSpec(**learns | ONLINE | model | algorithm))
