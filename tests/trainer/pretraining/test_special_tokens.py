"""Each family finds the tokens it needs, and text keeps its ids."""

import json

import pytest
from runspec import TokenizerSpec
from runspec.families import FAMILIES
from trainer.architectures import TokenIds, build_model
from trainer.errors import BadInputError
from trainer.special_tokens import tokenizer_for
from trainer.tokenizer import build_tokenizer, load_tokenizer, save_tokenizer

TEXT = "the end is <|mask|> near"
ALGORITHMS = ["bpe", "wordpiece", "unigram", "characters", "bytes"]
LEARNED = {"bpe", "wordpiece", "unigram"}


@pytest.fixture
def folder_of(tmp_path):
    def make(algorithm: str):
        spec = TokenizerSpec(
            dataset="1",
            algorithm=algorithm,
            vocabulary_size=300 if algorithm in LEARNED else None,
        )
        save_tokenizer(build_tokenizer(spec, iter([TEXT] * 9)), spec, tmp_path)
        return tmp_path

    return make


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("family", FAMILIES)
def test_special_tokens_differ_and_no_text_becomes_one(folder_of, algorithm, family):
    folder = folder_of(algorithm)
    made = tokenizer_for(folder, family, num_sentinels=100)
    special, facts = made.special, FAMILIES[family]
    ids = made.tokenizer.encode(TEXT, add_special_tokens=False).ids
    assert ids == load_tokenizer(folder).encode(TEXT, add_special_tokens=False).ids
    assert not set(ids) & special.all
    assert special.pad != special.end
    assert (special.mask is not None) == (facts.objective in {"masked", "denoising"})
    assert len(set(special.sentinels)) == 100 * (facts.objective == "spans")
    assert max(special.all) < made.vocabulary_size
    size = load_tokenizer(folder).get_vocab_size()
    assert made.vocabulary_size == size + len(special.sentinels)
    # A decoder's tokenizer is as it was learned.
    assert made.is_changed == (facts.architecture != "decoder")


@pytest.mark.parametrize("family", ["bert", "bart", "t5"])
def test_a_text_is_framed_as_training_frames_it(folder_of, family):
    made = tokenizer_for(folder_of("bpe"), family, num_sentinels=100)
    special = made.special
    text = made.tokenizer.encode(TEXT, add_special_tokens=False).ids
    framed = [special.start, *text, special.close]
    assert made.tokenizer.encode(TEXT).ids == [t for t in framed if t is not None]
    assert (special.start is None) == (family == "t5")


def test_wordpiece_keeps_berts_names(folder_of):
    made = tokenizer_for(folder_of("wordpiece"), "bert", num_sentinels=0)
    tokens = made.tokenizer.encode("the end").tokens
    assert tokens == ["[CLS]", "the", "end", "[SEP]"]
    assert made.special.mask == made.tokenizer.token_to_id("[MASK]")


def test_what_a_tokenizer_lacks_is_added_behind_its_vocabulary(folder_of):
    folder = folder_of("bpe")
    raw = json.loads((folder / "tokenizer.json").read_text())
    raw["added_tokens"] = raw["added_tokens"][:1]
    for token in ("<|pad|>", "<|mask|>", "<|start|>"):
        raw["model"]["vocab"][token.replace("|", "!")] = raw["model"]["vocab"].pop(
            token
        )
    (folder / "tokenizer.json").write_text(json.dumps(raw))
    before = load_tokenizer(folder)
    made = tokenizer_for(folder, "bert", num_sentinels=0)
    assert made.special.pad >= before.get_vocab_size()
    assert made.vocabulary_size == before.get_vocab_size() + 3
    ids = made.tokenizer.encode(TEXT, add_special_tokens=False).ids
    assert ids == before.encode(TEXT, add_special_tokens=False).ids


@pytest.mark.parametrize(
    ("config", "message"),
    [({}, "no token that ends a text"), ({"eos_token": "<gone>"}, "no <gone> token")],
)
def test_a_tokenizer_without_end_is_refused(folder_of, config, message):
    folder = folder_of("bpe")
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(BadInputError, match=message):
        tokenizer_for(folder, "gpt2", num_sentinels=0)


def test_roberta_refuses_a_padding_token_behind_a_large_vocabulary():
    from test_families import spec_of

    with pytest.raises(BadInputError, match="so many unused positions"):
        build_model(spec_of("roberta"), TokenIds(5000, end=0, pad=4999))
