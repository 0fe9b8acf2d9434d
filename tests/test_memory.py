"""When a model's memory for tensors is in use, requests wait for it, whatever they came over; nothing that a
worker does takes more than it was given."""
import gzip
import json
import os
import re
import socket
import threading
import time
from pathlib import Path

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from support import processes
from support.http2 import ACK, END_HEADERS, Http2, data, grpc_block, grpc_message, header_block, headers, settings
from support.repositories import request, tensor_config, write_config, write_model
from support.server import is_sanitized
from support.sockets import Connection, request as http_request

MIB = 1 << 20
LIMIT_MIB = 8
MOST = 6 * MIB  # that one request may have
TIMEOUT_S = 120


@pytest.fixture
def started(server, tmp_path):
    """started("--memory-wait-ms", "5", …): a server of "echo", one input, and "pair", two, with little memory."""

    def start(*arguments):
        folder = write_model(tmp_path / "models", "echo", "identity", "UINT8")
        write_config(folder, "pair", backend="chaos", input=[tensor_config("a", "INT32"), tensor_config("b", "INT32")],
                     output=[tensor_config("c", "INT32"), tensor_config("d", "INT32")],
                     parameters={"batching": {"string_value": "no"}})
        served = server(folder, "--memory-limit-mib", LIMIT_MIB, *arguments)
        return served.wait_ready("echo").wait_ready("pair")

    return start


class Held(Connection):
    """A request that has memory, or waits for it: its body is to come once the server says that it may."""

    def __init__(self, server, size):
        super().__init__(server.address, timeout_s=TIMEOUT_S)
        self.body = bytes(size)
        framing = {"Expect": "100-continue", "Inference-Header-Content-Length": "0"}
        self.send(http_request("POST", "/v2/models/echo/infer", framing, body=self.body)[:-size])

    def has_memory(self):
        """Waits until the server asks for the body; False when it has answered instead."""
        return b" 100 " in self.take_until(b"\r\n")[:20] and self.take_until(b"\r\n") == b"\r\n"

    def still_waits(self, server):
        """Whether nothing has come, now that the server has had a turn or two."""
        for _ in range(3):
            assert server.fetch("/v2/health/live")[0] == 200
        self.socket.setblocking(False)
        try:
            return not self.socket.recv(1, 2)  # MSG_PEEK
        except BlockingIOError:
            return True
        finally:
            self.socket.settimeout(TIMEOUT_S)

    def finish(self):
        self.send(self.body)
        answer = self.response()
        return answer.status, answer.body[-len(self.body):] == self.body


def binary_request(size, **parameters):
    """The bytes of a request with its tensor behind its JSON."""
    head = json.dumps({"parameters": parameters, "inputs": [
        {"name": "x", "datatype": "UINT8", "shape": [size], "parameters": {"binary_data_size": size}}]}).encode()
    return http_request("POST", "/v2/models/echo/infer", {"Inference-Header-Content-Length": str(len(head))},
                        body=head + bytes(size))


def message(*sizes, model="pair", **parameters):
    """A gRPC request whose inputs have so many INT32 elements."""
    made = service_pb2.ModelInferRequest(model_name=model)
    for name, size in zip("ab", sizes):
        made.inputs.add(name=name, datatype="INT32", shape=[size])
        made.raw_input_contents.append(np.arange(size, dtype=np.int32).tobytes())
    for key, value in parameters.items():
        made.parameters[key].int64_param = value
    return made


def test_a_body_that_does_not_fit_now_waits_until_it_does(started):
    server = started()
    with Held(server, 4 * MIB) as first, Held(server, 4 * MIB) as second:
        assert first.has_memory()
        assert second.still_waits(server)
        assert first.finish() == (200, True)
        assert second.has_memory()
        assert second.finish() == (200, True)


def test_who_came_first_goes_first(started):
    server = started()
    with Held(server, 4 * MIB) as first:
        assert first.has_memory()
        with Held(server, 5 * MIB) as second:
            assert second.still_waits(server)
            with Held(server, MIB) as third:  # it would fit, but others are before it
                assert third.still_waits(server)
                first.finish()
                assert second.has_memory()
                assert second.finish() == (200, True)
                assert third.has_memory() and third.finish() == (200, True)


def test_a_client_that_gives_up_waiting_lets_others_by(started):
    server = started()
    with Held(server, 5 * MIB) as first, Held(server, MIB // 4) as third:
        assert first.has_memory() and third.has_memory()
        with Held(server, 5 * MIB) as second:
            assert second.still_waits(server)
            with Held(server, MIB // 4) as fourth:
                assert fourth.still_waits(server)
                second.reset()
                assert fourth.has_memory() and fourth.finish() == (200, True)
        assert third.finish() == (200, True)


def test_small_requests_do_not_wait_for_large_bodies(started):
    server = started()
    with Held(server, MOST - 64 * 1024) as first, Held(server, MOST // 2) as second:
        assert first.has_memory() and second.still_waits(server)
        for _ in range(20):
            status, body = server.infer("echo", request([1, 2], datatype="UINT8"))
            assert status == 200 and body["outputs"][0]["data"] == [1, 2]
        assert first.finish() == (200, True) and second.has_memory() and second.finish() == (200, True)


def test_what_never_fits_is_refused_at_once(started):
    server = started()
    with Held(server, 4 * MIB) as first:
        assert first.has_memory()
        with Held(server, MOST + 1) as second:
            answer = second.response()
            assert answer.status == 413 and str(MOST) in answer.json()["error"]
        with grpc.insecure_channel(server.netloc, options=[("grpc.max_send_message_length", -1)]) as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            with pytest.raises(grpc.RpcError) as caught:
                stub.ModelInfer(message(MOST // 8 + 64, MOST // 8, model="pair"), timeout=TIMEOUT_S)
            assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert first.finish() == (200, True)


def test_a_deadline_ends_the_waiting(started):
    server = started()
    with Held(server, 4 * MIB) as first:
        assert first.has_memory()
        with Connection(server.address, timeout_s=TIMEOUT_S) as second:
            second.send(binary_request(4 * MIB, timeout=200_000)[:2000])  # the body may as well not come
            answer = second.response()
            assert (answer.status, answer.json()) == (503, {"error": "Request timeout expired"})
        with grpc.insecure_channel(server.netloc) as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            waiting = service_pb2.ModelInferRequest(model_name="echo", raw_input_contents=[bytes(3 * MIB)])
            waiting.inputs.add(name="x", datatype="UINT8", shape=[3 * MIB])
            waiting.parameters["timeout"].int64_param = 200_000
            with pytest.raises(grpc.RpcError) as caught:
                stub.ModelInfer(waiting, timeout=TIMEOUT_S)
            assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        assert first.finish() == (200, True)


def test_nobody_waits_for_ever(started):
    server = started("--memory-wait-ms", 200)
    with Held(server, 4 * MIB) as first, Held(server, 4 * MIB) as second:
        assert first.has_memory()
        answer = second.response()
        assert answer.status == 503 and "in use" in answer.json()["error"] and answer.headers["retry-after"]
        assert first.finish() == (200, True)
    metrics = server.fetch("/metrics")[2].decode()
    for limit in ("memory_limit_mib", "memory_wait_ms"):
        assert f'tensord_limit_hits_total{{limit="{limit}"}} 1\n' in metrics


def test_a_call_that_ends_while_it_waits_has_ended(started):
    """Even when memory comes for it at the same moment."""
    server = started()
    front = server.front()
    whole = service_pb2.ModelInferRequest(model_name="echo", raw_input_contents=[bytes(4 * MIB)])
    whole.inputs.add(name="x", datatype="UINT8", shape=[4 * MIB])
    head = whole.SerializeToString()[:-4 * MIB]
    for turn in range(5):
        with Held(server, 5 * MIB) as first, Http2(server.address, timeout_s=TIMEOUT_S) as second:
            assert first.has_memory()
            second.send(headers(1, grpc_block(), END_HEADERS))
            second.send(data(1, grpc_message(head, size=len(head) + 4 * MIB), flags=0))
            processes.until(lambda: hits(server, "memory_limit_mib") > turn, TIMEOUT_S, "its wait")  # noqa: B023
            front.suspend()
            first.socket.shutdown(socket.SHUT_WR)
            second.send(data(1, b""))
            front.resume()
            while not second.stream(1).over:
                assert second.step()
            assert second.stream(1).fields["grpc-message"] == "the request ends before its message does"


def test_the_clock_of_a_body_does_not_run_while_it_waits(started):
    server = started("--body-timeout-ms", 2000)
    with Held(server, 4 * MIB) as second_first, Connection(server.address, timeout_s=TIMEOUT_S) as second:
        assert second_first.has_memory()
        whole = http_request("POST", "/v2/models/echo/infer", {"Inference-Header-Content-Length": "0"}, body=bytes(4 * MIB))
        second.send(whole[:100])  # its head and a few bytes of its body
        started_at = time.monotonic()
        for sent in range(200):  # the first body comes slowly enough, and fast enough for its own clock
            second_first.send(second_first.body[sent * 4096:(sent + 1) * 4096])
            time.sleep(0.02)
        assert time.monotonic() - started_at > 3
        second_first.body = second_first.body[200 * 4096:]
        assert second_first.finish()[0] == 200
        second.send(whole[100:])
        assert second.response().status == 200


def test_json_waits_too(started):
    server = started()
    with Held(server, 5 * MIB) as first:
        assert first.has_memory()
        values, answers = list(range(256)) * 4096, []  # a tensor of 1 MiB
        thread = threading.Thread(target=lambda: answers.append(
            server.infer("echo", request(values, datatype="UINT8"), timeout_s=TIMEOUT_S)))
        with Held(server, MOST) as before:  # so that it waits, whatever is free
            assert before.still_waits(server)
            thread.start()
            assert first.finish() == (200, True)
            assert before.has_memory() and not answers
            assert before.finish() == (200, True)
        thread.join(TIMEOUT_S)
    [(status, body)] = answers
    assert status == 200 and body["outputs"][0]["data"] == values


def test_many_requests_of_several_inputs_over_one_connection_are_all_answered(started):
    """Together they need far more than there is, and more than HTTP/2's windows let through."""
    server = started()
    sizes = np.random.default_rng(1).integers(1, MIB // 4, (60, 2))  # elements of four bytes: up to 2 MiB a request
    with grpc.insecure_channel(server.netloc) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        calls = [stub.ModelInfer.future(message(*map(int, pair), wait_ms=2), timeout=TIMEOUT_S) for pair in sizes]
        for pair, call in zip(sizes, calls):
            for size, raw in zip(pair, call.result().raw_output_contents):
                assert (np.frombuffer(raw, np.int32) == np.arange(size)).all()


def test_many_connections_and_protocols_share_it(started):
    """Binary bodies over HTTP/1.1, JSON and gRPC at once, each with what others leave; nobody is refused."""
    server, good = started(), []

    def binary(seed):
        for size in np.random.default_rng(seed).integers(1, 3 * MIB, 8):
            with Held(server, int(size)) as held:
                good.append(held.has_memory() and held.finish() == (200, True))

    def in_json(seed):
        for _ in range(4):
            values = np.random.default_rng(seed).integers(0, 256, 20000).tolist()
            status, body = server.infer("echo", request(values, datatype="UINT8"), timeout_s=TIMEOUT_S)
            good.append(status == 200 and body["outputs"][0]["data"] == values)

    def over_grpc(seed):
        with grpc.insecure_channel(server.netloc) as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            for pair in np.random.default_rng(seed).integers(1, MIB // 4, (8, 2)):
                answer = stub.ModelInfer(message(*map(int, pair)), timeout=TIMEOUT_S)
                good.append([len(raw) for raw in answer.raw_output_contents] == [4 * pair[0], 4 * pair[1]])

    threads = [threading.Thread(target=client, args=(seed,)) for seed in range(4) for client in (binary, in_json, over_grpc)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT_S)
    assert good == [True] * 4 * (8 + 4 + 8)


def test_what_waits_outlives_an_unload(started):
    """It was bound to the model before; whoever comes later is refused."""
    server = started()
    with Held(server, 4 * MIB) as first, Held(server, 4 * MIB) as second:
        assert first.has_memory() and second.still_waits(server)
        assert server.fetch("/v2/repository/models/echo/unload", b"", method="POST")[0] == 200
        assert server.infer("echo", request([1], datatype="UINT8"))[0] == 503
        assert first.finish() == (200, True)
        assert second.has_memory() and second.finish() == (200, True)
    processes.until(lambda: not server.workers("echo"), 60, "the end of the worker")


def held_json(server, size):
    """A connection that has sent all of a request in JSON but its last byte, or has been answered meanwhile."""
    body = json.dumps(request([1], datatype="UINT8")).encode().ljust(size)
    held = Connection(server.address, timeout_s=TIMEOUT_S)
    held.send(http_request("POST", "/v2/models/echo/infer", body=body)[:-1])
    return held


def held_message(server, size):
    """The same over gRPC: values in `contents`, which are no tensors yet."""
    held = Http2(server.address, timeout_s=TIMEOUT_S)
    assert held.step()  # the server's settings, which give its streams a larger window
    held.send(settings(flags=ACK))
    made = service_pb2.ModelInferRequest(model_name="echo")
    made.inputs.add(name="x", datatype="UINT8", shape=[size]).contents.uint_contents.extend([1] * size)
    whole = grpc_message(made.SerializeToString())
    held.send(headers(1, grpc_block(), END_HEADERS))
    for at in range(0, len(whole) - 1, 16384):
        held.send(data(1, whole[at:min(at + 16384, len(whole) - 1)], flags=0))
    return held


def hits(server, limit):
    return int(re.search(rf'tensord_limit_hits_total{{limit="{limit}"}} (\d+)', server.fetch("/metrics")[2].decode())[1])


@pytest.mark.parametrize("hold", [held_json, held_message])
def test_messages_beside_tensors_are_bounded_together(server, tmp_path, hold):
    """However many clients send them, and however slowly."""
    started = server(write_model(tmp_path / "models", "echo", "identity", "UINT8"), "--max-json-mib", 4, "--message-memory-mib", 8)
    started.wait_ready("echo")
    front = started.front()
    before = front.memory_info().rss
    held = [hold(started, 900_000) for _ in range(40)]
    processes.until(lambda: hits(started, "message_memory_mib") >= 20, TIMEOUT_S, "refusals")
    assert is_sanitized() or front.memory_info().rss - before < 24 * MIB
    for connection in held:
        connection.socket.close()
    processes.until(lambda: started.infer("echo", request([1], datatype="UINT8"))[0] == 200, TIMEOUT_S, "memory")
    values = [1] * 1_000_000
    assert started.infer("echo", request(values, datatype="UINT8"))[1]["outputs"][0]["data"] == values


def test_who_finds_no_memory_for_a_message_is_told_so(server, tmp_path):
    started = server(write_model(tmp_path / "models", "echo", "identity", "UINT8"), "--max-json-mib", 1, "--message-memory-mib", 1)
    started.wait_ready("echo")

    def refused():
        with held_json(started, MIB):
            status, fields, body = started.fetch("/v2/models/echo/infer", b" " * MIB)
            assert started.fetch("/v2/health/ready")[0] == 200
            return status == 503 and fields["retry-after"] and "--message-memory-mib" in json.loads(body)["error"]

    processes.until(refused, TIMEOUT_S, "a refusal")
    assert started.infer("echo", request([1], datatype="UINT8"))[0] == 200


# ---- heads, and what is made of requests ----


STREAMS = 100  # of a connection
HEAD_BYTES = 15_000


def large_head(kind):
    """The head, in HPACK, of a request that is to have a body."""
    padding = [(f"x-{i}".encode(), bytes(HEAD_BYTES // 15).replace(b"\0", b"x")) for i in range(15)]
    return grpc_block("/inference.GRPCInferenceService/ModelInfer", *padding) if kind == "gRPC" else \
        header_block("/v2/models/echo/infer", "POST", *padding)


def hold_heads(server, kind):
    """A connection with as many requests as it may have, of each of which the head has come."""
    held = Http2(server.address, timeout_s=TIMEOUT_S)
    held.attack(headers(2 * i + 1, large_head(kind), END_HEADERS) for i in range(STREAMS))
    return held


@pytest.mark.parametrize("kind", ["gRPC", "REST"])
def test_open_requests_hold_no_more_than_messages_may(server, tmp_path, kind):
    """However many streams of however many connections."""
    started = server(write_model(tmp_path / "models", "echo", "identity", "UINT8"), "--max-json-mib", 4, "--message-memory-mib", 4)
    started.wait_ready("echo")
    front = started.front()
    before = front.memory_info().rss
    held = [hold_heads(started, kind) for _ in range(30)]
    processes.until(lambda: hits(started, "message_memory_mib") > 20 * STREAMS, TIMEOUT_S, "refusals")
    assert is_sanitized() or front.memory_info().rss - before < 24 * MIB
    assert started.infer("echo", request([1], datatype="UINT8"))[0] == 200
    with Http2(started.address, timeout_s=TIMEOUT_S) as refused:
        refused.send(headers(1, large_head(kind), END_HEADERS))
        answer = refused.answer(1)
        assert answer.fields["grpc-status"] == "14" if kind == "gRPC" else answer.status == 503
        assert b"--message-memory-mib" in answer.body + answer.fields.get("grpc-message", "").encode()
    for connection in held:
        connection.socket.close()

    def served():
        with Http2(started.address, timeout_s=TIMEOUT_S) as good:
            good.send(headers(1, large_head("REST"), END_HEADERS) + data(1, json.dumps(request([1], datatype="UINT8")).encode()))
            return good.answer(1).status == 200

    processes.until(served, TIMEOUT_S, "memory")


def test_who_finds_no_memory_for_a_head_is_told_so(server, tmp_path):
    """Over HTTP/1.1, where the answer ends the connection."""
    started = server(write_model(tmp_path / "models", "echo", "identity", "UINT8"), "--max-json-mib", 1, "--message-memory-mib", 1)
    started.wait_ready("echo")
    padding = {f"X-{i}": "x" * 1000 for i in range(15)}

    def refused():
        with held_json(started, MIB), Connection(started.address, timeout_s=TIMEOUT_S) as other:
            other.send(http_request("GET", "/v2", padding))
            answer = other.response()
            return answer.status == 503 and "--message-memory-mib" in answer.json()["error"]

    processes.until(refused, TIMEOUT_S, "a refusal")
    with Connection(started.address, timeout_s=TIMEOUT_S) as other:
        other.send(http_request("GET", "/v2", padding))
        assert other.response().status == 200


@pytest.mark.parametrize("path", ["ModelInfer", "ModelMetadata"])
def test_who_finds_no_memory_to_decompress_is_told_so(server, tmp_path, path):
    started = server(write_model(tmp_path / "models", "echo", "identity", "UINT8"), "--max-json-mib", 1, "--message-memory-mib", 1)
    started.wait_ready("echo")
    made = service_pb2.ModelInferRequest(model_name="echo", id="x" * 100_000)
    if path != "ModelInfer":
        made = service_pb2.ModelMetadataRequest(name="x" * 100_000)
    message = grpc_message(gzip.compress(made.SerializeToString()), flag=1)

    def refused():
        with held_json(started, MIB), Http2(started.address, timeout_s=TIMEOUT_S) as other:
            status, text = other.call(message, (b"grpc-encoding", b"gzip"), path=f"/inference.GRPCInferenceService/{path}")
            return status == 14 and "--message-memory-mib" in text

    processes.until(refused, TIMEOUT_S, "a refusal")


def committed_bytes(server):
    """What the kernel holds of the front's shared memory for tensors."""
    front = server.front()
    total = 0
    for link in Path(f"/proc/{front.pid}/fd").iterdir():
        try:
            if os.readlink(link).startswith("/memfd:tensors"):
                total += link.stat().st_blocks * 512
        except OSError:
            pass
    return total


@pytest.fixture
def thief(server, tmp_path):
    """A server of a model "thief" that takes what it is told to, and of one that does not."""
    folder = write_model(tmp_path / "models", "thief", "chaos", "INT32", {"batching": "no"})
    write_model(folder, "echo", "identity", "UINT8")
    return server(folder, "--memory-limit-mib", 256).wait_ready("thief").wait_ready("echo")


@pytest.mark.parametrize("when", ["touch", "touch_later"])
def test_a_worker_that_touches_memory_it_was_not_given_is_killed(thief, when):
    """While it runs a request, or when nobody asks anything of it; the kernel gets the memory back."""
    started = time.monotonic()
    thief.infer("thief", request([1], datatype="INT32", **{when: 32 * MIB}), timeout_s=TIMEOUT_S)
    assert thief.err.wait_for("took [0-9]+ bytes of memory that it was not given", 60)
    assert time.monotonic() - started < 30
    processes.until(lambda: thief.infer("thief", request([1], datatype="INT32"))[0] == 200, 60, "the next worker")
    assert committed_bytes(thief) < MIB
    assert thief.infer("echo", request([1], datatype="UINT8"))[0] == 200


def test_a_worker_with_its_hands_full_is_not_killed(thief):
    """Large inputs and outputs, and small ones, in turn, for longer than the watch takes to look twice."""
    end = time.monotonic() + 2.5
    while time.monotonic() < end:
        for size in (1, 100_000, 3 * MIB):
            status, body = thief.infer("thief", request([1], datatype="INT32", huge=size * 4))
            assert status == 200, body
        with Held(thief, 20 * MIB) as held:
            assert held.has_memory() and held.finish() == (200, True)
    assert "not given" not in thief.err.text()


def test_memory_goes_back_to_the_kernel_when_nobody_needs_it(thief):
    with Held(thief, 16 * MIB) as held:
        assert held.has_memory() and held.finish() == (200, True)
    assert committed_bytes(thief) > 15 * MIB
    processes.until(lambda: committed_bytes(thief) < MIB, 60, "trimming")


@pytest.mark.skipif(is_sanitized(), reason="its quarantine keeps what was freed")
def test_the_heap_is_as_small_as_before_after_a_burst(started):
    server = started()
    front = server.front()
    small, large = request([1, 2], datatype="UINT8"), json.dumps(request([1] * 2_000_000, datatype="UINT8")).encode()
    for _ in range(20):
        assert server.infer("echo", small)[0] == 200
    before = front.memory_full_info().uss
    for _ in range(5):
        assert server.fetch("/v2/models/echo/infer", large, timeout_s=TIMEOUT_S)[0] == 200
    assert front.memory_full_info().uss > before + 4 * MIB
    processes.until(lambda: front.memory_full_info().uss < before + MIB, 60, "trimming")
