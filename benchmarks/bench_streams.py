"""Fifty streams at once for a minute, through the OpenAI API of a whole platform.

Web, worker and inference node in a home of their own, a 6.6 M model with random
weights; each reader asks again as soon as its stream has ended. Prints what came, what
did not end as it must, first-token times, and memory of web and node while it went on.
Run: `.venv/bin/python benchmarks/bench_streams.py`.
"""

import asyncio
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

ROOT = Path(__file__).resolve().parents[1]
HOME = Path(tempfile.mkdtemp(prefix="trivium-bench-"))
os.environ["TRIVIUM_HOME"] = str(HOME)
os.environ["DJANGO_SETTINGS_MODULE"] = "trivium.settings"
os.environ["LOG_LEVEL"] = "WARNING"
os.environ["TRIVIUM_API_REQUESTS_PER_MINUTE"] = "1000000"
os.environ["TRIVIUM_API_TOKENS_PER_MINUTE"] = "1000000000"
sys.path.insert(0, str(ROOT / "tests"))

PORT = 8397
STREAMS, SECONDS, TOKENS = 50, 60, 64


@dataclass
class Seen:
    """What the readers met."""

    ends: Counter[str] = field(default_factory=Counter)
    tokens: int = 0
    first_s: list[float] = field(default_factory=list)
    memory: list[dict[str, int]] = field(default_factory=list)


def main() -> None:
    """Measure, print, and clean up."""
    import django

    django.setup()
    from trivium.accounts.services import create_token, ensure_first_admin
    from trivium.projects.models import Project
    from trivium.runs.local import local_platform, migrate

    migrate()
    admin = ensure_first_admin()
    project = Project.objects.get()
    name = register_model(project)
    _, secret = create_token(user=admin, name="bench", scope="inference")
    try:
        with local_platform(port=PORT) as platform:
            wait_for_node()
            seen = asyncio.run(measure(platform, secret, name))
    finally:
        shutil.rmtree(HOME, ignore_errors=True)
    report(seen)


def register_model(project) -> str:
    """Put a model with random weights into the registry; return its id."""
    from bench_inference import build_model
    from node_lab import write_tokenizer
    from trivium import storage
    from trivium.models.models import LanguageModel

    folder = HOME / "model"
    build_model().save_pretrained(folder)
    write_tokenizer(folder)
    LanguageModel.objects.create(
        project=project,
        name="Random",
        stage="base",
        architecture="decoder",
        family="llama",
        path=storage.publish(folder, "models/random"),
        files={"model.safetensors": {"size": 1, "sha256": "0" * 64}},
    )
    return f"{project.slug}/Random"


def wait_for_node() -> None:
    """Wait until the node has announced itself."""
    from trivium.serving.routing import live_nodes

    deadline = time.monotonic() + 60
    while not live_nodes().exists():
        if time.monotonic() > deadline:
            sys.exit("no inference node came")
        time.sleep(0.2)


async def measure(platform, secret: str, name: str) -> Seen:
    """Let all readers read for a while."""
    seen = Seen()
    limits = httpx.Limits(max_connections=STREAMS + 2)
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{PORT}/v1",
        headers={"Authorization": f"Bearer {secret}"},
        timeout=120,
        limits=limits,
    ) as client:
        await read_one(client, name, Seen())  # loads the model
        until = time.monotonic() + SECONDS
        readers = [read(client, name, seen, until) for _ in range(STREAMS)]
        await asyncio.gather(watch(platform, seen, until), *readers)
    return seen


async def read(client: httpx.AsyncClient, name: str, seen: Seen, until: float) -> None:
    """Ask, read to the end, ask again."""
    while time.monotonic() < until:
        await read_one(client, name, seen)


async def read_one(client: httpx.AsyncClient, name: str, seen: Seen) -> None:
    """Read one stream, and note how it ended."""
    asked = {
        "model": name,
        "prompt": "It was the best of times, it was",
        "max_tokens": TOKENS,
        "temperature": 1.0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    began, is_first, end = time.monotonic(), True, "broken off"
    async with client.stream("POST", "/completions", json=asked) as response:
        if response.status_code != 200:
            await response.aread()
            end = str(response.status_code)
        else:
            async for line in response.aiter_lines():
                if not line.startswith("data: "):
                    continue
                if is_first:
                    seen.first_s.append(time.monotonic() - began)
                    is_first = False
                if line == "data: [DONE]":
                    end = "done"
                elif (told := json.loads(line[6:])).get("usage"):
                    seen.tokens += told["usage"]["completion_tokens"]
                elif "error" in told:
                    end = "error"
    seen.ends[end] += 1


async def watch(platform, seen: Seen, until: float) -> None:
    """Note how much memory web and node take, every few seconds."""
    web = psutil.Process(platform.children["web"].pid)
    keeper = psutil.Process(platform.children["inference"].pid)
    while time.monotonic() < until:
        node = max(keeper.children(), key=lambda one: one.memory_info().rss)
        seen.memory.append(
            {"web": web.memory_info().rss, "node": node.memory_info().rss}
        )
        await asyncio.sleep(5)


def report(seen: Seen) -> None:
    """Print it."""
    first = sorted(seen.first_s)
    print(
        f"{STREAMS} streams at once for {SECONDS} s: {sum(seen.ends.values())} streams"
    )
    print(f"  ended: {dict(seen.ends)}")
    print(f"  {seen.tokens / SECONDS:.0f} tokens/s in all")
    late = first[int(0.95 * len(first))]
    print(f"  first token: median {statistics.median(first):.2f} s, p95 {late:.2f} s")
    for name in ("web", "node"):
        sizes = [one[name] / 2**20 for one in seen.memory]
        print(f"  memory of {name}, MB: {', '.join(f'{size:.0f}' for size in sizes)}")


if __name__ == "__main__":
    main()
