"""generate, generate_stream and infer_stream over REST."""
import json

import pytest

from support import streams
from support.python_models import needs_python
from support.repositories import request


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    started = streams.start(tmp_path_factory.mktemp("models"), tmp_path_factory.mktemp("state"))
    yield started
    started.stop()


def events(body):
    """The JSON of server-sent events."""
    parts = body.decode().split("\n\n")
    assert parts.pop() == ""
    assert all(part.startswith("data: ") for part in parts), body
    return [json.loads(part[6:]) for part in parts]


@needs_python
def test_generate_stream(served):
    status, headers, body = served.fetch("/v2/models/count/generate_stream", {"n": 3, "id": "a"})
    assert status == 200 and headers["content-type"] == "text/event-stream; charset=utf-8"
    assert events(body) == [{"id": "a", "model_name": "count", "model_version": "1", "output": i} for i in range(3)]
    assert events(served.fetch("/v2/models/count/versions/1/generate_stream", {"n": [0]})[2]) == []


@needs_python
def test_generate(served):
    status, _, body = served.fetch("/v2/models/count/generate", {"n": 1})
    assert (status, json.loads(body)["output"]) == (200, 0)
    status, _, body = served.fetch("/v2/models/count/generate", {"n": 2})
    assert status == 501 and "several times" in json.loads(body)["error"]
    status, _, body = served.fetch("/v2/models/count/generate", {"n": 0})
    assert status == 500 and "no answer" in json.loads(body)["error"]
    status, body = served.infer("count", {"inputs": [{"name": "n", "datatype": "INT64", "shape": [1], "data": [1]}]})
    assert (status, body["outputs"][0]["data"]) == (200, [0])


def test_generate_of_a_model_that_answers_once(served):
    status, _, body = served.fetch("/v2/models/other/generate", {"x": [1, 2, 3]})
    assert (status, json.loads(body)) == (200, {"model_name": "other", "model_version": "1", "y": [1, 2, 3]})
    assert events(served.fetch("/v2/models/other/generate_stream", {"x": 4})[2]) == [{"model_name": "other", "model_version": "1", "y": 4}]
    status, _, body = served.fetch("/v2/models/chaos/generate", {"x": [1], "parameters": {"fail": "no more milk"}, "stop": None})
    assert (status, json.loads(body)) == (500, {"error": "no more milk"})


@pytest.mark.parametrize("body,sentence", [
    ({}, "expected 1 inputs but got 0"),
    ({"x": "text"}, "expected a number"),
    ({"x": [1], "other": [1]}, "'other' is no input of the model"),
    ({"x": [1], "other": {}}, "'other' is no input of the model"),
    ({"x": [1], "triton_x": 1}, "reserved"),
    ([1], "expected"),
    (b"", "expected"),
    (b'{"x": [1], "x": [2]}', "given twice"),
])
def test_generate_of_nonsense(served, body, sentence):
    for route in ("generate", "generate_stream"):
        status, _, answer = served.fetch(f"/v2/models/other/{route}", body, method="POST")
        assert status == 400 and sentence in json.loads(answer)["error"], answer


@needs_python
def test_an_error_behind_the_first_event(served):
    status, _, body = served.fetch("/v2/models/count/generate_stream", {"n": 5, "boom": 1})
    first, second = events(body)
    assert status == 200 and first["output"] == 0 and second == {"error": "ValueError: boom at 1"}
    status, _, body = served.fetch("/v2/models/count/generate_stream", {"n": 5, "boom": 0})
    assert status == 500 and json.loads(body) == {"error": "ValueError: boom at 0"}
    assert served.fetch("/v2/models/nobody/generate_stream", {"n": 5})[0] == 404


@needs_python
def test_infer_stream(served):
    given = {"id": "7", "inputs": [{"name": "n", "datatype": "INT64", "shape": [1], "data": [2]}]}
    status, headers, body = served.fetch("/v2/models/count/infer_stream", given)
    assert status == 200 and headers["content-type"].startswith("text/event-stream")
    assert events(body) == [{"id": "7", "model_name": "count", "model_version": "1", "outputs": [
        {"name": "output", "datatype": "INT64", "shape": [1], "data": [i]}]} for i in range(2)]
    assert events(served.fetch("/v2/models/other/infer_stream", request([1, 2], datatype="INT32"))[2])[0]["outputs"][0]["data"] == [1, 2]


@needs_python
def test_what_json_cannot_say_ends_the_stream(served):
    status, _, body = served.fetch("/v2/models/kinds/generate_stream", {"n": 2})
    assert status == 400 and "JSON cannot say" in json.loads(body)["error"]


