"""The page of workers."""

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from django.views.decorators.vary import vary_on_headers

from trivium.http import SignedInRequest
from trivium.serving.overview import node_views
from trivium.workers.overview import overview


@login_required
@require_safe
@vary_on_headers("HX-Request")
def list_workers(request: SignedInRequest) -> HttpResponse:
    """Show workers and inference nodes to all users; htmx gets the list alone."""
    template = "workers/list.html#workers" if request.htmx else "workers/list.html"
    context = {"overview": overview(request.user), "nodes": node_views(request.user)}
    return render(request, template, context)
