"""Bad input on every surface: the right status and sentence, and a server that is as it was before.

After every case: the same process, live and ready, a good inference gives the same bytes, descriptors are back."""
import gzip
import json
import struct

import grpc
import h2.config
import h2.connection
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from support import processes
from support.repositories import request as infer_request
from support.repositories import write_model
from support.server import Server
from support.sockets import H2_PREFACE, FRAME_CONTINUATION, FRAME_HEADERS, FRAME_PING, FRAME_SETTINGS, Connection
from support.sockets import h2_frame, request

INFER = "/v2/models/echo/infer"
GRPC_INFER = b"/inference.GRPCInferenceService/ModelInfer"
LEAKS = ("/work", "/tmp", "/home", "/root", "0x7f", "memfd", ".c:")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = write_model(tmp_path_factory.mktemp("models"), "echo", "identity")
    write_model(folder, "text", "identity", "BYTES")
    running = Server(folder, "--header-timeout-ms", 1000, "--body-timeout-ms", 1000, "--unsent-timeout-ms", 1000,
                     "--max-json-mib", 1, state=tmp_path_factory.mktemp("state"))
    running.wait_ready("echo").wait_ready("text")
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def as_before(served):
    """What must be true after every bad input."""
    def answer():
        return served.infer("echo", infer_request([1, 2]))

    def pids():
        return [child.pid for child in served.descendants()]

    before, descriptors, processes_before = answer(), processes.idle_fd_count(served.pid), pids()
    yield
    assert answer() == before
    processes.until(lambda: processes.idle_fd_count(served.pid) <= descriptors, 30, "descriptors as before")
    processes.until(lambda: pids() == processes_before, 30, "processes as before")
    assert served.fetch("/v2/health/live")[0] == served.fetch("/v2/health/ready")[0] == 200


def head(*lines):
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


POST = f"POST {INFER} HTTP/1.1"
GET = "GET /v2 HTTP/1.1"
HTTP1 = {
    "length and chunked": (400, head(POST, "Host: localhost", "Content-Length: 5", "Transfer-Encoding: chunked")),
    "two unequal lengths": (400, head(POST, "Host: localhost", "Content-Length: 5", "Content-Length: 6")),
    "signed length": (400, head(POST, "Host: localhost", "Content-Length: +5")),
    "hexadecimal length": (400, head(POST, "Host: localhost", "Content-Length: 0x5")),
    "empty length": (400, head(POST, "Host: localhost", "Content-Length: ")),
    "length of 40 digits": (413, head(POST, "Host: localhost", "Content-Length: " + "9" * 40)),
    "unknown transfer coding": (501, head(POST, "Host: localhost", "Transfer-Encoding: gzip, chunked")),
    "signed chunk size": (400, head(POST, "Host: localhost", "Transfer-Encoding: chunked") + b"+5\r\nhello\r\n0\r\n\r\n"),
    "chunk size of 17 digits": (413, head(POST, "Host: localhost", "Transfer-Encoding: chunked") + b"1" * 17 + b"\r\n"),
    "bare line feeds": (400, b"GET /v2 HTTP/1.1\nHost: localhost\n\n"),
    "NUL in a value": (400, head(GET, "Host: localhost", "X: a\0b")),
    "blank before the colon": (400, head(GET, "Host: localhost", "X : b")),
    "folded line": (400, head(GET, "Host: localhost", "X: b", " c")),
    "no host": (400, head(GET)),
    "two hosts": (400, head(GET, "Host: localhost", "Host: localhost")),
    "unknown version": (505, head("GET /v2 HTTP/9.9", "Host: localhost")),
    "target of 64 KiB": (414, head(f"GET /{'a' * 65536} HTTP/1.1", "Host: localhost")),
    "field of 1 MiB": (431, head(GET, "Host: localhost", "X: " + "a" * (1 << 20))),
    "10,000 fields": (431, head(GET, "Host: localhost", *(f"x{i}: 1" for i in range(10000)))),
    "encoded traversal": (400, head("GET /v2/models/%2e%2e/ready HTTP/1.1", "Host: localhost")),
}


@pytest.mark.parametrize("status, data", HTTP1.values(), ids=HTTP1)
def test_malformed_http1_is_refused_and_closed(served, status, data):
    with Connection(served.address) as conn:
        try:
            conn.send(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has answered and closed already
        response = conn.response()
        assert response.status == status or (status in (414, 431) and response.status in (414, 431)), response.body
        assert not any(leak in response.body.decode() for leak in LEAKS)
        assert conn.rest() == b""


def test_pipelined_good_good_bad(served):
    with Connection(served.address) as conn:
        conn.send(request("GET", "/v2") * 2 + head(GET, "Host: localhost", "Host: b"))
        assert [conn.response().status for _ in range(3)] == [200, 200, 400]
        assert conn.rest() == b""


def test_a_million_chunks_of_one_byte_are_too_many(served):
    with Connection(served.address) as conn:
        try:
            conn.send(head(POST, "Host: localhost", "Transfer-Encoding: chunked") + b"1\r\na\r\n" * 1000000)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert conn.response().status in (400, 413)


@pytest.mark.parametrize("spare", [1, 0])
def test_a_body_may_have_65536_chunks_the_last_one_included(served, spare):
    """Spaces around JSON; the chunk that ends the body is one of them."""
    body = json.dumps({"inputs": [tensor()]}).encode()
    chunks = b"%x\r\n%s\r\n" % (len(body), body) + b"1\r\n \r\n" * (65535 - 1 - spare)
    with Connection(served.address) as conn:
        conn.send(head(POST, "Host: localhost", "Transfer-Encoding: chunked") + chunks + b"1\r\n \r\n0\r\n\r\n")
        answer = conn.response()
    if spare:
        assert answer.status == 200
    else:
        assert answer.status in (400, 413) and b"more than 65536 chunks" in answer.body


@pytest.mark.parametrize("data", [b"", b"GET /v2 HT", head(POST, "Host: localhost", "Content-Length: 100") + b"abc"],
                         ids=["nothing", "half a head", "half a body"])
def test_slow_clients_are_cut(served, data):
    with Connection(served.address) as conn:
        conn.send(data)
        conn.rest()  # ends


def tensor(**changes):
    return {"name": "x", "datatype": "FP32", "shape": [2], "data": [1, 2], **changes}


JSON = {
    "nothing": b"", "no JSON": b"hello", "cut": b'{"inputs":[', "trailing garbage": b'{"inputs":[]} x',
    "250,000 brackets": b"[" * 250000, "lone surrogate": b'{"id":"\\ud800","inputs":[]}',
    "name with NUL": json.dumps({"inputs": [tensor(name="x\0")]}).encode(),
    "overflowing shape": {"inputs": [tensor(shape=[16, 2**60 + 2])]},
    "negative shape": {"inputs": [tensor(shape=[2, -5])]}, "broken shape": {"inputs": [tensor(shape=[1.5])]},
    "10,000 dimensions": {"inputs": [tensor(shape=[1] * 10000)]},
    "no elements but data": {"inputs": [tensor(shape=[0])]}, "too few data": {"inputs": [tensor(data=[1])]},
    "too many data": {"inputs": [tensor(data=[1, 2, 3])]}, "NaN": b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[NaN]}]}',
    "1e999": b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1e999]}]}',
    "text for numbers": {"inputs": [tensor(data=["a", "b"])]}, "unknown datatype": {"inputs": [tensor(datatype="FP128")]},
    "same input twice": {"inputs": [tensor(), tensor()]}, "unknown input": {"inputs": [tensor(name="z")]},
    "no inputs": {}, "inputs of another type": {"inputs": 7}, "1,025 inputs": {"inputs": [tensor()] * 1025},
    "unknown output": {"inputs": [tensor()], "outputs": [{"name": "z"}]},
    "INT8 300": {"inputs": [tensor(datatype="INT8", data=[300, 1])]},
}


@pytest.mark.parametrize("body", JSON.values(), ids=JSON)
def test_bad_json_is_explained(served, body):
    status, headers, answer = served.fetch(INFER, body, method="POST")
    assert status == 400, answer
    assert headers["content-type"] == "application/json"
    sentence = json.loads(answer)["error"]
    assert sentence and not any(leak in sentence for leak in LEAKS)


def test_typed_contents_over_the_limit_are_refused(served):
    asked = service_pb2.ModelInferRequest(model_name="echo")
    asked.inputs.add(name="x", datatype="FP32", shape=[1 << 18]).contents.fp32_contents.extend([0.5] * (1 << 18))
    with grpc.insecure_channel(served.netloc) as channel, pytest.raises(grpc.RpcError) as refused:
        service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(asked, timeout=60)
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "1048576 bytes" in refused.value.details() and "raw_input_contents" in refused.value.details()


def test_a_json_body_over_the_limit_is_refused(served):
    assert served.fetch(INFER, b"[" + b"1," * (1 << 20), method="POST")[0] == 413


BINARY = {
    "length beyond the body": ("99999999999", 8), "negative length": ("-1", 8), "no number": ("abc", 8),
    "size too small": (None, 4), "size too large": (None, 12), "size of 2⁶³": (None, 2**63), "size that wraps": (None, 2**64 - 4),
}


@pytest.mark.parametrize("length, size", BINARY.values(), ids=BINARY)
def test_binary_sizes_that_lie_are_refused(served, length, size):
    text = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [2],
                                   "parameters": {"binary_data_size": size}}]}).encode()
    status, _, answer = served.fetch(INFER, text + struct.pack("2f", 1, 2),
                                     headers={"Inference-Header-Content-Length": length or str(len(text))})
    assert status == 400 and json.loads(answer)["error"]


@pytest.mark.parametrize("coding", ["br", "gzip, gzip", "identity, gzip", "a\"b"])
@pytest.mark.parametrize("path", [INFER, "/v2/repository/index"])
def test_a_coded_body_is_refused(served, path, coding):
    """Its bytes would be read as if they were JSON or tensors."""
    status, fields, answer = served.fetch(path, gzip.compress(json.dumps(infer_request([1, 2])).encode()),
                                     headers={"Content-Encoding": coding})
    assert status == 415 and fields["accept-encoding"] == "gzip, deflate"
    sentence = json.loads(answer)["error"]
    assert coding in sentence and "gzip and deflate" in sentence


def test_a_coded_body_is_refused_over_http2(served):
    import h2.events
    client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    client.initiate_connection()
    client.send_headers(1, [(":method", "POST"), (":scheme", "http"), (":path", INFER), (":authority", "localhost"),
                            ("content-encoding", "br")])
    client.send_data(1, b"x", end_stream=True)
    with Connection(served.address) as conn:
        conn.send(client.data_to_send())
        while conn.more():
            for event in client.receive_data(conn.take(len(conn.received))):
                if isinstance(event, h2.events.ResponseReceived):
                    assert dict(event.headers)[":status"] == "415"
                    return
    raise AssertionError("no response")


@pytest.mark.parametrize("coding", ["identity", "Identity", ""])
def test_a_body_that_is_not_coded_is_read(served, coding):
    assert served.fetch(INFER, infer_request([1, 2]), headers={"Content-Encoding": coding})[0] == 200


@pytest.mark.parametrize("second", [0, 1])
def test_two_lengths_of_the_json_are_refused(served, second):
    """Even when they are equal: whoever stands before us may have read another one."""
    text = json.dumps(infer_request([1, 2])).encode()
    lengths = {0: str(len(text)), 1: "0"}
    with Connection(served.address) as conn:
        conn.send(head(POST, "Host: localhost", f"Content-Length: {len(text)}",
                       f"Inference-Header-Content-Length: {len(text)}",
                       f"Inference-Header-Content-Length: {lengths[second]}") + text)
        response = conn.response()
        assert response.status == 400 and b"Inference-Header-Content-Length" in response.body


STRINGS = {
    "length beyond the end": b"\5\0\0\0four", "length short of the end": b"\3\0\0\0four", "half a length": b"\0\0\0\0\0\0",
    "an element too many": b"\1\0\0\0a\1\0\0\0b", "length of 4 GiB": b"\xff\xff\xff\xfffour",
}


@pytest.mark.parametrize("data", STRINGS.values(), ids=STRINGS)
def test_strings_that_do_not_add_up_are_refused(served, data):
    """The same over REST and gRPC, raw."""
    text = json.dumps({"inputs": [{"name": "x", "datatype": "BYTES", "shape": [1],
                                   "parameters": {"binary_data_size": len(data)}}]}).encode()
    status, _, answer = served.fetch("/v2/models/text/infer", text + data,
                                     headers={"Inference-Header-Content-Length": str(len(text))})
    assert status == 400 and "BYTES" in json.loads(answer)["error"]
    status, sentence = grpc_status(served, framed(message([data], (1,), b"BYTES", b"text")))
    assert status == 3 and "BYTES" in sentence


def test_typed_strings_that_do_not_fill_the_shape_are_refused(served):
    contents = field(8, b"a") + field(8, b"b")
    one = field(1, b"x") + field(2, b"BYTES") + field(3, b"\1") + field(5, contents)
    status, sentence = grpc_status(served, framed(field(1, b"text") + field(5, one)))
    assert status == 3 and "BYTES" in sentence


def varint(number):
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def message(raw=(struct.pack("2f", 1, 2),), shape=(2,), datatype=b"FP32", model=b"echo"):
    one = field(1, b"x") + field(2, datatype) + field(3, b"".join(varint(size) for size in shape))
    return field(1, model) + field(5, one) + b"".join(field(7, data) for data in raw)


def framed(data, flag=0, size=None):
    return struct.pack(">BI", flag, len(data) if size is None else size) + data


def literal(name, value):
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


def grpc_head(path=GRPC_INFER, *more):
    fields = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", path), (b":authority", b"localhost"),
              (b"content-type", b"application/grpc"), (b"te", b"trailers"), *more]
    return b"".join(literal(name, value) for name, value in fields)


def grpc_status(served, body, *more):
    """(grpc-status, grpc-message) of a unary call with this very body."""
    client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    client.initiate_connection()
    client.send_headers(1, [(":method", "POST"), (":scheme", "http"), (":path", GRPC_INFER.decode()), (":authority", "localhost"),
                            ("content-type", "application/grpc"), ("te", "trailers"), *more])
    client.send_data(1, body, end_stream=True)
    with Connection(served.address) as conn:
        conn.send(client.data_to_send())
        while conn.more():
            for event in client.receive_data(conn.take(len(conn.received))):
                fields = dict(getattr(event, "headers", None) or ())
                if "grpc-status" in fields:
                    return int(fields["grpc-status"]), fields.get("grpc-message", "")
            conn.send(client.data_to_send())
    raise AssertionError("no grpc-status")


GRPC = {
    "good": (0, framed(message())), "unknown model": (5, framed(field(1, b"nope"))), "empty message": (5, framed(b"")),
    "length of 4 GiB": (8, framed(b"", size=0xFFFFFFFF)), "compressed without encoding": (13, framed(message(), flag=1)),
    "two messages": (12, framed(message()) * 2), "no message": (13, b""), "cut": (13, framed(message())[:-3]),
    "truncated varint": (3, framed(b"\xff\xff")), "shape of 2³¹ × 2³¹ × 2³¹": (3, framed(message(shape=(1 << 31,) * 3))),
    "negative shape": (3, framed(message(shape=((1 << 64) - 2,)))), "17 dimensions": (3, framed(message(shape=(1,) * 17))),
    "more tensors than inputs": (3, framed(message(raw=(b"12345678",) * 2))), "no tensor": (3, framed(message(raw=()))),
    "tensor too short": (3, framed(message(raw=(b"1234",)))), "unknown datatype": (3, framed(message(datatype=b"X"))),
    "group": (3, framed(b"\x0b")),
}


@pytest.mark.parametrize("status, body", GRPC.values(), ids=GRPC)
def test_bad_grpc_gets_its_status(served, status, body):
    got, sentence = grpc_status(served, body)
    assert got == status, sentence
    assert not any(leak in sentence for leak in LEAKS)


def test_an_absurd_timeout_is_refused(served):
    assert grpc_status(served, framed(message()), ("grpc-timeout", "999999999999S"))[0] in (3, 13)


def h2_cut(served, frames):
    """Sends frames until the server has cut the connection; True when it did."""
    with Connection(served.address) as conn:
        try:
            conn.send(H2_PREFACE + h2_frame(FRAME_SETTINGS))
            for frame in frames:
                conn.send(frame)
        except (BrokenPipeError, ConnectionResetError):
            return True
        try:
            conn.rest()
        except TimeoutError:
            return False
        return True


def test_rapid_reset_is_cut(served):
    assert h2_cut(served, (h2_frame(FRAME_HEADERS, 4, stream, grpc_head()) + h2_frame(3, 0, stream, struct.pack(">I", 8))
                           for stream in range(1, 40001, 2)))


def test_endless_continuation_is_cut(served):
    first = h2_frame(FRAME_HEADERS, 0, 1, grpc_head())
    assert h2_cut(served, [first] + [h2_frame(FRAME_CONTINUATION, 0, 1, literal(b"x", b"y" * 100))] * 5000)


def test_floods_that_nobody_reads_are_cut(served):
    assert h2_cut(served, (h2_frame(FRAME_PING, 0, 0, b"12345678") * 100 for _ in range(20000)))
    assert h2_cut(served, (h2_frame(FRAME_SETTINGS) * 100 for _ in range(20000)))


def test_hpack_nonsense_is_refused(served):
    assert h2_cut(served, [h2_frame(FRAME_HEADERS, 5, 1, b"\x80")])
    assert h2_cut(served, [h2_frame(FRAME_HEADERS, 5, 1, b"\xff" * 20)])


@pytest.mark.parametrize("name", ["..", "a/b", "", "a" * 256, "%00"])
def test_strange_model_names_are_unknown(served, name):
    status, _, _ = served.fetch(f"/v2/repository/models/{name}/load", b"", method="POST")
    assert status in (400, 404)
