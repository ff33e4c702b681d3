"""Queue a run again, as it was, beside the one that is there."""

import re

from runspec import parse_spec

from trivium.accounts.models import User
from trivium.naming import MAX_NAME, free_name
from trivium.projects.models import Project
from trivium.runs import kinds
from trivium.runs.errors import SubmitError
from trivium.runs.models import Run

ROOM_FOR_NUMBER = 8
"""Characters a number behind a name may need."""


def run_again(*, run: Run, actor: User) -> Run:
    """Queue a new run with the same spec, whose object gets a free name of its own.

    An ingest makes a new version of its dataset instead.

    Raises:
        SubmitError: the kind belongs to another run, an input is gone, or the person
            has too many runs queued.
        ValueError: the spec is of a version that knew other settings.
    """
    if run.kind == Run.Kind.PREFLIGHT:
        raise SubmitError("a preflight runs with the run it checks; run that one again")
    spec = parse_spec(run.spec)
    return kinds.start_run(
        project=run.project,
        created_by=actor,
        spec=spec,
        name=next_name(run),
        priority=run.priority,
    )


def next_name(run: Run) -> str:
    """Return the run's name with the next free number, where names are unique."""
    if run.kind == Run.Kind.INGEST:
        return run.name
    return free_run_name(run.project, run.kind, re.sub(r" \d{1,6}$", "", run.name))


def free_run_name(project: Project, kind: str, wanted: str) -> str:
    """Return a name that no tokenizer or model of the project has."""
    objects = project.tokenizers if kind == Run.Kind.TOKENIZER else project.models
    taken = objects.filter(name__startswith=wanted[: MAX_NAME - ROOM_FOR_NUMBER])
    names = set(taken.values_list("name", flat=True))
    return free_name(wanted[: MAX_NAME - ROOM_FOR_NUMBER], names.__contains__)
