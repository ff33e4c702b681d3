"""Pages of pipelines: who sees them, what they show, what they make."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pipelines_lab import (
    LABELED,
    THREE,
    answer_prompts,
    elsewhere,
    fail,
    finish,
    make_model,
    make_version,
    step_of,
    vote,
    words,
)
from trivium.campaigns.models import Campaign
from trivium.evaluations.models import Evaluation
from trivium.pipelines.models import Pipeline
from trivium.runs.errors import SubmitError
from trivium.runs.models import Run
from trivium.runs.sweeping import sweep

pytestmark = pytest.mark.django_db
HOME = "/p/grammar/pipelines/"


def signed_in(user) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def engineer(bob, project) -> Client:
    return signed_in(bob)


def test_an_empty_list_says_what_a_pipeline_is(engineer, vera):
    page = engineer.get(HOME).content.decode()
    assert "No pipelines yet" in page
    assert f'href="{HOME}new/"' in page
    assert (
        "new/" not in signed_in(vera).get(HOME).content.decode().partition("<main")[2]
    )


def test_the_picture_shows_stages_data_and_states(make, engineer):
    pipeline = make()
    page = engineer.get(f"{HOME}{pipeline.pk}/").content.decode()
    for road in ("grammar", "logic", "rhetoric"):
        assert f'class="stage stage--{road}"' in page
    assert "Text v1" in page
    assert "Preferred v1" in page
    assert 'hx-trigger="every 3s"' in page
    listed = engineer.get(HOME).content.decode()
    assert "0 / 4" in listed
    home = engineer.get("/p/grammar/").content.decode()
    assert f'href="{HOME}"' in home


def test_numbers_stand_at_the_steps_that_made_them(make, engineer):
    pipeline = make()
    finish(step_of(pipeline, "tokenizer").run)
    finish(step_of(pipeline, "base").run, validation_loss=2.5)
    finish(
        step_of(pipeline, "instruct").run,
        validation_loss=1.25, measured={"exact_match": 0.75},
    )  # fmt: skip
    finish(
        step_of(pipeline, "aligned").run,
        preference={
            "accuracy": {"value": 0.8, "low": 0.6, "high": 0.9},
            "by_length": {"value": 0.55},
        },
    )
    page = engineer.get(f"{HOME}{pipeline.pk}/").content.decode()
    for text in ("2.5", "exact answers", "75\xa0%", "80\xa0%"):
        assert text in page, text
    assert "95 % interval 60\xa0% to 90\xa0%, by length alone 55\xa0%" in page
    assert 'hx-trigger="every 3s"' not in page
    part = engineer.get(f"{HOME}{pipeline.pk}/", headers={"HX-Request": "true"})
    assert part.status_code == 286
    assert b"<html" not in part.content


EVALUATED = (
    THREE
    + """
  - name: evaluation
    kind: evaluate
    models: [{from: base}, {from: instruct}]
    datasets: [Asked]
"""
)


def test_an_evaluation_says_whose_its_figures_are_and_leads_to_its_page(make, engineer):
    pipeline = make(EVALUATED)
    url = f"{HOME}{pipeline.pk}/"
    for name in ("tokenizer", "base", "instruct"):
        finish(step_of(pipeline, name).run)
    sweep()
    run = step_of(pipeline, "evaluation").run
    measured = {"name": "exact", "model": 1, "estimate": {"value": 0.5}}
    finish(run, measures=[measured])
    page = engineer.get(url).content.decode()
    assert "of <bdi>instruct, beside base</bdi>" in page
    assert "What came of it" not in page
    Evaluation.objects.filter(run=run).update(facts={"measures": [measured]})
    page = engineer.get(url).content.decode()
    assert f'href="/p/grammar/evaluate/{run.evaluation.pk}/"' in page


def test_a_failed_step_says_why_and_is_tried_again(make, engineer):
    pipeline = make()
    fail(step_of(pipeline, "tokenizer").run, "The text is too short.")
    url = f"{HOME}{pipeline.pk}/"
    page = engineer.get(url).content.decode()
    assert "The text is too short." in page
    assert "waits for step tokenizer, which failed: The text is too short" in page
    assert engineer.post(f"{url}steps/tokenizer/retry/").status_code == 302
    assert words(pipeline)["tokenizer"] == "queued"
    refused = engineer.post(f"{url}steps/tokenizer/retry/", follow=True)
    assert "only a failed or cancelled step" in refused.content.decode()


def test_a_step_is_edited_as_yaml(make, engineer):
    pipeline = make()
    url = f"{HOME}{pipeline.pk}/steps/base/edit/"
    page = engineer.get(url).content.decode()
    assert "dataset: Text@1" in page
    assert "from: tokenizer" in page
    assert "<code>learning_rate</code>" in page
    wrong = engineer.post(url, {"settings": "dataset: Text\nwidth: wide"})
    assert wrong.status_code == 422
    assert "Step base: width: input should" in wrong.content.decode()
    text = "dataset: Text@1\ntokenizer: {from: tokenizer}\nlayers: 2"
    assert engineer.post(url, {"settings": text}).status_code == 302
    assert step_of(pipeline, "base").run.spec["layers"] == 2
    assert step_of(pipeline, "base").run.spec["width"] == 128
    finish(step_of(pipeline, "tokenizer").run)
    late = engineer.post(
        f"{HOME}{pipeline.pk}/steps/tokenizer/edit/", {"settings": "dataset: Text"}
    )
    assert late.status_code == 422
    assert "can be edited" in late.content.decode()


def test_a_campaign_shows_its_votes_and_where_to_label(
    make, bob, lara, vera, engineer, project
):
    elsewhere(bob)
    make_model(project, "Instruct")
    pipeline = make(LABELED)
    campaign = answer_prompts(pipeline)
    vote(campaign, 1)
    page = signed_in(lara).get(f"{HOME}{pipeline.pk}/").content.decode()
    assert "1 of 2 votes" in page
    assert f'href="/p/grammar/label/{campaign.pk}/vote/"' in page
    assert "Cancel pipeline" not in page
    assert "Instruct" in page
    assert "Prompts v1" not in page, "who answers what would sway those who label"
    assert "Rounds" not in page
    assert (
        "Label →" not in signed_in(vera).get(f"{HOME}{pipeline.pk}/").content.decode()
    )


def test_votes_are_counted_towards_what_ends_the_campaign(make, bob, engineer, project):
    elsewhere(bob)
    make_model(project, "Instruct")
    pipeline = make(LABELED)
    url = f"{HOME}{pipeline.pk}/"
    assert "0 of 2 votes" in engineer.get(url).content.decode()
    campaign = answer_prompts(pipeline, 3)
    Campaign.objects.update(target_votes=60)
    wanted = campaign.items.count()
    assert f"0 of {wanted} votes" in engineer.get(url).content.decode()
    vote(campaign, wanted)
    sweep()
    finish(step_of(pipeline, "labels").run, rows=2)
    page = engineer.get(url).content.decode()
    assert f"{wanted} votes, 2 pairs to learn from" in page


def chosen(project, **changes) -> dict[str, str]:
    versions = {
        one.dataset.name: one.pk
        for dataset in project.datasets.all()
        for one in dataset.versions.all()
    }
    return {
        "name": "All three",
        "text": versions["Text"],
        "instructions": versions["Asked"],
        "preferences": versions["Preferred"],
        "prompts": "",
        "target_votes": 60,
        "align": "both",
        "size": "tiny",
        "steps": 200,
        "evaluates": "on",
        **changes,
    }


@pytest.mark.usefixtures("data")
def test_the_form_makes_all_three_stages(project, engineer):
    assert engineer.get(f"{HOME}new/").status_code == 200
    made = engineer.post(f"{HOME}new/", chosen(project))
    assert made.status_code == 302, made.content.decode()
    pipeline = Pipeline.objects.get()
    assert [(step.name, step.kind) for step in pipeline.steps.all()] == [
        ("tokenizer", "tokenizer"),
        ("base", "pretrain"),
        ("base-evaluation", "evaluate"),
        ("instruct", "sft"),
        ("instruct-evaluation", "evaluate"),
        ("reward", "reward"),
        ("rlhf", "rlhf"),
        ("dpo", "dpo"),
        ("dpo-evaluation", "evaluate"),
        ("rlhf-evaluation", "evaluate"),
        ("all-evaluation", "evaluate"),
    ]
    assert words(pipeline)["rlhf"] == "waiting"
    assert step_of(pipeline, "rlhf").run is not None
    assert engineer.get(made.url).status_code == 200


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize("align", ["dpo", "rlhf", "both"])
@pytest.mark.parametrize("evaluates", ["on", ""])
def test_a_campaign_in_the_form_waits_for_the_instruct_model(
    project, engineer, align, evaluates
):
    values = chosen(
        project, align=align, preferences="campaign", prompts="", evaluates=evaluates
    )
    assert "Choose what the campaign asks" in (
        engineer.post(f"{HOME}new/", values).content.decode()
    )
    prompts = project.datasets.get(name="Prompts").versions.get()
    made = engineer.post(f"{HOME}new/", values | {"prompts": prompts.pk})
    assert made.status_code == 302, made.content.decode()
    pipeline = Pipeline.objects.get()
    assert step_of(pipeline, "labels").campaign is None
    for name in ("tokenizer", "base", "instruct"):
        finish(step_of(pipeline, name).run)
    sweep()
    campaign = step_of(pipeline, "labels").campaign
    assert campaign.target_votes == 60
    assert campaign.answerers.count() == 2
    assert words(pipeline)["labels"] == "queued"
    assert engineer.get(made.url).status_code == 200


@pytest.mark.usefixtures("data")
def test_the_form_begins_with_the_newest_prompts_and_says_where_to_get_some(
    project, engineer
):
    newest = make_version(project, "Prompts", "prompts")
    page = engineer.get(f"{HOME}new/")
    assert f'<option value="{newest.pk}" selected>' in page.content.decode()
    assert "Bring prompts in" not in page.content.decode()
    project.datasets.get(name="Prompts").delete()
    values = chosen(project, preferences="campaign", prompts="")
    page = engineer.post(f"{HOME}new/", values)
    assert page.status_code == 422
    assert "Bring in prompts first" in page.content.decode()
    assert "Bring prompts in" in page.content.decode()


@pytest.mark.usefixtures("data")
def test_the_form_shows_its_yaml_first_and_that_makes_the_same(project, engineer):
    values = chosen(project, align="dpo", evaluates="")
    page = engineer.post(f"{HOME}new/", {**values, "as_yaml": "1"})
    assert page.status_code == 200
    text = page.context["form"].initial["yaml"]
    assert "dataset: Text@1" in text
    assert not Pipeline.objects.exists()
    made = engineer.post(f"{HOME}new/yaml/", {"yaml": text.replace("\n", "\r\n")})
    assert made.status_code == 302
    assert Pipeline.objects.get().steps.count() == 4


@pytest.mark.usefixtures("data")
def test_yaml_is_pasted_or_sent(engineer):
    url = f"{HOME}new/yaml/"
    assert engineer.post(url, {"yaml": THREE}).status_code == 302
    file = SimpleUploadedFile("stages.yaml", THREE.encode())
    assert engineer.post(url, {"file": file}).status_code == 302
    assert Pipeline.objects.count() == 2
    for wrong, said in (
        ({}, "Paste a description, or choose a file"),
        ({"yaml": "a: *b"}, "aliases"),
        ({"file": SimpleUploadedFile("x", b"\xff\xfe")}, "no text in UTF-8"),
        ({"file": SimpleUploadedFile("x", b"x" * 200_001)}, "larger than 200,000"),
    ):
        page = engineer.post(url, wrong)
        assert page.status_code == 422
        assert said in page.content.decode()
    assert Pipeline.objects.count() == 2


def test_without_data_the_form_says_what_is_missing(engineer):
    page = engineer.get(f"{HOME}new/").content.decode()
    assert "Bring in a text to learn from first." in page


def test_a_pipeline_is_cancelled_and_forgotten(make, engineer):
    pipeline = make()
    url = f"{HOME}{pipeline.pk}/"
    early = engineer.post(f"{url}delete/", follow=True)
    assert "cancel the pipeline first" in early.content.decode()
    assert engineer.post(f"{url}cancel/").status_code == 302
    assert set(words(pipeline).values()) == {"cancelled"}
    again = engineer.post(f"{url}cancel/", follow=True).content.decode()
    assert "left to cancel" in again
    assert "Delete this pipeline" in again
    assert engineer.post(f"{url}delete/").status_code == 302
    assert not Pipeline.objects.exists()
    assert Run.objects.exists()


def test_its_yaml_is_a_file(make, engineer):
    pipeline = make()
    answer = engineer.get(f"{HOME}{pipeline.pk}/yaml/")
    assert answer["Content-Disposition"] == 'attachment; filename="stages.yaml"'
    assert answer.content.decode().startswith("name: Stages\nsteps:\n")


def test_strangers_see_nothing_and_viewers_change_nothing(
    make, vera, lara, mallory, project
):
    pipeline = make()
    url = f"{HOME}{pipeline.pk}/"
    assert signed_in(lara).get(f"{url}yaml/").status_code == 403
    for path in (HOME, url, f"{url}yaml/"):
        assert Client().get(path).status_code == 302
        assert signed_in(mallory).get(path).status_code == 404
        assert signed_in(vera).get(path).status_code == 200
    for path in (f"{HOME}new/", f"{HOME}new/yaml/", f"{url}steps/base/edit/"):
        assert signed_in(lara).get(path).status_code == 403
        assert signed_in(mallory).get(path).status_code == 404
    for path in ("cancel/", "delete/", "steps/base/retry/", "steps/base/edit/"):
        assert signed_in(lara).post(url + path).status_code == 403
        assert signed_in(mallory).post(url + path).status_code == 404
    elsewhere_ = url.replace("/grammar/", "/elsewhere/")
    assert signed_in(mallory).get(elsewhere_).status_code == 404
    assert words(pipeline)["tokenizer"] == "queued"


def test_names_are_shown_as_they_are_and_nothing_runs(make, engineer, project):
    make_version(project, "<script>alert(1)</script>", "text")
    text = THREE.replace("name: Stages", 'name: "<b>x</b> \u202e"')
    with pytest.raises(SubmitError, match="invisible character"):
        make(text)
    text = text.replace(" \u202e", "").replace(
        "dataset: Text\n    tok", 'dataset: "<script>alert(1)</script>"\n    tok'
    )
    pipeline = make(text)
    page = engineer.get(f"{HOME}{pipeline.pk}/").content.decode()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert "<b>x" not in page
