"""Every write to projects and memberships."""

from django.db import transaction
from django.utils.text import slugify

from trivium.accounts.models import User
from trivium.naming import clean_name, free_name
from trivium.projects.models import Membership, Project, Role
from trivium.runs.errors import SubmitError

MAX_PROJECT_NAME = 100
MAX_SLUG = 60


class LastAdminError(ValueError):
    """The change would leave a project without an admin."""


def checked_name(raw: str) -> str:
    """Return a usable project name.

    Raises:
        SubmitError: it is empty, too long, or holds invisible characters.
    """
    name = clean_name(raw)
    if not name:
        raise SubmitError("a project needs a name", field="name")
    if len(name) > MAX_PROJECT_NAME:
        raise SubmitError(
            f"the name has {len(name)} characters; {MAX_PROJECT_NAME} are allowed",
            field="name",
        )
    return name


@transaction.atomic
def create_project(*, name: str, created_by: User, description: str = "") -> Project:
    """Make a project with its creator as admin.

    Raises:
        SubmitError: the name is unusable.
    """
    cleaned = checked_name(name)
    wanted = slugify(cleaned)[: MAX_SLUG - 8].strip("-") or "project"
    project = Project.objects.create(
        name=cleaned,
        slug=free_name(wanted, _is_taken, joint="-"),
        description=description,
        created_by=created_by,
    )
    Membership.objects.create(project=project, user=created_by, role=Role.ADMIN)
    return project


def _is_taken(slug: str) -> bool:
    return Project.objects.filter(slug=slug).exists()


def update_project(*, project: Project, name: str, description: str) -> None:
    """Rename or describe a project; its address stays.

    Raises:
        SubmitError: the name is unusable.
    """
    project.name = checked_name(name)
    project.description = description
    project.save(update_fields=["name", "description"])


@transaction.atomic
def add_member(*, project: Project, user: User, role: Role) -> Membership:
    """Make `user` a member.

    Raises:
        SubmitError: they are one already.
    """
    membership, is_new = Membership.objects.get_or_create(
        project=project, user=user, defaults={"role": role}
    )
    if not is_new:
        raise SubmitError(f"{user} is a member already", field="username")
    return membership


@transaction.atomic
def change_role(*, membership: Membership, role: Role) -> None:
    """Give a member another role.

    Raises:
        LastAdminError: they are the only admin, and would be none.
    """
    if role < Role.ADMIN:
        _keep_one_admin(membership)
    membership.role = role
    membership.save(update_fields=["role"])


@transaction.atomic
def remove_member(*, membership: Membership) -> None:
    """End a membership; what the person made stays.

    Raises:
        LastAdminError: they are the only admin.
    """
    _keep_one_admin(membership)
    membership.delete()


def _keep_one_admin(membership: Membership) -> None:
    # The lock on the project makes two admins who demote each other take turns.
    project = Project.objects.select_for_update().get(pk=membership.project_id)
    others = Membership.objects.filter(project=project, role=Role.ADMIN).exclude(
        pk=membership.pk
    )
    if not others.exists():
        raise LastAdminError(
            f"{membership.user} is the only admin of {project}; "
            "make someone else admin first"
        )
