"""Steps are started, held, tried again and edited."""

import pytest
from pipelines_lab import (
    THREE,
    fail,
    finish,
    make_model,
    make_version,
    states,
    step_of,
    words,
)
from trivium.models.models import LanguageModel
from trivium.pipelines import services
from trivium.pipelines.models import Pipeline
from trivium.runs import kinds
from trivium.runs.errors import IllegalTransitionError, SubmitError
from trivium.runs.models import Run
from trivium.runs.sweeping import sweep

pytestmark = pytest.mark.django_db


def test_steps_that_follow_from_each_other_are_queued_at_once(make):
    pipeline = make()
    assert words(pipeline) == {
        "tokenizer": "queued",
        "base": "waiting",
        "instruct": "waiting",
        "aligned": "waiting",
    }
    base = step_of(pipeline, "base")
    assert base.run.spec["width"] == 32
    assert base.run.depends_on.filter(pk=step_of(pipeline, "tokenizer").run.pk).exists()
    aligned = step_of(pipeline, "aligned")
    assert aligned.run.depends_on.filter(pk=step_of(pipeline, "instruct").run.pk)
    for name in ("tokenizer", "base", "instruct", "aligned"):
        run = step_of(pipeline, name).run
        finish(run)
        sweep()
        assert words(pipeline)[name] == "succeeded"
    assert set(words(pipeline).values()) == {"succeeded"}
    assert LanguageModel.objects.get(run=aligned.run).stage == "aligned"


def test_nothing_is_left_of_a_pipeline_one_step_of_which_is_refused(make):
    with pytest.raises(SubmitError, match="step base: heads") as refused:
        make(THREE.replace("width: 32", "width: 30\n    heads: x"))
    assert refused.value.field == "steps.base.heads"
    with pytest.raises(SubmitError, match="this project has no dataset 'Nothing'"):
        make(THREE.replace("[Asked]", "[Nothing]"))
    assert not Pipeline.objects.exists()
    assert not Run.objects.exists()
    assert not LanguageModel.objects.exists()


def test_a_failed_step_holds_what_follows_until_it_is_tried_again(make, bob):
    pipeline = make()
    finish(step_of(pipeline, "tokenizer").run)
    fail(step_of(pipeline, "base").run)
    sweep()
    sweep()
    assert words(pipeline) == {
        "tokenizer": "succeeded",
        "base": "failed",
        "instruct": "waiting",
        "aligned": "waiting",
    }
    assert (
        states(pipeline)["instruct"].reason
        == "waits for step base, which failed: The loss is not finite"
    )
    old = step_of(pipeline, "base").run
    waiting = step_of(pipeline, "instruct").run
    services.retry_step(step_of(pipeline, "base"), actor=bob)
    new = step_of(pipeline, "base").run
    assert new.pk != old.pk
    assert new.spec == old.spec
    assert step_of(pipeline, "instruct").run == waiting
    assert not waiting.depends_on.filter(pk=old.pk).exists()
    assert waiting.depends_on.filter(pk=new.pk).exists()
    finish(new)
    sweep()
    finish(waiting)
    assert words(pipeline)["instruct"] == "succeeded"


def test_a_run_tried_again_on_its_own_page_is_still_the_step(make, bob):
    pipeline = make()
    finish(step_of(pipeline, "tokenizer").run)
    fail(step_of(pipeline, "base").run)
    old = step_of(pipeline, "base").run
    new = kinds.retry_run(run=old, actor=bob, changes={"learning_rate": 0.002})
    step = step_of(pipeline, "base")
    assert step.run == new
    assert step.settings["learning_rate"] == 0.002
    assert step.settings["tokenizer"] == {"from": "tokenizer"}
    finish(new)
    sweep()
    finish(step_of(pipeline, "instruct").run)


def test_only_a_step_that_failed_can_be_tried_again(make, bob):
    pipeline = make()
    with pytest.raises(IllegalTransitionError, match="step tokenizer is queued"):
        services.retry_step(step_of(pipeline, "tokenizer"), actor=bob)


def test_a_failed_step_is_edited_and_goes_on(make, bob):
    pipeline = make()
    finish(step_of(pipeline, "tokenizer").run)
    fail(step_of(pipeline, "base").run)
    services.edit_step(
        step_of(pipeline, "base"), actor=bob, changes={"width": None, "layers": 2}
    )
    step = step_of(pipeline, "base")
    assert step.run.spec["layers"] == 2
    assert step.run.spec["width"] == 128, "a setting that is none is the default again"
    assert step.settings == {
        "dataset": step.settings["dataset"],
        "tokenizer": {"from": "tokenizer"},
        "layers": 2,
    }
    finish(step.run)
    sweep()
    finish(step_of(pipeline, "instruct").run)


def test_a_step_that_is_held_is_edited_and_waits_on(make, bob):
    pipeline = make()
    finish(step_of(pipeline, "tokenizer").run)
    fail(step_of(pipeline, "base").run)
    services.edit_step(
        step_of(pipeline, "instruct"), actor=bob, changes={"learning_rate": 0.001}
    )
    assert words(pipeline)["instruct"] == "waiting"
    assert "which failed" in states(pipeline)["instruct"].reason
    sweep()
    assert words(pipeline)["instruct"] == "waiting"
    services.retry_step(step_of(pipeline, "base"), actor=bob)
    sweep()
    finish(step_of(pipeline, "base").run)
    sweep()
    instruct = step_of(pipeline, "instruct").run
    assert instruct.spec["learning_rate"] == 0.001
    finish(instruct)
    sweep()
    finish(step_of(pipeline, "aligned").run)
    assert set(words(pipeline).values()) == {"succeeded"}


def test_what_is_at_work_or_done_cannot_be_edited(make, bob):
    pipeline = make()
    finish(step_of(pipeline, "tokenizer").run)
    with pytest.raises(IllegalTransitionError, match="step tokenizer is succeeded"):
        services.edit_step(
            step_of(pipeline, "tokenizer"), actor=bob, changes={"min_frequency": 3}
        )


def test_a_wrong_edit_changes_nothing(make, bob):
    pipeline = make()
    before = step_of(pipeline, "base")
    for changes, said in (
        (
            {"widht": 3},
            "step base: widht is no setting of pretrain; did you mean width?",
        ),
        ({"tokenizer": {"from": "aligned"}}, "step aligned makes a model"),
        (
            {"base_model": {"from": "aligned"}, "tokenizer": None, "width": None},
            "comes after it",
        ),
        ({"dataset": "Preferred"}, "holds preferences"),
    ):
        with pytest.raises(SubmitError, match=said):
            services.edit_step(step_of(pipeline, "base"), actor=bob, changes=changes)
    after = step_of(pipeline, "base")
    assert (after.settings, after.run) == (before.settings, before.run)
    assert after.run.state == Run.State.WAITING


def test_a_cancelled_pipeline_starts_nothing_more(make, bob):
    pipeline = make()
    finish(step_of(pipeline, "tokenizer").run)
    assert services.cancel_pipeline(pipeline, actor=bob) == 3
    sweep()
    assert words(pipeline) == {
        "tokenizer": "succeeded",
        "base": "cancelled",
        "instruct": "cancelled",
        "aligned": "cancelled",
    }
    with pytest.raises(IllegalTransitionError):
        services.cancel_pipeline(pipeline, actor=bob)
    with pytest.raises(SubmitError, match="waits for step base, which was cancelled"):
        services.retry_step(step_of(pipeline, "instruct"), actor=bob)
    services.retry_step(step_of(pipeline, "base"), actor=bob)
    services.retry_step(step_of(pipeline, "instruct"), actor=bob)
    finish(step_of(pipeline, "base").run)
    sweep()
    finish(step_of(pipeline, "instruct").run)


def test_steps_wait_for_what_they_need_without_taking_anything(make):
    pipeline = make(
        f"{THREE}  - name: second\n    kind: tokenizer\n    dataset: Text\n"
        "    needs: [base]\n"
    )
    second = step_of(pipeline, "second").run
    assert second.state == Run.State.WAITING
    assert list(second.depends_on.all()) == [step_of(pipeline, "base").run]


def test_versions_of_datasets_are_named(make, project):
    make_version(project, "Text", "text")
    pipeline = make(THREE.replace("dataset: Text\n    tok", "dataset: Text@1\n    tok"))
    base, tokenizer = step_of(pipeline, "base"), step_of(pipeline, "tokenizer")
    assert base.settings["dataset"] != tokenizer.settings["dataset"]


def test_objects_of_other_projects_are_not_there(make, project, mallory):
    other = mallory.memberships.get().project
    version = make_version(other, "Theirs", "text")
    make_model(other, "Theirs")
    for theirs in ("Theirs", str(version.pk)):
        with pytest.raises(SubmitError, match="this project has no dataset"):
            make(THREE.replace("dataset: Text", f"dataset: {theirs}"))
