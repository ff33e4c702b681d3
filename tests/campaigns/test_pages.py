"""Pages of campaigns: who sees which, what they show, and what forms do."""

from collections.abc import Callable
from typing import Any

import pytest
from campaigns_lab import World, build
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from trivium.accounts.models import User
from trivium.campaigns.making import close_campaign, create_campaign
from trivium.campaigns.models import Campaign, Flag, Item
from trivium.campaigns.reports import refresh_report
from trivium.comparisons.models import Vote
from trivium.datasets.models import Dataset, DatasetVersion
from trivium.projects.models import Project
from trivium.runs.models import Run
from trivium.serving.models import Endpoint

READERS = ("agreement", "models", "position")
ENGINEERS = ("items", "adjudicate", "judges", "export", "settings", "answers")
EVERYBODY = ("detail", "guidelines")
TABS = (*EVERYBODY, *READERS, "labelers", *ENGINEERS)


@pytest.fixture
def campaign(project: Project, bob: User) -> Campaign:
    """A campaign three people labeled."""
    return build(project, bob, World(num_prompts=12, num_gold=2, has_axes=True))


@pytest.fixture
def url(campaign: Campaign) -> Callable[..., str]:
    """Addresses below a campaign."""

    def found(name: str, *args: Any) -> str:
        return reverse(f"campaigns:{name}", args=["grammar", campaign.pk, *args])

    return found


@pytest.fixture
def page(client: Client, url: Callable[..., str]) -> Callable[..., Any]:
    """Open a page as somebody."""

    def opened(who: User, name: str, *args: Any, **query: str) -> Any:
        client.force_login(who)
        return client.get(url(name, *args), query)

    return opened


def text_of(response: Any) -> str:
    """Return what a page says."""
    text: str = response.content.decode()
    return text


# Who sees what -----------------------------------------------------------------------


@pytest.mark.parametrize("tab", TABS)
def test_engineers_and_admins_open_every_part(
    page: Callable[..., Any], alice: User, bob: User, tab: str
) -> None:
    assert page(bob, tab).status_code == 200
    assert page(alice, tab).status_code == 200


@pytest.mark.parametrize(
    ("tab", "for_viewers", "for_labelers"),
    [
        *((tab, 200, 200) for tab in EVERYBODY),
        *((tab, 200, 403) for tab in READERS),
        *((tab, 403, 403) for tab in ENGINEERS),
        ("labelers", 403, 200),
    ],
)
def test_viewers_see_results_and_labelers_their_own(
    page: Callable[..., Any],
    vera: User,
    lara: User,
    tab: str,
    for_viewers: int,
    for_labelers: int,
) -> None:
    assert page(vera, tab).status_code == for_viewers
    assert page(lara, tab).status_code == for_labelers


@pytest.mark.parametrize("tab", TABS)
def test_strangers_and_the_signed_out_see_nothing(
    client: Client, page: Callable[..., Any], url: Any, mallory: User, tab: str
) -> None:
    assert page(mallory, tab).status_code == 404
    client.logout()
    assert client.get(url(tab)).status_code == 302


def test_labelers_learn_no_models_name_and_no_result(
    page: Callable[..., Any], lara: User
) -> None:
    for name in ("detail", "labelers", "guidelines"):
        text = text_of(page(lara, name))
        assert "Model 1" not in text, name
        assert "alpha" not in text, name


def test_labelers_see_their_own_row_alone(page: Callable[..., Any], bob: User) -> None:
    ada = User.objects.get(username="ada")

    mine, all_rows = text_of(page(ada, "labelers")), text_of(page(bob, "labelers"))

    assert "<bdi>ada</bdi>" in mine
    assert "<bdi>ben</bdi>" not in mine
    assert "<bdi>ben</bdi>" in all_rows


def test_viewers_are_not_told_who_votes_how(
    page: Callable[..., Any], vera: User
) -> None:
    for tab in READERS:
        assert "<bdi>ada</bdi>" not in text_of(page(vera, tab)), tab


def test_labelers_do_not_see_a_campaign_they_were_not_invited_to(
    client: Client, page: Callable[..., Any], campaign: Campaign, lara: User
) -> None:
    Campaign.objects.update(is_restricted=True)

    assert page(lara, "detail").status_code == 404
    listed = client.get(reverse("campaigns:list", args=["grammar"]))
    assert "Helpful answers" not in text_of(listed)

    campaign.labelers.create(user=lara, is_invited=True)
    assert page(lara, "detail").status_code == 200


@pytest.mark.parametrize(
    "name", ["item-gold", "item-withdraw", "item-adjudicate", "item-flags", "state"]
)
def test_only_engineers_change_anything(
    client: Client,
    campaign: Campaign,
    url: Any,
    vera: User,
    lara: User,
    mallory: User,
    name: str,
) -> None:
    keys = [campaign.items.first().pk] if name != "state" else []  # type: ignore[union-attr]
    values = {"choice": "a", "is_withdrawn": "1", "move": "close"}
    for who, status in ((vera, 403), (lara, 403), (mallory, 404)):
        client.force_login(who)
        assert client.post(url(name, *keys), values).status_code == status
    assert Campaign.objects.get().state == "open"
    assert not Item.objects.filter(adjudicated="a").exists()


def test_a_comparison_of_another_campaign_is_not_found_below_this_one(
    page: Callable[..., Any], project: Project, bob: User
) -> None:
    other = build(project, bob, World(num_prompts=1, settings={"name": "Other"}))
    item = other.items.first()
    assert item is not None

    assert page(bob, "item", item.pk).status_code == 404
    assert page(bob, "item", 2**63).status_code == 404


# The list ----------------------------------------------------------------------------


def test_the_list_says_how_far_each_is_and_who_may_start(
    client: Client, campaign: Campaign, bob: User, lara: User, vera: User
) -> None:
    refresh_report(campaign)
    address = reverse("campaigns:list", args=["grammar"])
    texts = {}
    for who in (bob, lara, vera):
        client.force_login(who)
        texts[who.username] = text_of(client.get(address))

    assert "36 comparisons" in texts["vera"]
    assert "Agreement" in texts["vera"]
    assert "Agreement" not in texts["lara"]
    assert "Start labeling" in texts["lara"]
    assert "Start labeling" not in texts["vera"]
    assert "New campaign" in texts["bob"]
    assert "New campaign" not in texts["lara"]


def test_the_list_is_narrowed_by_state(
    client: Client, campaign: Campaign, bob: User
) -> None:
    close_campaign(campaign)
    client.force_login(bob)
    address = reverse("campaigns:list", args=["grammar"])

    assert "Helpful answers" in text_of(client.get(address, {"state": "closed"}))
    assert "Helpful answers" not in text_of(client.get(address, {"state": "open"}))
    assert client.get(address, {"state": "\0nonsense"}).status_code == 200


def test_an_empty_list_offers_the_first_step(
    client: Client, project: Project, bob: User, lara: User
) -> None:
    address = reverse("campaigns:list", args=["grammar"])
    client.force_login(bob)
    assert "No campaign yet" in text_of(client.get(address))
    client.force_login(lara)
    assert "Nothing to label yet" in text_of(client.get(address))


# Making one --------------------------------------------------------------------------


@pytest.fixture
def pairs(project: Project) -> DatasetVersion:
    """Pairs that were answered elsewhere."""
    dataset = Dataset.objects.create(project=project, name="HH", kind="preferences")
    return DatasetVersion.objects.create(dataset=dataset, number=1, path="datasets/x")


@pytest.fixture
def prompts(project: Project) -> DatasetVersion:
    """Prompts to be answered."""
    dataset = Dataset.objects.create(project=project, name="Asked", kind="prompts")
    return DatasetVersion.objects.create(dataset=dataset, number=1, path="datasets/y")


@pytest.fixture
def endpoint(db: None) -> Endpoint:
    """An endpoint with two models."""
    return Endpoint.objects.create(
        name="gpu-1", url="http://gpu-1:8000/v1", model_ids=["llama", "qwen"]
    )


def filled(**values: Any) -> dict[str, Any]:
    """Return a form as a browser sends it when little was changed."""
    given = {
        "name": "First week",
        "source": "dataset",
        "max_prompts": 0,
        "strength": "optional",
        "reason_tags": "Clearer",
        "overlap": 1,
        "shared_percent": 20,
        "shared_overlap": 3,
        "repeat_percent": 3,
        "gold_percent": 5,
        "policy": "random",
        "random_percent": 30,
        "who": "everyone",
        "harm_cap": 40,
        "guidelines": "Be fair.\r\nRead both.",
    }
    given |= dict.fromkeys(("axes", "acceptable", "reasons", "note"), "off")
    for at in range(8):
        given |= {f"{at}-choice": "", f"{at}-temperature": 0.7}
        given |= {f"{at}-max_tokens": 512, f"{at}-seed": ""}
    return given | values


def two_models(**values: Any) -> dict[str, Any]:
    """Return the same with two models chosen."""
    return filled(**{"0-choice": "gpu-1/llama", "1-choice": "gpu-1/qwen"} | values)


@pytest.fixture
def create(client: Client, project: Project, bob: User) -> Callable[..., Any]:
    """Send the form of a new campaign."""
    client.force_login(bob)
    return lambda values: client.post(
        reverse("campaigns:new", args=["grammar"]), values
    )


def test_one_submit_makes_the_campaign_and_queues_the_answers(
    create: Callable[..., Any], endpoint: Endpoint, prompts: DatasetVersion
) -> None:
    changed = {"repeat_percent": 10, "1-temperature": 0, "1-seed": 7}

    answer = create(two_models(prompts=prompts.pk, **changed))

    assert answer.status_code == 302, answer.context["form"].errors
    campaign = Campaign.objects.get()
    assert campaign.repeat_share == pytest.approx(0.1)
    assert campaign.guidelines.get().text == "Be fair.\nRead both."
    run = Run.objects.get(kind="generate")
    assert run.spec["prompts"] == str(prompts.pk)
    assert run.spec["answerers"] == ["gpu-1/llama", "gpu-1/qwen"]
    assert run.spec["samplings"][1]["seed"] == 7


def test_typed_prompts_become_a_dataset_that_the_answers_wait_for(
    create: Callable[..., Any], endpoint: Endpoint
) -> None:
    typed = "Why is the sky blue?\r\n\r\nWho was Ada?\r\nWho was Ada?"

    answer = create(two_models(source="typed", typed=typed))

    assert answer.status_code == 302, answer.context["form"].errors
    version = DatasetVersion.objects.get()
    assert version.dataset.name == "First week prompts"
    generate = Run.objects.get(kind="generate")
    assert [run.kind for run in generate.depends_on.all()] == ["ingest"]
    assert generate.state == "waiting"


def test_pairs_answered_elsewhere_need_no_model(
    create: Callable[..., Any], pairs: DatasetVersion
) -> None:
    assert create(filled(prompts=pairs.pk)).status_code == 302
    assert Run.objects.get(kind="generate").spec["answerers"] == []


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"name": " "}, "This field is required."),
        ({"prompts": ""}, "Choose a dataset, or type prompts."),
        ({"prompts": "999"}, "This project has no such dataset."),
        ({"source": "typed", "typed": " \n"}, "Type at least one prompt."),
        ({"1-choice": ""}, "Choose at least two"),
        ({"1-choice": "gpu-1/llama"}, "twice with the same settings"),
        ({"1-temperature": "7"}, "less than or equal to 2"),
        ({"random_percent": 5}, "greater than or equal to 20"),
        ({"who": "chosen"}, "Choose at least one labeler."),
        ({"reasons": "required", "reason_tags": ""}, "Offer at least one reason."),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_made(
    create: Callable[..., Any],
    endpoint: Endpoint,
    prompts: DatasetVersion,
    values: dict[str, Any],
    said: str,
) -> None:
    answer = create(two_models(**{"prompts": prompts.pk} | values))

    assert answer.status_code == 422
    assert said in text_of(answer)
    assert not Campaign.objects.exists()
    assert not Run.objects.exists()


def test_a_taken_name_is_said_beside_the_name_and_leaves_no_upload(
    create: Callable[..., Any], endpoint: Endpoint, project: Project, bob: User
) -> None:
    create_campaign(project=project, created_by=bob, name="First week")

    answer = create(two_models(source="typed", typed="Why?"))

    assert answer.context["form"].errors["name"]
    assert not DatasetVersion.objects.exists()


def test_the_preview_draws_markdown_and_no_script(
    client: Client, project: Project, bob: User, lara: User
) -> None:
    client.force_login(bob)
    address = reverse("campaigns:preview", args=["grammar"])

    answer = client.post(address, {"guidelines": "**Be fair.**<script>x</script>"})

    assert "<strong>Be fair.</strong>" in text_of(answer)
    assert "<script>" not in text_of(answer)
    client.force_login(lara)
    assert client.post(address, {"guidelines": "x"}).status_code == 403


# One campaign ------------------------------------------------------------------------


def test_htmx_is_sent_the_part_alone(
    client: Client, url: Callable[..., str], bob: User
) -> None:
    client.force_login(bob)
    headers = {"HX-Request": "true", "HX-Target": "campaign-body"}

    text = text_of(client.get(url("labelers"), headers=headers))

    assert "<html" not in text
    assert "Median time" in text


def test_only_parts_with_charts_load_bokeh_and_allow_its_styles(
    page: Callable[..., Any], bob: User
) -> None:
    for tab in ("models", "agreement"):
        answer = page(bob, tab)
        assert "bokeh.min.js" in text_of(answer)
        assert "'unsafe-inline'" in answer["Content-Security-Policy"]
    answer = page(bob, "detail")
    assert "bokeh" not in text_of(answer)
    assert "'unsafe-inline'" not in answer["Content-Security-Policy"]


def test_state_is_changed_once_and_said(
    client: Client, url: Callable[..., str], bob: User
) -> None:
    client.force_login(bob)
    for move, state in (("pause", "paused"), ("close", "closed"), ("open", "open")):
        client.post(url("state"), {"move": move})
        assert Campaign.objects.get().state == state
    answer = client.post(url("state"), {"move": "open"}, follow=True)
    assert "The campaign is open already." in text_of(answer)
    answer = client.post(url("state"), {"move": "explode"}, follow=True)
    assert answer.status_code == 200


def test_batches_are_redrawn_while_their_runs_are_at_work(
    create: Callable[..., Any], client: Client, pairs: DatasetVersion
) -> None:
    address = create(filled(prompts=pairs.pk))["Location"]
    assert 'hx-trigger="every 4s"' in text_of(client.get(address))

    Run.objects.update(state="succeeded")

    assert 'hx-trigger="every 4s"' not in text_of(client.get(address))


def test_settings_are_kept_and_a_new_overlap_reopens_comparisons(
    client: Client, url: Callable[..., str], campaign: Campaign, bob: User, lara: User
) -> None:
    client.force_login(bob)
    values = filled(
        name="Renamed", overlap=4, shared_overlap=4, who="chosen", labelers=[lara.pk]
    )

    answer = client.post(url("settings"), values)

    assert answer.status_code == 302, answer.context["form"].errors
    campaign.refresh_from_db()
    assert (campaign.name, campaign.is_restricted) == ("Renamed", True)
    assert [one.user for one in campaign.labelers.filter(is_invited=True)] == [lara]
    assert campaign.items.filter(is_open=True, gold="").count() == 34


def test_comparisons_are_filtered_and_paged(
    client: Client, project: Project, bob: User
) -> None:
    campaign = build(
        project, bob, World(num_prompts=25, num_gold=3, settings={"name": "Big"})
    )
    client.force_login(bob)
    address = reverse("campaigns:items", args=["grammar", campaign.pk])

    def pks(**query: Any) -> list[int]:
        return [row[0].pk for row in client.get(address, query).context["rows"]]

    everything = sorted(campaign.items.values_list("pk", flat=True), reverse=True)
    first = pks()
    assert first == everything[:50]
    assert pks(before=first[-1]) == everything[50:]
    assert pks(after=everything[50]) == everything[:50]
    with CaptureQueriesContext(connection) as of_three:
        assert len(pks(state="gold")) == 3
    with CaptureQueriesContext(connection) as of_fifty:
        assert len(pks()) == 50
    assert len(of_fifty) == len(of_three)
    model = campaign.answerers.order_by("pk").first()
    assert model is not None
    assert len(pks(answerer=model.pk)) == 50
    disputed = set(pks(look="disagreement"))
    assert disputed
    for item in campaign.items.filter(pk__in=disputed):
        votes = (item.num_a, item.num_b, item.num_tie, item.num_both_bad)
        assert max(votes) < 0.75 * sum(votes)
    for nonsense in ({"state": "x"}, {"before": "1\0"}, {"answerer": "9" * 30}):
        assert client.get(address, nonsense).status_code == 200


def test_a_comparison_shows_every_vote_taken_back_ones_too(
    page: Callable[..., Any], campaign: Campaign, bob: User
) -> None:
    vote = Vote.objects.filter(undone=None, round=0).first()
    assert vote is not None
    Vote.objects.filter(pk=vote.pk).update(
        undone=vote.created, details={"note": "<b>why</b>"}
    )

    text = text_of(page(bob, "item", vote.comparison_id))

    assert "taken back" in text
    assert "Model 1" in text or "Model 2" in text
    assert "&lt;b&gt;why&lt;/b&gt;" in text
    receipt = reverse(
        "playground:receipt", args=["grammar", vote.comparison.answer_a_id]
    )
    assert receipt in text


def test_a_comparison_becomes_gold_is_withdrawn_and_decided(
    client: Client, url: Callable[..., str], campaign: Campaign, bob: User
) -> None:
    client.force_login(bob)
    item = campaign.items.filter(gold="").first()
    assert item is not None

    client.post(url("item-gold", item.pk), {"choice": "b"})
    client.post(url("item-withdraw", item.pk), {"is_withdrawn": "1"})
    client.post(url("item-adjudicate", item.pk), {"choice": "tie", "note": "Alike."})

    item.refresh_from_db()
    assert (item.gold, item.is_withdrawn, item.adjudicated) == ("b", True, "tie")
    assert item.adjudicated_by == bob
    answer = client.post(url("item-gold", item.pk), {"choice": "c"}, follow=True)
    assert "Choose what the right answer is." in text_of(answer)


def test_a_second_look_is_asked_for_by_flags_and_contradicted_rewards(
    client: Client, url: Callable[..., str], project: Project, bob: User, lara: User
) -> None:
    campaign = build(
        project,
        bob,
        World(num_prompts=4, settings={"name": "Calm", "shared_share": 0.0}),
    )
    flagged, odd, *_ = campaign.items.order_by("pk")
    Flag.objects.create(item=flagged, labeler=lara, reason="A phone number")
    Item.objects.filter(pk=odd.pk).update(margin=2.0, num_a=0, num_b=3, num_votes=3)
    client.force_login(bob)
    address = reverse("campaigns:adjudicate", args=["grammar", campaign.pk])

    first = client.get(address)
    assert first.context["item"] == flagged
    assert "A phone number" in text_of(first)
    onward = first.context["onward"]
    decide = reverse(
        "campaigns:item-adjudicate", args=["grammar", campaign.pk, flagged.pk]
    )
    second = client.post(decide, {"choice": "a", "next": onward}, follow=True)
    assert second.context["item"] == odd
    assert "The reward model prefers A by 2.0" in text_of(second)
    client.post(
        decide.replace(f"/{flagged.pk}/", f"/{odd.pk}/"),
        {"choice": "b", "next": "https://evil.example/"},
    )
    assert "Nothing needs a second look" in text_of(client.get(address))


def test_a_new_version_of_the_guidelines_keeps_the_old_one(
    client: Client, url: Callable[..., str], campaign: Campaign, bob: User, lara: User
) -> None:
    client.force_login(bob)
    client.post(url("guidelines"), {"text": "Prefer what is *true*."})

    text = text_of(client.get(url("guidelines")))

    assert campaign.guidelines.count() == 2
    assert "<em>true</em>" in text
    assert "Prefer what <strong>helps</strong>." in text
    client.force_login(lara)
    assert client.post(url("guidelines"), {"text": "Mine"}).status_code == 403
    assert campaign.guidelines.count() == 2


def test_news_come_once_the_report_is_newer(
    client: Client, url: Callable[..., str], campaign: Campaign, vera: User
) -> None:
    client.force_login(vera)
    first = refresh_report(campaign)
    assert first.computed is not None
    seen = {"seen": first.computed.isoformat()}

    assert client.get(url("news"), seen).status_code == 204
    refresh_report(campaign)
    newer = client.get(url("news"), seen)

    assert newer.status_code == 286
    assert newer["HX-Trigger"] == "report-newer"
    assert client.get(url("news"), {"seen": "nonsense"}).status_code == 286


def test_names_and_prompts_are_text_and_never_html(
    page: Callable[..., Any], campaign: Campaign, bob: User
) -> None:
    evil = "<script>alert(1)</script>"
    Campaign.objects.update(name=evil)
    campaign.answerers.update(title=evil)
    item = campaign.items.first()
    assert item is not None
    item.comparison.prompt = [{"role": evil, "content": evil}]
    item.comparison.save()
    item.comparison.answer_a.text = evil
    item.comparison.answer_a.save()

    for tab in TABS:
        assert evil not in text_of(page(bob, tab)), tab
    assert evil not in text_of(page(bob, "item", item.pk))
