"""What an annotation says, told by the names of types: numpy, torch, PIL and pydantic are never imported for their own sake.

Clients use it, too, so that it runs on Python 3.9.
"""
from __future__ import annotations

from typing import Any

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


def path_of(annotation: Any) -> str:
    """A type's module and name, "numpy.ndarray"; of list[T], that of list."""
    origin = getattr(annotation, "__origin__", annotation)
    return f"{getattr(origin, '__module__', '')}.{getattr(origin, '__qualname__', '')}"


def plain(annotation: Any) -> Any:
    """What a NewType, or an alias made by `type`, stands for."""
    while True:
        inner = getattr(annotation, "__supertype__", None)
        if inner is None and type(annotation).__name__ == "TypeAliasType":
            inner = annotation.__value__
        if inner is None:
            return annotation
        annotation = inner


def without_optional(annotation: Any) -> tuple[Any, bool]:
    """(T, True) of T | None; (the annotation, False) of all others."""
    is_union = type(annotation).__name__ == "UnionType" or "typing.Union" in (
        path_of(annotation), str(getattr(annotation, "__origin__", "")))
    if not is_union:
        return annotation, False
    rest = [one for one in annotation.__args__ if one is not type(None)]
    if len(rest) != 1:
        raise TypeError(f"a value is of one type: {annotation} is not understood")
    return rest[0], len(rest) < len(annotation.__args__)


def streamed(annotation: Any) -> tuple[Any, str]:
    """(T, "Iterator") of Iterator[T] and its like; (the annotation, "") of all others."""
    origin = getattr(annotation, "__origin__", None)
    name = getattr(origin, "__name__", "")
    if name in _ITERATORS and getattr(origin, "__module__", "") == "collections.abc":
        return annotation.__args__[0], name
    return annotation, ""


def literals(annotation: Any) -> tuple:
    """The values of Literal["a", "b"]; none for all others."""
    return tuple(annotation.__args__) if str(getattr(annotation, "__origin__", "")) == "typing.Literal" else ()


def is_pydantic(annotation: Any) -> bool:
    """Is it one of pydantic's models?"""
    return hasattr(annotation, "model_fields") and hasattr(annotation, "model_validate")


def is_enum(annotation: Any) -> bool:
    """Is it a class of named constants?"""
    return isinstance(annotation, type) and hasattr(annotation, "__members__")


def hints(target: Any) -> dict[str, Any]:
    """The annotations of a function or class, those that are text resolved."""
    found: dict[str, Any] = getattr(target, "__annotations__", {})
    if not isinstance(target, type) and not any(isinstance(value, str) for value in found.values()):
        return found
    from typing import get_type_hints

    return get_type_hints(target, include_extras=True)
