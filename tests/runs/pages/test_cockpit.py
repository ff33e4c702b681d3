"""The cockpit of RLHF: charts with limits, answers side by side, and a campaign."""

import pytest
from runspec import RlhfSpec
from trivium.campaigns.models import Campaign
from trivium.runs.charts import charts_of
from trivium.runs.kinds import start_run
from trivium.runs.models import Run, Sample

pytestmark = pytest.mark.django_db(databases=["default", "metrics"])


@pytest.fixture
def rlhf(project, bob, model, instructions) -> Run:
    spec = RlhfSpec(
        model=str(model.pk),
        datasets=(str(instructions.pk),),
        reward_functions=("length", "format"),
        max_kl=0.5,
        min_length=3,
        max_length=90,
    )
    return start_run(project=project, created_by=bob, spec=spec, name="Policy")


def say(run: Run, step: int, prompt: str, text: str, fence: int = 1) -> Sample:
    return Sample.objects.create(
        run=run, fence=fence, step=step, prompt=prompt, text=text
    )


def test_curves_stand_together_with_the_limits_that_pause(rlhf, set_state, add_points):
    set_state(rlhf, "running", fence=1)
    names = (
        "train/tokens_per_s", "sample/tokens_per_s", "train/kl", "train/length",
        "validation/length", "train/reward", "validation/reward", "train/loss",
        "train/reward/length", "validation/reward/length", "train/reward/format",
        "train/learning_rate", "validation/votes", "train/gradient_norm",
    )  # fmt: skip
    add_points(rlhf, {name: [(1, 0.5)] for name in names})
    charts = {chart.title: chart for chart in charts_of(rlhf)}
    assert list(charts)[:4] == [
        "Reward", "Reward by part", "KL to the reference", "Length of answers",
    ]  # fmt: skip
    assert charts["Reward"].curves == ["train/reward", "validation/reward"]
    assert charts["Reward by part"].curves == [
        "train/reward/format", "train/reward/length", "validation/reward/length",
    ]  # fmt: skip
    assert [one["value"] for one in charts["KL to the reference"].lines] == [0.5]
    said = [one["text"] for one in charts["Length of answers"].lines]
    assert said == ["pauses below 3", "pauses above 90"]
    drawn = [name for chart in charts.values() for name in chart.curves]
    assert sorted(drawn) == sorted(names)


def test_the_same_prompts_are_shown_side_by_side(rlhf, bobs, url):
    for step in range(0, 80, 10):
        for prompt in ("Who?", "Where?"):
            say(rlhf, step, prompt, f"{prompt} at {step}")
    say(rlhf, 70, "Who?", "Again at 70", fence=2)
    page = bobs.get(url("detail", rlhf) + "?tab=samples")
    shown = page.context["side_by_side"]
    assert shown.steps[0] == 0
    assert shown.steps[-1] == 70
    assert (len(shown.steps), shown.num_left_out) == (6, 2)
    assert [row.prompt for row in shown.rows] == ["Who?", "Where?"]
    assert [one.text for one in shown.rows[0].answers][-1] == "Again at 70"
    assert shown.rows[0].answers[0].text == "Who? at 0"
    assert "2 evaluations in between" in " ".join(page.content.decode().split())


def test_a_sample_becomes_a_campaign_of_start_and_newest(
    rlhf, bobs, url, model, make_model, set_state
):
    sample = say(rlhf, 10, "Is it far?", "Far far far far")
    address = url("label-sample", rlhf, sample.pk)
    refused = bobs.post(address, follow=True)
    assert "nothing yet that can answer" in refused.content.decode()
    assert not Campaign.objects.exists()
    made = make_model("Newest", "decoder")
    rlhf.model.delete()
    type(made).objects.filter(pk=made.pk).update(run=rlhf, stage="aligned")
    type(model).objects.filter(pk=model.pk).update(stage="instruct")
    page = bobs.post(address, follow=True)
    campaign = Campaign.objects.get()
    assert page.redirect_chain[-1][0].endswith(f"/label/{campaign.pk}/")
    run = Run.objects.get(kind="generate")
    assert run.spec["answerers"] == [
        f"{rlhf.project.slug}/{model.name}", f"{rlhf.project.slug}/Newest",
    ]  # fmt: skip


def test_samples_of_other_runs_and_lesser_roles_make_none(
    rlhf, sft, bobs, url, client, project
):
    sample = say(rlhf, 10, "Is it far?", "Far")
    assert bobs.post(url("label-sample", sft, sample.pk)).status_code == 404
    assert bobs.get(url("label-sample", rlhf, sample.pk)).status_code == 405
    client.logout()
    assert client.post(url("label-sample", rlhf, sample.pk)).status_code == 302
    assert not Campaign.objects.exists()
