"""Models side by side: the same prompt and seed for all, and blind votes."""

import re
import uuid
from dataclasses import replace

import pytest
from django.db.models.functions import Now
from django.urls import reverse
from runspec import PretrainSpec
from serving_lab import (
    make_model,
    make_node,
    model,
    node,
    run_async,
    write_checkpoint,
)
from trivium.comparisons import lineups
from trivium.comparisons.models import Comparison, Lineup, Vote
from trivium.playground import streaming, views_compare
from trivium.playground.beside import is_name_hidden
from trivium.playground.models import Generation
from trivium.playground.views_compare import groups_of
from trivium.playground.views_stream import events_of
from trivium.runs.models import Checkpoint, Run
from trivium.serving.choices import of_model

__all__ = ["make_model", "make_node", "model", "node"]

ASKED = "Which river is the longest?"


@pytest.fixture
def pair(project, make_model):
    return make_model(project, "Left"), make_model(project, "Right")


@pytest.fixture
def compare_url(project) -> str:
    return reverse("playground:compare", args=["grammar"])


def start(client, *names: str, **more):
    sent = {
        "choice": [f"grammar/{name}" for name in names],
        "prompt": ASKED,
        "temperature": "0.7",
        "max_tokens": "64",
        **more,
    }
    return client.post(reverse("playground:compare", args=["grammar"]), sent)


def finish(lineup: Lineup, *texts: str, state: str = "done") -> None:
    """Have the answers be over, in the order the models were named in."""
    answers = sorted(lineups.answers_of(lineup), key=lambda one: one.pk)
    for answer, text in zip(answers, texts, strict=True):
        Generation.objects.filter(pk=answer.pk).update(state=state, text=text)


def url(name: str, lineup: Lineup, slug: str = "grammar") -> str:
    return reverse(f"playground:{name}", args=[slug, lineup.pk])


def vote(client, lineup: Lineup, preferred: str, **more):
    sent = {"preferred": preferred, "ms_active": "4200", "key": uuid.uuid4().hex}
    return client.post(url("lineup-vote", lineup), sent | more, follow=True)


@pytest.fixture
def blind(client, vera, pair) -> Lineup:
    client.force_login(vera)
    start(client, "Left", "Right", is_blind="on")
    lineup = Lineup.objects.get()
    finish(lineup, "The Nile.", "The Amazon.")
    return lineup


def test_all_are_asked_the_same_with_the_same_seed(client, vera, pair, make_model):
    make_model(pair[0].project, "Third")
    client.force_login(vera)
    sent = start(client, "Left", "Right", "Third")
    lineup = Lineup.objects.get()
    answers = lineups.answers_of(lineup)
    assert [one.choice_title for one in answers] == ["Left", "Right", "Third"]
    assert len({one.sampling["seed"] for one in answers}) == 1
    assert answers[0].sampling["seed"] is not None
    assert len({str(one.prompt) for one in answers}) == 1
    assert answers[0].prompt["messages"] == [{"role": "user", "content": ASKED}]
    # The address carries the choices.
    assert sent.headers["Location"].startswith(url("lineup", lineup))
    assert sent.headers["Location"].count("choice=grammar%2F") == 3
    page = client.get(sent.headers["Location"]).text
    assert page.count("data-events=") == 3
    assert page.count("selected") >= 3


def test_a_model_that_was_only_pretrained_makes_all_go_on_with_the_text(
    client, vera, project, make_model
):
    make_model(project, "Base", stage="base")
    make_model(project, "Chat")
    client.force_login(vera)
    page = client.get(start(client, "Base", "Chat").headers["Location"]).text
    assert {one.prompt["text"] for one in Generation.objects.all()} == {ASKED}
    assert "never taught to converse" in page


def test_a_blind_lineup_names_nobody_until_a_vote(client, blind):
    page = client.get(url("lineup", blind)).text
    main = page[page.index('id="lineup"') :]
    assert "Left" not in main
    assert "Right" not in main
    for answer in lineups.answers_of(blind):
        tokens = reverse("playground:next-token", args=["grammar", answer.pk])
        receipt = reverse("playground:receipt", args=["grammar", answer.pk])
        assert client.get(tokens).status_code == 403
        assert client.get(receipt).status_code == 403
    shown = vote(client, blind, "left").text
    main = shown[shown.index('id="lineup"') :]
    assert "Left" in main
    assert "Right" in main
    assert client.get(tokens).status_code == 200


def test_the_api_names_nobody_until_a_vote_either(client, blind):
    ids = [one.pk for one in lineups.answers_of(blind)]
    addresses = [f"/api/v1/generations/{pk}" for pk in ids]
    assert [client.get(one).status_code for one in addresses] == [404, 404]
    Lineup.objects.update(revealed=Now())
    assert [client.get(one).status_code for one in addresses] == [200, 200]


def test_sides_are_shuffled_and_the_same_at_every_look(client, vera, pair):
    client.force_login(vera)
    for _ in range(12):
        start(client, "Left", "Right", is_blind="on")
    firsts = [
        lineups.answers_of(lineup)[0].choice_title for lineup in Lineup.objects.all()
    ]
    assert set(firsts) == {"Left", "Right"}
    again = [
        lineups.answers_of(lineup)[0].choice_title for lineup in Lineup.objects.all()
    ]
    assert firsts == again


@pytest.mark.parametrize("preferred", ["left", "right"])
def test_a_vote_for_a_side_is_one_for_the_model_that_stood_there(
    client, blind, vera, preferred
):
    left, right = lineups.answers_of(blind)
    vote(client, blind, preferred)
    cast = Vote.objects.get()
    comparison = cast.comparison
    assert comparison.answer_a.choice_title == "Left"
    chosen = {"a": comparison.answer_a, "b": comparison.answer_b}[cast.choice]
    assert chosen == (left if preferred == "left" else right)
    shown_left = {"a": comparison.answer_a, "b": comparison.answer_b}[cast.shown_left]
    assert shown_left == left
    assert (cast.labeler, cast.ms_active) == (vera, 4200)
    assert comparison.source == Comparison.Source.PLAYGROUND
    assert comparison.prompt == [{"role": "user", "content": ASKED}]


@pytest.mark.parametrize("preferred", ["tie", "both_bad"])
def test_ties_and_both_bad_are_kept_as_such(client, blind, preferred):
    vote(client, blind, preferred)
    assert Vote.objects.get().choice == preferred


def test_a_vote_sent_twice_counts_once(client, blind):
    key = uuid.uuid4().hex
    vote(client, blind, "left", key=key)
    vote(client, blind, "left", key=key)
    assert Vote.objects.count() == Comparison.objects.count() == 1


def test_another_vote_after_the_names_were_seen_is_refused(client, blind):
    vote(client, blind, "left")
    page = vote(client, blind, "right").text
    assert "voted on this already" in page
    assert Vote.objects.count() == 1


def test_a_vote_is_undone_and_stays_on_record(client, blind):
    vote(client, blind, "left")
    page = client.post(url("lineup-undo", blind), follow=True).text
    assert "taken back" in page
    assert "no vote of yours stands" in page
    assert Vote.objects.get().undone is not None


def test_equal_answers_reveal_the_names_and_make_no_comparison(client, vera, pair):
    client.force_login(vera)
    start(client, "Left", "Right", is_blind="on")
    lineup = Lineup.objects.get()
    finish(lineup, "Same.", "Same. ")
    assert "nothing to choose" in vote(client, lineup, "left").text
    assert not Comparison.objects.exists()
    lineup.refresh_from_db()
    assert lineup.revealed is not None


def test_names_seen_without_a_vote_forbid_one(client, blind):
    page = client.post(url("lineup-reveal", blind), follow=True).text
    assert "no vote of yours stands" in page
    assert "no blind vote" in vote(client, blind, "left").text
    assert not Vote.objects.exists()


def test_nothing_is_voted_on_before_both_have_answered(client, vera, pair):
    client.force_login(vera)
    start(client, "Left", "Right", is_blind="on")
    lineup = Lineup.objects.get()
    page = client.get(url("lineup", lineup)).text
    assert len(re.findall(r'name="preferred"[^>]*disabled', page)) == 4
    assert "Wait until both" in vote(client, lineup, "left").text
    finish(lineup, "", "x", state="failed")
    assert "did not answer" in vote(client, lineup, "left").text
    assert not Vote.objects.exists()


def test_an_open_lineup_takes_no_vote(client, vera, pair):
    client.force_login(vera)
    start(client, "Left", "Right")
    lineup = Lineup.objects.get()
    finish(lineup, "a", "b")
    assert 'name="preferred"' not in client.get(url("lineup", lineup)).text
    assert "Only blind" in vote(client, lineup, "left").text


@pytest.mark.parametrize(
    "sent", [{"preferred": "middle"}, {"key": "x"}, {"ms_active": "-1"}]
)
def test_what_is_no_vote_is_refused(client, blind, sent):
    told = {"preferred": "left", "ms_active": "1", "key": "0" * 32} | sent
    page = client.post(url("lineup-vote", blind), told, follow=True).text
    assert "That was no vote" in page
    assert not Vote.objects.exists()


@pytest.mark.parametrize(
    ("names", "more", "told"),
    [
        ((), {}, "at least two"),
        (("Left",), {}, "at least two"),
        (("Left", "Left"), {}, "at least two"),
        (("Left", "Right", "Third"), {"is_blind": "on"}, "between two models"),
        (("Left", "Right"), {"prompt": " "}, "required"),
        (("Left", "Right"), {"temperature": "nan"}, "Enter a number"),
        (("Left", "Right"), {"max_tokens": "0"}, "greater than or equal to 1"),
        (("Left", "Encoder"), {}, "that write text"),
    ],
)
def test_what_cannot_be_compared_is_told(
    client, vera, pair, make_model, names, more, told
):
    make_model(pair[0].project, "Third")
    make_model(pair[0].project, "Encoder", architecture="encoder")
    client.force_login(vera)
    answer = start(client, *names, **more)
    assert answer.status_code == 422
    assert told in answer.text
    assert not Lineup.objects.exists()


def test_the_address_fills_the_form(client, vera, pair, compare_url):
    client.force_login(vera)
    page = client.get(
        compare_url,
        {"choice": ["grammar/Right", "grammar/Left"], "prompt": "Hi & <b>", "seed": 4},
    ).text
    assert (
        page.index('value="grammar/Right" \n')
        if False
        else "Hi &amp; &lt;b&gt;" in page
    )
    assert len(re.findall(r"<option[^>]*selected", page)) == 2
    assert client.get(compare_url, {"choice": "grammar/None"}).status_code == 404


def test_checkpoints_are_offered_by_run_in_their_order(project, make_model):
    run = Run(pk=5, name="Stories")
    of_run = [
        replace(of_model(make_model(project, f"m{step}")), run=run, step=step)
        for step in (300, 100, 200)
    ]
    [(label, steps)] = groups_of(of_run)
    assert label == "Checkpoints of run 5: Stories"
    assert [one.step for one in steps] == [100, 200, 300]


def test_checkpoints_of_the_newest_runs_and_of_the_chosen_are_offered(
    client, vera, bob, pair, project, compare_url, monkeypatch
):
    monkeypatch.setattr(views_compare, "MAX_RUNS", 1)
    runs = []
    for name in ("Old", "New"):
        run = Run.objects.create(
            project=project,
            created_by=bob,
            kind="pretrain",
            name=name,
            spec=PretrainSpec(dataset="1", tokenizer="1").model_dump(mode="json"),
            spec_sha256="0" * 64,
        )
        path = write_checkpoint(run.pk, 7, "config.json")
        Checkpoint.objects.create(
            run=run, step=7, fence=1, path=path, manifest_sha256="0" * 64
        )
        runs.append(run)
    old, new = (f"grammar/run-{run.pk}@7" for run in runs)
    client.force_login(vera)
    page = client.get(compare_url).text
    assert new in page
    assert old not in page
    assert old in client.get(compare_url, {"choice": old}).text


async def read_to_end(generation_id: int, **how) -> list[str]:
    told = [text async for text in events_of(generation_id, 0, **how)]
    # The loop that would have forgotten it is over soon.
    streaming._live.pop(generation_id, None)
    return told


def test_the_stream_of_a_hidden_side_names_no_model(node, client, vera, pair):
    client.force_login(vera)
    start(client, "Left", "Right", is_blind="on")
    [one, other] = lineups.answers_of(Lineup.objects.get())
    hidden = "".join(run_async(read_to_end(one.pk, is_name_hidden=True)))
    open_ = "".join(run_async(read_to_end(other.pk)))
    assert "model_key" in open_
    assert "model_key" not in hidden
    assert "event: start" in hidden
    assert "event: done" in hidden
    assert is_name_hidden(one)


def test_one_model_alone_cannot_be_compared(
    client, vera, project, make_model, compare_url
):
    make_model(project, "Alone")
    client.force_login(vera)
    assert "Nothing to compare yet" in client.get(compare_url).text


def test_a_lineup_is_its_makers_alone(client, blind, bob, mallory):
    client.force_login(bob)
    assert client.get(url("lineup", blind)).status_code == 404
    assert vote(client, blind, "left").status_code == 404
    client.force_login(mallory)
    assert client.get(url("lineup", blind)).status_code == 404
    assert (
        client.get(reverse("playground:compare", args=["grammar"])).status_code == 404
    )
    assert start(client, "Left", "Right").status_code == 404
    for name in ("lineup-undo", "lineup-reveal"):
        assert client.post(url(name, blind)).status_code == 404
    blind.refresh_from_db()
    assert blind.revealed is None


def test_whoever_is_not_signed_in_is_asked_to(client, blind, compare_url):
    client.logout()
    for address in (compare_url, url("lineup", blind)):
        assert "login" in client.get(address).headers["Location"]
    assert not Vote.objects.exists()
