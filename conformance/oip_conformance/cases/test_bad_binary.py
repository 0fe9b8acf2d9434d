"""Sizes and bytes that do not add up."""
import json
import struct

import pytest

from oip_conformance.catalogue import ROBUSTNESS, case
from oip_conformance.tensors import binary, framed, pack, request, tensor

SOURCE = "Triton: extension_binary_data.md"
NEEDS = "binary_tensor_data"
DATA = pack("FP32", [1, 2])


def refuse(http, target, body, fields, name="identity_fp32"):
    reply = http.ask("POST", f"/v2/models/{target.model(name)}/infer", body, fields)
    assert 400 <= reply.status < 500, (reply.status, reply.body[:200])
    assert reply.sentence()


LENGTHS = {"beyond-the-body": "99999999999", "beyond-64-bits": "9" * 40, "negative": "-1", "text": "abc", "empty": "", "fraction": "1.5",
           "hexadecimal": "0x10", "too-short": "3", "one-too-many": None}


@case("bad.binary.header-length", ROBUSTNESS, SOURCE, NEEDS, "identity_fp32")
@pytest.mark.parametrize("length", LENGTHS.values(), ids=LENGTHS)
def test_length(http, target, length):
    """A length of the JSON that is no number, or not the JSON's, is refused."""
    body, fields = binary(("INPUT0", "FP32", [1, 2], DATA))
    right = int(fields[0][1])
    refuse(http, target, body, [("Inference-Header-Content-Length", str(right + 1) if length is None else length), *fields[1:]])


SIZES = {"too-small": 4, "too-large": 12, "zero": 0, "negative": -8, "2^63": 2**63, "2^64-8": 2**64 - 8, "2^64+8": 2**64 + 8,
         "fraction": 8.5, "text": "8", "null": None, "list": [8]}


@case("bad.binary.size", ROBUSTNESS, SOURCE, NEEDS, "identity_fp32")
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_size(http, target, size):
    """A size that is none, or not that of shape and datatype, is refused."""
    refuse(http, target, *framed(request({"name": "INPUT0", "datatype": "FP32", "shape": [1, 2],
                                          "parameters": {"binary_data_size": size}}), DATA))


SHAPES = {"more-than-bytes": [1, 3], "fewer-than-bytes": [1, 1], "negative": [1, -2], "wildcard": [1, -1], "overflows": [4, 2**62],
          "zero": [1, 0], "terabyte": [1, 2**40], "fraction": [1, 2.0001], "1000-dimensions": [1] * 999 + [2]}


@case("bad.binary.shape", ROBUSTNESS, SOURCE, NEEDS, "identity_fp32")
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_shape(http, target, shape):
    """A shape that the bytes do not fill, or overfill, is refused."""
    refuse(http, target, *binary(("INPUT0", "FP32", shape, DATA)))


TAILS = {"missing": b"", "cut": DATA[:5], "too-long": DATA + b"\0", "twice": DATA * 2}


@case("bad.binary.tail", ROBUSTNESS, SOURCE, NEEDS, "identity_fp32")
@pytest.mark.parametrize("tail", TAILS.values(), ids=TAILS)
def test_tail(http, target, tail):
    """Fewer bytes than announced, or more, are refused."""
    refuse(http, target, *framed(request({"name": "INPUT0", "datatype": "FP32", "shape": [1, 2],
                                          "parameters": {"binary_data_size": 8}}), tail))


@case("bad.binary.sum", ROBUSTNESS, SOURCE, NEEDS, "add_sub")
def test_sum(http, target):
    """Sizes whose sum wraps around 64 bits are refused."""
    inputs = [{"name": name, "datatype": "INT32", "shape": [1, 16], "parameters": {"binary_data_size": size}}
              for name, size in (("INPUT0", 2**64 - 64), ("INPUT1", 192))]
    refuse(http, target, *framed(request(*inputs), b"\0" * 128), "add_sub")


@case("bad.binary.data-twice", ROBUSTNESS, SOURCE, NEEDS, "identity_fp32")
def test_twice(http, target):
    """A tensor has its data in one place: in JSON or behind it."""
    refuse(http, target, *framed(request(tensor([1.0, 2.0], parameters={"binary_data_size": 8})), DATA))


@case("bad.binary.no-header", ROBUSTNESS, SOURCE, NEEDS, "identity_fp32")
def test_no_header(http, target):
    """Bytes behind the JSON without a word of its length: no JSON."""
    body, _ = binary(("INPUT0", "FP32", [1, 2], DATA))
    refuse(http, target, body, [])


ELEMENTS = {"longer-than-the-rest": struct.pack("<I", 100) + b"abc", "4-gib": struct.pack("<I", 2**32 - 1) + b"abc",
            "half-a-length": b"\1\0", "rest": struct.pack("<I", 1) + b"ab", "too-many": pack("BYTES", ["a", "b"]), "nothing": b""}


@case("bad.binary.bytes", ROBUSTNESS, SOURCE, NEEDS, "identity_bytes")
@pytest.mark.parametrize("data", ELEMENTS.values(), ids=ELEMENTS)
def test_bytes(http, target, data):
    """Lengths of BYTES elements that lead beyond the tensor, or leave some of it, are refused."""
    refuse(http, target, *binary(("INPUT0", "BYTES", [1, 1], data)), "identity_bytes")


RAW = {"two-inputs": ("add_sub", b"\0" * 128), "not-a-multiple": ("identity_fp32", b"\0" * 5)}


@case("bad.binary.raw", ROBUSTNESS, "Triton: Raw Binary Request", NEEDS, ["add_sub", "identity_fp32"])
@pytest.mark.parametrize("name", RAW)
def test_raw(http, target, name):
    """A raw request is for a model of one input, whose bytes make whole elements."""
    model, data = RAW[name]
    refuse(http, target, data, [("Inference-Header-Content-Length", "0")], model)


@case("bad.binary.head-of-json", ROBUSTNESS, SOURCE, NEEDS, "identity_fp32")
@pytest.mark.parametrize("head", [b"", b"{", b"[" * 100000, b"7"], ids=["blank", "cut", "brackets", "number"])
def test_head(http, target, head):
    """A head that is no JSON of a request is refused."""
    head = head or b" "
    refuse(http, target, head + DATA, [("Inference-Header-Content-Length", str(len(head)))])


@case("bad.binary.parameters", ROBUSTNESS, SOURCE, NEEDS, "identity_fp32")
def test_parameters(http, target):
    """A flag that is no boolean is refused, or taken as none; never anything else."""
    asked = request(tensor([1.0]), outputs=[{"name": "OUTPUT0", "parameters": {"binary_data": "yes"}}])
    reply = http.ask("POST", f"/v2/models/{target.model('identity_fp32')}/infer", json.dumps(asked).encode())
    assert reply.status == 200 or (400 <= reply.status < 500 and reply.sentence()), (reply.status, reply.body[:200])
