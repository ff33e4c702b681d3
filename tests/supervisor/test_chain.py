"""Runs that wait for each other, carried out by a real worker."""

import pytest
from trivium.datasets.models import DatasetVersion
from trivium.runs.models import Run
from trivium.tokenizers.models import Tokenizer

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")


def test_a_tokenizer_waits_for_its_text_and_both_are_made(lab, start_node):
    version = lab.ingest("one fish\ntwo fish\nred fish\nblue fish\n" * 50)
    tokenizer = lab.tokenizer(version)
    assert tokenizer.run.state == Run.State.WAITING
    start_node()
    lab.wait(tokenizer.run, Run.State.SUCCEEDED)
    version = DatasetVersion.objects.get(pk=version.pk)
    tokenizer = Tokenizer.objects.get(pk=tokenizer.pk)
    assert version.is_ready
    assert version.rows == 200
    assert tokenizer.is_ready
    assert tokenizer.run.transitions.count() == 4
    assert not tokenizer.run.devices.exists()


def test_a_text_that_cannot_be_read_fails_with_its_reason(lab, start_node):
    version = lab.ingest(" \n \n")
    start_node()
    run = lab.wait(version.run, Run.State.FAILED)
    assert run.error_class == "bad_input"
    assert run.reason
    # On a machine too busy an attempt may be lost before; none follows the failure.
    outcomes = list(run.attempts.order_by("fence").values_list("outcome", flat=True))
    assert outcomes[-1] == "failed"
    assert set(outcomes[:-1]) <= {"lost"}
