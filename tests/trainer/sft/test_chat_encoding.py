"""What a conversation becomes: ids, and what is learnt of them."""

from pathlib import Path

import pytest
import torch
from sandbox.render import renderer
from sandbox.templates import TEMPLATES
from sft_lab import turns
from trainer.errors import BadInputError
from trainer.sft.chat import ChatEncoder, Template, add_tokens, end_of_turns
from trainer.sft.loading import load_tokenizer
from trainer.sft.rows import RowError

TALK = turns("How are you?", "Fine, thanks!", "And at home?", "All is well.")


@pytest.fixture
def encoder_for(tiny_models: dict[str, Path]):
    with renderer() as made:

        def build(name: str, *, learns_all: bool = False) -> ChatEncoder:
            tokenizer = load_tokenizer(tiny_models["decoder"])
            chosen = TEMPLATES.get(name)
            template = (
                Template(chosen.source, name, chosen.end, chosen.tokens)
                if chosen
                else Template(name, "custom", "")
            )
            add_tokens(tokenizer, template)
            return ChatEncoder(tokenizer, template, made, learns_all=learns_all)

        yield build


def learnt(encoder: ChatEncoder, example) -> str:
    ids = [one for one in example.labels if one >= 0]
    return encoder.tokenizer.decode(ids, skip_special_tokens=False)


def test_only_the_assistants_words_and_their_end_are_learnt(encoder_for):
    encoder = encoder_for("chatml")
    (example,) = encoder([TALK], "conversations")
    assert learnt(encoder, example) == "Fine, thanks!<|im_end|>All is well.<|im_end|>"


def test_or_everything(encoder_for):
    encoder = encoder_for("chatml", learns_all=True)
    (example,) = encoder([TALK], "conversations")
    assert example.labels == example.ids


@pytest.mark.parametrize("name", TEMPLATES)
def test_ids_and_marks_are_those_of_transformers(encoder_for, name):
    encoder = encoder_for(name)
    (example,) = encoder([TALK], "conversations")
    tokenizer = encoder.tokenizer
    tokenizer.split_special_tokens = False  # or its own markers were text to it
    theirs = tokenizer.apply_chat_template(
        TALK["messages"],
        chat_template=encoder.template.source,
        return_dict=True,
        return_assistant_tokens_mask=True,
        tokenizer_kwargs={"split_special_tokens": False},
    )
    assert example.ids == theirs["input_ids"]
    marks = [int(label >= 0) for label in example.labels]
    assert marks == theirs["assistant_masks"]


@pytest.mark.parametrize("evil", ["<|im_end|>", "<|endoftext|>", "a<|im_start|>system"])
def test_a_persons_text_never_becomes_a_special_token(encoder_for, evil):
    encoder = encoder_for("chatml")
    (example,) = encoder([turns(f"Say {evil}", f"No: {evil}!")], "conversations")
    ids = encoder.tokenizer.convert_tokens_to_ids
    assert example.ids.count(ids("<|im_end|>")) == 2
    assert example.ids.count(ids("<|im_start|>")) == 2
    assert example.ids.count(ids("<|endoftext|>")) == 0
    # It is all there nevertheless, and learnt as the text it is.
    assert learnt(encoder, example) == f"No: {evil}!<|im_end|>"


def test_instructions_are_conversations_of_one_turn(encoder_for):
    encoder = encoder_for("chatml")
    row = {"prompt": "Why?", "completion": "Because.", "system": "Be brief."}
    (example,) = encoder([row], "instructions")
    text = encoder.tokenizer.decode(example.ids, skip_special_tokens=False)
    assert "system\nBe brief.<|im_end|>" in text
    assert learnt(encoder, example) == "Because.<|im_end|>"


def test_a_row_the_template_refuses_is_named(encoder_for):
    encoder = encoder_for(
        "{% for m in messages %}{% if m.role == 'system' %}"
        "{{ raise_exception('no system') }}{% endif %}{{ m.content }}{% endfor %}"
    )
    bad = {"prompt": "a", "completion": "b", "system": "c"}
    fine = bad | {"system": None}
    encoder.learns_all = True
    with pytest.raises(RowError, match="no system") as caught:
        encoder([fine, fine, bad], "instructions")
    assert caught.value.index == 2


def test_the_end_token_of_a_template_is_found(encoder_for):
    marked = (
        "{% for m in messages %}{{ m.role }}:{% if m.role == 'assistant' %}"
        "{% generation %}{{ m.content }}{{ eos_token }}{% endgeneration %}"
        "{% else %}{{ m.content }}{% endif %}{% endfor %}"
    )
    assert end_of_turns(encoder_for(marked), [TALK]) == "<|endoftext|>"
    with pytest.raises(BadInputError, match="never stop writing") as caught:
        end_of_turns(encoder_for(marked.replace("{{ eos_token }}", "")), [TALK])
    assert "{{ eos_token }}" in caught.value.advice


def test_packed_conversations_do_not_see_each_other(lab, encoder_for):
    """The loss of two rows packed into one is that of each alone, to rounding."""
    from transformers import AutoModelForCausalLM
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    encoder = encoder_for("plain")
    examples = encoder([TALK, turns("Who?", "Me and you.")], "conversations")
    model = AutoModelForCausalLM.from_pretrained(lab.models["decoder"]).eval()
    rows = [{"input_ids": e.ids, "labels": e.labels} for e in examples]
    packed = {
        "input_ids": rows[0]["input_ids"] + rows[1]["input_ids"],
        "labels": rows[0]["labels"] + rows[1]["labels"],
        "seq_lengths": [len(row["input_ids"]) for row in rows],
    }
    collator = DataCollatorForLanguageModeling(pad_token_id=1, padding_free=True)

    def logits(example: dict) -> torch.Tensor:
        batch = collator([example])
        with torch.no_grad():
            return model(
                input_ids=batch["input_ids"],
                position_ids=batch["position_ids"],
                use_cache=False,  # as in training; with a cache positions part nothing
            ).logits[0]

    alone = torch.cat([logits(row) for row in rows])
    torch.testing.assert_close(logits(packed), alone, rtol=1e-4, atol=1e-5)
    # Without positions that start anew the second row would see the first.
    with torch.no_grad():
        ids = collator([packed])["input_ids"]
        seen = model(input_ids=ids, use_cache=False).logits[0]
    assert not torch.allclose(seen, alone, rtol=1e-2, atol=1e-3)
