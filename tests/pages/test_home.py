"""Home, and the picture of a project."""

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse
from trivium.accounts.models import User
from trivium.datasets.models import Dataset, DatasetVersion
from trivium.models.models import LanguageModel
from trivium.projects.models import Project
from trivium.projects.services import create_project
from trivium.runs.models import Run
from trivium.tokenizers.models import Tokenizer

HOME = reverse("pages:home")
GRAMMAR = "/p/grammar/"
HTMX = {"HX-Request": "true"}


def test_the_only_project_is_home(bobs: Client):
    response = bobs.get(HOME)
    assert response.status_code == 302
    assert response.headers["Location"] == GRAMMAR


def test_several_projects_are_listed_with_what_runs(
    bobs: Client, bob: User, pretrain: Run, set_running: Callable[[Run], None]
):
    set_running(pretrain)
    create_project(name="Logic", created_by=bob)
    page = bobs.get(HOME).text
    assert "1 running · 0 waiting" in page
    assert "Logic" in page
    assert "Nothing runs" in page


def test_whoever_has_no_project_can_make_one(client: Client, db: None):
    client.force_login(User.objects.create_user("newcomer"))
    page = client.get(HOME).text
    assert "no project yet" in page
    assert reverse("projects:new") in page


def test_other_peoples_projects_are_not_listed(client: Client, mallory: User, model):
    create_project(name="Second", created_by=mallory)
    client.force_login(mallory)
    assert "Grammar" not in client.get(HOME).text


def test_an_empty_project_offers_the_sample(bobs: Client, project: Project):
    page = bobs.get(GRAMMAR).text
    assert "three steps" in page
    assert reverse("datasets:sample", args=["grammar"]) in page
    assert "Needs data first" in page
    assert 'hx-trigger="every 3s"' not in page


def test_a_viewer_is_offered_nothing_they_may_not_do(
    client: Client, vera: User, project: Project
):
    client.force_login(vera)
    page = client.get(GRAMMAR).text
    assert reverse("datasets:sample", args=["grammar"]) not in page
    assert "An engineer of this project" in page


def test_data_leads_to_a_tokenizer(bobs: Client, version: DatasetVersion):
    page = bobs.get(GRAMMAR)
    assert page.context["step"].title == "Train a tokenizer"
    assert reverse("tokenizers:new", args=["grammar"]) in page.text
    assert "Fables" in page.text


def test_data_still_being_read_can_be_built_on(bobs: Client, ingest: Run):
    page = bobs.get(GRAMMAR).text
    assert "Being prepared" in page
    assert reverse("tokenizers:new", args=["grammar"]) in page
    assert 'hx-trigger="every 3s"' in page


def test_a_tokenizer_leads_to_pretraining(bobs: Client, tokenizer: Tokenizer):
    page = bobs.get(GRAMMAR)
    assert page.context["step"].title == "Pretrain a model"
    assert reverse("models:new", args=["grammar"]) in page.text


def test_a_run_at_work_is_shown_with_its_progress(
    bobs: Client, pretrain: Run, set_running: Callable[[Run], None]
):
    set_running(pretrain)
    page = bobs.get(GRAMMAR)
    assert page.context["step"].title == "Fabler is learning"
    assert "25\N{NO-BREAK SPACE}%" in page.text
    assert "1\N{NO-BREAK SPACE}min 30\N{NO-BREAK SPACE}s left" in page.text


def test_a_model_shows_its_validation_loss(bobs: Client, model: LanguageModel):
    page = bobs.get(GRAMMAR)
    assert page.context["step"].title == "You have a base model"
    assert "1.876" in page.text
    assert "Collect the choices" in page.text


def test_a_base_model_without_examples_asks_for_some(bobs: Client, model):
    step = bobs.get(GRAMMAR).context["step"]
    assert "pairs of instruction and answer" in step.text
    assert step.url == reverse("datasets:new", args=["grammar"])


def test_a_base_model_is_taught_to_follow_instructions(
    bobs: Client, model: LanguageModel, examples: DatasetVersion
):
    page = bobs.get(GRAMMAR)
    step = page.context["step"]
    assert step.action == "Teach it to follow instructions"
    query = f"?kind=sft&model={model.pk}&datasets={examples.pk}"
    assert step.url == reverse("runs:new", args=["grammar"]) + query
    assert "Teach it to follow instructions →" in page.text
    assert bobs.get(step.url).context["form"].start == model


@pytest.mark.parametrize(
    ("architecture", "kind", "action"),
    [
        ("encoder", "labelled", "Teach it to name labels"),
        ("encoder", "instructions", "Bring examples in"),
        ("encoder-decoder", "text-to-text", "Teach it to rewrite texts"),
    ],
)
def test_each_architecture_is_taught_its_own(
    architecture, kind, action, bobs: Client, model, examples
):
    LanguageModel.objects.update(architecture=architecture)
    Dataset.objects.filter(pk=examples.dataset_id).update(kind=kind)
    assert bobs.get(GRAMMAR).context["step"].action == action


def test_examples_stand_at_their_stage(bobs: Client, version, examples):
    picture = bobs.get(GRAMMAR).context["pipeline"]
    assert picture.versions == [version]
    assert picture.examples == [examples]


def test_a_run_being_checked_is_shown_once_at_its_stage(bobs: Client, sft: Run):
    page = bobs.get(GRAMMAR)
    assert page.context["pipeline"].tuning == [sft]
    assert page.context["pipeline"].before_tuning == []
    assert page.context["step"].title == "Guide is being checked"


def test_a_tuned_model_is_shown_at_its_stage(bobs: Client, sft: Run, model):
    Run.objects.update(state=Run.State.SUCCEEDED)
    tuned = LanguageModel.objects.get(run=sft)
    LanguageModel.objects.filter(pk=tuned.pk).update(path="models/guide")
    page = bobs.get(GRAMMAR)
    assert page.context["pipeline"].tuned == tuned
    assert page.context["pipeline"].model == model
    assert page.context["step"].title == "You have an instruct model"


def test_an_aligned_model_is_looked_at_next(bobs: Client, sft: Run, model):
    Run.objects.update(state=Run.State.SUCCEEDED)
    LanguageModel.objects.filter(run=sft).update(path="models/guide")
    aligned = LanguageModel.objects.create(
        project=model.project, name="Kind", stage="aligned", path="models/kind"
    )
    step = bobs.get(GRAMMAR).context["step"]
    assert (step.title, step.action) == ("You have an aligned model", "Find out")
    assert step.url.endswith(f"?model={aligned.pk}")


def test_a_failure_is_the_next_thing_to_look_at(bobs: Client, pretrain: Run):
    Run.objects.filter(pk=pretrain.pk).update(
        state=Run.State.FAILED, reason="The loss became NaN."
    )
    page = bobs.get(GRAMMAR)
    assert page.context["step"].title == "Fabler failed"
    assert "The loss became NaN." in page.text
    assert reverse("runs:detail", args=["grammar", pretrain.pk]) in page.text


def test_what_a_failed_run_left_empty_is_not_shown(bobs: Client, ingest: Run):
    Run.objects.filter(pk=ingest.pk).update(state=Run.State.FAILED)
    assert bobs.get(GRAMMAR).context["pipeline"].versions == []


def test_htmx_gets_the_picture_and_goes_on_asking_while_something_runs(
    bobs: Client, pretrain: Run
):
    page = bobs.get(GRAMMAR, headers=HTMX)
    assert page.status_code == 200
    assert "<html" not in page.text
    assert 'hx-trigger="every 3s"' in page.text


def test_htmx_stops_asking_when_nothing_runs(bobs: Client, model: LanguageModel):
    page = bobs.get(GRAMMAR, headers=HTMX)
    assert page.status_code == 286
    assert "hx-trigger" not in page.text


def test_a_paused_run_does_not_keep_pages_asking(bobs: Client, pretrain: Run):
    Run.objects.filter(pk=pretrain.pk).update(state=Run.State.PAUSED)
    assert bobs.get(GRAMMAR, headers=HTMX).status_code == 286


def test_names_are_text(bobs: Client, pretrain: Run):
    Run.objects.filter(pk=pretrain.pk).update(name="<script>alert(1)</script>")
    page = bobs.get(GRAMMAR).text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_many_runs_cost_no_more_queries(
    bobs: Client, pretrain: Run, django_assert_max_num_queries
):
    copies = [
        Run(
            project=pretrain.project,
            kind=pretrain.kind,
            name=f"Copy {number}",
            spec=pretrain.spec,
            spec_sha256=pretrain.spec_sha256,
        )
        for number in range(60)
    ]
    Run.objects.bulk_create(copies)
    with django_assert_max_num_queries(23):
        page = bobs.get(GRAMMAR)
    assert page.context["pipeline"].num_more_runs == 58


def test_strangers_see_nothing(client: Client, mallory: User, project: Project):
    client.force_login(mallory)
    assert client.get(GRAMMAR).status_code == 404
    assert client.get("/p/no-such/").status_code == 404


def test_whoever_is_not_signed_in_is_asked_to(client: Client, project: Project):
    for url in (HOME, GRAMMAR):
        response = client.get(url)
        assert response.status_code == 302
        assert "login" in response.headers["Location"]


def test_pages_take_no_writes(bobs: Client, project: Project):
    assert bobs.post(GRAMMAR).status_code == 405
