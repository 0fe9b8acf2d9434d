"""gRPC messages that are compressed: taken, answered in kind, and refused when they are damaged or expand without end."""
import gzip
import zlib

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton

from support.http2 import END_HEADERS, END_STREAM, Http2, data, grpc_block, grpc_message, headers
from support.repositories import write_model

OK, INVALID_ARGUMENT, RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL = 0, 3, 8, 12, 13
MIB = 1 << 20
FRAME_BYTES = 16384


@pytest.fixture
def served(server, tmp_path):
    return server(write_model(tmp_path / "models", "echo", "identity")).wait_ready("echo")


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
@pytest.mark.parametrize("count", [1, 1000, 300_000])
def test_an_unmodified_client_compresses(served, algorithm, count):
    values = np.random.default_rng(count).integers(0, 4, count).astype(np.float32)
    with triton.InferenceServerClient(served.netloc) as client:
        given = triton.InferInput("x", [count], "FP32")
        given.set_data_from_numpy(values)
        answer = client.infer("echo", [given], compression_algorithm=algorithm)
    assert (answer.as_numpy("y") == values).all()


def answer_of(served, body, *fields):
    with Http2(served.address) as conn:
        conn.send(headers(1, grpc_block("/inference.GRPCInferenceService/ModelMetadata", *fields), END_HEADERS))
        for at in range(0, len(body), FRAME_BYTES):
            conn.send(data(1, body[at:at + FRAME_BYTES], END_STREAM if at + FRAME_BYTES >= len(body) else 0))
        return conn.answer()


def status_of(served, body, encoding=b"gzip"):
    return int(answer_of(served, body, (b"grpc-encoding", encoding)).fields["grpc-status"])


NAME = b"\x0a\x04echo"  # ModelMetadataRequest{name: "echo"}


def test_what_is_wrong_is_refused_with_the_reason(served):
    good = gzip.compress(NAME)
    assert status_of(served, grpc_message(good, 1)) == OK
    assert status_of(served, grpc_message(NAME, 0)) == OK
    assert status_of(served, grpc_message(zlib.compress(NAME), 1), b"deflate") == OK
    assert status_of(served, grpc_message(good, 1), b"deflate") == INTERNAL
    assert status_of(served, grpc_message(good[:-1], 1)) == INTERNAL
    assert status_of(served, grpc_message(good + b"x", 1)) == INTERNAL
    assert status_of(served, grpc_message(good, 1), b"identity") == INTERNAL
    assert status_of(served, grpc_message(good, 1), b"br") == UNIMPLEMENTED
    refused = answer_of(served, grpc_message(good, 1), (b"grpc-encoding", b"br"))
    assert refused.fields["grpc-accept-encoding"] == "identity,deflate,gzip"


def test_bombs_are_refused(served):
    """64 MiB of zeros are 64 KiB of gzip; as field 15, which nobody knows, they would even be skipped."""
    zeros = b"\x7a" + b"\x80\x80\x80\x20" + bytes(64 * MIB)
    assert status_of(served, grpc_message(gzip.compress(zeros), 1)) == RESOURCE_EXHAUSTED
    assert status_of(served, grpc_message(gzip.compress(gzip.compress(zeros)), 1)) == INVALID_ARGUMENT


def test_answers_are_compressed_for_those_who_compress(served):
    """A long name comes back in the error's text; the answer that is a message is short and goes as it is."""
    fields = (b"grpc-encoding", b"gzip"), (b"grpc-accept-encoding", b"identity, gzip")
    stream = answer_of(served, grpc_message(gzip.compress(NAME), 1), *fields)
    assert stream.fields["grpc-encoding"] == "gzip"
    assert stream.body[0] == 0
    assert "grpc-encoding" not in answer_of(served, grpc_message(NAME), fields[1]).fields


def streamed(served, requests, compression):
    """The answers of a ModelStreamInfer by grpcio, as messages."""
    from tritonclient.grpc import service_pb2, service_pb2_grpc

    options = [("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(served.netloc, options=options, compression=compression) as channel:
        call = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelStreamInfer(iter(requests))
        return [service_pb2.ModelStreamInferResponse.FromString(answer.SerializeToString()) for answer in call]


def request_of(values, name=""):
    from tritonclient.grpc import service_pb2

    tensor = service_pb2.ModelInferRequest.InferInputTensor(name="x", datatype="FP32", shape=[len(values)])
    return service_pb2.ModelInferRequest(model_name="echo", id=name, inputs=[tensor], raw_input_contents=[values.tobytes()])


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Deflate, grpc.Compression.Gzip])
def test_streams_are_answered_in_kind(served, compression):
    """Short answers, long ones, those that do not get shorter, and failures, one after the other."""
    random = np.random.default_rng(3)
    given = [random.integers(0, 4, count).astype(np.float32) for count in (1, 1000, 200_000, 400_000)]
    given.append(np.frombuffer(random.bytes(4000), np.uint8).view(np.float32))
    requests = [request_of(values, str(i)) for i, values in enumerate(given)]
    wrong = request_of(given[1], "wrong")
    wrong.inputs[0].datatype = "INT8"
    answers = streamed(served, [*requests[:2], wrong, *requests[2:]], compression)
    assert [answer.infer_response.id for answer in answers] == ["0", "1", "wrong", "2", "3", "4"]
    assert answers.pop(2).error_message
    for answer, values in zip(answers, given, strict=True):
        assert answer.infer_response.raw_output_contents[0] == values.tobytes()


def test_answers_of_streams_are_compressed_on_their_way(served):
    body = request_of(np.zeros(10_000, np.float32)).SerializeToString()
    fields = (b"grpc-encoding", b"gzip"), (b"grpc-accept-encoding", b"identity, gzip")
    for chosen, flag in ((fields, 1), (fields[1:], 0)):
        with Http2(served.address) as conn:
            conn.send(headers(1, grpc_block("/inference.GRPCInferenceService/ModelStreamInfer", *chosen), END_HEADERS))
            packed = grpc_message(gzip.compress(body), 1) if flag else grpc_message(body)
            for at in range(0, len(packed), FRAME_BYTES):
                conn.send(data(1, packed[at:at + FRAME_BYTES], END_STREAM if at + FRAME_BYTES >= len(packed) else 0))
            stream = conn.answer()
        assert stream.body[0] == flag and stream.fields.get("grpc-encoding") == ("gzip" if flag else None)
        message = gzip.decompress(stream.body[5:]) if flag else stream.body[5:]
        assert int.from_bytes(stream.body[1:5], "big") == len(stream.body) - 5 and bytes(4 * 10_000) in message
        assert len(stream.body) < 1000 or not flag
