"""What tests of stages that ask models share: datasets, sources, and an endpoint."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from runspec.labels import Source
from runspec.layout import DATASET_CARD, DatasetCard, Split, events_file
from runspec.serving import ModelRef
from stage_lab import context_for
from trainer.context import Context, Reporter


class Shown(Reporter):
    """Writes events, and sets a sign once so many texts were shown."""

    stop: threading.Event
    left: int

    def sample(self, **values: Any) -> None:
        super().sample(**values)
        self.left -= 1
        if not self.left:
            self.stop.set()


@contextmanager
def attempt(folder: Path, *, fence: int = 1, stop_at: int = 0) -> Iterator[Context]:
    """Yield the context of an attempt; it stops once `stop_at` texts were shown."""
    context = context_for(folder, fence=fence)
    context.report.close()
    report = Shown(events_file(folder, fence))
    report.stop, report.left = context.stop, stop_at
    try:
        yield replace(context, report=report)
    finally:
        report.close()


TURNS = pa.list_(
    pa.struct(
        [("role", pa.string()), ("content", pa.string()), ("tool_calls", pa.string())]
    )
)
SCHEMAS = {
    "prompts": pa.schema(
        [
            ("prompt", TURNS),
            ("is_chat", pa.bool_()),
            ("answer", pa.string()),
            ("category", pa.string()),
        ]
    ),
    "preferences": pa.schema(
        [
            ("prompt", TURNS),
            ("chosen", TURNS),
            ("rejected", TURNS),
            ("is_chat", pa.bool_()),
        ]
    ),
    "conversations": pa.schema([("messages", TURNS), ("tools", pa.string())]),
    "instructions": pa.schema(
        [("prompt", pa.string()), ("completion", pa.string()), ("system", pa.string())]
    ),
    "text": pa.schema([("text", pa.string())]),
}


def turn(role: str, content: str) -> dict[str, Any]:
    return {"role": role, "content": content, "tool_calls": None}


def prompt_row(
    text: str,
    *,
    is_chat: bool = True,
    category: str | None = None,
    answer: str | None = None,
) -> Any:
    return {
        "prompt": [turn("user", text)],
        "is_chat": is_chat,
        "answer": answer,
        "category": category,
    }


def preference_row(text: str, chosen: str, rejected: str) -> Any:
    return {
        "prompt": [turn("user", text)],
        "chosen": [turn("assistant", chosen)],
        "rejected": [turn("assistant", rejected)],
        "is_chat": True,
    }


def write_dataset(folder: Path, kind: str, **splits: list[Any]) -> Path:
    """Write rows as an ingest run does."""
    folder.mkdir()
    described = {}
    for name, rows in splits.items():
        shard = f"{name}-00000.parquet"
        table = pa.Table.from_pylist(rows, SCHEMAS[kind])
        pq.write_table(table, folder / shard)
        described[name] = Split(
            rows=len(rows), bytes=1, characters=1, shards=[shard] if rows else []
        )
    card = DatasetCard(
        kind=kind,
        columns=SCHEMAS[kind].names,
        rows=sum(map(len, splits.values())),
        bytes=1,
        characters=1,
        distinct_rows=1,
        duplicate_rows=0,
        length_histogram=[],
        splits=described,
        content_sha256="0" * 64,
        source_name="x",
        source_sha256="0" * 64,
    )
    (folder / DATASET_CARD).write_text(card.model_dump_json())
    return folder


def local_source(folder: Path, **changes: Any) -> str:
    """Return what a model's choice becomes in a spec file."""
    ref = ModelRef(key=folder.name, url=folder.as_uri(), sha256="0" * 64)
    values = {"id": f"grammar/{folder.name}", "title": folder.name, "model": ref}
    return Source(**(values | changes)).model_dump_json()


def endpoint_source(url: str, **changes: Any) -> str:
    values = {
        "id": "elsewhere/big",
        "title": "big (elsewhere)",
        "url": url,
        "remote_id": "big",
        "is_chat": True,
    }
    return Source(**(values | changes)).model_dump_json()


Answered = tuple[int, dict[str, str], Any]
"""Status, headers and body (bytes, or what becomes JSON); None as a body hangs up."""


class Server:
    """A server of the OpenAI API that answers as a test says."""

    def __init__(self, answer: Callable[[dict[str, Any]], Answered]) -> None:
        self.asked: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.keys: list[str] = []
        self._answer = answer
        self._lock = threading.Lock()
        self.url = ""

    def reply(self, path: str, key: str, body: dict[str, Any]) -> Answered:
        with self._lock:
            self.asked.append(body)
            self.paths.append(path)
            self.keys.append(key)
            return self._answer(body)


def says(text: str, **changes: Any) -> Answered:
    """Answer as a server does that is well."""
    choice = {"message": {"content": text}, "text": text, "finish_reason": "stop"}
    usage = {"completion_tokens": len(text.split())}
    return 200, {}, {"choices": [choice | changes], "usage": usage}


def refuses(status: int, message: str, **headers: str) -> Answered:
    return status, headers, {"error": {"message": message}}


def asked_text(body: dict[str, Any]) -> str:
    """Return the last thing a request says."""
    return body["messages"][-1]["content"] if "messages" in body else body["prompt"]


class Listener(ThreadingHTTPServer):
    """Takes all who come at once; who is turned away knocks again after a second."""

    request_queue_size = 64


@contextmanager
def serving(answer: Callable[[dict[str, Any]], Answered]) -> Iterator[Server]:
    """Serve on a real socket."""
    server = Server(answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet, or the second waits

        def do_POST(self) -> None:
            size = int(self.headers["Content-Length"])
            body = json.loads(self.rfile.read(size))
            key = self.headers.get("Authorization", "")
            status, headers, told = server.reply(self.path, key, body)
            if told is None:
                self.close_connection = True
                return
            raw = told if isinstance(told, bytes) else json.dumps(told).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(raw))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: Any) -> None:
            pass

    listener = Listener(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listener.serve_forever, args=(0.05,))
    thread.start()
    server.url = f"http://127.0.0.1:{listener.server_port}/v1"
    try:
        yield server
    finally:
        listener.shutdown()
        thread.join()
        listener.server_close()
