"""safetensors files, checked by their headers before any library reads them.

A header must account for every byte behind it: no overlap, no gap, nothing after the
last tensor. So a file cannot be something else as well.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from trainer.errors import BadInputError
from trainer.ingest.errors import listed, shown

MAX_HEADER_BYTES = 25 * 2**20
LENGTH_BYTES = 8
MAX_DIMENSIONS = 16
BLOCK = 16 * 2**20
PICKLE_MAGIC = b"\x80"
CONVERT = (
    "Convert it where you trust it: load the model there with transformers and call "
    "save_pretrained, which writes safetensors. Then import that folder."
)
SIZES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1,
    "U16": 2, "I16": 2, "F16": 2, "BF16": 2,
    "U32": 4, "I32": 4, "F32": 4,
    "U64": 8, "I64": 8, "F64": 8,
}  # fmt: skip
"""Bytes of one element."""
EXPONENTS: dict[str, tuple[str, int]] = {
    "F64": ("<u8", 0x7FF0 << 48),
    "F32": ("<u4", 0x7F80_0000),
    "F16": ("<u2", 0x7C00),
    "BF16": ("<u2", 0x7F80),
    "F8_E5M2": ("u1", 0x7C),
    "F8_E4M3": ("u1", 0x7F),
}
"""Integers of the same size, and the bits that are all set in NaN and infinity."""


class Tensor(NamedTuple):
    """One entry of a header."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    """Its first byte in the file."""
    size: int


def read_header(path: Path, name: str) -> list[Tensor]:
    """Return the tensors of a file in the order of their bytes.

    Raises:
        BadInputError: it is not a sound safetensors file; nothing of it was loaded.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(LENGTH_BYTES)
        if len(head) < LENGTH_BYTES:
            raise _unsound(name, f"it has only {size} bytes")
        length = int.from_bytes(head, "little")
        if head.startswith(PICKLE_MAGIC) and length > MAX_HEADER_BYTES:
            raise BadInputError(
                f"{name} is not safetensors: it begins like a pickle, which can run "
                "any program when it is opened; it was not",
                CONVERT,
            )
        if length > MAX_HEADER_BYTES:
            raise _unsound(
                name,
                f"its header claims {length:,} bytes; {MAX_HEADER_BYTES:,} are allowed",
            )
        if length > size - LENGTH_BYTES:
            raise _unsound(name, "its header is longer than the file")
        header = _parse(file.read(length), name)
    begin = LENGTH_BYTES + length
    tensors = [
        _tensor(key, entry, begin, name)
        for key, entry in header.items()
        if key != "__metadata__"
    ]
    if not tensors:
        raise _unsound(name, "it holds no tensor")
    tensors.sort(key=lambda tensor: (tensor.start, tensor.size))
    _require_no_gap(tensors, begin, size, name)
    return tensors


def _unsound(name: str, reason: str) -> BadInputError:
    return BadInputError(
        f"{name} is not a sound safetensors file: {reason}",
        "Download or save it again, and compare its size with the original.",
    )


def _parse(raw: bytes, name: str) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if doubled := [key for key, n in Counter(k for k, _ in pairs).items() if n > 1]:
            raise ValueError(f"{shown(doubled[0])} stands twice in its header")
        return dict(pairs)

    try:
        header = json.loads(raw.decode(), object_pairs_hook=unique)
    except RecursionError:
        raise _unsound(name, "its header is nested too deep") from None
    except ValueError as error:
        reason = str(error) if "stands twice" in str(error) else "its header is no JSON"
        raise _unsound(name, reason) from None
    if not isinstance(header, dict):
        raise _unsound(name, "its header is no JSON object")
    return header


def _tensor(key: str, entry: Any, begin: int, name: str) -> Tensor:
    """Read one entry; every number in it is checked, for Python's have no overflow."""
    known = {"dtype", "shape", "data_offsets"}
    if not isinstance(entry, dict) or set(entry) != known:
        raise _unsound(name, f"the entry of {shown(key)} is not one of a tensor")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if dtype not in SIZES:
        raise _unsound(name, f"{shown(key)} has the unknown type {shown(dtype)}")
    if not _are_sizes(shape) or not _are_sizes(offsets) or len(offsets) != 2:
        raise _unsound(name, f"{shown(key)} has sizes that are no whole numbers")
    start, end = offsets
    wanted = SIZES[dtype]
    for length in shape:
        wanted *= length
    if end - start != wanted:
        raise _unsound(
            name,
            f"the shape of {shown(key)} does not fit its data: {wanted:,} bytes are "
            f"needed, {end - start:,} are there",
        )
    return Tensor(key, dtype, tuple(shape), begin + start, wanted)


def _are_sizes(values: Any) -> bool:
    return (
        isinstance(values, list)
        and len(values) <= MAX_DIMENSIONS
        and all(type(value) is int and 0 <= value < 2**63 for value in values)
    )


def _require_no_gap(tensors: list[Tensor], begin: int, size: int, name: str) -> None:
    end, before = begin, ""
    for tensor in tensors:
        if tensor.start < end:
            raise _unsound(
                name, f"the data of {shown(before)} and {shown(tensor.name)} overlap"
            )
        if tensor.start > end:
            raise _unsound(
                name,
                f"{tensor.start - end:,} bytes before {shown(tensor.name)} are "
                "no tensor's",
            )
        end, before = tensor.start + tensor.size, tensor.name
    if end > size:
        raise _unsound(name, f"it is incomplete: its last {end - size:,} bytes lack")
    if end < size:
        raise _unsound(name, f"{size - end:,} bytes after its last tensor are hidden")


def find_not_finite(
    path: Path, tensors: list[Tensor], on_bytes: Callable[[int], None]
) -> list[str]:
    """Return the names of tensors that hold NaN or infinity, in constant memory."""
    found = []
    with path.open("rb") as file:
        for tensor in tensors:
            file.seek(tensor.start)
            if _is_not_finite(tensor, _blocks(file.read, tensor.size, on_bytes)):
                found.append(tensor.name)
    return found


def _blocks(
    read: Callable[[int], bytes], size: int, on_bytes: Callable[[int], None]
) -> Iterator[bytes]:
    while size > 0 and (block := read(min(size, BLOCK))):
        on_bytes(len(block))
        yield block
        size -= len(block)


def _is_not_finite(tensor: Tensor, blocks: Iterator[bytes]) -> bool:
    kind, bits = EXPONENTS.get(tensor.dtype, ("u1", 0))
    has_any = False
    for block in blocks:
        if bits and not has_any:
            values = np.frombuffer(block, kind)
            has_any = bool(((values & bits) == bits).any())
    return has_any


def describe_names(names: list[str]) -> str:
    """Return names of tensors for a sentence: a few of them."""
    return listed(names, most=5)
