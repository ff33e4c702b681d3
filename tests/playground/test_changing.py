"""What people change in a conversation: answers they edit, messages they delete."""

import pytest
from django.urls import reverse
from playground_lab import numbers
from trivium.playground import log
from trivium.playground.models import Conversation, Message
from trivium.playground.queries import branch_of

pytestmark = pytest.mark.django_db(transaction=True)


def url(name: str, talk: Conversation, message: Message) -> str:
    return reverse(f"playground:{name}", args=[talk.project.slug, talk.pk, message.pk])


def shown(talk: Conversation) -> list[str]:
    talk.refresh_from_db()
    return [turn.message.content for turn in branch_of(talk)]


@pytest.fixture
def veras(client, vera):
    client.force_login(vera)
    return client


@pytest.fixture
def answer(say) -> Message:
    """A whole answer."""
    generation = say()
    claim = log.claim_writing(generation.pk)
    tokens = [{"id": place, "text": f"{place} "} for place in range(3)]
    payload = {"type": "tokens", "tokens": tokens, "text": numbers(3)}
    log.append_entry(claim, 1, payload)
    log.append_entry(claim, 2, {"type": "done", "reason": "stop", "timings": {}})
    return Message.objects.get(generation=generation)


def test_an_answer_nobody_generated_is_shown_as_any_other(veras, talk, say):
    say()
    told = Message.objects.create(
        conversation=talk, role="assistant", content="**Bold** words", parent=None
    )
    Conversation.objects.update(head=told)
    page = veras.get(reverse("playground:conversation", args=["grammar", talk.pk]))
    assert page.status_code == 200
    assert "<strong>Bold</strong> words" in page.text
    assert "Not generated here" in page.text
    assert "Continue" not in page.text


def test_an_edited_answer_is_another_version(veras, talk, answer):
    veras.post(url("edit", talk, answer), {"content": "Better."})
    assert shown(talk) == ["Hello", "Better."]
    answer.refresh_from_db()
    assert answer.content == numbers(3), "the receipt still tells the truth"
    assert branch_of(talk)[-1].previous == answer.pk


def test_what_follows_is_said_behind_the_edited_answer(veras, talk, answer, say, node):
    veras.post(url("edit", talk, answer), {"content": "Better."})
    generation = say("And then?")
    assert [one["content"] for one in generation.prompt["messages"]] == [
        "Hello",
        "Better.",
        "And then?",
    ]


@pytest.mark.parametrize("content", ["", "  \n", "x" * 200_001])
def test_an_answer_is_not_edited_to_nothing(veras, talk, answer, content):
    veras.post(url("edit", talk, answer), {"content": content})
    assert shown(talk) == ["Hello", numbers(3)]


def test_an_answer_being_written_is_not_edited(veras, talk, say):
    message = say().message
    refused = veras.post(url("edit", talk, message), {"content": "Better."})
    assert refused.status_code == 404
    assert talk.messages.count() == 2


def test_a_deleted_message_comes_back_with_what_followed(veras, talk, answer):
    question = answer.parent
    page = veras.post(
        url("message-delete", talk, question),
        headers={"HX-Request": "true", "HX-Target": "thread"},
    )
    assert shown(talk) == []
    restore = url("message-restore", talk, question)
    assert restore in page.text
    veras.post(restore)
    assert shown(talk) == ["Hello", numbers(3)]


def test_without_script_the_page_offers_to_undo_too(veras, talk, answer):
    page = veras.post(url("message-delete", talk, answer), follow=True)
    assert url("message-restore", talk, answer) in page.text


def test_deleting_an_answer_ends_its_writing(veras, talk, say):
    generation = say()
    veras.post(url("message-delete", talk, generation.message))
    generation.refresh_from_db()
    assert generation.state == "stopped"
    assert shown(talk) == ["Hello"]


def test_a_deleted_version_is_no_version(veras, talk, answer):
    veras.post(url("edit", talk, answer), {"content": "Better."})
    talk.refresh_from_db()
    veras.post(url("message-delete", talk, talk.head))
    assert shown(talk) == ["Hello", numbers(3)]
    assert branch_of(talk)[-1].versions == [answer.pk]


@pytest.mark.parametrize("name", ["edit", "message-delete", "message-restore"])
@pytest.mark.parametrize("who", ["bob", "mallory"])
def test_nobody_else_changes_a_conversation(
    client, request, talk, answer, name, who, project
):
    Conversation.objects.update(is_shared=True)
    client.force_login(request.getfixturevalue(who))
    refused = client.post(url(name, talk, answer), {"content": "Mine now."})
    assert refused.status_code == 404
    client.logout()
    asked = client.post(url(name, talk, answer), {"content": "Mine now."})
    assert asked.status_code == 302
    assert "/login" in asked["Location"]
    assert shown(talk) == ["Hello", numbers(3)]
