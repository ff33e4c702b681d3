"""Every family learns, resumes to the bit, and leaves a model anybody can load."""

import math

import numpy as np
import pytest
import torch
from inference.loading import build, locate
from runspec import PretrainSpec
from runspec import events as spoken
from runspec.families import FAMILIES, family_of, shape_of
from runspec.layout import OUTPUT, SERVED
from runspec.manifest import read_manifest
from runspec.serving import ModelRef
from runspec.sizing import (
    PRESETS,
    count_parameters,
    estimate,
    matrix_flops,
    model_vocabulary,
)
from stage_lab import curve, read_events, result_of
from trainer.architectures import TokenIds, build_model, num_parameters
from trainer.forward import IGNORED, TrainingForward
from trainer.library_forward import training_forward
from trainer.objectives.batches import evaluation_batches, objective_of
from trainer.special_tokens import tokenizer_for
from trainer.token_cache import open_corpus

NEW = ["mixtral", "bert", "roberta", "modernbert", "t5", "bart"]
ROWS = [digit * 120 for digit in "0123456789"]
"""What stands at a gap can be told by what stands around it."""
SMALL = {
    "layers": 1,
    "context": 16,
    "batch_size": 16,
    "max_steps": 80,
    "learning_rate": 5e-3,
    "warmup_steps": 10,
    "eval_every": 1000,
    "sample_every": 0,
}
TOKENS = TokenIds(160, end=0, pad=1, start=3, close=0)


def spec_of(family: str, **changes) -> PretrainSpec:
    values = {"layers": 3, "heads": 4, "width": 64, "context": 32} | changes
    return PretrainSpec(dataset="1", tokenizer="1", family=family, **values)


def unigram_floor(spec, lab, dataset) -> float:
    """Return the least loss of one who knows only how often each label occurs."""
    made = tokenizer_for(lab.tokenizer, spec.family, num_sentinels=100)
    context = lab.context("floor")
    corpus = open_corpus(dataset, lab.tokenizer, context)
    context.report.close()
    labels = np.concatenate(
        [
            labels.numpy().ravel()
            for _, labels in evaluation_batches(
                objective_of(spec, made), corpus.train_ids, batch_size=8, most=None
            )
        ]
    )
    _, counts = np.unique(labels[labels >= 0], return_counts=True)
    shares = counts / counts.sum()
    return float(-(shares * np.log(shares)).sum())


@pytest.fixture
def digits(dataset_of):
    return dataset_of(train=ROWS * 3, validation=ROWS)


@pytest.mark.parametrize("family", NEW)
def test_it_learns_far_past_the_unigram_floor(lab, digits, family):
    spec = lab.spec(dataset=str(digits), family=family, **SMALL)
    folder = lab.run(spec)
    loss = result_of(folder)["validation_loss"]
    floor = unigram_floor(spec, lab, digits)
    assert floor > 2.0
    assert loss < 0.4 * floor
    accuracy = curve(folder, "validation/accuracy")
    if family == "mixtral":
        assert accuracy == {}
    else:
        assert float(accuracy[spec.max_steps]) > 0.8


@pytest.mark.parametrize("family", NEW)
def test_a_resumed_run_is_the_same_to_the_bit(lab, family):
    changes = {} if family == "mixtral" else {"dropout": 0.1}
    spec = lab.spec(
        family=family, max_steps=16, eval_every=5, checkpoint_every=8, **changes
    )
    whole = lab.run(spec, "whole")
    parted = lab.run(spec, "parted", stop_at=6)
    [newest] = (parted / "checkpoints").iterdir()
    assert 6 <= read_manifest(newest, verify_hashes=True)[0].step < spec.max_steps
    lab.run(spec, "parted", fence=2, resume=newest)
    for name in ("train/loss", "validation/loss", "train/gradient_norm"):
        assert curve(parted, name, 1, 2) == curve(whole, name), name


def loader(family: str):
    from transformers import (
        AutoModelForCausalLM,
        AutoModelForMaskedLM,
        AutoModelForSeq2SeqLM,
    )

    return {
        "decoder": AutoModelForCausalLM,
        "encoder": AutoModelForMaskedLM,
        "encoder-decoder": AutoModelForSeq2SeqLM,
    }[FAMILIES[family].architecture]


@pytest.mark.parametrize("family", NEW)
def test_the_output_loads_with_plain_transformers_and_says_the_same(lab, family):
    from transformers import AutoTokenizer

    spec = lab.spec(family=family, max_steps=6, warmup_steps=1, sample_every=0)
    folder = lab.run(spec)
    output = folder / OUTPUT
    model, found = loader(family).from_pretrained(output, output_loading_info=True)
    assert not found["missing_keys"]
    assert not found["unexpected_keys"]
    tokenizer = AutoTokenizer.from_pretrained(output)
    assert len(tokenizer) == model.config.vocab_size
    assert model.config.pad_token_id == tokenizer.pad_token_id
    assert tokenizer.pad_token_id != tokenizer.eos_token_id

    # Its loss on the validation text is the one that was reported.
    made = tokenizer_for(lab.tokenizer, family, num_sentinels=100)
    context = lab.context("again")
    corpus = open_corpus(lab.dataset, lab.tokenizer, context)
    context.report.close()
    forward = training_forward(model.eval(), spec)
    total = count = 0.0
    with torch.no_grad():
        for ids, labels in evaluation_batches(
            objective_of(spec, made), corpus.validation_ids, batch_size=8, most=None
        ):
            total += forward(ids, labels).flatten()[0].item()
            count += (labels >= 0).sum().item()
    reported = result_of(folder)["validation_loss"]
    assert total / count == pytest.approx(reported, rel=1e-5)

    ids = tokenizer("12 and 13", return_tensors="pt")
    frame = [tokenizer.cls_token_id, tokenizer.sep_token_id]
    match FAMILIES[family].architecture:
        case "encoder":
            assert [ids["input_ids"][0, 0], ids["input_ids"][0, -1]] == frame
            assert model(**ids).logits.isfinite().all()
            pair = tokenizer("12", "13", return_tensors="pt")
            assert model(**pair).logits.isfinite().all()
            marked = tokenizer(f"12 {tokenizer.mask_token}", split_special_tokens=False)
            assert tokenizer.mask_token_id in marked["input_ids"]
        case "encoder-decoder":
            assert ids["input_ids"][0, -1] == tokenizer.eos_token_id
            out = model.generate(**ids, max_new_tokens=5)
            assert out[0, 0] == model.generation_config.decoder_start_token_id
            assert model.generation_config.eos_token_id == tokenizer.eos_token_id


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_checkpoint_is_loaded_with_what_its_run_left_at_the_start(
    lab, family, tmp_path
):
    spec = lab.spec(family=family, max_steps=4, warmup_steps=1, sample_every=0)
    folder = lab.run(spec)
    [checkpoint] = (folder / "checkpoints").iterdir()
    served, output = folder / SERVED, folder / OUTPUT
    ref = ModelRef(
        key="run-1-step-4",
        url=served.as_uri(),
        sha256="",
        weights_url=checkpoint.as_uri(),
    )
    built = build(ref, locate(ref, tmp_path), "cpu")
    assert built.architecture == FAMILIES[family].architecture
    model = loader(family).from_pretrained(output)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, built.model.get_parameter(name)), name
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (served / name).read_bytes() == (output / name).read_bytes()


def test_t5s_output_knows_its_sentinels(lab):
    from transformers import AutoTokenizer

    spec = lab.spec(family="t5", max_steps=2, warmup_steps=1, sample_every=0)
    tokenizer = AutoTokenizer.from_pretrained(lab.run(spec) / OUTPUT)
    ids = [tokenizer.convert_tokens_to_ids(f"<extra_id_{n}>") for n in (0, 1, 99)]
    assert len({*ids, tokenizer.unk_token_id}) == 4
    marked = tokenizer("12 <extra_id_0>", split_special_tokens=False)["input_ids"]
    assert marked[-2:] == [ids[0], tokenizer.eos_token_id]
    assert tokenizer.decode(marked, skip_special_tokens=True).strip() == "12"


@pytest.mark.parametrize("family", ["modernbert", "t5", "bart"])
def test_samples_fill_the_gaps_of_a_prompt_and_of_the_text(lab, digits, family):
    prompts = ("333[MASK]333[MASK]3", "", "5555")
    spec = lab.spec(
        **{**SMALL, "sample_tokens": 12},
        dataset=str(digits),
        family=family,
        sample_prompts=prompts,
    )
    folder = lab.run(spec)
    filled, of_text, at_end = [
        e for e in read_events(folder) if isinstance(e, spoken.Sample)
    ]
    assert filled.prompt == prompts[0]
    assert "[MASK]" in of_text.prompt
    assert at_end.prompt == "5555[MASK]"
    texts = [filled.text, of_text.text, at_end.text]
    assert all(set(text) <= set("0123456789") for text in texts)
    assert set(at_end.text) == {"5"}
    assert len(at_end.text) > 4
    if family == "modernbert":  # as many tokens as masks
        assert filled.text == "3" * 9


def test_whole_words_and_shares_reach_the_batches(lab):
    few = lab.run(lab.spec(family="modernbert", max_steps=6, warmup_steps=1), "few")
    words = lab.run(
        lab.spec(family="modernbert", max_steps=6, warmup_steps=1, whole_words=True),
        "words",
    )
    many = lab.run(
        lab.spec(family="modernbert", max_steps=6, warmup_steps=1, corrupted_share=0.5),
        "many",
    )
    curves = [curve(folder, "train/loss") for folder in (few, words, many)]
    assert len({str(one) for one in curves}) == 3


# Forward passes


def labelled(family: str) -> tuple[torch.Tensor, torch.Tensor]:
    ids_BT = torch.randint(110, 160, (3, 32))
    if FAMILIES[family].architecture == "encoder-decoder":
        ids_BT[0, -4:] = TOKENS.pad_id if family == "bart" else 120
        return ids_BT, torch.randint(110, 160, (3, 20))
    labels_BT = ids_BT.clone()
    labels_BT[torch.rand(3, 32) > 0.12] = IGNORED
    return ids_BT, labels_BT


@pytest.mark.parametrize("family", ["bert", "roberta", "modernbert", "t5", "bart"])
def test_loss_and_guesses_are_those_of_transformers(family):
    model = build_model(spec_of(family), TOKENS)
    ids_BT, labels_BT = labelled(family)
    forward = training_forward(model, spec_of(family))
    more = {"attention_mask": ids_BT.ne(TOKENS.pad_id)} if family == "bart" else {}
    theirs = model(input_ids=ids_BT, labels=labels_BT, **more)
    count = (labels_BT >= 0).sum()
    ours = forward(ids_BT, labels_BT)
    assert ours.dim() == 0
    torch.testing.assert_close(ours / count, theirs.loss, rtol=1e-5, atol=1e-5)
    model.eval()
    loss, right = forward(ids_BT, labels_BT)
    torch.testing.assert_close(loss, ours, rtol=1e-5, atol=1e-4)
    assert right == (theirs.logits.argmax(2) == labels_BT).sum()


def test_the_router_loss_counts_from_even_use_and_only_in_training():
    spec = spec_of("mixtral")
    model = build_model(spec, TOKENS)
    forward = training_forward(model, spec)
    ids_BT = torch.randint(0, 160, (4, 32))
    theirs = model(ids_BT, labels=ids_BT, output_router_logits=True)
    labels_BT = ids_BT[:, 1:]
    trained = forward(ids_BT[:, :-1], labels_BT)
    model.eval()
    measured = forward(ids_BT[:, :-1], labels_BT)
    plain = model(ids_BT, labels=ids_BT).loss
    torch.testing.assert_close(measured / labels_BT.numel(), plain)
    uneven = theirs.aux_loss - spec.experts_per_token
    assert uneven > 0
    expected = plain + model.config.router_aux_loss_coef * uneven
    # The last position routes as well where transformers computes it, and is no input
    # here.
    torch.testing.assert_close(
        trained / labels_BT.numel(), expected, rtol=2e-3, atol=2e-3
    )
    assert trained > measured


def test_evaluation_drops_nothing_out():
    model = build_model(spec_of("gpt2", dropout=0.5), TOKENS).eval()
    forward = TrainingForward(model)
    ids_BT = torch.randint(0, 160, (2, 32))
    assert torch.equal(forward(ids_BT, ids_BT), forward(ids_BT, ids_BT))


@pytest.mark.parametrize("family", NEW)
def test_bf16_stays_near_fp32(family):
    model = build_model(spec_of(family), TOKENS)
    batch = (
        labelled(family)
        if family != "mixtral"
        else (torch.randint(0, 160, (3, 32)), torch.randint(0, 160, (3, 32)))
    )
    forward = training_forward(model, spec_of(family))
    exact = forward(*batch)
    with torch.autocast("cpu", torch.bfloat16):
        rough = forward(*batch)
    assert rough.dtype == torch.float32
    rough.backward()
    torch.testing.assert_close(rough, exact, rtol=0.02, atol=0.0)
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert gradients
    assert all(gradient.isfinite().all() for gradient in gradients)


# Sizes

SHAPES = [
    {},
    {"feed_forward": 200},
    {"layers": 1},
    {"context": 200, "width": 32, "heads": 2},
]


@pytest.mark.parametrize("changes", SHAPES)
@pytest.mark.parametrize("family", NEW)
def test_parameters_are_counted_exactly(family, changes):
    spec = spec_of(family, **changes)
    with torch.device("meta"):
        model = build_model(spec, TOKENS)
    assert count_parameters(spec, 160) == num_parameters(model)


def test_experts_and_shared_keys_are_counted_exactly():
    spec = spec_of("mixtral", experts=5, experts_per_token=3, kv_heads=2)
    spec = spec.model_copy(update={"tied_embeddings": False})
    with torch.device("meta"):
        model = build_model(spec, TOKENS)
    assert count_parameters(spec, 160) == num_parameters(model)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_models_configuration_gives_its_shape_back(family):
    spec = spec_of(family, feed_forward=96)
    with torch.device("meta"):
        config = build_model(spec, TOKENS).config.to_dict()
    assert family_of(config) == family
    shape = shape_of(config)
    for name, value in shape.items():
        if name == "context" and family == "roberta":
            assert value >= spec.context
            continue
        expected = spec.num_kv_heads if name == "kv_heads" else getattr(spec, name)
        assert value == expected, name
    assert {"layers", "heads", "width", "feed_forward"} <= shape.keys()
    assert ("context" in shape) == (family != "t5")


def test_each_architecture_has_presets():
    families = {values["family"] for values in PRESETS.values()}
    assert {FAMILIES[name].architecture for name in families} == {
        "decoder",
        "encoder",
        "encoder-decoder",
    }
    assert families == set(FAMILIES)


def test_published_sizes_come_out():
    """BERT base has 110 M parameters, T5 v1.1 base 248 M, BART base 139 M."""
    sizes = {"BERT base": (30_522, 110e6), "BART base": (50_265, 139e6)}
    for name, (vocabulary, published) in sizes.items():
        spec = PretrainSpec(dataset="1", tokenizer="1", **PRESETS[name])
        assert count_parameters(spec, vocabulary) == pytest.approx(published, rel=0.01)
    spec = PretrainSpec(dataset="1", tokenizer="1", **PRESETS["T5 v1.1 base"])
    # Here input and output share their embeddings, which v1.1 kept apart.
    tied = count_parameters(spec, 32_128)
    assert tied + 32_128 * 768 == pytest.approx(248e6, rel=0.01)


def test_experts_that_rest_cost_memory_but_no_time():
    few, many = spec_of("mixtral", experts=2), spec_of("mixtral", experts=16)
    assert count_parameters(many, 160) > 3 * count_parameters(few, 160)
    assert matrix_flops(many, 160) < 1.1 * matrix_flops(few, 160)
    costs = [estimate(spec, vocabulary_size=160) for spec in (few, many)]
    assert costs[1].total_bytes > 1.5 * costs[0].total_bytes


def test_a_decoder_and_its_targets_cost_time():
    encoder, both = spec_of("bert"), spec_of("bart")
    assert matrix_flops(both, 160) > 2 * matrix_flops(encoder, 160)
    # T5 writes a fifth of what BART does.
    assert matrix_flops(spec_of("t5"), 160) < 0.8 * matrix_flops(both, 160)


def test_t5s_sentinels_are_rows_of_its_embeddings():
    assert model_vocabulary(spec_of("t5"), 1000) == 1100
    assert model_vocabulary(spec_of("t5", context=4096), 1000) > 1200
    assert model_vocabulary(spec_of("bart"), 1000) == 1000


def test_random_weights_know_nothing_yet():
    for family in NEW:
        model = build_model(spec_of(family), TOKENS).eval()
        ids_BT, labels_BT = labelled(family if family != "mixtral" else "bert")
        loss = training_forward(model, spec_of(family))(ids_BT, labels_BT).flatten()[0]
        per_label = loss.item() / (labels_BT >= 0).sum().item()
        assert per_label == pytest.approx(math.log(160), abs=1.0), family
