"""The bundled data sets are taken as they are written, without a bad row."""

import io

from tinyworld import preferences, prompts, world, write_preferences, write_prompts


def written(write):
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def test_every_pair_is_taken_as_a_preference(ingest):
    made = ingest(written(write_preferences), "pairs.jsonl", dataset_kind="preferences")
    assert made.card is not None, made.error
    pairs = preferences(world())
    assert made.card.rows == made.card.chat_rows == len(pairs)
    assert made.card.duplicate_rows == 0
    stored = {
        tuple(row[part][0]["content"] for part in ("prompt", "chosen", "rejected"))
        for row in made.all_rows()
    }
    assert stored == {(pair.prompt, pair.chosen, pair.rejected) for pair in pairs}


def test_every_prompt_is_taken_with_its_answer_and_kind_of_harm(ingest):
    made = ingest(written(write_prompts), "prompts.jsonl", dataset_kind="prompts")
    assert made.card is not None, made.error
    asked = prompts(world())
    assert made.card.rows == made.card.chat_rows == len(asked)
    assert made.card.duplicate_rows == 0
    stored = {
        (row["prompt"][0]["content"], row["answer"], row["category"])
        for row in made.all_rows()
    }
    assert stored == {(one.text, one.answer, one.category or None) for one in asked}
