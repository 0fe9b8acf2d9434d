"""Arrays of all kinds to tensors, and tensors back: numpy, torch, pandas, PIL, and plain lists.

None of these packages is imported unless somebody hands over, or asks for, something of theirs.
"""
from __future__ import annotations

import importlib
import importlib.util
import io
import json
import sys
from typing import Any, Optional, Sequence

from tensord.client import datatypes
from tensord.client.datatypes import Tensor, TensorInfo

# Kinds of values; the answer has the kind that stands first here among those of the inputs.
KINDS = ("torch", "pandas", "numpy", "list")


def kind_of(value: Any) -> str:
    """Which package a value comes from: one of KINDS, or "image"."""
    if isinstance(value, (list, tuple)):
        for item in value[:1]:
            if not datatypes.is_scalar(item):
                return kind_of(item)
        return "list"
    for base in type(value).__mro__:
        package = getattr(base, "__module__", "").partition(".")[0]
        if package in ("torch", "pandas", "numpy"):
            return package
        if package == "PIL":
            return "image"
    return "numpy" if hasattr(value, "__array__") else "list"


def result_kind(values: Sequence[Any]) -> str:
    """The kind of an answer to these inputs."""
    kinds = {kind_of(value) for value in values}
    if "image" in kinds:
        kinds.add("numpy" if _has("numpy") else "list")
    return next((kind for kind in KINDS if kind in kinds), "list")


def _has(package: str) -> bool:
    return package in sys.modules or importlib.util.find_spec(package) is not None


def _numpy() -> Any:
    try:
        return sys.modules.get("numpy") or importlib.import_module("numpy")
    except ImportError:
        raise TypeError("numpy is needed for that, and is not installed: pip install numpy") from None


# ---- to tensors ----


def encode(value: Any, info: TensorInfo) -> tuple[Tensor, bool]:
    """A value as the tensor that the input takes, and whether it is a single one: a dimension of 1 was added to it.

    TypeError or ValueError, with a sentence, when the value does not fit.
    """
    if kind_of(value) == "torch":
        value = _from_torch(value, info.datatype)
    elif kind_of(value) == "pandas":
        value = value.to_numpy()
    elif kind_of(value) == "image":
        value = _from_image(value, info.datatype)
    if info.datatype == "BYTES" and is_document(value):
        value = json.dumps(value, default=_as_document)
    if isinstance(value, Tensor):
        shape, data = value.shape, value.data
    elif kind_of(value) == "numpy":
        array = _numpy().asarray(value)
        shape, data = array.shape, _numpy_bytes(array, info.datatype)
    else:
        shape = datatypes.shape_of(value)
        flat = datatypes.flatten(value, len(shape))
        if not all(map(datatypes.is_scalar, flat)):
            odd = next(item for item in flat if not datatypes.is_scalar(item))
            raise TypeError(f"it cannot be a tensor, since it holds {type(odd).__name__}")
        data = datatypes.pack(flat, info.datatype)
    shape, added = _fit(tuple(shape), info)
    return Tensor(info.name, info.datatype, shape, data), added


def is_document(value: Any) -> bool:
    """Is it a value that no tensor holds, and JSON does: a dict, a dataclass, or a list of such?"""
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return any(map(is_document, value))
    return isinstance(value, dict) or is_record(value)


def is_record(value: Any) -> bool:
    """Is it an object with fields: a dataclass, a named tuple, a model of pydantic's?"""
    return not isinstance(value, type) and any(
        hasattr(value, mark) for mark in ("__dataclass_fields__", "_fields", "model_fields"))


def fields_of(value: Any) -> dict[str, Any]:
    """The fields of a record, or of a dict."""
    if isinstance(value, dict):
        return value
    names = getattr(type(value), "model_fields", None) or getattr(value, "__dataclass_fields__", None) or value._fields
    return {name: getattr(value, name) for name in names}


def _as_document(value: Any) -> Any:
    if is_record(value):
        return fields_of(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"it cannot be a JSON document, since it holds {type(value).__name__}")


def _fit(shape: tuple, info: TensorInfo) -> tuple[tuple, bool]:
    """A single row becomes a batch of one, a plain value an input of one element; a flat list for an input of one column
    becomes that column."""
    declared = tuple(info.shape)
    if shape == () and declared == (1,):
        return declared, True
    if len(shape) != len(declared) - 1 or not declared or declared[0] != -1:
        return shape, False
    inner = declared[1:]
    fits = all(want in (-1, got) for want, got in zip(inner, shape))
    if not fits and len(inner) == 1 and inner[0] == 1:
        return (*shape, 1), False
    return (1, *shape), True


def _numpy_bytes(array: Any, datatype: str) -> Any:
    numpy = _numpy()
    if datatype == "BYTES":
        if array.dtype.kind not in "USO":
            raise TypeError(f"it takes BYTES, which is text or bytes, and got {array.dtype}")
        return datatypes.pack_bytes(array.ravel().tolist())
    if array.dtype.kind in "O":
        return datatypes.pack(array.ravel().tolist(), datatype)
    if array.dtype.name == "bfloat16":  # of ml_dtypes
        if datatype == "BF16":
            return _plain(numpy.ascontiguousarray(array).view("<u2"))
        array = array.astype("<f4")
    if datatype == "BF16":
        _check_cast(array, numpy.dtype("<f4"), datatype)
        return _bf16_bytes(numpy.ascontiguousarray(array, dtype="<f4"))
    wanted = numpy.dtype(datatypes.numpy_name(datatype))
    _check_cast(array, wanted, datatype)
    return _plain(numpy.ascontiguousarray(array, dtype=wanted))


def _plain(array: Any) -> memoryview:
    """A contiguous array's memory."""
    return memoryview(array.reshape(-1).view("u1"))


def _check_cast(array: Any, wanted: Any, datatype: str) -> None:
    """Numbers may change their size, and become floats; nothing else is changed behind the caller's back."""
    numpy = _numpy()
    if array.dtype == wanted:
        return
    if array.dtype.kind in "iu" and wanted.kind in "iu":
        limits = numpy.iinfo(wanted)
        if array.size and (int(array.min()) < limits.min or int(array.max()) > limits.max):
            raise ValueError(f"a value does not fit {datatype}")
    elif not numpy.can_cast(array.dtype, wanted, "same_kind") and not (array.dtype.kind in "biu" and wanted.kind == "f"):
        raise TypeError(f"it takes {datatype} and got {array.dtype}; convert it")


def _bf16_bytes(array: Any) -> memoryview:
    numpy = _numpy()
    bits = array.view("<u4")
    rounded = (bits + (0x7FFF + ((bits >> 16) & 1)).astype("<u4")) >> 16
    rounded = numpy.where(numpy.isnan(array), (bits >> 16) | 0x40, rounded)
    return _plain(numpy.ascontiguousarray(rounded, dtype="<u2"))


def _from_torch(value: Any, datatype: str) -> Any:
    torch = sys.modules["torch"]
    if isinstance(value, (list, tuple)):
        value = torch.stack([item if isinstance(item, torch.Tensor) else torch.as_tensor(item) for item in value])
    value = value.detach().cpu()
    if value.dtype == torch.bfloat16 or (datatype == "BF16" and value.is_floating_point()):
        if datatype != "BF16":
            return value.float().numpy()
        value = value.to(torch.bfloat16).contiguous()
        bits = value.view(torch.int16).numpy()
        return Tensor("", datatype, tuple(value.shape), _plain(bits.reshape(-1)))
    return value.numpy()


def _from_image(value: Any, datatype: str) -> Any:
    """An image as the bytes of a file for BYTES, else its pixels, (height, width, channels)."""
    if isinstance(value, (list, tuple)):
        return _stack([_from_image(item, datatype) for item in value])
    if datatype == "BYTES":
        file = io.BytesIO()
        value.save(file, format="PNG")
        return file.getvalue()
    return _numpy().asarray(value)


def _stack(items: list) -> Any:
    return items if datatypes.is_scalar(items[0]) else _numpy().stack(items)


# ---- from tensors ----


def decode(tensor: Tensor, kind: str, like: Any = None, squeeze: bool = False) -> Any:
    """A tensor as a value of that kind. `squeeze` takes a first dimension of 1 away; `like` is the pandas object whose
    index the rows have."""
    shape = tuple(tensor.shape)
    if squeeze and shape[:1] == (1,):
        shape = shape[1:]
    if kind == "torch" and tensor.datatype != "BYTES":
        return _to_torch(tensor, shape)
    if kind in ("numpy", "pandas"):
        array = _to_numpy(tensor, shape)
        return _to_pandas(array, like) if kind == "pandas" else array
    return datatypes.nest(datatypes.unpack(tensor.data, tensor.datatype), shape)


def _to_numpy(tensor: Tensor, shape: tuple) -> Any:
    numpy = _numpy()
    if tensor.datatype == "BYTES":
        elements = datatypes.unpack_bytes(tensor.data)
        array = numpy.empty(len(elements), dtype=object)
        array[:] = elements
        return array.reshape(shape)
    if tensor.datatype == "BF16":
        bits = numpy.frombuffer(tensor.data, dtype="<u2")
        try:
            return bits.view(importlib.import_module("ml_dtypes").bfloat16).reshape(shape)
        except ImportError:
            return (bits.astype("<u4") << 16).view("<f4").reshape(shape)
    return numpy.frombuffer(tensor.data, dtype=datatypes.numpy_name(tensor.datatype)).reshape(shape)


def _to_torch(tensor: Tensor, shape: tuple) -> Any:
    torch = importlib.import_module("torch")
    if tensor.datatype == "BF16":
        if not len(tensor.data):
            return torch.empty(shape, dtype=torch.bfloat16)
        return torch.frombuffer(tensor.data, dtype=torch.int16).view(torch.bfloat16).reshape(shape)
    array = _to_numpy(tensor, shape)
    if tensor.datatype in ("UINT16", "UINT32", "UINT64") and not hasattr(torch, tensor.datatype.lower()):
        array = array.astype("<i8")
    return torch.from_numpy(array)


def _to_pandas(array: Any, like: Any) -> Any:
    """Rows that belong to the input's rows get its index; what has other dimensions stays an array."""
    pandas = importlib.import_module("pandas")
    index = getattr(like, "index", None)
    if array.ndim not in (1, 2) or (index is not None and len(index) != len(array)):
        return array
    return pandas.Series(array, index=index) if array.ndim == 1 else pandas.DataFrame(array, index=index)


def column_inputs(value: Any, inputs: Sequence[TensorInfo]) -> Optional[dict]:
    """A table whose columns are a model's inputs, by name; None when it is none."""
    if kind_of(value) != "pandas" or not hasattr(value, "columns"):
        return None
    names = set(map(str, value.columns))
    if not all(info.name in names or info.optional for info in inputs):
        return None
    return {info.name: value[info.name] for info in inputs if info.name in names}
