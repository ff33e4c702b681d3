"""Masks filled, vectors made and scores given, as transformers does it."""

import pytest
import torch
import transformers as hf
from node_lab import CHAT, MASK, ref_of

TEXT = "It was the <mask> of times, it was the <mask> of"


def fill(node, model, **body):
    found = node.post("/fill", model=ref_of(model("bert")), **body)
    assert found.status_code == 200, found.text
    return found.json()


@pytest.fixture(scope="module")
def reference(model):
    return hf.AutoModelForMaskedLM.from_pretrained(model("bert")).eval()


@torch.inference_mode()
def logprobs_at(reference, ids):
    logits = reference(torch.tensor([ids])).logits[0].log_softmax(-1)
    return [logits[place] for place, one in enumerate(ids) if one == MASK]


def test_masks_filled_apart_are_the_models_marginals(node, model, reference):
    found = fill(node, model, text=TEXT, top=4)
    expected = logprobs_at(reference, found["ids"])
    assert len(found["masks"]) == len(expected) == 2
    for candidates, logprobs_V in zip(found["masks"], expected, strict=True):
        best = logprobs_V.topk(4)
        assert [one["id"] for one in candidates] == best.indices.tolist()
        assert [one["logprob"] for one in candidates] == pytest.approx(
            best.values.tolist(), abs=1e-4
        )
    assert found["order"] == []
    assert "<mask>" not in found["sequence"]


def test_masks_filled_jointly_see_each_other(node, model, reference):
    found = fill(node, model, text=TEXT, top=1, joint=True)
    ids = list(found["ids"])
    places = [place for place, one in enumerate(ids) if one == MASK]
    apart = logprobs_at(reference, ids)
    surest = max(range(2), key=lambda one: float(apart[one].max()))
    assert found["order"] == [surest, 1 - surest]
    ids[places[surest]] = int(apart[surest].argmax())
    assert found["masks"][surest][0]["id"] == ids[places[surest]]
    [second] = logprobs_at(reference, ids)
    told = found["masks"][1 - surest][0]
    assert told["id"] == int(second.argmax())
    assert told["logprob"] == pytest.approx(float(second.max()), abs=1e-4)


def test_targets_are_compared_alone(node, model):
    targets = [" best", " worst", "a"]
    found = fill(node, model, text="It was the <mask>", targets=targets)
    [candidates] = found["masks"]
    assert {one["text"] for one in candidates} == set(targets)
    logprobs = [one["logprob"] for one in candidates]
    assert logprobs == sorted(logprobs, reverse=True)
    assert candidates[0]["text"] in found["sequence"]


def test_a_target_of_several_tokens_is_refused(node, model):
    found = node.post(
        "/fill", model=ref_of(model("bert")), text="<mask>", targets=["unheard"]
    )
    assert found.status_code == 400
    assert found.json()["code"] == "invalid_target"
    assert "'unheard'" in found.json()["message"]


def test_a_text_without_a_mask_is_refused(node, model):
    found = node.post("/fill", model=ref_of(model("bert")), text="nothing to fill")
    assert (found.status_code, found.json()["code"]) == (400, "no_mask")
    assert "<mask>" in found.json()["message"]


@pytest.mark.parametrize("kind", ["bert", "t5"])
def test_vectors_are_means_of_length_one_whatever_stands_beside(node, model, kind):
    texts = ["It was", "the best of times, it was the worst of times", "a"]
    ref = ref_of(model(kind))
    together = node.post("/embed", model=ref, texts=texts).json()
    assert len(together["vectors"]) == 3
    total = 0
    for text, vector in zip(texts, together["vectors"], strict=True):
        assert sum(one * one for one in vector) == pytest.approx(1)
        alone = node.post("/embed", model=ref, texts=[text]).json()
        total += alone["num_tokens"]
        assert vector == pytest.approx(alone["vectors"][0], abs=1e-5)
    assert together["num_tokens"] == total


def test_a_vector_is_the_mean_of_the_last_states(node, model, reference):
    [vector] = node.post(
        "/embed", model=ref_of(model("bert")), texts=["It was the best"]
    ).json()["vectors"]
    tokenizer = hf.AutoTokenizer.from_pretrained(model("bert"))
    with torch.inference_mode():
        states = reference.bert(**tokenizer("It was the best", return_tensors="pt"))
    mean = states.last_hidden_state[0].mean(0)
    assert vector == pytest.approx((mean / mean.norm()).tolist(), abs=1e-5)


def test_a_text_too_long_to_embed_is_refused_not_cut(node, model):
    found = node.post("/embed", model=ref_of(model("bert")), texts=["a", "xy " * 300])
    assert found.status_code == 400
    assert found.json()["code"] == "context_length_exceeded"


def test_a_reward_model_judges_texts_and_conversations(node, model):
    said = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Good day"},
    ]
    found = node.post(
        "/score",
        model=ref_of(model("reward")),
        prompts=[{"messages": said}, {"text": "It was"}],
    ).json()
    tokenizer = hf.AutoTokenizer.from_pretrained(model("reward"))
    judge = hf.AutoModelForSequenceClassification.from_pretrained(model("reward"))
    written = hf_template(tokenizer, said)
    for text, numbers in zip([written, "It was"], found["scores"], strict=True):
        ids = tokenizer(text, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            expected = judge(input_ids=ids).logits[0].tolist()
        assert numbers == pytest.approx(expected, abs=1e-5)
    assert found["labels"] == []
    assert found["scores"][0] != found["scores"][1]


def hf_template(tokenizer, messages):
    tokenizer.chat_template = CHAT.replace("{%- generation %}", "").replace(
        "{%- endgeneration %}", ""
    )
    return tokenizer.apply_chat_template(messages, tokenize=False)


def test_a_classifier_names_its_labels(node, model):
    found = node.post(
        "/score", model=ref_of(model("labels")), prompts=[{"text": "It was"}] * 2
    ).json()
    assert found["labels"] == ["calm", "angry", "glad"]
    assert len(found["scores"][0]) == 3
    assert found["scores"][0] == found["scores"][1]
