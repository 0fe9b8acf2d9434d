"""JSON documents as values of Python's, for what has no tensors of its own: lists of classes, classes within classes, dicts.

Clients use it, too, so that it runs on Python 3.9.
"""
from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Optional

from tensord.worker.typeinfo import hints, is_enum, is_pydantic, literals, path_of, plain, without_optional

Reader = Callable[[Any], Any]

# What JSON has of a type, for an error, and what it may be there.
_SCALARS = {str: ("a text", str), bool: ("true or false", bool), int: ("a whole number", int), float: ("a number", (int, float))}
# Types that are spelled as text: how it is read.
SPELLED = {
    "datetime.datetime": "fromisoformat", "datetime.date": "fromisoformat", "datetime.time": "fromisoformat",
    "uuid.UUID": "", "decimal.Decimal": "",
}


def spelled(annotation: Any) -> Optional[Reader]:
    """What reads the text of a date, a time, a UUID, a decimal; None for other types."""
    how = SPELLED.get(path_of(annotation))
    return None if how is None else getattr(annotation, how) if how else annotation


def reader(annotation: Any) -> Optional[Reader]:
    """What makes a value of an annotation of what json.loads gives, with ValueError or TypeError where it cannot; None
    where nothing is to be done. TypeError when JSON cannot hold such values."""
    annotation = plain(getattr(annotation, "__origin__", annotation) if hasattr(annotation, "__metadata__") else annotation)
    annotation, may_be_none = without_optional(annotation)
    read = _reader(annotation)
    if may_be_none and read is not None:
        inner = read
        return lambda value: None if value is None else inner(value)
    return read


def _reader(annotation: Any) -> Optional[Reader]:
    origin = getattr(annotation, "__origin__", annotation)
    if annotation is Any or annotation is object or type(annotation).__name__ == "TypeVar":
        return None
    if annotation in _SCALARS:
        return _scalar(*_SCALARS[annotation], annotation)
    if is_pydantic(annotation):
        return annotation.model_validate  # type: ignore[no-any-return]
    if choices := literals(annotation):
        return _choice(choices)
    if is_enum(annotation):
        return annotation  # type: ignore[no-any-return]
    if (read := spelled(annotation)) is not None:
        return read
    if path_of(annotation) == "numpy.ndarray":
        return _array
    return _collection(annotation, origin)


def _collection(annotation: Any, origin: Any) -> Optional[Reader]:
    arguments = getattr(annotation, "__args__", ())
    name = getattr(origin, "__name__", "")
    if origin is tuple and arguments and arguments[-1] is not Ellipsis:
        return _fixed([reader(one) for one in arguments])
    if origin in (list, tuple, set, frozenset) or name == "Sequence":
        return _items(origin if isinstance(origin, type) and name != "Sequence" else list, reader(arguments[0]) if arguments else None)
    if (fields := fields_of(origin)) is not None:
        return _record(origin, {field: reader(one) for field, one in fields.items()})
    if origin is dict or name in ("Mapping", "MutableMapping"):
        return _mapping(reader(arguments[1]) if len(arguments) == 2 else None)
    raise TypeError(f"the type {annotation} is not understood in a JSON document; see docs/python.md")


def fields_of(origin: Any) -> Optional[dict[str, Any]]:
    """The fields of a dataclass, named tuple or typed dict, and their types; None for others."""
    if not isinstance(origin, type):
        return None
    if hasattr(origin, "__dataclass_fields__"):
        types = hints(origin)
        return {name: types[name] for name, field in origin.__dataclass_fields__.items() if field.init}
    if issubclass(origin, tuple) and hasattr(origin, "_fields"):
        types = hints(origin)
        return {name: types.get(name, Any) for name in origin._fields}
    return hints(origin) if hasattr(origin, "__required_keys__") else None


def _expect(fits: bool, value: Any, what: str) -> None:
    if not fits:
        import json

        raise ValueError(f"it has {json.dumps(value)[:80]} where {what} is wanted")


def _scalar(what: str, types: Any, annotation: Any) -> Reader:
    def read(value: Any) -> Any:
        is_bool = isinstance(value, bool)  # which Python takes for a number
        _expect(isinstance(value, types) and is_bool == (annotation is bool), value, what)
        return float(value) if annotation is float else value

    return read


def _choice(choices: tuple) -> Reader:
    def read(value: Any) -> Any:
        if value not in choices:
            raise ValueError(f"{value!r:.80} is none of {', '.join(map(repr, choices))}")
        return value

    return read


def _array(value: Any) -> Any:
    import numpy

    return numpy.asarray(value, "float32")


def _items(make: Any, read: Optional[Reader]) -> Reader:
    def read_items(value: Any) -> Any:
        _expect(isinstance(value, list), value, "a list")
        return make(value if read is None else [read(item) for item in value])

    return read_items


def _fixed(readers: list[Optional[Reader]]) -> Reader:
    def read(value: Any) -> Any:
        _expect(isinstance(value, list) and len(value) == len(readers), value, f"a list of {len(readers)}")
        return tuple(item if one is None else one(item) for one, item in zip(readers, value))

    return read


def _mapping(read: Optional[Reader]) -> Reader:
    def read_mapping(value: Any) -> Any:
        _expect(isinstance(value, dict), value, "an object")
        return value if read is None else {key: read(item) for key, item in value.items()}

    return read_mapping


def _record(make: Any, readers: dict[str, Optional[Reader]]) -> Reader:
    def read(value: Any) -> Any:
        if isinstance(value, list) and hasattr(make, "_fields"):  # as JSON has a named tuple
            value = dict(zip(readers, value))
        _expect(isinstance(value, dict), value, f"an object of the fields {', '.join(readers)}")
        made = {}
        for name, item in value.items():
            one = readers.get(name)
            made[name] = item if one is None else one(item)
        return make(**made)

    return read


# ---- the other way ----


def dump(value: Any) -> str:
    """A value as JSON, ValueError or TypeError when it cannot be one."""
    import json

    if hasattr(value, "model_dump_json"):
        return value.model_dump_json()  # type: ignore[no-any-return]
    return json.dumps(value, default=_as_json)


def _as_json(value: Any) -> Any:
    """What stands in JSON for a value that json does not know."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if hasattr(value, "__dataclass_fields__"):
        return {name: getattr(value, name) for name in value.__dataclass_fields__}
    if hasattr(value, "detach"):  # a tensor of torch's
        value = value.detach().cpu()
    if hasattr(value, "tolist"):
        return value.tolist()
    if is_enum(type(value)):
        return value.value
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=repr)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if path_of(type(value)) in SPELLED:
        return str(value)
    core = sys.modules.get("pydantic_core")  # of a field of its own types
    if core is not None:
        return core.to_jsonable_python(value)
    raise TypeError(f"a JSON document cannot hold {type(value).__name__}")
