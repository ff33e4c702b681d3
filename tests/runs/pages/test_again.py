"""Run again, and preflights out of the way."""

import pytest
from runspec import PreflightSpec, SftSpec
from trivium.datasets.models import Dataset, DatasetVersion
from trivium.models.models import LanguageModel
from trivium.pages.queue import queue_line
from trivium.runs import kinds
from trivium.runs.models import Run

pytestmark = pytest.mark.django_db(databases=["default", "metrics"])
HTMX = {"HX-Request": "true"}


@pytest.fixture
def sft(project, bob) -> Run:
    """A fine-tuning run, and with it the preflight it waits for."""
    dataset = Dataset.objects.create(
        project=project, name="Questions", kind="instructions"
    )
    version = DatasetVersion.objects.create(dataset=dataset, number=1, path="d/q")
    model = LanguageModel.objects.create(
        project=project, name="Base", stage="base", architecture="decoder", path="m/b"
    )
    spec = SftSpec(model=str(model.pk), datasets=(str(version.pk),))
    return kinds.start_run(project=project, created_by=bob, spec=spec, name="Tuned")


@pytest.mark.parametrize("state", [state.value for state in Run.State])
def test_any_run_is_run_again_under_a_free_name(state, bobs, pretrain, set_state, url):
    set_state(pretrain, state)
    page = bobs.post(url("again", pretrain), follow=True)
    new = page.context["run"]
    assert (new.spec, new.name) == (pretrain.spec, "Model 2")
    assert new.continues is None
    assert LanguageModel.objects.get(run=pretrain).name == "Model"
    page = bobs.post(url("again", new), follow=True)
    assert page.context["run"].name == "Model 3"


def test_an_ingest_run_again_makes_a_new_version(bobs, ingest, url):
    new = bobs.post(url("again", ingest), follow=True).context["run"]
    assert new.dataset_version.dataset.name == "Corpus"
    assert new.dataset_version.number == 2


def test_a_run_whose_input_is_gone_says_so(bobs, pretrain, version, url):
    DatasetVersion.objects.filter(pk=version.pk).delete()
    page = bobs.post(url("again", pretrain), follow=True)
    assert b"this project has no dataset" in page.content
    assert Run.objects.filter(kind="pretrain").count() == 1


def test_a_spec_of_other_times_says_so(bobs, pretrain, url):
    Run.objects.filter(pk=pretrain.pk).update(spec={**pretrain.spec, "layers": 0})
    page = bobs.post(url("again", pretrain), follow=True)
    assert b"greater than or equal to 1" in page.content


def test_a_preflight_is_not_run_again_alone(bobs, sft, url):
    check = sft.depends_on.get(kind="preflight")
    page = bobs.post(url("again", check), follow=True)
    assert b"run that one again" in page.content


def test_only_engineers_run_again(client, vera, mallory, pretrain, url):
    for user, status in ((vera, 403), (mallory, 404)):
        client.force_login(user)
        assert client.post(url("again", pretrain)).status_code == status
    client.logout()
    assert client.post(url("again", pretrain)).status_code == 302
    assert Run.objects.filter(kind="pretrain").count() == 1


def test_the_page_offers_changes_and_a_sweep(bobs, pretrain, set_state, url):
    set_state(pretrain, "succeeded")
    text = bobs.get(url("detail", pretrain)).content.decode()
    assert f"?kind=pretrain&amp;from={pretrain.pk}" in text
    assert url("sweep", pretrain) in text


def test_preflights_are_listed_only_when_asked_for(bobs, sft, url):
    kinds_shown = [row.run.kind for row in bobs.get(url("list")).context["rows"]]
    assert kinds_shown == ["sft"]
    page = bobs.get(url("list"), {"kind": "preflight"})
    assert [row.run.kind for row in page.context["rows"]] == ["preflight"]
    rows = bobs.get(url("export"), {"format": "json"}).json()["runs"]
    assert [row["kind"] for row in rows] == ["sft"]


def test_a_preflight_of_its_own_is_listed(bobs, sft, url):
    check = sft.depends_on.get(kind="preflight")
    sft.depends_on.clear()
    listed = [row.run for row in bobs.get(url("list")).context["rows"]]
    assert listed == [sft, check]


def test_the_queue_counts_what_people_started(sft, project):
    assert Run.objects.count() == 2
    assert queue_line(project.slug).num_queued == 1


def test_a_preflight_is_not_announced_as_new(bobs, ingest, sft, url):
    query = {"seen": f"{ingest.pk}.{ingest.version}", "newest": str(ingest.pk)}
    answer = bobs.get(url("rows"), query, headers=HTMX)
    assert b"1 new run\n" in answer.content


def test_the_run_shows_its_preflight_and_the_preflight_its_run(bobs, sft, url):
    check = sft.depends_on.get(kind="preflight")
    assert isinstance(PreflightSpec.model_validate(check.spec).training, SftSpec)
    listed = bobs.get(url("list")).content.decode()
    assert url("detail", check) in listed
    assert url("detail", check) in bobs.get(url("detail", sft)).content.decode()
    assert url("detail", sft) in bobs.get(url("detail", check)).content.decode()
