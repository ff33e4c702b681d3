"""`/api/v1/comparisons` and `/api/v1/votes`."""

import pytest
from comparisons_lab import ASKED, compared
from trivium.comparisons import services
from trivium.comparisons.models import Comparison


@pytest.fixture
def comparison(project, ada) -> Comparison:
    made = compared(project, ada.user)
    services.record_vote(
        comparison=made,
        labeler=ada.user,
        choice="b",
        shown_left="b",
        ms_active=5,
        key="k",
    )
    return made


def test_a_comparison_shows_both_answers_with_their_receipts(comparison, vera):
    found = vera.get(f"/comparisons/{comparison.pk}").json()
    assert found["prompt"] == ASKED
    assert found["project"] == "grammar"
    assert found["source"] == "playground"
    assert found["answer_b"]["text"] == "The Amazon."
    assert found["answer_b"]["model"] == "grammar/Tiny"
    assert found["answer_a"]["receipt"]["model_key"] == "model-1"
    assert found["created_by"] == "ada"


def test_comparisons_are_paged_newest_first(comparison, project, ada, vera):
    second = compared(project, ada.user, "x", "y", source="campaign")
    page = vera.get("/comparisons", limit=1).json()
    assert [one["id"] for one in page["items"]] == [second.pk]
    rest = vera.get("/comparisons", limit=1, cursor=page["next_cursor"]).json()
    assert [one["id"] for one in rest["items"]] == [comparison.pk]
    assert rest["next_cursor"] is None
    only = vera.get("/comparisons", source="campaign").json()["items"]
    assert [one["id"] for one in only] == [second.pk]


def test_votes_show_what_was_chosen_and_how_it_was_shown(comparison, vera):
    [vote] = vera.get("/votes", comparison=comparison.pk).json()["items"]
    assert (vote["choice"], vote["shown_left"]) == ("b", "b")
    assert vote["undone"] is None


def test_engineers_and_voters_are_told_who_voted_and_others_are_not(
    project, ada, lara, vera
):
    services.record_vote(
        comparison=compared(project, ada.user),
        labeler=lara.user,
        choice="a",
        shown_left="a",
        ms_active=5,
        key="k",
    )
    told = [
        caller.get("/votes").json()["items"][0]["labeler"]
        for caller in (ada, lara, vera)
    ]
    assert told == ["lara", "lara", None]


def test_votes_taken_back_are_shown_on_request_alone(comparison, vera):
    services.undo_vote(comparison.votes.get())
    assert vera.get("/votes").json()["items"] == []
    [vote] = vera.get("/votes", undone="true").json()["items"]
    assert vote["undone"] is not None


@pytest.mark.parametrize("path", ["/comparisons", "/votes"])
def test_strangers_find_nothing(comparison, mallory, shape, path):
    assert mallory.get(path).json()["items"] == []
    refused = mallory.get(path, project="grammar")
    assert shape(refused) == (404, "not_found")
    assert mallory.get(f"/comparisons/{comparison.pk}").status_code == 404
    assert mallory.get("/votes", comparison=comparison.pk).status_code == 404


@pytest.mark.parametrize("path", ["/comparisons", "/votes"])
def test_a_broken_cursor_is_refused(ada, db, shape, path):
    assert shape(ada.get(path, cursor="nonsense"))[0] == 422
