"""Choices as trainers are told of them; keys go by the environment alone."""

from runspec import Spec
from runspec.labels import Source

from trivium.serving.choices import ModelChoice
from trivium.serving.keys import decrypt_key
from trivium.serving.models import Endpoint

KEY_VARIABLE = "TRIVIUM_ENDPOINT_KEY_"
"""Followed by the id of the endpoint."""


def source_of(choice: ModelChoice) -> Source:
    """Return what a spec file holds in the place of a choice; never a key."""
    endpoint = choice.endpoint
    if endpoint is None:
        return Source(
            id=choice.id,
            title=choice.title,
            model=choice.ref,
            is_chat=choice.is_chat,
            is_scorer=choice.has_score_head,
        )
    return Source(
        id=choice.id,
        title=choice.title,
        is_chat=choice.is_chat,
        url=endpoint.url,
        key_variable=f"{KEY_VARIABLE}{endpoint.pk}" if endpoint.has_api_key else "",
        remote_id=choice.remote_id,
    )


def sources_in(spec: Spec) -> list[Source]:
    """Return the sources of a spec whose references are resolved."""
    return [
        Source.model_validate_json(raw)
        for noun, values in spec.referred().values()
        if noun == "choice"
        for raw in values
    ]


def keys_for(spec: Spec) -> dict[str, str]:
    """Return the keys of the endpoints in a resolved spec, by environment variable.

    An endpoint that was given another address meanwhile gets no key: it would be sent
    to the old one.

    Raises:
        UnreadableKeyError: one cannot be decrypted any more.
    """
    wanted = {one.key_variable: one.url for one in sources_in(spec) if one.key_variable}
    found = {}
    for variable, url in wanted.items():
        pk = int(variable.removeprefix(KEY_VARIABLE))
        endpoint = Endpoint.objects.filter(pk=pk, url=url).first()
        if endpoint is not None:
            found[variable] = decrypt_key(bytes(endpoint.api_key_encrypted))
    return found
