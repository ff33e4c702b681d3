"""The form that fine-tunes: the model decides the task, and with it what is shown."""

import pytest
from runspec.sft import CHAT_ONLY, LORA_ONLY
from trivium.models.models import LanguageModel
from trivium.runs.forms import SpecForm
from trivium.runs.models import Run

pytestmark = pytest.mark.django_db(databases=["default", "metrics"])
PAIRS = [{"prompt": "good day", "completion": "guten Tag"}]
LABELS = [{"text": "a joy", "label": "positive"}, {"text": "dull", "label": "negative"}]
TASKS = {
    "decoder": ("chat", "instructions", [{"prompt": "a", "completion": "b"}]),
    "encoder-decoder": ("text-to-text", "text-to-text", PAIRS),
    "encoder": ("classification", "labelled", LABELS),
}


def text_of(response) -> str:
    return response.content.decode()


def new(url) -> str:
    return f"{url('new')}?kind=sft"


@pytest.fixture
def filled(model, instructions):
    """What a browser sends for a small run; the rest keeps its defaults."""

    def fill(**changes) -> dict[str, object]:
        return {"model": model.pk, "datasets": [instructions.pk]} | changes

    return fill


@pytest.mark.parametrize("architecture", TASKS)
def test_the_model_sets_the_task_and_the_datasets(
    architecture, bobs, make_model, make_dataset, url
):
    made = {
        kind: make_dataset(kind, rows) for _, kind, rows in TASKS.values()
    }  # one of each kind
    make_dataset("text", [{"text": "once"}])
    task, kind, _ = TASKS[architecture]
    model = make_model("Fabler", architecture)
    form = bobs.get(f"{new(url)}&model={model.pk}").context["form"]
    assert form.task == task
    offered = {one.version.dataset.kind for one in form.ingredients}
    fitting = {"chat": {"instructions"}, "classification": {"labelled"}}
    assert offered == fitting.get(task, {"text-to-text", "instructions"})
    assert (set(CHAT_ONLY) & set(form.fields) != set()) is (task == "chat")

    page = bobs.post(
        new(url), {"model": model.pk, "datasets": [made[kind].pk]}, follow=True
    )
    run = page.context["run"]
    assert (run.kind, run.state, run.spec["task"]) == ("sft", "waiting", task)
    assert run.depends_on.get().kind == "preflight"


def test_model_and_datasets_of_the_address_are_chosen(
    bobs, model, make_model, instructions, make_dataset, url
):
    make_model("Newer")
    make_dataset("conversations", [{"messages": []}])
    address = f"{new(url)}&model={model.pk}&datasets={instructions.pk}"
    form = bobs.get(address).context["form"]
    assert form.start == model
    assert [one.version for one in form.ingredients if one.is_chosen] == [instructions]


def test_settings_of_lora_are_there_with_lora_alone(bobs, filled, url):
    full = SpecForm(LanguageModel.objects.get().project, "sft", filled())
    assert not set(LORA_ONLY) & set(full.fields)
    page = bobs.post(f"{url('redraw')}?kind=sft", filled(method="lora"))
    assert set(LORA_ONLY) <= set(page.context["form"].fields)


@pytest.mark.parametrize(
    ("changes", "trigger", "rate"),
    [
        ({"method": "lora", "learning_rate": "2e-5"}, "method", 2e-4),
        ({"method": "full", "learning_rate": "0.0002"}, "method", "0.00002"),
        ({"method": "lora", "learning_rate": "5e-5"}, "method", "5e-5"),
        ({"method": "lora", "learning_rate": "2e-5"}, "chat_template", "2e-5"),
        ({"method": "lora", "learning_rate": "fast"}, "method", "fast"),
    ],
)
def test_the_rate_follows_the_method_unless_typed(
    changes, trigger, rate, bobs, filled, url
):
    headers = {"HX-Request": "true", "HX-Trigger-Name": trigger}
    address = f"{url('redraw')}?kind=sft"
    page = bobs.post(address, filled(**changes), headers=headers)
    assert page.context["form"]["learning_rate"].initial == rate
    assert b"<html" not in page.content


def test_a_redrawn_form_keeps_what_was_typed_and_checks_nothing(bobs, filled, url):
    sent = filled(epochs="many", batch_size="", packing="true", name="Guide")
    page = bobs.post(f"{url('redraw')}?kind=sft", sent)
    form = page.context["form"]
    assert form["epochs"].value() == "many"
    assert form["packing"].value() is True
    assert 'value="Guide"' in text_of(page)
    assert "field__error" not in text_of(page)
    assert page["HX-Trigger-After-Settle"] == "redrawn"


def test_a_dataset_that_no_longer_suits_is_no_longer_offered(
    bobs, instructions, make_model, make_dataset, url
):
    labelled = make_dataset("labelled", LABELS)
    model = make_model("Reader", "encoder")
    sent = {"model": model.pk, "datasets": [instructions.pk]}
    form = bobs.post(f"{url('redraw')}?kind=sft", sent).context["form"]
    assert [one.version for one in form.ingredients if one.is_chosen] == [labelled]


def test_datasets_are_mixed_by_weight(bobs, filled, instructions, make_dataset, url):
    second = make_dataset("conversations", [{"messages": []}])
    chosen = [second.pk, instructions.pk]
    sent = filled(datasets=chosen) | {f"weight-{second.pk}": "3"}
    run = bobs.post(new(url), sent, follow=True).context["run"]
    assert run.spec["datasets"] == [str(pk) for pk in chosen]
    assert run.spec["weights"] == [3.0, 1.0]
    again = bobs.get(f"{new(url)}&from={run.pk}")
    weights = {
        one.version.pk: one.weight.value() for one in again.context["form"].ingredients
    }
    assert weights == {second.pk: 3.0, instructions.pk: 1.0}


def test_one_dataset_alone_has_no_weight(bobs, filled, instructions, url):
    sent = filled() | {f"weight-{instructions.pk}": "3"}
    run = bobs.post(new(url), sent, follow=True).context["run"]
    assert run.spec["weights"] == []


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"datasets": []}, "datasets", "required"),
        ({"datasets": ["999999"]}, "datasets", "has no dataset 999999"),
        ({"model": "999999"}, "model", "has no model 999999"),
        ({"model": "x"}, "model", "has no model x"),
        ({"chat_template": "custom"}, "custom_template", "none is written"),
        (
            {"chat_template": "custom", "custom_template": " \r\n"},
            "custom_template",
            "none is written",
        ),
        ({"epochs": "0"}, "epochs", "greater than 0"),
        ({"max_steps": "0"}, "max_steps", "greater than or equal to 1"),
        ({"method": "lora", "lora_rank": "0"}, "lora_rank", "greater than or"),
        ({"context": "4"}, "context", "greater than or equal to 8"),
    ],
)
def test_what_is_wrong_stands_at_its_field(changes, field, said, bobs, filled, url):
    page = bobs.post(new(url), filled(**changes))
    assert list(page.context["form"].errors) == [field]
    assert said in str(page.context["form"].errors[field])
    assert said in text_of(page)
    assert not Run.objects.exists()


def test_a_weight_of_nothing_is_refused(bobs, filled, instructions, make_dataset, url):
    second = make_dataset("conversations", [{"messages": []}])
    sent = filled(datasets=[second.pk, instructions.pk]) | {f"weight-{second.pk}": "0"}
    page = bobs.post(new(url), sent)
    assert list(page.context["form"].errors) == [f"weight-{second.pk}"]
    assert "field__error" in text_of(page)


@pytest.mark.parametrize("kind", ["text", "labelled"])
def test_a_dataset_of_the_wrong_kind_is_refused_in_words(
    kind, bobs, filled, make_dataset, url
):
    wrong = make_dataset(kind, [{"text": "a", "label": "b"}])
    page = bobs.post(new(url), filled(datasets=[wrong.pk]))
    [error] = page.context["form"].errors["datasets"]
    assert error == (
        f"{wrong} holds {kind} rows, but Fabler is to learn chat from instructions or "
        "conversations; choose one of those."
    )


def test_a_template_of_ones_own_is_sent_as_written(bobs, filled, url):
    source = "{% for m in messages %}\r\n  {{ m.content }}\r\n{% endfor %}\r\n"
    sent = filled(chat_template="custom", custom_template=source)
    run = bobs.post(new(url), sent, follow=True).context["run"]
    assert run.spec["custom_template"] == source.replace("\r\n", "\n")


def test_a_template_that_does_not_apply_is_not_sent(bobs, filled, url):
    sent = filled(chat_template="plain", custom_template="{{ messages }}")
    run = bobs.post(new(url), sent, follow=True).context["run"]
    assert run.spec["custom_template"] == ""


@pytest.mark.parametrize(
    ("architecture", "metrics"),
    [("decoder", ["loss", "exact_match"]), ("encoder", ["loss", "accuracy", "f1"])],
)
def test_the_best_is_chosen_by_what_is_measured(
    architecture, metrics, project, make_model
):
    model = make_model("Fabler", architecture)
    form = SpecForm(project, "sft", settings={"model": str(model.pk)})
    assert [name for name, _ in form.fields["best_metric"].choices] == metrics


def test_further_datasets_are_answered(bobs, filled, make_dataset, url):
    further = make_dataset("conversations", [{"messages": []}])
    sent = filled(evaluate_on=[further.pk])
    run = bobs.post(new(url), sent, follow=True).context["run"]
    assert run.spec["evaluate_on"] == [str(further.pk)]
    assert (
        bobs.post(new(url), filled(), follow=True).context["run"].spec["evaluate_on"]
        == []
    )


def test_check_only_queues_no_training(bobs, filled, url):
    run = bobs.post(new(url), filled(check="1"), follow=True).context["run"]
    assert (run.kind, run.name) == ("preflight", "Fabler Instructions")
    assert run.spec["training"]["datasets"] == [str(filled()["datasets"][0])]
    assert Run.objects.count() == 1
    assert LanguageModel.objects.count() == 1


def test_a_new_form_begins_with_the_settings_of_a_check(bobs, filled, url):
    sent = filled(check="1", epochs="7")
    run = bobs.post(new(url), sent, follow=True).context["run"]
    form = bobs.get(f"{new(url)}&from={run.pk}").context["form"]
    assert form["epochs"].initial == 7.0


def test_without_a_model_the_page_leads_to_one(bobs, project, url):
    page = text_of(bobs.get(new(url)))
    assert "nothing to learn from yet" in page
    assert "Choose a model first" in page


def test_another_projects_models_and_data_are_not_offered(
    client, mallory, model, instructions
):
    client.force_login(mallory)
    form = client.get("/p/elsewhere/runs/new/?kind=sft").context["form"]
    assert form.fields["model"].choices == [("", "No model yet")]
    sent = {"model": model.pk, "datasets": [instructions.pk]}
    page = client.post("/p/elsewhere/runs/new/?kind=sft", sent)
    assert set(page.context["form"].errors) == {"model", "datasets"}


def test_hostile_names_are_text(bobs, make_model, make_dataset, url):
    evil = '<script src="x">'
    make_model(evil)
    make_dataset("instructions", PAIRS, evil)
    assert evil not in text_of(bobs.get(new(url)))


def outlook_of(bobs, url, sent):
    page = bobs.post(f"{url('estimate')}?kind=sft", sent)
    assert b"<html" not in page.content
    return page.context["outlook"]


def test_the_panel_follows_the_form(bobs, filled, url):
    full = outlook_of(bobs, url, filled())
    assert (full.parameters, full.trained, full.rows) == (1_240_000, 1_240_000, 4)
    assert full.steps == 2  # 3 epochs of 4 rows, 8 at once
    lora = outlook_of(bobs, url, filled(method="lora", lora_rank="8", batch_size="1"))
    # Two layers of 64: attention 4 x (64 + 64), gated feed-forward 3 x (64 + 128).
    assert lora.trained == 8 * 2 * (4 * 128 + 3 * 192)
    assert lora.steps == 12
    assert 0 < lora.memory_bytes < full.memory_bytes
    assert outlook_of(bobs, url, filled(max_steps="1")).steps == 1


def test_the_panel_warns_of_what_cannot_work(bobs, filled, url):
    warnings = outlook_of(bobs, url, filled(method="qlora", epochs="50")).warnings
    assert any("CUDA" in one for one in warnings)
    assert any("by heart" in one for one in warnings)


def test_a_model_still_being_made_has_no_figures_yet(bobs, filled, pretrain, url):
    made = LanguageModel.objects.get(run=pretrain)
    outlook = outlook_of(bobs, url, filled(model=made.pk))
    assert (outlook.parameters, outlook.trained, outlook.memory_bytes) == (
        0,
        None,
        None,
    )


@pytest.mark.parametrize("name", ["redraw", "preview", "estimate"])
def test_who_may_try_settings(name, client, vera, mallory, project, url):
    for user, status in ((vera, 403), (mallory, 404)):
        client.force_login(user)
        assert client.post(url(name)).status_code == status
        assert client.get(url(name)).status_code == 405
    client.logout()
    assert client.post(url(name)).status_code == 302
