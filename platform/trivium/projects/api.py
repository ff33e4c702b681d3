"""`/api/v1/projects`."""

from datetime import datetime

from django.http import HttpResponse
from ninja import Router, Schema
from pydantic import Field

from trivium.api.auth import ApiRequest
from trivium.api.idempotency import once
from trivium.api.pagination import Cursor, Limit, Page, PageOf, page
from trivium.api.schema import Body
from trivium.projects import queries, services
from trivium.projects.models import Project

router = Router()


class ProjectOut(Schema):
    """A project."""

    id: int
    slug: str
    name: str
    description: str
    created: datetime


class ProjectPage(PageOf):
    """Projects, newest first."""

    items: list[ProjectOut]


class ProjectIn(Body):
    """A project to make."""

    name: str = Field(min_length=1, max_length=100)
    description: str = Field(default="", max_length=10_000)


@router.get("", response=ProjectPage, summary="List projects")
def list_projects(request: ApiRequest, cursor: Cursor, limit: Limit) -> Page:
    """List the projects you are a member of."""
    return page(queries.projects_visible_to(request.user), cursor=cursor, limit=limit)


@router.post("", response={201: ProjectOut}, summary="Make a project")
def create_project(request: ApiRequest, payload: ProjectIn) -> HttpResponse:
    """Make a project; you become its admin."""

    def act() -> ProjectOut:
        project = services.create_project(
            created_by=request.user,
            name=payload.name,
            description=payload.description,
        )
        return ProjectOut.from_orm(project)

    return once(request, act)


@router.get("/{slug}", response=ProjectOut, summary="Get a project")
def get_project(request: ApiRequest, slug: str) -> Project:
    """Get one project by its slug."""
    return queries.get_project(request.user, slug)
