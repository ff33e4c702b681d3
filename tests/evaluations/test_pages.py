"""Pages of evaluations: who sees them, what they show, and what the form does."""

import csv
import io
import json

import pytest
from asking_lab import preference_row
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from evaluations_lab import facts_of
from trivium.evaluations.models import Evaluation
from trivium.models.models import LanguageModel
from trivium.runs.models import Run

HOSTILE = "=<script>alert(1)</script>\u202e"
HTMX = {"HX-Request": "true"}


def url(name: str, *args: object) -> str:
    return reverse(f"evaluations:{name}", args=["grammar", *args])


@pytest.fixture
def bobs(client, bob):
    client.force_login(bob)
    return client


# Who sees what -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["vera", "lara", "bob", "alice", "root"])
def test_members_read_and_engineers_make_and_delete(
    name, request, client, make_evaluation
):
    evaluation = make_evaluation()
    client.force_login(request.getfixturevalue(name))
    assert client.get(url("list")).status_code == 200
    assert client.get(url("detail", evaluation.pk)).status_code == 200
    assert client.get(url("export", evaluation.pk)).status_code == 200
    is_engineer = name not in {"vera", "lara"}
    assert client.get(url("new")).status_code == (200 if is_engineer else 403)
    found = client.post(url("delete", evaluation.pk)).status_code
    assert found == (302 if is_engineer else 403)
    assert Evaluation.objects.exists() is not is_engineer


def test_strangers_find_nothing_and_nobody_is_asked_to_sign_in(
    client, mallory, make_evaluation
):
    pk = make_evaluation().pk
    pages = [url("list"), url("new"), url("detail", pk), url("export", pk)]
    for page in pages:
        assert client.get(page).status_code == 302
    client.force_login(mallory)
    for page in [*pages, url("detail", 10**30)]:
        assert client.get(page).status_code == 404
    assert client.post(url("delete", pk)).status_code == 404
    elsewhere = reverse("evaluations:detail", args=["elsewhere", pk])
    assert client.get(elsewhere).status_code == 404
    assert Evaluation.objects.exists()


# What came of it ---------------------------------------------------------------------


def test_a_page_says_what_came_of_it_first(bobs, make_evaluation):
    evaluation = make_evaluation()
    page = bobs.get(url("detail", evaluation.pk))
    text = page.text
    assert text.index("Aligned is better at") < text.index("Honesty")
    assert text.index("+55 points") < text.index("Who is number 0?")
    assert "160 won, 40 lost, 100 tied" in text
    assert "no clear difference" in text
    assert text.count('class="forest__range"') == 7
    assert "invents an answer" in text
    assert "No answer: it was too long" in text
    assert "… cut off" in text


def test_what_a_model_wrote_is_text_and_nothing_else(bobs, make_evaluation):
    facts = facts_named(HOSTILE)
    evaluation = make_evaluation(text=HOSTILE, facts=facts)
    page = bobs.get(url("detail", evaluation.pk)).text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    exported = bobs.get(url("export", evaluation.pk)).text
    assert "\n'=<script>" in exported
    answers = bobs.get(url("export", evaluation.pk), {"part": "answers"}).text
    rows = list(csv.reader(io.StringIO(answers)))
    assert rows[2][5] == f"'{HOSTILE}"


def facts_named(title: str) -> dict:
    return facts_of(titles=(title, title, title), ids=["a", "b", "c"])


def test_answers_are_paged_and_narrowed(bobs, make_evaluation):
    evaluation = make_evaluation(47)
    address = url("detail", evaluation.pk)

    def shown(**query: object) -> list[int]:
        page = bobs.get(address, query)
        return [one.row.number for one in page.context["rows"]]

    assert shown() == list(range(20))
    page = bobs.get(address)
    assert "from=20" in page.context["next"]
    assert shown(**{"from": 20}) == list(range(20, 40))
    assert shown(**{"from": 40}) == list(range(40, 47))
    last = bobs.get(address, {"from": 40}).context
    assert (last["next"], "from=20" in last["previous"]) == ("", True)
    differing = [one for one in range(47) if one % 3]
    assert shown(show="differ") == differing[:20]
    assert shown(show="wrong") == differing[:20]
    assert shown(show="differ", **{"from": differing[20]}) == differing[20:]
    # What no address should hold is left out.
    assert shown(show="<script>", dataset="99") == list(range(20))
    assert shown(**{"from": "-1"}) == list(range(20))
    part = bobs.get(address, {"show": "differ"}, headers=HTMX).text
    assert part.lstrip().startswith('<section class="answered"')
    assert "Who is number 1?" in part
    assert "Who is number 0?" not in part


def test_files_hold_every_measure_and_every_answer(bobs, make_evaluation):
    evaluation = make_evaluation(25)
    address = url("export", evaluation.pk)
    measures = list(csv.DictReader(io.StringIO(bobs.get(address).text)))
    assert len(measures) == 7
    won = next(one for one in measures if one["measure"] == "win_rate")
    assert (won["model"], won["wins"], won["outcome"]) == ("Aligned", "160", "better")
    told = bobs.get(address, {"format": "json"}).json()
    assert told["measures"] == evaluation.facts["measures"]
    lines = bobs.get(address, {"part": "answers", "format": "json"}).text
    rows = [json.loads(line) for line in lines.splitlines()]
    assert len(rows) == 25
    assert rows[1]["answers"][0] == {
        "model": "Base", "text": "Nobody knows.", "is_right": False, "quality": 0,
        "finish_reason": "length",
    }  # fmt: skip
    text = bobs.get(address, {"part": "answers"}).text
    table = list(csv.reader(io.StringIO(text)))
    assert len(table) == 26
    assert table[0][5] == "Base: answer"


def test_a_page_waits_for_its_run_and_says_when_it_failed(bobs, make_evaluation):
    evaluation = make_evaluation(is_done=False)
    address = url("detail", evaluation.pk)
    assert 'hx-trigger="every 2s"' in bobs.get(address).text
    assert bobs.get(url("export", evaluation.pk)).status_code == 404
    waiting = bobs.get(address, headers=HTMX | {"HX-Target": "waiting"})
    assert waiting.text.lstrip().startswith('<section class="card"')
    bobs.post(url("delete", evaluation.pk))
    assert Evaluation.objects.exists()  # its run is not over
    Run.objects.update(state=Run.State.FAILED, reason="Base cannot be loaded")
    page = bobs.get(address).text
    assert "Base cannot be loaded" in page
    assert "every 2s" not in page
    made = make_evaluation()
    done = bobs.get(url("detail", made.pk), headers=HTMX | {"HX-Target": "waiting"})
    assert (done.status_code, done.headers["HX-Refresh"]) == (286, "true")


def test_the_list_says_what_came_of_each(bobs, make_evaluation, project):
    assert "Nothing to evaluate yet" not in bobs.get(url("list")).text
    make_evaluation()
    text = bobs.get(url("list")).text
    assert "Base → Instruct → Aligned" in text
    assert "Aligned is better at" in text


def test_many_are_listed_with_as_many_queries_as_one(
    bobs, project, line, django_assert_num_queries
):
    def make(number: int) -> None:
        for _ in range(number):
            project.evaluations.create(name="Same again", facts=facts_of())

    make(1)
    bobs.get(url("list"))
    with CaptureQueriesContext(connection) as of_one:
        bobs.get(url("list"))
    make(8)
    with django_assert_num_queries(len(of_one)):
        page = bobs.get(url("list"))
    assert page.text.count("Same again") >= 9


def test_an_empty_project_is_told_what_an_evaluation_needs(bobs):
    assert "Nothing to evaluate yet" in bobs.get(url("list")).text


# A new one ---------------------------------------------------------------------------


def test_the_form_begins_with_a_model_and_those_it_came_from(bobs, line, of_the_world):
    page = bobs.get(url("new"), {"model": line[2].pk})
    first = page.context["form"].initial
    assert [first[f"model_{at}"] for at in (1, 2, 3)] == [
        "grammar/Base", "grammar/Instruct", "grammar/Aligned"
    ]  # fmt: skip
    assert (first["baseline"], first["truth"]) == ("2", "tinyworld")
    assert first["datasets"] == [str(of_the_world.pk)]
    assert bobs.get(url("new"), {"model": "x"}).context["form"].initial == first


def test_a_reward_model_begins_with_the_pairs_it_learnt_from(
    bobs, project, line, of_the_world, make_dataset
):
    pairs = make_dataset("Pairs", "preferences", train=[preference_row("a", "b", "c")])
    reward = LanguageModel.objects.create(
        project=project, name="Judge", stage="reward", architecture="decoder",
        path="models/r", dataset=pairs,
    )  # fmt: skip
    reward.parents.set([line[1]])
    first = bobs.get(url("new"), {"model": reward.pk}).context["form"].initial
    assert first["model_1"] == "grammar/Judge"
    assert "model_2" not in first
    assert first["datasets"] == [str(pairs.pk)]
    # It stands beside the line of others, as their judge where nothing is known.
    of_the_world.delete()
    first = bobs.get(url("new"), {"model": line[2].pk}).context["form"].initial
    assert (first["judge"], first["truth"]) == ("grammar/Judge", "none")


def filled(**changes: object) -> dict[str, object]:
    return {
        "model_1": "grammar/Base", "model_2": "grammar/Aligned", "baseline": "1",
        "truth": "tinyworld", "rows": "auto", "max_rows": "50", "max_tokens": "24",
        "temperature": "0", "seed": "7",
    } | changes  # fmt: skip


@pytest.mark.django_db(databases="__all__")
def test_one_click_makes_the_run(bobs, line, of_the_world):
    given = filled(datasets=[str(of_the_world.pk)], name="First look")
    answer = bobs.post(url("new"), given)
    made = Evaluation.objects.get()
    assert answer.url == url("detail", made.pk)
    assert made.name == "First look"
    spec = made.run.spec
    assert spec["models"] == ["grammar/Base", "grammar/Aligned"]
    assert (spec["baseline"], spec["truth"]) == ("grammar/Base", "tinyworld")
    assert (spec["max_rows"], spec["seed"]) == (50, 7)
    assert spec["sampling"]["max_tokens"] == 24
    page = bobs.get(reverse("runs:detail", args=["grammar", made.run.pk]))
    assert url("detail", made.pk) in page.text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_2": "grammar/Base"}, "It stands there already"),
        ({"model_1": "elsewhere/Secret"}, "That model is not there any more"),
        ({"baseline": "4"}, "No model stands in that place"),
        ({"datasets": []}, "Choose at least one dataset"),
        ({"datasets": ["999"]}, "This project has no dataset 999"),
        ({"judge": "grammar/Base"}, "That model is not there any more"),
        ({"max_rows": "0"}, "greater than or equal to 1"),
        ({"name": "a\u200bb"}, "invisible character"),
    ],
)
def test_a_wrong_form_says_what_is_wrong_and_makes_nothing(
    changes, words, bobs, line, of_the_world
):
    given = filled(datasets=[str(of_the_world.pk)]) | changes
    answer = bobs.post(url("new"), given)
    assert answer.status_code == 422
    assert words in answer.text
    assert not Run.objects.exists()


# Where one comes from ----------------------------------------------------------------


@pytest.mark.django_db(databases="__all__")
def test_the_picture_of_a_project_has_the_number_that_tells(
    bobs, line, make_evaluation, project
):
    home = reverse("pages:project-home", args=["grammar"])
    begin = f"{url('new')}?model={line[2].pk}"
    before = bobs.get(home).text
    assert "Find out what came of it" in before
    assert begin in before
    evaluation = make_evaluation()
    waiting = make_evaluation(is_done=False)
    picture = bobs.get(home).context["pipeline"]
    assert [run.pk for run in picture.evaluating] == [waiting.run.pk]
    assert picture.before_tuning == []
    text = bobs.get(home).text
    assert "wins against Instruct" in text
    assert "known questions answered right" in text
    assert url("detail", evaluation.pk) in text


@pytest.mark.django_db(databases="__all__")
def test_a_reward_model_is_told_of_by_its_training_beside_length(bobs, project, bob):
    run = Run.objects.create(
        project=project, kind="reward", name="Judge", spec={}, spec_sha256="",
        state=Run.State.SUCCEEDED, created_by=bob,
        result={"preference": {
            "accuracy": {"value": 0.61, "low": 0.5, "high": 0.7},
            "by_length": {"picks": "shorter", "value": 0.55, "low": 0.5, "high": 0.6},
        }},
    )  # fmt: skip
    LanguageModel.objects.create(
        project=project, name="Judge", stage="reward", architecture="decoder",
        path="models/r", run=run,
    )  # fmt: skip
    text = bobs.get(reverse("pages:project-home", args=["grammar"])).text
    assert "pairs told apart (pick the shorter: 55" in text


def test_a_models_page_leads_to_its_evaluation(bobs, vera, line, make_evaluation):
    page = reverse("models:detail", args=["grammar", line[2].pk])
    begin = f"{url('new')}?model={line[2].pk}"
    assert begin in bobs.get(page).text
    assert "Evaluated" not in bobs.get(page).text
    evaluation = make_evaluation()
    text = bobs.get(page).text
    assert url("detail", evaluation.pk) in text
    bobs.force_login(vera)
    assert begin not in bobs.get(page).text
