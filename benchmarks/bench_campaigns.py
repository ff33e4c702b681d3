"""How long the pages of campaigns take at 100,000 comparisons and as many votes.

Run: `python benchmarks/bench_campaigns.py [--comparisons 100000]`

Fills a throw-away home on SQLite, or the database of DATABASE_URL where that is set
(which must be empty), serves it by uvicorn in one process as `make up` does, and asks
for each page 40 times over one connection. Prints p50 and p95 in milliseconds and the
transferred size, and what a report and a change of priorities take on the worker. The
first request of each page is printed apart, as "cold".
"""

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / one) for one in ("platform", "workers", "tests")]
STRENGTHS = (0.0, 0.3, 0.7, 1.2)
PAIRS = 6


def fill(num_comparisons: int) -> tuple[str, dict[str, str]]:
    """Make a labeled campaign; return a session cookie and the pages to ask for."""
    import django

    django.setup()
    from bench_pages import sign_in
    from campaigns_lab import Person, World, build
    from django.conf import settings
    from django.contrib.auth import get_user_model
    from django.core.management import call_command
    from trivium.projects.services import create_project

    call_command("migrate", verbosity=0)
    if "metrics" in settings.DATABASES:
        call_command("migrate", database="metrics", verbosity=0)
    user = get_user_model().objects.create_user("bench")
    project = create_project(name="Bench", created_by=user)
    people = tuple(
        Person(f"labeler {number}", care=0.7 + 0.01 * number) for number in range(20)
    )
    world = World(
        num_prompts=num_comparisons // PAIRS,
        strengths=STRENGTHS,
        people=people,
        share_voted=0.75,
        num_gold=50,
        num_days=30,
        settings={"policy": "uncertainty"},
    )
    campaign = build(project, user, world)
    return sign_in(user), pages_of(project.slug, campaign)


def pages_of(slug, campaign) -> dict[str, str]:
    """Return the addresses to ask for, under the names of the table."""
    base = f"/p/{slug}/label/"
    one = f"{base}{campaign.pk}/"
    middle = campaign.items.order_by("pk")[campaign.items.count() // 2]
    tabs = ("agreement", "labelers", "models", "position", "adjudicate")
    rest = ("guidelines", "judges", "export", "settings", "answers")
    return {
        "list": base,
        "overview": one,
        "comparisons": f"{one}comparisons/",
        "comparisons, in the middle": f"{one}comparisons/?before={middle.pk}",
        "comparisons, disagreement": f"{one}comparisons/?look=disagreement",
        "comparisons, flagged (none)": f"{one}comparisons/?look=flagged",
        "comparisons, names itself (none)": f"{one}comparisons/?look=names",
        "one comparison": f"{one}comparisons/{middle.pk}/",
        **{tab: f"{one}{tab}/" for tab in (*tabs, *rest)},
    }


def time_worker() -> None:
    """Print what the worker's part takes."""
    from trivium.campaigns.models import Campaign
    from trivium.campaigns.refreshing import update_priorities
    from trivium.campaigns.reports import refresh_report
    from trivium.comparisons.models import Vote

    campaign = Campaign.objects.get()
    report = refresh_report(campaign)
    print(f"{campaign.items.count():,} comparisons, {Vote.objects.count():,} votes")
    print(f"report: {report.seconds:.1f} s")
    began = time.perf_counter()
    changed = update_priorities(campaign)
    print(f"priorities: {changed:,} written in {time.perf_counter() - began:.1f} s")


def main() -> None:
    """Fill, serve, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--comparisons", type=int, default=100_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ.update(TRIVIUM_HOME=home, DJANGO_SETTINGS_MODULE="trivium.settings")
        os.environ["LOG_LEVEL"] = "WARNING"
        began = time.perf_counter()
        cookie, pages = fill(arguments.comparisons)
        print(f"filled in {time.perf_counter() - began:.0f} s")
        time_worker()
        from bench_pages import measure

        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        began = time.perf_counter()
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "uvicorn", "trivium.asgi:application"),
                *("--port", str(port), "--log-level", "warning"),
            ],
            env=os.environ | {"PYTHONPATH": f"{ROOT / 'platform'}:{ROOT / 'workers'}"},
        )
        try:
            measure(port, cookie, pages, began)
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
