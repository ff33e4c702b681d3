"""What else could have come: the panel, the colours, and branches, with a real node."""

import math
import re

import pytest
from django.urls import reverse
from real_node_lab import announced, put_model, real_node, tiny_folder, written
from runspec.serving import Candidate, NextTokens, Prompt, Sampling, TokenTold
from trivium.playground import beside, next_token
from trivium.playground.branching import branch_answer, text_of
from trivium.playground.models import (
    Conversation,
    Generation,
    GenerationEvent,
    Message,
)
from trivium.playground.services import generate, go_on
from trivium.serving.choices import of_model
from trivium.serving.models import Node

__all__ = ["announced", "put_model", "real_node", "tiny_folder"]

HTMX = {"HX-Request": "true"}


@pytest.fixture
def llama(project, put_model):
    return put_model(project, "llama")


@pytest.fixture
def asked(project, vera, llama) -> Generation:
    """An answer that was asked for and not begun."""
    return generate(
        project=project,
        sender=vera,
        choice=of_model(llama),
        prompt=Prompt(text="It was the best"),
        sampling=Sampling(max_tokens=10, temperature=0.8, seed=3),
    )


@pytest.fixture
def answer(asked, announced) -> Generation:
    return written(asked)


def address(generation: Generation, name: str = "next-token", slug="grammar") -> str:
    return reverse(f"playground:{name}", args=[slug, generation.pk])


def panel(client, generation: Generation, at: int, **headers):
    return client.get(address(generation), {"at": at}, headers=headers or HTMX)


def rows(html: str) -> list[tuple[int, float]]:
    """Return token and logprob of each row."""
    found = re.findall(r'data-logprob="(.*?)">.*?value="(\d+)"', html, re.DOTALL)
    return [(int(token), float(logprob)) for logprob, token in found]


def test_every_token_is_a_link_with_its_numbers(client, vera, answer):
    client.force_login(vera)
    page = client.get(address(answer)).text
    assert page.count('class="tok tok--p') == len(answer.token_ids) == 10
    assert len(re.findall(r'title="[^"]*likely · [\d.]+ nats"', page)) == 10
    assert "Perplexity" in page
    assert "It was the best" in page


def test_the_panel_shows_the_distribution_the_token_was_drawn_from(
    client, vera, answer
):
    client.force_login(vera)
    told = beside.tokens_told(answer)
    for at in (0, 4, 9):
        html = panel(client, answer, at).text
        assert "<html" not in html
        shown = rows(html)
        assert len(shown) in {20, 21}
        logprobs = [logprob for _, logprob in shown[:20]]
        assert logprobs == sorted(logprobs, reverse=True)
        chosen = dict(shown)[told[at].id]
        assert chosen == pytest.approx(told[at].logprob, abs=1e-3)
        assert html.count("bar-row--chosen") == 1


def test_shares_hidden_and_rest_make_one(client, vera, answer):
    client.force_login(vera)
    html = panel(client, answer, 3).text
    shown = sum(math.exp(logprob) for _, logprob in rows(html))
    hidden = [
        float(one) for one in re.findall(r'data-hidden="\[(.*?)\]"', html)[0].split(",")
    ]
    rest = float(re.findall(r'data-rest="(.*?)"', html)[0])
    assert shown + sum(map(math.exp, hidden)) + rest == pytest.approx(1, abs=1e-3)


def test_without_scripts_the_whole_page_holds_the_panel(client, vera, answer):
    client.force_login(vera)
    page = client.get(address(answer), {"at": 2, "colour": "entropy"})
    assert "<html" in page.text
    assert page.text.count("bar-row--chosen") == 1
    assert 'data-colour="entropy"' in page.text


@pytest.mark.parametrize("at", ["-1", "10", "x", "9" * 30, "²", ""])
def test_a_place_that_is_none_shows_the_answer_alone(client, vera, answer, at):
    client.force_login(vera)
    page = client.get(address(answer), {"at": at})
    assert page.status_code == 200
    assert "bar-row" not in page.text


def test_without_a_node_the_panel_says_so_and_the_text_stays(client, vera, answer):
    Node.objects.all().delete()
    client.force_login(vera)
    page = client.get(address(answer), {"at": 1}).text
    assert "No inference node" in page
    assert page.count('class="tok tok--p') == 10


def test_a_branch_keeps_what_came_before_and_goes_on_with_the_other_token(
    client, vera, answer
):
    client.force_login(vera)
    at = 4
    token = next(
        token for token, _ in rows(panel(client, answer, at).text)
        if token != answer.token_ids[at]
    )  # fmt: skip
    sent = client.post(address(answer, "branch"), {"at": at, "token": token})
    branch = Generation.objects.latest("pk")
    assert sent.headers["Location"] == f"{address(branch)}?at={at}"
    assert branch.pk != answer.pk
    written(branch)
    assert branch.token_ids[: at + 1] == [*answer.token_ids[:at], token]
    assert len(branch.token_ids) == at + 1 + 10
    # The log can be looked into from the first token on.
    told = beside.tokens_told(branch)
    assert [one.id for one in told] == branch.token_ids
    assert beside.tokens_told(answer)[:at] == told[:at]
    assert panel(client, branch, at).text.count("bar-row--chosen") == 1


def test_a_branch_with_the_token_that_came_gives_the_same_answer(client, vera, answer):
    client.force_login(vera)
    sent = {"at": 3, "token": answer.token_ids[3]}
    client.post(address(answer, "branch"), sent)
    branch = written(Generation.objects.latest("pk"))
    assert branch.token_ids[:10] == answer.token_ids
    assert branch.text.startswith(answer.text.rstrip("\ufffd"))


@pytest.mark.parametrize(
    "sent",
    [{}, {"at": "x", "token": "1"}, {"at": "0", "token": "-1"}, {"at": "0"}],
)
def test_a_branch_without_a_place_or_token_is_not_there(client, vera, answer, sent):
    client.force_login(vera)
    assert client.post(address(answer, "branch"), sent).status_code == 404
    assert Generation.objects.count() == 1


@pytest.mark.parametrize("sent", [{"at": 10, "token": 1}, {"at": 0, "token": 10**9}])
def test_a_branch_that_cannot_be_says_why(client, vera, answer, sent):
    client.force_login(vera)
    page = client.post(address(answer, "branch"), sent, follow=True)
    assert re.search(r"no token in that place|not among the", page.text)
    assert Generation.objects.count() == 1


def test_an_answer_gone_on_with_is_shown_from_its_own_tokens(client, vera, answer):
    more = written(go_on(answer, sender=vera))
    client.force_login(vera)
    page = client.get(address(more), {"at": 0}).text
    assert len(more.token_ids) > 10
    assert page.count('class="tok tok--p') == len(more.token_ids) - 10
    # The panel is asked with the tokens it goes on from.
    told = beside.tokens_told(more)
    assert beside.ids_before(more, told, 0)[-10:] == answer.token_ids
    assert page.count("bar-row--chosen") == 1


def test_an_answer_without_tokens_says_why(client, vera, asked):
    Generation.objects.filter(pk=asked.pk).update(state="failed", error="Node lost.")
    client.force_login(vera)
    assert "Node lost." in client.get(address(asked)).text


def test_an_answer_still_written_streams_into_the_page(client, vera, asked):
    client.force_login(vera)
    page = client.get(address(asked)).text
    assert f'data-events="{address(asked, "events")}"' in page
    assert (
        client.post(address(asked, "branch"), {"at": 0, "token": 1}).status_code == 404
    )


def test_strangers_and_other_members_see_nothing(client, mallory, lara, asked):
    for person in (mallory, lara):
        client.force_login(person)
        assert client.get(address(asked)).status_code == 404
        sent = client.post(address(asked, "branch"), {"at": 0, "token": 1})
        assert sent.status_code == 404


def test_a_shared_answer_is_looked_into_by_others_and_branched_by_none_of_them(
    client, lara, vera, asked
):
    talk = Conversation.objects.create(
        project=asked.project, created_by=vera, is_shared=True
    )
    said = Message.objects.create(conversation=talk, role="assistant")
    Generation.objects.filter(pk=asked.pk).update(message=said, state="done")
    client.force_login(lara)
    assert client.get(address(asked)).status_code == 200
    sent = client.post(address(asked, "branch"), {"at": 0, "token": 1})
    assert sent.status_code == 404
    assert Generation.objects.count() == 1


def test_whoever_is_not_signed_in_is_asked_to(client, asked):
    assert "login" in client.get(address(asked)).headers["Location"]
    assert "login" in client.post(address(asked, "branch")).headers["Location"]


def told(text: str, logprob: float, entropy: float = 1.0, **more) -> TokenTold:
    raw = more.get("raw", tuple(text.encode()))
    return TokenTold(id=7, text=text, bytes=raw, logprob=logprob, entropy=entropy)


@pytest.mark.parametrize(
    ("share", "step"), [(1, 0), (0.9, 0), (0.89, 1), (0.3, 2), (0.06, 3), (0.01, 4)]
)
def test_likely_tokens_are_pale_and_unlikely_ones_deep(share, step):
    [token] = next_token.as_told([told("x", math.log(share) + 1e-12)])
    assert token.likely == step


def test_part_of_a_character_is_shown_as_its_bytes():
    [token] = next_token.as_told([told("\ufffd", -1, raw=(0xE2, 0x82))])
    assert token.text == "⟨E2⟩⟨82⟩"


def test_a_chosen_token_beyond_the_top_gets_a_row_of_its_own():
    found = NextTokens(
        candidates=tuple(
            Candidate(id=100 + n, text=f"w{n}", logprob=math.log(0.02))
            for n in range(30)
        ),
        entropy=3.0,
    )
    [token] = next_token.as_told([told("rare", math.log(0.001))])
    look = next_token.as_look(token, found)
    assert len(look.rows) == 21
    assert look.rows[-1].is_chosen
    assert (look.rows[-1].rank, look.rows[-1].text) == (0, "rare")
    assert look.others == pytest.approx(1 - 0.4 - 0.001)
    assert look.rest == pytest.approx(1 - 0.6 - 0.001)


def test_the_entry_a_branch_begins_with_counts_as_written(answer, vera):
    """Whoever writes the branch goes on behind the shared tokens, not before them."""
    choice = of_model(answer.project.models.get())
    token = answer.token_ids[2]
    branch = branch_answer(answer, sender=vera, choice=choice, at=2, token_id=token)
    [first] = GenerationEvent.objects.filter(generation=branch)
    assert (first.seq, len(first.payload["tokens"])) == (1, 3)
    assert branch.given_ids == []


@pytest.mark.parametrize(
    ("parts", "whole", "at", "expected"),
    [
        (["The", " Nile", "."], "The Nile.", 2, "The Nile"),
        ([" The", " Nile"], "The Nile", 1, "The"),
        (["The", "<mask>", " Nile"], "The Nile", 2, "The"),
        (["The", "<mask>", " Nile"], "The Nile", 3, "The Nile"),
        ([b"\xe2", b"\x82", b"\xac", " and"], "€ and", 2, ""),
        ([b"\xe2", b"\x82", b"\xac", " and"], "€ and", 3, "€"),
        (["a", b"\xff", "b"], "a\ufffdb", 2, "a\ufffd"),
        (["a"], "a", 0, ""),
    ],
)
def test_the_text_before_a_token_is_found(parts, whole, at, expected):
    tokens = [
        told(part, -1) if isinstance(part, str) else told("\ufffd", -1, raw=tuple(part))
        for part in parts
    ]
    ids = [token.id for token in tokens]
    assert text_of(Generation(text=whole, token_ids=ids), tokens, at) == expected
