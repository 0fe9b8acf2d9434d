"""What serves: the shape that every loaded model has, whoever made it.

The worker's engine reads these attributes and calls these methods, and asks no more of an object than that.
"""
from typing import Any, Protocol


class TensorInfo:
    """An input or output: its name, the protocol's datatype ("FP32") and its shape, -1 for any size.

    form: how an input's value is handed to the model, and what is expected of an output
        "array"   a numpy array; of BYTES, an array of bytes objects
        "buffer"  an object with the buffer protocol: memoryview(x) has its format and shape
        "list"    of BYTES: a flat list of bytes objects
    any_rank: a tensor may have any number of dimensions; the shape is only what clients are told.
    """

    __slots__ = ("name", "datatype", "shape", "optional", "form", "any_rank")

    def __init__(self, name: str, datatype: str, shape: list[int] | tuple[int, ...], optional: bool = False,
                 form: str = "array", any_rank: bool = False) -> None:
        self.name, self.datatype, self.shape = name, datatype, list(shape)
        self.optional, self.form, self.any_rank = optional, form, any_rank

    def __repr__(self) -> str:
        return f"TensorInfo({self.name!r}, {self.datatype!r}, {self.shape!r})"


class Source:
    """What a worker is to load.

    path: the model's file or folder; name and version: the model's. engine: the format that the server has recognised, or
    the config names; None: neither. parameters, inputs, outputs and max_batch_size are its config's: empty, or -1 where
    that says nothing. threads: how many one execution may use, 0: the model decides.
    """

    def __init__(self, fields: dict[str, Any]) -> None:
        self.path: str = fields["path"]
        self.name: str = fields["name"]
        self.version: int = fields["version"]
        self.engine: str | None = fields["engine"]
        self.parameters: dict[str, str] = fields["parameters"]
        self.inputs = [TensorInfo(*row) for row in fields["inputs"]]
        self.outputs = [TensorInfo(*row) for row in fields["outputs"]]
        self.max_batch_size: int = fields["max_batch_size"]
        self.threads: int = fields["threads"]
        self.device: str = fields["device"]
        self.decoupled: bool = fields["decoupled"]


class Model(Protocol):
    """A loaded model. Beside these it may have the attributes call and start, which are described in Fast and Later."""

    platform: str  # "python", "sklearn", …
    inputs: list[TensorInfo]
    outputs: list[TensorInfo]
    batching: bool | str | None  # may requests be joined along the first dimension? None: the host finds out; "own": never
    max_batch_size: int  # rows; 0: no bound of the model's own
    concurrency: int  # executions at once, each on a thread of its own; 0 means 1
    streams: bool  # may answer a request several times

    def execute(self, inputs: dict[str, Any], request: Any) -> Any:
        """The outputs by name; of a model that streams, also an iterator of such dicts."""

    def unload(self) -> None:
        """Frees what the end of the process does not."""


class Fast(Model, Protocol):
    """A model that is called without dicts."""

    def call(self, *values: Any) -> Any:
        """One value for each input, None for one that was left out; gives the output, or a tuple of the outputs."""


class Later(Model, Protocol):
    """A model that schedules for itself."""

    def start(self, values: tuple[Any, ...], request: Any) -> None:
        """Begins; values as for call. request.answer(outputs, final) and request.fail(exception) answer, on any thread."""

    def cancel(self, request: Any) -> None:
        """The request is to end early, which is still told by one of these."""
