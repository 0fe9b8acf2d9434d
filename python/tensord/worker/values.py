"""Values that a model gave, made into what its schema says."""
import sys
from typing import Any

from tensord.worker.model import TensorInfo


def to_numbers(value: Any, info: TensorInfo) -> Any:
    """A C-contiguous buffer of the datatype."""
    import numpy

    from tensord.worker.bridge import dtype

    detach = getattr(value, "detach", None)
    if detach is not None:  # a tensor of torch's
        value = detach().cpu().numpy()
    wanted = dtype(info.datatype)
    array = numpy.asarray(value)
    if array.dtype != wanted:
        if not numpy.can_cast(array.dtype, wanted, "same_kind"):
            raise TypeError(f"output '{info.name}' is {info.datatype}; the model gave {array.dtype}")
        array = array.astype(wanted)
    array = numpy.ascontiguousarray(array) if array.ndim else array
    return array.view(numpy.uint16) if info.datatype == "BF16" else array


def to_bytes(value: Any, info: TensorInfo) -> tuple[tuple[int, ...], list[bytes]]:
    """(shape, elements) of a BYTES output: a str, bytes, a list of such, or a numpy array of such."""
    if isinstance(value, (str, bytes, bytearray, memoryview)):
        shape = (1,) * (1 if info.any_rank else len(info.shape))
        return shape, [_element(value, info)]
    if isinstance(value, (list, tuple)) and not any(isinstance(item, (list, tuple)) for item in value):
        shape = (len(value),) if info.any_rank or len(info.shape) < 2 else (len(value), *info.shape[1:])
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
