"""The page: who sees what, and what each button does."""

import json

import pytest
from django.urls import reverse
from trivium.playground import fitting, log, services
from trivium.playground.models import Conversation, Generation, Message, Preset
from trivium.playground.queries import branch_of
from trivium.serving.errors import ServingError

pytestmark = pytest.mark.django_db(transaction=True)

HTMX = {"HX-Request": "true", "HX-Target": "thread"}


def url(name, talk, *args, **more):
    project = talk.project if isinstance(talk, Conversation) else talk
    pks = [talk.pk] if isinstance(talk, Conversation) else []
    return reverse(f"playground:{name}", args=[project.slug, *pks, *args], **more)


def answered(generation: Generation, text: str = "Yes.", seq: int = 1) -> Generation:
    """Write an answer to its end."""
    claim = log.claim_writing(generation.pk)
    tokens = [{"id": place + 1, "text": one} for place, one in enumerate(text.split())]
    log.append_entry(claim, seq, {"type": "tokens", "tokens": tokens, "text": text})
    log.append_entry(claim, seq + 1, {"type": "done", "reason": "stop", "timings": {}})
    generation.refresh_from_db()
    return generation


@pytest.fixture
def veras(client, vera):
    client.force_login(vera)
    return client


@pytest.fixture
def sent(choice):
    def form(content="Hello", **more):
        return {"choice": choice.id, "content": content, "temperature": "0"} | more

    return form


def test_an_empty_project_says_what_to_do(client, vera, project):
    client.force_login(vera)
    page = client.get(url("home", project))
    assert "No model to talk to yet" in page.text


def test_the_first_page_offers_applications_and_the_model(veras, talk, node):
    page = veras.get(url("home", talk.project))
    for name in ("Writing", "Code", "Analysis", "Conversation", "Translation"):
        assert name in page.text
    assert "Talk to Tiny" in page.text
    assert "No inference node" not in page.text


def test_without_a_node_the_page_says_so(veras, talk):
    assert "No inference node is running" in veras.get(url("home", talk.project)).text


def test_a_base_model_is_told_apart(veras, project, node, make_model):
    make_model(project, "Raw", stage="base")
    page = veras.get(url("home", project))
    assert "it was not taught to follow instructions" in page.text


def test_strangers_and_strangers_to_a_conversation_see_nothing(
    client, talk, mallory, bob, say
):
    generation = say()
    pages = [
        url("conversation", talk),
        url("events", talk.project, generation.pk),
        url("receipt", talk.project, generation.pk),
    ]
    for person in (mallory, bob):
        client.force_login(person)
        assert [client.get(page).status_code for page in pages] == [404] * 3
    client.logout()
    assert client.get(pages[0]).status_code == 302
    client.force_login(mallory)
    assert client.get(url("home", talk.project)).status_code == 404


def test_a_shared_conversation_is_read_and_not_written_by_others(
    client, talk, bob, say, sent
):
    answered(say())
    services.change_conversation(talk, is_shared=True)
    client.force_login(bob)
    page = client.get(url("conversation", talk))
    assert "Hello" in page.text
    assert "Regenerate" not in page.text
    assert client.post(url("send", talk), sent()).status_code == 404
    assert client.post(url("delete", talk)).status_code == 404
    assert client.post(url("settings", talk), sent()).status_code == 404


def test_the_first_message_makes_the_conversation(
    veras, vera, project, choice, node, sent
):
    answer = veras.post(url("begin", project), sent("  Who are you?  "), headers=HTMX)
    talk = Conversation.objects.get()
    assert answer.headers["HX-Push-Url"] == url("conversation", talk)
    assert talk.title == "Who are you?"
    assert talk.choice_id == choice.id
    assert talk.sampling == {"temperature": 0.0}
    said = talk.messages.get(role="user")
    assert said.content == "  Who are you?  ", "nothing of it is changed"
    assert "data-stream" in answer.text
    assert veras.post(url("begin", project), sent()).status_code == 302


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"content": "  \n "}, "There is nothing to send."),
        ({"temperature": "9"}, "less than or equal to 2"),
        ({"choice": "nobody/nothing"}, "Select a valid choice"),
    ],
)
def test_what_cannot_be_sent_is_refused_and_kept(
    veras, talk, node, sent, changes, sentence
):
    answer = veras.post(url("send", talk), sent("Keep me") | changes)
    assert answer.status_code == 422
    assert sentence in answer.text
    assert not Message.objects.exists()


def test_a_conversation_too_long_is_refused_with_both_numbers(
    veras, talk, node, sent, monkeypatch
):
    measured = fitting.Fit([], tokens=[70], num_prompt=70, context=64)
    monkeypatch.setattr(fitting, "measure", lambda *_: measured)
    answer = veras.post(url("send", talk), sent("Long"), headers=HTMX)
    assert answer.headers["HX-Retarget"] == "#composer"
    assert "has 70 tokens; the model sees 64" in answer.text
    assert "Long" in answer.text
    assert not Message.objects.exists()


def test_nobody_answers_without_a_node_and_nothing_is_lost(
    veras, project, choice, sent
):
    answer = veras.post(url("begin", project), sent("Precious"), headers=HTMX)
    assert "no inference node is running" in answer.text
    assert "Precious" in answer.text
    assert not Conversation.objects.exists()


def test_an_edit_is_a_sibling_and_arrows_move_between(veras, talk, say, sent):
    first = answered(say("One"))
    veras.post(url("send", talk), sent("More"))
    talk.refresh_from_db()
    edited = {"content": "Two", "replaces": first.message.parent_id}
    page = veras.post(url("send", talk), edited, headers=HTMX)
    assert "Two" in page.text
    assert "More" not in page.text
    assert "2/2" in page.text
    back = veras.post(url("version", talk, first.message.parent_id), headers=HTMX)
    assert "One" in back.text
    assert "More" in back.text, "the branch is shown to its newest end"
    assert talk.messages.filter(parent=None).count() == 2


def test_regenerating_keeps_versions_with_other_seeds(veras, talk, say):
    first = answered(say())
    veras.post(url("again", talk, first.message_id), headers=HTMX)
    talk.refresh_from_db()
    second = talk.head.generation
    assert second.message.parent == first.message.parent
    assert second.sampling["seed"] != first.sampling["seed"]
    page = veras.get(url("conversation", talk))
    assert "2/2" in page.text


def test_going_on_begins_with_what_was_kept(veras, talk, say):
    stopped = say()
    claim = log.claim_writing(stopped.pk)
    tokens = [{"id": 5, "text": "Once"}, {"id": 6, "text": " upon"}]
    log.append_entry(
        claim, 1, {"type": "tokens", "tokens": tokens, "text": "Once upon"}
    )
    log.stop_writing(stopped, None)
    page = veras.post(url("continue", talk.project, stopped.pk), headers=HTMX)
    talk.refresh_from_db()
    new = talk.head.generation
    assert new.given_ids == [5, 6]
    assert new.given_text == "Once upon"
    assert "Once upon" in page.text
    assert "2/2" in page.text


def test_a_message_is_deleted_with_what_follows(veras, talk, say):
    first = answered(say("One"))
    veras.post(url("again", talk, first.message_id))
    talk.refresh_from_db()
    veras.post(url("message-delete", talk, talk.head_id), headers=HTMX)
    talk.refresh_from_db()
    assert talk.head == first.message
    veras.post(url("message-delete", talk, first.message.parent_id), headers=HTMX)
    talk.refresh_from_db()
    assert talk.head is None
    assert branch_of(talk) == []


def test_a_deleted_conversation_can_be_brought_back(veras, talk, say):
    answered(say())
    gone = veras.post(url("delete", talk), follow=True)
    assert "Bring it back" in gone.text
    assert veras.get(url("conversation", talk)).status_code == 404
    back = veras.post(url("restore", talk), follow=True)
    assert back.status_code == 200
    assert "Hello" in back.text


def test_settings_are_kept_as_they_are_changed(veras, talk, node, sent):
    veras.post(
        url("settings", talk),
        sent(
            system="Be brief.", top_p="0.5", stop="END\n\\n\\n", overflow="drop_oldest"
        ),
        headers=HTMX,
    )
    talk.refresh_from_db()
    assert talk.system == "Be brief."
    assert talk.sampling == {"temperature": 0.0, "top_p": 0.5, "stop": ["END", "\n\n"]}
    assert talk.overflow == "drop_oldest"
    page = veras.get(url("conversation", talk))
    assert "END\n\\n\\n" in page.text


def test_what_models_write_is_rendered_harmlessly(veras, talk, say):
    text = (
        "**bold** <script>alert(1)</script> [x](javascript:alert(2))\n\n```\ncode\n```"
    )
    answered(say("<b>mine</b>"), text)
    page = veras.get(url("conversation", talk)).text
    assert "<strong>bold</strong>" in page
    assert "<script>alert" not in page
    assert "javascript:" not in page.split("text-")[0]
    assert 'href="javascript' not in page
    assert "&lt;b&gt;mine&lt;/b&gt;" in page
    assert "<code>code" in page


def test_presets_are_kept_shared_and_deleted(client, veras, vera, bob, talk, sent):
    save = sent(system="Rhyme.", top_p="0.7") | {
        "preset-name": "Poet", "preset-application": "writing",
        "preset-is_shared": "on", "conversation": str(talk.pk),
    }  # fmt: skip
    veras.post(url("preset-save", talk.project), save, headers=HTMX)
    preset = Preset.objects.get()
    assert preset.sampling == {"temperature": 0.0, "top_p": 0.7}
    page = veras.get(url("home", talk.project), {"preset": preset.pk})
    assert "Rhyme." in page.text
    client.force_login(bob)
    assert "Poet" in client.get(url("home", talk.project)).text
    address = url("preset-delete", talk.project, preset.pk)
    assert client.post(address).status_code == 404
    client.force_login(vera)
    assert client.post(address).status_code == 302
    assert not Preset.objects.exists()


def test_the_receipt_tells_and_exports(veras, talk, say):
    generation = say()
    claim = log.claim_writing(generation.pk)
    receipt = {
        "engine": "fake 1", "weights_sha256": "ab" * 32, "template_sha256": "",
        "rendered": "<user>Hello", "prompt_ids": [1, 2], "is_exact": True,
        "cached_tokens": 0, "context": 64, "sampling": {"temperature": 0.0, "seed": 7},
    }  # fmt: skip
    log.append_entry(claim, 1, {"type": "start", "receipt": receipt})
    log.append_entry(
        claim,
        2,
        {"type": "tokens", "tokens": [{"id": 9, "text": "Hi"}], "text": "Hi"},
    )
    log.append_entry(claim, 3, {"type": "done", "reason": "length", "timings": {}})
    address = url("receipt", talk.project, generation.pk)
    page = veras.get(address)
    for told in ("&lt;user&gt;Hello", "fake 1", "abababab", "length"):
        assert told in page.text
    told = json.loads(veras.get(address, {"format": "json"}).content)
    assert told["receipt"] == receipt
    assert told["token_ids"] == [9]
    again = veras.post(url("replay", talk.project, generation.pk), follow=True)
    assert "Asking the same again" in again.text
    replayed = Generation.objects.get(replay_of=generation)
    assert replayed.sampling == receipt["sampling"]
    claim = log.claim_writing(replayed.pk)
    log.append_entry(
        claim,
        1,
        {"type": "tokens", "tokens": [{"id": 9, "text": "Hi"}], "text": "Hi"},
    )
    log.append_entry(claim, 2, {"type": "done", "reason": "length", "timings": {}})
    page = veras.get(url("receipt", talk.project, replayed.pk))
    assert "all 1 tokens are the same" in page.text


def test_the_context_bar_tells_what_is_left_and_left_out(
    veras, talk, node, sent, monkeypatch
):
    def measure(_choice, messages):
        tokens = [30 for _ in messages]
        return fitting.Fit(messages, [], tokens, 30 * len(messages), 100)

    monkeypatch.setattr(fitting, "measure", measure)
    answer = veras.post(
        url("measure", talk.project), sent("Hello", conversation=talk.pk), headers=HTMX
    )
    assert "30 of 100 tokens" in answer.text
    for number in range(2):
        message = Message.objects.create(
            conversation=talk, parent=talk.head, role="user", content=f"Old {number}"
        )
        services.change_conversation(talk, head=message)
    refused = veras.post(
        url("measure", talk.project), sent("New", conversation=talk.pk), headers=HTMX
    )
    assert "has 90 tokens; the model sees 100" in refused.text
    dropping = sent("New", overflow="drop_oldest", conversation=talk.pk)
    answer = veras.post(url("measure", talk.project), dropping, headers=HTMX)
    assert "Will be left out" in answer.text
    assert "Old 0" in answer.text
    assert "Old 1" not in answer.text


def test_the_system_prompt_and_the_question_are_never_left_out(choice, monkeypatch):
    def measure(_choice, messages):
        return fitting.Fit(messages, [], [50] * len(messages), 50 * len(messages), 120)

    monkeypatch.setattr(fitting, "measure", measure)
    said = [
        {"role": role, "content": f"{number}"}
        for number, role in enumerate(["system", "user", "assistant", "user"])
    ]
    found = fitting.fit(choice, said, overflow="drop_oldest")
    assert [one["content"] for one in found.messages] == ["0", "3"]
    assert [one["content"] for one in found.dropped] == ["1", "2"]
    monkeypatch.setattr(
        fitting, "measure",
        lambda _, messages: fitting.Fit(messages, [], [90] * len(messages), 999, 120),
    )  # fmt: skip
    with pytest.raises(fitting.DoesNotFitError):
        fitting.fit(choice, said, overflow="drop_oldest")


def test_a_node_that_cannot_count_is_not_an_error_of_the_page(
    veras, talk, node, sent, monkeypatch
):
    def fail(*_):
        raise ServingError(503, "overloaded", "too much at once; try again")

    monkeypatch.setattr(fitting, "measure", fail)
    answer = veras.post(
        url("measure", talk.project), sent("Hello", conversation=talk.pk), headers=HTMX
    )
    assert answer.status_code == 200
    assert "too much at once" in answer.text
