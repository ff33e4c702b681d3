"""From a request of the API to what a node is asked."""

from typing import Any

from pydantic import ValidationError
from runspec.serving import GenerateRequest, Prompt, ResponseFormat, Sampling

from trivium.openai.errors import ApiError, from_validation, invalid
from trivium.openai.schema import (
    MAX_TEXT,
    ChatRequest,
    CompletionRequest,
    Message,
    Sampled,
)
from trivium.openai.tools import for_template
from trivium.serving.choices import ModelChoice

LEGACY_MAX_TOKENS = 16
"""What `/v1/completions` has always meant by no `max_tokens`."""
LEAST_TOP_P = 1e-6
"""A top_p of 0 keeps the likeliest token alone, and so does this."""


def must_write(choice: ModelChoice) -> None:
    """Let models pass that answer with text.

    Raises:
        ApiError: this one does not; the text says what it is for.
    """
    if choice.has_score_head:
        use = "gives texts a score or a label; use the playground's score page"
    elif choice.architecture == "encoder":
        use = "fills masks and makes embeddings; use /v1/embeddings, or the playground"
    else:
        return
    kind = "a classifier" if choice.has_score_head else "an encoder"
    raise invalid(
        f"{choice.id} is {kind}: it writes no text, it {use}",
        "model",
        "model_not_suitable",
    )


def chat_request(choice: ModelChoice, asked: ChatRequest, id_: str) -> GenerateRequest:
    """Return what a node is asked for a chat.

    Raises:
        ApiError: the model is not for that, or a text is too long.
    """
    must_write(choice)
    if sum(len(message.text) for message in asked.messages) > MAX_TEXT:
        raise too_large("messages")
    return build(
        id=id_,
        model=choice.ref,
        prompt=chat_prompt(choice, asked),
        sampling=sampling_of(asked, asked.max_completion_tokens or asked.max_tokens),
        n=asked.n or 1,
        top_logprobs=asked.top_logprobs or 0,
    )


def chat_prompt(choice: ModelChoice, asked: ChatRequest) -> Prompt:
    """Return the conversation; an encoder-decoder is given the last question alone."""
    tools = asked.tools if asked.tool_choice != "none" else None
    if choice.architecture == "encoder-decoder":
        if tools or asked.continue_final_message:
            raise invalid(
                f"{choice.id} turns text into text: it knows no tools, and goes on "
                "with no message",
                "model",
                "model_not_suitable",
            )
        said = [message.text for message in asked.messages if message.role == "user"]
        if not said:
            raise invalid("there is no message of the user to answer", "messages")
        return Prompt(text=said[-1])
    return Prompt(
        messages=tuple(as_told(message) for message in asked.messages),
        tools=tuple(tools or ()),
        continues=bool(asked.continue_final_message),
    )


def as_told(message: Message) -> dict[str, Any]:
    """Return a message as templates read it."""
    told = dict(message.model_extra or {})
    told["role"] = "system" if message.role == "developer" else message.role
    told["content"] = message.text
    if message.tool_calls:
        told["tool_calls"] = [for_template(call) for call in message.tool_calls]
    return told


def completion_requests(
    choice: ModelChoice, asked: CompletionRequest, id_: str
) -> list[GenerateRequest]:
    """Return what a node is asked for each prompt.

    Raises:
        ApiError: the model is not for that, or a text is too long.
    """
    must_write(choice)
    sampling = sampling_of(asked, asked.max_tokens or LEGACY_MAX_TOKENS)
    requests = []
    for number, prompt in enumerate(asked.prompts):
        if isinstance(prompt, str):
            if len(prompt) > MAX_TEXT:
                raise too_large("prompt")
            given = Prompt(text=prompt)
        else:
            given = Prompt(ids=tuple(prompt))
        requests.append(
            build(
                id=f"{id_}-{number}",
                model=choice.ref,
                prompt=given,
                sampling=sampling,
                n=asked.n or 1,
                top_logprobs=asked.logprobs or 0,
            )
        )
    return requests


def build(**values: Any) -> GenerateRequest:
    """Return a request to a node.

    Raises:
        ApiError: a value is one no node takes.
    """
    try:
        return GenerateRequest(**values)
    except ValidationError as error:
        raise from_validation(error) from error


def sampling_of(asked: Sampled, max_tokens: int | None) -> Sampling:
    """Return how tokens shall be chosen.

    Raises:
        ApiError: the response format is none we know.
    """
    given: dict[str, Any] = {
        "max_tokens": max_tokens,
        "temperature": asked.temperature,
        "top_p": None if asked.top_p is None else max(asked.top_p, LEAST_TOP_P),
        "top_k": None if asked.top_k is None else max(asked.top_k, 0),
        "min_p": asked.min_p,
        "repetition_penalty": asked.repetition_penalty,
        "presence_penalty": asked.presence_penalty,
        "frequency_penalty": asked.frequency_penalty,
        "logit_bias": {int(key): one for key, one in (asked.logit_bias or {}).items()},
        # Clients may send negative seeds; each stays a seed of its own.
        "seed": None if asked.seed is None else asked.seed % 2**63,
        "stop": asked.stops,
        "response_format": response_format(asked.response_format),
    }
    try:
        return Sampling(**{k: value for k, value in given.items() if value is not None})
    except ValidationError as error:
        raise from_validation(error) from error


def response_format(given: dict[str, Any] | None) -> ResponseFormat | None:
    """Return which form the text must have.

    Raises:
        ApiError: it is none we know.
    """
    match given:
        case None | {"type": "text"}:
            return None
        case {"type": "json_object"}:
            return ResponseFormat(type="json_object")
        case {"type": "json_schema", "json_schema": {"schema": dict(schema)}}:
            return ResponseFormat(type="json_schema", json_schema=schema)
    raise invalid(
        'response_format is {"type": "text"}, {"type": "json_object"}, or {"type": '
        '"json_schema", "json_schema": {"name": …, "schema": {…}}}',
        "response_format",
    )


def too_large(param: str) -> ApiError:
    """Return the refusal of more text than any model could read."""
    return ApiError(
        413,
        f"{param}: more than {MAX_TEXT:,} characters",
        param=param,
        code="request_too_large",
    )
