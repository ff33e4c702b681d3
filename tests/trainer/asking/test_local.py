"""The engine's slots stay full while there is anything left to ask."""

from collections.abc import Iterator

from asking_lab import local_source
from runspec.labels import Source
from runspec.serving import Prompt, Sampling
from trainer.asking.local import QUEUED_PER_SLOT, load
from trainer.asking.questions import Question

NUM_QUESTIONS = 100


def test_slots_stay_full_and_prompts_are_read_as_they_are_needed(tiny, tmp_path):
    num_taken = 0

    def questions() -> Iterator[Question]:
        nonlocal num_taken
        for number in range(NUM_QUESTIONS):
            num_taken += 1
            # Answers of all lengths, so that slots become free one by one.
            sampling = Sampling(max_tokens=1 + number % 7, seed=number)
            yield Question(number, Prompt(text=f"Say {number}"), sampling)

    source = Source.model_validate_json(local_source(tiny("gpt2")))
    with load(source, cache=tmp_path, tick=lambda: None) as model:
        runner, num_slots = model.served.runner, model.served.num_slots
        assert runner is not None
        assert num_slots == 16
        busy, num_done = [], 0
        for reply in model.answers(questions()):
            if reply is not None:
                num_done += 1
                assert num_taken - num_done <= QUEUED_PER_SLOT * num_slots
            elif num_taken < NUM_QUESTIONS:
                busy.append(runner.num_running + min(runner.num_waiting, num_slots))
    assert num_done == NUM_QUESTIONS
    assert min(busy) >= num_slots
