"""What runs made becomes comparisons and votes, once."""

import json

import pytest
from runspec import GenerateSpec, JudgeSpec
from runspec.labels import AnsweredPrompt, LabeledPair
from runspec.layout import ANSWERS_FILE, CAMPAIGN_FILE, VERDICTS_FILE
from trivium import storage
from trivium.campaigns import making, taking_in, voting
from trivium.campaigns.handing_out import tasks_for
from trivium.campaigns.models import Batch, Campaign, Item, Judge
from trivium.campaigns.questions import Details
from trivium.campaigns.sending_out import labeled_pairs, write_pairs
from trivium.comparisons.models import Comparison, Vote
from trivium.playground.models import Generation
from trivium.runs import kinds
from trivium.runs.models import Run
from trivium.serving.services import add_endpoint

ASKED = [{"role": "user", "content": "Why is the sky blue?"}]


@pytest.fixture
def elsewhere(bob):
    return add_endpoint(
        name="elsewhere",
        url="http://127.0.0.1:9/v1",
        api_key="",
        model_ids=["small", "large", "judge"],
        created_by=bob,
    )


@pytest.fixture
def batch(project, bob, elsewhere, make_prompts) -> Batch:
    """The batch of two models that were asked, in a campaign of everybody's votes."""
    campaign = making.create_campaign(
        project=project, created_by=bob, name="Sky", shared_share=0, repeat_share=0
    )
    run = making.add_answers(
        campaign,
        actor=bob,
        prompts=make_prompts(),
        answerers=[("elsewhere/small", SAMPLING), ("elsewhere/large", SAMPLING)],
    )
    return Batch.objects.get(run=run)


SAMPLING = GenerateSpec.model_fields["samplings"].annotation.__args__[0]()


def answer(text):
    return {"text": text, "finish_reason": "stop", "sampling": {"seed": 3}}


def line(number, *texts, **values):
    answers = [answer(text) if text is not None else None for text in texts]
    return {"number": number, "prompt": ASKED, "answers": answers, **values}


def publish(batch, folder, *lines):
    text = "\n".join(json.dumps(one) for one in lines) + "\n"
    (folder / ANSWERS_FILE).write_text(text)
    values = taking_in.publish_batch(batch.run, folder, {})
    Batch.objects.filter(pk=batch.pk).update(**values)
    return values["facts"]


def test_different_answers_become_comparisons(batch, tmp_path):
    facts = publish(
        batch,
        tmp_path,
        line(0, "Because of scattering.", "It is not."),
        line(1, "The same.", " The same.\n"),
        line(2, "Only one.", None, errors=["the prompt is too long"]),
        line(3, "I am ChatGPT, and it is blue.", "Blue.", category="violence"),
    )
    assert facts == {"prompts": 4, "comparisons": 2, "identical": 1, "failed": 1}
    first, second = Item.objects.order_by("pk")
    assert (first.comparison.answer_a.choice_id, first.prompt_number) == (
        "elsewhere/small", 0,
    )  # fmt: skip
    assert (first.num_words, first.more_words) == (6, 0)
    assert (first.names_itself, second.names_itself) == (False, True)
    assert second.category == "violence"
    assert Campaign.objects.get().categories == ["violence"]
    assert first.comparison.answer_a.sampling["seed"] == 3
    assert Comparison.objects.count() == 2
    assert Generation.objects.count() == 4


def test_answers_published_again_come_in_once(batch, tmp_path):
    lines = line(0, "One.", "Two."), line(1, "Three.", "Four.")
    publish(batch, tmp_path, lines[0])
    assert publish(batch, tmp_path, *lines)["comparisons"] == 2
    assert Item.objects.count() == 2


def test_each_pair_of_several_answerers_is_compared_once(
    project, bob, elsewhere, make_prompts, tmp_path
):
    campaign = making.create_campaign(project=project, created_by=bob, name="Three")
    ids = ["elsewhere/small", "elsewhere/large", "elsewhere/judge"]
    run = making.add_answers(
        campaign,
        actor=bob,
        prompts=make_prompts(),
        answerers=[(one, SAMPLING) for one in ids],
    )
    publish(Batch.objects.get(run=run), tmp_path, line(0, "x", "y", "z"))
    pairs = Item.objects.values_list("answerer_a__choice_id", "answerer_b__choice_id")
    assert set(pairs) == {(ids[0], ids[1]), (ids[0], ids[2]), (ids[1], ids[2])}
    assert Generation.objects.count() == 3


@pytest.mark.parametrize(
    ("text", "titles", "names"),
    [
        ("I am Claude.", [], True),
        ("As Tiny World I say", ["Tiny World"], True),
        ("A base of support", ["base", "Tiny World"], True),
        ("It is a sin.", ["in"], False),
        ("The llamas graze.", [], False),
    ],
)
def test_answers_that_name_themselves_are_found(text, titles, names):
    assert taking_in.names_itself(text, titles) == names


def test_a_retried_run_fills_the_batch_of_the_one_that_failed(batch, bob):
    Run.objects.filter(pk=batch.run.pk).update(state=Run.State.FAILED)
    batch.run.refresh_from_db()
    again = kinds.retry_run(run=batch.run, actor=bob, changes={})
    assert Batch.objects.get().run == again


def test_a_run_without_a_campaign_makes_one(project, bob, elsewhere, make_prompts):
    spec = GenerateSpec(
        prompts=str(make_prompts().pk),
        answerers=("elsewhere/small", "elsewhere/large"),
        samplings=(SAMPLING, SAMPLING),
    )
    run = kinds.start_run(project=project, created_by=bob, spec=spec, name="Made")
    assert Batch.objects.get(run=run).campaign.name == run.name == "Made"


def judged(campaign, bob):
    spec = JudgeSpec(
        campaign=str(campaign.pk), judge="elsewhere/judge", rubric="Be fair."
    )
    run = kinds.start_run(project=campaign.project, created_by=bob, spec=spec)
    return Judge.objects.get(run=run)


def test_verdicts_become_votes_of_a_judge_and_never_count_as_peoples(
    make_campaign, bob, elsewhere, tmp_path
):
    campaign = make_campaign(3)
    judge = judged(campaign, bob)
    first, second, third = Item.objects.order_by("pk")
    lines = [
        {"id": first.pk, "a_left": "a", "b_left": "a", "texts": ["x", "y"]},
        {"id": second.pk, "a_left": "a", "b_left": "b", "texts": ["x", "y"]},
        {"id": third.pk, "a_left": None, "b_left": None},
        {"id": 10**6, "a_left": "a", "b_left": "a"},
    ]
    (tmp_path / VERDICTS_FILE).write_text("\n".join(map(json.dumps, lines)))
    for _ in range(2):
        facts = taking_in.publish_judge(judge.run, tmp_path, {})["facts"]
    assert facts == {"judged": 2, "silent": 1, "both_orders": 2, "same_in_both": 1}
    votes = Vote.objects.filter(judge=judge).order_by("pk")
    assert [(one.choice, one.shown_left, one.round) for one in votes] == [
        ("a", "a", 0), ("a", "b", 1), ("a", "a", 0), ("b", "b", 1),
    ]  # fmt: skip
    assert set(Item.objects.values_list("num_votes", flat=True)) == {0}


def test_margins_of_a_reward_model_are_kept_with_the_comparison(
    make_campaign, bob, elsewhere, tmp_path
):
    judge = judged(make_campaign(2), bob)
    first = Item.objects.earliest("pk")
    line = {"id": first.pk, "a_left": "b", "b_left": "b", "margin": -1.5}
    (tmp_path / VERDICTS_FILE).write_text(json.dumps(line))
    taking_in.publish_judge(judge.run, tmp_path, {})
    assert list(Item.objects.order_by("pk").values_list("margin", flat=True)) == [
        -1.5, None
    ]  # fmt: skip


def test_a_campaign_goes_out_with_every_vote(
    make_campaign, lara, bob, elsewhere, tmp_path
):
    campaign = make_campaign(2)
    for choice in ("b", "a"):
        task = tasks_for(campaign, lara)[0]
        voting.cast_vote(
            labeler=lara, key=task.key, choice=choice,
            details=Details(strength=2), ms_active=7,
        )  # fmt: skip
    voting.undo(campaign=campaign, labeler=lara)
    voting.flag(labeler=lara, key=tasks_for(campaign, lara)[0].key, reason="odd")
    assert write_pairs(campaign, tmp_path / "pairs.jsonl") == 2
    pairs = [
        LabeledPair.model_validate_json(one)
        for one in (tmp_path / "pairs.jsonl").read_text().splitlines()
    ]
    said = {vote.choice: vote for pair in pairs for vote in pair.votes}
    assert said["b"].undone is None
    assert said["a"].undone is not None
    assert (said["b"].annotator, said["b"].strength) == ("lara", 2)
    assert sorted(pair.flags for pair in pairs) == [(), ("odd",)]
    assert pairs[0].answer_a.model == "grammar/Small"


def test_sending_out_asks_the_database_a_few_times_however_many(
    make_campaign, django_assert_max_num_queries
):
    campaign = make_campaign(60)
    with django_assert_max_num_queries(4):
        assert len(list(labeled_pairs(campaign))) == 60


def test_a_run_that_reads_a_campaign_gets_a_file_that_goes_with_it(
    make_campaign, bob, elsewhere
):
    campaign = make_campaign(2)
    judge = judged(campaign, bob)
    folder = storage.run_folder(judge.run.pk)
    spec = kinds.resolve_spec(judge.run)
    assert spec.campaign == str(folder / CAMPAIGN_FILE)
    assert len((folder / CAMPAIGN_FILE).read_text().splitlines()) == 2
    (folder / "output").mkdir(exist_ok=True)
    (folder / "output" / VERDICTS_FILE).write_text("")
    kinds.publish_output(judge.run, folder, {})
    assert not (folder / CAMPAIGN_FILE).exists()


def test_lines_of_a_newer_kind_are_refused(batch, tmp_path):
    (tmp_path / ANSWERS_FILE).write_text('{"number": 0, "future": 1}\n')
    with pytest.raises(ValueError, match="future"):
        taking_in.publish_batch(batch.run, tmp_path, {})
    assert AnsweredPrompt.model_config["extra"] == "forbid"
