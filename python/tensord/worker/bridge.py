"""What the extension calls, by these names (engines/python/python.h).

Nothing here imports more than it must: a worker's cold start is the interpreter's own, and little else.
"""
import os
import sys
from typing import Any

from tensord.worker.model import Model, Source, TensorInfo

INVALID_ARGUMENT, UNAVAILABLE, UNSUPPORTED, INTERNAL, CANCELLED = range(1, 6)

# What may go well another time: a device that is still full, a file system that does not answer. All else is the code's.
_PASSING = (MemoryError, OSError, RuntimeError)
_LASTING = (FileNotFoundError, PermissionError, NotImplementedError, RecursionError)

_OWN_FILES = (os.path.dirname(__file__) + os.sep, "<frozen ")

# Datatypes and numpy's names of them; BF16 is ml_dtypes' where that is installed.
_NUMPY = {
    "BOOL": "bool", "UINT8": "uint8", "UINT16": "uint16", "UINT32": "uint32", "UINT64": "uint64", "INT8": "int8",
    "INT16": "int16", "INT32": "int32", "INT64": "int64", "FP16": "float16", "FP32": "float32", "FP64": "float64",
}


def load(source: dict[str, Any]) -> Model:
    """Loads the model that the source names."""
    from tensord.worker.load import load as load_source

    # The descriptors are pipes to the log now, whatever they were when the interpreter started.
    sys.stdout = sys.__stdout__ = open(1, "w", 1, "utf-8", "backslashreplace", closefd=False)
    sys.stderr = sys.__stderr__ = open(2, "w", 1, "utf-8", "backslashreplace", closefd=False)
    _set_threads(source["threads"])
    try:
        return load_source(Source(source))
    except BaseException as error:
        if not isinstance(error, _PASSING) or isinstance(error, _LASTING):
            error.tensord_status = UNSUPPORTED  # type: ignore[attr-defined]
        raise


def _set_threads(count: int) -> None:
    """What numeric libraries read when they are loaded."""
    if count:
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ.setdefault(name, str(count))


def failed(error: BaseException | None, request: Any) -> tuple[int, str]:
    """The status and the sentence of an exception; its traceback goes to the log."""
    import traceback

    if error is None:
        return INTERNAL, "the model raised an exception that cannot be told"
    status = getattr(error, "tensord_status", INTERNAL)
    if isinstance(error, GeneratorExit) or type(error).__name__ == "CancelledError":
        return CANCELLED, "the request was cancelled"
    try:
        text = str(error)
        sentence = getattr(error, "tensord_sentence", None) or type(error).__name__ + (f": {text}" if text else "")
    except Exception:  # its own __str__ raises
        sentence = type(error).__name__
    if status != INVALID_ARGUMENT:  # the client's mistakes are no news
        print("".join(traceback.format_exception(type(error), error, _of_model(error))), end="", file=sys.stderr, flush=True)
    if request is not None and _wants_traceback(request):
        sentence += _places(error)
    return status, sentence


def _of_model(error: BaseException) -> Any:
    """The traceback from where the model's own code begins."""
    inner = error.__traceback__
    while inner is not None and inner.tb_frame.f_code.co_filename.startswith(_OWN_FILES):
        inner = inner.tb_next
    return inner


def _wants_traceback(request: Any) -> bool:
    try:
        return request.parameters.get("traceback", "").lower() in ("1", "true")
    except RuntimeError:
        return False


def _places(error: BaseException) -> str:
    """Where it was raised, the innermost place first: an error's sentence has room for a few."""
    import traceback

    frames = traceback.extract_tb(_of_model(error))
    places = [f"{os.path.basename(f.filename)}:{f.lineno} in {f.name}: {f.line}" for f in reversed(frames)]
    return "".join(f"\n  {place}" for place in places)


def flush() -> None:
    """What was printed leaves Python's buffers."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


def ndarray() -> type:
    """numpy's array type."""
    import numpy

    return numpy.ndarray


def dtype(datatype: str) -> Any:
    """numpy's datatype."""
    import numpy

    if datatype == "BF16":
        ml_dtypes = sys.modules.get("ml_dtypes")
        return numpy.dtype(ml_dtypes.bfloat16 if ml_dtypes else "uint16")
    return numpy.dtype(_NUMPY.get(datatype, "object"))


def objects(values: list[bytes], shape: tuple[int, ...]) -> Any:
    """A BYTES tensor as numpy has it: an array of bytes objects."""
    import numpy

    array = numpy.empty(len(values), dtype=object)
    array[:] = values
    return array.reshape(shape)


def coerce(value: Any, info: TensorInfo) -> Any:
    """A value that is not what the schema says already, made so: a buffer; of BYTES, (shape, list of bytes)."""
    from tensord.worker.values import to_bytes, to_numbers

    return to_bytes(value, info) if info.datatype == "BYTES" else to_numbers(value, info)
