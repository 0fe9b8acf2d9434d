"""Content codings over REST: gzip and deflate both ways, through Triton's clients and raw bytes."""
import gzip
import json
import struct
import zlib

import h2.config
import h2.connection
import h2.events
import httpx
import numpy as np
import pytest
import tritonclient.http
import tritonclient.http.aio

from support.repositories import request, write_model
from support.server import Server
from support.sockets import Connection

INFER = "/v2/models/m/infer"
CODERS = {"gzip": gzip.compress, "deflate": zlib.compress}
VALUES = np.arange(5000, dtype=np.float32)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    names = ["m"] + [f"model_with_a_long_name_{i}" for i in range(30)]
    for name in names:
        write_model(folder, name, "identity")
    # Tensor memory reserves address space for each model, of which ThreadSanitizer leaves little for so many.
    one = Server(folder, "--max-json-mib", "4", "--memory-limit-mib", "128", state=tmp_path_factory.mktemp("state"))
    try:
        for name in names:
            one.wait_ready(name)
        yield one
    finally:
        one.stop()


@pytest.fixture(params=["gzip", "deflate"])
def coding(request):
    return request.param


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("answers", [None, "gzip", "deflate"])
def test_tritonclient_compresses_both_ways(served, coding, binary, answers):
    with tritonclient.http.InferenceServerClient(served.netloc) as client:
        given = tritonclient.http.InferInput("x", [VALUES.size], "FP32").set_data_from_numpy(VALUES, binary_data=binary)
        wanted = tritonclient.http.InferRequestedOutput("y", binary_data=binary)
        got = client.infer("m", [given], outputs=[wanted], request_compression_algorithm=coding,
                           response_compression_algorithm=answers)
        assert np.array_equal(got.as_numpy("y"), VALUES)


def test_tritonclient_of_asyncio_compresses_both_ways(served, coding):
    import asyncio

    async def run():
        async with tritonclient.http.aio.InferenceServerClient(served.netloc) as client:
            given = tritonclient.http.InferInput("x", [VALUES.size], "FP32")
            given.set_data_from_numpy(VALUES)
            got = await client.infer("m", [given], request_compression_algorithm=coding, response_compression_algorithm=coding)
            return got.as_numpy("y")

    assert np.array_equal(asyncio.run(run()), VALUES)


def test_a_raw_body_may_be_compressed(served, coding):
    body = CODERS[coding](VALUES.tobytes())
    status, fields, answer = served.fetch(INFER, body, headers={"Content-Encoding": coding, "Inference-Header-Content-Length": "0"})
    length = int(fields["inference-header-content-length"])
    assert status == 200 and answer[length:] == VALUES.tobytes()


def test_every_route_takes_compressed_bodies(served, coding):
    status, _, body = served.fetch("/v2/repository/index", CODERS[coding](b'{"ready": true}'), headers={"Content-Encoding": coding})
    assert status == 200 and len(json.loads(body)) == 31
    flat = CODERS[coding](json.dumps({"x": [1, 2]}).encode())
    status, _, body = served.fetch("/v2/models/m/generate", flat, headers={"Content-Encoding": coding})
    assert status == 200 and json.loads(body)["y"] == [1, 2]


def test_a_compressed_body_may_come_in_chunks(served, coding):
    body = CODERS[coding](json.dumps(request(VALUES.tolist())).encode())

    def pieces():
        for at in range(0, len(body), 100):
            yield body[at:at + 100]

    answer = httpx.post(served.url + INFER, content=pieces(), headers={"Content-Encoding": coding}, timeout=60)
    assert answer.status_code == 200 and answer.json()["outputs"][0]["data"] == VALUES.tolist()


def test_a_compressed_body_over_http2(served):
    client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    client.initiate_connection()
    client.send_headers(1, [(":method", "POST"), (":scheme", "http"), (":path", INFER), (":authority", "localhost"),
                            ("content-encoding", "gzip")])
    client.send_data(1, gzip.compress(json.dumps(request([1, 2])).encode()), end_stream=True)
    body = b""
    with Connection(served.address) as conn:
        conn.send(client.data_to_send())
        while conn.more():
            for event in client.receive_data(conn.take(len(conn.received))):
                if isinstance(event, h2.events.DataReceived):
                    body += event.data
                if isinstance(event, h2.events.StreamEnded):
                    assert json.loads(body)["outputs"][0]["data"] == [1, 2]
                    return
    raise AssertionError("no answer")


DAMAGED = {
    "no such format": b"x" * 100,
    "the other format": zlib.compress(b"{}"),
    "nothing": b"",
    "cut short": gzip.compress(json.dumps(request([1, 2])).encode())[:-9],
    "wrong checksum": gzip.compress(json.dumps(request([1, 2])).encode())[:-8] + bytes(8),
    "something behind": gzip.compress(json.dumps(request([1, 2])).encode()) + b"x",
    "two members": gzip.compress(b"{") + gzip.compress(b"}"),
}


@pytest.mark.parametrize("body", DAMAGED.values(), ids=DAMAGED)
@pytest.mark.parametrize("path", [INFER, "/v2/repository/index"])
def test_damaged_bodies_are_refused(served, path, body):
    status, _, answer = served.fetch(path, body, headers={"Content-Encoding": "gzip"})
    assert status == 400 and "compressed" in json.loads(answer)["error"]
    assert served.fetch(INFER, request([1, 2]))[0] == 200


def test_what_is_said_of_lengths_is_of_the_decoded_body(served):
    text = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [2], "parameters": {"binary_data_size": 8}}]})
    whole = text.encode() + struct.pack("2f", 1, 2)
    for length, expected in [(len(text), 200), (len(whole) + 1, 400)]:
        headers = {"Content-Encoding": "gzip", "Inference-Header-Content-Length": str(length)}
        assert served.fetch(INFER, gzip.compress(whole), headers=headers)[0] == expected
    assert served.fetch(INFER, gzip.compress(whole + b"x"), headers={**headers, "Inference-Header-Content-Length": str(len(text))})[0] == 400


@pytest.mark.parametrize("path", [INFER, "/v2/repository/index", "/v2/models/none/infer"])
def test_bombs_are_refused_before_they_have_expanded(served, path):
    before = served.fetch(INFER, request([1, 2]))[0]
    bomb = gzip.compress(bytes(32 << 20))
    status, _, answer = served.fetch(path, bomb, headers={"Content-Encoding": "gzip"})
    assert before == 200 and status == 413 and "expand" in json.loads(answer)["error"]
    assert served.fetch(INFER, request([1, 2]))[0] == 200


def test_a_decoded_body_has_the_limits_of_a_plain_one(served):
    text = json.dumps(request(np.random.default_rng(1).random(400_000).tolist())).encode()
    assert len(text) > 4 << 20
    status, _, answer = served.fetch(INFER, gzip.compress(text), headers={"Content-Encoding": "gzip"})
    assert status == 413 and json.loads(answer)["error"]


def test_a_file_that_is_pushed_is_sent_as_it_is(served):
    status, _, answer = served.fetch("/tensord/v1/blobs/" + "0" * 64, b"x", method="PUT",
                                     headers={"Content-Encoding": "gzip"})
    assert status == 415 and "as it is" in json.loads(answer)["error"]


# ---- answers ----


@pytest.mark.parametrize("accepted, expected", [
    ("gzip", "gzip"), ("deflate", "deflate"), ("gzip, deflate, br", "gzip"), ("deflate;q=1, gzip;q=0.5", "deflate"), ("*", "gzip"),
    ("gzip;q=0, *", "deflate"), ("GZIP ; q=0.001", "gzip"), ("gzip;q=0", None), ("gzip;q=x", None), ("br", None), ("identity", None),
    ("", None), (None, None)])
def test_lists_are_compressed_as_the_client_says(served, accepted, expected):
    headers = {} if accepted is None else {"Accept-Encoding": accepted}
    status, fields, body = served.fetch("/v2/repository/index", b"", method="POST", headers=headers)
    assert (status, fields.get("content-encoding")) == (200, expected)
    plain = {"gzip": gzip.decompress, "deflate": zlib.decompress, None: bytes}[expected](body)
    assert len(json.loads(plain)) == 31
    assert (fields.get("vary") == "accept-encoding") == (expected is not None)


def test_short_answers_are_not_compressed(served):
    _, fields, body = served.fetch("/v2/models/m", headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in fields and json.loads(body)["name"] == "m"


def test_tensors_are_compressed_for_who_names_one_coding(served):
    for accepted, expected in [("gzip", "gzip"), ("gzip, deflate", None), ("identity, deflate", "deflate")]:
        status, fields, _ = served.fetch(INFER, request([0] * 2000), headers={"Accept-Encoding": accepted})
        assert (status, fields.get("content-encoding")) == (200, expected)
