"""From annotations to kinds of values. docs/python.md has the table for readers."""
from collections.abc import Iterable
from typing import Any

from tensord.worker import documents, kinds
from tensord.worker.kinds import Kind
from tensord.worker.typeinfo import (
    datatype_of,
    hints,
    is_enum,
    is_pydantic,
    literals,
    path_of,
    plain,
    without_optional,
)

_SCALARS = {int: "INT64", float: "FP64", bool: "BOOL"}


def describe(annotation: Any, name: str) -> Kind:
    """The kind of the values of an annotation; their tensors have this name, or begin with it."""
    annotation = plain(annotation)
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
    annotation = plain(annotation)
    path = path_of(annotation)
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
    path = path_of(annotation)
    if annotation in _SCALARS:
        return kinds.nested(name, _SCALARS[annotation], 0)
    if annotation is str:
        return kinds.text(name, 0, kinds.utf8)
    if annotation in (bytes, bytearray):
        return kinds.text(name, 0, None if annotation is bytes else bytearray)
    if path == "numpy.ndarray":
        datatype = _datatype_within(annotation)
        return kinds.words(name) if datatype == "BYTES" and _is_text(annotation) else kinds.array(name, datatype)
    if path in ("torch.Tensor", "torch._tensor.Tensor"):
        return kinds.torch_tensor(name)
    if path == "PIL.Image.Image":
        return kinds.image(name)
    if path.startswith("numpy.") and isinstance(annotation, type):  # np.float32 and its like
        return kinds.nested(name, datatype_of(annotation), 0)
    if (kind := _constants(annotation, name)) is not None:
        return kind
    if (read := documents.spelled(annotation)) is not None:
        return kinds.converted(kinds.text(name, 0, kinds.utf8), read, lambda value: documents.dump(value).strip('"'))
    if origin in (list, tuple) or path in ("collections.abc.Sequence", "typing.List", "typing.Sequence"):
        return _listed(annotation, name)
    return _structured(annotation, origin, name)


def _constants(annotation: Any, name: str) -> Kind | None:
    """Literal["a", "b"], and classes of named constants: texts, or numbers, of which only these are taken."""
    if choices := literals(annotation):
        read = documents.reader(annotation)
        values, give = list(choices), None
    elif is_enum(annotation):
        read = annotation
        values, give = [one.value for one in annotation], lambda one: one.value
    else:
        return None
    for base in (str, bool, int, float):
        if values and all(type(value) is base or base is str and isinstance(value, str) for value in values):
            return kinds.converted(describe(base, name), read, give)
    raise TypeError(f"'{name}': {annotation} has values of several types, which no tensor has")


def _is_text(annotation: Any) -> bool:
    """Is it NDArray[np.str_]?"""
    return "numpy.str_" in repr(annotation)


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
    if path_of(inner) == "PIL.Image.Image" and depth == 1:
        return kinds.images(name)
    return kinds.document(name, documents.reader(annotation))


def _is_list(annotation: Any) -> bool:
    origin = annotation.__origin__
    variadic = origin is tuple and len(annotation.__args__) == 2 and annotation.__args__[1] is Ellipsis
    return origin is list or variadic or getattr(origin, "__name__", "") == "Sequence"


def _fields(items: Iterable[tuple[str, Any, bool]], prefix: str = "", by_pydantic: bool = False) -> dict[str, Kind]:
    """Kinds of fields, (name, annotation, has a default). pydantic itself reads what has no tensor, from JSON."""
    described = {}
    for field, annotation, optional in items:
        annotation, may_be_none = without_optional(annotation)
        try:
            kind = _field(annotation, prefix + field)
        except TypeError:
            if not by_pydantic:
                raise
            kind = kinds.document(prefix + field)
        kind.nullable = may_be_none and not optional
        for info in kind.infos:
            info.optional = optional or may_be_none
        described[field] = kind
    return described


def _field(annotation: Any, name: str) -> Kind:
    """A class within a class is a document: its tensors' names would have to be made up."""
    if is_pydantic(annotation) or documents.fields_of(annotation) is not None:
        return kinds.document(name, documents.reader(annotation))
    return describe(annotation, name)


def _structured(annotation: Any, origin: Any, name: str) -> Kind | None:
    """Classes with fields; what JSON has no tensors for."""
    if is_pydantic(annotation):
        rows = [(n, _rebuilt(f), not f.is_required()) for n, f in annotation.model_fields.items()]
        return kinds.record(_by_names(annotation), _fields(rows, by_pydantic=True), errors=(ValueError,))
    if hasattr(annotation, "__dataclass_fields__"):
        types = hints(annotation)
        rows = [(n, types[n], _has_default(f)) for n, f in annotation.__dataclass_fields__.items() if f.init]
        return kinds.record(annotation, _fields(rows), errors=(TypeError, ValueError))
    if isinstance(annotation, type) and issubclass(annotation, tuple) and hasattr(annotation, "_fields"):
        types = hints(annotation)
        rows = [(n, types.get(n, Any), n in annotation._field_defaults) for n in annotation._fields]
        return kinds.record(annotation, _fields(rows))
    if hasattr(annotation, "__required_keys__"):
        rows = [(n, t, n not in annotation.__required_keys__) for n, t in hints(annotation).items()]
        return kinds.record(dict, _fields(rows), lambda value, field: value[field])
    if origin in (dict, object) or annotation is Any or getattr(origin, "__name__", "") == "Mapping":
        return kinds.document(name, documents.reader(annotation))
    return None


def _by_names(model: Any) -> Any:
    """Makes one of pydantic's models of its fields by their own names, whatever aliases they have."""
    keys = {}
    for name, field in model.model_fields.items():
        alias = getattr(field, "validation_alias", None) or field.alias
        keys[name] = alias if isinstance(alias, str) else name
    return lambda **values: model.model_validate({keys[name]: value for name, value in values.items()})


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
