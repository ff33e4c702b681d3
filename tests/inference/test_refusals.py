"""What a node refuses, and in which words."""

import json
import os
import subprocess
import sys
import threading
from contextlib import ExitStack

import httpx
import pytest
from node_lab import END, KEY, ROOT, asked_of, ref_of, write_model
from safetensors.torch import load_file, save_file

TEXT = "It was the best of times"
LONG = {"max_tokens": 8000, "logit_bias": {str(END): -100}}
QUESTION = [{"role": "user", "content": "Hi"}]


@pytest.mark.parametrize("key", [None, "", "another", KEY[:-1]])
def test_nobody_comes_in_without_the_key(node, key):
    headers = {} if key is None else {"X-Trivium-Node-Key": key}
    for method, path in (("GET", "/state"), ("POST", "/generate")):
        found = httpx.request(method, f"{node.url}{path}", headers=headers)
        assert found.status_code == 401
        assert found.json()["code"] == "invalid_node_key"


def test_it_does_not_start_without_a_key(tmp_path):
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "workers")}
    found = subprocess.run(
        [sys.executable, "-m", "inference", f"--cache-dir={tmp_path}"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 2
    assert "TRIVIUM_NODE_KEY" in found.stderr


def test_a_model_that_is_not_there(node, tmp_path):
    found = node.refused(tmp_path, TEXT)
    assert (found["status"], found["code"]) == (404, "model_not_found")
    assert tmp_path.name in found["message"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"architectures": ["EvilForCausalLM"]}, "EvilForCausalLM"),
        ({"num_hidden_layers": 3}, "lack"),
        ({"hidden_size": 64}, ""),
    ],
)
def test_a_model_that_does_not_fit_its_config(node, model, tmp_path, change, named):
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in model("llama").iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    config = json.loads((broken / "config.json").read_text()) | change
    (broken / "config.json").write_text(json.dumps(config))
    found = node.refused(broken, TEXT)
    assert (found["status"], found["code"]) == (404, "model_not_found")
    assert named in found["message"]


def test_a_model_in_pickles(node, model, tmp_path):
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    for file in model("llama").iterdir():
        if file.suffix != ".safetensors":
            (pickled / file.name).write_bytes(file.read_bytes())
    (pickled / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    assert node.refused(pickled, TEXT)["code"] == "model_not_found"


@pytest.mark.parametrize("kind", ["llama", "mixtral", "bart"])
def test_a_prompt_longer_than_the_context_names_both_numbers(node, model, kind):
    found = node.refused(model(kind), "xyz " * 500)
    assert (found["status"], found["code"]) == (400, "context_length_exceeded")
    context = 128 if kind == "bart" else 256
    assert f"{context:,}" in found["message"]
    assert "2,00" in found["message"]  # four characters, five hundred times


def test_a_prompt_that_leaves_no_room_for_an_answer(node, model):
    found = node.refused(model("llama"), {"ids": [40] * 256})
    assert found["code"] == "context_length_exceeded"
    assert len(node.generate(model("llama"), {"ids": [40] * 255}).ids()) == 1


def test_messages_for_a_model_without_a_template(node, model):
    found = node.refused(model("llama"), QUESTION)
    assert (found["status"], found["code"]) == (400, "no_chat_template")


@pytest.mark.parametrize(
    "prompt",
    [
        {},
        {"text": ""},
        {"ids": []},
        {"ids": [99999]},
        {"ids": [-1]},
        {"text": "a", "ids": [1]},
        {"text": "a", "continues": True},
        {"messages": []},
        {"messages": [*QUESTION], "continues": True},
        {"messages": [{"content": "no role"}]},
    ],
)
def test_prompts_that_cannot_be_read(node, model, prompt):
    found = node.refused(model("chat"), prompt)
    assert (found["status"], found["code"]) == (400, "invalid_prompt")


def test_tools_for_a_template_that_knows_none(node, model, tmp_path):
    plain = tmp_path / "plain"
    plain.mkdir()
    for file in model("chat").iterdir():
        (plain / file.name).write_bytes(file.read_bytes())
    template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    (plain / "chat_template.jinja").write_text(template)
    tool = {"type": "function", "function": {"name": "add"}}
    found = node.refused(plain, {"messages": QUESTION, "tools": [tool]})
    assert (found["status"], found["code"]) == (400, "tools_not_supported")


def test_a_template_without_end_harms_one_request_only(node, model, tmp_path):
    endless = tmp_path / "endless"
    endless.mkdir()
    for file in model("chat").iterdir():
        (endless / file.name).write_bytes(file.read_bytes())
    (endless / "chat_template.jinja").write_text(
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    )
    found = node.refused(endless, QUESTION)
    assert found["code"] == "invalid_prompt"
    assert node.generate(model("chat"), QUESTION, max_tokens=2).ids()


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"temperature": -1}, "sampling.temperature"),
        ({"max_tokens": 0}, "sampling.max_tokens"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"n": 9}, "n"),
        ({"colour": "red"}, "sampling.colour"),
    ],
)
def test_values_out_of_range_are_named(node, model, body, param):
    found = node.refused(model("llama"), TEXT, **body)
    assert (found["status"], found["code"]) == (400, "invalid_request")
    assert found["param"] == param


def test_several_answers_cannot_go_on_with_one(node, model):
    found = node.refused(model("llama"), TEXT, n=2, answered_ids=[1])
    assert (found["status"], found["param"]) == (400, "answered_ids")


def test_an_id_is_used_once_at_a_time(node, model):
    with node.stream(model("slow"), TEXT, id="same", **LONG) as stream:
        stream.until("prompt")
        found = node.refused(model("slow"), TEXT, id="same")
        assert (found["status"], found["code"]) == (409, "duplicate_id")


def test_a_schema_that_cannot_be_kept(node, model):
    schema = {"type": "json_schema", "json_schema": {"type": "colour"}}
    for kind in ("llama", "mixtral"):
        found = node.refused(model(kind), TEXT, response_format=schema)
        assert (found["status"], found["code"]) == (400, "invalid_response_format")


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"\xff\xfe", b"null"])
def test_a_body_that_is_no_json(node, body):
    found = node.http.post("/generate", content=body)
    assert found.status_code == 400
    assert found.json()["code"] == "invalid_request"


def test_a_full_queue_refuses_at_once(start_node, model):
    node = start_node("--max-waiting=3")
    node.generate(model("slow"), TEXT, max_tokens=1)
    with ExitStack() as leaving:
        streams = [  # as many as have slots
            leaving.enter_context(node.stream(model("slow"), TEXT, **LONG, n=2))
            for _ in range(4)
        ]
        for stream in streams:
            stream.until("tokens")
        waiting = threading.Thread(
            target=lambda: node.generate(model("slow"), TEXT, n=3, max_tokens=1)
        )
        waiting.start()
        while (state := node.state())["num_waiting"] < 3:
            assert state["num_running"] == 8
        found = node.http.post("/generate", json=asked_of(model("slow"), TEXT))
    waiting.join()
    assert found.status_code == 503, state
    assert found.json()["code"] == "overloaded"
    assert found.headers["Retry-After"] == "1"
    assert node.generate(model("slow"), TEXT, max_tokens=1).ids()


@pytest.mark.parametrize(
    ("path", "kind", "body"),
    [
        ("/fill", "llama", {"text": "a <mask>"}),
        ("/embed", "llama", {"texts": ["a"]}),
        ("/score", "llama", {"prompts": [{"text": "a"}]}),
        ("/next", "bert", {"ids": [1]}),
        ("/next", "t5", {"ids": [1]}),
        ("/generate", "bert", None),
        ("/generate", "judge", None),
    ],
)
def test_a_model_of_another_kind(node, model, path, kind, body):
    asked = asked_of(model(kind), TEXT)
    if body is not None:
        asked = {"model": ref_of(model(kind)), **body}
    found = node.http.post(path, json=asked)
    assert found.status_code == 400
    assert found.json()["code"] == "model_not_suitable"


@pytest.mark.parametrize("kind", ["llama", "mixtral"])
def test_a_model_that_computes_no_numbers_says_so(node, tmp_path, kind):
    """Like a checkpoint of a training that went wrong."""
    folder = write_model(tmp_path / "wrong", kind)
    weights = load_file(folder / "model.safetensors")
    weights["lm_head.weight"].fill_(float("nan"))
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    found = node.refused(folder, TEXT, model=ref_of(folder, key=f"wrong-{kind}"))
    assert (found["status"], found["code"]) == (404, "model_not_found")
    assert "not finite" in found["message"]
