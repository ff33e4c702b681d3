"""Every list in pages, and none cut without a word."""

import pytest
from django.test import Client
from django.urls import reverse
from trivium import paging
from trivium.projects.models import Project

LISTS = ["datasets", "tokenizers", "models", "pipelines", "evaluations", "campaigns"]


@pytest.fixture(autouse=True)
def short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(paging.newest_first.__kwdefaults__, "per_page", 3)


def make(project: Project, noun: str, number: int) -> list[int]:
    """Make so many things; return their ids, the newest first."""
    things = getattr(project, noun)
    made = [things.create(name=f"Thing {one}").pk for one in range(number)]
    return made[::-1]


@pytest.mark.parametrize("noun", LISTS)
def test_every_row_is_on_one_page(bobs: Client, project: Project, noun: str):
    pks = make(project, noun, 7)
    address = reverse(f"{noun}:list", args=["grammar"])
    page = bobs.get(address, {"q": "thing"})
    walked = []
    while True:
        paged = page.context["paged"]
        walked += [one.pk for one in paged]
        for one in paged:
            assert reverse(f"{noun}:detail", args=["grammar", one.pk]) in page.text
        assert (paged.older.replace("&", "&amp;") in page.text) or not paged.older
        if not paged.older:
            break
        assert "q=thing" in paged.older
        page = bobs.get(address + paged.older)
    assert walked == pks
    back = bobs.get(address + page.context["paged"].newer)
    assert [one.pk for one in back.context["paged"]] == pks[3:6]
    first = bobs.get(address + back.context["paged"].newer)
    assert [one.pk for one in first.context["paged"]] == pks[:3]
    assert first.context["paged"].is_first


def test_what_comes_meanwhile_moves_nothing(bobs: Client, project: Project):
    pks = make(project, "datasets", 5)
    address = reverse("datasets:list", args=["grammar"])
    older = bobs.get(address).context["paged"].older
    project.datasets.create(name="New")
    assert [one.pk for one in bobs.get(address + older).context["paged"]] == pks[3:]


@pytest.mark.parametrize("place", ["before=1", "after=999999999"])
def test_a_page_that_is_gone_leads_to_the_first(
    bobs: Client, project: Project, place: str
):
    pks = make(project, "datasets", 4)
    page = bobs.get(reverse("datasets:list", args=["grammar"]) + f"?{place}")
    assert [one.pk for one in page.context["paged"]] == pks[:3]
    assert page.context["paged"].is_first
    assert page.context["paged"].older


def test_sweeps_are_in_pages_too(bobs: Client, project: Project):
    axes = [{"setting": "seed", "values": [1, 2]}]
    made = [project.sweeps.create(method="grid", axes=axes) for _ in range(4)]
    pks = [one.pk for one in made][::-1]
    address = reverse("runs:sweeps", args=["grammar"])
    page = bobs.get(address)
    assert [one.pk for one in page.context["paged"]] == pks[:3]
    rest = bobs.get(address + page.context["paged"].older)
    assert [one.pk for one in rest.context["paged"]] == pks[3:]
