"""Answers as the pages beside the chat read them."""

from typing import Any

from django.core.exceptions import PermissionDenied
from runspec.serving import TokenTold

from trivium.playground import log
from trivium.playground.models import Generation


def tokens_told(generation: Generation) -> list[TokenTold]:
    """Return what was told of each token of an answer, as far as it was kept.

    An answer that goes on with another one has only its own tokens in its log; those
    it begins with are found with the version it goes on from. Where they are not, the
    answer counts from its own first token.
    """
    own = [TokenTold.model_validate(one) for one in log.tokens_of(generation)]
    return [*_begun_with(generation), *own] if generation.given_ids else own


def num_given(generation: Generation, tokens: list[TokenTold]) -> int:
    """Return how many tokens stand before those that are known."""
    total = len(generation.token_ids) or len(tokens)
    return max(0, total - len(tokens))


def ids_before(generation: Generation, tokens: list[TokenTold], at: int) -> list[int]:
    """Return prompt and answer, up to a token, as the model saw them."""
    num = num_given(generation, tokens) + at
    return [*(generation.receipt or {})["prompt_ids"], *generation.token_ids[:num]]


def _begun_with(generation: Generation) -> list[TokenTold]:
    if generation.message is None:
        return []
    earlier = Generation.objects.filter(
        message__parent=generation.message.parent_id,
        message__conversation=generation.message.conversation_id,
        pk__lt=generation.pk,
    ).select_related("message")
    wanted = list(generation.given_ids)
    for other in earlier.order_by("-pk"):
        if other.token_ids[: len(wanted)] == wanted:
            told = tokens_told(other)
            if [one.id for one in told[: len(wanted)]] == wanted:
                return told[: len(wanted)]
    return []


def asked_of(generation: Generation) -> Any:
    """Return what was asked: messages, or the text that was to be gone on with."""
    prompt = generation.prompt
    return list(prompt.get("messages") or ()) or prompt.get("text") or ""


def took(generation: Generation) -> str:
    """Return in a line how long an answer was, and how quickly it came."""
    timings = generation.timings
    if not timings:
        return ""
    return (
        f"{len(generation.token_ids)} tokens · first after "
        f"{timings['first_token_s']:.2f} s · {timings['tokens_per_s']:.0f} tokens/s"
    )


def is_name_hidden(generation: Generation) -> bool:
    """Whether nobody shall know yet which model it is: one side of a blind lineup."""
    place = getattr(generation, "place", None)
    return place is not None and bool(place.lineup.hides_names)


def refuse_hidden(generation: Generation) -> None:
    """Refuse what would tell which model stands where in a blind lineup.

    Raises:
        PermissionDenied: it would.
    """
    if is_name_hidden(generation):
        raise PermissionDenied("Vote first: this would tell which model it is.")
