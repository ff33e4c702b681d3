"""Pages of a project itself: its name, and its members."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST

from trivium.accounts.services import create_sign_in_link, invite_member
from trivium.http import SignedInRequest, add_form_error
from trivium.projects import queries, services
from trivium.projects.forms import InviteForm, ProjectForm, RoleForm
from trivium.projects.models import Membership, Project, Role
from trivium.projects.services import LastAdminError
from trivium.runs.errors import SubmitError


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def create_project(request: SignedInRequest) -> HttpResponse:
    """Make a project; whoever is signed in may."""
    form = ProjectForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            project = services.create_project(
                created_by=request.user, **form.cleaned_data
            )
        except SubmitError as error:
            add_form_error(form, error)
        else:
            return redirect("pages:project-home", project.slug)
    status = 422 if form.errors else 200
    return render(request, "projects/new.html", {"form": form}, status=status)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def edit_settings(request: SignedInRequest, slug: str) -> HttpResponse:
    """Rename or describe a project."""
    project = queries.get_project(request.user, slug)
    queries.require_role(request.user, project, Role.ADMIN)
    known = {"name": project.name, "description": project.description}
    form = ProjectForm(request.POST or None, initial=known)
    if request.method == "POST" and form.is_valid():
        try:
            services.update_project(project=project, **form.cleaned_data)
        except SubmitError as error:
            add_form_error(form, error)
        else:
            messages.success(request, "The project was saved.")
            return redirect("projects:settings", slug)
    context = {"project": project, "form": form}
    status = 422 if form.errors else 200
    return render(request, "projects/settings.html", context, status=status)


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_variables("link")
def list_members(request: SignedInRequest, slug: str) -> HttpResponse:
    """List the members; an admin invites one, and is shown the link this once."""
    project = queries.get_project(request.user, slug)
    form = InviteForm(request.POST or None)
    invited, link = None, ""
    if request.method == "POST":
        queries.require_role(request.user, project, Role.ADMIN)
        if form.is_valid():
            try:
                invited, link = invite_member(project=project, **form.cleaned_data)
            except SubmitError as error:
                add_form_error(form, error)
            else:
                form = InviteForm()
    url = request.build_absolute_uri(link) if link else ""
    return _members_page(request, project, form, invited=invited, link=url)


@login_required
@never_cache
@require_POST
@sensitive_variables("link")
def create_link(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Make a sign-in link for a member who cannot sign in.

    For the installation's admins alone: the link lets its bearer be that member.
    """
    project, membership = _membership(request, slug, pk, least=Role.ADMIN)
    if not request.user.is_staff:
        messages.error(request, "Only an admin of the installation makes such links.")
        return redirect("projects:members", slug)
    link = request.build_absolute_uri(create_sign_in_link(membership.user))
    return _members_page(request, project, InviteForm(), invited=membership, link=link)


@login_required
@require_POST
def change_role(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """Give a member another role."""
    _, membership = _membership(request, slug, pk, least=Role.ADMIN)
    form = RoleForm(request.POST)
    if not form.is_valid():
        messages.error(request, "There is no such role.")
        return redirect("projects:members", slug)
    try:
        services.change_role(membership=membership, role=form.cleaned_data["role"])
    except LastAdminError as error:
        messages.error(request, f"{error}.")
    else:
        role = Role(membership.role).label.lower()
        messages.success(request, f"{membership.user} is {role} now.")
    return redirect("projects:members", slug)


@login_required
@require_POST
def remove_member(request: SignedInRequest, slug: str, pk: int) -> HttpResponse:
    """End a membership: an admin anyone's, a member their own."""
    project = queries.get_project(request.user, slug)
    membership = get_object_or_404(queries.members_of(project), pk=pk)
    if membership.user != request.user:
        queries.require_role(request.user, project, Role.ADMIN)
    try:
        services.remove_member(membership=membership)
    except LastAdminError as error:
        messages.error(request, f"{error}.")
        return redirect("projects:members", slug)
    messages.success(request, f"{membership.user} is no longer a member of {project}.")
    if queries.role_in(request.user, project) is None:
        return redirect("pages:home")
    return redirect("projects:members", slug)


def _membership(
    request: SignedInRequest, slug: str, pk: int, *, least: Role
) -> tuple[Project, Membership]:
    project = queries.get_project(request.user, slug)
    queries.require_role(request.user, project, least)
    return project, get_object_or_404(queries.members_of(project), pk=pk)


def _members_page(
    request: SignedInRequest,
    project: Project,
    form: InviteForm,
    *,
    invited: Membership | None,
    link: str,
) -> HttpResponse:
    context = {
        "project": project,
        "members": queries.members_of(project),
        "roles": Role.choices,
        "is_admin": queries.has_role(request.user, project, Role.ADMIN),
        "form": form,
        "invited": invited,
        "link": link,
    }
    status = 422 if form.errors else 200
    return render(request, "projects/members.html", context, status=status)
