"""A format, and what the formats' models have in common.

The plan of an environment imports these modules with nothing but the standard library: frameworks, numpy included, are
imported where a model is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tensord.worker.model import Model, Source, TensorInfo


class Format:
    """A kind of model files, and what serves them."""

    name = ""  # as a config's `backend` names it, and src/repository/format.c
    code = True  # loading runs code in the files
    endings: tuple[str, ...] = ()  # of files that are such a model
    packages: tuple[str, ...] = ()  # what a model needs when nothing beside it says more

    def recognises(self, path: Path) -> bool:
        """Whether a file of such an ending is one of these: where others have that ending too, by its first bytes."""
        return True

    def requirements(self, path: Path) -> list[str]:
        """What an environment for the model needs, as lines of a requirements file."""
        return list(self.packages)

    def load(self, path: Path, source: Source) -> Model:
        """Loads the model, in a worker."""
        raise NotImplementedError

    def file(self, path: Path) -> Path:
        """The model's file: path itself, whatever it is called; or in that folder model.… or the only one of such an ending."""
        if path.is_file():
            return path
        found = [one for one in sorted(path.iterdir()) if one.name.endswith(self.endings) and one.is_file()]
        found = [one for one in found if not one.name.startswith(".") and self.recognises(one)]
        named = [one for one in found if one.stem == "model"]
        if not named and len(found) != 1:
            raise FileNotFoundError(f"there is no single file of the format {self.name}, nor one called model{self.endings[0]}")
        return (named or found)[0]


def begins(path: Path, head: bytes) -> bool:
    """Whether the file's first bytes are these."""
    with path.open("rb") as file:
        return file.read(len(head)) == head


class Functions:
    """A model of functions over the same inputs, one for each output: predict, predict_proba, …

    Each takes the inputs' arrays and gives an array. Outputs that are not described are described by what the functions
    make of an example.
    """

    max_batch_size = 0
    concurrency = 1
    streams = False

    def __init__(self, platform: str, inputs: list[TensorInfo], functions: dict[str, Callable[..., Any]],
                 outputs: list[TensorInfo] | None = None, example: Sequence[Any] = (),
                 batching: bool | None = True) -> None:
        self.platform, self.inputs, self.functions, self.batching = platform, inputs, functions, batching
        self.outputs = outputs or [describe(name, function(*example)) for name, function in functions.items()]

    def call(self, *values: Any) -> Any:
        """One value for each input; gives a tuple of the outputs, or the only one."""
        made = tuple(function(*values) for function in self.functions.values())
        return made if len(made) != 1 else made[0]

    def execute(self, inputs: dict[str, Any], request: Any) -> dict[str, Any]:
        """The outputs by name."""
        values = [inputs.get(info.name) for info in self.inputs]
        return {name: function(*values) for name, function in self.functions.items()}

    def unload(self) -> None:
        """Nothing is left to do."""


# numpy's kinds and sizes of datatypes, in the protocol's.
_DATATYPES = {"b1": "BOOL", "f2": "FP16", "f4": "FP32", "f8": "FP64"}


def datatype_of(dtype: Any) -> str:
    """The protocol's name of a datatype of numpy's; what is no number is text."""
    kind = f"{dtype.kind}{dtype.itemsize}"
    if dtype.kind in "iu":
        return f"{'U' if dtype.kind == 'u' else ''}INT{dtype.itemsize * 8}"
    return _DATATYPES.get(kind, "BYTES")


def describe(name: str, value: Any, rows: bool = True) -> TensorInfo:
    """The output that such a value is; its first dimension may have any size."""
    import numpy

    array = numpy.asarray(value)
    shape = list(array.shape) or [1]
    return TensorInfo(name, datatype_of(array.dtype), [-1, *shape[1:]] if rows else shape)


def texts(array: Any) -> Any:
    """The text of a BYTES array, an array of str."""
    import numpy

    from tensord.worker.errors import BadRequest

    made = numpy.empty(array.size, dtype=object)
    try:
        made[:] = [one.decode() for one in array.ravel().tolist()]
    except UnicodeDecodeError:
        raise BadRequest("text must be UTF-8") from None
    return made.reshape(array.shape)
