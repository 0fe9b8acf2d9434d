"""Types that annotations name, each the way from the request to the function and back."""
import io
import json

import numpy as np
import pytest
import tritonclient.http as httpclient
from PIL import Image

from support.processes import until
from support.python_models import ask, needs_python, tensor, write_python

pytestmark = needs_python

HEAD = """
import datetime, enum, functools, uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple, NewType, Optional
import numpy as np
import numpy.typing as npt
import tensord

@dataclass
class Point:
    x: float
    y: float = 0

@dataclass
class Line:
    start: Point
    points: list[Point]

class Pair(NamedTuple):
    left: int
    right: int

class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"

"""
PYDANTIC = """
from pydantic import BaseModel, Field

class Item(BaseModel):
    name: str
    count: int = 1

"""


def text(name, *values):
    return tensor(name, "BYTES", [len(values)], list(values))


def document(name, value):
    return text(name, json.dumps(value))


def number(value, name="x"):
    return tensor(name, "FP64", [1], [value])


def whole(value, name="n"):
    return tensor(name, "INT64", [1], [value])


# By the model's name: its code, the inputs, and what it answers (a text that stands in the error, for a refusal).
CASES = {
    "list_of_dataclasses": (
        "def predict(points: list[Point]) -> list[Point]: return [Point(p.y, p.x) for p in points]",
        [document("points", [{"x": 1, "y": 2}, {"x": 3}])], [[{"x": 2, "y": 1}, {"x": 0, "y": 3}]]),
    "wrong_dataclass": (
        "def predict(points: list[Point]) -> int: return 0",
        [document("points", [{"x": "a"}])], 'input \'points\' is not the document that it must be: it has "a" where a number'),
    "unknown_field": (
        "def predict(points: list[Point]) -> int: return 0", [document("points", [{"x": 1, "z": 2}])], "unexpected keyword"),
    "list_of_pydantic": (
        "def predict(items: list[Item]) -> list[Item]: return [Item(name=i.name * 2, count=i.count) for i in items]",
        [document("items", [{"name": "a"}])], [[{"name": "aa", "count": 1}]]),
    "wrong_pydantic": (
        "def predict(items: list[Item]) -> int: return 0", [document("items", [{"count": 1}])], "Field required"),
    "within_each_other": (
        "@dataclass\nclass All:\n    line: Line\n    pair: Pair\n\n"
        "def predict(all: All) -> float: return all.line.start.x + all.line.points[1].y + all.pair.right",
        [document("line", {"start": {"x": 1}, "points": [{"x": 1}, {"x": 1, "y": 5}]}), document("pair", [7, 8])], [14]),
    "dict_of_classes": (
        "def predict(named: dict[str, Point]) -> dict[str, Point]: return {k: Point(p.x + 1, p.y) for k, p in named.items()}",
        [document("named", {"a": {"x": 1}})], [{"a": {"x": 2, "y": 0}}]),
    "arrays_in_documents": (
        "def predict(rows: list[np.ndarray]) -> dict: return {'sums': [r.sum() for r in rows], 'row': rows[1]}",
        [document("rows", [[1, 2], [3]])], [{"sums": [3, 3], "row": [3]}]),
    "fixed_tuple": (
        "def predict(pair: tuple[str, int]) -> str: return pair[0] * pair[1] + type(pair).__name__",
        [document("pair", ["a", 3])], ["aaatuple"]),
    "enum": ("def predict(c: Color) -> Color: return Color.BLUE if c is Color.RED else c", [text("c", "red")], ["blue"]),
    "wrong_enum": ("def predict(c: Color) -> int: return 0", [text("c", "green")], "input 'c': 'green' is not a valid Color"),
    "literal": ("def predict(c: Literal['a', 'b']) -> str: return c * 2", [text("c", "b")], ["bb"]),
    "wrong_literal": ("def predict(c: Literal[1, 2]) -> int: return 0", [whole(3, "c")], "input 'c': 3 is none of 1, 2"),
    "dates": (
        "def predict(d: datetime.date) -> datetime.datetime: return datetime.datetime.combine(d, datetime.time(1))",
        [text("d", "2024-02-29")], ["2024-02-29T01:00:00"]),
    "uuid": ("def predict(u: uuid.UUID) -> int: return u.version", [text("u", "x")], "input 'u': badly formed"),
    "newtype": ("Id = NewType('Id', int)\n\ndef predict(n: Id) -> Id: return n + 1", [whole(1)], [2]),
    "pydantic_fields": (
        "class Q(BaseModel):\n    when: Optional[datetime.datetime] = None\n    how: Literal['a', 'b']\n    color: Color = Color.RED\n"
        "    tags: set[str] = set()\n    items: list[Item] = []\n\n"
        "def predict(q: Q) -> str: return f'{q.when:%H} {q.how} {q.color.name} {sorted(q.tags)} {[i.name for i in q.items]}'",
        [text("when", "2024-02-29T13:00:00"), text("how", "b"), text("color", "blue"), document("tags", ["t"]),
         document("items", [{"name": "i"}])], ["13 b BLUE ['t'] ['i']"]),
    "pydantic_alias": (
        "class Q(BaseModel):\n    size: float = Field(alias='theSize', gt=0)\n\ndef predict(q: Q) -> float: return q.size",
        [number(2, "size")], [2]),
    "none_without_default": (
        "def predict(x: float, y: float | None) -> str: return f'{x} {y}'", [number(1)], ["1.0 None"]),
    "none_in_fields": (
        "@dataclass\nclass Q:\n    x: float\n    y: float | None\n\ndef predict(q: Q) -> str: return f'{q.x} {q.y}'",
        [number(1)], ["1.0 None"]),
    "none_as_output": (
        "@dataclass\nclass A:\n    y: Optional[str]\n\ndef predict(x: float) -> A: return A(None)",
        [number(1)], "output 'y' is None, which no tensor can say"),
    "nothing": ("def predict(x: float) -> None: pass", [number(1)], None),
    "by_place": ("def predict(x: float, /, y: float = 2.0) -> float: return x * y", [number(3)], [6]),
    "by_place_default": ("def predict(x: float = 5.0, /, y: float = 2.0) -> float: return x * y", [number(3, "y")], [15]),
    "by_name": ("def predict(*, x: np.ndarray) -> np.ndarray: return x + 1", [tensor("x", "FP32", [1], [1])], [2]),
    "half_number": ("def predict(x: np.float16) -> np.float16: return x", [tensor("x", "FP16", [1], [1.5])], [1.5]),
    "half_list": (
        "def predict(x: Annotated[list[float], 'FP16']) -> list[float]: return [v * 2 for v in x]",
        [tensor("x", "FP16", [2], [1.5, 2])], [3, 4]),
    "words": (
        "def predict(x: npt.NDArray[np.str_]) -> npt.NDArray[np.str_]: return np.char.upper(x)", [text("x", "é", "ab")], ["É", "AB"]),
    "changeable_bytes": ("def predict(x: bytearray) -> bytes: x.append(33); return x", [text("x", "a")], ["a!"]),
    "empty_rows": ("def predict(n: int) -> list[list[float]]: return []", [whole(1)], []),
    "empty_texts": ("def predict(n: int) -> list[list[str]]: return []", [whole(1)], []),
    "decorated": (
        "def twice(f):\n    @functools.wraps(f)\n    def run(*a, **k):\n        return f(*a, **k) * 2\n    return run\n\n"
        "@twice\ndef predict(x: float) -> float: return x", [number(3)], [6]),
    "decorated_async": (
        "def twice(f):\n    @functools.wraps(f)\n    def run(*a, **k):\n        return f(*a, **k)\n    return run\n\n"
        "@twice\nasync def predict(x: float) -> float: return x", [number(3)], [3]),
    "cached": ("@functools.lru_cache\ndef predict(x: float) -> float: return x", [number(3)], [3]),
    "object": (
        "class Scale:\n    def __call__(self, x: float) -> float: return x * 4\n\npredict = Scale()", [number(3)], [12]),
    "gives_iterator": ("async def predict(n: int) -> Iterator[str]: return iter(['a'] * n)", [whole(1)], ["a"]),
    "gives_async_iterator": (
        "async def items(n):\n    for _ in range(n):\n        yield 'a'\n\n"
        "def predict(n: int) -> AsyncIterator[str]: return items(n)", [whole(1)], ["a"]),
    "quiet_error": ("def predict(n: int) -> int: raise KeyboardInterrupt", [whole(1)], "KeyboardInterrupt"),
}
DOCUMENTS = ("list_of_dataclasses", "list_of_pydantic", "dict_of_classes", "arrays_in_documents")
OTHERS = {
    "pictures": "from PIL import Image\n\ndef predict(p: list[Image.Image]) -> list[Image.Image]:\n"
                "    return [one.convert('CMYK') for one in p]",
    "imported": "from helper import predict",
}
REFUSED = {
    "partial": ("def f(x: float, y: float) -> float: return x\n\npredict = functools.partial(f, y=1.0)", "is no function"),
    "odd_inside": ("class Odd: pass\n\ndef predict(x: list[Odd]) -> int: return 0", "is not understood in a JSON document"),
    "odd_field": ("class Odd: pass\n\n@dataclass\nclass Q:\n    x: Odd\n\ndef predict(x: Q) -> int: return 0", "is not understood"),
}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """One server of all of them."""
    from support.server import Server

    folder = tmp_path_factory.mktemp("models")
    for name, (code, *_) in CASES.items():
        uses_pydantic = "BaseModel" in code or "Item" in code
        write_python(folder, name, HEAD + (PYDANTIC if uses_pydantic else "") + code + "\n")
    for name, code in OTHERS.items():
        write_python(folder, name, code + "\n", helper__py="def predict(x: float) -> float: return x + 1\n")
    for name, (code, _) in REFUSED.items():
        write_python(folder, name, HEAD + code + "\n")
    started = Server(folder, state=tmp_path_factory.mktemp("state"))
    for name in (*CASES, *OTHERS):
        started.wait_ready(name, 120)
    yield started
    started.stop()


@pytest.mark.parametrize("name", CASES)
def test_a_type(served, name):
    _, tensors, wanted = CASES[name]
    status, answer = ask(served, name, *tensors)
    if isinstance(wanted, str):
        assert status in (400, 500) and wanted in answer, answer
        assert not answer.endswith(": ")
        return
    assert status == 200, answer
    if wanted is None:
        assert answer == {}
        return
    given = answer["output"]["data"]
    assert (list(map(json.loads, given)) if name in DOCUMENTS else given) == wanted


def test_a_list_of_images(served):
    encoded = []
    for width in (3, 5):
        file = io.BytesIO()
        Image.new("RGB", (width, 2)).save(file, "PNG")
        encoded.append(file.getvalue())
    given = httpclient.InferInput("p", [2], "BYTES")
    given.set_data_from_numpy(np.array(encoded, dtype=object))
    with httpclient.InferenceServerClient(served.netloc) as client:
        answer = client.infer("pictures", [given]).as_numpy("output")
    assert [Image.open(io.BytesIO(one)).width for one in answer] == [3, 5]


def test_a_function_of_another_file_serves(served):
    assert ask(served, "imported", number(1))[1]["output"]["data"] == [2]


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_understood_is_refused(served, name):
    def reason():
        rows = json.loads(served.fetch("/v2/repository/index", b"{}", method="POST")[2])
        return next(row.get("reason", "") for row in rows if row["name"] == name)

    until(lambda: REFUSED[name][1] in reason(), 60, f"'{name}' to say why; it says '{reason()}'")
