"""Fetching from the Hub, against a small server that speaks as the Hub does."""

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest

COMMIT = "c0ffee" * 6 + "c0ff"
TOKEN = "hf_secret_token"


class FakeHub(BaseHTTPRequestHandler):
    """One public model, `org/tiny`, and a gated and a private one."""

    files: dict[str, bytes]
    asked: list[tuple[str, str]]

    def do_HEAD(self) -> None:
        self.answer(is_head=True)

    def do_GET(self) -> None:
        self.answer(is_head=False)

    def answer(self, *, is_head: bool) -> None:
        path = unquote(self.path.partition("?")[0])
        self.asked.append((path, self.headers.get("Authorization", "")))
        if path == "/api/models/org/tiny/revision/main":
            body = {
                "id": "org/tiny",
                "sha": COMMIT,
                "siblings": [
                    {"rfilename": name, "size": len(content)}
                    for name, content in self.files.items()
                ],
            }
            self.reply(200, json.dumps(body).encode(), is_head=is_head)
            return
        place = f"/org/tiny/resolve/{COMMIT}/"
        name = path.removeprefix(place)
        if path.startswith(place) and name in self.files:
            self.reply(200, self.files[name], is_head=is_head)
        elif "gated" in path:
            self.reply(403, b"", is_head=is_head, **{"X-Error-Code": "GatedRepo"})
        elif "org/tiny" in path:
            code = {"X-Error-Code": "RevisionNotFound"}
            self.reply(404, b"", is_head=is_head, **code)
        else:
            self.reply(401, b"", is_head=is_head, **{"X-Error-Code": "RepoNotFound"})

    def reply(self, code: int, body: bytes, *, is_head: bool, **headers: str) -> None:
        self.send_response(code)
        etag = hashlib.sha256(body).hexdigest()
        known = {"Content-Length": str(len(body)), "ETag": f'"{etag}"'}
        for key, value in {**known, "X-Repo-Commit": COMMIT, **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if not is_head:
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def hub(made: dict[str, Path], monkeypatch) -> Iterator[type[FakeHub]]:
    """The Hub, reachable by the child that downloads."""

    class Hub(FakeHub):
        files = {path.name: path.read_bytes() for path in made["llama"].iterdir()} | {
            "README.md": b"---\nlicense: apache-2.0\n---\n# Tiny",
            "pytorch_model.bin": b"\x80\x04.",
            "modeling_tiny.py": b"raise SystemExit",
            "onnx/model.safetensors": b"elsewhere",
        }
        asked = []

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    yield Hub
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_model_is_fetched_at_one_commit_without_pickles_and_code(hub, take):
    imported = take(None, hub_id="org/tiny")
    assert imported.result["origin"] == {
        "hub": "org/tiny",
        "revision": "main",
        "commit": COMMIT,
    }
    assert imported.result["licence"] == "apache-2.0"
    fetched = {path.rpartition("/")[2] for path, _ in hub.asked}
    assert "model.safetensors" in fetched
    assert not fetched & {"pytorch_model.bin", "modeling_tiny.py"}
    assert all(COMMIT in path for path, _ in hub.asked[1:])
    assert 'unopened: "pytorch_model.bin"' in imported.warned()
    assert '"modeling_tiny.py"' in imported.warned()
    card = (imported.output / "README.md").read_text()
    assert 'base_model: "org/tiny"' in card
    assert COMMIT in card
    assert {step.phase for step in imported.report.progresses} >= {"downloading"}


def test_the_token_is_used_and_kept_nowhere(hub, take):
    imported = take(None, hub_id="org/tiny")
    assert {said for _, said in hub.asked} == {f"Bearer {TOKEN}"}
    kept = b"".join(path.read_bytes() for path in imported.output.iterdir())
    assert TOKEN.encode() not in kept
    assert TOKEN not in json.dumps(imported.result)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"hub_id": "org/gated"}, "given only to people who asked for it"),
        ({"hub_id": "org/private"}, "the Hub has no model 'org/private'"),
        ({"hub_id": "org/tiny", "revision": "v9"}, "has no revision 'v9'"),
    ],
)
def test_what_the_hub_refuses_is_said_in_a_sentence(asked, says, hub, take):
    assert says in take(None, **asked).error


def test_a_model_too_large_is_refused_before_it_is_fetched(hub, take):
    hub.files["model.safetensors"] += b"\0" * 1_000_000
    error = take(None, hub_id="org/tiny", max_expanded_bytes=1_000_000).error
    assert "1,000,000 are allowed" in error
    assert len(hub.asked) == 1


def test_a_model_of_pickles_alone_is_refused_before_it_is_fetched(hub, take):
    hub.files = {"config.json": b"{}", "pytorch_model.bin": b"\x80\x04."}
    assert "may be, a pickle" in take(None, hub_id="org/tiny").error


def test_a_machine_that_is_offline_asks_nobody(hub, take, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "may not reach the Hugging Face Hub" in take(None, hub_id="org/tiny").error
    assert hub.asked == []


def test_a_hub_that_is_away_is_said(take, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    assert "could not be reached" in take(None, hub_id="org/tiny").error
