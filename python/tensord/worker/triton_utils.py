"""triton_python_backend_utils: what Triton's documentation says that a Python model may use, on this server."""
import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from tensord.worker import calls
from tensord.worker.requests import current

TRITONSERVER_REQUEST_FLAG_SEQUENCE_START = 1
TRITONSERVER_REQUEST_FLAG_SEQUENCE_END = 2
TRITONSERVER_RESPONSE_COMPLETE_FINAL = 1
TRITONSERVER_MEMORY_CPU, TRITONSERVER_MEMORY_CPU_PINNED, TRITONSERVER_MEMORY_GPU = 0, 1, 2

_NUMPY_OF = {
    "TYPE_BOOL": np.bool_, "TYPE_UINT8": np.uint8, "TYPE_UINT16": np.uint16, "TYPE_UINT32": np.uint32,
    "TYPE_UINT64": np.uint64, "TYPE_INT8": np.int8, "TYPE_INT16": np.int16, "TYPE_INT32": np.int32,
    "TYPE_INT64": np.int64, "TYPE_FP16": np.float16, "TYPE_FP32": np.float32, "TYPE_FP64": np.float64,
    "TYPE_STRING": np.object_,
}


class TritonModelException(Exception):
    """Something that the utilities refuse."""

    @property
    def tensord_sentence(self) -> str:
        """What the client is told: the message alone, as Triton does."""
        return str(self)


class TritonError:
    """Why one request of several failed."""

    UNKNOWN, INTERNAL, NOT_FOUND, INVALID_ARG, UNAVAILABLE, UNSUPPORTED, ALREADY_EXISTS, CANCELLED = range(8)

    def __init__(self, message: str, code: int = INTERNAL) -> None:
        self._message, self._code = str(message), code

    def message(self) -> str:
        """The sentence."""
        return self._message

    def code(self) -> int:
        """One of the constants."""
        return self._code

    def __str__(self) -> str:
        return self._message


# ---- tensors ----


class Tensor:
    """A tensor with a name."""

    def __init__(self, name: str, array: Any) -> None:
        if not isinstance(array, np.ndarray):
            raise TritonModelException(f"Tensor '{name}' needs a numpy array, not {type(array).__name__}")
        if array.dtype.kind in "SU":
            array = array.astype(object)
        self._name, self._array = name, array

    def name(self) -> str:
        """Its name."""
        return self._name

    def as_numpy(self) -> np.ndarray:
        """The array; one of bytes objects of TYPE_STRING."""
        return self._array

    def shape(self) -> list[int]:
        """The dimensions."""
        return list(self._array.shape)

    def triton_dtype(self) -> int:
        """The number of the config's data type."""
        return numpy_to_triton_type(self._array.dtype.type)

    def is_cpu(self) -> bool:
        """Always: tensors cross in shared memory."""
        return True

    def memory_type(self) -> int:
        """The memory's kind."""
        return TRITONSERVER_MEMORY_CPU

    def memory_type_id(self) -> int:
        """The memory's device."""
        return 0

    def to_dlpack(self) -> Any:
        """A DLPack capsule."""
        return self.__dlpack__()

    def __dlpack__(self, **options: Any) -> Any:
        array = self._array if self._array.flags.writeable else self._array.copy()
        return array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0

    @staticmethod
    def from_dlpack(name: str, exported: Any) -> "Tensor":
        """Of anything that exports DLPack, or of a capsule."""
        if hasattr(exported, "detach"):
            return Tensor(name, exported.detach().cpu().numpy())
        return Tensor(name, np.from_dlpack(exported if hasattr(exported, "__dlpack__") else _Capsule(exported)))


class _Capsule:
    """A capsule as numpy wants it: an object that gives it."""

    def __init__(self, capsule: Any) -> None:
        self.capsule = capsule

    def __dlpack__(self, **options: Any) -> Any:
        return self.capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0


def _find(tensors: Sequence[Tensor], name: str) -> Tensor | None:
    return next((tensor for tensor in tensors if tensor.name() == name), None)


def get_input_tensor_by_name(request: "InferenceRequest", name: str) -> Tensor | None:
    """The input of that name, or None."""
    return _find(request.inputs(), name)


def get_output_tensor_by_name(response: "InferenceResponse", name: str) -> Tensor | None:
    """The output of that name, or None."""
    return _find(response.output_tensors(), name)


# ---- requests and responses ----


class InferenceResponse:
    """Outputs, or an error."""

    def __init__(self, output_tensors: Sequence[Tensor] = (), error: TritonError | str | None = None,
                 parameters: str | None = None) -> None:
        self._outputs = list(output_tensors or ())
        self._error = TritonError(error) if isinstance(error, str) else error
        self._parameters = parameters

    def output_tensors(self) -> list[Tensor]:
        """The outputs."""
        return self._outputs

    def has_error(self) -> bool:
        """Has it failed?"""
        return self._error is not None

    def error(self) -> TritonError | None:
        """Why."""
        return self._error

    def parameters(self) -> str | None:
        """Its parameters, a JSON document."""
        return self._parameters


class PreferredMemory:
    """Where a caller wants its outputs; here they are always in the host's memory."""

    def __init__(self, preferred_memory_type: int, preferred_device_id: int = 0) -> None:
        self.type, self.device = preferred_memory_type, preferred_device_id


class InferenceRequest:
    """A request: one that came, or one that a model makes of another model (exec, async_exec)."""

    def __init__(self, model_name: str = "", requested_output_names: Sequence[str] = (), inputs: Sequence[Tensor] = (),
                 request_id: str = "", correlation_id: int = 0, model_version: int = -1, flags: int = 0, timeout: int = 0,
                 preferred_memory: PreferredMemory | None = None, trace: Any = None,
                 parameters: dict[str, Any] | None = None) -> None:
        self._model_name, self._version = model_name, model_version
        self._outputs, self._inputs = list(requested_output_names), list(inputs)
        self._id, self._correlation, self._flags, self._timeout = request_id, correlation_id, flags, timeout
        self._parameters, self._trace = parameters or {}, trace
        self._handle: Any = None  # of one that came

    def inputs(self) -> list[Tensor]:
        """The inputs."""
        return self._inputs

    def request_id(self) -> str:
        """The client's name of it."""
        return self._id

    def correlation_id(self) -> int:
        """The sequence that it is of."""
        return self._correlation

    def requested_output_names(self) -> list[str]:
        """What the client wants; all, when it is empty."""
        return self._outputs

    def model_name(self) -> str:
        """The model."""
        return self._model_name

    def model_version(self) -> int:
        """Its version; -1: the newest."""
        return self._version

    def flags(self) -> int:
        """Flags of sequences."""
        return self._flags

    def set_flags(self, flags: int) -> None:
        """Sets them."""
        self._flags = flags

    def timeout(self) -> int:
        """Microseconds; 0: none."""
        return self._timeout

    def trace(self) -> Any:
        """Its trace."""
        return self._trace

    def parameters(self) -> str:
        """Its parameters, a JSON document."""
        return json.dumps(self._parameters, separators=(",", ":"))

    def is_cancelled(self) -> bool:
        """Has the client gone, or the deadline passed?"""
        return self._handle.cancelled() if self._handle is not None else False

    def get_response_sender(self) -> "InferenceResponseSender":
        """What answers a request of a decoupled model."""
        if self._handle is None:
            raise TritonModelException("only a request that came has a response sender")
        return InferenceResponseSender(self)

    def exec(self, decoupled: bool = False) -> Any:
        """Asks the model and waits: its response, or with `decoupled` an iterator of its responses."""
        response = self._ask(current())
        return iter([response]) if decoupled else response

    async def async_exec(self, decoupled: bool = False) -> Any:
        """The same without blocking the event loop."""
        request = current()
        response = await asyncio.get_running_loop().run_in_executor(calls.executor(), self._ask, request)
        return iter([response]) if decoupled else response

    def _ask(self, request: Any) -> InferenceResponse:
        if request is None:
            raise TritonModelException("a model asks others while it executes a request")
        inputs = {tensor.name(): tensor.as_numpy() for tensor in self._inputs}
        try:
            outputs = calls.exchange(request, self._model_name, None if self._version < 0 else self._version, inputs)
        except calls.CallFailed as error:
            return InferenceResponse([], TritonError(str(error)))
        return InferenceResponse([Tensor(n, a) for n, a in outputs.items() if not self._outputs or n in self._outputs])


class InferenceResponseSender:
    """Answers a request of a decoupled model, as often as it likes, on any thread."""

    def __init__(self, request: InferenceRequest) -> None:
        self._request, self._closed = request, False

    def send(self, response: InferenceResponse | None = None, flags: int = 0) -> None:
        """Sends a response; with the flag FINAL it is the last, and may be left out."""
        from tensord.worker.triton import Failure, outputs_of

        final = bool(flags & TRITONSERVER_RESPONSE_COMPLETE_FINAL)
        if self._closed:
            raise TritonModelException("Unable to send response. Response sender has been closed.")
        if response is None and not final:
            raise TritonModelException("Inference Response object must be provided when the response flags is set to zero.")
        self._closed = final
        handle = self._request._handle
        if response is not None and response.has_error():
            self._closed = True
            handle.fail(Failure(response.error()))
        elif response is not None or final:
            handle.answer(outputs_of(response) if response is not None else None, final)

    def is_cancelled(self) -> bool:
        """Has the client gone?"""
        return self._request.is_cancelled()


# ---- configs and datatypes ----


def _config(model_config: str | dict[str, Any]) -> dict[str, Any]:
    return json.loads(model_config) if isinstance(model_config, str) else model_config


def _named(rows: list[dict[str, Any]], name: str) -> dict[str, Any] | None:
    return next((row for row in rows if row["name"] == name), None)


def get_input_config_by_name(model_config: str | dict[str, Any], name: str) -> dict[str, Any] | None:
    """What the config says of an input."""
    return _named(_config(model_config).get("input", []), name)


def get_output_config_by_name(model_config: str | dict[str, Any], name: str) -> dict[str, Any] | None:
    """What the config says of an output."""
    return _named(_config(model_config).get("output", []), name)


def using_decoupled_model_transaction_policy(model_config: str | dict[str, Any]) -> bool:
    """May a request have any number of answers?"""
    return bool(_config(model_config).get("model_transaction_policy", {}).get("decoupled", False))


def triton_string_to_numpy(triton_type_string: str) -> Any:
    """numpy's type of "TYPE_FP32"."""
    return _NUMPY_OF[triton_type_string]


def triton_to_numpy_type(data_type: int) -> Any:
    """numpy's type of the number of a data type."""
    return list(_NUMPY_OF.values())[data_type - 1]


def numpy_to_triton_type(numpy_type: Any) -> int:
    """The number of a data type of numpy's."""
    kinds = [np.dtype(one) for one in _NUMPY_OF.values()]
    wanted = np.dtype(numpy_type)
    return kinds.index(np.dtype(object) if wanted.kind in "SU" else wanted) + 1


def serialize_byte_tensor(array: np.ndarray) -> np.ndarray:
    """Elements as they travel: each with its length before it."""
    return np.asarray(calls.pack_bytes(array.ravel().tolist()), dtype=object)


def deserialize_bytes_tensor(data: bytes) -> np.ndarray:
    """The elements of such bytes."""
    elements, at = [], 0
    data = bytes(data)
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "little")
        elements.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return np.array(elements, dtype=object)


# ---- logs and metrics ----


class Logger:
    """Writes to the model's log."""

    INFO, WARNING, ERROR, VERBOSE = "INFO", "WARNING", "ERROR", "VERBOSE"

    @staticmethod
    def log(message: str, level: str = "INFO") -> None:
        """A line of one of the levels."""
        import _channel

        rank = {"VERBOSE": 0, "INFO": 1, "WARNING": 2, "ERROR": 3}.get(level, 1)
        _channel.log(rank, str(message))

    @classmethod
    def log_info(cls, message: str) -> None:
        """An INFO line."""
        cls.log(message, cls.INFO)

    @classmethod
    def log_warn(cls, message: str) -> None:
        """A WARNING line."""
        cls.log(message, cls.WARNING)

    @classmethod
    def log_error(cls, message: str) -> None:
        """An ERROR line."""
        cls.log(message, cls.ERROR)

    @classmethod
    def log_verbose(cls, message: str) -> None:
        """A line for those who look for it."""
        cls.log(message, cls.VERBOSE)


class Metric:
    """A number that the model counts; it is the model's own to read."""

    def __init__(self, labels: dict[str, str] | None = None, buckets: Sequence[float] = ()) -> None:
        self.labels, self.buckets, self._value = labels or {}, buckets, 0.0

    def increment(self, value: float) -> None:
        """Adds."""
        self._value += value

    def set(self, value: float) -> None:
        """Replaces."""
        self._value = value

    def observe(self, value: float) -> None:
        """Counts an observation."""
        self._value += value

    def value(self) -> float:
        """What it is now."""
        return self._value


class MetricFamily:
    """Metrics of one name. They are not shown among the server's."""

    COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"

    def __init__(self, name: str, description: str = "", kind: str = COUNTER) -> None:
        self.name, self.description, self.kind = name, description, kind

    def Metric(self, labels: dict[str, str] | None = None, buckets: Sequence[float] = ()) -> Metric:  # noqa: N802
        """A metric with labels."""
        return Metric(labels, buckets)


def is_model_ready(model_name: str, model_version: str = "") -> bool:
    """Not known to a worker: others are asked by exec, which waits until they are loaded."""
    raise TritonModelException("is_model_ready is not supported by this server")


def load_model(model_name: str, files: Any = None) -> None:
    """Not a worker's to do."""
    raise TritonModelException("load_model is not supported by this server")


unload_model = load_model


__all__ = [name for name in dir(sys.modules[__name__]) if not name.startswith("_") and name not in (
    "np", "sys", "json", "asyncio", "calls", "current", "Any", "Sequence")]
