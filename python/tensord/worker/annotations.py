"""From annotations to kinds of values. docs/python.md has the table for readers.

Types are told by their names, so that numpy, torch, PIL and pydantic are never imported for their own sake.
"""
from collections.abc import Iterable
from types import NoneType, UnionType
from typing import Any

from tensord.worker import kinds
from tensord.worker.kinds import Kind

_SCALARS = {int: "INT64", float: "FP64", bool: "BOOL"}
_DATATYPES = {
    "bool": "BOOL", "uint8": "UINT8", "uint16": "UINT16", "uint32": "UINT32", "uint64": "UINT64", "int8": "INT8",
    "int16": "INT16", "int32": "INT32", "int64": "INT64", "float16": "FP16", "float32": "FP32", "float64": "FP64",
    "bfloat16": "BF16", "half": "FP16", "float": "FP64", "double": "FP64", "int": "INT64", "object": "BYTES",
    "str": "BYTES", "bytes": "BYTES", "single": "FP32",
}
_ITERATORS = {"Iterator", "Iterable", "Generator", "AsyncIterator", "AsyncIterable", "AsyncGenerator"}


def datatype_of(named: Any) -> str:
    """The protocol's datatype for its own name, numpy's, torch's, or a type."""
    text = named if isinstance(named, str) else getattr(named, "__name__", None) or getattr(named, "name", None)
    text = text or str(named).rpartition(".")[2]  # torch.float32
    text = text.rstrip("_")
    if text.upper() in _DATATYPES.values():
        return text.upper()
    if text in _DATATYPES:
        return _DATATYPES[text]
    raise TypeError(f"there is no datatype {named!r}")


def _path(annotation: Any) -> str:
    return f"{getattr(annotation, '__module__', '')}.{getattr(annotation, '__qualname__', '')}"


def without_optional(annotation: Any) -> tuple[Any, bool]:
    """(T, True) of T | None; (the annotation, False) of all others."""
    is_union = isinstance(annotation, UnionType) or _path(getattr(annotation, "__origin__", None)) in (
        "typing.Union", "typing.Optional")
    if not is_union:
        return annotation, False
    rest = [one for one in annotation.__args__ if one is not NoneType]
    if len(rest) != 1:
        raise TypeError(f"a value is of one type: {annotation} is not understood")
    return rest[0], len(rest) < len(annotation.__args__)


def streamed(annotation: Any) -> tuple[Any, bool]:
    """(T, True) of Iterator[T] and its like; (the annotation, False) of all others."""
    origin = getattr(annotation, "__origin__", None)
    if getattr(origin, "__name__", "") in _ITERATORS and getattr(origin, "__module__", "") == "collections.abc":
        return annotation.__args__[0], True
    return annotation, False


def describe(annotation: Any, name: str) -> Kind:
    """The kind of the values of an annotation; their tensors have this name, or begin with it."""
    metadata = getattr(annotation, "__metadata__", None)
    if metadata:
        return _annotated(annotation.__origin__, metadata, name)
    kind = _plain(annotation, name)
    if kind is None:
        raise TypeError(f"'{name}': the type {annotation} is not understood; see docs/python.md")
    return kind


def _annotated(annotation: Any, metadata: tuple, name: str) -> Kind:
    """Annotated[np.ndarray, "FP32", (-1, 4)]: datatype and shape, in either order, each may be left out."""
    datatype, shape = None, None
    for item in metadata:
        if isinstance(item, (tuple, list)) and all(isinstance(dim, int) for dim in item):
            shape = list(item)
        else:
            datatype = datatype_of(item)
    path = _path(getattr(annotation, "__origin__", annotation))
    if path == "numpy.ndarray":
        return kinds.array(name, datatype or _datatype_within(annotation), shape)
    if path.startswith("torch.") and path.endswith("Tensor"):
        return kinds.torch_tensor(name, datatype or "FP32", shape)
    kind = describe(annotation, name)
    if len(kind.infos) == 1 and kind.infos[0].form == "buffer" and datatype:
        depth = 0 if kind.infos[0].any_rank else len(kind.infos[0].shape)
        kind = kinds.nested(name, datatype, depth)
    if shape and len(kind.infos) == 1:
        kind.infos[0].shape = shape
        kind.infos[0].any_rank = False
    return kind


def _datatype_within(annotation: Any) -> str:
    """FP32 of np.ndarray; that of NDArray[T], which is np.ndarray[…, np.dtype[T]]."""
    arguments = getattr(annotation, "__args__", ())
    inner = getattr(arguments[1], "__args__", ()) if len(arguments) > 1 else ()
    return datatype_of(inner[0]) if inner and isinstance(inner[0], type) else "FP32"


def _plain(annotation: Any, name: str) -> Kind | None:
    origin = getattr(annotation, "__origin__", annotation)
    path = _path(origin)
    if annotation in _SCALARS:
        return kinds.nested(name, _SCALARS[annotation], 0)
    if annotation is str:
        return kinds.text(name, 0, kinds.utf8)
    if annotation in (bytes, bytearray):
        return kinds.text(name, 0, None)
    if path == "numpy.ndarray":
        return kinds.array(name, _datatype_within(annotation))
    if path in ("torch.Tensor", "torch._tensor.Tensor"):
        return kinds.torch_tensor(name)
    if path == "PIL.Image.Image":
        return kinds.image(name)
    if path.startswith("numpy.") and isinstance(annotation, type):  # np.float32 and its like
        return kinds.nested(name, datatype_of(annotation), 0)
    if origin in (list, tuple) or path in ("collections.abc.Sequence", "typing.List", "typing.Sequence"):
        return _listed(annotation, name)
    return _structured(annotation, origin, name)


def _listed(annotation: Any, name: str) -> Kind:
    depth = 0
    inner = annotation
    while getattr(inner, "__args__", ()) and _is_list(inner):
        inner = inner.__args__[0]
        depth += 1
    if inner in _SCALARS:
        return kinds.nested(name, _SCALARS[inner], depth)
    if inner in (str, bytes):
        return kinds.text(name, depth, kinds.utf8 if inner is str else None)
    return kinds.document(name)


def _is_list(annotation: Any) -> bool:
    origin = annotation.__origin__
    variadic = origin is tuple and len(annotation.__args__) == 2 and annotation.__args__[1] is Ellipsis
    return origin is list or variadic or getattr(origin, "__name__", "") == "Sequence"


def _fields(items: Iterable[tuple[str, Any, bool]], prefix: str) -> dict[str, Kind]:
    """Kinds of fields, (name, annotation, may be left out)."""
    described = {}
    for field, annotation, optional in items:
        annotation, may_be_none = without_optional(annotation)
        described[field] = _field(annotation, prefix + field)
        for info in described[field].infos:
            info.optional = optional or may_be_none
    return described


def _field(annotation: Any, name: str) -> Kind:
    """A class within a class is a document: its tensors' names would have to be made up."""
    if hasattr(annotation, "model_fields") and hasattr(annotation, "model_validate"):
        return kinds.document(name, annotation.model_validate, lambda value: value.model_dump_json())
    if hasattr(annotation, "__dataclass_fields__"):
        return kinds.document(name, lambda loaded: annotation(**loaded), _dump_dataclass)
    return describe(annotation, name)


def _dump_dataclass(value: Any) -> str:
    import dataclasses
    import json

    return json.dumps(dataclasses.asdict(value))


def _structured(annotation: Any, origin: Any, name: str, prefix: str = "") -> Kind | None:
    """Classes with fields; what JSON has no tensors for."""
    if hasattr(annotation, "model_fields") and hasattr(annotation, "model_validate"):
        rows = [(n, _rebuilt(f), not f.is_required()) for n, f in annotation.model_fields.items()]
        return kinds.record(annotation, _fields(rows, prefix), errors=(ValueError,))
    if hasattr(annotation, "__dataclass_fields__"):
        types = hints(annotation)
        rows = [(n, types[n], _has_default(f)) for n, f in annotation.__dataclass_fields__.items() if f.init]
        return kinds.record(annotation, _fields(rows, prefix), errors=(TypeError, ValueError))
    if isinstance(annotation, type) and issubclass(annotation, tuple) and hasattr(annotation, "_fields"):
        types = hints(annotation)
        rows = [(n, types[n], n in annotation._field_defaults) for n in annotation._fields]
        return kinds.record(annotation, _fields(rows, prefix))
    if hasattr(annotation, "__required_keys__"):
        rows = [(n, t, n not in annotation.__required_keys__) for n, t in hints(annotation).items()]
        return kinds.record(dict, _fields(rows, prefix), lambda value, field: value[field])
    if origin in (dict, object) or annotation is Any or getattr(origin, "__name__", "") == "Mapping":
        return kinds.document(name)
    return None


def _rebuilt(field: Any) -> Any:
    """A field of pydantic's has its Annotated[…] taken apart."""
    metadata = tuple(item for item in field.metadata if isinstance(item, (str, tuple)))
    if not metadata:
        return field.annotation
    from typing import Annotated

    return Annotated[(field.annotation, *metadata)]


def _has_default(field: Any) -> bool:
    import dataclasses

    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING


def hints(target: Any) -> dict[str, Any]:
    """The annotations of a function or class, those that are text resolved."""
    found: dict[str, Any] = getattr(target, "__annotations__", {})
    if not isinstance(target, type) and not any(isinstance(value, str) for value in found.values()):
        return found
    from typing import get_type_hints

    return get_type_hints(target, include_extras=True)
