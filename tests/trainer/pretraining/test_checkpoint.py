"""A checkpoint is whole and verified, or nobody resumes from it."""

import contextlib
import os

import pytest
import torch
from runspec.manifest import MANIFEST_NAME, BrokenCheckpointError, read_manifest
from trainer import checkpoint
from trainer.checkpoint import load_checkpoint, random_states, save_checkpoint


@pytest.fixture
def trained():
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 3)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    for _ in range(3):
        model(torch.randn(2, 4)).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    return model, optimizer


def save(folder, trained, step=3):
    saved = save_checkpoint(
        folder,
        *trained,
        step=step,
        fence=1,
        spec_sha256="s",
        state={"losses": {"last": 1.5}},
        random=[random_states()],
        metric=1.5,
    )
    return folder / saved.path


def test_what_was_saved_is_restored_to_the_bit(tmp_path, trained):
    path = save(tmp_path, trained)
    expected = torch.randn(5)
    model = torch.nn.Linear(4, 3)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    state = load_checkpoint(path, model, optimizer)
    assert state == {"step": 3, "losses": {"last": 1.5}}
    assert torch.equal(torch.randn(5), expected)
    for mine, theirs in zip(model.parameters(), trained[0].parameters(), strict=True):
        assert torch.equal(mine, theirs)
        for kind, value in trained[1].state[theirs].items():
            assert torch.equal(optimizer.state[mine][kind], value)


def test_the_manifest_tells_step_fence_metric_and_versions(tmp_path, trained):
    manifest, _ = read_manifest(save(tmp_path, trained), verify_hashes=True)
    assert (manifest.step, manifest.fence, manifest.metric) == (3, 1, 1.5)
    assert manifest.libraries["torch"]
    assert len(manifest.files) == 4


def test_nothing_in_it_is_a_pickle(tmp_path, trained):
    names = {path.suffix for path in save(tmp_path, trained).iterdir()}
    assert names == {".safetensors", ".json"}


def damages(path):
    """Yield each way to spoil one byte or the end of one file, and undo it."""
    for file in sorted(path.iterdir()):
        content = file.read_bytes()
        for spoilt in (
            content[:-1],
            content[: len(content) // 2],
            b"",
            bytes([content[0] ^ 1]) + content[1:],
            content[:-1] + bytes([content[-1] ^ 1]),
        ):
            file.write_bytes(spoilt)
            yield file.name
        file.unlink()
        yield file.name
        file.write_bytes(content)


def test_any_damage_is_found(tmp_path, trained):
    path = save(tmp_path, trained)
    _, digest = read_manifest(path, verify_hashes=True)
    count = 0
    for name in damages(path):
        count += 1
        try:
            _, found = read_manifest(path, verify_hashes=True)
        except BrokenCheckpointError:
            continue
        # A manifest may stay readable; its own hash stands in the database.
        assert name == MANIFEST_NAME
        assert found != digest
    assert count == 6 * 5
    read_manifest(path, verify_hashes=True)


def test_a_kill_at_any_moment_leaves_the_older_checkpoint_whole(
    tmp_path, trained, monkeypatch
):
    older = save(tmp_path, trained, step=1)
    calls = {"count": 0}

    class KilledError(BaseException):
        pass

    def dying(real, at):
        def call(*args, **kwargs):
            calls["count"] += 1
            if calls["count"] == at:
                raise KilledError
            return real(*args, **kwargs)

        return call

    for at in range(1, 12):
        calls["count"] = 0
        with monkeypatch.context() as patch:
            patch.setattr(checkpoint, "fsync", dying(checkpoint.fsync, at))
            patch.setattr(checkpoint, "file_sha256", dying(checkpoint.file_sha256, at))
            with contextlib.suppress(KilledError):
                save(tmp_path, trained, step=2)
        read_manifest(older, verify_hashes=True)
        listed = {path.name for path in (tmp_path / "checkpoints").glob("step-*")}
        for name in listed:
            read_manifest(tmp_path / "checkpoints" / name, verify_hashes=True)
        assert not list((tmp_path / "checkpoints").glob(".tmp-*"))


def test_a_whole_checkpoint_is_not_removed_for_its_like(tmp_path, trained):
    path = save(tmp_path, trained)
    before = path.stat().st_ino, read_manifest(path, verify_hashes=True)
    assert save(tmp_path, trained) == path
    assert (path.stat().st_ino, read_manifest(path, verify_hashes=True)) == before


def test_a_broken_checkpoint_is_replaced(tmp_path, trained):
    path = save(tmp_path, trained)
    (path / checkpoint.WEIGHTS).write_bytes(b"cut")
    save(tmp_path, trained)
    read_manifest(path, verify_hashes=True)


def test_the_weights_of_another_architecture_are_refused(tmp_path, trained):
    path = save(tmp_path, trained)
    model = torch.nn.Sequential(torch.nn.Linear(4, 3))
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    with pytest.raises(ValueError, match="another architecture"):
        load_checkpoint(path, model, optimizer)


def test_a_full_disk_leaves_no_trace(tmp_path, trained, monkeypatch):
    def full(*_args):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(checkpoint, "file_sha256", full)
    with pytest.raises(OSError, match="No space"):
        save(tmp_path, trained)
    assert not list((tmp_path / "checkpoints").iterdir())
