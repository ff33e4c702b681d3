"""The form that queues a run, and the estimate beside it."""

import re

import pytest
from runspec import SPECS, PretrainSpec
from runspec.families import FAMILIES
from runspec.sizing import PRESETS
from trivium.models.models import LanguageModel
from trivium.runs.forms import SpecForm
from trivium.runs.models import Run
from trivium.tokenizers.models import Tokenizer

pytestmark = pytest.mark.django_db(databases=["default", "metrics"])


@pytest.fixture
def filled(project, pretrain):
    """Values of a valid pretraining form, as a browser sends them."""

    def fill(kind: str = "pretrain", **changes) -> dict[str, str]:
        form = SpecForm(project, kind)
        values = {name: form[name].initial for name in form.fields}
        values |= {"dataset": pretrain.spec["dataset"]} | changes
        return {
            name: "on" if value is True else value
            for name, value in values.items()
            if value is not None and value is not False
        }

    return fill


def parameters(response) -> int:
    found = re.search(r'Parameters</dt>\s*<dd title="([0-9,]+)"', text_of(response))
    assert found is not None
    return int(found[1].replace(",", ""))


def text_of(response) -> str:
    return response.content.decode()


def new(url, kind: str = "pretrain") -> str:
    return f"{url('new')}?kind={kind}"


def test_the_form_has_every_setting_of_the_spec(bobs, pretrain, url):
    form = bobs.get(new(url, "tokenizer")).context["form"]
    assert set(SPECS["tokenizer"].model_fields) - {"kind"} <= set(form.fields)


def test_every_pretraining_setting_is_there_for_some_family(project, pretrain):
    found: set[str] = set()
    for family in FAMILIES:
        found |= set(SpecForm(project, "pretrain", settings={"family": family}).fields)
    assert set(SPECS["pretrain"].model_fields) - {"kind"} <= found


def test_a_run_of_data_still_being_read_may_be_queued(bobs, filled, url):
    page = bobs.post(new(url), filled(name="Whale", layers="2"), follow=True)
    run = page.context["run"]
    assert (run.name, run.state, run.spec["layers"]) == ("Whale", "waiting", 2)
    assert run.spec["sample_prompts"] == [""]


def test_a_tokenizer_run_is_queued(bobs, filled, url):
    values = filled("tokenizer", special_tokens="<a>\r\n<b>\r\n", name="Words")
    run = bobs.post(new(url, "tokenizer"), values, follow=True).context["run"]
    assert run.kind == "tokenizer"
    assert run.spec["special_tokens"] == ["<a>", "<b>"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"layers": "0"}, "layers"),
        ({"layers": "many"}, "layers"),
        ({"width": "130"}, "width"),
        ({"dataset": "999999"}, "dataset"),
        ({"tokenizer": ""}, "tokenizer"),
        ({"learning_rate": "nan"}, "learning_rate"),
        ({"learning_rate": "0"}, "learning_rate"),
        ({"family": "gpt2", "dropout": "1"}, "dropout"),
        ({"warmup_steps": "5000"}, "warmup_steps"),
        ({"max_steps": "9" * 40}, "max_steps"),
        ({"family": "rnn"}, "family"),
        ({"sample_prompts": "a\n" * 9}, "sample_prompts"),
        ({"name": "x" * 201}, "name"),
        ({"name": "a\0b"}, "name"),
    ],
)
def test_an_error_stands_at_its_field(changes, field, bobs, filled, url):
    page = bobs.post(new(url), filled(**changes))
    assert page.status_code == 200
    assert list(page.context["form"].errors) == [field]
    assert Run.objects.filter(kind="pretrain").count() == 1


def test_a_taken_name_is_said_at_the_name(bobs, filled, pretrain, url):
    page = bobs.post(new(url), filled(name=pretrain.name))
    assert "name" in page.context["form"].errors


def test_errors_in_folded_settings_open_them(bobs, filled, url):
    page = bobs.post(new(url), filled(warmup_steps="5000")).content.decode()
    assert re.search(r'<details[^>]*id="more-settings"\s+open', page)


def test_another_projects_data_is_not_offered(client, mallory, pretrain):
    client.force_login(mallory)
    form = client.get("/p/elsewhere/runs/new/?kind=pretrain").context["form"]
    assert form.fields["dataset"].choices == [("", "No dataset yet")]


def test_an_empty_project_leads_to_data(client, bob, project, url):
    client.force_login(bob)
    assert "Bring data in" in client.get(new(url)).content.decode()
    assert client.get(new(url, "tokenizer")).status_code == 200


def test_a_new_run_begins_with_the_settings_of_another(bobs, pretrain, url):
    Run.objects.filter(pk=pretrain.pk).update(spec={**pretrain.spec, "layers": 7})
    page = bobs.get(f"{new(url)}&from={pretrain.pk}")
    assert page.context["form"]["layers"].initial == 7


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_makes_a_valid_spec(name, bobs, filled, url):
    page = bobs.get(new(url), {"kind": "pretrain", "preset": name})
    assert page.context["outlook"] is not None
    values = {key: str(value) for key, value in PRESETS[name].items()}
    answer = bobs.post(f"{url('estimate')}?kind=pretrain", filled(**values))
    assert parameters(answer) > 0


def test_the_estimate_follows_the_form(bobs, filled, url):
    small = bobs.post(f"{url('estimate')}?kind=pretrain", filled())
    large = bobs.post(f"{url('estimate')}?kind=pretrain", filled(layers="8"))
    assert b"<html" not in small.content
    assert parameters(small) < parameters(large)
    assert Run.objects.filter(kind="pretrain").count() == 1


def test_an_estimate_of_wrong_values_says_what_is_wrong(bobs, filled, url):
    page = bobs.post(f"{url('estimate')}?kind=pretrain", filled(width="130"))
    assert page.status_code == 200
    assert "not a multiple of heads" in page.content.decode()


def test_a_learnt_vocabulary_is_counted(bobs, filled, pretrain, url):
    Tokenizer.objects.update(vocabulary_size=50_000, path="tokenizers/x")
    page = bobs.post(f"{url('estimate')}?kind=pretrain", filled())
    assert parameters(page) > 50_000 * 128


@pytest.mark.parametrize("name", ["new", "estimate"])
def test_who_may_queue_runs(name, client, vera, lara, mallory, project, url):
    ask = client.post if name == "estimate" else client.get
    for user, status in ((vera, 403), (lara, 403), (mallory, 404)):
        client.force_login(user)
        assert ask(url(name)).status_code == status
    client.logout()
    assert ask(url(name)).status_code == 302


@pytest.mark.parametrize("kind", ["ingest", "nonsense", "", "\0"])
def test_a_kind_without_a_form_is_not_found(kind, bobs, project, url):
    assert bobs.get(url("new"), {"kind": kind}).status_code == 404


def redrawn(bobs, url, query: str = "", **sent):
    """Return the form as it is drawn anew."""
    address = f"{url('redraw')}?kind=pretrain{query}"
    return bobs.post(address, sent, headers={"HX-Request": "true"}).context["form"]


def test_another_architecture_brings_its_first_family(bobs, pretrain, url):
    form = redrawn(bobs, url, architecture="encoder", family="llama", layers="3")
    assert form.value_of("family") == "bert"
    assert form.value_of("layers") == "3"
    assert "whole_words" in form.fields
    assert "kv_heads" not in form.fields


def test_a_size_keeps_the_architecture(bobs, pretrain, url):
    sent = {"architecture": "encoder", "family": "roberta", "layers": "1"}
    form = redrawn(bobs, url, "&preset=tiny", **sent)
    assert form.value_of("family") == "roberta"
    assert form.value_of("layers") == PRESETS["tiny"]["layers"]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_can_be_queued_with_its_defaults(
    family, bobs, filled, pretrain, url
):
    sent = filled(family=family, max_steps="200")
    run = bobs.post(new(url), sent, follow=True).context["run"]
    assert run.kind == "pretrain"
    assert run.spec["family"] == family


def test_going_on_from_a_model_takes_its_family(bobs, filled, model, pretrain, url):
    sent = filled(base_model=str(model.pk), layers="9", family="bert")
    run = bobs.post(new(url), sent, follow=True).context["run"]
    assert run.spec["base_model"] == str(model.pk)
    assert run.spec["family"] == "llama"
    assert run.spec["tokenizer"] is None
    assert run.spec["layers"] == PretrainSpec.model_fields["layers"].default


def test_a_model_of_an_unknown_family_cannot_be_gone_on_from(
    bobs, filled, model, pretrain, url
):
    LanguageModel.objects.filter(pk=model.pk).update(family="mamba")
    page = bobs.post(new(url), filled(base_model=str(model.pk)))
    [error] = page.context["form"].errors["base_model"]
    assert "is of the family mamba" in error


def test_the_explanation_follows_the_objective(bobs, filled, url):
    sent = filled(family="t5", corrupted_share="0.25", mean_span="5")
    page = text_of(bobs.post(f"{url('estimate')}?kind=pretrain", sent))
    assert "Spans cut out" in page
    assert "25\N{NO-BREAK SPACE}% of the tokens are cut out, in spans of 5" in page
