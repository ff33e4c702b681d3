"""Runs that ask models: what their specs refer to, and that every page copes."""

import re

import pytest
from runspec import SPECS, GenerateSpec
from runspec.labels import Source
from trivium.cli.flags import spec_parser
from trivium.datasets.services import InUseError
from trivium.models.queries import what_uses
from trivium.models.services import delete_model
from trivium.projects.services import create_project
from trivium.runs import kinds, retention
from trivium.runs.differences import changes_between, name_references
from trivium.runs.errors import SubmitError
from trivium.runs.models import Checkpoint, Run
from trivium.runs.watching import TABS
from trivium.serving.services import add_endpoint

pytestmark = pytest.mark.django_db(databases=["default", "metrics"])

GREEDY = {"temperature": 0.0, "max_tokens": 64}


@pytest.fixture
def prompts(make_dataset):
    turns = [{"role": "user", "content": "Why?", "tool_calls": None}]
    return make_dataset("prompts", [{"prompt": turns, "is_chat": True}])


@pytest.fixture
def generate(project, bob, model, prompts) -> Run:
    """A queued run in which one model answers twice, named in two ways."""
    return queue(project, bob, prompts, "grammar/Fabler", "Fabler")


def queue(project, user, prompts, *answerers: str, **values: object) -> Run:
    given = {"samplings": (GREEDY, {})[: len(answerers)]} | values
    spec = GenerateSpec(prompts=str(prompts.pk), answerers=answerers, **given)
    return kinds.start_run(project=project, created_by=user, spec=spec)


def test_a_choice_is_kept_by_its_whole_id_and_becomes_a_source(generate, model):
    assert generate.spec["answerers"] == ["grammar/Fabler"] * 2
    spec = kinds.resolve_spec(generate)
    source = Source.model_validate_json(spec.answerers[1])
    assert (source.id, source.title, source.is_chat) == (
        "grammar/Fabler", "Fabler", False
    )  # fmt: skip
    assert source.model.key == f"model-{model.pk}"
    assert spec.prompts.endswith(f"datasets/made-{model.project.datasets.get().pk}")


def test_a_choice_that_vanished_is_told_of_when_the_run_begins(generate, model):
    model.delete()
    with pytest.raises(SubmitError, match="answerers: there is no model"):
        kinds.resolve_spec(generate)


def test_a_run_goes_on_when_who_started_it_is_gone(generate, bob):
    Run.objects.filter(pk=generate.pk).update(created_by=None)
    generate.refresh_from_db()
    assert kinds.resolve_spec(generate).answerers


@pytest.mark.parametrize(
    ("answerer", "why"),
    [
        ("elsewhere/Theirs", "there is no model"),
        ("Theirs", "there is no model"),
        ("grammar/Reader", "writes no text"),
        ("grammar/run-1@5", "there is no model"),
        ("off/big", "there is no model"),
        ("a\0b", "there is no model"),
        ("", "there is no model"),
    ],
)
def test_what_may_not_or_cannot_answer_is_refused(
    answerer, why, project, bob, root, prompts, make_model
):
    other = create_project(name="Elsewhere", created_by=root)
    theirs = make_model("Theirs")
    theirs.project = other
    theirs.save()
    make_model("Reader", "encoder")
    values = {"url": "http://gpu-1/v1", "model_ids": ["big"], "created_by": root}
    endpoint = add_endpoint(name="off", api_key="", **values)
    endpoint.is_enabled = False
    endpoint.save()
    with pytest.raises(SubmitError, match=why) as refused:
        queue(project, bob, prompts, answerer, answerer)
    assert refused.value.field == "answerers"
    assert not Run.objects.exists()


def test_prompts_that_nobody_answers_are_refused(project, bob, prompts):
    with pytest.raises(SubmitError, match="this run reads preferences"):
        queue(project, bob, prompts)


def test_a_model_that_is_to_answer_is_not_deleted(generate, model, set_state):
    assert what_uses(model) == [f"run {generate}"]
    with pytest.raises(InUseError):
        delete_model(model)
    set_state(generate, "cancelled")
    assert what_uses(model) == []


def test_a_checkpoint_that_is_to_answer_stays(generate, pretrain, set_state):
    for step in (5, 10):
        Checkpoint.objects.create(
            run=pretrain, step=step, fence=1, path=f"c/{step}", manifest_sha256="0" * 64
        )
    assert retention.steps_needed(pretrain.pk) == set()
    asked = {**generate.spec, "answerers": [f"grammar/run-{pretrain.pk}@5"] * 2}
    Run.objects.filter(pk=generate.pk).update(spec=asked)
    assert retention.steps_needed(pretrain.pk) == {5}
    set_state(generate, "succeeded")
    assert retention.steps_needed(pretrain.pk) == set()


@pytest.mark.parametrize("tab", ["", *TABS])
def test_every_tab_of_its_page_is_readable(tab, bobs, generate, url):
    page = bobs.get(url("detail", generate), {"tab": tab})
    assert page.status_code == 200


def test_its_page_says_how_each_answers_and_who(bobs, generate, url):
    text = bobs.get(url("detail", generate), {"tab": "spec"}).content.decode()
    assert re.search(r"max tokens 64, temperature 0;\s+as usual", text)
    assert "Fabler" in text
    assert "&#x27;temperature&#x27;" not in text


def test_a_failure_offers_no_field_that_a_form_cannot_hold(
    bobs, generate, set_state, url
):
    advice = "Choose other answerers, samplings or prompts."
    set_state(generate, "failed", fence=1, error_class="bad_input", advice=advice)
    page = bobs.get(url("detail", generate))
    assert page.status_code == 200
    assert 'name="answerers"' not in page.content.decode()


def test_two_of_them_are_compared_in_words(
    bobs, project, bob, generate, prompts, make_model, url
):
    make_model("Other")
    other = queue(project, bob, prompts, "Fabler", "Other", samplings=({}, {}))
    runs = [generate, other]
    assert [str(one) for one in changes_between(*runs, name_references(runs))] == [
        "who answers grammar/Fabler + grammar/Fabler → grammar/Fabler + grammar/Other",
        "sampling max tokens 64, temperature 0; as usual → as usual; as usual",
    ]
    pks = [run.pk for run in runs]
    assert bobs.get(url("compare"), {"run": pks}).status_code == 200


@pytest.mark.parametrize("kind", SPECS)
def test_every_kind_has_flags(kind):
    assert spec_parser(kind, prog="x").format_help()
