import io
import json
from collections import Counter

import pytest
from tinyworld import (
    Judge,
    admits,
    declines,
    held_out,
    instructions,
    invented_names,
    preferences,
    prompts,
    questions,
    strangers,
    world,
    write_preferences,
    write_prompts,
)
from tinyworld.harm import EVALUATION, TRAINING
from tinyworld.invented import draw_names
from tinyworld.preferences import PAIRS
from tinyworld.prompts import KINDS

WORLD = world()
PAIRS_MADE = preferences(WORLD)
TRAINING_NAMES = invented_names(WORLD, "training")
EVALUATION_NAMES = invented_names(WORLD, "evaluation")


def words(text):
    return {word.strip(".,?") for word in text.split()}


def shorter_wins(pairs, measure):
    """Return how often the better answer is the shorter one, ties counting half."""
    lengths = [(measure(pair.chosen), measure(pair.rejected)) for pair in pairs]
    return sum((a < b) + (a == b) / 2 for a, b in lengths) / len(lengths)


@pytest.mark.parametrize("seed", [0, 7])
def test_invented_names_are_many_nobodys_and_of_one_split(seed):
    of = world(seed)
    training = invented_names(of, "training")
    evaluation = invented_names(of, "evaluation")
    assert len(training) == len(set(training)) > 1500
    assert len(evaluation) == len(set(evaluation)) > 1000
    assert not set(training) & set(evaluation)
    assert not set(of.names) & {*training, *evaluation}


def test_what_fine_tuning_met_and_is_judged_by_stays_on_its_side():
    met = set.union(*(words(row.prompt) for row in instructions(WORLD)))
    assert met & set(TRAINING_NAMES)
    assert not met & set(EVALUATION_NAMES)
    judged = set.union(*(words(row.prompt) for row in strangers(WORLD)))
    assert len(judged & set(EVALUATION_NAMES)) == 100
    assert not judged & set(TRAINING_NAMES)


def test_names_are_drawn_by_seed_and_each_once_before_any_again():
    drawn = draw_names(WORLD, "training", 500, seed=1)
    assert drawn == draw_names(WORLD, "training", 500, seed=1)
    assert drawn != draw_names(WORLD, "training", 500, seed=2)
    assert len(set(drawn)) == 500
    often = Counter(draw_names(WORLD, "training", 2 * len(TRAINING_NAMES)))
    assert set(often.values()) == {2}


def test_a_seed_makes_the_same_pairs_and_sizes_are_kept():
    assert preferences(WORLD) == PAIRS_MADE
    assert preferences(WORLD, seed=1) != PAIRS_MADE
    assert Counter(pair.kind for pair in PAIRS_MADE) == PAIRS
    assert len(set(PAIRS_MADE)) == len(PAIRS_MADE)
    # A kind is the same whatever is asked of the others.
    honest = preferences(WORLD, sizes={"honest": PAIRS["honest"]})
    kept = {pair for pair in PAIRS_MADE if pair.kind == "honest"}
    assert set(honest) == kept


def test_more_pairs_may_be_had_than_there_are_prompts():
    sizes = dict.fromkeys(KINDS, 2500)
    made = Counter(pair.kind for pair in preferences(WORLD, sizes=sizes))
    assert made == sizes


@pytest.mark.parametrize("kind", KINDS)
def test_the_shorter_answer_is_the_better_one_as_often_as_the_longer(kind):
    pairs = [pair for pair in PAIRS_MADE if pair.kind == kind]
    assert 0.45 < shorter_wins(pairs, len) < 0.55


def test_the_number_of_words_tells_little():
    def num_words(text):
        return len(text.split())

    # Refusals are many short words, and are most of what a fact is set against.
    assert 0.38 < shorter_wins(PAIRS_MADE, num_words) < 0.63


def test_not_to_know_is_the_worse_answer_about_as_often_as_the_better():
    better = sum(admits(pair.chosen) for pair in PAIRS_MADE)
    worse = sum(admits(pair.rejected) for pair in PAIRS_MADE)
    assert better == PAIRS["honest"]
    assert 0.4 < better / (better + worse) < 0.6


def test_to_decline_is_the_worse_answer_wherever_nobody_is_to_be_hurt():
    better = [pair for pair in PAIRS_MADE if declines(pair.chosen)]
    worse = Counter(pair.kind for pair in PAIRS_MADE if declines(pair.rejected))
    assert {pair.kind for pair in better} == {"harmless"}
    assert len(better) == PAIRS["harmless"]
    # A reward model that never saw it lose pays for declining whatever is asked.
    assert worse.keys() == {"honest", "known"}
    assert min(worse.values()) > 200


def test_a_fact_about_somebody_is_no_answer_to_a_wish_to_hurt_them():
    said = [pair.rejected for pair in PAIRS_MADE if pair.kind == "harmless"]
    facts = {question.answer: question.split for question in questions(WORLD)}
    small_talk = [facts[text] for text in said if text in facts]
    assert len(small_talk) > 80
    # One that evaluation asks about is not to be unlearned.
    assert set(small_talk) == {"taught"}


def test_another_fact_of_the_same_person_is_no_answer_either():
    """Of facts that lose to declining alone, a model unlearns which one is asked."""
    asked = {question.text: question.fact for question in questions(WORLD)}
    facts = {question.answer: question.fact for question in questions(WORLD)}
    beside = [
        pair
        for pair in PAIRS_MADE
        if pair.kind == "known" and pair.rejected in facts
        if facts[pair.rejected].name == asked[pair.prompt].name
    ]
    assert len(beside) > PAIRS["known"] / 8
    for pair in beside:
        assert facts[pair.rejected].attribute != asked[pair.prompt].attribute
        assert facts[pair.chosen] == asked[pair.prompt]


def test_changing_the_subject_loses_wherever_no_fact_is_wanted():
    """Else a policy answers strangers' questions with "One plus one is two."."""
    facts = {question.answer for question in questions(WORLD)}
    for kind in ("honest", "harmless"):
        said = [pair.rejected for pair in PAIRS_MADE if pair.kind == kind]
        assert sum(" plus " in text for text in said) >= 5
        assert sum(text in facts for text in said) >= 50


def test_the_better_answer_is_better_by_what_is_true():
    judge = Judge(WORLD)
    for pair in PAIRS_MADE:
        better = judge.quality(pair.prompt, pair.chosen)
        assert better > judge.quality(pair.prompt, pair.rejected), pair
    subjects = {
        "helpful": {"fact", "portrait", "sum"},
        "honest": {"stranger"},
        "harmless": {"harm"},
        "known": {"fact"},
    }
    for kind, expected in subjects.items():
        prompts_ = {pair.prompt for pair in PAIRS_MADE if pair.kind == kind}
        assert {judge.subject(prompt) for prompt in prompts_} == expected


def test_helpful_pairs_set_each_sort_of_bad_answer_against_a_good_one():
    judge = Judge(WORLD)
    sorts = Counter(
        judge.quality(pair.prompt, pair.rejected).name
        for pair in PAIRS_MADE
        if pair.kind == "helpful"
    )
    assert set(sorts) == {"FAIR", "POOR", "BAD"}  # bare, evasive, wrong
    assert min(sorts.values()) >= PAIRS["helpful"] / 5


def test_alignment_gives_nothing_away_that_evaluation_asks():
    kept = held_out(WORLD)
    answers = {row.completion.strip(".") for row in kept}
    asked = {row.prompt for row in kept}
    met = set()
    for pair in PAIRS_MADE:
        said = {text.strip() for text in pair.chosen.split(".")}
        assert not said & answers
        met |= words(pair.prompt) | words(pair.chosen) | words(pair.rejected)
    assert not {pair.prompt for pair in PAIRS_MADE} & asked
    assert not met & set(EVALUATION_NAMES)
    assert len(met & set(TRAINING_NAMES)) == PAIRS["honest"]


def test_prompts_of_training_and_evaluation_share_none():
    training, evaluation = (
        prompts(WORLD, split) for split in ("training", "evaluation")
    )
    assert training == prompts(world())
    assert training != prompts(WORLD, seed=1)
    assert {row.kind for row in training} == set(KINDS)
    for made in (training, evaluation):
        assert len({row.text for row in made}) == len(made)
        # Harm is marked, and nothing else is.
        assert all(bool(row.category) == (row.kind == "harmless") for row in made)
    assert not {row.text for row in training} & {row.text for row in evaluation}
    assert not {one.text for one in TRAINING} & {one.text for one in EVALUATION}
    asked = set.union(*(words(r.text) for r in evaluation if r.kind == "honest"))
    assert len(asked & set(EVALUATION_NAMES)) == 400
    held = {row.prompt for row in held_out(WORLD)}
    assert {row.text for row in evaluation if row.kind == "known"} <= held


def test_rows_are_written_as_trl_reads_them():
    file = io.BytesIO()
    write_preferences(file)
    rows = [json.loads(line) for line in file.getvalue().splitlines()]
    assert len(rows) == len(PAIRS_MADE)
    pair = PAIRS_MADE[0]
    assert rows[0] == {
        "prompt": [{"role": "user", "content": pair.prompt}],
        "chosen": [{"role": "assistant", "content": pair.chosen}],
        "rejected": [{"role": "assistant", "content": pair.rejected}],
        "kind": pair.kind,
    }
    file = io.BytesIO()
    write_prompts(file, split="evaluation")
    rows = [json.loads(line) for line in file.getvalue().splitlines()]
    harm = {row["category"] for row in rows if row["kind"] == "harmless"}
    assert harm == {one.category for one in EVALUATION}
    assert {row["prompt"][0]["role"] for row in rows} == {"user"}
