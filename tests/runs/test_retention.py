"""Which checkpoints stay, how much disk they take, and deleting one by hand."""

import pytest
from runspec import PretrainSpec, SftSpec
from trivium import storage
from trivium.datasets.services import InUseError
from trivium.runs import attempts, checkpoints, retention
from trivium.runs.claims import Claim
from trivium.runs.models import Checkpoint, Run

pytestmark = pytest.mark.django_db(databases="__all__")
Policy = retention.Policy


@pytest.fixture
def saved(claim):
    """Save checkpoints of the live run; returns the function that does."""

    def save(*steps: int, metric: dict[int, float] | None = None, size: int = 10):
        run = Run.objects.get(pk=claim.run_id)
        for step in steps:
            path = f"checkpoints/step-{step}"
            (storage.run_folder(run.pk) / path).mkdir(parents=True)
            Checkpoint.objects.create(
                run=run,
                step=step,
                fence=1,
                path=path,
                manifest_sha256="0" * 64,
                size_bytes=size,
                metric=(metric or {}).get(step),
            )
        return run

    return save


def steps_left() -> list[int]:
    rows = Checkpoint.objects.order_by("step").values_list("step", flat=True)
    return list(rows)


def retire(claim: Claim, policy: Policy) -> list[int]:
    folder = storage.run_folder(claim.run_id)
    return attempts.retire_checkpoints(claim, policy=policy, folder=folder)


def test_the_newest_and_the_best_stay(claim, saved):
    run = saved(10, 20, 30, 40, metric={10: 3.0, 20: 1.0, 30: 2.0, 40: 2.5})
    assert retire(claim, Policy(newest=1)) == [30, 10]
    assert steps_left() == [20, 40]
    folder = storage.run_folder(run.pk) / "checkpoints"
    assert sorted(path.name for path in folder.iterdir()) == ["step-20", "step-40"]


def test_every_kth_stays_to_the_end(claim, saved):
    saved(*range(10, 100, 10))
    retire(claim, Policy(newest=1, every_steps=30))
    assert steps_left() == [30, 60, 90]


def test_a_pinned_one_stays(claim, saved):
    saved(10, 20, 30)
    Checkpoint.objects.filter(step=10).update(is_pinned=True)
    retire(claim, Policy(newest=1))
    assert steps_left() == [10, 30]


@pytest.mark.parametrize("newest", [0, 1])
def test_the_only_one_always_stays(newest, claim, saved):
    saved(10)
    assert retire(claim, Policy(newest=newest)) == []
    assert steps_left() == [10]


def test_what_another_run_goes_on_from_stays(claim, saved, submit):
    run = saved(10, 20)
    follower = submit()
    Run.objects.filter(pk=follower.pk).update(continues=run)
    assert retention.steps_needed(run.pk) == {20}
    rows = list(run.checkpoints.all())
    kept = retention.choose_kept(rows, Policy(newest=1), needed={10})
    assert kept == {row.pk for row in rows}
    Checkpoint.objects.create(
        run=follower, step=25, fence=1, path="c", manifest_sha256="0"
    )
    assert retention.steps_needed(run.pk) == set()


def test_a_spec_says_what_is_kept():
    spec = PretrainSpec(
        dataset="1",
        tokenizer="1",
        checkpoint_every=50,
        keep_checkpoints=3,
        keep_every=4,
    )
    assert retention.policy_of(spec) == Policy(3, 200, 50)


@pytest.mark.parametrize(
    ("policy", "last_step", "num_pinned", "expected"),
    [
        (Policy(2, 0, 100), 10_000, 0, 4),  # two newest, the best, one being written
        (Policy(2, 0, 100), 10_000, 3, 7),
        (Policy(2, 1000, 100), 10_000, 0, 14),
        (Policy(5, 0, 100), 250, 0, 3),  # no more than are ever saved
        (Policy(2, 0, 100), 0, 0, 4),
    ],
)
def test_the_most_that_is_kept(policy, last_step, num_pinned, expected):
    most = retention.most_kept(policy, last_step=last_step, num_pinned=num_pinned)
    assert most == expected


def test_a_run_that_saves_its_best_saves_at_evaluations_too():
    spec = SftSpec(model="1", datasets=("1",), checkpoint_every=200, eval_every=50)
    assert retention.policy_of(spec) == Policy(2, 0, 50)


def test_no_moment_of_a_run_keeps_more_than_was_foretold():
    policy = Policy(newest=2, every_steps=300, saved_every=100)
    rows: list[Checkpoint] = []
    worst = 0
    for step in range(100, 3001, 100):
        # The best is an early one, so that it never is among the newest.
        metric = 1.0 if step == 100 else 2.0
        rows.append(Checkpoint(pk=step, step=step, metric=metric))
        worst = max(worst, len(rows))
        kept = retention.choose_kept(rows, policy)
        rows = [row for row in rows if row.pk in kept]
    assert worst <= retention.most_kept(policy, last_step=3000, num_pinned=0)


def end(run: Run, state: str) -> Run:
    Run.objects.filter(pk=run.pk).update(state=state, lease_until=None)
    run.refresh_from_db()
    return run


def delete(run: Run, step: int) -> int | None:
    row = Checkpoint.objects.get(step=step)
    return checkpoints.delete_checkpoint(run=run, checkpoint_id=row.pk)


def test_one_is_deleted_by_hand_with_its_files(
    saved, django_capture_on_commit_callbacks
):
    run = saved(10, 20)
    with django_capture_on_commit_callbacks(execute=True):
        assert delete(run, 10) == 10
    assert steps_left() == [20]
    assert not (storage.run_folder(run.pk) / "checkpoints/step-10").exists()


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("running", "if its worker were lost"),
        ("failed", "is the only one of a run that did not finish"),
    ],
)
def test_the_last_one_of_a_run_that_may_go_on_is_not_deleted(state, said, saved):
    run = saved(20)
    run = run if state == "running" else end(run, state)
    with pytest.raises(InUseError, match=said):
        delete(run, 20)
    assert steps_left() == [20]


def test_a_finished_model_needs_no_checkpoint(saved):
    run = end(saved(20), "succeeded")
    assert delete(run, 20) == 20


def test_a_pinned_one_is_not_deleted_by_hand(saved):
    run = saved(10, 20)
    Checkpoint.objects.update(is_pinned=True)
    with pytest.raises(InUseError, match="unpin it first"):
        delete(run, 10)


def test_what_another_run_waits_to_read_is_not_deleted(saved, submit):
    run = end(saved(10, 20), "failed")
    follower = submit()
    Run.objects.filter(pk=follower.pk).update(continues=run)
    with pytest.raises(InUseError, match="another run goes on"):
        delete(run, 20)
    assert delete(run, 10) == 10


def test_one_that_is_gone_is_no_error(saved):
    run = saved(10)
    assert checkpoints.delete_checkpoint(run=run, checkpoint_id=10**6) is None
