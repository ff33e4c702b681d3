"""Campaigns from the command line."""

import pytest
from campaigns_lab import World, build
from trivium.campaigns.models import Campaign, Judge
from trivium.campaigns.reports import refresh_report
from trivium.cli.commands.campaigns import answerer_in, prompts_in, questions_in
from trivium.cli.errors import CliError
from trivium.datasets.models import Dataset
from trivium.runs.models import Run
from trivium.serving.services import add_endpoint

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")


@pytest.fixture
def elsewhere(ada):
    return add_endpoint(
        name="elsewhere",
        url="http://127.0.0.1:9/v1",
        api_key="",
        model_ids=["small", "large", "judge"],
        created_by=ada,
    )


@pytest.fixture
def campaign(project, ada) -> Campaign:
    return build(project, ada, World(num_prompts=12, num_gold=2))


def test_a_campaign_is_made_of_files(trivium, project, elsewhere, tmp_path):
    prompts, guidelines = tmp_path / "prompts.txt", tmp_path / "told.md"
    prompts.write_text("Why is the sky blue?\n\nWhy is grass green?\n")
    guidelines.write_text("Prefer what **helps**.\n")
    made = trivium(
        "campaigns", "create", "Helpful", "--prompts", prompts,
        "--answerer", "elsewhere/small,temperature=0,max_tokens=64",
        "--answerer", "elsewhere/large", "--guidelines", guidelines,
        "--ask", "axes=required", "--ask", "note", "--reason", "Clearer",
        "--overlap", 2, "--gold-share", 0.1, "--labeler", "ada",
    )  # fmt: skip
    assert made.code == 0, made.err
    campaign, run = Campaign.objects.get(), Run.objects.get(kind="generate")
    assert f"campaign {campaign.pk} Helpful: open" in made.out
    assert f"answers come from run {run.pk}" in made.out
    assert (campaign.overlap, campaign.gold_share) == (2, 0.1)
    asked = campaign.questions
    assert (asked["axes"], asked["note"], asked["strength"]) == (
        "required", "optional", "optional",
    )  # fmt: skip
    assert (asked["reasons"], asked["reason_tags"]) == ("optional", ["Clearer"])
    assert campaign.guidelines.get().text == "Prefer what **helps**.\n"
    assert run.spec["samplings"][0]["max_tokens"] == 64
    shown = trivium("campaigns", "show", campaign.pk).out
    assert "elsewhere/small" in shown
    assert "0 of 0 votes" in shown


def test_a_dataset_is_asked_by_the_id_of_its_version(trivium, project, elsewhere):
    dataset = Dataset.objects.create(project=project, name="Asked", kind="prompts")
    version = dataset.versions.create(number=1, path="datasets/x")
    argv = ("campaigns", "create", "Asked", "--prompts", version.pk)
    refused = trivium(*argv, "--answerer", "elsewhere/small")
    assert refused.code == 2
    assert "at least two" in refused.err
    models = ("--answerer", "elsewhere/small", "--answerer", "elsewhere/large")
    assert trivium(*argv, *models, "--json").json["batches"]
    assert Run.objects.get().spec["prompts"] == str(version.pk)


def test_campaigns_are_listed_paused_opened_and_closed(trivium, campaign):
    listed = trivium("campaigns", "list", "--state", "open").out
    assert "Helpful answers" in listed
    assert "36" in listed
    for verb, state in (("pause", "paused"), ("open", "open"), ("close", "closed")):
        done = trivium("campaigns", verb, campaign.pk)
        assert f"Helpful answers: {state}" in done.out
    assert trivium("campaigns", "close", campaign.pk).code == 6
    assert trivium("campaigns", "list", "--state", "open", "--json").json == []


def test_a_report_is_printed_with_its_intervals(trivium, campaign):
    values = refresh_report(campaign).values
    printed = trivium("campaigns", "report", campaign.pk).out
    best = values["ranking"]["models"][0]
    assert f"{best['score']:.0f} [{best['interval']['low']:.0f} to" in printed
    assert f"{values['agreement']['alpha']['value']:.2f}" in printed
    for name in ("Model 1", "Model 3", "cleo", "right on gold items"):
        assert name in printed
    as_json = trivium("campaigns", "report", campaign.pk, "--json").json
    assert as_json["values"]["counted"] == values["counted"]


def test_a_report_without_votes_says_why_it_has_no_numbers(trivium, project, ada):
    empty = build(project, ada, World(num_prompts=2, people=(), share_voted=0))
    printed = trivium("campaigns", "report", empty.pk)
    assert printed.code == 0, printed.err
    assert "0 votes" in printed.out
    assert "nothing to compare" in printed.out


def test_an_export_and_a_judge_are_started(trivium, campaign, elsewhere, tmp_path):
    argv = ("campaigns", "export", campaign.pk, "--name", "Pairs", "--min-votes", 2)
    started = trivium(*argv, "--no-uses-adjudicated")
    assert started.code == 0, started.err
    run = Run.objects.get(kind="export")
    assert (run.spec["min_votes"], run.spec["uses_adjudicated"]) == (2, False)
    assert f"run {run.pk} queued: export Pairs (makes dataset" in started.out
    assert trivium(*argv, "--min-share", "0.2").code == 2
    rubric = tmp_path / "rubric.md"
    rubric.write_text("Prefer what is true.")
    judged = trivium(
        "campaigns", "judge", campaign.pk, "elsewhere/judge,max_tokens=99",
        "--rubric", rubric,
    )  # fmt: skip
    assert judged.code == 0, judged.err
    assert Judge.objects.get().rubric == "Prefer what is true."
    sampling = Run.objects.get(kind="judge").spec["sampling"]
    assert (sampling["max_tokens"], sampling["temperature"]) == (99, 0)


def test_an_answerer_is_a_model_with_its_sampling():
    assert answerer_in("grammar/Tiny") == {"model": "grammar/Tiny"}
    assert answerer_in("grammar/Small, but kind,top-p=0.9,seed=3") == {
        "model": "grammar/Small, but kind",
        "sampling": {"top_p": 0.9, "seed": 3},
    }


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: answerer_in(",seed=1"), "names no model"),
        (lambda: answerer_in("a,seed=x"), "has no number"),
        (lambda: answerer_in("a,seed=1,colour=2"), "is no setting"),
        (lambda: questions_in(["mood"], None), "write one of axes"),
        (lambda: questions_in(["axes=maybe"], None), "write one of axes"),
        (lambda: prompts_in("/no/such/file"), "cannot be read"),
    ],
)
def test_what_is_written_wrongly_is_a_sentence(make, said):
    with pytest.raises(CliError, match=said):
        make()
