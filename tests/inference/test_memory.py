"""What a node keeps in memory, and what it lets go."""

import json
import threading
import time

import pytest
from node_lab import END, ref_of, write_model
from runspec.manifest import MANIFEST_NAME, Manifest, ManifestFile, file_sha256
from safetensors.torch import save_file

TEXT = "It was the best of times"
LONG = {"max_tokens": 200, "logit_bias": {str(END): -100}}


def loaded(node):
    return {one["facts"]["key"] for one in node.state()["models"]}


@pytest.fixture
def small(tmp_path):
    """Three models of the same size, more than a third of the node's memory each."""
    return [write_model(tmp_path / name, "mixtral") for name in ("one", "two", "three")]


@pytest.fixture
def tight(start_node, small):
    weights = (small[0] / "model.safetensors").stat().st_size
    return start_node(f"--memory-gb={2.5 * weights / 1e9}")


def test_the_least_recently_used_makes_room(tight, small):
    one, two, three = small
    for folder in (one, two, one):
        tight.generate(folder, TEXT, max_tokens=2)
    assert loaded(tight) == {"one", "two"}
    tight.generate(three, TEXT, max_tokens=2)
    assert loaded(tight) == {"one", "three"}
    state = tight.state()
    used = sum(each["facts"]["bytes"] for each in state["models"])
    assert used <= state["memory_budget_bytes"]


def test_a_model_at_work_is_never_let_go(tight, small):
    one, two, three = small
    with tight.stream(one, TEXT, **LONG) as first:
        first.until("tokens")
        with tight.stream(two, TEXT, **LONG) as second:
            second.until("tokens")
            found = tight.refused(three, TEXT)
            assert (found["status"], found["code"]) == (503, "out_of_memory")
            busy = tight.post("/unload", model=ref_of(one))
            assert (busy.status_code, busy.json()["code"]) == (409, "model_busy")
            assert first.until("finish").reason == "length"
        tight.generate(three, TEXT, max_tokens=1)
    assert "one" not in loaded(tight) or "two" not in loaded(tight)


def test_a_model_larger_than_the_memory_is_refused_with_numbers(start_node, small):
    node = start_node("--memory-gb=0.00001")
    found = node.refused(small[0], TEXT)
    assert (found["status"], found["code"]) == (503, "out_of_memory")
    assert "0.0 MB" in found["message"]


def test_many_who_ask_for_a_model_load_it_once(node, model):
    askers = [
        threading.Thread(
            target=lambda: node.generate(model("gpt2"), TEXT, max_tokens=2)
        )
        for _ in range(4)
    ]
    model("gpt2")
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert node.log.read_text().count("gpt2 is loaded") == 1


def test_load_and_unload(node, model):
    facts = node.post("/load", model=ref_of(model("llama"))).json()
    assert facts["runner"] == "fused"
    assert facts["context"] == 256
    assert facts["eos_ids"] == [END]
    assert "llama" in loaded(node)
    left = node.post("/unload", model=ref_of(model("llama"))).json()
    assert "llama" not in {one["facts"]["key"] for one in left["models"]}
    assert "llama" not in loaded(node)
    again = node.post("/unload", model=ref_of(model("llama")))
    assert again.status_code == 200


def test_streams_go_on_while_another_model_is_loaded(node, model, tmp_path):
    other = write_model(tmp_path / "other", "mixtral", num_hidden_layers=12)
    with node.stream(model("slow"), TEXT, **(LONG | {"max_tokens": 8000})) as stream:
        stream.until("tokens")
        loading = threading.Thread(
            target=lambda: node.post("/load", model=ref_of(other))
        )
        loading.start()
        while "other" not in loaded(node):
            stream.until("tokens")  # fails where nothing more comes
        loading.join()
    assert "other" in loaded(node)


def test_a_model_of_the_same_name_and_other_content_is_loaded_anew(node, tmp_path):
    folder = write_model(tmp_path / "changing", "mixtral")
    before = node.generate(folder, TEXT)
    write_model(folder, "mixtral", num_hidden_layers=1)
    after = node.generate(folder, TEXT, model=ref_of(folder, sha256="1" * 64))
    assert after.ids() != before.ids()
    assert after.receipt.weights_sha256 == "1" * 64


def checkpoint_of(folder, path, change=0.0):
    """Write a checkpoint as a pretraining run does: parameters by name."""
    import transformers as hf

    network = hf.AutoModelForCausalLM.from_pretrained(folder)
    path.mkdir(parents=True)
    save_file(
        {name: (one.detach() + change) for name, one in network.named_parameters()},
        path / "model.safetensors",
    )
    write_manifest(path)
    return network


def write_manifest(path):
    files = {
        file.name: ManifestFile(size=file.stat().st_size, sha256=file_sha256(file))
        for file in path.iterdir()
    }
    manifest = Manifest(files=files, step=3, fence=1, spec_sha256="")
    (path / MANIFEST_NAME).write_text(manifest.model_dump_json())


@pytest.mark.parametrize("kind", ["llama", "mixtral"])
def test_a_checkpoint_lends_its_weights(node, model, tmp_path, kind):
    checkpoint_of(model(kind), tmp_path / "step-3")
    ref = ref_of(
        model(kind), key=f"run-{kind}", weights_url=(tmp_path / "step-3").as_uri()
    )
    found = node.generate(model(kind), TEXT, model=ref)
    assert found.ids() == node.generate(model(kind), TEXT).ids()
    checkpoint_of(model(kind), tmp_path / "step-4", change=0.5)
    ref = ref_of(
        model(kind), key=f"run-{kind}-4", weights_url=(tmp_path / "step-4").as_uri()
    )
    other = node.generate(model(kind), TEXT, model=ref)
    assert other.tokens() != found.tokens()


def test_a_checkpoint_of_finetuning_lends_its_weights(node, model, tmp_path):
    import transformers as hf

    hf.AutoModelForCausalLM.from_pretrained(model("chat")).save_pretrained(
        tmp_path / "step-5"
    )
    write_manifest(tmp_path / "step-5")
    url = (tmp_path / "step-5").as_uri()
    ref = ref_of(model("chat"), key="run-sft", weights_url=url)
    found = node.generate(model("chat"), TEXT, model=ref)
    assert found.ids() == node.generate(model("chat"), TEXT).ids()


@pytest.mark.parametrize("harm", ["altered", "missing", "adapter", "foreign"])
def test_a_checkpoint_that_is_not_whole_is_refused(node, model, tmp_path, harm):
    path = tmp_path / "step-3"
    checkpoint_of(model("mixtral" if harm == "foreign" else "llama"), path)
    weights = path / "model.safetensors"
    if harm == "altered":
        raw = bytearray(weights.read_bytes())
        raw[-1] ^= 1
        weights.write_bytes(raw)
    if harm == "missing":
        (path / MANIFEST_NAME).unlink()
    if harm == "adapter":
        (path / "adapter_config.json").write_text(json.dumps({}))
    ref = ref_of(model("llama"), key=f"run-{harm}", weights_url=path.as_uri())
    found = node.refused(model("llama"), TEXT, model=ref)
    assert (found["status"], found["code"]) == (404, "model_not_found")
    words = {"altered": "altered", "missing": MANIFEST_NAME, "adapter": "adapter",
             "foreign": "another model"}  # fmt: skip
    assert words[harm] in found["message"]


def test_remote_files_are_fetched_once(start_node, model, tmp_path):
    """`local://` stands for any file system that is not known to be this machine's."""
    node = start_node()
    copy = tmp_path / "far"
    copy.mkdir()
    for file in model("llama").iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    ref = ref_of(copy, url=f"local://{copy}")
    before = node.generate(copy, TEXT, model=ref)
    for file in copy.iterdir():
        file.unlink()
    node.post("/unload", model=ref)
    assert node.generate(copy, TEXT, model=ref).ids() == before.ids()
    cached = [path.name for path in (tmp_path / "cache").iterdir()]
    assert not [name for name in cached if name.startswith(".tmp")]


def test_the_node_ends_with_its_standard_input(start_node, model):
    node = start_node()
    with node.stream(model("slow"), TEXT, **LONG) as stream:
        stream.until("tokens")
        begun = time.monotonic()
        assert node.process.stdin is not None
        node.process.stdin.close()
        assert node.process.wait(timeout=15) == 0
    assert time.monotonic() - begun < 15
