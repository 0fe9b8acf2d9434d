"""Calls of a running model to other models of the same server.

They go through the server's queues, have the deadline of the request that is being executed, and end with it.
"""
from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

from tensord.worker.requests import current
from tensord.worker.typeinfo import datatype_of

CALLS_AT_ONCE = 64


class CallFailed(RuntimeError):
    """Another model did not answer; the message says why."""


def call_sync(model: str, /, *, version: int | None = None, **inputs: Any) -> Any:
    """Calls a model and waits: its output, or a dict of them by name when there are several."""
    return _simplest(exchange(_request(), model, version, inputs))


async def call(model: str, /, *, version: int | None = None, **inputs: Any) -> Any:
    """The same without blocking the event loop."""
    import asyncio

    request = _request()
    loop = asyncio.get_running_loop()
    return _simplest(await loop.run_in_executor(executor(), exchange, request, model, version, inputs))


@cache
def executor() -> ThreadPoolExecutor:
    """Threads that wait for answers."""
    return ThreadPoolExecutor(CALLS_AT_ONCE, "calls")


def exchange(request: Any, model: str, version: int | None, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs by name, for a request that is being executed."""
    rows = [(name, *to_tensor(value)) for name, value in inputs.items()]
    try:
        answered = request.call(model, -1 if version is None else version, rows)
    except RuntimeError as error:
        raise CallFailed(f"model '{model}': {error}") from None
    return {name: from_tensor(datatype, shape, value) for name, datatype, shape, value in answered}


def _request() -> Any:
    request = current()
    if request is None:
        raise RuntimeError("tensord.call works within a request, on the thread or in the task that executes it")
    return request


def _simplest(outputs: dict[str, Any]) -> Any:
    return next(iter(outputs.values())) if len(outputs) == 1 else outputs


def to_tensor(value: Any) -> tuple[str, tuple[int, ...], Any]:
    """(datatype, shape, bytes) of an array, or of what numpy makes one."""
    import numpy

    if hasattr(value, "detach"):  # a tensor of torch's
        value = value.detach().cpu().numpy()
    array = value if isinstance(value, numpy.ndarray) else _array(value)
    if array.dtype.kind in "OSU":
        return "BYTES", array.shape, pack_bytes(array.ravel().tolist())
    datatype = datatype_of(array.dtype.name)
    array = numpy.ascontiguousarray(array) if array.ndim else array
    return datatype, array.shape, array.view(numpy.uint16) if datatype == "BF16" else array


def _array(value: Any) -> Any:
    import numpy

    if isinstance(value, (str, bytes)):
        return numpy.array([value], dtype=object)
    if isinstance(value, (bool, int, float)):
        return numpy.array([value])
    array = numpy.asarray(value)
    return array if array.dtype.kind not in "SU" else numpy.asarray(value, dtype=object)


def from_tensor(datatype: str, shape: tuple[int, ...], value: Any) -> Any:
    """A numpy array; of BYTES, one of bytes objects."""
    from tensord.worker.bridge import dtype, ndarray, objects

    return objects(value, shape) if datatype == "BYTES" else ndarray()(shape, dtype(datatype), value)


def pack_bytes(elements: list[Any]) -> bytes:
    """Elements of BYTES as they travel: each with its length before it."""
    packed = bytearray()
    for element in elements:
        data = element.encode() if isinstance(element, str) else bytes(element)
        packed += len(data).to_bytes(4, "little") + data
    return bytes(packed)
