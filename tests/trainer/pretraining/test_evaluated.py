"""An evaluation reads text as the training did that reported a loss on it."""

import pytest
from asking_lab import local_source
from pretraining_lab import Lab
from runspec import EvaluateSpec
from runspec.layout import OUTPUT
from stage_lab import result_of
from trainer.evaluating import run_evaluate


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_models_loss_is_the_one_its_training_ended_with(lab: Lab, family: str):
    few = {"max_steps": 10, "sample_every": 0, "learning_rate": 5e-3}
    trained = lab.run(lab.spec(family=family, **few))
    spec = EvaluateSpec(
        models=(local_source(trained / OUTPUT),), datasets=(str(lab.dataset),)
    )
    context = lab.context("evaluated")
    run_evaluate(spec, context=context)
    context.report.close()
    [loss, bits] = result_of(lab.root / "evaluated")["measures"]
    wanted = result_of(trained)["validation_loss"]
    assert (loss["name"], bits["name"]) == ("loss", "bits_per_byte")
    assert loss["estimate"]["value"] == pytest.approx(wanted, rel=1e-5)
    assert loss["estimate"]["low"] < wanted < loss["estimate"]["high"]
