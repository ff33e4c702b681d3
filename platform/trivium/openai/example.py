"""How the official client is pointed here, as a few lines of Python."""

import json

CODE = """\
from openai import OpenAI

client = OpenAI(base_url={address}, api_key={secret})
stream = client.chat.completions.create(
    model={model},
    messages=[{{"role": "user", "content": "Who are you?"}}],
    stream=True,
)
for chunk in stream:
    print(chunk.choices[0].delta.content or "", end="", flush=True)"""


def talking_code(*, address: str, secret: str, model: str) -> str:
    """Return what to type where the client is installed."""
    return CODE.format(
        address=json.dumps(f"{address}/v1"),
        secret=json.dumps(secret),
        model=json.dumps(model, ensure_ascii=False),
    )
