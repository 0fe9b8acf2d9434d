"""Tensors as bytes behind the JSON: Triton's extension, which its clients use unless told otherwise."""
import struct

import pytest

from oip_conformance.catalogue import TRITON, case
from oip_conformance.tensors import VALUES, binary, framed, outputs_of, pack, request, tensor

SOURCE = "Triton: extension_binary_data.md"
NEEDS = "binary_tensor_data"
BINARY_OUTPUT = [{"name": "OUTPUT0", "parameters": {"binary_data": True}}]


def infer(http, target, body, fields, name="identity_fp32"):
    return http.ask("POST", f"/v2/models/{target.model(name)}/infer", body, fields)


@case("infer.binary.datatype", TRITON, SOURCE, NEEDS, [f"identity_{name.lower()}" for name in VALUES if name != "BF16"])
@pytest.mark.parametrize("datatype", [name for name in VALUES if name != "BF16"])
def test_datatype(http, target, datatype):
    """Each datatype goes as little-endian bytes both ways and comes back unchanged; a BYTES element has its length before it."""
    data = pack(datatype, VALUES[datatype])
    body, fields = binary(("INPUT0", datatype, [1, 3], data), outputs=BINARY_OUTPUT)
    reply = infer(http, target, body, fields, f"identity_{datatype.lower()}")
    found = outputs_of(reply)["OUTPUT0"]
    assert found[:2] == (datatype, [1, 3]) and pack(datatype, found[2]) == data


@case("infer.binary.bf16", TRITON, SOURCE, NEEDS, "identity_bf16")
def test_bf16(http, target):
    """BF16 goes as the upper half of FP32's bytes."""
    body, fields = binary(("INPUT0", "BF16", [1, 3], pack("BF16", VALUES["BF16"])), outputs=BINARY_OUTPUT)
    assert outputs_of(infer(http, target, body, fields, "identity_bf16"))["OUTPUT0"] == ("BF16", [1, 3], VALUES["BF16"])


@case("infer.binary.head", TRITON, SOURCE, NEEDS, "identity_fp32")
def test_head(http, target):
    """An answer with bytes says so: application/octet-stream, the JSON's length in Inference-Header-Content-Length, and each
    tensor's in binary_data_size."""
    body, fields = binary(("INPUT0", "FP32", [1, 2], pack("FP32", [1, 2])), outputs=BINARY_OUTPUT)
    reply = infer(http, target, body, fields)
    assert reply.fields["content-type"] == "application/octet-stream"
    length = int(reply.fields["inference-header-content-length"])
    assert reply.body[length:] == struct.pack("<2f", 1, 2) and b'"binary_data_size":8' in reply.body[:length].replace(b" ", b"")


@case("infer.binary.default", TRITON, SOURCE, NEEDS, "add_sub")
def test_default(http, target):
    """binary_data_output is the default for all outputs: tritonclient sends it when it names no outputs."""
    data = pack("INT32", [5] * 16)
    body, fields = binary(("INPUT0", "INT32", [1, 16], data), ("INPUT1", "INT32", [1, 16], data),
                          parameters={"binary_data_output": True})
    reply = infer(http, target, body, fields, "add_sub")
    assert "inference-header-content-length" in reply.fields
    found = outputs_of(reply)
    assert found["OUTPUT0"][2] == [10] * 16 and found["OUTPUT1"][2] == [0] * 16


@case("infer.binary.mixed-outputs", TRITON, SOURCE, NEEDS, "add_sub")
def test_mixed_outputs(http, target):
    """Of two outputs one may come as JSON and the other as bytes."""
    data = pack("INT32", [5] * 16)
    body, fields = binary(("INPUT0", "INT32", [1, 16], data), ("INPUT1", "INT32", [1, 16], data), outputs=[
        {"name": "OUTPUT0", "parameters": {"binary_data": False}}, {"name": "OUTPUT1", "parameters": {"binary_data": True}}])
    found = outputs_of(infer(http, target, body, fields, "add_sub"))
    assert found["OUTPUT0"][2] == [10] * 16 and found["OUTPUT1"][2] == [0] * 16


@case("infer.binary.mixed-inputs", TRITON, SOURCE, NEEDS, "add_sub")
def test_mixed_inputs(http, target):
    """Of two inputs one may come as JSON and the other as bytes."""
    data = pack("INT32", [5] * 16)
    behind = {"name": "INPUT1", "datatype": "INT32", "shape": [1, 16], "parameters": {"binary_data_size": len(data)}}
    body, fields = framed(request(tensor([1] * 16, "INT32"), behind), data)
    assert outputs_of(infer(http, target, body, fields, "add_sub"))["OUTPUT0"][2] == [6] * 16


@case("infer.binary.json-output", TRITON, SOURCE, NEEDS, "identity_fp32")
def test_json_output(http, target):
    """Bytes in and JSON out: without a word about outputs the answer is JSON."""
    body, fields = binary(("INPUT0", "FP32", [1, 2], pack("FP32", [1, 2])))
    reply = infer(http, target, body, fields)
    assert reply.fields["content-type"].split(";")[0] == "application/json" and outputs_of(reply)["OUTPUT0"][2] == [1, 2]


@case("infer.binary.json-input", TRITON, SOURCE, NEEDS, "identity_fp32")
def test_json_input(http, target):
    """JSON in and bytes out."""
    reply = infer(http, target, request(tensor([1.0, 2.0]), outputs=BINARY_OUTPUT), ())
    assert "inference-header-content-length" in reply.fields and outputs_of(reply)["OUTPUT0"][2] == [1, 2]


@case("infer.binary.order", TRITON, SOURCE, NEEDS, "add_sub")
def test_order(http, target):
    """The bytes stand in the order of the inputs in the JSON."""
    body, fields = binary(("INPUT1", "INT32", [1, 16], pack("INT32", [1] * 16)), ("INPUT0", "INT32", [1, 16], pack("INT32", [9] * 16)))
    assert outputs_of(infer(http, target, body, fields, "add_sub"))["OUTPUT1"][2] == [8] * 16


@case("infer.binary.empty", TRITON, SOURCE, NEEDS, "identity_fp32")
def test_empty(http, target):
    """A tensor without elements has no bytes."""
    body, fields = binary(("INPUT0", "FP32", [1, 0], b""), outputs=BINARY_OUTPUT)
    assert outputs_of(infer(http, target, body, fields))["OUTPUT0"] == ("FP32", [1, 0], [])


@case("infer.binary.raw", TRITON, "Triton: extension_binary_data.md, Raw Binary Request", NEEDS, "text")
def test_raw(http, target):
    """A length of 0 says that the whole body is the model's one input, and the output comes as bytes."""
    reply = infer(http, target, b"raw", [("Inference-Header-Content-Length", "0"), ("Content-Type", "application/octet-stream")],
                  "text")
    assert outputs_of(reply)["text_output"] == ("BYTES", [1], [b"RAW"])


@case("infer.binary.large", TRITON, SOURCE, NEEDS, "identity_fp32")
def test_large(http, target):
    """A tensor of 602 kB goes both ways."""
    data = pack("FP32", [float(i) for i in range(3 * 224 * 224)])
    body, fields = binary(("INPUT0", "FP32", [1, 3 * 224 * 224], data), outputs=BINARY_OUTPUT)
    reply = infer(http, target, body, fields)
    assert reply.status == 200 and reply.body.endswith(data)
