"""The embedded platform as a person starts and stops it."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from local_up import Up, processes_of


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    platform = Up(tmp_path)
    yield platform
    platform.end()


def test_it_prints_a_link_that_signs_in_once(up):
    link = up.read_until("Sign in once").split()[-1]
    with httpx.Client(follow_redirects=True) as client:
        assert client.get(f"http://127.0.0.1:{up.port}/").url.path == "/accounts/login/"
        home = client.get(link)
        assert home.status_code == 200
        assert "Sign out" in home.text
    assert httpx.get(link).status_code == 410


def test_ctrl_c_ends_every_process_and_leaves_runs_resumable(up, tmp_path):
    link = up.read_until("Sign in once").split()[-1]
    base = f"http://127.0.0.1:{up.port}"
    with httpx.Client(base_url=base, follow_redirects=True, timeout=30) as client:
        client.get(link)
        runs = start_training(client)
        wait(lambda: fields(client, runs[-1])["step"] > 5)
    home = tmp_path / "trivium"
    wait(
        lambda: {"supervisor.node", "supervisor.serving", "inference"} <= modules(home)
    )
    assert up.interrupt() == 0
    assert processes_of(home) == []
    assert "Stopped." in up.output

    again = Up(tmp_path)
    try:
        link = again.read_until("Sign in once").split()[-1]
        with httpx.Client(
            base_url=f"http://127.0.0.1:{again.port}", follow_redirects=True
        ) as client:
            client.get(link)
            run = fields(client, runs[-1])
            assert run["state"] in {"queued", "running"}
            wait(lambda: fields(client, runs[-1])["step"] > run["step"])
            found = client.get(f"/api/v1/runs/{runs[-1]}/checkpoints").json()
            assert found["items"][0]["step"] > 0
    finally:
        again.end()
    assert processes_of(home) == []


def modules(home) -> set[str]:
    """Return which modules of Trivium run as processes of an installation."""
    return {part for process in processes_of(home) for part in cmdline(process)}


def cmdline(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:  # it may have ended by now
        return []


def start_training(client: httpx.Client) -> list[int]:
    """Queue ingest, tokenizer and a training that lasts, by API."""
    slug = client.get("/api/v1/projects").json()["items"][0]["slug"]
    text = "\n\n".join(f"Line {number} of a small text." for number in range(2000))
    token = client.cookies["csrftoken"]
    headers = {"X-CSRFToken": token, "Referer": str(client.base_url)}
    ingest = client.post(
        "/api/v1/datasets/upload",
        data={"project": slug, "name": "Lines"},
        files={"file": ("lines.txt", text.encode())},
        headers=headers,
    ).json()
    dataset = str(ingest["output"]["id"])

    def submit(**spec: object) -> dict:
        answer = client.post(
            "/api/v1/runs", json={"project": slug, "spec": spec}, headers=headers
        )
        assert answer.status_code == 201, answer.text
        return answer.json()

    tokenizer = submit(kind="tokenizer", dataset=dataset, algorithm="characters")
    training = submit(
        kind="pretrain",
        dataset=dataset,
        tokenizer=str(tokenizer["output"]["id"]),
        layers=2,
        heads=2,
        width=32,
        context=32,
        max_steps=1_000_000,
        checkpoint_every=1_000_000,
        eval_every=1_000_000,
        sample_every=0,
        compile="off",
    )
    return [ingest["id"], tokenizer["id"], training["id"]]


def fields(client: httpx.Client, run: int) -> dict:
    found = client.get(f"/api/v1/runs/{run}").json()
    assert found["state"] not in {"failed", "cancelled"}, found
    return found


def wait(fact, timeout_s: float = 90) -> None:
    deadline = time.monotonic() + timeout_s
    while not fact():
        assert time.monotonic() < deadline
        time.sleep(0.2)
