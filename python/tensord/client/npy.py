"""Files of numpy's format .npy, with numpy or without it."""
from __future__ import annotations

import ast
import importlib
import struct
from pathlib import Path
from typing import Any

from tensord.client import datatypes
from tensord.client.datatypes import Tensor
from tensord.errors import Error

_MAGIC = b"\x93NUMPY"
_HEAD_BYTES = 64  # heads are padded to a multiple of this
_NAMES = {"|b1": "BOOL", "|u1": "UINT8", "|i1": "INT8"}
_NAMES.update({name: datatype for datatype in datatypes.NAMES if (name := datatypes.numpy_name(datatype) or "")[:1] == "<"})
_CODES = {datatype: code for code, datatype in _NAMES.items()}


def read(path: Path) -> Any:
    """An array of numpy's, or without numpy nested lists. Pickled ones are refused."""
    try:
        numpy = importlib.import_module("numpy")
    except ImportError:
        return _read_plain(path)
    try:
        return numpy.load(path, allow_pickle=False)
    except ValueError as error:
        raise Error(f"'{path}' cannot be read: {error}") from error


def _read_plain(path: Path) -> Any:
    data = path.read_bytes()
    try:
        if not data.startswith(_MAGIC):
            raise ValueError("it is no .npy file")
        wide = data[6] > 1
        (size,) = struct.unpack_from("<I" if wide else "<H", data, 8)
        start = (12 if wide else 10) + size
        head = ast.literal_eval(data[start - size:start].decode("latin-1").strip())
        if head["descr"] not in _NAMES or head["fortran_order"]:
            raise ValueError(f"numpy is needed for arrays of '{head['descr']}'")
        return datatypes.nest(datatypes.unpack(data[start:], _NAMES[head["descr"]]), head["shape"])
    except (ValueError, KeyError, TypeError, SyntaxError, IndexError, struct.error) as error:
        raise Error(f"'{path}' cannot be read: {error}") from error


def write(path: Path, tensor: Tensor) -> None:
    """A tensor as a .npy file; texts become fields of the longest one's length, BF16 becomes FP32."""
    data, code = bytes(tensor.data), _CODES.get(tensor.datatype)
    if tensor.datatype == "BF16":
        data, code = datatypes.pack(datatypes.unpack(data, "BF16"), "FP32"), "<f4"
    if tensor.datatype == "BYTES":
        elements = [one.encode() if isinstance(one, str) else one for one in datatypes.unpack_bytes(data)]
        width = max(map(len, elements), default=1) or 1
        data, code = b"".join(one.ljust(width, b"\0") for one in elements), f"|S{width}"
    head = repr({"descr": code, "fortran_order": False, "shape": tuple(tensor.shape)})
    padding = -(len(head) + 11) % _HEAD_BYTES
    text = (head + " " * padding + "\n").encode("latin-1")
    path.write_bytes(_MAGIC + b"\x01\x00" + struct.pack("<H", len(text)) + text + data)
