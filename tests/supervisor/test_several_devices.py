"""A run on two devices of a real worker: killed in the middle, it goes on."""

import psutil
import pytest
from supervisor_lab import curves, goes_on_as_if_nothing_happened, in_its_middle
from trivium.runs import services
from trivium.runs.models import Run

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")

State = Run.State


@pytest.fixture
def node(start_node):
    return start_node(TRIVIUM_CPU_SLOTS="2").wait_until_warm()


def ranks_of(run, lab) -> list[psutil.Process]:
    children = lab.trainer(run).children()
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


def test_a_rank_killed_in_the_middle_loses_nothing(lab, node):
    whole = lab.wait(lab.pretrain(num_devices=2), State.SUCCEEDED)
    assert whole.attempts.get().devices == ["cpu:0", "cpu:1"]
    run = lab.wait(lab.pretrain(num_devices=2), in_its_middle)
    ranks = ranks_of(run, lab)
    assert len(ranks) == 2
    ranks[1].kill()
    goes_on_as_if_nothing_happened(lab, run, curves(whole))
    assert run.crashes == 1


def test_a_cancel_frees_both_devices(lab, node):
    run = lab.wait(lab.pretrain(num_devices=2, max_steps=100_000), in_its_middle)
    services.request_cancel(run, lab.user)
    lab.wait(run, State.CANCELLED)
    assert run.checkpoints.filter(step__gt=60).exists()
    lab.wait(lab.pretrain(num_devices=2, max_steps=20), State.SUCCEEDED)
