"""How a type of Python's travels: which tensors stand for a value of it, and both ways between them.

A Kind has the descriptions of its tensors, and two functions: take makes a value of what came, give what is sent of a
value. Either is None where nothing has to be done.
"""
from collections.abc import Callable, Sequence
from typing import Any

from tensord.worker.errors import BadRequest
from tensord.worker.model import TensorInfo

# Formats of the struct module, by datatype: what memoryview can unpack without numpy.
FORMATS = {
    "BOOL": "?", "UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q", "INT8": "b", "INT16": "h", "INT32": "i",
    "INT64": "q", "FP32": "f", "FP64": "d",
}


class Kind:
    """A type of values; see the module."""

    def __init__(self, infos: Sequence[TensorInfo], take: Callable[..., Any] | None = None,
                 give: Callable[[Any], Any] | None = None) -> None:
        self.infos, self.take, self.give = list(infos), take, give
        self.is_record = False  # its tensors have names of their own
        self.nullable = False  # what is left out is None


def array(name: str, datatype: str = "FP32", shape: Sequence[int] | None = None) -> Kind:
    """A numpy array; without a shape, of any."""
    return Kind([TensorInfo(name, datatype, [-1] if shape is None else shape, any_rank=shape is None)])


def nested(name: str, datatype: str, depth: int) -> Kind:
    """A list of numbers, or a list of such lists; a number when the depth is 0."""
    info = TensorInfo(name, datatype, [-1] * depth if depth else [1], form="buffer", any_rank=depth == 0)

    def take(value: Any) -> Any:
        return memoryview(value).tolist() if datatype in FORMATS else _by_numpy(value, datatype).tolist()

    def take_one(value: Any) -> Any:
        items = memoryview(value)
        if items.nbytes != items.itemsize:
            raise BadRequest(f"input '{name}' must have one element")
        return items.cast("B").cast(FORMATS[datatype])[0] if datatype in FORMATS else take(value)[0]

    return Kind([info], take if depth else take_one)


def _by_numpy(value: Any, datatype: str) -> Any:
    """An array of small floats, which memoryview cannot read."""
    import numpy

    if datatype == "BF16":
        return (numpy.asarray(memoryview(value).cast("B")).view("<u2").astype("<u4") << 16).view("<f4").reshape(
            memoryview(value).shape)
    return numpy.asarray(value)


def converted(kind: Kind, read: Callable[[Any], Any], give: Callable[[Any], Any] | None) -> Kind:
    """A kind of one element that stands for a value of another type; read raises ValueError where it stands for none."""
    inner, (info,) = kind.take, kind.infos

    def take(value: Any) -> Any:
        try:
            return read(inner(value) if inner else value)
        except (ValueError, ArithmeticError) as error:
            raise BadRequest(f"input '{info.name}': {error}") from None

    return Kind(kind.infos, take, give)


def words(name: str) -> Kind:
    """A numpy array of texts."""

    def take(value: Any) -> Any:
        import numpy

        try:
            return numpy.array([utf8(element) for element in value.ravel().tolist()], dtype=numpy.str_).reshape(value.shape)
        except ValueError as error:
            raise BadRequest(f"input '{name}': {error}") from None

    return Kind([TensorInfo(name, "BYTES", [-1], any_rank=True)], take)


def text(name: str, depth: int, decode: Callable[[bytes], Any] | None) -> Kind:
    """A str or bytes (or what decode makes of it), a list of such, or a list of lists."""
    form = "list" if depth < 2 else "array"
    info = TensorInfo(name, "BYTES", [-1] * depth if depth else [1], form=form, any_rank=depth == 0)

    def decoded(element: bytes) -> Any:
        try:
            return decode(element) if decode else element
        except ValueError as error:
            raise BadRequest(f"input '{name}': {error}") from None

    def take_one(value: list[bytes]) -> Any:
        if len(value) != 1:
            raise BadRequest(f"input '{name}' must have one element")
        return decoded(value[0])

    def take_list(value: list[bytes]) -> Any:
        return [decoded(element) for element in value] if decode else value

    def take_lists(value: Any) -> Any:
        return _map(decoded, value.tolist(), depth)

    return Kind([info], (take_one, take_list, take_lists)[min(depth, 2)])


def _map(function: Callable[[Any], Any], items: Any, depth: int) -> Any:
    return [_map(function, item, depth - 1) for item in items] if depth else function(items)


def utf8(element: bytes) -> str:
    """The text of an element."""
    try:
        return element.decode()
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None


def image(name: str) -> Kind:
    """An image of PIL's: it comes encoded, as PNG, JPEG or what PIL reads, and goes as PNG."""

    def take(value: list[bytes]) -> Any:
        if len(value) != 1:
            raise BadRequest(f"input '{name}' must have one element")
        return _opened(value[0], name)

    return Kind([TensorInfo(name, "BYTES", [1], form="list", any_rank=True)], take, _png)


def images(name: str) -> Kind:
    """A list of them: each is an element."""

    def take(value: list[bytes]) -> Any:
        return [_opened(one, name) for one in value]

    return Kind([TensorInfo(name, "BYTES", [-1], form="list")], take, lambda value: [_png(one) for one in value])


def _opened(encoded: bytes, name: str) -> Any:
    from io import BytesIO

    from PIL import Image, UnidentifiedImageError

    try:
        opened = Image.open(BytesIO(encoded))
        opened.load()
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise BadRequest(f"input '{name}' is not an image that can be read: {error}") from None
    return opened


def _png(value: Any) -> bytes:
    from io import BytesIO

    encoded = BytesIO()
    if value.mode not in ("1", "L", "LA", "I", "I;16", "P", "RGB", "RGBA"):  # all that PNG has
        value = value.convert("RGB")
    value.save(encoded, "PNG")
    return encoded.getvalue()


def torch_tensor(name: str, datatype: str = "FP32", shape: Sequence[int] | None = None) -> Kind:
    """A tensor of torch's, over the memory of the request. torch has no read-only tensors: writing to it is unwise."""
    kind = array(name, datatype, shape)

    def take(value: Any) -> Any:
        import warnings

        import torch

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that it cannot be written to
            if datatype == "BF16":
                return torch.from_numpy(value.view("int16")).view(torch.bfloat16)
            return torch.from_numpy(value)

    return Kind(kind.infos, take)


def document(name: str, read: Callable[[Any], Any] | None = None) -> Kind:
    """A value that has no tensors of its own: a JSON document as text. `read` makes it of what JSON has."""
    import json

    from tensord.worker.documents import dump

    def take(value: list[bytes]) -> Any:
        if len(value) != 1:
            raise BadRequest(f"input '{name}' must have one element")
        try:
            loaded = json.loads(value[0])
            return read(loaded) if read else loaded
        except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
            raise BadRequest(f"input '{name}' is not the document that it must be: {error}") from None

    return Kind([TensorInfo(name, "BYTES", [1], form="list", any_rank=True)], take, dump)


def record(make: Callable[..., Any], fields: dict[str, Kind], get: Callable[[Any, str], Any] = getattr,
           errors: tuple[type[Exception], ...] = ()) -> Kind:
    """A class whose fields are values of their own: dataclasses, pydantic's models, typed dicts, named tuples."""
    infos = [info for kind in fields.values() for info in kind.infos]

    def take(*values: Any) -> Any:
        arguments, at = {}, 0
        for field, kind in fields.items():
            given = values[at : at + len(kind.infos)]
            at += len(kind.infos)
            if all(value is None for value in given):
                if kind.nullable:
                    arguments[field] = None
                continue  # it has a default, or the request would have been refused
            arguments[field] = kind.take(*given) if kind.take else given[0]
        try:
            return make(**arguments)
        except errors as error:
            raise BadRequest(str(error)) from None

    def give(value: Any) -> Any:
        given = []
        for field, kind in fields.items():
            item = get(value, field)
            if item is None and kind.infos[0].optional:
                raise TypeError(f"output '{field}' is None, which no tensor can say; give a value, or answer with a dict")
            item = kind.give(item) if kind.give else item
            given.extend(item if len(kind.infos) > 1 else [item])
        return tuple(given) if len(given) != 1 else given[0]

    kind = Kind(infos, take, give)
    kind.is_record = True
    return kind


def several(kinds: Sequence[Kind]) -> Kind:
    """A tuple of values."""

    def give(value: Any) -> Any:
        if not isinstance(value, (tuple, list)) or len(value) != len(kinds):
            raise TypeError(f"the model must give {len(kinds)} values, a tuple of them")
        given = []
        for item, kind in zip(value, kinds):
            item = kind.give(item) if kind.give else item
            given.extend(item if len(kind.infos) > 1 else [item])
        return tuple(given)

    return Kind([info for kind in kinds for info in kind.infos], None, give)
