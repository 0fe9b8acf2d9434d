"""How a deployed function's arguments become inputs, and outputs become what its annotations say it returns.

The other side of tensord.worker's annotations: a class with fields has a tensor for each, what JSON holds and tensors do not
is a document, a tuple is several outputs. What is not annotated has the kind of the inputs.
"""
from __future__ import annotations

import importlib
import inspect
import io
import json
import typing
from typing import Any, Callable, Mapping, Optional, Sequence

from tensord.client import arrays, datatypes
from tensord.client.datatypes import Tensor, TensorInfo

_STREAMS = ("Iterator", "Iterable", "Generator", "AsyncIterator", "AsyncIterable", "AsyncGenerator")
_UNKNOWN = inspect.Signature.empty


class Signature:
    """What a function, or a class with predict or __call__, takes and returns."""

    def __init__(self, target: Callable) -> None:
        if inspect.isclass(target):
            method = getattr(target, "predict", None) or target.__call__
            self.signature = inspect.signature(method)
            self.signature = self.signature.replace(parameters=list(self.signature.parameters.values())[1:])
        else:
            method = target
            self.signature = inspect.signature(method)
        try:
            hints = typing.get_type_hints(method)
        except Exception:  # whatever a name in an annotation may raise
            hints = {}
        self.hints = hints
        self.returns = _without_stream(hints.get("return", _UNKNOWN))

    def inputs(self, values: Sequence[Any], named: Mapping[str, Any], infos: Sequence[TensorInfo]) -> dict[str, Any]:
        """The inputs by name, for a call; arguments that have their defaults are left out. TypeError as of any call."""
        arguments = self.signature.bind(*values, **named).arguments
        known = {info.name: info for info in infos}
        given: dict[str, Any] = {}
        for name, value in arguments.items():
            if value is None:
                continue
            if name not in known and (isinstance(value, dict) or arrays.is_record(value)):
                given.update((field, one) for field, one in arrays.fields_of(value).items() if one is not None)
            else:
                given[name] = self._stand_in(value, name, known.get(name))
        return given

    def _stand_in(self, value: Any, name: str, info: Optional[TensorInfo]) -> Any:
        """What goes for a value that is no tensor and stands as a text, a number, or a JSON document."""
        from tensord.worker import documents, typeinfo

        if typeinfo.is_enum(type(value)):
            return value.value
        if documents.spelled(type(value)) is not None:
            return value.isoformat() if hasattr(value, "isoformat") else str(value)
        is_document = info is not None and info.datatype == "BYTES" and tuple(info.shape) == (1,)
        if is_document and isinstance(value, (list, tuple, set, frozenset, dict)) and self.hints.get(name) not in (str, bytes):
            return documents.dump(value)
        return value

    def result(self, outputs: Sequence[Tensor], otherwise: Callable[[], Any]) -> Any:
        """What the function returns, of its outputs; `otherwise` makes it where no annotation says how."""
        if self.returns is type(None) and not outputs:
            return None
        if self.returns is _UNKNOWN or self.returns is None:
            return otherwise()
        queue = list(outputs)
        value = _take(self.returns, queue)
        return otherwise() if value is _UNKNOWN or queue else value


def _without_stream(annotation: Any) -> Any:
    origin = getattr(annotation, "__origin__", None)
    if getattr(origin, "__name__", "") in _STREAMS and getattr(annotation, "__args__", None):
        return annotation.__args__[0]
    return annotation


def _without_none(annotation: Any) -> Any:
    """T of T | None."""
    if getattr(annotation, "__origin__", None) is not typing.Union and type(annotation).__name__ != "UnionType":
        return annotation
    rest = [one for one in annotation.__args__ if one is not type(None)]
    return rest[0] if len(rest) == 1 else annotation


def _path(annotation: Any) -> str:
    return f"{getattr(annotation, '__module__', '')}.{getattr(annotation, '__qualname__', '')}"


def _take(annotation: Any, queue: list) -> Any:
    """The value of an annotation, of as many outputs as it has; _UNKNOWN when that cannot be told."""
    annotation = _without_none(annotation)
    origin = getattr(annotation, "__origin__", None) or annotation
    if origin is tuple and annotation.__args__[-1:] != (...,) and hasattr(annotation, "__args__"):
        return tuple(_take(one, queue) for one in annotation.__args__)
    fields = _fields(origin)
    if fields is not None:
        return origin(**{name: _field(one, queue) for name, one in fields.items()})
    return _one(annotation, origin, queue.pop(0)) if queue else _UNKNOWN


def _fields(origin: Any) -> Optional[dict[str, Any]]:
    """The fields of a class that has some, and their types; None for others."""
    if not isinstance(origin, type):
        return None
    if hasattr(origin, "model_fields"):
        return {name: field.annotation for name, field in origin.model_fields.items()}
    if not (hasattr(origin, "__dataclass_fields__") or hasattr(origin, "_fields") or hasattr(origin, "__required_keys__")):
        return None
    hints = typing.get_type_hints(origin)
    names = getattr(origin, "__dataclass_fields__", None) or getattr(origin, "_fields", None) or hints
    return {name: hints[name] for name in names}


def _field(annotation: Any, queue: list) -> Any:
    """A field's value; a class within a class is a document."""
    within = _fields(_without_none(getattr(annotation, "__origin__", None) or annotation))
    if within is None:
        return _take(annotation, queue)
    return _document(annotation, queue.pop(0))


def _one(annotation: Any, origin: Any, tensor: Tensor) -> Any:
    """The value of one output."""
    path = _path(origin)
    if path == "numpy.ndarray":
        return arrays.decode(tensor, "numpy")
    if path.startswith("torch.") and path.endswith("Tensor"):
        return arrays.decode(tensor, "torch")
    if path == "PIL.Image.Image":
        return importlib.import_module("PIL.Image").open(io.BytesIO(_bytes(tensor)))
    if annotation is bytes:
        return _bytes(tensor)
    if annotation is str:
        return _text(tensor)
    if annotation in (int, float, bool) or (path.startswith("numpy.") and isinstance(annotation, type)):
        value = datatypes.unpack(tensor.data, tensor.datatype)[0]
        return value if annotation in (int, float, bool) else annotation(value)
    if (choice := _chosen(annotation)) is not None:
        return choice(datatypes.unpack(tensor.data, tensor.datatype)[0])
    if _is_list_of_images(annotation):
        image = importlib.import_module("PIL.Image")
        return [image.open(io.BytesIO(one.encode() if isinstance(one, str) else one)) for one in datatypes.unpack_bytes(tensor.data)]
    if tensor.datatype == "BYTES" and not _is_list_of_text(annotation):
        return _document(annotation, tensor)
    if origin in (list, tuple) or getattr(origin, "__name__", "") == "Sequence":
        return arrays.decode(tensor, "list")
    return _UNKNOWN


def _document(annotation: Any, tensor: Tensor) -> Any:
    """The value of a JSON document."""
    from tensord.worker.documents import reader

    loaded = json.loads(_text(tensor))
    try:
        read = reader(annotation)
    except TypeError:  # as JSON has it, then
        read = None
    return read(loaded) if read else loaded


def _chosen(annotation: Any) -> Optional[Callable[[Any], Any]]:
    """What makes a value of a type that stands as one text or number: of a named constant, a date, a UUID; else None."""
    from tensord.worker import documents, typeinfo

    if typeinfo.literals(annotation) or typeinfo.is_enum(annotation):
        return documents.reader(annotation)
    return documents.spelled(annotation)


def _is_list_of_images(annotation: Any) -> bool:
    inner = getattr(annotation, "__args__", None)
    return bool(inner) and getattr(annotation, "__origin__", None) is list and _path(inner[0]) == "PIL.Image.Image"


def _is_list_of_text(annotation: Any) -> bool:
    while getattr(annotation, "__args__", None):
        origin, arguments = annotation.__origin__, annotation.__args__
        if not (origin in (list, tuple) or getattr(origin, "__name__", "") == "Sequence") or arguments[1:] not in ((), (...,)):
            return False
        annotation = arguments[0]
    return annotation in (str, bytes)


def _bytes(tensor: Tensor) -> bytes:
    element = datatypes.unpack_bytes(tensor.data)[0]
    return element.encode() if isinstance(element, str) else element


def _text(tensor: Tensor) -> str:
    return _bytes(tensor).decode("utf-8", "surrogateescape")
