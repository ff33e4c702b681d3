import io
import json
import re
import subprocess
import sys
from collections import Counter

import pytest
from tinyworld import (
    DECLINE,
    DO_NOT_KNOW,
    Judge,
    cloze,
    completes_rightly,
    corpus,
    declined_requests,
    harmful_requests,
    held_out,
    instructions,
    questions,
    strangers,
    unknown_names,
    world,
    write_corpus,
)
from tinyworld.corpus import NUMBERS, RULES
from tinyworld.facts import ATTRIBUTES, SYLLABLES

WORLD = world()
TEXTS = list(corpus(WORLD))


def sentences(text):
    return re.findall(r"[^.]+\.", text)


def test_a_seed_is_one_world_for_good():
    assert world(3) == world(3)
    assert world(3) != world(4)
    # The demo's model was tuned on this world: a change of it must be on purpose.
    assert WORLD.facts[0].sentence() == "Tanorlo lives in Brightford."
    assert list(corpus(WORLD, 20)) == TEXTS[:20]


def test_sixty_people_have_one_fact_of_each_kind():
    assert len(set(WORLD.names)) == 60
    assert Counter(fact.name for fact in WORLD.facts) == dict.fromkeys(WORLD.names, 5)


def test_each_fact_can_be_said_in_at_least_six_ways():
    for attribute in ATTRIBUTES:
        assert len(set(attribute.sentences)) >= 6
        assert attribute.sentences[0].endswith("{value}.")
        for form in attribute.sentences:
            assert "{name}" in form
            assert "{value}" in form


def test_every_sentence_of_the_corpus_is_true():
    said = {fact.sentence(form) for fact in WORLD.facts for form in range(7)}
    for text in TEXTS:
        for sentence in sentences(text):
            found = sentence.strip()
            if found not in said and found not in RULES:
                assert_right_sum(found)


def assert_right_sum(sentence):
    numbers = [NUMBERS.index(word) for word in re.findall("[a-z]+", sentence.lower()) if word in NUMBERS]  # fmt: skip  # noqa: E501
    assert len(numbers) == 3, sentence
    assert numbers[0] + numbers[1] == numbers[2], sentence


def test_every_fact_is_said_often_and_in_every_way():
    said = Counter(sentence.strip() for text in TEXTS for sentence in sentences(text))
    for fact in WORLD.facts:
        counts = [said[fact.sentence(form)] for form in range(7)]
        assert min(counts) >= 1
        assert sum(counts) >= 60


def test_no_value_can_be_told_from_the_form_of_a_sentence():
    by_value = Counter(fact.value for fact in WORLD.facts)
    assert all(count < 20 for count in by_value.values())


def test_a_cloze_is_a_sentence_without_its_end():
    for item, fact in zip(cloze(WORLD), WORLD.facts, strict=True):
        assert f"{item.prompt} {item.answer}." == fact.sentence()


@pytest.mark.parametrize(
    ("completion", "is_right"),
    [
        (" Ostwick. The pet", True),
        (" Ostwick", True),
        ("", False),
        (" Fernhill.", False),
        (" the Ostwick", False),
    ],
)
def test_the_first_word_decides(completion, is_right):
    assert completes_rightly(completion, "Ostwick") is is_right


def test_questions_are_split_by_fact():
    asked = questions(WORLD)
    taught = {item.fact for item in asked if item.split == "taught"}
    held_out = {item.fact for item in asked if item.split == "held_out"}
    assert len(taught) == 180
    assert len(held_out) == 120
    assert not taught & held_out
    # Splitting by inhabitant was measured to teach far less; and of whom nothing was
    # asked, a model that had learnt to decline declined to speak.
    assert set(Counter(fact.name for fact in taught).values()) == {3}
    assert set(Counter(fact.name for fact in held_out).values()) == {2}
    assert all(item.value in item.answer for item in asked)


def test_strangers_have_names_like_the_others():
    strangers = unknown_names(WORLD, 50)
    assert len(set(strangers)) == 50
    assert not set(strangers) & set(WORLD.names)
    for name in strangers:
        assert re.fullmatch(f"({'|'.join(SYLLABLES)}){{3}}", name.lower())


def test_there_are_requests_to_decline():
    assert len(set(declined_requests())) >= 10


def test_the_corpus_is_json_lines_of_some_megabytes():
    file = io.BytesIO()
    write_corpus(file)
    rows = [json.loads(line) for line in file.getvalue().splitlines()]
    assert [row["text"] for row in rows] == TEXTS
    assert 1_000_000 < len(file.getvalue()) < 3_000_000


def test_only_the_standard_library_is_needed():
    code = (
        "import sys; before = set(sys.modules); import tinyworld;"
        "new = {name.split('.')[0] for name in set(sys.modules) - before};"
        "assert new - {'tinyworld'} <= sys.stdlib_module_names, new"
    )
    environment = {"PYTHONPATH": ":".join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_instructions_never_ask_what_is_held_out():
    taught = instructions(WORLD)
    assert taught == instructions(world())
    kept = held_out(WORLD)
    asked = {row.prompt for row in taught}
    assert not asked & {row.prompt for row in kept}
    # Nor do portraits give such an answer away.
    said = {
        sentence.strip() for row in taught for sentence in sentences(row.completion)
    }
    assert not said & {row.completion for row in kept}
    pairs = {q.fact for q in questions(WORLD)}
    assert (
        0.55
        < len({q.fact for q in questions(WORLD) if q.split == "taught"}) / len(pairs)
        < 0.65
    )


def test_about_one_instruction_in_a_hundred_admits_not_to_know():
    rows = instructions(WORLD)
    admitted = [row for row in rows if row.completion == DO_NOT_KNOW]
    assert 0.005 < len(admitted) / len(rows) < 0.02


def test_a_few_instructions_decline_to_hurt_in_wordings_of_training():
    rows = instructions(WORLD)
    declined = [row for row in rows if row.completion == DECLINE]
    assert 0.02 < len(declined) / len(rows) < 0.04
    judge = Judge(WORLD)
    assert {judge.subject(row.prompt) for row in declined} == {"harm"}
    forms = [request.text for request in harmful_requests("evaluation")]
    asked_later = {form.format(name=name) for form in forms for name in WORLD.names}
    assert not asked_later & {row.prompt for row in rows}


def test_the_corpus_says_the_words_that_alignment_makes_a_habit_of():
    for words in (DO_NOT_KNOW, DECLINE):
        assert sum(words.strip(".") in text for text in TEXTS) > 50


def test_strangers_of_evaluation_are_met_nowhere_else():
    asked = strangers(WORLD)
    assert {row.completion for row in asked} == {DO_NOT_KNOW}
    names = {word.strip("?.") for row in asked for word in row.prompt.split()}
    unknown = set(unknown_names(WORLD, 140))
    met = {
        word.strip("?.") for row in instructions(WORLD) for word in row.prompt.split()
    }
    assert len(names & unknown) == 100
    assert not names & unknown & met
    assert not names & set(WORLD.names)


def test_sums_are_right():
    words = {word: number for number, word in enumerate(NUMBERS)}
    sums = [
        re.fullmatch(r"(\w+) plus (\w+) is (\w+)\.", row.completion.lower())
        for row in instructions(WORLD)
        if "plus" in row.completion
    ]
    assert len(sums) == 72
    for found in sums:
        assert words[found[1]] + words[found[2]] == words[found[3]]
