"""How the web asks an inference node, and what the node answers.

A node (`python -m inference`) serves HTTP to the web processes alone. `POST /generate`
answers with JSON lines, each a `StreamEvent`; exactly one of them is terminal (`end`
or `error`), and a stream that stops without one tells that the node died. All
other calls answer with one JSON object. What a node refuses it says as an
`ErrorEvent`, with its `status` as that of HTTP where nothing was streamed yet.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

Architecture = Literal["decoder", "encoder", "encoder-decoder"]
FinishReason = Literal["stop", "length", "cancelled"]

NODE_KEY_HEADER = "X-Trivium-Node-Key"
MAX_TOP_LOGPROBS = 20
MAX_CHOICES = 8
"""Most answers to one prompt."""
MAX_PROMPT_CHARACTERS = 4_000_000
IMPOSSIBLE = -9999.0
"""Logarithm told of a probability of 0: JSON has no infinity."""


class Wire(BaseModel):
    """Something that crosses the wire."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ModelRef(Wire):
    """Weights a node shall use: a model of the registry, or a run's checkpoint."""

    key: str
    """Identifies them on every node: `model-12`, `run-5-step-300`."""
    url: str
    """The folder in the Hugging Face layout, as an fsspec URL (`file:///…`)."""
    sha256: str
    """Of the manifest of its files; part of each receipt."""
    weights_url: str = ""
    """Where the weights lie, if not in that folder: those of a checkpoint."""


class ResponseFormat(Wire):
    """What the text must be: any JSON object, or JSON after a schema."""

    type: Literal["json_object", "json_schema"]
    json_schema: dict[str, Any] | None = None


class Sampling(Wire):
    """How the next token is chosen from the model's distribution."""

    max_tokens: int | None = Field(None, ge=1)
    """None: as many as the context has room for."""
    temperature: float = Field(1.0, ge=0, le=2)
    """0 takes the likeliest token."""
    top_k: int = Field(0, ge=0)
    top_p: float = Field(1.0, gt=0, le=1)
    min_p: float = Field(0.0, ge=0, le=1)
    repetition_penalty: float = Field(1.0, gt=0, le=2)
    presence_penalty: float = Field(0.0, ge=-2, le=2)
    frequency_penalty: float = Field(0.0, ge=-2, le=2)
    logit_bias: dict[int, float] = {}
    seed: int | None = Field(None, ge=0, lt=2**63)
    """None: the node draws one and tells it."""
    stop: tuple[str, ...] = Field((), max_length=16)
    response_format: ResponseFormat | None = None


class Prompt(Wire):
    """What a model is given: text, a conversation, or token ids. Exactly one."""

    text: str | None = Field(None, max_length=MAX_PROMPT_CHARACTERS)
    messages: tuple[dict[str, Any], ...] | None = None
    ids: tuple[int, ...] | None = None
    tools: tuple[dict[str, Any], ...] = ()
    continues: bool = False
    """Whether the last message is the start of the answer, to be gone on with."""


class GenerateRequest(Wire):
    """Answer one prompt, `n` times."""

    id: str = Field(max_length=100)
    """Made by the asker; names the request in `POST /cancel`."""
    model: ModelRef
    prompt: Prompt
    sampling: Sampling = Sampling()
    n: int = Field(1, ge=1, le=MAX_CHOICES)
    top_logprobs: int = Field(0, ge=0, le=MAX_TOP_LOGPROBS)
    """How many alternatives each token is told with."""
    answered_ids: tuple[int, ...] = ()
    """Tokens of an answer that was broken off: it goes on after them, with the very
    tokens it would have had (n is 1 then). They are not sent again."""


class TokenTold(Wire):
    """One token of an answer."""

    id: int
    text: str
    """As it stands in the text; `�` where it is part of a character only."""
    bytes: tuple[int, ...] | None
    logprob: float
    """Of the model's own distribution, before temperature and penalties."""
    entropy: float
    """Of that distribution, in nats."""
    top: tuple[tuple[int, str, float], ...] = ()
    """(id, text, logprob) of the likeliest tokens, best first."""


class Receipt(Wire):
    """How an answer is made: all that a replay needs."""

    model_key: str
    weights_sha256: str
    template_sha256: str
    """Empty where no chat template was used."""
    engine: str
    """Name and version of what computes, with dtype and device."""
    rendered: str
    prompt_ids: tuple[int, ...]
    sampling: Sampling
    """As it took effect: no None left."""
    context: int
    """Tokens the model can see."""
    cached_tokens: int
    """Tokens of the prompt whose keys and values were there already."""
    is_exact: bool
    """Whether the same request gives the same tokens on this device whatever else is
    computed beside it; where not, near ties may fall otherwise."""


class PromptEvent(Wire):
    """The first event: the request has a slot, and this is what it will see."""

    type: Literal["prompt"] = "prompt"
    receipt: Receipt


class TokensEvent(Wire):
    """Some more tokens of an answer."""

    type: Literal["tokens"] = "tokens"
    index: int
    tokens: tuple[TokenTold, ...]
    text: str
    """What they add to the text: may lag behind while a character is incomplete or a
    stop sequence may be beginning, and never holds any of a stop sequence."""


class FinishEvent(Wire):
    """One answer is complete."""

    type: Literal["finish"] = "finish"
    index: int
    reason: FinishReason
    stop: str = ""
    """The stop sequence that ended it."""
    text: str = ""
    """What was still held back."""


class Timings(Wire):
    """How long it took, in seconds."""

    queue_s: float
    first_token_s: float
    """From the arrival to the first token."""
    total_s: float
    tokens_per_s: float
    """After the first token, over all answers."""


class EndEvent(Wire):
    """The last event of a request that went well (or was cancelled)."""

    type: Literal["end"] = "end"
    prompt_tokens: int
    completion_tokens: int
    timings: Timings


class ErrorEvent(Wire):
    """The last event of a request that did not; also the body of any refusal."""

    type: Literal["error"] = "error"
    status: int
    code: str
    """Like `context_length_exceeded`, `model_not_found`, `overloaded`."""
    message: str
    param: str | None = None


StreamEvent = Annotated[
    PromptEvent | TokensEvent | FinishEvent | EndEvent | ErrorEvent,
    Field(discriminator="type"),
]
parse_event: TypeAdapter[StreamEvent] = TypeAdapter(StreamEvent)


class CancelRequest(Wire):
    """`POST /cancel`: answered once the slot is free."""

    id: str


class Cancelled(Wire):
    """When the slot was free again; None: there was no such request."""

    freed_ms: float | None


class LoadRequest(Wire):
    """`POST /load`: get a model ready, answered with its `ModelFacts`.

    `POST /unload` lets it go, answered with the `NodeState` after that.
    """

    model: ModelRef


class ModelFacts(Wire):
    """What a node knows of a model it has loaded."""

    key: str
    architecture: Architecture
    runner: str
    """Which code runs it: `fused`, `library`, `encoder`, `encoder-decoder`…"""
    context: int
    vocab_size: int
    num_parameters: int
    dtype: str
    bytes: int
    has_template: bool
    has_score_head: bool
    """Whether it gives scores or labels instead of tokens."""
    labels: tuple[str, ...] = ()
    mask_token: str | None = None
    eos_ids: tuple[int, ...] = ()


class RenderRequest(Wire):
    """`POST /render`: how a prompt would look, without computing anything."""

    model: ModelRef
    prompt: Prompt


class Rendered(Wire):
    """A prompt as the model will see it."""

    text: str
    ids: tuple[int, ...]
    pieces: tuple[str, ...]
    """Each token as text."""
    message_tokens: tuple[int, ...]
    """Tokens each message adds, the tokens around it included; the prompt for the
    answer counts to none. Empty for a text."""
    context: int
    template_sha256: str


class NextRequest(Wire):
    """`POST /next`: the distribution of the token after these ids."""

    model: ModelRef
    ids: tuple[int, ...] = Field(min_length=1)
    top: int = Field(20, ge=1, le=200)


class Candidate(Wire):
    """A token that may come next."""

    id: int
    text: str
    logprob: float


class NextTokens(Wire):
    """The likeliest next tokens, best first."""

    candidates: tuple[Candidate, ...]
    entropy: float


class FillRequest(Wire):
    """`POST /fill`: what stands behind the masks of a text (encoders)."""

    model: ModelRef
    text: str
    top: int = Field(10, ge=1, le=100)
    targets: tuple[str, ...] = ()
    """Only these words are compared, where given."""
    joint: bool = False
    """Fill one mask after the other, the surest first, each seen by the next."""


class Filled(Wire):
    """What stands behind each mask, in the order of the text."""

    masks: tuple[tuple[Candidate, ...], ...]
    sequence: str
    """The text with the best candidates in place."""
    order: tuple[int, ...] = ()
    """In which order they were filled, where jointly."""
    ids: tuple[int, ...]
    """The text as it was read, its masks among them."""


class EmbedRequest(Wire):
    """`POST /embed`: one vector for each text (mean of the last hidden states)."""

    model: ModelRef
    texts: tuple[str, ...] = Field(min_length=1, max_length=256)


class Embedded(Wire):
    """Vectors of length 1, and the tokens read for them."""

    vectors: tuple[tuple[float, ...], ...]
    num_tokens: int


class ScoreRequest(Wire):
    """`POST /score`: what a model with a classification head says of each prompt."""

    model: ModelRef
    prompts: tuple[Prompt, ...] = Field(min_length=1, max_length=256)


class Scored(Wire):
    """For each prompt the head's numbers: one reward, or one logit for each label."""

    scores: tuple[tuple[float, ...], ...]
    labels: tuple[str, ...]


class LoadedModel(Wire):
    """A model on a node, and what it does."""

    facts: ModelFacts
    num_running: int
    num_waiting: int
    idle_s: float


class NodeState(Wire):
    """`GET /state`: what a node announces of itself."""

    engine: str
    device: str
    device_name: str
    memory_budget_bytes: int
    models: tuple[LoadedModel, ...]
    num_running: int
    num_waiting: int
    num_slots: int
