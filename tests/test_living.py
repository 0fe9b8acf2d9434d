"""How the server lives and ends: it drains, is upgraded, and tells who supervises it."""
import json
import signal
import socket

import grpc
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from support import processes
from support.repositories import request, write_model
from support.sockets import Connection, request as http_request

MIB = 1 << 20


@pytest.fixture
def started(server, tmp_path):
    """started("--drain-delay-ms", "5", …): a server of one model."""

    def start(*arguments, **options):
        folder = write_model(tmp_path / "models", "echo", "identity", "UINT8")
        return server(folder, *arguments, **options).wait_ready("echo")

    return start


class Held(Connection):
    """A request that the server has begun and that ends when the test wants it to: its body is yet to come."""

    def __init__(self, server, size=4 * MIB):
        super().__init__(server.address, timeout_s=60)
        self.body = bytes(size)
        head = http_request("POST", "/v2/models/echo/infer", {
            "Expect": "100-continue", "Inference-Header-Content-Length": "0"}, body=self.body)
        self.send(head[:-size])
        assert b" 100 " in self.take_until(b"\r\n\r\n")  # the server has taken it on

    def finish(self):
        self.send(self.body)
        return self.response()


def is_ready(server):
    return server.fetch("/v2/health/ready")[0] == 200


def infer(server):
    return server.fetch("/v2/models/echo/infer", request([1, 2], datatype="UINT8"))


def test_sigterm_lets_what_has_begun_finish(started):
    """It is answered to its end; nothing new begins; the exit status is 0."""
    server = started()
    with Held(server) as held, Connection(server.address) as idle:
        server.process.send_signal(signal.SIGTERM)
        processes.until(lambda: not is_ready(server), 30, "not ready")
        assert server.fetch("/v2/health/live")[0] == 200
        processes.until(lambda: infer(server)[0] == 503, 30, "refusal")
        status, headers, body = infer(server)
        assert status == 503 and headers["Retry-After"] and "shutting down" in json.loads(body)["error"]
        with grpc.insecure_channel(server.netloc) as channel, pytest.raises(grpc.RpcError) as refused:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            stub.ModelInfer(service_pb2.ModelInferRequest(model_name="echo"), timeout=30)
        assert refused.value.code() == grpc.StatusCode.UNAVAILABLE and "shutting down" in refused.value.details()
        answer = held.finish()
        assert answer.status == 200 and answer.body.endswith(held.body)
        assert idle.rest() == b""  # the last request has been answered: idle connections are closed
    server.stop()


def test_before_it_drains_it_serves_on_without_being_ready(started):
    server = started("--drain-delay-ms", "3600000")
    server.process.send_signal(signal.SIGTERM)
    processes.until(lambda: not is_ready(server), 30, "not ready")
    assert infer(server)[0] == 200
    server.stop()  # a second signal ends it at once


def test_what_does_not_finish_in_time_is_cut(started):
    server = started("--drain-timeout-ms", "200")
    with Held(server) as held:
        server.process.send_signal(signal.SIGTERM)
        assert held.rest() == b""
    server.stop()
    assert "are cut" in server.err.text()


def test_a_front_that_does_not_turn_is_ended(started):
    server = started("--stuck-timeout-ms", "500")
    [front] = processes.named(server.pid, "front")
    front.suspend()
    assert server.err.wait_for("stuck", 30)
    server.stop(expected_status=128 + signal.SIGKILL)


class Supervisor:
    """What systemd is to a service of Type=notify."""

    def __init__(self, folder):
        self.path = str(folder / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(60)

    def wait_for(self, word):
        while word not in (state := self.socket.recv(4096).decode()):
            pass
        return state


def test_its_supervisor_is_told(started, tmp_path):
    supervisor = Supervisor(tmp_path)
    server = started(environment={"NOTIFY_SOCKET": supervisor.path, "WATCHDOG_USEC": "30000000"})
    supervisor.wait_for("READY=1")
    supervisor.wait_for("WATCHDOG=1")
    server.process.send_signal(signal.SIGTERM)
    supervisor.wait_for("STOPPING=1")
    server.stop()
