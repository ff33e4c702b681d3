"""`/api/v1/campaigns`: made, steered, labeled and reported by programs."""

import re

import pytest
from campaigns_lab import member
from trivium.campaigns import handing_out, making
from trivium.campaigns.models import Assignment, Campaign, Flag, Item, Judge
from trivium.comparisons.models import Vote
from trivium.datasets.models import Dataset
from trivium.runs.models import Run
from trivium.serving.services import add_endpoint

NEW = {
    "project": "grammar",
    "name": "Helpful answers",
    "prompts": ["Why is the sky blue?", "Why is grass green?"],
    "answerers": [
        {"model": "elsewhere/small", "sampling": {"temperature": 0, "max_tokens": 64}},
        {"model": "elsewhere/large"},
    ],
    "guidelines": "Prefer what **helps**.",
    "questions": {"axes": "required", "reason_tags": ["Clearer"]},
    "overlap": 2,
    "target_votes": 500,
    "labelers": ["lara"],
    "categories": ["weapons", "weapons"],
}
NAMES = re.compile(r"Model 1|Model 2|model-[01]|grammar/Model")


@pytest.fixture
def elsewhere(ada):
    return add_endpoint(
        name="elsewhere",
        url="http://127.0.0.1:9/v1",
        api_key="",
        model_ids=["small", "large", "judge"],
        created_by=ada.user,
    )


@pytest.fixture
def task(campaign, lara):
    """The first task a labeler holds."""
    return lara.post(f"/campaigns/{campaign.pk}/tasks").json()["items"][0]


def vote(lara, campaign, key, choice="left", **values):
    body = {"key": key, "choice": choice, "ms_active": 900, **values}
    return lara.post(f"/campaigns/{campaign.pk}/votes", body)


# Making and steering -----------------------------------------------------------------


def test_a_campaign_is_made_with_the_answers_it_waits_for(ada, lara, elsewhere):
    made = ada.post("/campaigns", NEW)
    assert made.status_code == 201, made.content
    said = made.json()
    campaign = Campaign.objects.get()
    assert (said["id"], said["state"], said["overlap"]) == (campaign.pk, "open", 2)
    assert said["questions"]["axes"] == "required"
    assert said["questions"]["strength"] == "optional"
    assert said["guideline"]["text"] == NEW["guidelines"]
    assert said["labelers"] == ["lara"]
    assert said["categories"] == ["weapons"]
    assert [one["model"] for one in said["answerers"]] == [
        "elsewhere/small",
        "elsewhere/large",
    ]
    [batch] = said["batches"]
    run = Run.objects.get(pk=batch["run_id"])
    assert (run.kind, run.state) == ("generate", "waiting")
    assert run.spec["samplings"][0]["max_tokens"] == 64
    assert Dataset.objects.get().kind == "prompts"


def test_a_key_makes_one_campaign(ada, lara, elsewhere):
    first, again = (ada.post("/campaigns", NEW, key="once") for _ in range(2))
    assert first.json() == again.json()
    assert again["Idempotent-Replayed"] == "true"
    assert Campaign.objects.count() == 1
    assert ada.post("/campaigns", NEW | {"name": "x"}, key="once").status_code == 409


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": " "}, "name"),
        ({"prompts": []}, "prompts"),
        ({"prompts": ["  "]}, "prompts"),
        ({"dataset_version_id": 10**9, "prompts": []}, "dataset_version_id"),
        ({"answerers": NEW["answerers"][:1]}, "answerers"),
        ({"answerers": [{"model": "elsewhere/small"}] * 2}, "answerers"),
        ({"answerers": [{"model": "elsewhere/x"}, *NEW["answerers"]]}, "answerers"),
        ({"labelers": ["vera"]}, "labelers"),
        ({"questions": {"reasons": "optional", "reason_tags": []}}, "reason_tags"),
        ({"random_share": 0.1}, "random_share"),
        ({"overlap": 0}, "overlap"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_made(
    change, field, ada, lara, elsewhere, shape
):
    refused = ada.post("/campaigns", NEW | change)
    assert shape(refused) == (422, "invalid_request")
    assert refused.json()["error"]["field"].endswith(field)
    assert not Campaign.objects.exists()
    assert not Run.objects.exists()
    assert not Dataset.objects.exists()


def test_a_dataset_that_cannot_be_asked_is_named(ada, lara, elsewhere, version):
    body = NEW | {"prompts": [], "dataset_version_id": version.pk}
    refused = ada.post("/campaigns", body).json()["error"]
    assert refused["field"] == "dataset_version_id"
    assert "prompts" not in refused["message"].partition(";")[0]


def test_pairs_need_no_models(ada, project):
    pairs = Dataset.objects.create(project=project, name="Pairs", kind="preferences")
    version = pairs.versions.create(number=1, path="datasets/x")
    body = {"project": "grammar", "name": "Pairs", "dataset_version_id": version.pk}
    assert ada.post("/campaigns", body).status_code == 201
    named = ada.post("/campaigns", body | {"answerers": NEW["answerers"]})
    assert named.json()["error"]["field"] == "answerers"


def test_settings_change_and_what_is_not_named_stays(ada, lara, campaign):
    address = f"/campaigns/{campaign.pk}"
    changes = {"name": "Kind", "overlap": 3, "questions": {"axes": "off"}}
    said = ada.change("PATCH", address, changes | {"labelers": ["lara"]}).json()
    assert (said["name"], said["overlap"], said["labelers"]) == ("Kind", 3, ["lara"])
    assert (said["questions"]["axes"], said["questions"]["acceptable"]) == (
        "off",
        "optional",
    )
    assert said["repeat_share"] == 0
    assert set(campaign.items.values_list("wanted", flat=True)) == {3}
    said = ada.change("PATCH", address, {"labelers": None}).json()
    assert (said["is_restricted"], said["name"]) == (False, "Kind")
    taken = making.create_campaign(
        project=campaign.project, created_by=ada.user, name="Taken"
    )
    refused = ada.change("PATCH", address, {"name": taken.name})
    assert refused.json()["error"]["field"] == "name"


def test_it_is_paused_opened_and_closed(ada, campaign, shape):
    address = f"/campaigns/{campaign.pk}"
    assert ada.post(f"{address}/pause").json()["state"] == "paused"
    assert shape(ada.post(f"{address}/pause")) == (409, "conflict")
    assert ada.post(f"{address}/open").json()["state"] == "open"
    closed = ada.post(f"{address}/close").json()
    assert closed["state"] == "closed"
    assert closed["closed"]
    body = {key: NEW[key] for key in ("prompts", "answerers")}
    assert ada.post(f"{address}/answers", body).status_code == 422


def test_another_batch_and_new_guidelines_are_added(ada, campaign, elsewhere):
    address = f"/campaigns/{campaign.pk}"
    body = {key: NEW[key] for key in ("prompts", "answerers")}
    run = ada.post(f"{address}/answers", body).json()
    assert (run["kind"], run["name"]) == ("generate", "Helpful")
    assert campaign.batches.count() == 2
    written = ada.change("PUT", f"{address}/guidelines", {"text": "Be kind."})
    assert written.json()["number"] == 2
    again = ada.change("PUT", f"{address}/guidelines", {"text": "Be kind."})
    assert again.json()["number"] == 2


def test_a_list_is_narrowed_and_tells_how_far_each_is(ada, campaign):
    making.create_campaign(project=campaign.project, created_by=ada.user, name="New")
    [one] = ada.get("/campaigns", project="grammar", limit=1).json()["items"]
    assert one["name"] == "New"
    making.pause_campaign(campaign)
    [one] = ada.get("/campaigns", state="paused").json()["items"]
    assert one["progress"] == {
        "comparisons": 6, "done": 0, "wanted": 6, "given": 0, "votes": 0, "share": 0,
    }  # fmt: skip


# Who is told what --------------------------------------------------------------------


def test_labelers_find_campaigns_without_names_and_results(lara, campaign, shape):
    found = lara.get(f"/campaigns/{campaign.pk}")
    assert found.json()["may_label"] is True
    hidden = ("answerers", "batches", "judges", "labelers")
    assert [found.json()[name] for name in hidden] == [None] * 4
    assert not NAMES.search(found.content.decode())
    refused = lara.get(f"/campaigns/{campaign.pk}/report")
    assert shape(refused) == (403, "permission_denied")
    for path in ("pause", "export", "answers"):
        body = {"prompts": ["Why?"]} if path == "answers" else {}
        refused = lara.post(f"/campaigns/{campaign.pk}/{path}", body)
        assert shape(refused) == (403, "permission_denied"), path


def test_a_campaign_others_were_invited_to_is_not_there(lara, vera, campaign):
    someone = member(campaign.project, "ben")
    making.revise_campaign(campaign, labelers=[someone])
    assert lara.get("/campaigns").json()["items"] == []
    assert lara.get(f"/campaigns/{campaign.pk}").status_code == 404
    assert lara.post(f"/campaigns/{campaign.pk}/tasks").status_code == 404
    assert vera.get(f"/campaigns/{campaign.pk}").status_code == 200


@pytest.mark.parametrize("state", ["open", "paused", "closed"])
def test_labelers_cannot_look_up_who_answered_before_it_is_closed(
    state, lara, vera, ada, campaign, task
):
    vote(lara, campaign, task["key"])
    Campaign.objects.update(state=state)
    number = Item.objects.filter(num_votes=1).get().pk
    chosen = {"campaign": campaign.pk}
    for caller in (lara, vera, ada):
        is_told = caller is not lara or state == "closed"
        assert len(caller.get("/comparisons", **chosen).json()["items"]) == 6 * is_told
        assert len(caller.get("/comparisons").json()["items"]) == 6 * is_told
        one = caller.get(f"/comparisons/{number}")
        assert one.status_code == (200 if is_told else 404)
        assert bool(NAMES.search(one.content.decode())) == is_told
        assert len(caller.get("/votes", **chosen).json()["items"]) == is_told
        assert len(caller.get("/votes").json()["items"]) == is_told
        assert caller.get("/votes", comparison=number).status_code == one.status_code


def test_labelers_keep_what_they_compared_themselves(lara, campaign):
    item = campaign.items.first()
    item.comparison.created_by = lara.user
    item.comparison.save()
    [found] = lara.get("/comparisons").json()["items"]
    assert found["id"] == item.pk


# Labeling ----------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["a", "b"])
def test_tasks_are_two_at_most_by_sides_and_without_names(side, lara, campaign, task):
    Assignment.objects.update(shown_left=side)
    answer = lara.post(f"/campaigns/{campaign.pk}/tasks")
    assert answer.json()["state"] == "open"
    first, second = answer.json()["items"]
    held = Assignment.objects.select_related("item__comparison").get(key=first["key"])
    compared = held.item.comparison
    answers = {"a": compared.answer_a.text, "b": compared.answer_b.text}
    assert first["left"] == answers[side]
    assert {first["left"], first["right"]} == set(answers.values())
    assert first["prompt"] == compared.prompt
    assert not NAMES.search(answer.content.decode())
    assert set(first) == {
        "key", "prompt", "left", "right", "category", "expires", "draft",
    }  # fmt: skip
    again = lara.post(f"/campaigns/{campaign.pk}/tasks").json()["items"]
    assert [one["key"] for one in again] == [first["key"], second["key"]]


def test_nobody_but_labelers_is_handed_tasks(vera, ada, campaign, shape):
    refused = vera.post(f"/campaigns/{campaign.pk}/tasks")
    assert shape(refused) == (403, "permission_denied")
    assert len(ada.post(f"/campaigns/{campaign.pk}/tasks").json()["items"]) == 2


@pytest.mark.parametrize(("left", "right"), ["ab", "ba"])
def test_a_vote_is_said_by_sides_and_counted_by_answers(
    left, right, lara, campaign, task
):
    Assignment.objects.update(shown_left=left)
    said = vote(
        lara,
        campaign,
        task["key"],
        "right",
        strength=2,
        axes={"helpful": "left", "honest": "tie"},
        acceptable={"right": True},
        reasons=["Clearer", "Unheard of"],
        note="not asked",
    )
    assert said.status_code == 201, said.content
    stored = Vote.objects.get()
    assert (stored.choice, stored.strength, stored.ms_active) == (right, 2, 900)
    assert stored.details["axes"] == {"helpful": left, "honest": "tie"}
    assert stored.details[f"acceptable_{right}"] is True
    assert stored.details[f"acceptable_{left}"] is None
    kept = said.json()
    assert (kept["choice"], kept["axes"]["helpful"]) == ("right", "left")
    assert kept["acceptable"] == {"left": None, "right": True}
    assert (kept["reasons"], kept["note"], kept["guideline"]) == (["Clearer"], "", 1)


def test_a_vote_sent_twice_counts_once(lara, campaign, task, shape):
    first, again = (vote(lara, campaign, task["key"]) for _ in range(2))
    assert first.json() == again.json()
    assert Vote.objects.count() == 1
    changed = vote(lara, campaign, task["key"], "right")
    assert shape(changed) == (409, "conflict")


def test_a_vote_that_lacks_an_answer_is_refused(lara, campaign, task, shape):
    questions = {**campaign.questions, "acceptable": "required"}
    Campaign.objects.update(questions=questions)
    refused = vote(lara, campaign, task["key"])
    assert shape(refused) == (422, "invalid_request")
    assert "acceptable" in refused.json()["error"]["message"]


def test_a_task_that_is_gone_is_a_conflict(lara, ada, campaign, task, shape):
    other = making.create_campaign(
        project=campaign.project, created_by=ada.user, name="Other"
    )
    for refused in (
        vote(lara, campaign, "no-such-key"),
        vote(ada, campaign, task["key"]),
        vote(lara, other, task["key"]),
        lara.post(f"/campaigns/{other.pk}/skip", {"key": task["key"]}),
    ):
        assert shape(refused) == (409, "conflict")
    making.close_campaign(campaign)
    assert shape(vote(lara, campaign, task["key"])) == (409, "conflict")
    assert not Vote.objects.exists()


def test_a_vote_is_taken_back_and_its_task_filled_in(lara, ada, campaign, task, shape):
    vote(lara, campaign, task["key"], "right", strength=3)
    undone = lara.post(f"/campaigns/{campaign.pk}/undo").json()
    assert undone["left"] == task["left"]
    assert undone["key"] != task["key"]
    assert (undone["draft"]["choice"], undone["draft"]["strength"]) == ("right", 3)
    late = vote(lara, campaign, task["key"], "right").json()
    assert late["undone"] is not None
    other = making.create_campaign(
        project=campaign.project, created_by=ada.user, name="Other"
    )
    assert shape(vote(lara, other, task["key"], "right")) == (409, "conflict")
    assert vote(lara, campaign, undone["key"], "left").status_code == 201
    assert Item.objects.filter(num_votes=1).count() == 1
    making.close_campaign(campaign)
    assert shape(lara.post(f"/campaigns/{campaign.pk}/undo")) == (409, "conflict")


def test_tasks_are_skipped_and_flagged(lara, campaign, task):
    address = f"/campaigns/{campaign.pk}"
    flagged = lara.post(f"{address}/flags", {"key": task["key"], "reason": "Cut off"})
    assert flagged.status_code == 201
    assert Flag.objects.get().reason == "Cut off"
    said = {"key": task["key"], "reason": "I cannot tell"}
    assert lara.post(f"{address}/skip", said).json()["state"] == "skipped"
    keys = [one["key"] for one in lara.post(f"{address}/tasks").json()["items"]]
    assert task["key"] not in keys


def test_a_repeat_looks_like_any_other_task(lara, campaign, monkeypatch):
    monkeypatch.setattr(handing_out, "REPEAT_AFTER", 1)
    Campaign.objects.update(repeat_share=1)
    seen = []
    for _ in range(8):
        for one in lara.post(f"/campaigns/{campaign.pk}/tasks").json()["items"]:
            vote(lara, campaign, one["key"])
            seen.append(one)
    assert Vote.objects.filter(round=1).exists()
    assert len({frozenset(one) for one in seen}) == 1


# Results -----------------------------------------------------------------------------


def test_a_report_tells_of_people_to_engineers_alone(ada, vera, lara, campaign):
    for one in lara.post(f"/campaigns/{campaign.pk}/tasks").json()["items"]:
        vote(lara, campaign, one["key"])
    said = ada.get(f"/campaigns/{campaign.pk}/report").json()
    assert (said["votes_since"], said["is_coming"]) == (0, False)
    assert said["computed"]
    assert said["values"]["counted"] == 2
    assert [row["name"] for row in said["values"]["labelers"]] == ["lara"]
    told = vera.get(f"/campaigns/{campaign.pk}/report").json()["values"]
    assert told["names"] == ["Model 1", "Model 2"]
    assert not {"labelers", "kappas"} & set(told)


def test_an_export_and_a_judge_are_queued(ada, campaign, elsewhere, shape):
    address = f"/campaigns/{campaign.pk}"
    run = ada.post(f"{address}/export", {"min_votes": 2}, key="k").json()
    assert (run["kind"], run["name"]) == ("export", "Helpful preferences")
    assert run["spec"]["min_votes"] == 2
    assert ada.post(f"{address}/export", {"min_votes": 2}, key="k").json() == run
    refused = ada.post(f"{address}/export", {"min_share": 0.4})
    assert refused.json()["error"]["field"] == "min_share"
    judging = ada.post(f"{address}/judge", {"judge": "elsewhere/judge"}).json()
    assert judging["kind"] == "judge"
    assert Judge.objects.get().choice_id == "elsewhere/judge"
    refused = ada.post(f"{address}/judge", {"judge": "elsewhere/nobody"})
    assert refused.json()["error"]["field"] == "judge"
