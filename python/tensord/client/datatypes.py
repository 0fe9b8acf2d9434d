"""The protocol's datatypes: their sizes, and Python's plain values as their bytes. Needs no numpy.

Numbers are little-endian, rows first; a BYTES tensor is, per element, its length as 32 bits and the bytes.
"""
from __future__ import annotations

import array
import struct
import sys
from dataclasses import dataclass
from itertools import chain
from math import prod
from typing import Any, Iterable, Optional, Sequence, Union

Shape = tuple  # of int
Buffer = Union[bytes, bytearray, memoryview]

# Name: size in bytes, struct's letter, numpy's name.
_ROWS = {
    "BOOL": (1, "?", "bool"),
    "UINT8": (1, "B", "uint8"),
    "UINT16": (2, "H", "<u2"),
    "UINT32": (4, "I", "<u4"),
    "UINT64": (8, "Q", "<u8"),
    "INT8": (1, "b", "int8"),
    "INT16": (2, "h", "<i2"),
    "INT32": (4, "i", "<i4"),
    "INT64": (8, "q", "<i8"),
    "FP16": (2, "e", "<f2"),
    "FP32": (4, "f", "<f4"),
    "FP64": (8, "d", "<f8"),
    "BF16": (2, None, None),
    "BYTES": (0, None, "object"),
}
NAMES = tuple(_ROWS)
FLOATS = ("FP16", "FP32", "FP64", "BF16")


@dataclass(frozen=True)
class TensorInfo:
    """What a model says of one input or output; -1 in the shape is any size."""

    name: str
    datatype: str
    shape: Sequence[int]
    optional: bool = False

    def __str__(self) -> str:
        shape = ", ".join("any" if size < 0 else str(size) for size in self.shape)
        return f"{self.name} {self.datatype} [{shape}]{' (may be left out)' if self.optional else ''}"


@dataclass
class Tensor:
    """A tensor as it goes over the wire."""

    name: str
    datatype: str
    shape: Shape
    data: Buffer


def size_bytes(datatype: str) -> int:
    """The size of one element; 0 for BYTES."""
    return _ROWS[datatype][0]


def numpy_name(datatype: str) -> Optional[str]:
    """numpy's name of the datatype; None for BF16, which numpy does not have."""
    return _ROWS[datatype][2]


def is_scalar(value: Any) -> bool:
    """Is it a plain value of Python's, one element of a tensor?"""
    return isinstance(value, (bool, int, float, str, bytes, bytearray))


def shape_of(nested: Any) -> Shape:
    """The shape of nested lists; ValueError when their lengths differ."""
    if not isinstance(nested, (list, tuple)):
        return ()
    if not nested:
        return (0,)
    if not isinstance(nested[0], (list, tuple)):
        if any(isinstance(item, (list, tuple)) for item in nested):
            raise ValueError("lists and values stand beside each other")
        return (len(nested),)
    shapes = {shape_of(item) for item in nested}
    if len(shapes) > 1:
        raise ValueError("the inner lists have different lengths")
    return (len(nested), *shapes.pop())


def flatten(nested: Any, dimensions: int) -> list:
    """The elements of nested lists, in order."""
    flat = nested if dimensions else [nested]
    for _ in range(dimensions - 1):
        flat = chain.from_iterable(flat)
    return list(flat)


def datatype_of(flat: Sequence[Any]) -> str:
    """The datatype that fits plain values best, for inputs of which nothing is known."""
    kinds = {type(value) for value in flat}
    if kinds <= {bool} and kinds:
        return "BOOL"
    if kinds <= {bool, int} and kinds:
        return "INT64"
    if kinds <= {str, bytes, bytearray} and kinds:
        return "BYTES"
    return "FP32"


def pack(flat: Sequence[Any], datatype: str) -> bytes:
    """Plain values as bytes. TypeError or ValueError (OverflowError) when they do not fit the datatype."""
    if datatype == "BYTES":
        return pack_bytes(flat)
    kinds = set(map(type, flat))
    if kinds & {str, bytes, bytearray}:
        raise TypeError(f"it takes {datatype} and got text")
    if datatype == "BOOL":
        if not kinds <= {bool}:
            raise TypeError("it takes BOOL and got numbers")
        return bytes(flat)
    if datatype == "BF16":
        return _round_to_bf16(struct.pack(f"<{len(flat)}f", *flat))
    if datatype not in FLOATS and float in kinds:
        raise TypeError(f"it takes {datatype} and got numbers with a fraction; round them")
    try:
        if datatype == "FP32":
            packed = array.array("f", flat)  # what is too large becomes infinite, as in numpy
            if sys.byteorder == "big":
                packed.byteswap()
            return packed.tobytes()
        return struct.pack(f"<{len(flat)}{_ROWS[datatype][1]}", *flat)
    except (struct.error, OverflowError) as error:
        raise ValueError(f"a value does not fit {datatype}") from error


def pack_bytes(flat: Iterable[Any]) -> bytes:
    """Texts and bytes as a BYTES tensor; numbers are refused."""
    parts: list = []
    for value in flat:
        if isinstance(value, str):
            value = value.encode()
        elif not isinstance(value, (bytes, bytearray, memoryview)):
            raise TypeError(f"it takes BYTES, which is text or bytes, and got {type(value).__name__}")
        parts += struct.pack("<I", len(value)), value
    return b"".join(parts)


def _round_to_bf16(data: bytes) -> bytes:
    """Floats of 32 bits as their upper halves, rounded to even."""
    rounded = array.array("I", data)
    if sys.byteorder == "big":
        rounded.byteswap()
    upper = array.array("H", (
        (bits >> 16) | 0x40 if bits & 0x7FFFFFFF > 0x7F800000 else (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
        for bits in rounded))
    if sys.byteorder == "big":
        upper.byteswap()
    return upper.tobytes()


def unpack(data: Buffer, datatype: str) -> list:
    """Bytes as plain values."""
    if datatype == "BYTES":
        return unpack_bytes(data)
    count = len(data) // size_bytes(datatype)
    if datatype == "BF16":
        widened = b"".join(b"\0\0" + bytes(data[i:i + 2]) for i in range(0, 2 * count, 2))
        return list(struct.unpack(f"<{count}f", widened))
    return list(struct.unpack(f"<{count}{_ROWS[datatype][1]}", data))


def unpack_bytes(data: Buffer) -> list:
    """The elements of a BYTES tensor: texts when every one is UTF-8, else bytes."""
    view, at, elements = memoryview(data), 0, []
    while at < len(view):
        (length,) = struct.unpack_from("<I", view, at)
        at += 4
        if at + length > len(view):
            raise ValueError("a BYTES tensor ends within an element")
        elements.append(bytes(view[at:at + length]))
        at += length
    try:
        return [element.decode() for element in elements]
    except UnicodeDecodeError:
        return elements


def nest(flat: list, shape: Sequence[int]) -> Any:
    """The elements as nested lists of that shape; a single value for no dimension."""
    if prod(shape) != len(flat):
        raise ValueError(f"{len(flat)} values do not fill the shape {list(shape)}")
    if not shape:
        return flat[0]
    if not flat:
        return [nest([], shape[1:]) for _ in range(shape[0])] if len(shape) > 1 else []
    for size in reversed(shape[1:]):
        flat = [flat[i:i + size] for i in range(0, len(flat), size)]
    return flat
