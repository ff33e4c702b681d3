"""Templates: what they write, whose words are whose, and what a hostile one may do."""

import os
from pathlib import Path

import pytest
from sandbox.errors import TemplateError
from sandbox.render import (
    ConversationError,
    Renderer,
    render_conversations,
    renderer,
)
from sandbox.templates import EXAMPLE, TEMPLATES

VARIABLES = {"eos_token": "<end>", "bos_token": "<begin>"}
SAID = [item["content"] for item in EXAMPLE if item["role"] == "assistant"]
UNMARKED = (
    "{% for message in messages %}[{{ message.role }}]{{ message.content }}"
    "{{ eos_token }}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
)


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_assistants_words_are_found_with_their_end_token(name):
    template = TEMPLATES[name]
    (found,) = render_conversations(
        template.source, [{"messages": EXAMPLE}], variables=VARIABLES
    )
    spoken = [found.text[start:end] for start, end in found.spans]
    assert spoken == [words + (template.end or "<end>") for words in SAID]


@pytest.mark.parametrize("name", TEMPLATES)
def test_transformers_renders_the_same(name):
    from transformers.utils.chat_template_utils import render_jinja_template

    source = TEMPLATES[name].source
    (text,), (spans,) = render_jinja_template(
        [EXAMPLE],
        chat_template=source,
        return_assistant_tokens_mask=True,
        **VARIABLES,
    )
    (found,) = render_conversations(
        source, [{"messages": EXAMPLE}], variables=VARIABLES
    )
    assert found.text == text
    assert list(found.spans) == [tuple(span) for span in spans]


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_prompt_is_how_the_conversation_goes_on(name):
    source = TEMPLATES[name].source
    (whole,) = render_conversations(
        source, [{"messages": EXAMPLE[:3]}], variables=VARIABLES
    )
    (prompt,) = render_conversations(
        source,
        [{"messages": EXAMPLE[:2]}],
        variables=VARIABLES,
        add_generation_prompt=True,
    )
    assert whole.text.startswith(prompt.text)
    assert whole.spans[0][0] == len(prompt.text)


def test_tools_and_their_calls_are_written():
    call = {"name": "bake", "arguments": {"what": "bread"}}
    messages = [
        EXAMPLE[1],
        {"role": "assistant", "content": None, "tool_calls": [call]},
    ]
    tools = [{"name": "bake", "description": "Bakes."}]
    (found,) = render_conversations(
        TEMPLATES["chatml"].source, [{"messages": messages, "tools": tools}]
    )
    assert '"description": "Bakes."' in found.text
    ((start, end),) = found.spans
    assert '<tool_call>{"name": "bake"' in found.text[start:end]


def test_without_marks_the_turns_are_told_apart_by_what_they_add():
    (found,) = render_conversations(
        UNMARKED, [{"messages": EXAMPLE}], variables=VARIABLES
    )
    spoken = [found.text[start:end] for start, end in found.spans]
    assert spoken == [words + "<end>" for words in SAID]


def test_turns_that_cannot_be_told_apart_are_refused_in_words():
    reversing = "{% for m in messages | reverse %}{{ m.content }}{% endfor %}"
    with pytest.raises(ConversationError, match="mark them with"):
        render_conversations(reversing, [{"messages": EXAMPLE}])


def test_an_error_names_the_conversation():
    picky = "{% if messages | length > 2 %}{{ raise_exception('long') }}{% endif %}ok"
    fitting = {"messages": EXAMPLE[:2]}
    with pytest.raises(ConversationError, match="refuses it: long") as caught:
        render_conversations(picky, [fitting] * 250 + [{"messages": EXAMPLE}])
    assert caught.value.index == 250


@pytest.mark.parametrize(
    ("hostile", "said"),
    [
        ("{{ 'a' * 10**9 }}", "more than 512 MB of memory"),
        ("{% for a in range(99999) %}{{ 'x' * 999 }}{% endfor %}", "characters"),
        (
            "{% for a in range(99999) %}{% for b in range(99999) %}"
            + "{% endfor %}" * 2,
            "longer than 2 s",
        ),
        ("{{ 10 ** (10 ** 8) }}", "more time or memory than it may"),  # inside C
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{{ messages.append(1) }}", "unsafe"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "calls itself"),
        ("{% if %}", r"line 1"),
        ("{{ messages[0].nothing.more }}", "no attribute"),
        ("{% include '/etc/passwd' %}", "no loader"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
    ],
)
def test_a_hostile_template_ends_with_a_sentence(hostile, said):
    with pytest.raises(TemplateError, match=said):
        render_conversations(hostile, [{"messages": EXAMPLE}])


def test_a_child_gets_none_of_the_environment(monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "canary")
    with renderer() as made:
        environment = Path(f"/proc/{made._child.pid}/environ").read_bytes()
    assert b"canary" not in environment


def test_the_child_is_gone_afterwards():
    with renderer() as made:
        pid = made._child.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_refused_conversation_leaves_the_child_at_work():
    made = Renderer()
    try:
        with pytest.raises(ConversationError):
            made.render("{{ 1 / 0 }}", [{"messages": EXAMPLE}])
        assert made.render("fine", [{"messages": []}])[0].text == "fine"
    finally:
        made.close()
