"""What a function's annotations say of its inputs and outputs."""
import io
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tritonclient.http as httpclient
from PIL import Image

from support.processes import until
from support.python_models import ask, needs_python, tensor, write_python

pytestmark = needs_python

MODELS = {
    "arrays": """
        from typing import Annotated
        import numpy as np
        import numpy.typing as npt

        def predict(a: Annotated[np.ndarray, "FP32", (-1, 4)], b: npt.NDArray[np.int64],
                    c: Annotated[np.ndarray, np.uint8, (3,)]) -> Annotated[np.ndarray, "FP64", (-1,)]:
            assert a.dtype == np.float32 and b.dtype == np.int64 and c.dtype == np.uint8
            return a.sum(axis=1, dtype=np.float64) + b.sum() + c.sum()
    """,
    "lists": """
        import sys

        def predict(a: list[float], b: list[list[int]], c: list[str]) -> list[str]:
            assert "numpy" not in sys.modules
            return [f"{a!r} {b!r}"] + c
    """,
    "scalars": """
        def predict(a: int, b: float, c: bool, d: str, e: bytes) -> tuple[int, float, bool, str, bytes]:
            return a + 1, b * 2, not c, d.upper(), e[::-1]
    """,
    "numbers": """
        import sys

        def predict(n: int) -> list[list[int]]:
            assert "numpy" not in sys.modules
            return [[row * 10 + column for column in range(3)] for row in range(n)]
    """,
    "dataclass": """
        from dataclasses import dataclass

        @dataclass
        class Question:
            text: str
            limit: int = 3

        @dataclass
        class Answer:
            words: list[str]
            count: int

        def predict(question: Question) -> Answer:
            words = question.text.split()[: question.limit]
            return Answer(words, len(words))
    """,
    "pydantic": """
        from pydantic import BaseModel, Field

        class Box(BaseModel):
            left: float
            right: float

        class Question(BaseModel):
            age: int = Field(ge=0)
            names: list[str] = []
            box: Box | None = None

        class Answer(BaseModel):
            label: str
            box: Box

        def predict(question: Question) -> Answer:
            box = question.box or Box(left=0, right=1)
            return Answer(label=f"{question.age} {question.names}", box=box)
    """,
    "documents": """
        def predict(query: dict) -> dict:
            return {"got": query}
    """,
    "optional": """
        from __future__ import annotations

        def predict(a: list[int], b: list[int] | None = None, *, factor: int = 2) -> list[int]:
            return [x * factor for x in a] + (b or [])
    """,
    "request": """
        import tensord

        def predict(text: str, request: tensord.Request) -> str:
            return f"{text} {sorted(request.parameters.items())} {request.deadline is not None}"
    """,
    "class": """
        class Counter:
            def __init__(self, parameters: dict):
                self.count = int(parameters["from"])

            def predict(self, by: int) -> int:
                self.count += by
                return self.count
    """,
    "named": """
        import tensord

        def helper(x: int) -> int:
            return -1

        @tensord.model(outputs=["double", "half"])
        def anything(x: float) -> tuple[float, float]:
            return x * 2, x / 2
    """,
    "stream": """
        from collections.abc import Iterator

        def predict(n: int) -> Iterator[str]:
            for i in range(n):
                yield f"item {i}"
    """,
    "later": """
        import asyncio

        async def predict(text: str) -> str:
            await asyncio.sleep(0.01)
            return text.upper()
    """,
    "picture": """
        from PIL import Image

        def predict(picture: Image.Image) -> tuple[list[int], Image.Image]:
            return list(picture.size), picture.rotate(90, expand=True)
    """,
    "batch": """
        import time
        from typing import Annotated
        import numpy as np
        import tensord

        @tensord.model(batch=True)
        def predict(x: Annotated[np.ndarray, "INT64", (-1, 1)]) -> Annotated[np.ndarray, "INT64", (-1, 2)]:
            time.sleep(0.1)
            return np.concatenate([x, np.full_like(x, len(x))], axis=1)
    """,
    "words": """
        import tensord

        @tensord.model(batch=True)
        def predict(texts: list[str]) -> list[int]:
            return [len(text) for text in texts]
    """,
    "twice": """
        def predict(texts: list[list[str]]) -> list[list[str]]:
            return [[text + text for text in row] for row in texts]
    """,
}
CONFIGS = {"class": "parameters:\n  from:\n    string_value: '10'\n"}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """One server of all of them."""
    from support.server import Server

    folder = tmp_path_factory.mktemp("models")
    for name, code in MODELS.items():
        write_python(folder, name, code, CONFIGS.get(name))
    started = Server(folder, state=tmp_path_factory.mktemp("state"))
    for name in MODELS:
        started.wait_ready(name)
    yield started
    started.stop()


def schema(served, model):
    """{name: (datatype, shape)} of the inputs, and of the outputs."""
    described = served.get(f"/v2/models/{model}")
    return [{row["name"]: (row["datatype"], row["shape"]) for row in described[what]} for what in ("inputs", "outputs")]


def data(answer, name="output"):
    status, outputs = answer
    assert status == 200, outputs
    return outputs[name]["data"]


def test_arrays(served):
    assert schema(served, "arrays") == [
        {"a": ("FP32", [-1, 4]), "b": ("INT64", [-1]), "c": ("UINT8", [3])}, {"output": ("FP64", [-1])}]
    tensors = (tensor("a", "FP32", [2, 4], [1, 2, 3, 4, 5, 6, 7, 8]), tensor("b", "INT64", [1, 1, 1], [100]),
               tensor("c", "UINT8", [3], [1, 1, 1]))
    assert data(ask(served, "arrays", *tensors)) == [113, 129]
    status, error = ask(served, "arrays", tensor("a", "FP32", [2, 3], [1] * 6), *tensors[1:])
    assert status == 400 and "unexpected shape" in error


def test_lists(served):
    assert schema(served, "lists") == [
        {"a": ("FP64", [-1]), "b": ("INT64", [-1, -1]), "c": ("BYTES", [-1])}, {"output": ("BYTES", [-1])}]
    answer = ask(served, "lists", tensor("a", "FP64", [2], [1.5, 2]), tensor("b", "INT64", [2, 1], [3, 4]),
                 tensor("c", "BYTES", [2], ["é", "f"]))
    assert data(answer) == ["[1.5, 2.0] [[3], [4]]", "é", "f"]


def test_scalars(served):
    status, outputs = ask(
        served, "scalars", tensor("a", "INT64", [1], [4]), tensor("b", "FP64", [1, 1], [1.25]), tensor("c", "BOOL", [1], [True]),
        tensor("d", "BYTES", [1], ["abc"]), tensor("e", "BYTES", [1], ["xyz"]))
    assert status == 200, outputs
    assert [outputs[f"output{i}"]["data"] for i in range(5)] == [[5], [2.5], [False], ["ABC"], ["zyx"]]


def test_numbers_without_numpy(served):
    status, outputs = ask(served, "numbers", tensor("n", "INT64", [1], [2]))
    assert status == 200, outputs
    assert outputs["output"] == {
        "name": "output", "datatype": "INT64", "shape": [2, 3], "data": [0, 1, 2, 10, 11, 12]}


def test_a_scalar_is_one_element(served):
    status, error = ask(served, "numbers", tensor("n", "INT64", [2], [2, 3]))
    assert status == 400 and "input 'n' must have one element" in error


def test_dataclasses(served):
    assert schema(served, "dataclass") == [
        {"text": ("BYTES", [1]), "limit": ("INT64", [1])}, {"words": ("BYTES", [-1]), "count": ("INT64", [1])}]
    status, outputs = ask(served, "dataclass", tensor("text", "BYTES", [1], ["a b c d"]))
    assert status == 200, outputs
    assert outputs["words"]["data"] == ["a", "b", "c"] and outputs["count"]["data"] == [3]
    answer = ask(served, "dataclass", tensor("text", "BYTES", [1], ["a b"]), tensor("limit", "INT64", [1], [1]))
    assert data(answer, "words") == ["a"]


def test_pydantic(served):
    status, outputs = ask(served, "pydantic", tensor("age", "INT64", [1], [7]), tensor("names", "BYTES", [2], ["a", "b"]),
                          tensor("box", "BYTES", [1], ['{"left": 2, "right": 3}']))
    assert status == 200, outputs
    assert outputs["label"]["data"] == ["7 ['a', 'b']"] and outputs["box"]["data"] == ['{"left":2.0,"right":3.0}']
    status, error = ask(served, "pydantic", tensor("age", "INT64", [1], [-1]))
    assert status == 400 and "greater than or equal to 0" in error
    status, error = ask(served, "pydantic", tensor("age", "INT64", [1], [1]), tensor("box", "BYTES", [1], ["{"]))
    assert status == 400 and "input 'box'" in error


def test_documents(served):
    answer = ask(served, "documents", tensor("query", "BYTES", [1], ['{"a": [1, null]}']))
    assert data(answer) == ['{"got": {"a": [1, null]}}']
    status, error = ask(served, "documents", tensor("query", "BYTES", [1], ["{"]))
    assert status == 400 and "input 'query'" in error


def test_defaults_make_inputs_optional(served):
    given = tensor("a", "INT64", [2], [1, 2])
    assert data(ask(served, "optional", given)) == [2, 4]
    assert data(ask(served, "optional", given, tensor("factor", "INT64", [1], [5]))) == [5, 10]
    assert data(ask(served, "optional", given, tensor("b", "INT64", [1], [9]))) == [2, 4, 9]
    status, error = ask(served, "optional")
    assert status == 400 and "missing" in error


def test_the_request(served):
    answer = ask(served, "request", tensor("text", "BYTES", [1], ["x"]), note="y")
    assert data(answer) == ["x [('note', 'y')] False"]


def test_a_class_is_set_up_once(served):
    assert data(ask(served, "class", tensor("by", "INT64", [1], [1]))) == [11]
    assert data(ask(served, "class", tensor("by", "INT64", [1], [2]))) == [13]


def test_a_marked_function_with_named_outputs(served):
    answer = ask(served, "named", tensor("x", "FP64", [1], [3]))
    assert data(answer, "double") == [6] and data(answer, "half") == [1.5]


def test_an_async_function(served):
    assert data(ask(served, "later", tensor("text", "BYTES", [1], ["abc"]))) == ["ABC"]


def test_lists_of_lists_of_text(served):
    assert data(ask(served, "twice", tensor("texts", "BYTES", [2, 1], ["a", "b"]))) == ["aa", "bb"]


def test_images(served):
    image = io.BytesIO()
    Image.new("RGB", (4, 2), (255, 0, 0)).save(image, "PNG")
    client = httpclient.InferenceServerClient(served.netloc)
    given = httpclient.InferInput("picture", [1], "BYTES")
    given.set_data_from_numpy(np.array([image.getvalue()], dtype=object))
    answer = client.infer("picture", [given])
    assert answer.as_numpy("output0").tolist() == [4, 2]
    assert Image.open(io.BytesIO(answer.as_numpy("output1")[0])).size == (2, 4)
    given.set_data_from_numpy(np.array([b"no image"], dtype=object))
    with pytest.raises(Exception, match="input 'picture' is not an image"):
        client.infer("picture", [given])
    client.close()


def test_requests_are_joined_for_a_function_of_batches(served):
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda i: data(ask(served, "batch", tensor("x", "INT64", [1, 1], [i]))), range(64)))
    assert [answer[0] for answer in answers] == list(range(64))
    assert max(answer[1] for answer in answers) > 1
    assert data(ask(served, "words", tensor("texts", "BYTES", [2], ["a", "bcd"]))) == [1, 3]


def test_text_must_be_utf8(served):
    client = httpclient.InferenceServerClient(served.netloc)
    given = httpclient.InferInput("text", [1], "BYTES")
    given.set_data_from_numpy(np.array([b"\xff\xfe"], dtype=object))
    with pytest.raises(Exception, match="input 'text': it is not UTF-8"):
        client.infer("later", [given])
    client.close()


def test_a_generator_answers_several_times(served):
    status, error = ask(served, "stream", tensor("n", "INT64", [1], [1000000]))
    assert status == 501 and "several times" in error  # and the rest of it is not made
    assert data(ask(served, "stream", tensor("n", "INT64", [1], [1]))) == ["item 0"]  # one is what was asked for
    status, error = ask(served, "stream", tensor("n", "INT64", [1], [0]))
    assert status == 500 and "no answer" in error


WRONG = {
    "nothing": ("x = 1", "which function is the model"),
    "two": ("def a(x: int): pass\ndef b(x: int): pass", "(found: a, b)"),
    "stars": ("def predict(*args): pass", "*args and **kwargs"),
    "unknown": ("import threading\ndef predict(x: threading.Thread) -> int: pass", "is not understood"),
    "rows": ("import tensord\n@tensord.model(batch=True)\ndef predict(x: int) -> int: return x", "'x' has none"),
    "syntax": ("def predict(:", "SyntaxError"),
    "missing": ("import no_such_package", "ModuleNotFoundError: No module named 'no_such_package'"),
}


def test_what_is_wrong_is_said(server, tmp_path):
    for name, (code, _) in WRONG.items():
        write_python(tmp_path, name, code)
    started = server(tmp_path)

    def reason(name):
        rows = json.loads(started.fetch("/v2/repository/index", method="POST", data=b"{}")[2])
        return next((row.get("reason", "") for row in rows if row["name"] == name), "")

    for name, (_, expected) in WRONG.items():
        try:
            until(lambda: expected in reason(name), 120, f"'{name}' to say {expected!r}")
        except TimeoutError as error:
            raise AssertionError(f"{error}; it says {reason(name)!r}") from None
