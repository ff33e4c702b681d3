"""`Idempotency-Key`: a POST repeated with the same key is done once.

The key, what was done and the answer are one transaction: after a crash at any point
a repeat either finds the whole of it or nothing.
"""

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.http import HttpResponse, JsonResponse
from django.utils import timezone
from ninja.responses import NinjaJSONEncoder
from pydantic import BaseModel

from trivium.accounts.models import IdempotencyKey
from trivium.api.auth import ApiRequest
from trivium.api.errors import ApiError

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
KEPT_FOR = timedelta(days=7)
MAX_KEY = 200


def once(
    request: ApiRequest,
    act: Callable[[], BaseModel],
    *,
    fingerprint: str = "",
    status: int = 201,
) -> HttpResponse:
    """Carry out `act` and answer with what it returns, or repeat the answer it gave.

    `fingerprint` stands for the body where that is no small JSON document. A key that
    came with another body before is refused with 409. Without a key, just act.
    """
    key = request.headers.get(HEADER)
    if key is None:
        return JsonResponse(_plain(act()), status=status)
    if not 0 < len(key) <= MAX_KEY or not key.isascii() or not key.isprintable():
        raise ApiError(422, f"{HEADER} takes 1 to {MAX_KEY} printable ASCII characters")

    route = f"{request.method} {request.path}"[:200]
    body = fingerprint.encode() if fingerprint else request.body
    with transaction.atomic():
        kept, is_new = IdempotencyKey.objects.get_or_create(
            user=request.user,
            key=key,
            defaults={
                "route": route,
                "body_sha256": hashlib.sha256(body).hexdigest(),
                "status": status,
                "response": {},
            },
        )
        if not is_new:
            return _replay(kept, route, hashlib.sha256(body).hexdigest())
        kept.response = _plain(act())
        kept.save(update_fields=["response"])
        _forget_old(request)
    return JsonResponse(kept.response, status=status)


def _plain(answer: BaseModel) -> Any:
    """Return `answer` as plain JSON values, written as Ninja writes them elsewhere."""
    return json.loads(json.dumps(answer.model_dump(), cls=NinjaJSONEncoder))


def _replay(kept: IdempotencyKey, route: str, body_sha256: str) -> HttpResponse:
    if (kept.route, kept.body_sha256) != (route, body_sha256):
        raise ApiError(409, f"this {HEADER} came with another request before")
    response = JsonResponse(kept.response, status=kept.status)
    response[REPLAYED] = "true"
    return response


def _forget_old(request: ApiRequest) -> None:
    horizon = timezone.now() - KEPT_FOR
    IdempotencyKey.objects.filter(user=request.user, created__lt=horizon).delete()
