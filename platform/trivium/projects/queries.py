"""Who sees which project, and what they may do there."""

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404

from trivium.accounts.models import User
from trivium.projects.models import Membership, Project, Role


def projects_visible_to(user: User) -> QuerySet[Project]:
    """Return the projects `user` is a member of; an installation's admin sees all."""
    if user.is_staff:
        return Project.objects.order_by("name", "pk")
    return Project.objects.filter(memberships__user=user).order_by("name", "pk")


def projects_with_role(user: User, least: Role) -> QuerySet[Project]:
    """Return the projects in which `user` may do what members of role `least` may."""
    if user.is_staff:
        return Project.objects.all()
    return Project.objects.filter(memberships__user=user, memberships__role__gte=least)


def get_project(user: User, slug: str) -> Project:
    """Return one visible project; strangers get the same 404 as for none at all."""
    project = projects_visible_to(user).filter(slug=slug).first()
    if project is None:
        raise Http404("no such project")
    return project


def place_in(user: User, slug: str) -> tuple[Project, Role]:
    """Return one visible project and what `user` may do there; 404 as `get_project`."""
    if user.is_staff:
        return get_project(user, slug), Role.ADMIN
    mine = Membership.objects.select_related("project").filter(user=user)
    membership = mine.filter(project__slug=slug).first()
    if membership is None:
        raise Http404("no such project")
    return membership.project, Role(membership.role)


def role_in(user: User, project: Project) -> Role | None:
    """Return what `user` may do in `project`; None for strangers."""
    if user.is_staff:
        return Role.ADMIN
    membership = Membership.objects.filter(project=project, user=user).first()
    return Role(membership.role) if membership else None


def has_role(user: User, project: Project, least: Role) -> bool:
    """Whether `user` may do what members of role `least` may."""
    role = role_in(user, project)
    return role is not None and role >= least


def require_role(user: User, project: Project, least: Role) -> None:
    """Let members of role `least` and above pass.

    Raises:
        Http404: `user` is a stranger, who shall not learn that the project exists.
        PermissionDenied: the role is too low; the text says which is needed.
    """
    role = role_in(user, project)
    if role is None:
        raise Http404("no such project")
    if role < least:
        raise PermissionDenied(
            f"Your role in {project} is {role.label.lower()}; "
            f"this needs {least.label.lower()}."
        )


def members_of(project: Project) -> QuerySet[Membership]:
    """Return the members, highest role first."""
    return (
        Membership.objects.filter(project=project)
        .select_related("user")
        .order_by("-role", "user__username")
    )
