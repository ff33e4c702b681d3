"""How long a vote takes until the next comparison is there, with 50 labelers at once.

Run: `python benchmarks/bench_labeling.py [--comparisons 100000] [--labelers 50]`

Fills a throw-away home on SQLite, or the database of DATABASE_URL where that is set
(which must be empty), serves it by uvicorn in one process as `make up` does, and lets
each labeler vote at a person's pace over a connection of their own: every answer
holds the next comparison. Prints p50, p95 and the worst in milliseconds, and checks
that every vote that was answered is there once.
"""

import argparse
import os
import random
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / one) for one in ("platform", "workers", "tests")]
KEY = re.compile(r'data-task="(\w+)"')
CHOICES = ("left", "right", "tie", "both_bad")


def fill(num_comparisons: int, num_labelers: int) -> tuple[str, list[str]]:
    """Make a campaign without votes; return its page and the labelers' cookies."""
    import django

    django.setup()
    from bench_pages import sign_in
    from campaigns_lab import World, build
    from django.conf import settings
    from django.contrib.auth import get_user_model
    from django.core.management import call_command
    from django.db import connection
    from trivium.projects.models import Role
    from trivium.projects.services import add_member, create_project

    call_command("migrate", verbosity=0)
    if "metrics" in settings.DATABASES:
        call_command("migrate", database="metrics", verbosity=0)
    user = get_user_model().objects.create_user("bench")
    project = create_project(name="Bench", created_by=user)
    world = World(num_prompts=num_comparisons // 3, share_voted=0, num_gold=50)
    campaign = build(project, user, world)
    cookies = []
    for number in range(num_labelers):
        person = get_user_model().objects.create_user(f"person {number}")
        add_member(project=project, user=person, role=Role.LABELER)
        cookies.append(sign_in(person))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")  # as PostgreSQL does by itself after some time
    return f"/p/{project.slug}/label/{campaign.pk}/vote/", cookies


class Labeler(threading.Thread):
    """One person: reads for a while, votes, and is shown the next."""

    def __init__(self, url: str, cookie: str, until: float, pace_s: float) -> None:
        super().__init__()
        self.url, self.until, self.pace_s = url, until, pace_s
        self.client = httpx.Client(cookies={"sessionid": cookie}, timeout=60)
        self.chance = random.Random(cookie)
        self.times: list[float] = []
        self.keys: list[str] = []

    def run(self) -> None:
        """Vote until the time is over."""
        time.sleep(self.chance.uniform(0, self.pace_s))
        page = self.client.get(self.url)
        page.raise_for_status()
        token = self.client.cookies["csrftoken"]
        waiting = KEY.findall(page.text)
        while time.monotonic() < self.until and waiting:
            time.sleep(self.chance.uniform(0.5, 1.5) * self.pace_s)
            key = waiting[0]
            began = time.perf_counter()
            answer = self.client.post(
                self.url + "cast/",
                data={
                    "key": key,
                    "choice": self.chance.choice(CHOICES),
                    "ms_active": "2000",
                },
                headers={"X-Label": "script", "X-CSRFToken": token},
            )
            self.times.append(1_000 * (time.perf_counter() - began))
            answer.raise_for_status()
            self.keys.append(key)
            waiting = KEY.findall(answer.text)


def label_at_once(port: int, page: str, cookies: list[str], args) -> list[Labeler]:
    """Let all vote at the same time."""
    until = time.monotonic() + args.seconds
    url = f"http://127.0.0.1:{port}{page}"
    people = [Labeler(url, cookie, until, args.pace) for cookie in cookies]
    for person in people:
        person.start()
    for person in people:
        person.join()
    return people


def show(people: list[Labeler], seconds: float) -> None:
    """Print what it took, and check the votes."""
    from trivium.comparisons.models import Vote

    times = sorted(time for person in people for time in person.times)
    keys = {key for person in people for key in person.keys}
    kept = set(Vote.objects.filter(key__in=keys).values_list("key", flat=True))
    assert kept == keys, f"{len(keys - kept)} votes are lost"
    assert Vote.objects.count() == len(keys)
    p95 = times[int(0.95 * len(times))]
    print(
        f"{len(people)} labelers, {len(times)} votes, {len(times) / seconds:.1f} a "
        f"second: p50 {statistics.median(times):.0f} ms, p95 {p95:.0f} ms, worst "
        f"{times[-1]:.0f} ms"
    )


def main() -> None:
    """Fill, serve, label, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--comparisons", type=int, default=100_000)
    parser.add_argument("--labelers", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--pace", type=float, default=4, help="seconds a vote")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ.update(TRIVIUM_HOME=home, DJANGO_SETTINGS_MODULE="trivium.settings")
        os.environ["LOG_LEVEL"] = "WARNING"
        page, cookies = fill(args.comparisons, args.labelers)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "uvicorn", "trivium.asgi:application"),
                *("--port", str(port), "--log-level", "warning"),
                "--timeout-keep-alive=75",
            ],
            env=os.environ | {"PYTHONPATH": f"{ROOT / 'platform'}:{ROOT / 'workers'}"},
        )
        try:
            time.sleep(6)
            show(label_at_once(port, page, cookies, args), args.seconds)
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
