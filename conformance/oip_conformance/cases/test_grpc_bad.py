"""Bad messages and streams over gRPC."""
import grpc
import pytest

from oip_conformance.catalogue import OIP_GRPC, ROBUSTNESS, case
from oip_conformance.rpc import Failure, message
from oip_conformance.tensors import unpack

INFER = "/inference.GRPCInferenceService/ModelInfer"
STREAM = "/inference.GRPCInferenceService/ModelStreamInfer"
CLIENTS = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.OUT_OF_RANGE,
           grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.UNIMPLEMENTED}


def good(target):
    return message(target.model("identity_fp32"), ("INPUT0", "FP32", [1, 2], [1.0, 2.0]))


def changed(change):
    """A good request for identity_fp32, changed."""
    def make(target):
        made = good(target)
        change(made)
        return made
    return make


def set_shape(shape):
    return changed(lambda made: made.inputs[0].shape.__setitem__(slice(None), shape))


def set_raw(*contents):
    return changed(lambda made: made.raw_input_contents.__setitem__(slice(None), contents))


def set_field(name, value):
    return changed(lambda made: setattr(made.inputs[0], name, value))


def add_typed(made):
    made.inputs[0].contents.fp32_contents.extend([1.0, 2.0])


def only_typed(field, values):
    def change(made):
        del made.raw_input_contents[:]
        getattr(made.inputs[0].contents, field).extend(values)
    return changed(change)


def twice(made):
    made.inputs.append(made.inputs[0])
    made.raw_input_contents.append(made.raw_input_contents[0])


def region(made):
    del made.raw_input_contents[:]
    made.inputs[0].parameters["shared_memory_region"].string_param = "nix"
    made.inputs[0].parameters["shared_memory_byte_size"].int64_param = 8


MESSAGES = {
    "no-model": changed(lambda made: made.ClearField("model_name")), "version-text": changed(lambda made: setattr(made, "model_version", "one")),
    "version-unknown": changed(lambda made: setattr(made, "model_version", "77")),
    "no-inputs": changed(lambda made: (made.ClearField("inputs"), made.ClearField("raw_input_contents"))),
    "name-unknown": set_field("name", "NIX"), "name-empty": set_field("name", ""), "datatype-unknown": set_field("datatype", "FP128"),
    "datatype-empty": set_field("datatype", ""), "datatype-other": set_field("datatype", "INT32"),
    "shape-negative": set_shape([1, -5]), "shape-wildcard": set_shape([1, -1]), "shape-overflows": set_shape([16, 2**60 + 2]),
    "shape-overflows-to-two": set_shape([2**33, 2**31]), "shape-min": set_shape([-2**63, -2**63]), "shape-empty": set_shape([]),
    "shape-zero": set_shape([1, 0]), "shape-10000": set_shape([1] * 9999 + [2]), "shape-terabyte": set_shape([1, 2**40]),
    "raw-too-few": set_raw(b"\0" * 4), "raw-too-many": set_raw(b"\0" * 12), "raw-empty": set_raw(b""), "raw-missing": set_raw(),
    "raw-one-too-many": set_raw(b"\0" * 8, b"\0" * 8), "raw-and-typed": changed(add_typed),
    "typed-other-field": only_typed("int_contents", [1, 2]), "typed-too-few": only_typed("fp32_contents", [1.0]),
    "typed-too-many": only_typed("fp32_contents", [1.0] * 3), "input-twice": changed(twice),
    "output-unknown": changed(lambda made: made.outputs.add(name="NIX")), "region-unknown": changed(region),
}


def refused(failure):
    """A status that says whose mistake it was, with a sentence."""
    assert failure.code in CLIENTS and failure.details, failure


@case("bad.grpc.message", ROBUSTNESS, OIP_GRPC, model="identity_fp32")
@pytest.mark.parametrize("make", MESSAGES.values(), ids=MESSAGES)
def test_message(rpc, target, make):
    """What is no tensor of this model is the client's mistake: INVALID_ARGUMENT, or another code that says so, with a sentence."""
    refused(rpc.fails("ModelInfer", make(target)))


@case("bad.grpc.stream-message", ROBUSTNESS, OIP_GRPC, "stream", "identity_fp32")
@pytest.mark.parametrize("make", MESSAGES.values(), ids=MESSAGES)
def test_stream_message(rpc, target, make):
    """The same in a stream is answered by error_message, and the next request as ever."""
    first, second = rpc.stream(make(target), good(target))
    bad, answer = (first, second) if first.error_message else (second, first)
    assert bad.error_message and unpack("FP32", answer.infer_response.raw_output_contents[0]) == [1.0, 2.0]


RANGES = {"INT8": ("int_contents", [300, 1]), "INT16": ("int_contents", [40000, 1]), "UINT8": ("uint_contents", [256, 1]),
          "UINT16": ("uint_contents", [65536, 1])}


@case("bad.grpc.range", ROBUSTNESS, OIP_GRPC, model=[f"identity_{name.lower()}" for name in RANGES])
@pytest.mark.parametrize("datatype", RANGES)
def test_range(rpc, target, datatype):
    """A value in typed contents that the datatype does not have is refused, never answered as another."""
    field, values = RANGES[datatype]
    made = message(target.model(f"identity_{datatype.lower()}"))
    getattr(made.inputs.add(name="INPUT0", datatype=datatype, shape=[1, 2]).contents, field).extend(values)
    refused(rpc.fails("ModelInfer", made))


@case("bad.grpc.bytes", ROBUSTNESS, OIP_GRPC, model="identity_bytes")
@pytest.mark.parametrize("data", [b"\xff\xff\xff\xffabc", b"\x01\x00", b"\x01\x00\x00\x00ab", b"\1\0\0\0a\1\0\0\0b"],
                         ids=["4-gib", "half-a-length", "rest", "too-many"])
def test_bytes(rpc, target, data):
    """Lengths of BYTES elements that lead beyond the tensor, or leave some of it, are refused."""
    made = message(target.model("identity_bytes"), ("INPUT0", "BYTES", [1, 1], ["a"]))
    made.raw_input_contents[0] = data
    refused(rpc.fails("ModelInfer", made))


WIRE = {"truncated-varint": b"\x0a\xff\xff\xff", "length-beyond": b"\x0a\x7fabc", "varint-of-11-bytes": b"\x08" + b"\xff" * 11,
        "group": b"\x0b\x0b\x0b", "wire-type-7": b"\x0f\x00", "field-0": b"\x02\x00", "invalid-utf8": b"\x0a\x02\xff\xfe",
        "shape-2^31": b"\x0a\x01x\x2a\x05" + b"\x1a\xff\xff\xff\x7f", "garbage": bytes(range(256)), "nested": b"\x22" * 2000}


@case("bad.grpc.wire", ROBUSTNESS, "Protocol Buffers: encoding")
@pytest.mark.parametrize("data", WIRE.values(), ids=WIRE)
def test_wire(rpc, data):
    """Bytes that are no message end the call with an error's status, and nothing else."""
    with pytest.raises(Failure):
        rpc.raw(INFER, data)


@case("bad.grpc.stream-wire", ROBUSTNESS, "Protocol Buffers: encoding", "stream")
@pytest.mark.parametrize("data", WIRE.values(), ids=WIRE)
def test_stream_wire(rpc, data):
    """In a stream they end it, or are answered by error_message."""
    try:
        answers = rpc.raw_stream(STREAM, data)
    except Failure:
        return
    assert all(answer[:1] == b"\x0a" for answer in answers), answers  # error_message is field 1


@case("bad.grpc.abandoned-streams", ROBUSTNESS, "gRPC: cancellation", "stream", "identity_fp32")
def test_abandoned(rpc, target):
    """Two hundred streams that are cancelled in flight leave nothing behind."""
    for _ in range(200):
        rpc.stub.ModelStreamInfer(iter([good(target)]), timeout=30, metadata=rpc.metadata).cancel()


@case("bad.grpc.sequence-without-id", ROBUSTNESS, "Triton: extension_sequence.md", "sequence", "sequence_sum")
def test_sequence(rpc, target):
    """A model of sequences refuses a request that belongs to none."""
    refused(rpc.fails("ModelInfer", message(target.model("sequence_sum"), ("VALUE", "INT32", [1, 1], [1]))))
