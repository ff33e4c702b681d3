"""Answers through the API: begun, waited for, read by event, stopped."""

import asyncio

import pytest
from asgiref.sync import sync_to_async
from fake_node import FakeNode
from runspec.serving import ErrorEvent
from serving_lab import make_model, make_node, model, node
from trivium.playground import services, streaming
from trivium.playground.models import Generation

__all__ = ["make_model", "make_node", "model", "node"]

pytestmark = pytest.mark.django_db(transaction=True)

HELLO = {"project": "grammar", "model": "grammar/Tiny", "text": "Hello"}


@pytest.fixture(autouse=True)
def _hurry(monkeypatch):
    monkeypatch.setattr(streaming, "POLL_S", 0.01)


@pytest.fixture
def begin(ada, model):
    """Begin an answer; return what the API says of it."""

    def post(caller=ada, key: str = "", **values):
        response = caller.post("/generations", HELLO | values, key=key)
        assert response.status_code == 201, response.content
        return response.json()

    return post


def test_an_answer_is_begun_and_waited_for(begin, ada, node: FakeNode):
    made = begin(sampling={"temperature": 0.5, "seed": 7})
    assert (made["state"], made["text"], made["seed"]) == ("new", "", 7)
    assert node.requests == [], "nobody reads it yet"
    read = ada.get(f"/generations/{made['id']}", wait=20).json()
    assert (read["state"], read["finish_reason"]) == ("done", "stop")
    assert read["text"] == "Hello there, wörld!"
    assert read["token_ids"] == [0, 1, 2, 3, 4]
    assert read["receipt"]["engine"] == "fake 1 cpu fp32"
    assert read["timings"]["tokens_per_s"] == 10
    assert node.requests[0].sampling.temperature == 0.5


def test_without_a_seed_one_is_drawn_and_told(begin):
    assert begin()["seed"] is not None


def test_messages_are_asked_as_messages(begin, ada, node):
    said = [{"role": "user", "content": "Hi"}]
    made = begin(text="", messages=said)
    ada.get(f"/generations/{made['id']}", wait=20)
    assert list(node.requests[0].prompt.messages) == said


def test_a_base_model_is_given_the_text_of_messages(begin, ada, node, model):
    type(model).objects.update(stage="base")
    said = [{"role": "user", "content": "Once"}, {"role": "user", "content": "upon"}]
    made = begin(text="", messages=said)
    ada.get(f"/generations/{made['id']}", wait=20)
    assert node.requests[0].prompt.text == "Once\n\nupon"


def test_events_are_read_from_where_one_was(begin, ada, node):
    made = begin()
    ada.get(f"/generations/{made['id']}", wait=20)
    events = ada.get(f"/generations/{made['id']}/events").json()["items"]
    assert [one["seq"] for one in events] == list(range(1, len(events) + 1))
    assert events[0]["type"] == "start"
    assert events[-1]["type"] == "done"
    assert events[1]["tokens"][0]["logprob"] == -0.5
    rest = ada.get(f"/generations/{made['id']}/events", after=2).json()["items"]
    assert rest == events[2:]


def test_whoever_waits_too_short_gets_what_there_is_and_may_wait_again(
    begin, ada, node
):
    node.delay_s = 0.2
    made = begin()
    first = ada.get(f"/generations/{made['id']}", wait=0.5).json()
    assert first["state"] in {"running", "suspended"}
    assert "Hello there, wörld!".startswith(first["text"])
    assert len(first["token_ids"]) < 5
    last = ada.get(f"/generations/{made['id']}", wait=20).json()
    assert (last["state"], last["finish_reason"]) == ("done", "stop")


def test_a_stop_keeps_what_was_seen(begin, ada, node):
    node.delay_s = 0.2
    made = begin()
    ada.get(f"/generations/{made['id']}", wait=0.5)
    stopped = ada.post(f"/generations/{made['id']}/stop", {"seen": 1}).json()
    assert (stopped["state"], stopped["text"]) == ("stopped", "")
    assert stopped["finish_reason"] == "stopped"


def test_a_stop_of_what_is_over_is_a_conflict(begin, ada, node, shape):
    made = begin()
    ada.get(f"/generations/{made['id']}", wait=20)
    refused = ada.post(f"/generations/{made['id']}/stop")
    assert shape(refused) == (409, "conflict")
    again = ada.get(f"/generations/{made['id']}").json()
    assert again["state"] == "done"


def test_what_goes_wrong_is_said_in_the_answer(begin, ada, node):
    node.refusal = ErrorEvent(status=400, code="bad", message="this will not do")
    made = begin()
    read = ada.get(f"/generations/{made['id']}", wait=20).json()
    assert (read["state"], read["error"]) == ("failed", "this will not do")


def test_a_repeated_key_begins_one_answer(begin):
    assert begin(key="k")["id"] == begin(key="k")["id"]
    assert Generation.objects.count() == 1


def test_viewers_may_talk(begin, vera):
    assert begin(vera)["state"] == "new"


def test_an_answer_is_its_askers_alone(begin, ada, vera, mallory, shape):
    made = begin()
    for other in (vera, mallory):
        assert other.get("/generations").json()["items"] == []
        for path in ("", "/events"):
            found = other.get(f"/generations/{made['id']}{path}")
            assert shape(found) == (404, "not_found")
        refused = other.post(f"/generations/{made['id']}/stop")
        assert shape(refused) == (404, "not_found")
    assert [one["id"] for one in ada.get("/generations").json()["items"]] == [
        made["id"]
    ]
    assert Generation.objects.get().state == "new"


def test_an_answer_in_a_shared_conversation_is_read_but_not_stopped_by_others(
    project, ada, vera, model, node, shape
):
    talk = services.start_conversation(
        project=project, created_by=ada.user, choice_id="", is_shared=True
    )
    answer = talk.messages.create(role="assistant")
    made = Generation.objects.create(
        project=project, created_by=ada.user, message=answer
    )
    assert vera.get(f"/generations/{made.pk}").status_code == 200
    refused = vera.post(f"/generations/{made.pk}/stop")
    assert shape(refused) == (404, "not_found")


def test_strangers_begin_nothing(model, mallory, shape):
    refused = mallory.post("/generations", HELLO)
    assert shape(refused) == (404, "not_found")
    own = mallory.post("/generations", HELLO | {"project": "elsewhere"})
    assert shape(own) == (404, "not_found")
    assert Generation.objects.count() == 0


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"text": ""}, "messages"),
        ({"messages": [{"role": "user", "content": "x"}]}, "messages"),
        ({"text": "", "messages": [{"role": "wizard", "content": "x"}]}, None),
        ({"sampling": {"temperature": -1}}, "sampling.temperature"),
        ({"sampling": {"warmth": 1}}, "sampling.warmth"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_bad_input_is_named(values, field, model, ada, shape):
    refused = ada.post("/generations", HELLO | values)
    assert shape(refused) == (422, "invalid_request")
    if field:
        assert refused.json()["error"]["field"] == field
    assert Generation.objects.count() == 0


@pytest.mark.parametrize("values", [{"text": "\0"}, {"sampling": {"stop": ["\0"]}}])
def test_what_no_database_can_keep_is_refused(values, model, ada, shape):
    assert shape(ada.post("/generations", HELLO | values))[0] == 400


def test_a_model_that_writes_nothing_is_refused(project, make_model, ada, shape):
    make_model(project, "Judge", stage="reward")
    refused = ada.post("/generations", HELLO | {"model": "grammar/Judge"})
    assert shape(refused) == (422, "invalid_request")
    unknown = ada.post("/generations", HELLO | {"model": "grammar/Nobody"})
    assert shape(unknown) == (404, "not_found")
    assert unknown.json()["error"]["field"] == "model"


def test_a_wait_outlasts_no_limit(begin, ada, shape):
    made = begin()
    assert shape(ada.get(f"/generations/{made['id']}", wait=1e6))[0] == 422
    assert shape(ada.get(f"/generations/{made['id']}", wait="nan"))[0] == 422


def test_a_program_and_a_page_read_one_answer(begin, ada, node):
    """Both on the loop of one web process: the model is asked once."""
    node.delay_s = 0.05
    made = begin()

    async def both():
        entries = []
        waiting = asyncio.create_task(
            sync_to_async(ada.get, thread_sensitive=False)(
                f"/generations/{made['id']}", wait=20
            )
        )
        async for entry in streaming.read(made["id"], 0):
            entries += [entry] if entry else []
        return entries, await waiting

    entries, answer = asyncio.run(asyncio.wait_for(both(), 20))
    assert entries[-1].payload["type"] == "done"
    assert answer.json()["text"] == "Hello there, wörld!"
    assert len(node.requests) == 1
