"""A run is given rows of a kind it can read, or refused."""

import pytest
from runspec import TokenizerSpec
from trivium.accounts.models import User
from trivium.datasets.models import Dataset, DatasetVersion
from trivium.projects.models import Project
from trivium.runs import kinds
from trivium.runs.errors import SubmitError
from trivium.runs.models import Run
from trivium.tokenizers.models import Tokenizer


def test_rows_of_another_kind_are_refused_before_anything_is_queued(
    project: Project, bob: User
):
    dataset = Dataset.objects.create(project=project, name="Asked", kind="instructions")
    version = DatasetVersion.objects.create(
        dataset=dataset, number=1, path="datasets/x"
    )
    with pytest.raises(SubmitError) as refused:
        kinds.start_run(
            project=project,
            created_by=bob,
            spec=TokenizerSpec(dataset=str(version.pk), vocabulary_size=300),
        )
    assert refused.value.field == "dataset"
    assert "Asked v1 holds instructions; this run reads text" in str(refused.value)
    assert not Run.objects.exists()
    assert not Tokenizer.objects.exists()
