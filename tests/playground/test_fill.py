"""Models that write nothing: masks are filled, texts are scored, by a real node."""

import re

import pytest
from django.test import Client
from django.urls import reverse
from real_node_lab import announced, put_model, real_node, tiny_folder
from trivium.models.models import LanguageModel
from trivium.serving.models import Node

__all__ = ["announced", "put_model", "real_node", "tiny_folder"]

HTMX = {"HX-Request": "true"}


@pytest.fixture
def bert(project, put_model) -> LanguageModel:
    return put_model(project, "bert")


def page(name: str, model: str = "", slug: str = "grammar") -> str:
    query = f"?model=grammar/{model}" if model else ""
    return reverse(f"playground:{name}", args=[slug]) + query


def ask(client: Client, name: str, model: str, **sent: object):
    return client.post(page(name, model), sent, headers=HTMX)


def shares(html: str) -> list[float]:
    found = re.findall(r'bar-row__share" title="([\d.e-]+)"', html)
    return [float(one) for one in found]


def words(html: str) -> list[str]:
    """Return what stands on the bars, without the marks of spaces."""
    found = re.findall(r'bar-row__text">(.*?)</bdi>', html)
    return [re.sub(r"<.*?>", "", one) for one in found]


def num_masks(html: str) -> int:
    return html.count('<ol class="bars">')


def test_each_mask_gets_its_bars_best_first(client, vera, bert, announced):
    client.force_login(vera)
    answer = ask(client, "fill", "Tiny bert", text="It was the <mask> of [MASK]")
    assert num_masks(answer.text) == 2
    drawn = shares(answer.text)
    assert len(drawn) == 20
    assert drawn[:10] == sorted(drawn[:10], reverse=True)
    assert re.search(r">It was the <mark .*?</mark> of <mark", answer.text)
    assert "<html" not in answer.text


@pytest.mark.parametrize("written", ["<mask>", "[MASK]", "[mask]", "___", "______"])
def test_a_mask_is_known_however_it_is_written(client, vera, bert, announced, written):
    client.force_login(vera)
    answer = ask(client, "fill", "Tiny bert", text=f"the {written} of")
    assert num_masks(answer.text) == 1


def test_masks_filled_one_after_the_other_say_in_which_order(
    client, vera, bert, announced
):
    client.force_login(vera)
    text = "It was the ___ of times, it was the ___ of"
    answer = ask(client, "fill", "Tiny bert", text=text, is_joint="on")
    assert answer.text.count("filled first") == 1
    assert answer.text.count("filled as number 2") == 1


def test_only_the_words_asked_for_are_compared(client, vera, bert, announced):
    client.force_login(vera)
    answer = ask(client, "fill", "Tiny bert", text="the ___", targets="a, b,a,")
    assert sorted(words(answer.text)) == ["a", "b"]


def test_a_text_without_a_mask_is_answered_with_what_to_do(
    client, vera, bert, announced
):
    client.force_login(vera)
    assert "at least one mask" in ask(client, "fill", "Tiny bert", text="whole").text
    many = ask(client, "fill", "Tiny bert", text="___ " * 21)
    assert "at most 20" in many.text
    plain = client.post(page("fill", "Tiny bert"), {"text": "whole"})
    assert plain.status_code == 422
    assert "<html" in plain.text


def test_without_a_node_the_page_says_so(client, vera, bert):
    Node.objects.all().delete()
    client.force_login(vera)
    assert "No inference node" in ask(client, "fill", "Tiny bert", text="___").text
    facts = client.get(page("facts", "Tiny bert"))
    assert "No inference node" in facts.text


def test_what_looks_like_markup_stays_text(client, vera, bert, announced):
    client.force_login(vera)
    answer = ask(client, "fill", "Tiny bert", text="<b>bold</b> ___")
    assert "<b>" not in answer.text
    assert "&lt;b&gt;bold&lt;/b&gt;" in answer.text


def test_the_facts_tell_the_mask_the_button_inserts(client, vera, bert, announced):
    client.force_login(vera)
    facts = client.get(page("facts", "Tiny bert")).text
    assert 'data-mask="&lt;mask&gt;"' in facts
    assert "256 tokens" in facts


def test_a_classifier_shows_its_labels_with_shares(
    client, vera, project, put_model, announced
):
    put_model(project, "labels")
    client.force_login(vera)
    answer = ask(client, "score", "Tiny labels", text="what a day")
    assert sorted(words(answer.text)) == ["angry", "calm", "glad"]
    assert sum(shares(answer.text)) == pytest.approx(1, abs=1e-6)


def test_a_reward_model_gives_one_number(client, vera, project, put_model, announced):
    put_model(project, "judge")
    client.force_login(vera)
    answer = ask(client, "score", "Tiny judge", text="an answer")
    assert re.search(r'stage__figure" title="-?[\d.]+"', answer.text)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("llama", ["Chat", "Complete text"]),
        ("bert", ["Fill masks"]),
        ("t5", ["Chat", "Text to text"]),
        ("labels", ["Score texts"]),
    ],
)
def test_the_switch_offers_what_the_architecture_can(
    client, vera, project, put_model, kind, expected
):
    from trivium.playground.modes import modes_of
    from trivium.serving.choices import of_model

    choice = of_model(put_model(project, kind))
    assert [mode.label for mode in modes_of(project, choice)] == expected


def test_a_model_is_opened_where_it_can_be_used(client, vera, bert):
    client.force_login(vera)
    kept = client.get(page("open-with", "Tiny bert") + "&mode=chat")
    assert kept.headers["Location"].startswith(page("fill"))
    assert client.get(page("score", "Tiny bert")).status_code == 404


def test_a_project_without_an_encoder_says_what_to_do(client, vera, project):
    client.force_login(vera)
    assert "No model here fills masks" in client.get(page("fill")).text
    assert "No model here scores texts" in client.get(page("score")).text


@pytest.mark.parametrize("name", ["fill", "score", "facts", "open-with"])
def test_strangers_see_nothing(client, mallory, bert, name):
    client.force_login(mallory)
    assert client.get(page(name, "Tiny bert")).status_code == 404
    # From her own project she does not reach the model either.
    assert client.get(page(name, "Tiny bert", "elsewhere")).status_code == 404


@pytest.mark.parametrize("name", ["fill", "score", "facts", "open-with"])
def test_whoever_is_not_signed_in_is_asked_to(client, bert, name):
    answer = client.get(page(name, "Tiny bert"))
    assert answer.status_code == 302
    assert "login" in answer.headers["Location"]
