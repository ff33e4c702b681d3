"""Votes: counted once, taken back as an event, refused with a reason."""

from datetime import timedelta

import pytest
from django.utils import timezone
from trivium.campaigns import handing_out, making, voting
from trivium.campaigns.errors import (
    IncompleteError,
    LabelingError,
    NothingToUndoError,
    TaskGoneError,
)
from trivium.campaigns.models import Assignment, Flag, Guideline, Item
from trivium.campaigns.questions import Details, Questions
from trivium.comparisons.models import Vote
from trivium.comparisons.services import VoteConflictError


def first(campaign, person):
    return handing_out.tasks_for(campaign, person)[0]


def vote(task, choice="a", **details):
    return voting.cast_vote(
        labeler=task.labeler,
        key=task.key,
        choice=choice,
        details=Details(**details),
        ms_active=2_500,
    )


def expire(task):
    past = timezone.now() - timedelta(seconds=1)
    Assignment.objects.filter(pk=task.pk).update(expires=past)


def test_a_vote_keeps_what_was_shown_and_said(make_campaign, lara):
    questions = Questions(axes="optional", acceptable="optional", note="optional")
    campaign = make_campaign(3, questions=questions, guidelines="Prefer what helps.")
    task = first(campaign, lara)
    vote(task, "b", strength=2, axes={"honest": "a"}, acceptable_a=False, note=" x ")
    kept = Vote.objects.get()
    assert (kept.choice, kept.strength, kept.guideline) == ("b", 2, 1)
    assert (kept.shown_left, kept.ms_active, kept.round) == (task.shown_left, 2_500, 0)
    assert kept.details == {
        "axes": {"honest": "a"},
        "acceptable_a": False,
        "acceptable_b": None,
        "reasons": [],
        "note": "x",
    }
    item = Item.objects.get(pk=task.item_id)
    assert (item.num_votes, item.num_b, item.is_open) == (1, 1, False)


def test_what_was_not_asked_is_not_kept(make_campaign, lara):
    campaign = make_campaign(2)
    vote(first(campaign, lara), "tie", strength=3, axes={"honest": "a"}, note="hm")
    kept = Vote.objects.get()
    assert kept.strength is None
    assert (kept.details["axes"], kept.details["note"]) == ({}, "")


def test_a_vote_names_the_guidelines_it_was_cast_under(make_campaign, lara, bob):
    campaign = make_campaign(3, guidelines="One.")
    vote(first(campaign, lara))
    making.write_guidelines(campaign, author=bob, text="Two.")
    making.write_guidelines(campaign, author=bob, text="Two.")
    vote(first(campaign, lara))
    assert list(Vote.objects.order_by("pk").values_list("guideline", flat=True)) == [
        1,
        2,
    ]
    assert Guideline.objects.count() == 2


def test_a_vote_sent_again_is_counted_once(make_campaign, lara):
    task = first(make_campaign(2), lara)
    assert vote(task).pk == vote(task).pk
    assert Item.objects.get(pk=task.item_id).num_votes == 1


def test_the_same_key_with_another_choice_is_refused(make_campaign, lara):
    task = first(make_campaign(2), lara)
    vote(task)
    with pytest.raises(VoteConflictError):
        vote(task, "b")
    assert Vote.objects.get().choice == "a"


def test_a_vote_of_another_person_with_ones_key_is_refused(make_campaign, lara, bob):
    task = first(make_campaign(2), lara)
    task.labeler = bob
    with pytest.raises(TaskGoneError):
        vote(task)


def test_required_questions_must_be_answered(make_campaign, lara):
    questions = Questions(axes="required", strength="required", reasons="required")
    task = first(make_campaign(2, questions=questions), lara)
    with pytest.raises(IncompleteError, match="helpful, harmless, honest, how much"):
        vote(task)
    axes = dict.fromkeys(("helpful", "harmless", "honest"), "tie")
    vote(task, axes=axes, strength=1, reasons=("Clearer", "Not a tag"))
    assert Vote.objects.get().details["reasons"] == ["Clearer"]


def late(make_campaign, lara, bob):
    """Lara's lease runs out, and Bob votes in her place."""
    campaign = make_campaign(1)
    task = first(campaign, lara)
    expire(task)
    vote(first(campaign, bob))
    return task


def test_a_late_vote_on_a_full_comparison_is_refused(make_campaign, lara, bob):
    task = late(make_campaign, lara, bob)
    with pytest.raises(TaskGoneError, match="others got it"):
        vote(task)
    assert Item.objects.get().num_votes == 1


def test_without_the_check_under_the_lock_it_would_be_one_too_many(
    make_campaign, lara, bob, monkeypatch
):
    task = late(make_campaign, lara, bob)
    monkeypatch.setattr(voting, "has_place", lambda *_: True)
    vote(task)
    assert Item.objects.get().num_votes == 2 > Item.objects.get().wanted


def test_a_late_vote_counts_where_the_place_is_free(make_campaign, lara):
    task = first(make_campaign(1), lara)
    expire(task)
    vote(task)
    assert Item.objects.get().num_votes == 1


def test_a_closed_campaign_takes_no_votes_and_gives_none_back(make_campaign, lara):
    campaign = make_campaign(3)
    vote(first(campaign, lara))
    task = first(campaign, lara)
    making.close_campaign(campaign)
    with pytest.raises(TaskGoneError, match="closed"):
        vote(task)
    with pytest.raises(NothingToUndoError, match="closed"):
        voting.undo(campaign=campaign, labeler=lara)


def test_a_paused_campaign_still_takes_what_is_out(make_campaign, lara):
    campaign = make_campaign(3)
    task = first(campaign, lara)
    making.pause_campaign(campaign)
    vote(task)
    assert Vote.objects.count() == 1


def test_undo_takes_back_the_last_and_fills_the_task_in(make_campaign, lara):
    campaign = make_campaign(3)
    task = first(campaign, lara)
    vote(task, "b", strength=3)
    again = voting.undo(campaign=campaign, labeler=lara)
    assert (again.pk, again.state) == (task.pk, Assignment.State.OUT)
    assert again.key != task.key
    assert (again.draft["choice"], again.draft["strength"]) == ("b", 3)
    item = Item.objects.get(pk=task.item_id)
    assert (item.num_votes, item.num_b, item.is_open) == (0, 0, True)
    assert Vote.objects.get().undone is not None


def test_a_vote_taken_back_and_its_request_repeated_stays_taken_back(
    make_campaign, lara
):
    campaign = make_campaign(3)
    task = first(campaign, lara)
    vote(task)
    voting.undo(campaign=campaign, labeler=lara)
    assert vote(task).undone is not None
    assert Item.objects.get(pk=task.item_id).num_votes == 0


def test_another_vote_after_undo_is_a_new_one(make_campaign, lara):
    campaign = make_campaign(3)
    vote(first(campaign, lara), "a")
    vote(voting.undo(campaign=campaign, labeler=lara), "b")
    kept = [(one.choice, one.undone is None) for one in Vote.objects.order_by("pk")]
    assert kept == [("a", False), ("b", True)]


def test_only_the_last_twenty_can_be_taken_back(make_campaign, lara):
    campaign = make_campaign(23)
    tasks = []
    for _ in range(22):
        tasks.append(first(campaign, lara))
        vote(tasks[-1])
    with pytest.raises(NothingToUndoError, match="last 20"):
        voting.undo(campaign=campaign, labeler=lara, key=tasks[1].key)
    voting.undo(campaign=campaign, labeler=lara, key=tasks[2].key)
    assert Vote.objects.exclude(undone=None).count() == 1


def test_there_is_nothing_to_undo_for_who_has_not_voted(make_campaign, lara, bob):
    campaign = make_campaign(3)
    vote(first(campaign, bob))
    with pytest.raises(NothingToUndoError):
        voting.undo(campaign=campaign, labeler=lara)


def test_a_skipped_task_goes_to_others_and_can_come_back(make_campaign, lara, bob):
    campaign = make_campaign(1)
    task = first(campaign, lara)
    voting.skip(labeler=lara, key=task.key, reason="I cannot tell")
    voting.skip(labeler=lara, key=task.key, reason="again")
    assert Assignment.objects.get(pk=task.pk).skip_reason == "I cannot tell"
    assert handing_out.tasks_for(campaign, lara) == []
    theirs = first(campaign, bob)
    with pytest.raises(NothingToUndoError, match="Others"):
        voting.undo(campaign=campaign, labeler=lara)
    expire(theirs)
    assert voting.undo(campaign=campaign, labeler=lara).state == "out"


def test_a_draft_is_kept_with_the_task(make_campaign, lara):
    task = first(make_campaign(2), lara)
    draft = {"choice": "tie", "strength": None, "note": "half a thought"}
    voting.save_draft(labeler=lara, key=task.key, draft=draft)
    kept = Assignment.objects.get(pk=task.pk)
    assert (kept.draft["choice"], kept.draft["note"]) == ("tie", "half a thought")
    assert kept.expires > task.expires


@pytest.mark.parametrize("draft", [{"choice": "c"}, {"strength": 9}, {"x": 1}])
def test_what_is_no_draft_is_refused(make_campaign, lara, draft):
    task = first(make_campaign(2), lara)
    with pytest.raises(LabelingError):
        voting.save_draft(labeler=lara, key=task.key, draft=draft)


def test_a_flag_waits_for_somebody_and_is_not_doubled(make_campaign, lara):
    task = first(make_campaign(2), lara)
    for _ in range(2):
        voting.flag(labeler=lara, key=task.key, reason="broken")
    assert Flag.objects.get().item_id == task.item_id
    vote(task)
