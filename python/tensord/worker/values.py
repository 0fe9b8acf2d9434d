"""Values that a model gave, made into what its schema says."""
import sys
from collections.abc import Sequence
from typing import Any

from tensord.worker.kinds import FORMATS
from tensord.worker.model import TensorInfo


def to_numbers(value: Any, info: TensorInfo) -> Any:
    """A C-contiguous buffer of the datatype."""
    detach = getattr(value, "detach", None)
    if detach is not None:  # a tensor of torch's
        value = detach().cpu()
        value = (value.view(sys.modules["torch"].int16) if info.datatype == "BF16" else value).numpy()
        return value.view("uint16") if info.datatype == "BF16" else _cast(value, info)
    if isinstance(value, (int, float, list, tuple)) and "numpy" not in sys.modules and info.datatype in FORMATS:
        return _pack(value, info)
    return _cast(value, info)


def _cast(value: Any, info: TensorInfo) -> Any:
    import numpy

    from tensord.worker.bridge import dtype

    wanted = dtype(info.datatype)
    array = numpy.asarray(value)
    if array.dtype != wanted:
        array = _convert(value, array, wanted, info)
    if array.ndim == 0 and not info.any_rank:
        array = array.reshape([1] * len(info.shape))
    elif array.ndim == 0 and info.form == "buffer":
        array = array.reshape(1)
    if not array.size and not info.any_rank and array.ndim < len(info.shape):  # a list without rows has none of their length
        array = array.reshape(_without_rows(array.shape, info))
    array = numpy.ascontiguousarray(array) if array.ndim else array
    return array.view(numpy.uint16) if info.datatype == "BF16" else array


def _convert(value: Any, array: Any, wanted: Any, info: TensorInfo) -> Any:
    """The array in another datatype of the same kind; Python's own integers in any that they fit into."""
    import numpy

    if array.dtype.kind in "iu" and not isinstance(value, numpy.ndarray) and wanted.kind in "iuf":
        try:
            return numpy.array(value, dtype=wanted)
        except OverflowError as error:
            raise TypeError(f"output '{info.name}' is {info.datatype}: {error}") from None
    if not numpy.can_cast(array.dtype, wanted, "same_kind"):
        raise TypeError(f"output '{info.name}' is {info.datatype}; the model gave {array.dtype}")
    return array.astype(wanted)


def _pack(value: Any, info: TensorInfo) -> memoryview:
    """Numbers, and lists of them, without numpy."""
    from array import array

    shape: list[int] = []
    rows = value if isinstance(value, (list, tuple)) else [value]
    flat = list(rows)
    shape.append(len(rows))
    while flat and isinstance(flat[0], (list, tuple)):
        size = len(flat[0])
        if any(not isinstance(row, (list, tuple)) or len(row) != size for row in flat):
            raise TypeError(f"output '{info.name}' is a list whose rows differ in their lengths")
        flat = [item for row in flat for item in row]
        shape.append(size)
    form = FORMATS[info.datatype]
    try:
        packed = array("B", flat) if form == "?" else array(form, flat)
    except (TypeError, OverflowError) as error:
        raise TypeError(f"output '{info.name}' is {info.datatype}: {error}") from None
    if not flat:
        return _empty(form, _without_rows(shape, info))
    return memoryview(packed).cast("B").cast(form, shape)


def _without_rows(shape: Sequence[int], info: TensorInfo) -> tuple[int, ...]:
    """The shape of a list without elements, with the dimensions that could not be told from it."""
    return (*shape, *(max(dim, 0) for dim in info.shape[len(shape):]))


def _empty(form: str, shape: list[int]) -> Any:
    """A buffer without elements, which memoryview cannot cast to."""
    import numpy

    return numpy.empty(shape, form)


def to_bytes(value: Any, info: TensorInfo) -> tuple[tuple[int, ...], list[bytes]]:
    """(shape, elements) of a BYTES output: a str, bytes, a list of such, or a numpy array of such."""
    if isinstance(value, (str, bytes, bytearray, memoryview)):
        shape = (1,) * (1 if info.any_rank else len(info.shape))
        return shape, [_element(value, info)]
    if isinstance(value, (list, tuple)) and not any(isinstance(item, (list, tuple)) for item in value):
        shape = (len(value),) if info.any_rank else _without_rows((len(value),), info)
        return shape, [_element(item, info) for item in value]
    numpy = sys.modules.get("numpy")
    if numpy is None:
        raise TypeError(f"output '{info.name}' is BYTES; the model gave {type(value).__name__}")
    array = value if isinstance(value, numpy.ndarray) else numpy.array(value, dtype=object)
    return array.shape, [_element(item, info) for item in array.ravel().tolist()]


def _element(value: Any, info: TensorInfo) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise TypeError(f"output '{info.name}' is BYTES; an element of it is {type(value).__name__}")
