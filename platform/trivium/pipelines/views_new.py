"""Making a pipeline: from the template, or from its description as YAML."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from trivium.http import SignedInRequest, add_form_error
from trivium.pipelines import services
from trivium.pipelines.description import read_description
from trivium.pipelines.forms import ThreeStagesForm, YamlForm
from trivium.pipelines.models import Pipeline
from trivium.pipelines.objects import named
from trivium.pipelines.three_stages import three_stages as described
from trivium.pipelines.yaml_text import write_yaml
from trivium.projects.models import Project, Role
from trivium.projects.queries import get_project, require_role
from trivium.runs.errors import SubmitError


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def three_stages(request: SignedInRequest, slug: str) -> HttpResponse:
    """Make a pipeline of the template, or show the description it would have."""
    project = get_project(request.user, slug)
    require_role(request.user, project, Role.ENGINEER)
    form = ThreeStagesForm(request.POST or None, project=project)
    if request.method == "POST" and form.is_valid():
        text = write_yaml(named(project, described(form.chosen())))
        if "as_yaml" in request.POST:
            return show_yaml(request, project, YamlForm(initial={"yaml": text}))
        try:
            return made(request, project, text)
        except SubmitError as error:
            add_form_error(form, error)
    context = {"project": project, "form": form}
    status = 422 if form.errors else 200
    return render(request, "pipelines/new.html", context, status=status)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def from_yaml(request: SignedInRequest, slug: str) -> HttpResponse:
    """Make a pipeline of a description that was pasted or sent."""
    project = get_project(request.user, slug)
    require_role(request.user, project, Role.ENGINEER)
    is_sent = request.method == "POST"
    form = YamlForm(request.POST, request.FILES) if is_sent else YamlForm()
    if request.method == "POST" and form.is_valid():
        try:
            return made(request, project, form.cleaned_data["yaml"])
        except SubmitError as error:
            error.field = "yaml"
            add_form_error(form, error)
    return show_yaml(request, project, form)


def show_yaml(
    request: SignedInRequest, project: Project, form: YamlForm
) -> HttpResponse:
    """Show the form of a description."""
    context = {"project": project, "form": form}
    status = 422 if form.errors else 200
    return render(request, "pipelines/new_yaml.html", context, status=status)


def made(request: SignedInRequest, project: Project, text: str) -> HttpResponse:
    """Make a pipeline and go to it.

    Raises:
        SubmitError: it is refused.
    """
    pipeline: Pipeline = services.create_pipeline(
        project=project,
        created_by=request.user,
        description=read_description(text),
        text=text,
    )
    messages.success(request, f"{pipeline.name} has begun.")
    return redirect("pipelines:detail", project.slug, pipeline.pk)
