"""What each objective hides, measured over many batches, and that nothing is lost."""

import math
import re

import numpy as np
import pytest
from runspec import PretrainSpec, TokenizerSpec
from runspec.spans import raw_tokens, span_lengths
from trainer.forward import IGNORED
from trainer.objectives.batches import (
    NextToken,
    evaluation_batches,
    training_batches,
)
from trainer.objectives.denoising import Denoising
from trainer.objectives.masked import Masking
from trainer.objectives.pieces import continues_word, ends_sentence
from trainer.objectives.spans import SpanCorruption
from trainer.special_tokens import SpecialTokens
from trainer.tokenizer import build_tokenizer
from trainer.windows import draw_uniforms

END, PAD, MASK, START = 0, 1, 2, 3
FIRST, VOCABULARY = 104, 1104
SPECIAL = SpecialTokens(END, PAD, MASK, START, END, sentinels=tuple(range(4, FIRST)))
TEXT_IDS = np.arange(FIRST, VOCABULARY)
WORDS = "an owl's extraordinarily wise: it's 12 o'clock, the moon shines (brightly)! "


def masking(context=128, **changes) -> Masking:
    given = {"share": 0.15, "text_ids": TEXT_IDS, "continues_word": None} | changes
    return Masking(context, SPECIAL, **given)


def spans(context=128, *, share=0.15, mean_span=3.0) -> SpanCorruption:
    return SpanCorruption(context, SPECIAL, share=share, mean_span=mean_span)


def denoising(context=128, *, share=0.3, mean_span=3.0, ends_sentence=None):
    return Denoising(
        context,
        SPECIAL,
        share=share,
        mean_span=mean_span,
        ends_sentence=ends_sentence,
    )


OBJECTIVES = {
    "next token": NextToken(128),
    "masked": masking(),
    "spans": spans(),
    "denoising": denoising(),
}


def distinct_rows(objective, rows: int) -> np.ndarray:
    """Return rows whose tokens tell where they stood: none occurs twice."""
    places = np.arange(objective.raw_tokens)
    assert objective.raw_tokens <= len(TEXT_IDS)
    return np.tile(TEXT_IDS[places], (rows, 1))


def corrupted(objective, raw_BR, *, step=1):
    uniforms = draw_uniforms(
        seed=1,
        step=step,
        rows=range(len(raw_BR)),
        count=objective.num_uniforms(raw_BR.shape[1]),
    )
    return objective.corrupt(raw_BR, uniforms)


# Masked language modelling


def test_15_percent_are_asked_for_and_80_10_10_becomes_of_them():
    objective = masking()
    raw = distinct_rows(objective, 2000)
    inputs, labels = corrupted(objective, raw)
    asked = labels != IGNORED
    assert (asked.sum(axis=1) == round(0.15 * 126)).all()
    assert (labels[:, 1:-1][asked[:, 1:-1]] == raw[asked[:, 1:-1]]).all()
    shown, truth = inputs[asked], labels[asked]
    assert (shown == MASK).mean() == pytest.approx(0.8, abs=0.01)
    # One random token in a thousand is the one that was there.
    assert (shown == truth).mean() == pytest.approx(0.1, abs=0.01)
    other = shown[(shown != MASK) & (shown != truth)]
    assert len(other) / len(shown) == pytest.approx(0.1, abs=0.01)
    assert np.isin(other, TEXT_IDS).all()
    assert other.mean() == pytest.approx(TEXT_IDS.mean(), rel=0.05)
    assert (inputs[~asked][1:-1] != MASK).all()


def test_every_place_is_asked_for_alike_and_the_frame_never():
    objective = masking()
    _, labels = corrupted(objective, distinct_rows(objective, 4000))
    often = (labels != IGNORED).mean(axis=0)
    assert often[0] == often[-1] == 0
    assert often[1:-1] == pytest.approx(19 / 126, abs=0.03)


def test_the_ends_of_documents_are_never_hidden():
    objective = masking()
    raw = distinct_rows(objective, 500)
    raw[:, ::5] = END
    inputs, labels = corrupted(objective, raw)
    assert (labels != END).all()
    assert (inputs[:, 1:-1][raw == END] == END).all()
    assert (
        (labels != IGNORED).sum(axis=1) == round(0.15 * (raw[0] != END).sum())
    ).all()


def test_whole_words_are_hidden_together_and_no_fewer_of_them():
    joins = np.zeros((2, VOCABULARY), bool)
    joins[0, FIRST:] = TEXT_IDS % 2  # words of two tokens, in the mean
    joins[1] = True
    objective = masking(continues_word=joins)
    generator = np.random.default_rng(0)
    raw = generator.choice(TEXT_IDS, (2000, objective.raw_tokens))
    _, labels = corrupted(objective, raw)
    asked = labels[:, 1:-1] != IGNORED
    is_inside = joins[0][raw[:, 1:]]
    assert is_inside.any()
    assert (asked[:, 1:][is_inside] == asked[:, :-1][is_inside]).all()
    assert asked.mean() == pytest.approx(0.15, abs=0.004)
    alone = masking()
    _, labels = corrupted(alone, raw)
    asked = labels[:, 1:-1] != IGNORED
    assert (asked[:, 1:][is_inside] != asked[:, :-1][is_inside]).any()


def test_a_row_of_one_long_word_is_still_asked_for():
    joins = np.ones((2, VOCABULARY), bool)
    objective = masking(continues_word=joins)
    _, labels = corrupted(objective, distinct_rows(objective, 5))
    assert ((labels != IGNORED).sum(axis=1) == round(0.15 * 126)).all()


@pytest.mark.parametrize("algorithm", ["bpe", "wordpiece", "unigram", "characters"])
def test_words_are_found_in_the_tokens_of_each_algorithm(algorithm):
    spec = TokenizerSpec(
        dataset="1",
        algorithm=algorithm,
        vocabulary_size=None if algorithm == "characters" else 300,
    )
    tokenizer = build_tokenizer(spec, iter([WORDS] * 5))
    encoding = tokenizer.encode(WORDS, add_special_tokens=False)
    joins = continues_word(tokenizer)
    ids = np.array(encoding.ids)
    continues = joins[0][ids[1:]] & joins[1][ids[:-1]]
    begins = [0, *(np.flatnonzero(~continues) + 1).tolist()]
    found = [
        WORDS[encoding.offsets[first][0] : encoding.offsets[last - 1][1]].strip()
        for first, last in zip(begins, [*begins[1:], len(ids)], strict=True)
    ]
    in_each = [re.findall(r"\w+", piece) for piece in found]
    assert all(len(words) <= 1 for words in in_each)
    assert [word for words in in_each for word in words] == re.findall(r"\w+", WORDS)


# Span corruption


def test_512_positions_come_from_568_tokens_and_give_114_targets():
    assert raw_tokens(512, 0.15, 3.0) == 568
    objective = spans(512)
    inputs, targets = corrupted(objective, distinct_rows(objective, 8))
    assert objective.raw_tokens == 568
    assert inputs.shape == (8, 512)
    assert targets.shape == (8, 114)


def test_sentinels_come_in_order_and_input_and_target_make_up_the_text():
    objective = spans()
    raw = distinct_rows(objective, 300)
    inputs, targets = corrupted(objective, raw)
    for whole, left, cut in zip(raw, inputs.tolist(), targets.tolist(), strict=True):
        assert left[-1] == cut[-1] == END
        used = [token for token in left if token in SPECIAL.sentinels]
        assert used == list(SPECIAL.sentinels[: len(used)])
        assert [token for token in cut if token in SPECIAL.sentinels] == used
        parts: dict[int, list[int]] = {}
        for token in cut[:-1]:
            if token in SPECIAL.sentinels:
                current = parts.setdefault(token, [])
            else:
                current.append(token)
        assert all(parts.values())
        restored = [part for token in left[:-1] for part in parts.get(token, [token])]
        assert restored == whole.tolist()


def test_spans_hide_15_percent_in_pieces_of_three_of_any_length():
    objective = spans(512)
    lengths = span_lengths(568, 0.15, 3.0)
    uniforms = draw_uniforms(seed=1, step=1, rows=range(1000), count=568)
    hidden = objective.choose(568, uniforms)
    assert hidden.mean() == pytest.approx(0.15, abs=0.001)
    starts = hidden.copy()
    starts[:, 1:] &= ~hidden[:, :-1]
    assert (starts.sum(axis=1) == lengths.spans).all()
    assert hidden.sum() / starts.sum() == pytest.approx(3.0, abs=0.05)
    assert not hidden[:, 0].any()
    # A random composition of 85 into 28 parts: one in three is of length 1.
    ends = hidden.copy()
    ends[:, :-1] &= ~hidden[:, 1:]
    sizes = np.nonzero(ends)[1] - np.nonzero(starts)[1] + 1
    assert (sizes == 1).mean() == pytest.approx(27 / 84, abs=0.02)
    assert sizes.max() > 10
    # No place is preferred, but for the edges.
    often = hidden.mean(axis=0)[20:-20]
    assert often.mean() == pytest.approx(0.15, abs=0.01)
    assert often.std() < 0.02


# Denoising


def gaps_of(inputs: np.ndarray) -> list[int]:
    """Return the length each mask hides, of rows whose tokens count upwards."""
    found = []
    for row in inputs:
        kept = [token - FIRST for token in row if token >= FIRST or token == MASK]
        last, masks = -1, 0
        for token in [*kept, 126]:
            if token == MASK - FIRST:
                masks += 1
                continue
            if masks:
                found.append(token - last - 1)
            else:
                assert token == last + 1
            assert masks <= 1
            last, masks = token, 0
    return found


def test_infilling_hides_30_percent_in_poisson_spans():
    objective = denoising()
    raw = distinct_rows(objective, 3000)
    inputs, targets = corrupted(objective, raw)
    assert (targets[:, 1:-1] == raw).all()
    assert (targets[:, 0] == START).all()
    assert (targets[:, -1] == END).all()
    assert (inputs[:, 0] == START).all()
    assert ((inputs == END).sum(axis=1) == 1).all()
    kept = (inputs >= FIRST).sum(axis=1)
    assert (kept == 126 - round(0.3 * 126)).all()
    sizes = np.array(gaps_of(inputs))
    # The last span of a row is cut to what is left to hide, one in thirteen or so.
    assert sizes.mean() == pytest.approx(3.0, rel=0.07)
    for length in range(4):
        poisson = math.exp(-3) * 3**length / math.factorial(length)
        assert (sizes == length).mean() == pytest.approx(poisson, abs=0.03), length
    # Padding stands behind the end alone.
    assert ((inputs == PAD).argmax(axis=1) > (inputs == END).argmax(axis=1)).all()


def test_masks_stand_anywhere():
    objective = denoising()
    inputs, _ = corrupted(objective, distinct_rows(objective, 3000))
    often = (inputs == MASK).mean(axis=0)[1:85]
    assert often.std() < 0.03
    assert often.min() > 0.5 * often.mean()


@pytest.mark.parametrize(("share", "mean_span"), [(0.5, 1.0), (0.02, 30.0), (0.9, 9.0)])
def test_odd_settings_hide_exactly_their_share(share, mean_span):
    objective = denoising(share=share, mean_span=mean_span)
    inputs, _ = corrupted(objective, distinct_rows(objective, 300))
    assert ((inputs >= FIRST).sum(axis=1) == 126 - round(share * 126)).all()


def test_sentences_change_places_within_their_document():
    ends = np.zeros(VOCABULARY, bool)
    stop, other = FIRST + 7, FIRST + 15
    ends[[stop, other]] = True
    objective = denoising(ends_sentence=ends)
    raw = distinct_rows(objective, 500)
    raw[:, 40] = END
    uniforms = draw_uniforms(seed=1, step=1, rows=range(500), count=126)
    order = objective.shuffle(raw, uniforms)
    assert (np.sort(order, axis=1) == np.arange(126)).all()
    sentences = [range(8), range(8, 16), range(16, 40)]
    seen = set()
    for row in order[:, :40]:
        at, found = 0, []
        while at < 40:
            [piece] = [s for s in sentences if s.start == row[at]]
            assert list(row[at : at + len(piece)]) == list(piece)
            found.append(sentences.index(piece))
            at += len(piece)
        seen.add(tuple(found))
    assert len(seen) == math.factorial(3)
    assert (order[:, 40] == 40).all()
    assert (order[:, 41:] == np.arange(41, 126)).all()


def test_sentences_end_with_their_stop_and_its_quotes():
    tokenizer = build_tokenizer(
        TokenizerSpec(dataset="1", algorithm="bpe", vocabulary_size=300),
        iter(['"Go!" she said. 3.5 of them. '] * 20),
    )
    ends = ends_sentence(tokenizer)
    for text, is_end in (("!", True), (".", True), ("a", False), (",", False)):
        token = tokenizer.token_to_id(text)
        assert bool(ends[token]) == is_end, text


# What all have in common


@pytest.mark.parametrize("name", OBJECTIVES)
def test_what_is_hidden_follows_from_seed_and_step_whatever_the_batches(name):
    objective = OBJECTIVES[name]
    ids = np.random.default_rng(0).choice(TEXT_IDS, 5000).astype("<u2")

    def rows(step=3, seed=9, count=8, num_ranks=1, size=8):
        return np.concatenate(
            [
                np.concatenate([part.numpy() for part in batch], axis=1)
                for rank in range(num_ranks)
                for batch in training_batches(
                    objective,
                    ids,
                    batch_size=size,
                    count=count,
                    rank=rank,
                    num_ranks=num_ranks,
                    seed=seed,
                    step=step,
                )
            ]
        )

    first = rows()
    assert (rows() == first).all()
    assert (rows(num_ranks=2, count=4, size=2) == first).all()
    assert not (rows(step=4) == first).all()
    assert not (rows(seed=10) == first).all()


@pytest.mark.parametrize("name", ["masked", "spans", "denoising"])
def test_evaluations_ask_the_same_and_reach_the_whole_split(name):
    objective = OBJECTIVES[name]
    ids = (FIRST + np.arange(900)).astype("<u2")

    def asked(**options):
        return list(
            evaluation_batches(
                objective, ids, batch_size=3, **({"most": None} | options)
            )
        )

    first, again = asked(), asked()
    assert all(
        (a == b).all()
        for x, y in zip(first, again, strict=True)
        for a, b in zip(x, y, strict=True)
    )
    seen = {int(t) for pair in first for part in pair for t in part.unique()}
    assert len(seen & set(ids.tolist())) > 0.97 * len(ids)
    assert len(asked(most=1)) == 1


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("length", [0, 3, 4, 9, 50])
def test_a_short_split_is_asked_as_it_is_or_not_at_all(name, length):
    ids = (FIRST + np.arange(length)).astype("<u2")
    found = list(evaluation_batches(OBJECTIVES[name], ids, batch_size=3, most=None))
    assert len(found) == (length >= (2 if name == "next token" else 4))
    for _, labels in found:
        assert (labels >= 0).any()


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_spans_that_nothing_would_part_are_refused(family):
    with pytest.raises(ValueError, match="too few others to part"):
        PretrainSpec(
            dataset="1",
            tokenizer="1",
            family=family,
            corrupted_share=0.6,
            mean_span=1.0,
        )
