"""Bad JSON and tensors that lie: refused with 4xx and a sentence, and the server is as it was."""
import json

import pytest

from oip_conformance.catalogue import OIP_REST, ROBUSTNESS, case
from oip_conformance.tensors import request, tensor


def with_shape(shape, data=(1.0,)):
    return request(tensor(list(data), shape=shape))


def text(data, datatype="FP32", shape="[1,1]"):
    """A request whose data, and more, is text that Python's JSON would not write."""
    return f'{{"inputs":[{{"name":"INPUT0","datatype":"{datatype}","shape":{shape},"data":{data}}}]}}'.encode()


GOOD = text("[1]")

# name: the body of a request to identity_fp32
BODIES = {
    "nothing": b"", "no-json": b"hello", "cut": GOOD[:-9], "trailing-garbage": GOOD + b" x", "two-documents": GOOD + GOOD,
    "array": b"[]", "number": b"7", "null": b"null", "no-inputs": b"{}", "inputs-number": b'{"inputs":7}',
    "inputs-object": b'{"inputs":{}}', "inputs-of-numbers": b'{"inputs":[1,2]}', "inputs-empty": b'{"inputs":[]}',
    "brackets-250000": b"[" * 250000, "data-brackets-250000": text("[" * 250000), "objects-100000": b'{"a":' * 100000,
    "parameters-deep": b'{"parameters":' + b'{"a":' * 100000, "control-character": text("[1]").replace(b"INPUT0", b"INPUT0\n"),
    "invalid-utf8": text("[1]").replace(b"INPUT0", b"\xff\xfe"), "lone-surrogate": text("[1]").replace(b"INPUT0", b"\\ud800"),
    "name-with-nul": text("[1]").replace(b"INPUT0", b"INPUT0\\u0000"), "name-number": text("[1]").replace(b'"INPUT0"', b"7"),
    "name-missing": b'{"inputs":[{"datatype":"FP32","shape":[1,1],"data":[1]}]}',
    "datatype-missing": b'{"inputs":[{"name":"INPUT0","shape":[1,1],"data":[1]}]}',
    "shape-missing": b'{"inputs":[{"name":"INPUT0","datatype":"FP32","data":[1]}]}',
    "data-missing": b'{"inputs":[{"name":"INPUT0","datatype":"FP32","shape":[1,1]}]}',
    "data-object": text("{}"), "data-null": text("null"), "data-text": text('"1"'), "data-of-texts": text('["a"]'),
    "data-of-null": text("[null]"), "data-of-objects": text("[{}]"),
    "datatype-unknown": text("[1]", "FP128"), "datatype-number": text("[1]").replace(b'"FP32"', b"32"),
    "nan": text("[NaN]"), "infinity": text("[Infinity]"), "hexadecimal": text("[0x10]"), "leading-zero": text("[01]"),
    "bare-point": text("[1.]"), "plus": text("[+1]"), "comma-at-end": text("[1,]"),
    "shape-overflows": text("[1]", shape=f"[16,{2**60 + 2}]"), "shape-overflows-to-one": text("[1]", shape=f"[{2**32},{2**32}]"),
    "shape-negative": with_shape([1, -5]), "shape-wildcard": with_shape([1, -1]), "shape-fraction": with_shape([1, 1.5]),
    "shape-text": with_shape(["1", "1"]), "shape-number": text("[1]", shape="1"), "shape-null": text("[1]", shape="null"),
    "shape-huge-dimension": text("[1]", shape="[1,99999999999999999999999]"), "shape-10000": with_shape([1] * 10000),
    "shape-empty": with_shape([]), "shape-terabyte": text("[1]", shape=f"[1,{2**40}]"),
    "no-elements-but-data": with_shape([1, 0]), "data-too-few": with_shape([1, 3]), "data-too-many": with_shape([1, 1], [1, 2, 3]),
    "data-for-all-but-one": text(json.dumps([1] * 999), shape="[1,1000]"),
    "same-input-twice": request(tensor([1.0]), tensor([2.0])),
    "unknown-input": request(tensor([1.0], name="NIX")), "unknown-output": request(tensor([1.0]), outputs=[{"name": "NIX"}]),
    "outputs-number": request(tensor([1.0]), outputs=7), "outputs-of-numbers": request(tensor([1.0]), outputs=[1]),
    "output-without-name": request(tensor([1.0]), outputs=[{}]),
    "parameters-number": request(tensor([1.0]), parameters=7), "parameters-list": request(tensor([1.0]), parameters=[1]),
    "id-object": request(tensor([1.0]), id={}), "inputs-10000": request(*[tensor([1.0])] * 10000),
}

def refuse(http, target, body, name="identity_fp32"):
    reply = http.ask("POST", f"/v2/models/{target.model(name)}/infer", body)
    assert 400 <= reply.status < 500, (reply.status, reply.body[:200])
    return reply.sentence()


@case("bad.json", ROBUSTNESS, OIP_REST, model="identity_fp32")
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_bad(http, target, body):
    """What is no JSON, no request or no tensor of this model is the client's mistake: 4xx with {"error": "..."}."""
    refuse(http, target, body)


KNOWN = {"priority-negative": {"priority": -1}, "priority-text": {"priority": "high"}, "timeout-text": {"timeout": "soon"},
         "timeout-negative": {"timeout": -1}, "binary-output-number": {"binary_data_output": 7}}


@case("bad.parameter", ROBUSTNESS, "Triton: extension_schedule_policy.md", "parameters", "identity_fp32")
@pytest.mark.parametrize("parameters", KNOWN.values(), ids=KNOWN)
def test_known(http, target, parameters):
    """A parameter that means something to the server and has a value of another kind is refused."""
    refuse(http, target, request(tensor([1.0]), parameters=parameters))


@case("bad.classification", ROBUSTNESS, "Triton: extension_classification.md", "classification", "identity_fp32")
@pytest.mark.parametrize("count", [-1, "all", 1.5, 2**64], ids=["negative", "text", "fraction", "huge"])
def test_count(http, target, count):
    """A number of classes that is none is refused."""
    refuse(http, target, request(tensor([1.0]), outputs=[{"name": "OUTPUT0", "parameters": {"classification": count}}]))


OUT_OF_RANGE = {"BOOL": "2", "UINT8": "256", "UINT8-negative": "-1", "UINT16": "65536", "UINT32": "4294967296",
                "UINT64": "18446744073709551616", "INT8": "300", "INT16": "-32769", "INT32": "2147483648",
                "INT64": "9223372036854775808", "FP64": "1e999", "FP32": "1e999", "INT32-fraction": "1.5", "BYTES": "7"}


@case("bad.range", ROBUSTNESS, "a number that changes on its way is a wrong answer",
      model=[f"identity_{name.split('-')[0].lower()}" for name in OUT_OF_RANGE])
@pytest.mark.parametrize("name", OUT_OF_RANGE)
def test_range(http, target, name):
    """A value that the datatype does not have is refused, never answered as another."""
    datatype = name.split("-")[0]
    refuse(http, target, text(f"[{OUT_OF_RANGE[name]}]", datatype), f"identity_{datatype.lower()}")


NAMES = {"parent": "..", "encoded-parent": "%2e%2e", "encoded-slash": "a%2fb", "encoded-nul": "a%00b", "256-characters": "m" * 256,
         "8000-characters": "m" * 8000, "not-utf8": "%ff%fe", "half-a-code": "%4"}


@case("bad.model-name", ROBUSTNESS, "a name leads to no file but the model's")
@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_name(http, name):
    """A name that no model can have is refused with 4xx."""
    for method, path in (("GET", ""), ("POST", "/infer")):
        reply = http.ask(method, f"/v2/models/{name}{path}", None if method == "GET" else GOOD)
        assert 400 <= reply.status < 500, (path, reply.status, reply.body[:200])


VERSIONS = {"text": "one", "negative": "-1", "zero": "0", "fraction": "1.0", "huge": "9" * 30, "empty": "", "blank": "%201"}


@case("bad.version", ROBUSTNESS, "a version is a number", model="identity_fp32")
@pytest.mark.parametrize("version", VERSIONS.values(), ids=VERSIONS)
def test_version(http, target, version):
    """A version that none can have is refused with 4xx."""
    reply = http.ask("POST", f"/v2/models/{target.model('identity_fp32')}/versions/{version}/infer", GOOD)
    assert 400 <= reply.status < 500, (reply.status, reply.body[:200])
