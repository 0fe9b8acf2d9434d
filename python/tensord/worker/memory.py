"""Memory that a model shares with the server."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

try:
    import _channel
except ImportError:  # not in a worker: models can be tried elsewhere
    _channel = None

from tensord.worker.requests import current
from tensord.worker.typeinfo import datatype_of


def empty(shape: int | Sequence[int], dtype: Any = "FP32") -> Any:
    """A numpy array whose bytes are sent as they lie when the model gives it; what it holds is undefined.

    It belongs to the request that is being executed. Where there is no room, and outside of a request, it is an
    ordinary array, which costs a copy. What a generator has given is the server's: make another for the next answer.
    """
    import numpy

    from tensord.worker.bridge import dtype as dtype_of

    dims = (shape,) if isinstance(shape, int) else tuple(shape)
    datatype = datatype_of(dtype)
    numpys = dtype_of(datatype)
    size = numpys.itemsize
    for dim in dims:
        size *= dim
    request = current() if datatype != "BYTES" else None
    room = request.empty(datatype, dims, size) if request is not None else None
    return numpy.empty(dims, numpys) if room is None else numpy.ndarray(dims, numpys, room)


def is_shared(value: Any) -> bool:
    """Whether the bytes lie in the request's own memory, so that giving the value costs no copy."""
    return _channel is not None and _channel.is_shared(value)
