"""What the operations that take a file have in common."""

import json
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from pydantic import BaseModel

from trivium.api.auth import ApiRequest
from trivium.api.errors import ApiError
from trivium.api.idempotency import REPLAYED, once
from trivium.datasets.models import Upload
from trivium.datasets.sending import is_too_large
from trivium.datasets.services import delete_upload, forgotten_on_failure


def refuse_too_large(request: ApiRequest) -> None:
    """Refuse a body whose length alone says that its file is too large."""
    if is_too_large(request):
        raise ApiError(
            413, f"the file is larger than {settings.MAX_UPLOAD_BYTES:,} bytes"
        )


def parse_settings(text: str) -> dict[str, Any]:
    """Read the `settings` part of a multipart body."""
    try:
        chosen = json.loads(text or "{}")
    except (ValueError, RecursionError):
        chosen = None
    if not isinstance(chosen, dict):
        raise ApiError(422, "settings is not a JSON object", field="settings")
    return chosen


def refuse_own_fields(chosen: dict[str, Any], own: set[str]) -> None:
    """Refuse settings that follow from the request itself."""
    for field in own & set(chosen):
        raise ApiError(422, f"settings may not hold {field}", field=field)


def start_once(
    request: ApiRequest,
    upload: Upload,
    payload: BaseModel,
    act: Callable[[], BaseModel],
) -> HttpResponse:
    """Start what shall become of a file; one sent again is not kept twice."""
    with forgotten_on_failure(upload):
        sent = [payload.model_dump(), upload.file_name, upload.sha256]
        response = once(request, act, fingerprint=json.dumps(sent))
    if REPLAYED in response.headers:
        delete_upload(upload)
    return response
