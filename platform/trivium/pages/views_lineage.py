"""The page that lists all a thing was made of, and all that was made of it."""

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from trivium.http import SignedInRequest
from trivium.pages import lineage
from trivium.projects.queries import get_project


@login_required
@require_safe
def show_lineage(
    request: SignedInRequest, slug: str, noun: str, pk: int
) -> HttpResponse:
    """Show the lineage of a dataset version, a tokenizer or a model."""
    project = get_project(request.user, slug)
    is_known = noun in lineage.NOUNS and pk < 2**63
    family = lineage.family_of(project, noun, pk) if is_known else None
    if family is None:
        raise Http404("no such thing")
    return render(request, "pages/lineage.html", {"project": project, "family": family})
