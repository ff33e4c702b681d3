"""Answering by a server that speaks the OpenAI API, several requests at a time."""

import asyncio
import email.utils
import json
import logging
import os
import ssl
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import httpx
from runspec.labels import Answer, Source
from runspec.openai_words import settings_of
from runspec.serving import Receipt

from trainer.asking.questions import Question, Reply, fold_system, sha256_of
from trainer.errors import BadInputError

logger = logging.getLogger(__name__)

AT_ONCE = 8
TRIES = 8
BACKOFF_S = 1.0
"""Before the second try; twice as long before each one after."""
MOST_WAIT_S = 120.0
CONNECT_S = 10.0
SILENCE_S = 300.0
POLL_S = 0.1
MOST_BYTES = 4 * 2**20
"""Of one answer."""
MOST_TOLD = 300
"""Characters of what an endpoint says of an error."""
LOST_IN_A_ROW = AT_ONCE
"""Questions nobody answered, one after the other, that show the endpoint to be down."""
REFUSED = {401, 403, 404}
"""What no other question would be told anything else about."""
PATIENT = {408, 409, 425, 429}
"""Worth another try, as all of 500 and beyond are."""


class EndpointDownError(ConnectionError):
    """An endpoint that answered before does not any more; later it may."""


@dataclass(frozen=True)
class Lost:
    """A question that got no answer in all its tries."""

    reply: Reply


Outcome = Reply | Lost | BadInputError


class TooLongError(ValueError):
    """An endpoint's answer has no end."""


class Endpoint:
    """One model of a server, and what is known of what it takes."""

    def __init__(self, source: Source, *, has_answered: bool = False) -> None:
        """Take the key from the environment; nothing is asked yet.

        Raises:
            BadInputError: it needs a key, and none is there.
        """
        self.source = source
        self.has_answered = has_answered
        """Whether it is known to have answered: it may again, then."""
        self.owner = source.id.partition("/")[0]
        self._key = os.environ.get(source.key_variable, "")
        if source.key_variable and not self._key:
            raise BadInputError(
                f"endpoint {self.owner} needs a key, and this process was given none",
                "Retry the run; if it stays, let a worker without Ray do it.",
            )
        self._left_out: set[str] = set()
        """Settings it refused."""
        self._folds_system = False

    def answers(self, questions: Iterable[Question]) -> Iterator[Reply | None]:
        """Yield replies as they are done; None where a moment passed without one.

        Raises:
            BadInputError: it refuses the key or the model, or never answers.
            EndpointDownError: it has answered, and then no more.
        """
        waiting = iter(questions)
        lost: list[Reply] = []
        with asyncio.Runner() as runner:
            client = runner.run(self._client())
            tasks: set[asyncio.Task[Outcome]] = set()
            try:
                while True:
                    while len(tasks) < AT_ONCE and (question := next(waiting, None)):
                        task = runner.get_loop().create_task(
                            self._ask(client, question)
                        )
                        tasks.add(task)
                    if not tasks:
                        break
                    done, tasks = runner.run(_first_of(tasks))
                    for outcome in sorted(
                        (task.result() for task in done), key=_worst_first
                    ):
                        if isinstance(outcome, BadInputError):
                            raise outcome
                        if isinstance(outcome, Lost):
                            lost.append(outcome.reply)
                            continue
                        # It is there: what it could not answer was the prompt's fault.
                        self.has_answered = True
                        yield from lost
                        lost.clear()
                        yield outcome
                    if len(lost) >= LOST_IN_A_ROW:
                        raise self._down(lost[-1].error)
                    yield None
                if lost and not self.has_answered:
                    raise self._down(lost[-1].error)
                yield from lost
            finally:
                for task in tasks:
                    task.cancel()
                runner.run(client.aclose())

    async def _client(self) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        return httpx.AsyncClient(
            headers=headers,
            timeout=httpx.Timeout(SILENCE_S, connect=CONNECT_S),
            follow_redirects=False,
            trust_env=False,
            verify=_trusted(),
        )

    async def _ask(self, client: httpx.AsyncClient, question: Question) -> Outcome:
        """Return what comes of a question, after as many tries as it takes."""
        number_of_try = 0
        while True:
            path, body = self._body(question)
            headers: Any = {}
            try:
                status, headers, raw = await _post(
                    client, f"{self.source.url.rstrip('/')}{path}", body
                )
            except TooLongError as error:
                return self._failed(question, body, str(error))
            except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
                why = f"it does not answer ({type(error).__name__})"
            else:
                if status == httpx.codes.OK:
                    return self._reply(question, body, raw)
                why = f"status {status}{self._told(raw)}"
                if status in {400, 422} and self._yields(body, why):
                    continue
                if status in REFUSED:
                    return self._hopeless(status, why)
                if status not in PATIENT and status < 500:
                    return self._failed(question, body, why)
            number_of_try += 1
            if number_of_try == TRIES:
                return Lost(self._failed(question, body, why))
            await asyncio.sleep(wait_s(headers, number_of_try))

    def _body(self, question: Question) -> tuple[str, dict[str, Any]]:
        prompt = question.prompt
        told = settings_of(question.sampling)
        body: dict[str, Any] = {
            "model": self.source.remote_id,
            **{name: told[name] for name in told if name not in self._left_out},
        }
        if prompt.messages is None:
            return "/completions", body | {"prompt": prompt.text}
        messages = list(prompt.messages)
        if self._folds_system:
            messages = fold_system(messages)
        return "/chat/completions", body | {"messages": messages}

    def _yields(self, body: dict[str, Any], why: str) -> bool:
        """Whether something optional can be left out that it seems to refuse."""
        roles = [message.get("role") for message in body.get("messages", ())]
        if "response_format" in body:
            self._left_out.add("response_format")
        elif "seed" in body and "seed" in why.lower():
            self._left_out.add("seed")
        elif "system" in roles and "system" in why.lower():
            self._folds_system = True
        else:
            return False
        logger.info("%s: asked more plainly after %s", self.owner, why)
        return True

    def _reply(self, question: Question, body: dict[str, Any], raw: bytes) -> Reply:
        """Read an answer; what is not as the API has it is no answer."""
        try:
            told = json.loads(raw)
            choice = told["choices"][0]
            text = (
                choice["text"]
                if question.prompt.messages is None
                else choice["message"]["content"]
            )
            if not isinstance(text, str):
                return self._failed(question, body, "it answered without any text")
            usage = told.get("usage") or {}
            tokens = max(0, int(usage.get("completion_tokens") or 0))
            is_cut = choice.get("finish_reason") == "length"
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            return self._failed(
                question, body, "its answer is not what the OpenAI API has"
            )
        answer = Answer(
            text=text.encode("utf-8", "replace").decode(),
            finish_reason="length" if is_cut else "stop",
            sampling=question.sampling,
            receipt=self._receipt(question),
        )
        return Reply(
            number=question.number,
            answer=answer,
            tokens=tokens,
            rendered_sha256=_sent(body),
        )

    def _receipt(self, question: Question) -> Receipt:
        """Return what little is known of how an endpoint answers."""
        return Receipt(
            model_key=self.source.id,
            weights_sha256="",
            template_sha256="",
            engine=f"{self.source.remote_id} at the endpoint {self.owner}",
            rendered="",
            prompt_ids=(),
            sampling=question.sampling,
            context=0,
            cached_tokens=0,
            is_exact=False,
        )

    def _failed(self, question: Question, body: dict[str, Any], why: str) -> Reply:
        return Reply(
            number=question.number,
            error=f"endpoint {self.owner}: {why}",
            rendered_sha256=_sent(body),
        )

    def _told(self, raw: bytes) -> str:
        """Return what an endpoint says of an error; never the key, if it repeats it."""
        try:
            error = json.loads(raw)["error"]
            text = str(error["message"] if isinstance(error, dict) else error)
        except (ValueError, TypeError, LookupError, RecursionError):
            return ""
        if self._key:
            text = text.replace(self._key, "…")
        return f": {text[:MOST_TOLD]}"

    def _hopeless(self, status: int, why: str) -> BadInputError:
        advice = (
            f"Look whether it has the model {self.source.remote_id!r}, and at its "
            "address."
            if status == httpx.codes.NOT_FOUND
            else "Ask an admin to enter its API key again, then retry."
        )
        return BadInputError(f"endpoint {self.owner} refuses: {why}", advice)

    def _down(self, error: str) -> Exception:
        if self.has_answered:
            return EndpointDownError(error)
        return BadInputError(
            error, "Nothing was answered: test the endpoint on its page, then retry."
        )


@lru_cache(maxsize=1)
def _trusted() -> ssl.SSLContext:
    """Return whose certificates are believed; reading them takes a while."""
    return httpx.create_ssl_context(trust_env=False)


async def _first_of(
    tasks: "set[asyncio.Task[Outcome]]",
) -> "tuple[set[asyncio.Task[Outcome]], set[asyncio.Task[Outcome]]]":
    return await asyncio.wait(
        tasks, timeout=POLL_S, return_when=asyncio.FIRST_COMPLETED
    )


async def _post(
    client: httpx.AsyncClient, url: str, body: dict[str, Any]
) -> tuple[int, httpx.Headers, bytes]:
    """Return status, headers and body of an answer.

    Raises:
        TooLongError: the body is longer than any answer.
    """
    async with client.stream("POST", url, json=body) as response:
        received = bytearray()
        async for part in response.aiter_bytes():
            received += part
            if len(received) > MOST_BYTES:
                raise TooLongError(f"its answer has more than {MOST_BYTES:,} bytes")
        return response.status_code, response.headers, bytes(received)


def _worst_first(outcome: Outcome) -> int:
    return 0 if isinstance(outcome, BadInputError) else 1


def _sent(body: dict[str, Any]) -> str:
    said = body.get("messages", body.get("prompt"))
    return sha256_of(json.dumps(said, ensure_ascii=False))


def wait_s(headers: Any, number_of_try: int) -> float:
    """Return how long to wait: what the server asks for, or longer each time."""
    asked = _retry_after(str(headers.get("retry-after", "")))
    wait = BACKOFF_S * 2 ** (number_of_try - 1) if asked is None else asked
    return min(max(wait, 0.0), MOST_WAIT_S)


def _retry_after(text: str) -> float | None:
    """Read seconds, or a date (RFC 9110, 10.2.3)."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return email.utils.parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return None
