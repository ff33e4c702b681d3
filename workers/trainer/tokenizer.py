"""Stage `tokenizer`: learn a vocabulary from a dataset's training rows.

Three algorithms learn (`bpe`, `wordpiece`, `unigram`), two follow from the text
(`characters`, `bytes`). BPE, Unigram and bytes work on bytes, so that decoding gives
any text back exactly; characters do for text made of characters they have seen.
WordPiece follows BERT, which drops spaces.

Text never becomes a special token: `load_tokenizer` and the `split_special_tokens`
in `tokenizer_config.json` see to it, for the `tokenizers` library and for
transformers. Whoever wants special tokens parsed asks for it
(`tokenizer(text, split_special_tokens=False)`), or adds their ids.
"""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from runspec import TokenizerSpec
from runspec.layout import (
    DATASET_CARD,
    OUTPUT,
    TOKENIZER_REPORT,
    DatasetCard,
    TokenizerReport,
)
from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)

from trainer.context import Context
from trainer.errors import BadInputError, Stopped

END_OF_TEXT = "<|endoftext|>"
PAD, MASK, START = "<|pad|>", "<|mask|>", "<|start|>"
"""What models need beside text: see `trainer.special_tokens`."""
STANDARD_SPECIALS = (END_OF_TEXT, PAD, MASK, START)
UNKNOWN = "<unk>"
WORDPIECE_UNKNOWN = "[UNK]"
WORDPIECE_SPECIALS = ("[PAD]", WORDPIECE_UNKNOWN, "[CLS]", "[SEP]", "[MASK]")
DEFAULT_VOCABULARY = 4096
LOSSLESS = {"bpe", "unigram", "bytes"}
PIECE = 100_000
"""Longer rows are fed in pieces of this many characters: an encoding takes about a
hundred bytes a token while it is made."""
READ_ROWS = 1000
MEASURED_CHARACTERS = 20_000_000
REPORT_EVERY_S = 0.3
MAX_CONTEXT = 10**9
"""transformers wants a longest input; the model, not the tokenizer, has one."""


def run_tokenizer(spec: TokenizerSpec, *, context: Context) -> None:
    """Make `output/` a tokenizer that `AutoTokenizer.from_pretrained` loads.

    Raises:
        BadInputError: the text cannot give such a vocabulary.
        Stopped: the run was asked to stop; nothing is kept.
    """
    dataset = Path(spec.dataset)
    card = DatasetCard.model_validate_json((dataset / DATASET_CARD).read_text())
    total = min(card.splits["train"].characters, spec.max_training_characters)
    feed = _Feed(
        read_texts(dataset, card, "train"),
        most=spec.max_training_characters,
        stop=context.stop,
    )
    tokenizer = _in_thread(
        lambda: build_tokenizer(spec, iter(feed)),
        watch=lambda: _report_learning(context, feed, total),
        stop=context.stop,
    )
    output = context.folder / OUTPUT
    output.mkdir(exist_ok=True)
    save_tokenizer(tokenizer, spec, output)

    wanted = spec.vocabulary_size or DEFAULT_VOCABULARY
    size = tokenizer.get_vocab_size()
    if spec.algorithm in {"bpe", "wordpiece", "unigram"} and size < wanted:
        context.report.warning(
            f"the text gives only {size:,} of {wanted:,} tokens: nothing more in it "
            "repeats often enough"
        )
    report = _measure(spec, context, card, output)
    (output / TOKENIZER_REPORT).write_text(report.model_dump_json(indent=1))
    context.report.result(**report.model_dump(mode="json"))


def load_tokenizer(folder: Path) -> Tokenizer:
    """Load a tokenizer that takes special tokens in a text for plain text.

    One that comes from elsewhere may cut texts short, or fill them up: not here.
    """
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.encode_special_tokens = True
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def read_texts(folder: Path, card: DatasetCard, split: str) -> Iterator[str]:
    """Return the rows of a split in order, long ones in pieces."""
    for shard in card.splits[split].shards:
        file = pq.ParquetFile(folder / shard)
        for batch in file.iter_batches(READ_ROWS, columns=["text"]):
            for text in map(str, batch.column(0).to_pylist()):
                if len(text) <= PIECE:
                    yield text
                    continue
                for at in range(0, len(text), PIECE):
                    yield text[at : at + PIECE]


class _Feed:
    """Gives texts to a trainer, counts them, and ends when asked to stop."""

    def __init__(
        self, texts: Iterator[str], *, most: int, stop: threading.Event
    ) -> None:
        self._texts = texts
        self._most = most
        self._stop = stop
        self.characters = 0
        self.is_done = False

    def __iter__(self) -> Iterator[str]:
        for text in self._texts:
            if self._stop.is_set():
                raise Stopped
            yield text
            self.characters += len(text)
            if self.characters >= self._most:
                break
        self.is_done = True


def _in_thread(
    work: Callable[[], Tokenizer],
    *,
    watch: Callable[[], None],
    stop: threading.Event,
) -> Tokenizer:
    """Do work while this thread stays free to answer signals.

    Learning spends minutes inside Rust, where no Python signal handler runs. A
    thread that is left behind dies with the process.
    """
    done: list[Tokenizer] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:  # noqa: BLE001 - raised again below
            failed.append(error)

    thread = threading.Thread(target=run, name="learn-tokenizer", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(REPORT_EVERY_S)
        if stop.is_set():
            raise Stopped
        watch()
    if failed:
        raise failed[0]
    return done[0]


def _report_learning(context: Context, feed: _Feed, total: int) -> None:
    context.report.progress(
        step=min(feed.characters, total),
        total=total,
        unit="characters",
        phase="learning" if feed.is_done else "reading",
    )


def special_tokens(spec: TokenizerSpec) -> list[str]:
    """Return every special token, in the order of their ids."""
    standard = {
        "wordpiece": (*WORDPIECE_SPECIALS, END_OF_TEXT),
        "characters": (UNKNOWN, *STANDARD_SPECIALS),
    }
    own = standard.get(spec.algorithm, STANDARD_SPECIALS)
    return list(dict.fromkeys([*own, *spec.special_tokens]))


def build_tokenizer(spec: TokenizerSpec, texts: Iterator[str]) -> Tokenizer:
    """Learn from texts.

    Raises:
        BadInputError: the vocabulary asked for is too small.
    """
    specials = special_tokens(spec)
    size = spec.vocabulary_size or DEFAULT_VOCABULARY
    match spec.algorithm:
        case "bytes":
            return _bytes(specials)
        case "characters":
            return _characters(texts, specials)
        case "wordpiece":
            tokenizer = _empty_wordpiece(is_lowercase=spec.lowercase)
            trainer: Any = trainers.WordPieceTrainer(
                vocab_size=size,
                min_frequency=spec.min_frequency,
                special_tokens=specials,
                show_progress=False,
            )
        case "unigram":
            _require_bytes(size, specials)
            tokenizer = _empty_byte_level(models.Unigram())
            trainer = trainers.UnigramTrainer(
                vocab_size=size,
                initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
                special_tokens=specials,
                show_progress=False,
            )
        case "bpe":
            _require_bytes(size, specials)
            tokenizer = _empty_byte_level(models.BPE())
            trainer = trainers.BpeTrainer(
                vocab_size=size,
                min_frequency=spec.min_frequency,
                initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
                special_tokens=specials,
                show_progress=False,
            )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _require_bytes(size: int, specials: list[str]) -> None:
    least = 256 + len(specials)
    if size < least:
        raise BadInputError(
            f"vocabulary_size {size} is too small: the 256 bytes and "
            f"{len(specials)} special tokens need {least}",
            advice=f"Ask for {least} or more, or take the characters algorithm.",
        )


def _empty_byte_level(model: models.Model) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _empty_wordpiece(*, is_lowercase: bool) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token=WORDPIECE_UNKNOWN))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=is_lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(cleanup=False)
    return tokenizer


def _bytes(specials: list[str]) -> Tokenizer:
    """Make the tokenizer whose ids 0 to 255 are the bytes themselves."""
    # ByteLevel writes a printable byte as itself, the others as U+0100 and on.
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    letters = [chr(at if at in printable else next(others)) for at in range(256)]
    vocabulary = {letter: byte for byte, letter in enumerate(letters)}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(
        add_prefix_space=False, use_regex=False
    )
    tokenizer.decoder = decoders.ByteLevel()
    _add_specials(tokenizer, specials)
    return tokenizer


def _characters(texts: Iterator[str], specials: list[str]) -> Tokenizer:
    """Make a token of every character in the texts."""
    seen: set[str] = set()
    for text in texts:
        seen.update(text)
    vocabulary = {letter: at for at, letter in enumerate([*specials, *sorted(seen)])}
    # BPE without merges is three times as fast as WordLevel on single characters.
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token=UNKNOWN))
    tokenizer.decoder = decoders.Fuse()
    _add_specials(tokenizer, specials)
    return tokenizer


def _add_specials(tokenizer: Tokenizer, specials: list[str]) -> None:
    tokenizer.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token in specials]
    )


def save_tokenizer(tokenizer: Tokenizer, spec: TokenizerSpec, folder: Path) -> None:
    """Write the files of the Hugging Face layout."""
    tokenizer.save(str(folder / "tokenizer.json"))
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": END_OF_TEXT,
        "eos_token": END_OF_TEXT,
        "pad_token": PAD,
        "mask_token": MASK,
        "cls_token": START,
        "sep_token": END_OF_TEXT,
        "clean_up_tokenization_spaces": False,
        "split_special_tokens": True,
        "model_max_length": MAX_CONTEXT,
    }
    if spec.algorithm == "characters":
        config["unk_token"] = UNKNOWN
    if spec.algorithm == "wordpiece":
        names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
        config |= dict(zip(names, WORDPIECE_SPECIALS, strict=True))
    if spec.special_tokens:
        config["extra_special_tokens"] = list(spec.special_tokens)
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1))


def _measure(
    spec: TokenizerSpec, context: Context, card: DatasetCard, folder: Path
) -> TokenizerReport:
    """Encode held-out text and see how well the vocabulary fits it."""
    split = "validation" if "validation" in card.splits else "train"
    tokenizer = load_tokenizer(folder)
    total = min(card.splits[split].characters, MEASURED_CHARACTERS)
    unknown = tokenizer.token_to_id(
        WORDPIECE_UNKNOWN if spec.algorithm == "wordpiece" else UNKNOWN
    )
    used: set[int] = set()
    num_tokens = num_unknown = num_bytes = num_characters = 0
    last = 0.0
    for text in read_texts(Path(spec.dataset), card, split):
        if context.stop.is_set():
            raise Stopped
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        used.update(ids)
        num_tokens += len(ids)
        num_unknown += ids.count(unknown) if unknown is not None else 0
        num_bytes += len(text.encode())
        num_characters += len(text)
        if time.monotonic() - last > REPORT_EVERY_S:
            last = time.monotonic()
            context.report.progress(
                step=min(num_characters, total),
                total=total,
                unit="characters",
                phase="measuring",
            )
        if num_characters >= MEASURED_CHARACTERS:
            break
    specials = {token: tokenizer.token_to_id(token) for token in special_tokens(spec)}
    vocabulary = set(tokenizer.get_vocab().values()) - set(specials.values())
    content = (folder / "tokenizer.json").read_bytes()
    return TokenizerReport(
        algorithm=spec.algorithm,
        vocabulary_size=tokenizer.get_vocab_size(),
        special_tokens=specials,
        bytes_per_token=num_bytes / max(1, num_tokens),
        characters_per_token=num_characters / max(1, num_tokens),
        unused_tokens=len(vocabulary - used),
        unknown_tokens=num_unknown,
        measured_bytes=num_bytes,
        measured_on=split,
        is_lossless=spec.algorithm in LOSSLESS,
        sha256=hashlib.sha256(content).hexdigest(),
    )
