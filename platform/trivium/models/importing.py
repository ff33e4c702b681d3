"""Bringing a model in: what is kept of it until its import has run."""

from django.db import transaction
from runspec import ImportSpec

from trivium.accounts.models import User
from trivium.datasets.models import Upload
from trivium.projects.models import Project
from trivium.runs.kinds import start_run
from trivium.runs.models import Run


def start_import(
    *,
    project: Project,
    created_by: User,
    upload: Upload | None,
    name: str,
    settings: dict[str, object],
) -> Run:
    """Queue the import of an upload, or of what `settings` names on the Hub.

    Raises:
        SubmitError: the name is taken, or the Hub may not be reached.
        ValueError: a setting is wrong (pydantic's error names the fields).
    """
    spec = ImportSpec.model_validate({**_source(upload), **settings})
    with transaction.atomic():
        return start_run(project=project, created_by=created_by, spec=spec, name=name)


def _source(upload: Upload | None) -> dict[str, str]:
    if upload is None:
        return {}
    return {"source": str(upload.pk), "file_name": upload.file_name}
