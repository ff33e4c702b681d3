"""Many at once: every stream ends, whole, and nothing stays behind."""

import asyncio
import time

import httpx
from serving_lab import run_async
from trivium.openai.models import ApiCall

MODEL = "grammar/Tiny"
MANY = 50


def test_fifty_streams_at_once_all_end(address, secret, node, model):
    node.delay_s = 0.05
    headers = {"Authorization": f"Bearer {secret}"}
    body = {"model": MODEL, "prompt": "x", "stream": True, "max_tokens": 5}
    limits = httpx.Limits(max_connections=None)

    async def go() -> list[str]:
        async with httpx.AsyncClient(
            headers=headers, timeout=60, limits=limits, trust_env=False
        ) as client:

            async def one() -> str:
                response = await client.post(f"{address}/v1/completions", json=body)
                assert response.status_code == 200, response.text
                return response.text

            return await asyncio.gather(*(one() for _ in range(MANY)))

    for text in run_async(go(), 60):
        assert text.count("data: ") == 5 + 1 + 1
        assert text.endswith("data: [DONE]\n\n")
    assert node.num_open == 0
    deadline = time.monotonic() + 5
    while ApiCall.objects.filter(ended=None).exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert ApiCall.objects.count() == MANY
