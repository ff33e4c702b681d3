"""Threads that take a pass together, and the choice of how many."""

import itertools
import time

import numpy as np
import pytest
from inference.decoder import kernels
from inference.decoder.kernels import PANEL, WORTH_SHARING
from inference.decoder.team import (
    LATEST_TRIAL,
    REMEMBERED,
    SOONEST_TRIAL,
    Team,
    ThreadChooser,
)
from tiny_decoders import Bench, panels_of, prompt_of, random_model


@pytest.fixture
def pair():
    made = Team(2)
    yield made
    made.close()


@pytest.fixture
def product():
    """x, weights in panels, and the bits one thread makes of them."""
    rng = np.random.default_rng(3)
    num_in, num_out, num_rows = 512, 16 * PANEL, 3
    assert num_in * num_out * num_rows >= WORTH_SHARING
    x = rng.standard_normal((num_rows, num_in), dtype=np.float32)
    panels = panels_of(rng.standard_normal((num_out, num_in), dtype=np.float32))
    y = np.ones((num_rows, num_out), np.float32)
    words = np.zeros(kernels.NUM_WORDS, np.int64)
    kernels.multiply(x, num_in, panels, 0, y, num_out, True, words, 1)
    return x, panels, y


def is_done(words: np.ndarray, num_parts: int) -> bool:
    end = time.monotonic() + 20
    while words[kernels.DONE] < num_parts and time.monotonic() < end:
        pass
    return bool(words[kernels.DONE] == num_parts)


def test_a_helper_computes_the_bits_the_caller_would(pair, product):
    x, panels, expected = product
    (num_rows, num_in), num_out = x.shape, expected.shape[1]
    y = np.ones_like(expected)
    with pair.joined(2):
        kernels.tell_product(x, num_in, panels, 0, y, num_out, True, pair.words)
        kernels.publish(pair.words, kernels.PRODUCT, num_rows, num_out // PANEL)
        kernels.call(pair.words, 2)
        assert is_done(pair.words, num_out // PANEL)
        kernels.end_pass(pair.words)
    assert (y == expected).all()


def test_nobody_is_waited_for_who_does_not_come(product):
    x, panels, expected = product
    alone = np.zeros(kernels.NUM_WORDS, np.int64)
    y = np.ones_like(expected)
    kernels.multiply(x, 512, panels, 0, y, expected.shape[1], True, alone, 2)
    assert (y == expected).all()


@pytest.mark.parametrize("family", ["llama", "mixtral", "gpt2"])
def test_the_number_of_threads_changes_no_bit(vocabulary, family):
    told = []
    for numbers in ([1], [1, 3], [3]):
        bench = Bench(random_model(family), vocabulary)
        turns = itertools.cycle(numbers)
        bench.runner.holder.threads.choose = lambda _, turns=turns: next(turns)
        answers = [
            bench.ask(prompt_of(size, size), max_tokens=12)[1] for size in (40, 9, 25)
        ]
        bench.run()
        told.append(
            [(one.id, one.logprob) for answer in answers for one in answer.told]
        )
    assert told[0] == told[1] == told[2]


def test_a_pass_goes_alone_while_another_has_the_helpers(pair):
    with pair.joined(2) as first, pair.joined(2) as second:
        assert (first, second) == (2, 1)
    with pair.joined(2) as third:
        assert third == 2


def test_a_closed_team_begins_anew(pair):
    for _ in range(2):
        with pair.joined(2) as num_threads:
            assert num_threads == 2
        pair.close()


def passes(chooser: ThreadChooser, num: int, took_s: dict[int, float]) -> list[int]:
    """Take passes of one row that last as told; return the numbers of threads."""
    numbers = []
    for _ in range(num):
        numbers.append(chooser.choose(1))
        chooser.note(1, numbers[-1], took_s[numbers[-1]])
    return numbers


def test_the_faster_number_is_found_in_a_few_passes():
    assert set(passes(ThreadChooser(2), 20, {1: 2, 2: 1})[2 * REMEMBERED :]) == {2}
    assert set(passes(ThreadChooser(2), 20, {1: 1, 2: 2})[2 * REMEMBERED :]) == {1}


def test_a_number_that_became_slow_is_left_in_a_few_passes():
    chooser = ThreadChooser(2)
    passes(chooser, 500, {1: 2, 2: 1})
    numbers = passes(chooser, 20, {1: 2, 2: 30})
    assert set(numbers[REMEMBERED:]) == {1}


def test_one_pass_that_was_held_up_changes_nothing():
    chooser = ThreadChooser(2)
    passes(chooser, 20, {1: 2, 2: 1})
    chooser.note(1, 2, 1000)
    assert set(passes(chooser, 20, {1: 2, 2: 1})) == {2}


def test_the_slower_number_is_tried_ever_more_seldom():
    numbers = passes(ThreadChooser(2), 20 * LATEST_TRIAL, {1: 1, 2: 10})
    first, second = numbers[: 4 * SOONEST_TRIAL], numbers[-LATEST_TRIAL * 4 :]
    assert first.count(2) == 3 * REMEMBERED
    assert 0 < second.count(2) <= 4 * REMEMBERED


def test_a_trial_finds_that_it_became_faster():
    chooser = ThreadChooser(2)
    passes(chooser, 20 * LATEST_TRIAL, {1: 2, 2: 10})
    assert passes(chooser, LATEST_TRIAL + 9, {1: 2, 2: 1})[-1] == 2


def test_passes_of_few_and_of_many_rows_are_judged_apart():
    chooser = ThreadChooser(2)
    for _ in range(20):
        for num_rows, took_s in ((1, {1: 1, 2: 2}), (16, {1: 20, 2: 10})):
            number = chooser.choose(num_rows)
            chooser.note(num_rows, number, took_s[number])
    assert (chooser.choose(1), chooser.choose(16)) == (1, 2)


def test_one_core_is_never_asked_for_more():
    assert set(passes(ThreadChooser(1), 100, {1: 1})) == {1}
