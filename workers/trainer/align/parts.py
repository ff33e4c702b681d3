"""What a `dpo` or `reward` run is made of: chat's parts, with pairs for rows."""

from contextlib import ExitStack

from runspec import DpoSpec, RewardSpec

from trainer.align.pairs import COLUMNS, PreferenceEncoder
from trainer.align.training import make_aligner, make_rater
from trainer.context import Context
from trainer.sft.chat import ChatEncoder
from trainer.sft.parts import Parts, build_chat, build_parts
from trainer.sft.rows import Source, key_of

PAD = "<|pad|>"
REWARD = ("reward",)
"""The one label of a head that rates."""


def build_pair_parts(spec: DpoSpec | RewardSpec, context: Context) -> Parts:
    """Read, render and encode both answers of all rows; nothing is trained yet.

    Raises:
        BadInputError: the model, the template or a row cannot be used.
    """
    build = build_dpo if isinstance(spec, DpoSpec) else build_reward
    return build_parts(spec, context, build)


def build_dpo(spec: DpoSpec, sources: list[Source], stack: ExitStack) -> Parts:
    """Prepare a decoder that shall prefer what people do."""
    parts = build_chat(spec, sources, stack)
    give_pairs(parts, rates=False)
    parts.make_trainer = make_aligner
    parts.adapts_itself = True
    return parts


def build_reward(spec: RewardSpec, sources: list[Source], stack: ExitStack) -> Parts:
    """Prepare a decoder that shall rate answers."""
    parts = build_chat(spec, sources, stack)
    parts.num_new_tokens += give_pad(parts)
    give_pairs(parts, rates=True)
    parts.make_trainer = make_rater
    parts.labels = REWARD
    return parts


def give_pairs(parts: Parts, *, rates: bool) -> None:
    """Let parts of a chat encode pairs."""
    chat = parts.encode
    assert isinstance(chat, ChatEncoder)
    parts.encode = PreferenceEncoder(chat, rates=rates)
    parts.key = key_of("preferences with votes", rates, parts.key)
    parts.columns = COLUMNS


def give_pad(parts: Parts) -> int:
    """See that padding is no token an answer ends with; return how many are new.

    The head looks at the last token that is no padding.
    """
    tokenizer = parts.tokenizer
    if tokenizer.pad_token_id not in parts.ends:
        return 0
    for token, number in zip(
        tokenizer.all_special_tokens, tokenizer.all_special_ids, strict=True
    ):
        if number not in parts.ends:
            tokenizer.pad_token = token
            return 0
    return int(tokenizer.add_special_tokens({"pad_token": PAD}))
