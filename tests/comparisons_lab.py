"""Finished answers, to be compared."""

from typing import Any

from trivium.accounts.models import User
from trivium.comparisons import services
from trivium.comparisons.models import Comparison
from trivium.playground.models import Generation
from trivium.projects.models import Project

ASKED = [{"role": "user", "content": "Which river is the longest?"}]


def answered(project: Project, user: User, text: str, **values: Any) -> Generation:
    """Return an answer that is done."""
    given: dict[str, Any] = {
        "choice_id": f"{project.slug}/Tiny",
        "choice_title": "Tiny",
        "prompt": {"messages": ASKED},
        "sampling": {"seed": 5},
        "receipt": {"model_key": "model-1", "sampling": {"seed": 5}},
        "state": "done",
    }
    return Generation.objects.create(
        project=project, created_by=user, text=text, **(given | values)
    )


def compared(
    project: Project, user: User, *texts: str, source: str = "playground"
) -> Comparison:
    """Return two answers beside each other."""
    first, second = texts or ("The Nile.", "The Amazon.")
    return services.compare_answers(
        project=project,
        created_by=user,
        prompt=ASKED,
        answer_a=answered(project, user, first),
        answer_b=answered(project, user, second),
        source=source,
    )
