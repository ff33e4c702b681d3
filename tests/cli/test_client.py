"""The client against a network that loses things."""

import hashlib
import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
from trivium.cli.client import Client
from trivium.cli.config import Config
from trivium.cli.errors import CliError, Exit
from trivium.datasets.models import Upload
from trivium.projects.models import Project
from trivium.runs.models import Run


class LossyProxy(BaseHTTPRequestHandler):
    """Passes requests on, and loses the first answers."""

    target = ""
    num_lost = 1

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        there = http.client.HTTPConnection(urlsplit(self.target).netloc)
        there.request("POST", self.path, body, dict(self.headers))
        answer = there.getresponse()
        content = answer.read()
        there.close()
        if type(self).num_lost:
            type(self).num_lost -= 1
            self.close_connection = True
            return
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def lossy(live_server, token) -> Iterator[Client]:
    handler = type("Handler", (LossyProxy,), {"target": live_server.url})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    with Client(Config(url, token)) as client:
        yield client
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_post_whose_answer_was_lost_is_done_once(lossy):
    made = lossy.post("/projects", {"name": "Once"})
    assert Project.objects.get().pk == made["id"]


def test_an_upload_whose_answer_was_lost_is_kept_once(lossy, project, tmp_path):
    file = tmp_path / "a.txt"
    file.write_bytes(b"text " * 200_000)
    with file.open("rb") as opened:
        run = lossy.upload("/datasets/upload", opened, "a.txt", {"project": "grammar"})
    assert Run.objects.get().pk == run["id"]
    upload = Upload.objects.get()
    assert upload.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_server_that_never_answers_is_given_up(lossy, monkeypatch):
    monkeypatch.setattr("trivium.cli.client.WAITS_S", (0.01, 0.01))
    with pytest.raises(CliError) as error:
        lossy.get("/me")  # the proxy knows no GET: 501
    assert error.value.code == Exit.UNREACHABLE


def test_all_items_of_a_long_list_are_yielded(live_server, token, project, ada):
    Run.objects.bulk_create(
        Run(project=project, kind="ingest", name=f"r{n}", spec={}, spec_sha256="")
        for n in range(450)
    )
    with Client(Config(live_server.url, token)) as client:
        assert len(list(client.items("/runs"))) == 450
        newest = [item["name"] for item in client.items("/runs", most=3)]
    assert newest == ["r449", "r448", "r447"]


def test_a_broken_off_download_leaves_nothing(live_server, token, tmp_path, db):
    with Client(Config(live_server.url, token)) as client, pytest.raises(CliError):
        client.download("/models/1/files/x", tmp_path / "x", lambda _: None)
    assert not list(tmp_path.glob("*x*"))
