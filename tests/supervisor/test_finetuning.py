"""Fine-tuning by a real worker: checked first, killed in the middle, the same curve."""

import pytest
from runspec import SftSpec
from supervisor_lab import ENDING, ENDLESS, QUESTIONS, Lab, bring_in, curves
from trivium.datasets.models import DatasetVersion
from trivium.models.models import LanguageModel
from trivium.runs import services
from trivium.runs.models import Run

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")
State = Run.State


def finetune(lab: Lab, **changes: object) -> Run:
    """Queue a tiny chain, or what is missing of it."""
    model = LanguageModel.objects.filter(stage="base").first()
    if model is None:
        run = lab.pretrain(
            max_steps=30, eval_every=30, checkpoint_every=30, context=96, batch_size=8
        )
        model = LanguageModel.objects.get(run=run)
    rows = DatasetVersion.objects.filter(dataset__kind="instructions").first()
    rows = rows or bring_in(lab, QUESTIONS, "instructions")
    values = {
        "model": str(model.pk),
        "datasets": (str(rows.pk),),
        "batch_size": 4,
        "max_steps": 90,
        "epochs": 10,
        "learning_rate": 1e-3,
        "eval_every": 30,
        "checkpoint_every": 15,
        "answer_rows": 2,
        "sample_tokens": 8,
        "precision": "fp32",
        "chat_template": "custom",
        "custom_template": ENDING,
    }
    return lab.submit(SftSpec(**{**values, **changes}))


def test_a_killed_finetuning_goes_on_to_the_bit(lab, start_node):
    start_node().wait_until_warm()
    whole = finetune(lab)
    check = whole.depends_on.get(kind="preflight")
    assert whole.state == State.WAITING
    lab.wait(whole, State.SUCCEEDED)
    check.refresh_from_db()
    assert check.state == State.SUCCEEDED
    report = check.result["report"]
    assert report["batch"][0]["pieces"][1]["is_trained"]
    assert {item["status"] for item in report["checks"]} <= {"ok", "warning"}

    broken = finetune(lab)
    middle = lambda run: run.checkpoints.filter(step__gte=30).exists()  # noqa: E731
    lab.wait(broken, middle)
    lab.trainer(broken).kill()
    lab.wait(broken, State.SUCCEEDED)
    last = broken.attempts.order_by("-fence").first()
    assert last.fence == 2
    assert last.resumed_from >= 30
    assert curves(broken) == curves(whole)
    model = LanguageModel.objects.get(run=broken)
    assert model.is_ready
    assert model.stage == "instruct"
    assert [parent.stage for parent in model.parents.all()] == ["base"]


def test_a_refused_preflight_fails_the_run_before_it_takes_a_device(lab, start_node):
    start_node()
    run = finetune(lab, custom_template=ENDLESS)
    run = lab.wait_for_end(run)
    assert run.state == State.FAILED
    assert run.error_class == "bad_input"
    assert "would never stop writing" in run.reason
    assert "{{ eos_token }}" in run.advice
    assert run.attempts.count() == 0
    check = run.depends_on.get(kind="preflight")
    (failed,) = [
        item for item in check.result["report"]["checks"] if item["status"] == "failed"
    ]
    assert failed["changes"] == {"chat_template": "chatml", "custom_template": ""}


def test_cancelling_a_waiting_run_cancels_its_preflight(lab):
    run = finetune(lab)
    services.request_cancel(run, lab.user)
    assert run.depends_on.get(kind="preflight").state == State.CANCELLED
