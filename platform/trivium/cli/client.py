"""The REST API, as the commands use it."""

import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Self
from urllib.parse import urlsplit

import httpx

from trivium.cli.config import Config
from trivium.cli.errors import CliError, Exit
from trivium.cli.wire import Json

WAITS_S = (0.2, 0.5, 1.0, 2.0)
"""Pauses before a request is sent again."""
UNAVAILABLE = {502, 503, 504}
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
EXIT_BY_STATUS = {
    401: Exit.DENIED,
    403: Exit.DENIED,
    404: Exit.DENIED,
    409: Exit.CONFLICT,
}


class Client:
    """One server, one token. Every POST carries a key, so it may be sent again."""

    def __init__(self, config: Config, *, timeout_s: float = 30.0) -> None:
        """Open no connection yet."""
        # A proxy for the outside world has no business with this machine.
        is_local = urlsplit(config.url).hostname in LOOPBACK
        self.url = config.url
        self._http = httpx.Client(
            base_url=f"{config.url}/api/v1",
            headers={"Authorization": f"Bearer {config.token}"},
            timeout=timeout_s,
            trust_env=not is_local,
        )

    def __enter__(self) -> Self:
        """Be closed at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str, **params: Any) -> Json:
        """GET a JSON document."""
        return self._json("GET", path, params=_given(params))

    def post(self, path: str, body: Json | None = None, *, key: str = "") -> Json:
        """POST a JSON document, once however often it must be sent."""
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        return self._json("POST", path, json=body or {}, headers=headers)

    def patch(self, path: str, body: Json) -> Json:
        """PATCH an object with some of its fields."""
        return self._json("PATCH", path, json=body)

    def put(self, path: str, body: Json) -> Json:
        """PUT an object in the place of what is there."""
        return self._json("PUT", path, json=body)

    def delete(self, path: str) -> None:
        """DELETE something."""
        response = self._send("DELETE", path)
        if response.is_error:
            raise _refusal(response)

    def items(
        self, path: str, *, most: int | None = None, **params: Any
    ) -> Iterator[Json]:
        """Yield the items of a list, page after page, `most` at most."""
        cursor = ""
        num_left = most
        while num_left is None or num_left > 0:
            limit = min(num_left or 200, 200)
            page = self.get(path, **params, cursor=cursor, limit=limit)
            yield from page["items"]
            cursor = page["next_cursor"]
            if not cursor:
                return
            if num_left is not None:
                num_left -= len(page["items"])

    def upload(self, path: str, file: IO[bytes], name: str, fields: Json) -> Json:
        """POST a file as multipart, streamed from disk."""
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        return self._json(
            "POST", path, data=fields, files={"file": (name, file)}, headers=headers
        )

    def download(self, path: str, target: Path, on_bytes: Callable[[int], Any]) -> None:
        """GET a file into `target`, which appears only when it is whole."""
        partial = target.with_name(f".{target.name}.partial")
        try:
            with self._http.stream("GET", path) as response:
                if response.is_error:
                    response.read()
                    raise _refusal(response)
                with partial.open("wb") as file:
                    for block in response.iter_bytes(1 << 18):
                        file.write(block)
                        on_bytes(len(block))
            partial.replace(target)
        except httpx.HTTPError as error:
            raise CliError(
                f"the download of {target.name} broke off: {error}", Exit.UNREACHABLE
            ) from error
        finally:
            partial.unlink(missing_ok=True)

    def _json(self, method: str, path: str, **options: Any) -> Json:
        response = self._send(method, path, **options)
        if response.is_error:
            raise _refusal(response)
        try:
            document: Json = response.json()
        except ValueError:
            raise CliError(
                f"{self.url} does not speak Trivium's API", Exit.UNREACHABLE
            ) from None
        return document

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        for wait_s in (*WAITS_S, None):
            try:
                response = self._http.request(method, path, **options)
            except httpx.HTTPError as error:
                if wait_s is None:
                    raise CliError(
                        f"cannot reach {self.url}: {error or type(error).__name__}",
                        Exit.UNREACHABLE,
                    ) from error
            except (httpx.InvalidURL, ValueError) as error:
                raise CliError(f"{self.url!r} is not a usable URL: {error}") from error
            else:
                if response.status_code not in UNAVAILABLE or wait_s is None:
                    return response
            time.sleep(wait_s)
        raise AssertionError("the last try returns or raises")


def _given(params: Json) -> Json:
    return {name: value for name, value in params.items() if value not in (None, "")}


def _refusal(response: httpx.Response) -> CliError:
    status = response.status_code
    code = EXIT_BY_STATUS.get(status, Exit.USAGE)
    if status >= 500:
        code = Exit.UNREACHABLE
    try:
        error = response.json()["error"]
        message = str(error["message"])
    except (ValueError, KeyError, TypeError):
        message = f"the server answered {status} {response.reason_phrase}"
    return CliError(message, code)
