"""Every hostile or broken model gets the answer it must get, and leaves nothing."""

import json
import re
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from tiny_models import as_zip, edit_json, write_tokenizer, zip_of
from trainer.errors import BadInputError
from trainer.importing.weights import find_not_finite, read_header

PWNED = (Path("/tmp/pwned_by_zip.txt"), Path("/tmp/pwned_by_pickle"))

WEIGHTS = [
    ("pickle_as.safetensors", "begins like a pickle"),
    ("safetensors_truncated.safetensors", "its last 500 bytes lack"),
    ("safetensors_header_truncated.safetensors", "header is longer than the file"),
    ("safetensors_huge_header.safetensors", "its header claims"),
    ("safetensors_overlap.safetensors", "overlap"),
    ("safetensors_shape_mismatch.safetensors", "does not fit its data"),
]
ARCHIVES = [
    ("zip_path_traversal.zip", "leads out of the archive by '..'"),
    ("tar_path_traversal.tar.gz", "leads out of the archive by '..'"),
    ("gzip_truncated.jsonl.gz", "is no archive"),
    ("empty.jsonl", "is no archive"),
    ("malicious_torch.pt", "may be, a pickle"),
    *((name, says) for name, says in WEIGHTS),
]


@pytest.fixture(autouse=True)
def nothing_was_run() -> None:
    yield
    assert not any(path.exists() for path in PWNED)


@pytest.mark.parametrize(("file", "says"), WEIGHTS)
def test_broken_weights_are_refused_by_their_header(file, says, llama, take, bad_files):
    shutil.copyfile(bad_files / file, llama / "model.safetensors")
    assert says in take(llama).error


@pytest.mark.parametrize(("file", "says"), ARCHIVES)
def test_a_broken_upload_is_refused(file, says, take, bad_files):
    assert says in take(bad_files / file).error


def test_a_sound_file_of_weights_alone_says_what_is_missing(take, bad_files):
    sound = bad_files / "valid_small.safetensors"
    assert [tensor.shape for tensor in read_header(sound, "x")]
    error = take(sound).error
    assert "holds weights alone" in error
    assert "zip or tar" in error


def test_not_finite_weights_are_found_in_a_file_made_by_hand(bad_files):
    path = bad_files / "safetensors_nan.safetensors"
    tensors = read_header(path, path.name)
    assert find_not_finite(path, tensors, lambda _: None) == [
        tensor.name for tensor in tensors
    ]


def header(**entries: object) -> bytes:
    raw = json.dumps(entries).encode()
    return len(raw).to_bytes(8, "little") + raw


def tensor(start: int, end: int, shape: object = (1,), dtype: str = "F32") -> object:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "only 0 bytes"),
        (header(), "holds no tensor"),
        (header(a=tensor(0, 4)) + b"\0" * 4 + b"PK\3\4hidden", "10 bytes after its"),
        (header(a=tensor(4, 8)) + b"\0" * 8, "4 bytes before"),
        (header(a=tensor(0, 4, (-1,))), "no whole numbers"),
        (header(a=tensor(0, 4, (2**40, 2**40))), "does not fit its data"),
        (header(a=tensor(0, 4, (2**63,))), "no whole numbers"),
        (header(a=tensor(0, 4, (True,))), "no whole numbers"),
        (header(a=tensor(0, 4, (1,) * 100)), "no whole numbers"),
        (header(a=tensor(0, 4, "1")), "no whole numbers"),
        (header(a=tensor(0, 1, dtype="PICKLE")), 'unknown type "PICKLE"'),
        (header(a=[1, 2]), "is not one of a tensor"),
        (b"\x02\0\0\0\0\0\0\0[]", "no JSON object"),
        (b"\x02\0\0\0\0\0\0\0{x", "no JSON"),
        (b"\x20\0\0\0\0\0\0\0" + b'{"a":1,"a":2}'.ljust(32), '"a" stands twice'),
        ((2**20).to_bytes(8, "little") + b"[" * 2**20, "nested too deep"),
        (
            (2**17).to_bytes(8, "little") + b'{"a":' + b"9" * (2**17 - 6) + b"}",
            "no JSON",
        ),
    ],
)
def test_a_header_must_account_for_every_byte(content, says, tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(BadInputError) as refused:
        read_header(path, "x.safetensors")
    assert says in str(refused.value)
    assert len(str(refused.value)) < 500


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def with_config(**changes: object) -> Callable[[Path], None]:
    return lambda folder: edit_json(folder / "config.json", **changes)


def only_pickles(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")


def one_weight_less(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.0.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def an_adapter(folder: Path) -> None:
    (folder / "config.json").unlink()
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text("{}")


def a_link_to_a_secret(folder: Path) -> None:
    (folder / "README.md").symlink_to("/etc/passwd")


def two_files_without_an_index(folder: Path) -> None:
    shutil.copyfile(folder / "model.safetensors", folder / "a.safetensors")
    (folder / "model.safetensors").rename(folder / "b.safetensors")


BROKEN = [
    (without("config.json"), ("no config.json", "save_pretrained")),
    (without("model.safetensors"), ("there are no weights",)),
    (without("tokenizer.json"), ("the tokenizer", "tokenizer.json")),
    (only_pickles, ("may be, a pickle", "Convert it where you trust it")),
    (an_adapter, ("is an adapter", "merge_and_unload")),
    (a_link_to_a_secret, ('"README.md" is a link that leads out', "cp -rL")),
    (one_weight_less, ("missing", '"model.layers.0.mlp.up_proj.weight"')),
    (two_files_without_an_index, ("2 safetensors files and no model",)),
    (with_config(model_type="gpt9000"), ('"gpt9000" is not one that transformers',)),
    (with_config(model_type=["llama"]), ("is not one that transformers",)),
    (
        with_config(model_type="secret", auto_map={"AutoModel": "x.Y"}),
        ("brings code of its own (auto_map), which is never run",),
    ),
    (with_config(architectures=None), ("which class the model is of",)),
    (with_config(architectures=["os.system"]), ('the class "os.system"',)),
    (with_config(hidden_size=24, head_dim=12), ("do not fit config.json", "has the")),
    (with_config(vocab_size=77), ("do not fit config.json", "[32, 16]", "[77, 16]")),
    (with_config(num_hidden_layers=10**9), ("describes 1,000,000,000 layers",)),
    (with_config(num_hidden_layers=3), ("missing",)),
    (with_config(num_attention_heads=0), ("cannot build this model",)),
    (with_config(hidden_size="big"), ("cannot build this model",)),
    (with_config(quantization_config={"bits": 4}), ("are quantized",)),
    (with_config(vision_config={}), ("sees or hears",)),
    (
        lambda folder: write_tokenizer(folder, num_tokens=40),
        ("the tokenizer has 40 tokens", "only 32"),
    ),
    (
        lambda folder: (folder / "config.json").write_text("[" * 100_000),
        ("config.json is not a JSON object",),
    ),
    (
        lambda folder: (folder / "tokenizer.json").write_text("{}"),
        ("the tokenizer cannot be loaded",),
    ),
]


@pytest.mark.parametrize(("break_it", "says"), BROKEN)
def test_what_does_not_fit_is_named(break_it, says, llama, take):
    break_it(llama)
    error = take(llama).error
    for part in says:
        assert part in error


def test_weights_in_two_places_are_refused(llama, take):
    (llama / "model.safetensors").rename(llama / "a.safetensors")
    shutil.copyfile(llama / "a.safetensors", llama / "b.safetensors")
    names = dict.fromkeys(load_file(llama / "a.safetensors"), "a.safetensors")
    names["lm_head.weight"] = "b.safetensors"
    (llama / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": names})
    )
    assert "several files hold the same weights" in take(llama).error


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "x.safetensors"])
def test_an_index_names_only_files_that_were_sent(name, llama, take):
    (llama / "model.safetensors").rename(llama / "model-00001-of-00001.safetensors")
    (llama / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"lm_head.weight": name}})
    )
    assert "names files that are not there" in take(llama).error


def test_a_link_in_an_archive_is_refused(llama, take, tmp_path):
    (llama / "LICENSE").symlink_to("/etc/passwd")
    with tarfile.open(tmp_path / "m.tar", "w") as archive:
        archive.add(llama, arcname="model")
    assert "is a link, device or sparse file" in take(tmp_path / "m.tar").error


def test_a_bomb_stops_at_the_limit(llama, take, tmp_path):
    (llama / "README.md").write_bytes(b"\0" * 30_000_000)
    bomb = as_zip(llama, tmp_path / "bomb.zip")
    assert "max_expansion_ratio" in take(bomb).error
    assert "max_expanded_bytes" in take(bomb, max_expanded_bytes=1_000_000).error


def test_several_models_are_not_guessed_from(take, tmp_path):
    packed = tmp_path / "two.zip"
    packed.write_bytes(zip_of({"a/config.json": b"{}", "b/config.json": b"{}"}))
    assert 'several models, in "a", "b"' in take(packed).error


def test_a_hostile_name_is_shown_and_never_used(llama, take, tmp_path):
    name = "weird; touch pwned #$(touch pwned) '\"<b>\u202e.zip"
    imported = take(as_zip(llama, tmp_path / "m.zip"), name=name)
    card = (imported.output / "README.md").read_text()
    assert "\u202e" not in card
    assert "<b>" not in re.sub(r"`[^`]*`", "", card).replace("\\<b>", "")
    assert not Path("pwned").exists()
