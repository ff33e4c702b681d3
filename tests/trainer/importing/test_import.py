"""A sound model is taken whole, recognised, and loads as it came."""

import gzip
import json
import shutil
from pathlib import Path

import pytest
import torch
from runspec import ImportSpec
from safetensors.torch import load_file, save_file
from tiny_models import as_tar, as_zip, edit_json, write_model, write_tokenizer
from trainer.errors import Stopped
from trainer.importing.stage import ORIGINAL_CARD
from transformers import (
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)


@pytest.mark.parametrize(
    ("family", "architecture", "stage", "head", "loader"),
    [
        ("llama", "decoder", "base", "causal-lm", AutoModelForCausalLM),
        ("bert", "encoder", "base", "masked-lm", AutoModelForMaskedLM),
        (
            "polarity",
            "encoder",
            "instruct",
            "sequence-classification",
            AutoModelForSequenceClassification,
        ),
        ("t5", "encoder-decoder", "base", "seq2seq-lm", AutoModelForSeq2SeqLM),
    ],
)
def test_each_architecture_is_recognised_and_loads_plainly(
    family, architecture, stage, head, loader, made, take
):
    imported = take(made[family])
    result = imported.result
    assert (result["architecture"], result["stage"]) == (architecture, stage)
    assert result["recognised"]["head"] == head
    assert result["recognised"]["loader"] == loader.__name__
    assert result["family"] == ("bert" if family == "polarity" else family)
    assert imported.warned() == ""
    model, loading = loader.from_pretrained(imported.output, output_loading_info=True)
    assert not loading["missing_keys"]
    assert result["parameters"] == sum(p.numel() for p in model.parameters())
    given, kept = (
        load_file(folder / "model.safetensors")
        for folder in (made[family], imported.output)
    )
    assert all(torch.equal(given[name], kept[name]) for name in given)
    tokenizer = AutoTokenizer.from_pretrained(imported.output)
    assert tokenizer.decode(tokenizer("abba")["input_ids"]).replace(" ", "") == "abba"


def test_a_zip_a_tar_and_a_folder_give_the_same_model(llama, take, tmp_path):
    ways = [
        take(llama),
        take(as_zip(llama, tmp_path / "m.zip")),
        take(as_zip(llama, tmp_path / "flat.zip", top="")),
        take(as_tar(llama, tmp_path / "m.tar.gz")),
        take(as_tar(llama, tmp_path / "m.tar", mode="w")),
        take(as_tar(llama, tmp_path / "m.bin", mode="w:gz"), name="M.TGZ"),
    ]
    kept = [
        {
            path.name: path.read_bytes()
            for path in way.output.iterdir()
            if path.name != "README.md"
        }
        for way in ways
    ]
    assert all(one == kept[0] for one in kept)


def test_shards_are_taken_by_their_index(take, tmp_path, llama):
    model = AutoModelForCausalLM.from_pretrained(llama)
    model.save_pretrained(tmp_path / "shards", max_shard_size="20KB")
    write_tokenizer(tmp_path / "shards")
    imported = take(tmp_path / "shards")
    assert "model.safetensors.index.json" in imported.names
    again = AutoModelForCausalLM.from_pretrained(imported.output)
    assert torch.equal(again.lm_head.weight, model.lm_head.weight)
    next((tmp_path / "shards").glob("model-00002*")).unlink()
    assert "names files that are not there" in take(tmp_path / "shards").error


def test_a_single_file_of_another_name_is_the_model(llama, take):
    (llama / "model.safetensors").rename(llama / "weights.safetensors")
    assert "model.safetensors" in take(llama).names


def test_a_person_may_say_which_stage_it_is(llama, take):
    assert take(llama, stage="aligned").result["stage"] == "aligned"


def test_a_chat_template_is_noted_and_never_rendered(llama, take):
    bomb = "{% for a in range(10**9) %}{% endfor %}"
    (llama / "chat_template.jinja").write_text(bomb)
    imported = take(llama)
    assert imported.result["recognised"]["has_chat_template"]
    assert imported.result["stage"] == "instruct"
    assert (imported.output / "chat_template.jinja").read_text() == bomb


def test_a_classifier_with_one_label_is_a_reward_model(take, tmp_path):
    folder = write_model(tmp_path / "reward", "polarity", num_labels=1)
    assert take(folder).result["stage"] == "reward"


def test_weights_that_are_not_finite_are_taken_with_a_warning(llama, take):
    weights = load_file(llama / "model.safetensors")
    weights["model.layers.1.mlp.up_proj.weight"][3, 3] = float("nan")
    save_file(weights, llama / "model.safetensors", {"format": "pt"})
    warned = take(llama).warned()
    assert "non-finite weights (NaN or infinity) in 1 tensors" in warned
    assert "model.layers.1.mlp.up_proj.weight" in warned


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_what_is_not_finite_is_found_in_every_type(dtype, value, llama, take):
    weights = {
        name: one.to(dtype)
        for name, one in load_file(llama / "model.safetensors").items()
    }
    save_file(weights, llama / "model.safetensors", {"format": "pt"})
    assert take(llama).warned() == ""
    weights["model.norm.weight"][-1] = value
    save_file(weights, llama / "model.safetensors", {"format": "pt"})
    assert '"model.norm.weight"' in take(llama).warned()


def test_code_is_left_out_and_said(llama, take):
    edit_json(llama / "config.json", auto_map={"AutoModel": "evil.Model"})
    (llama / "evil.py").write_text("raise SystemExit")
    imported = take(llama)
    assert "evil.py" not in imported.names
    assert "auto_map" not in json.loads((imported.output / "config.json").read_text())
    assert "code that config.json names (auto_map) was taken out" in imported.warned()
    assert '"evil.py"' in imported.warned()


def test_pickles_beside_safetensors_are_passed_over(llama, take, bad_files):
    shutil.copyfile(bad_files / "malicious_torch.pt", llama / "pytorch_model.bin")
    imported = take(as_zip(llama, llama.parent / "both.zip"))
    assert "pytorch_model.bin" not in imported.names
    assert 'unopened: "pytorch_model.bin"' in imported.warned()


def test_the_card_it_came_with_is_kept_and_its_licence_read(llama, take):
    (llama / "README.md").write_text("---\nlicense: mit\n---\n# Old card")
    imported = take(llama)
    assert imported.result["licence"] == "mit"
    assert (imported.output / ORIGINAL_CARD).read_text().endswith("# Old card")
    card = (imported.output / "README.md").read_text()
    assert "license: mit" in card
    assert "imported into Trivium" in card


def test_a_tokenizer_without_its_fast_file_is_made_whole(take, tmp_path):
    folder = write_model(tmp_path / "bert", "bert")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "##b"]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    imported = take(folder)
    assert {"tokenizer.json", "tokenizer_config.json"} <= imported.names
    assert imported.result["recognised"]["vocabulary_size"] == len(words)


def test_progress_counts_the_weights(llama, take):
    progresses = take(llama).report.progresses
    last = progresses[-1]
    assert last.phase == "checking the weights"
    assert last.step == last.total > 10_000


def test_a_stop_keeps_nothing(llama, take):
    with pytest.raises(Stopped):
        take(llama, stopped=True)


def test_a_pinned_hub_cache_may_be_linked_to(llama, take, tmp_path):
    cache = tmp_path / "models--o--m"
    snapshot = cache / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (cache / "blobs").mkdir()
    for path in llama.iterdir():
        path.rename(cache / "blobs" / f"hash-{path.name}")
        (snapshot / path.name).symlink_to(f"../../blobs/hash-{path.name}")
    imported = take(snapshot)
    assert not (imported.output / "config.json").is_symlink()
    assert imported.result["family"] == "llama"


def test_a_gzip_of_zeros_is_no_bomb_where_the_ratio_allows_it(llama, take, tmp_path):
    packed = tmp_path / "m.tar.gz"
    packed.write_bytes(
        gzip.compress(as_tar(llama, tmp_path / "m", mode="w").read_bytes())
    )
    assert take(packed).error == ""


def test_the_run_is_described_wholly(llama: Path):
    with pytest.raises(ValueError, match="either source or hub_id"):
        ImportSpec()
    with pytest.raises(ValueError, match="either source or hub_id"):
        ImportSpec(source="1", file_name="x.zip", hub_id="a/b")
    with pytest.raises(ValueError, match="file_name is missing"):
        ImportSpec(source="1")
    for wrong in ("a/b/c", "../x", "a b", "a/..", "http://x/y", "a--b/c"):
        with pytest.raises(ValueError, match="not a Hub id"):
            ImportSpec(hub_id=wrong)
