"""What every page's shell shows: the projects one can go to, and where one is."""

from typing import Any, NamedTuple

from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import SimpleLazyObject

from trivium.pages.queue import queue_line
from trivium.projects.models import Project
from trivium.projects.queries import projects_visible_to

MAX_PROJECTS = 50


class Link(NamedTuple):
    """One entry of the rail; a minor one is not in a phone's bottom bar."""

    label: str
    icon: str
    url: str
    is_current: bool
    is_minor: bool


class Rail(NamedTuple):
    """The rail of one page."""

    projects: list[Project]
    links: list[Link]


MINOR = {"Data", "Tokenizers", "Evaluate", "Plan"}
"""Left out of a phone's bottom bar, which has room for five."""
PROJECT_LINKS = (
    ("Pipeline", "pipeline", "pages:project-home"),
    ("Data", "data", "datasets:list"),
    ("Tokenizers", "tokenizers", "tokenizers:list"),
    ("Models", "models", "models:list"),
    ("Runs", "runs", "runs:list"),
    ("Label", "label", "campaigns:list"),
    ("Playground", "playground", "playground:home"),
    ("Evaluate", "evaluate", "evaluations:list"),
    ("Plan", "plan", "planning:plan"),
)


def shell(request: HttpRequest) -> dict[str, Any]:
    """Return rail and queue line; nothing is queried on pages that draw neither."""
    return {
        "rail": SimpleLazyObject(lambda: rail(request)),
        "queue": SimpleLazyObject(lambda: queue_line(current_slug(request))),
    }


def rail(request: HttpRequest) -> Rail:
    """Return where the person may go from here."""
    user = request.user
    if not user.is_authenticated:
        return Rail([], [])
    slug = current_slug(request)
    projects = list(projects_visible_to(user)[:MAX_PROJECTS])
    links = []
    if slug:
        links = [
            link(request, label, icon, name, slug, minor=label in MINOR)
            for label, icon, name in PROJECT_LINKS
        ]
        links.append(
            link(request, "Settings", "settings", "projects:settings", slug, minor=True)
        )
        links.append(
            link(request, "Members", "person", "projects:members", slug, minor=True)
        )
    links.append(link(request, "Workers", "workers", "workers:list", minor=bool(slug)))
    links.append(link(request, "You", "person", "accounts:profile", minor=bool(slug)))
    return Rail(projects, links)


def link(
    request: HttpRequest,
    label: str,
    icon: str,
    name: str,
    *args: str,
    minor: bool = False,
) -> Link:
    """Return an entry, marked where the page is this one or below it."""
    url = reverse(name, args=args)
    is_current = request.path == url or (
        name != "pages:project-home" and request.path.startswith(url)
    )
    return Link(label, icon, url, is_current, minor)


def current_slug(request: HttpRequest) -> str:
    """Return which project the address names, or nothing."""
    match = getattr(request, "resolver_match", None)
    return str(match.kwargs.get("slug", "")) if match else ""
