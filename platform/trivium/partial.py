"""Large answers, sent piece by piece, of which a broken download gets the rest."""

import re
from collections.abc import Callable, Iterator

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.utils.http import content_disposition_header

from trivium.http import stream

RANGE = re.compile(r"bytes=(\d{1,15})-(\d{0,15})")


def send_parts(
    request: HttpRequest,
    parts: Callable[[int, int], Iterator[bytes]],
    *,
    size: int,
    tag: str,
    file_name: str,
    content_type: str,
) -> HttpResponse | StreamingHttpResponse:
    """Answer with a file of `size` bytes, or the range of it that is asked for.

    `parts` yields what lies between two positions; `tag` is equal for equal content.
    """
    start, end = _asked_range(request, tag, size)
    if start >= end:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
    is_part = (start, end) != (0, size)
    response = StreamingHttpResponse(
        stream(parts(start, end)),
        content_type=content_type,
        status=206 if is_part else 200,
    )
    response.headers["Content-Length"] = str(end - start)
    response.headers["Accept-Ranges"] = "bytes"
    response.headers["ETag"] = tag
    if is_part:
        response.headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    disposition = content_disposition_header(as_attachment=True, filename=file_name)
    response.headers["Content-Disposition"] = disposition or "attachment"
    return response


def _asked_range(request: HttpRequest, tag: str, size: int) -> tuple[int, int]:
    asked = RANGE.fullmatch(request.headers.get("Range", ""))
    if asked is None or request.headers.get("If-Range", tag) != tag:
        return 0, size
    first, last = asked.groups()
    return int(first), min(size, int(last) + 1 if last else size)
