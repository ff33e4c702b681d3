"""What may be asked, as the official clients send it, with the extras of vLLM.

Fields nobody here knows are tolerated, as clients send ever new ones. A field that is
known to change the answer, and cannot be honoured, is refused.
"""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from runspec.serving import MAX_CHOICES, MAX_TOP_LOGPROBS

MAX_STOPS = 16
MAX_PROMPTS = 64
MAX_TEXTS = 2_048
MAX_TEXT = 4_000_000

UNSUPPORTED = (
    *("audio", "functions", "function_call", "prediction", "web_search_options"),
    *("suffix", "chat_template_kwargs", "chat_template", "prompt_logprobs"),
    *("min_tokens", "ignore_eos", "stop_token_ids", "use_beam_search"),
    *("guided_json", "guided_regex", "guided_choice", "guided_grammar"),
)
"""Fields that change the answer in ways no model here can follow."""


class Asked(BaseModel):
    """The body of a request."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="allow", allow_inf_nan=False
    )

    model: str = Field(min_length=1, max_length=400)

    @model_validator(mode="after")
    def _refuse_what_cannot_be_honoured(self) -> Self:
        for name in UNSUPPORTED:
            if (self.model_extra or {}).get(name):
                raise ValueError(f"{name} is not supported here; leave it out")
        return self


class StreamOptions(BaseModel):
    """How a stream tells what it cost."""

    include_usage: bool | None = None


class Sampled(Asked):
    """What chat and completions have in common."""

    n: int | None = Field(None, ge=1, le=MAX_CHOICES)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, ge=0, le=1)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    logit_bias: dict[str, float] | None = None
    max_tokens: int | None = Field(None, ge=1)
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    stop: str | list[str] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    response_format: dict[str, Any] | None = None
    # As vLLM has them.
    top_k: int | None = Field(None, ge=-1)
    min_p: float | None = Field(None, ge=0, le=1)
    repetition_penalty: float | None = Field(None, gt=0, le=2)

    @field_validator("logit_bias")
    @classmethod
    def _biases_of_tokens(cls, given: dict[str, float] | None) -> Any:
        for key, bias in (given or {}).items():
            if not key.isascii() or not key.isdecimal() or len(key) > 9:
                raise ValueError(f"{key[:40]!r} is not the id of a token")
            if not -100 <= bias <= 100:
                raise ValueError(f"a bias lies between -100 and 100, not at {bias}")
        return given

    @field_validator("stop")
    @classmethod
    def _stops_that_stop(cls, given: str | list[str] | None) -> Any:
        stops = [given] if isinstance(given, str) else given or []
        if len(stops) > MAX_STOPS:
            raise ValueError(f"at most {MAX_STOPS} may be given, not {len(stops)}")
        if "" in stops:
            raise ValueError("an empty sequence would stop before the first token")
        return given

    @property
    def stops(self) -> tuple[str, ...]:
        """All texts that end an answer."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def has_usage(self) -> bool:
        """Whether a stream ends with what it cost."""
        return bool(self.stream_options and self.stream_options.include_usage)


class Part(BaseModel):
    """A part of a message."""

    model_config = ConfigDict(extra="allow", strict=True)

    type: str
    text: str | None = None

    @model_validator(mode="after")
    def _text_only(self) -> Self:
        if self.type != "text" or self.text is None:
            raise ValueError(
                f"a part of the type {self.type[:40]!r}: models here read text alone"
            )
        return self


class Message(BaseModel):
    """One message of a conversation; further fields go to the model's template."""

    model_config = ConfigDict(extra="allow", strict=True)

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None
    tool_calls: list[dict[str, Any]] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.content is None and not self.tool_calls:
            raise ValueError(f"the message of the {self.role} has no content")
        return self

    @property
    def text(self) -> str:
        """What it says."""
        if isinstance(self.content, list):
            return "".join(part.text or "" for part in self.content)
        return self.content or ""


class ChatRequest(Sampled):
    """`POST /v1/chat/completions`."""

    messages: list[Message] = Field(min_length=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=MAX_TOP_LOGPROBS)
    tools: list[dict[str, Any]] | None = None
    tool_choice: Any = None
    continue_final_message: bool | None = None
    """As vLLM has it: the last message is the start of the answer."""

    @model_validator(mode="after")
    def _alternatives_need_probabilities(self) -> Self:
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs: true")
        return self

    @field_validator("tool_choice")
    @classmethod
    def _choice_that_is_free(cls, given: Any) -> Any:
        if given not in (None, "auto", "none"):
            raise ValueError(
                "models here decide themselves whether to call a tool: auto or none"
            )
        return given

    @model_validator(mode="after")
    def _only_answers_go_on(self) -> Self:
        if self.continue_final_message and self.messages[-1].role != "assistant":
            raise ValueError(
                "continue_final_message needs a last message of the assistant"
            )
        return self


class CompletionRequest(Sampled):
    """`POST /v1/completions`."""

    prompt: str | list[str] | list[int] | list[list[int]]
    logprobs: int | None = Field(None, ge=0, le=MAX_TOP_LOGPROBS)
    echo: bool | None = None
    best_of: int | None = None

    @field_validator("prompt")
    @classmethod
    def _prompts_that_are_some(cls, given: Any) -> Any:
        if not isinstance(given, str):
            if not given:
                raise ValueError("the list of prompts is empty")
            if not isinstance(given[0], int) and len(given) > MAX_PROMPTS:
                raise ValueError(
                    f"{len(given)} prompts; at most {MAX_PROMPTS} may be sent at once"
                )
        return given

    @model_validator(mode="after")
    def _only_what_can_be_done(self) -> Self:
        if self.best_of is not None and self.best_of != (self.n or 1):
            raise ValueError("best_of is not supported: ask for n, and choose")
        if self.echo and self.logprobs is not None:
            raise ValueError("echo with logprobs is not supported: leave one out")
        return self

    @property
    def prompts(self) -> list[str] | list[list[int]]:
        """All prompts, each text or ids."""
        given = self.prompt
        if isinstance(given, str):
            return [given]
        if isinstance(given[0], int):
            return [given]
        return given


class EmbeddingRequest(Asked):
    """`POST /v1/embeddings`."""

    input: str | list[str] | list[int] | list[list[int]]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = Field(None, ge=1)

    @property
    def texts(self) -> list[str]:
        """What is to be embedded."""
        return [self.input] if isinstance(self.input, str) else self.input  # type: ignore[return-value]

    @field_validator("input")
    @classmethod
    def _texts(cls, given: Any) -> Any:
        if isinstance(given, list):
            if not given or len(given) > MAX_TEXTS:
                raise ValueError(f"send 1 to {MAX_TEXTS:,} texts, not {len(given):,}")
            if not isinstance(given[0], str):
                raise ValueError(  # noqa: TRY004 - pydantic tells of this kind alone
                    "send text: each model here has token ids of its own "
                    "(LangChain: check_embedding_ctx_length=False)"
                )
        return given
