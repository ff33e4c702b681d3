"""Cancel, pause, resume, reorder, retry, pin: by button, by role, in every state."""

import pytest
from trivium.runs.models import Checkpoint, Run

pytestmark = pytest.mark.django_db(databases=["default", "metrics"])
HTMX = {"HX-Request": "true"}
ACTIONS = ["cancel", "pause", "resume", "retry", "priority"]


def text_of(response) -> str:
    return response.content.decode()


def test_a_waiting_run_is_cancelled_at_once(bobs, pretrain, url):
    page = bobs.post(url("cancel", pretrain), follow=True)
    pretrain.refresh_from_db()
    assert pretrain.state == "cancelled"
    assert "being cancelled" in text_of(page)


def test_a_live_run_is_asked_to_stop(bobs, pretrain, set_state, url):
    set_state(pretrain, "running")
    bobs.post(url("cancel", pretrain))
    pretrain.refresh_from_db()
    assert (pretrain.state, pretrain.desired_state) == ("running", "cancel")
    assert "Cancelling" in text_of(bobs.get(url("detail", pretrain)))


def test_htmx_gets_the_row_as_it_now_is(bobs, pretrain, url):
    row = bobs.post(url("cancel", pretrain), headers=HTMX)
    assert text_of(row).strip().startswith("<tr")
    assert "Cancelled" in text_of(row)


def test_pause_and_resume(bobs, pretrain, url):
    bobs.post(url("pause", pretrain))
    pretrain.refresh_from_db()
    assert pretrain.state == "paused"
    bobs.post(url("resume", pretrain))
    pretrain.refresh_from_db()
    assert pretrain.state == "waiting"


@pytest.mark.parametrize(
    ("direction", "expected"), [("up", 1), ("down", -1), ("sideways", 0), ("", 0)]
)
def test_priority_moves_by_one(direction, expected, bobs, pretrain, url):
    bobs.post(url("priority", pretrain), {"direction": direction})
    pretrain.refresh_from_db()
    assert pretrain.priority == expected


def test_priority_has_an_end(bobs, pretrain, url):
    Run.objects.filter(pk=pretrain.pk).update(priority=100)
    row = bobs.post(url("priority", pretrain), {"direction": "up"}, headers=HTMX)
    assert "not between" in text_of(row)


@pytest.mark.parametrize("state", [state.value for state in Run.State])
@pytest.mark.parametrize("action", ACTIONS)
def test_no_action_in_any_state_is_a_server_error(
    action, state, bobs, pretrain, set_state, url
):
    set_state(pretrain, state)
    page = bobs.post(url(action, pretrain), {"direction": "up"}, follow=True)
    assert page.status_code == 200
    assert page.context["messages"]
    set_state(pretrain, state)
    row = bobs.post(url(action, pretrain), {"direction": "up"}, headers=HTMX)
    assert row.status_code in {200, 302}


def test_a_run_without_checkpoints_says_why_it_cannot_pause(
    bobs, ingest, set_state, url
):
    set_state(ingest, "running")
    row = bobs.post(url("pause", ingest), headers=HTMX)
    assert "pausing would lose its work" in text_of(row)


@pytest.mark.parametrize("action", ACTIONS)
def test_only_engineers_act(action, client, vera, lara, mallory, pretrain, url):
    for user, status in ((vera, 403), (lara, 403), (mallory, 404)):
        client.force_login(user)
        assert client.post(url(action, pretrain)).status_code == status
        assert client.get(url(action, pretrain)).status_code == 405
    client.logout()
    assert client.post(url(action, pretrain)).status_code == 302
    pretrain.refresh_from_db()
    assert pretrain.state == "waiting"


def test_a_retry_changes_only_what_the_form_names(bobs, pretrain, set_state, url):
    set_state(
        pretrain, "failed", error_class="out_of_memory", advice="Lower batch_size."
    )
    page = bobs.post(url("retry", pretrain), {"batch_size": "4"}, follow=True)
    new = page.context["run"]
    assert new.pk != pretrain.pk
    assert new.spec == {**pretrain.spec, "batch_size": 4}
    assert new.name == pretrain.name


def test_a_retry_with_a_wrong_value_is_refused_in_words(bobs, pretrain, set_state, url):
    set_state(pretrain, "failed", error_class="out_of_memory")
    for value in ("0", "x", "", "99999999999999999999"):
        page = bobs.post(url("retry", pretrain), {"batch_size": value}, follow=True)
        assert "Batch size" in text_of(page)
    assert Run.objects.filter(kind="pretrain").count() == 1


def test_a_retry_that_does_not_fit_together_says_so(bobs, pretrain, set_state, url):
    set_state(pretrain, "failed", error_class="not_finite")
    page = bobs.post(url("retry", pretrain), {"learning_rate": "0.00001"}, follow=True)
    assert "min_learning_rate is above learning_rate" in text_of(page)


def test_a_retry_may_take_other_datasets(bobs, sft, make_dataset, set_state, url):
    other = make_dataset("conversations", [{"messages": []}])
    text = make_dataset("text", [{"text": "once"}])
    set_state(sft, "failed", error_class="bad_input", advice="Choose other datasets.")
    form = bobs.get(url("detail", sft), {"tab": "log"}).context["retry_form"]
    assert list(form.fields) == ["datasets"]
    assert form["datasets"].initial == sft.spec["datasets"]
    assert form["datasets"].help_text == "It was Instructions v1."
    offered = [pk for pk, _ in form.fields["datasets"].choices]
    assert str(text.pk) not in offered
    page = bobs.post(url("retry", sft), {"datasets": [other.pk]}, follow=True)
    assert page.context["run"].spec["datasets"] == [str(other.pk)]


def test_a_mapping_is_not_asked_for_in_one_line(bobs, ingest, set_state, url):
    advice = "Say which columns hold the text, or set text_column."
    set_state(ingest, "failed", error_class="bad_input", advice=advice)
    form = bobs.get(url("detail", ingest)).context["retry_form"]
    assert "columns" not in form.fields
    assert "text_column" in form.fields


def test_a_retry_may_take_another_tokenizer(bobs, pretrain, set_state, url):
    set_state(pretrain, "failed", error_class="bad_input", advice="Choose a tokenizer.")
    form = bobs.get(url("detail", pretrain)).context["retry_form"]
    assert form["tokenizer"].initial == pretrain.spec["tokenizer"]
    sent = {"tokenizer": pretrain.spec["tokenizer"]}
    page = bobs.post(url("retry", pretrain), sent, follow=True)
    assert page.context["run"].spec == pretrain.spec


def test_chosen_runs_are_cancelled_together(
    bobs, ingest, tokenizer_run, pretrain, set_state, url
):
    set_state(ingest, "succeeded")
    chosen = [str(ingest.pk), str(pretrain.pk), "x", "99999999", "-1"]
    page = bobs.post(url("cancel-many"), {"run": chosen}, follow=True)
    assert "Cancelling 1 run." in text_of(page)
    assert "Already finished: Corpus." in text_of(page)
    tokenizer_run.refresh_from_db()
    assert tokenizer_run.state == "waiting"
    assert "No run was chosen" in text_of(bobs.post(url("cancel-many"), follow=True))


def test_other_projects_runs_cannot_be_cancelled_in_bulk(client, mallory, pretrain):
    client.force_login(mallory)
    client.post("/p/elsewhere/runs/cancel/", {"run": [str(pretrain.pk)]})
    pretrain.refresh_from_db()
    assert pretrain.state == "waiting"


def test_low_roles_cancel_nothing_in_bulk(client, vera, pretrain, url):
    client.force_login(vera)
    answer = client.post(url("cancel-many"), {"run": [str(pretrain.pk)]})
    assert answer.status_code == 403


@pytest.fixture
def checkpoint(pretrain) -> Checkpoint:
    return Checkpoint.objects.create(
        run=pretrain, step=5, fence=1, path="c", manifest_sha256="ab" * 32
    )


def test_a_checkpoint_is_pinned_and_let_go(bobs, pretrain, checkpoint, url):
    for value, expected in (("1", True), ("0", False)):
        bobs.post(url("pin", pretrain, checkpoint.pk), {"pinned": value})
        checkpoint.refresh_from_db()
        assert checkpoint.is_pinned is expected


def test_only_engineers_pin(client, vera, mallory, pretrain, checkpoint, url):
    for user, status in ((vera, 403), (mallory, 404)):
        client.force_login(user)
        answer = client.post(url("pin", pretrain, checkpoint.pk), {"pinned": "1"})
        assert answer.status_code == status


def test_pinning_another_runs_checkpoint_changes_nothing(bobs, ingest, checkpoint, url):
    page = bobs.post(url("pin", ingest, checkpoint.pk), {"pinned": "1"}, follow=True)
    assert "is gone" in text_of(page)
    checkpoint.refresh_from_db()
    assert not checkpoint.is_pinned
