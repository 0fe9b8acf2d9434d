"""Generate and generate_stream: any JSON object in, a flat one out."""
import json

import pytest

from oip_conformance.catalogue import ROBUSTNESS, TRITON, case

SOURCE = "Triton: extension_generate.md"


def events(reply):
    """The JSON of each event of a stream."""
    assert reply.status == 200 and reply.fields["content-type"].startswith("text/event-stream"), (reply.status, reply.fields)
    lines = reply.body.decode().split("\n\n")
    assert lines.pop() == "" and all(line.startswith("data: ") for line in lines), lines
    return [json.loads(line[6:]) for line in lines]


def generate(http, target, asked, name="text", call="generate", more=""):
    return http.ask("POST", f"/v2/models/{target.model(name)}{more}/{call}", asked)


@case("generate.text", TRITON, SOURCE, "generate", "text")
def test_text(http, target):
    """A key with an input's name is that tensor; outputs of one element come back as plain values beside model_name and
    model_version."""
    reply = generate(http, target, {"text_input": "hello"})
    assert reply.status == 200 and reply.fields["content-type"].startswith("application/json")
    found = reply.json()
    assert found["text_output"] == "HELLO" and found["model_name"] == target.model("text") and found["model_version"] == "1"


@case("generate.id", TRITON, SOURCE, "generate", "text")
def test_id(http, target):
    """The id comes back."""
    assert generate(http, target, {"text_input": "a", "id": "7"}).json()["id"] == "7"


@case("generate.list", TRITON, SOURCE, "generate", "add_sub")
def test_list(http, target):
    """A list of values is a tensor of one dimension, with the batch's of 1 before it."""
    found = generate(http, target, {"INPUT0": list(range(16)), "INPUT1": [1] * 16}, "add_sub").json()
    assert found["OUTPUT0"] == [i + 1 for i in range(16)] and found["OUTPUT1"] == [i - 1 for i in range(16)]


@case("generate.parameters", TRITON, SOURCE, "generate", "behave")
def test_parameters(http, target):
    """All other keys, and those of an object `parameters`, are parameters of the request."""
    found = generate(http, target, {"COMMAND": "parameters", "temperature": 0.5, "parameters": {"n": 3}}, "behave").json()
    assert "temperature" in found["RESULT"] and "0.5" in found["RESULT"] and '"n"' in found["RESULT"]


@case("generate.one-answer", TRITON, SOURCE, "generate", "words")
def test_one_answer(http, target):
    """A model that answers once is served by generate though it might answer more often."""
    assert generate(http, target, {"text_input": "one"}, "words").json()["text_output"] == "one"


@case("generate.several-answers", TRITON, SOURCE, "generate", "words")
def test_several(http, target):
    """generate has one answer: several are an error, not the first of them."""
    assert generate(http, target, {"text_input": "one two"}, "words").json()["error"]


@case("generate.stream", TRITON, SOURCE, "generate", "words")
def test_stream(http, target):
    """generate_stream sends an event `data: JSON` for each answer, and nothing after the last."""
    found = events(generate(http, target, {"text_input": "one two three"}, "words", "generate_stream"))
    assert [event["text_output"] for event in found] == ["one", "two", "three"]


@case("generate.stream-of-one", TRITON, SOURCE, "generate", "text")
def test_stream_of_one(http, target):
    """A model that answers once may be streamed, too."""
    assert [event["text_output"] for event in events(generate(http, target, {"text_input": "a"}, "text", "generate_stream"))] == ["A"]


@case("generate.stream-error", TRITON, SOURCE, "generate", "words")
def test_stream_error(http, target):
    """An error after the first answer comes as an event with `error`."""
    found = events(generate(http, target, {"text_input": "one fail"}, "words", "generate_stream"))
    assert found[0]["text_output"] == "one" and found[1]["error"]


@case("generate.version", TRITON, SOURCE, "generate", "text")
def test_version(http, target):
    """A version may stand in the path."""
    assert generate(http, target, {"text_input": "v"}, more="/versions/1").json()["text_output"] == "V"


@case("generate.unknown-model", TRITON, SOURCE, "generate")
def test_unknown(http, target):
    """Of a model that there is not: 404 with a sentence."""
    reply = http.ask("POST", "/v2/models/nix/generate", {"text_input": "a"})
    assert reply.status == 404 and reply.error()


BAD = {"nothing": b"", "no-json": b"hello", "array": b"[1]", "missing-input": b"{}", "object-for-tensor": b'{"text_input":{"a":1}}',
       "number-for-text": b'{"text_input":7}', "nested-list": b'{"text_input":[["a"]]}', "two-texts": b'{"text_input":["a","b"]}',
       "brackets": b'{"text_input":' + b"[" * 250000}


@case("bad.generate", ROBUSTNESS, SOURCE, "generate", "text")
@pytest.mark.parametrize("body", BAD.values(), ids=BAD)
def test_bad(http, target, body):
    """What is no such object, or does not fit the model, is refused with 4xx and a sentence."""
    reply = generate(http, target, body)
    assert 400 <= reply.status < 500 and reply.sentence()
