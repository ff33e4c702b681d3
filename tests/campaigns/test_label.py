"""The labeling page, with and without its script."""

import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone
from trivium.campaigns import handing_out, making
from trivium.campaigns.models import Assignment, Campaign, Flag, Item, Labeler
from trivium.campaigns.questions import Questions
from trivium.campaigns.refreshing import tend_campaigns
from trivium.comparisons.models import Vote

SCRIPT = {"HTTP_X_LABEL": "script"}


@pytest.fixture
def label(client, lara):
    """Return a poster to the page of a campaign, as its script."""
    client.force_login(lara)

    def post(campaign, what, *, script=True, **data):
        address = reverse(f"campaigns:{what}", args=["grammar", campaign.pk])
        return client.post(address, data, **(SCRIPT if script else {}))

    return post


def page(client, campaign):
    return client.get(reverse("campaigns:label", args=["grammar", campaign.pk]))


def keys_in(response):
    return re.findall(r'data-task="(\w+)"', response.content.decode())


def test_the_page_shows_one_task_and_holds_the_next(client, lara, make_campaign):
    client.force_login(lara)
    campaign = make_campaign(5, guidelines="Prefer **what helps**.")
    text = page(client, campaign).content.decode()
    assert text.count("data-task=") == 2
    assert len(re.findall(r"data-task=\"\w+\"\s+hidden", text)) == 1
    assert "<strong>what helps</strong>" in text
    assert 'class="rail' not in text


def test_no_name_of_a_model_is_on_the_page(client, lara, make_campaign):
    client.force_login(lara)
    campaign = make_campaign(5)
    for item in Item.objects.select_related("comparison__answer_a"):
        answers = item.comparison.answer_a, item.comparison.answer_b
        for at, answer in enumerate(answers):
            answer.text = f"An answer, number {at}."
            answer.save()
    text = page(client, campaign).content.decode()
    assert "An answer, number 0." in text
    assert not re.search(r"Small|Large", text)


def test_sides_are_those_of_the_task(client, lara, make_campaign):
    client.force_login(lara)
    campaign = make_campaign(1)
    text = page(client, campaign).content.decode()
    task = Assignment.objects.get()
    compared = task.item.comparison
    left = compared.answer_a if task.shown_left == "a" else compared.answer_b
    assert text.index(left.text) == min(
        text.index(one.text) for one in (compared.answer_a, compared.answer_b)
    )


@pytest.mark.parametrize("side", ["left", "right", "tie", "both_bad"])
def test_a_vote_is_of_the_answer_that_stood_there(label, make_campaign, lara, side):
    campaign = make_campaign(3)
    task = handing_out.tasks_for(campaign, lara)[0]
    response = label(campaign, "cast", key=task.key, choice=side, ms_active="1500")
    assert response.status_code == 200
    vote = Vote.objects.get()
    other = "b" if task.shown_left == "a" else "a"
    said = {"left": task.shown_left, "right": other}.get(side, side)
    assert (vote.choice, vote.ms_active, vote.key) == (said, 1_500, task.key)
    assert task.key not in keys_in(response)
    assert len(keys_in(response)) == 2


def test_a_vote_without_script_leads_back_to_the_page(label, make_campaign, lara):
    campaign = make_campaign(3)
    task = handing_out.tasks_for(campaign, lara)[0]
    response = label(campaign, "cast", script=False, key=task.key, choice="left")
    assert response.status_code == 302
    assert Vote.objects.count() == 1


def test_everything_that_was_asked_arrives_by_answers(label, make_campaign, lara):
    every = dict.fromkeys(("axes", "acceptable", "reasons", "note"), "optional")
    campaign = make_campaign(3, questions=Questions(**every))
    task = handing_out.tasks_for(campaign, lara)[0]
    sent = {
        "axis-helpful": "left",
        "axis-honest": "tie",
        "acceptable-right": "no",
        "reasons": ["Clearer", "Safer"],
        "note": "short",
        "strength": "2",
    }
    label(campaign, "cast", key=task.key, choice="left", **sent)
    vote = Vote.objects.get()
    right = "b" if task.shown_left == "a" else "a"
    assert vote.details["axes"] == {"helpful": task.shown_left, "honest": "tie"}
    assert vote.details[f"acceptable_{right}"] is False
    assert vote.details["reasons"] == ["Clearer", "Safer"]
    assert (vote.details["note"], vote.strength) == ("short", 2)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"choice": "left"}, 409),
        ({"key": "nope", "choice": "left"}, 409),
        ({"choice": ""}, 422),
        ({"choice": "a"}, 422),
        ({"choice": "left", "strength": "99999999999999999999"}, 409),
    ],
)
def test_what_is_no_vote_is_refused_with_a_sentence(label, make_campaign, sent, status):
    campaign = make_campaign(3)
    response = label(campaign, "cast", **sent)
    assert response.status_code == status
    assert "data-refused" in response.content.decode()
    assert not Vote.objects.exists()


def test_a_vote_that_was_counted_before_is_answered_as_then(label, make_campaign, lara):
    campaign = make_campaign(3)
    task = handing_out.tasks_for(campaign, lara)[0]
    for _ in range(2):
        response = label(campaign, "cast", key=task.key, choice="left")
        assert response.status_code == 200
    label(campaign, "undo")
    assert label(campaign, "cast", key=task.key, choice="left").status_code == 200
    assert Vote.objects.filter(undone=None).count() == 0


def test_undo_brings_the_task_back_first_and_filled_in(label, make_campaign, lara):
    campaign = make_campaign(5)
    task = handing_out.tasks_for(campaign, lara)[0]
    label(campaign, "cast", key=task.key, choice="right", strength="3")
    response = label(campaign, "undo")
    again = Assignment.objects.get(pk=task.pk)
    assert keys_in(response)[0] == again.key
    first = response.content.decode().split("data-task=")[1]
    assert re.search(r'value="right"[^>]*aria-pressed="true"', first)
    assert re.search(r'value="3"\s+checked', first)


def test_a_skip_and_a_flag_keep_their_reasons(label, make_campaign, lara):
    campaign = make_campaign(3)
    task = handing_out.tasks_for(campaign, lara)[0]
    label(campaign, "flag", key=task.key, reason="An answer is broken")
    assert label(campaign, "flag", key=task.key, reason=" ").status_code == 422
    label(campaign, "skip", key=task.key, reason="I cannot tell")
    assert Flag.objects.get().reason == "An answer is broken"
    assert Assignment.objects.get(pk=task.pk).skip_reason == "I cannot tell"


def test_a_draft_survives_signing_out(label, client, make_campaign, lara):
    campaign = make_campaign(3, questions=Questions(note="required"))
    task = handing_out.tasks_for(campaign, lara)[0]
    sent = {"key": task.key, "choice": "left", "note": "half a thought"}
    assert label(campaign, "draft", **sent).json() == {"kept": True}
    client.logout()
    client.force_login(lara)
    text = page(client, campaign).content.decode()
    assert "half a thought" in text
    assert re.search(r'value="left"[^>]*aria-pressed="true"', text)


def test_staying_renews_the_lease(label, make_campaign, lara):
    campaign = make_campaign(3)
    handing_out.tasks_for(campaign, lara)
    soon = timezone.now() + timedelta(minutes=1)
    Assignment.objects.update(expires=soon)
    assert label(campaign, "stay").json() == {"held": 2}
    assert Assignment.objects.order_by("pk").first().expires > soon


def test_harmful_content_is_asked_for_and_covered(label, client, make_campaign, lara):
    campaign = make_campaign(2, categories=["violence"])
    Item.objects.update(category="violence")
    assert "Nothing left for you here" in page(client, campaign).content.decode()
    label(campaign, "accept", script=False, category=["violence", "made up"])
    assert Labeler.objects.get().accepts == ["violence"]
    text = page(client, campaign).content.decode()
    assert re.search(r'<details class="veil"[^>]*data-veil>', text)
    assert text.index("Marked as: violence") < text.index("Answer 0 of")


@pytest.mark.parametrize(
    ("move", "words"),
    [("pause_campaign", "paused"), ("close_campaign", "closed")],
)
def test_the_page_says_why_there_is_nothing(client, lara, make_campaign, move, words):
    client.force_login(lara)
    campaign = make_campaign(3)
    getattr(making, move)(campaign)
    assert f"This campaign is {words}" in page(client, campaign).content.decode()


def test_the_page_counts_to_the_target_and_says_when_it_is_reached(
    label, client, lara, make_campaign
):
    campaign = make_campaign(5, target_votes=2, repeat_share=0)
    text = page(client, campaign).content.decode()
    assert "<span data-given>0</span> of 2 votes" in text
    for task in handing_out.tasks_for(campaign, lara):
        label(campaign, "cast", key=task.key, choice="left")
    tend_campaigns()
    for task in handing_out.tasks_for(Campaign.objects.get(), lara):
        label(campaign, "skip", key=task.key, reason="I cannot tell")
    assert "All votes are there" in page(client, campaign).content.decode()


def test_script_in_prompt_and_answers_is_text(client, lara, make_campaign):
    client.force_login(lara)
    campaign = make_campaign(1)
    item = Item.objects.get()
    attack = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    item.comparison.prompt = [{"role": "user", "content": attack}]
    item.comparison.save()
    answer = item.comparison.answer_a
    answer.text = f"[x](javascript:alert(3)) {attack}"
    answer.save()
    text = page(client, campaign).content.decode()
    assert "<script>alert" not in text
    assert "<img" not in text
    assert 'href="javascript' not in text


@pytest.mark.parametrize(
    ("who", "status"),
    [("alice", 200), ("bob", 200), ("lara", 200), ("vera", 403), ("mallory", 404)],
)
def test_who_may_label(client, request, make_campaign, who, status):
    client.force_login(request.getfixturevalue(who))
    campaign = make_campaign(2)
    assert page(client, campaign).status_code == status
    address = reverse("campaigns:cast", args=["grammar", campaign.pk])
    allowed = status == 200
    answer = client.post(address, {"key": "x", "choice": "left"}, **SCRIPT)
    assert answer.status_code == (409 if allowed else status)


def test_only_the_invited_label_a_restricted_campaign(client, lara, bob, make_campaign):
    campaign = make_campaign(2, labelers=[bob])
    client.force_login(lara)
    assert page(client, campaign).status_code == 404
    making.invite(campaign, [lara])
    assert page(client, campaign).status_code == 200


def test_a_vote_takes_few_queries_whatever_the_size(
    label, make_campaign, lara, django_assert_max_num_queries
):
    campaign = make_campaign(120)
    task = handing_out.tasks_for(campaign, lara)[0]
    with django_assert_max_num_queries(40):
        response = label(campaign, "cast", key=task.key, choice="left")
    assert response.status_code == 200
    assert Vote.objects.get().key == task.key


@pytest.mark.parametrize(
    ("who", "status"), [("bob", 200), ("lara", 404), ("vera", 404)]
)
def test_receipts_of_its_answers_are_for_engineers(
    client, request, make_campaign, who, status
):
    make_campaign(1)
    answer = Item.objects.get().comparison.answer_a
    client.force_login(request.getfixturevalue(who))
    address = reverse("playground:receipt", args=["grammar", answer.pk])
    assert client.get(address).status_code == status
    assert client.get(f"/api/v1/generations/{answer.pk}").status_code == status
