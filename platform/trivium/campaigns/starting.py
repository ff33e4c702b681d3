"""Starting a campaign in one go: settings, prompts, and the run that answers them."""

import json
import tempfile
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.db import transaction
from runspec import IngestSpec
from runspec.serving import Sampling

from trivium.accounts.models import User
from trivium.campaigns.making import add_answers, create_campaign
from trivium.campaigns.models import Campaign
from trivium.datasets.models import Dataset, DatasetVersion
from trivium.datasets.services import create_upload, forgotten_on_failure
from trivium.naming import MAX_NAME, free_name
from trivium.projects.models import Project
from trivium.runs.kinds import start_run
from trivium.runs.models import Run


@transaction.atomic
def start_campaign(
    *,
    project: Project,
    created_by: User,
    prompts: DatasetVersion | Sequence[str],
    answerers: Sequence[tuple[str, Sampling]],
    max_prompts: int = 0,
    **settings: Any,
) -> Campaign:
    """Make a campaign and queue the answers to its prompts; all of it or nothing.

    `settings` are those of `create_campaign`.

    Raises:
        SubmitError: the name is taken, or an answerer or the dataset cannot be used.
    """
    campaign = create_campaign(project=project, created_by=created_by, **settings)
    bring_answers(
        campaign,
        actor=created_by,
        prompts=prompts,
        answerers=answerers,
        max_prompts=max_prompts,
    )
    return campaign


@transaction.atomic
def bring_answers(
    campaign: Campaign,
    *,
    actor: User,
    prompts: DatasetVersion | Sequence[str],
    answerers: Sequence[tuple[str, Sampling]],
    max_prompts: int = 0,
) -> Run:
    """Queue answers to prompts of a dataset, or to prompts that were typed.

    Raises:
        SubmitError: an answerer or the dataset cannot be used.
    """
    if not isinstance(prompts, DatasetVersion):
        prompts = keep_prompts(campaign, actor=actor, prompts=prompts)
    return add_answers(
        campaign,
        actor=actor,
        prompts=prompts,
        answerers=answerers,
        max_prompts=max_prompts,
    )


def keep_prompts(
    campaign: Campaign, *, actor: User, prompts: Sequence[str]
) -> DatasetVersion:
    """Queue the ingest of typed prompts; return the version it will fill."""
    project = campaign.project
    with tempfile.TemporaryFile(dir=settings.FILE_UPLOAD_TEMP_DIR) as file:
        for prompt in prompts:
            row = json.dumps({"prompt": prompt}, ensure_ascii=False)
            file.write(row.encode() + b"\n")
        file.seek(0)
        upload = create_upload(
            project=project,
            created_by=actor,
            file_name="prompts.jsonl",
            content=file,
        )
    with forgotten_on_failure(upload):
        spec = IngestSpec.model_validate(
            {
                "source": str(upload.pk),
                "file_name": upload.file_name,
                "dataset_kind": "prompts",
            }
        )
        name = free_name(
            f"{campaign.name[: MAX_NAME - 20]} prompts",
            lambda one: Dataset.objects.filter(project=project, name=one).exists(),
        )
        run = start_run(project=project, created_by=actor, spec=spec, name=name)
    return DatasetVersion.objects.get(run=run)
