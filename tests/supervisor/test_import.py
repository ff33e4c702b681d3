"""A real worker imports a model, and refuses one for good."""

from pathlib import Path

import pytest
from runspec import ImportSpec
from tiny_models import as_zip, write_model
from trivium import storage
from trivium.datasets.models import Upload
from trivium.models.models import LanguageModel
from trivium.runs.models import Run

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")


def submit(lab, path: Path) -> Run:
    key, kept = storage.new_upload()
    kept.write_bytes(path.read_bytes())
    storage.publish(kept, key)
    upload = Upload.objects.create(
        project=lab.project, created_by=lab.user, file_name=path.name, path=key
    )
    return lab.submit(ImportSpec(source=str(upload.pk), file_name=path.name))


def test_a_model_is_imported_and_a_broken_one_is_never_tried_twice(
    lab, start_node, tmp_path
):
    sound = as_zip(write_model(tmp_path / "llama", "llama"), tmp_path / "llama.zip")
    (tmp_path / "llama" / "config.json").unlink()
    broken = as_zip(tmp_path / "llama", tmp_path / "broken.zip")
    start_node()
    good, bad = submit(lab, sound), submit(lab, broken)
    lab.wait(good, Run.State.SUCCEEDED)
    lab.wait(bad, Run.State.FAILED)
    model = LanguageModel.objects.get(run=good)
    assert (model.family, model.architecture) == ("llama", "decoder")
    assert (storage.local_copy(model.path) / "model.safetensors").is_file()
    assert bad.attempts.count() == 1
    assert "no config.json" in bad.reason
    assert "save_pretrained" in bad.advice
