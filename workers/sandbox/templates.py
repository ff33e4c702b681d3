"""The chat templates that come with Trivium.

Each marks what the assistant says with `{% generation %}`, end token included, so that
a model learns to stop where generation stops.
"""

from typing import NamedTuple


class ChatTemplate(NamedTuple):
    """A way of writing a conversation as text."""

    title: str
    help: str
    source: str
    end: str
    """The token that ends a turn; empty: the tokenizer's own end token."""
    tokens: tuple[str, ...] = ()
    """Special tokens it needs; a tokenizer that lacks one gets it."""


CHATML = ChatTemplate(
    title="ChatML",
    help="Turns stand between <|im_start|> and <|im_end|>: the usual choice.",
    source="""\
{%- if tools %}
{{- '<|im_start|>system\\nYou may call these tools:\\n' }}
{%- for tool in tools %}{{- tool | tojson }}{{- '\\n' }}{%- endfor %}
{{- '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
{{- '<|im_start|>' + message['role'] + '\\n' }}
{%- if message['role'] == 'assistant' %}
{%- generation %}
{{- message['content'] or '' }}
{%- for call in message['tool_calls'] or [] %}{{- '\\n<tool_call>' + (call | tojson) + '</tool_call>' }}{%- endfor %}
{{- '<|im_end|>' }}
{%- endgeneration %}
{%- else %}
{{- message['content'] or '' }}{{- '<|im_end|>' }}
{%- endif %}
{{- '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}
""",  # noqa: E501 - a template's line break is part of it
    end="<|im_end|>",
    tokens=("<|im_start|>", "<|im_end|>"),
)
LLAMA3 = ChatTemplate(
    title="Llama 3",
    help="Headers around each role, turns closed by <|eot_id|>.",
    source="""\
{{- bos_token }}
{%- for message in messages %}
{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}
{%- if message['role'] == 'assistant' %}
{%- generation %}{{- (message['content'] or '') | trim }}{{- '<|eot_id|>' }}{%- endgeneration %}
{%- else %}
{{- (message['content'] or '') | trim }}{{- '<|eot_id|>' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}
""",  # noqa: E501
    end="<|eot_id|>",
    tokens=("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
)
PLAIN = ChatTemplate(
    title="Plain",
    help="Roles as words, and the tokenizer's own end token: no new tokens.",
    # Roles end with a line break, not a space: a space would join the answer's first
    # word into one token, which a prompt that ends with a space never sees.
    source="""\
{%- for message in messages %}
{%- if message['role'] == 'assistant' %}
{{- 'Assistant:\\n' }}
{%- generation %}{{- message['content'] or '' }}{{- eos_token }}{%- endgeneration %}
{%- else %}
{{- message['role'] | capitalize + ':\\n' + (message['content'] or '') }}
{%- endif %}
{{- '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- 'Assistant:\\n' }}{%- endif %}
""",
    end="",
)
TEMPLATES: dict[str, ChatTemplate] = {
    "chatml": CHATML,
    "llama3": LLAMA3,
    "plain": PLAIN,
}
EXAMPLE = [
    {"role": "system", "content": "You are a friendly guide to a small town."},
    {"role": "user", "content": "Where can I buy bread?"},
    {"role": "assistant", "content": "The baker's shop stands beside the mill."},
    {"role": "user", "content": "Is it open now?"},
    {"role": "assistant", "content": "It opens at seven in the morning."},
]
"""A conversation to show a template with, where there is no other."""
