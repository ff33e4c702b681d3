"""Another token in the middle of an answer, and what the model makes of it."""

from collections.abc import Sequence

from django.db import transaction
from runspec.serving import NextRequest, NextTokens, TokenTold

from trivium.accounts.models import User
from trivium.playground import beside
from trivium.playground.filling import ask
from trivium.playground.models import Generation, GenerationEvent
from trivium.playground.next_token import KNOWN
from trivium.playground.services import go_on
from trivium.serving.choices import ModelChoice

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
BROKEN = REPLACEMENT.encode()


class BranchError(ValueError):
    """An answer cannot branch there; the sentence says why."""


def branch_answer(
    generation: Generation, *, sender: User, choice: ModelChoice, at: int, token_id: int
) -> Generation:
    """Have an answer go on with another token in the place `at`, as a version of it.

    The log of the new answer begins with the tokens both share and the other one, so
    that it can be looked into from its first token on.

    Raises:
        BranchError: there is no such place, or the token is not among the likely ones.
        ServingError: the model cannot be asked.
    """
    tokens = beside.tokens_told(generation)
    if not 0 <= at < len(tokens):
        raise BranchError("This answer has no token in that place.")
    other = told_at(choice, beside.ids_before(generation, tokens, at), token_id)
    num_unknown = beside.num_given(generation, tokens)
    begins = [*generation.token_ids[: num_unknown + at], token_id]
    text = text_of(generation, tokens, at)
    if REPLACEMENT not in other.text:  # else the rest of the character comes next
        text += other.text
    with transaction.atomic():
        branch = go_on(generation, sender=sender, token_ids=begins, text=text)
        if num_unknown:
            return branch
        Generation.objects.filter(pk=branch.pk).update(given_ids=[], given_text="")
        branch.refresh_from_db()
        payload = {
            "type": "tokens",
            "tokens": [one.model_dump(mode="json") for one in (*tokens[:at], other)],
            "text": text,
        }
        GenerationEvent.objects.create(generation=branch, seq=1, payload=payload)
    return branch


def told_at(choice: ModelChoice, ids: Sequence[int], token_id: int) -> TokenTold:
    """Return a token as if it had come after `ids`.

    Raises:
        BranchError: it is not among the likely ones.
    """
    request = NextRequest(model=choice.ref, ids=tuple(ids), top=KNOWN)
    found: NextTokens = ask(choice, "/next", request)
    for candidate in found.candidates:
        if candidate.id == token_id:
            return TokenTold(
                id=token_id,
                text=candidate.text,
                bytes=None,
                logprob=candidate.logprob,
                entropy=found.entropy,
            )
    raise BranchError(f"That token is not among the {KNOWN} likeliest in that place.")


def text_of(generation: Generation, tokens: list[TokenTold], at: int) -> str:
    """Return the text of an answer before a token.

    Tokens and text are walked side by side, since they are not the same: special
    tokens are told but are no text, several tokens may make one character, and the
    space in front of the first token is not always there.
    """
    before = generation.given_text if beside.num_given(generation, tokens) else ""
    whole = generation.text.removeprefix(before).encode()
    place = 0
    for number, token in enumerate(tokens[:at]):
        written = token.text.encode() if token.bytes is None else bytes(token.bytes)
        if whole.startswith(written, place):
            place += len(written)
        elif number == 0 and whole.startswith(written.lstrip(b" ")):
            place += len(written.lstrip(b" "))
        elif REPLACEMENT in token.text and whole.startswith(BROKEN, place):
            place += len(BROKEN)
    return before + whole[:place].decode(errors="ignore")
