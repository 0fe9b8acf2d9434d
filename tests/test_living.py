"""How the server lives and ends: it drains, is upgraded, and tells who supervises it."""
import collections
import http.client
import json
import re
import shutil
import signal
import socket
import subprocess
import threading
from pathlib import Path

import grpc
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from support import processes
from support.repositories import request, write_model
from support.server import binary
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
        assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
        assert refused.value.details() == "GRPC server is shutting down and has stopped accepting new requests."
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


def test_signals_without_a_meaning_are_ignored(started):
    """Whoever sends SIGUSR1 to all processes of a service, or SIGUSR2 to the wrong one, ends nothing."""
    server = started()
    front = server.front()
    server.process.send_signal(signal.SIGUSR1)
    front.send_signal(signal.SIGUSR1)
    front.send_signal(signal.SIGUSR2)
    server.process.send_signal(signal.SIGHUP)
    assert server.err.wait_for("reloading the settings", 60)
    assert server.front() == front and infer(server)[0] == 200
    server.stop()


def test_a_front_that_does_not_turn_is_ended(started):
    server = started("--stuck-timeout-ms", "3000")
    front = server.front()
    front.suspend()
    assert server.err.wait_for("stuck", 60)
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


class Load:
    """Clients that ask without pause, each in its own way, until they are stopped."""

    def __init__(self, server):
        self.server, self.stopping, self.errors, self.counts = server, threading.Event(), [], collections.Counter()
        kinds = [self.keeps_alive, self.connects_anew, self.speaks_grpc, self.speaks_grpc]
        self.threads = [threading.Thread(target=self.run, args=(kind,)) for kind in kinds]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join(60)

    def run(self, kind):
        try:
            for _ in kind():
                self.counts[kind.__name__] += 1
                if self.stopping.is_set():
                    return
        except Exception as error:
            self.errors.append(error)

    def keeps_alive(self):
        """One connection for as long as the server keeps it."""
        body = json.dumps(request([1, 2], datatype="UINT8"))
        connection = http.client.HTTPConnection(*self.server.address, timeout=60)
        while True:
            connection.request("POST", "/v2/models/echo/infer", body)
            response = connection.getresponse()
            assert response.status == 200 and json.loads(response.read())["outputs"][0]["data"] == [1, 2]
            yield

    def connects_anew(self):
        while True:
            assert infer(self.server)[0] == 200
            yield

    def speaks_grpc(self):
        """Its library connects anew when it is told to go away."""
        with grpc.insecure_channel(self.server.netloc) as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            asked = service_pb2.ModelInferRequest(model_name="echo", raw_input_contents=[b"\x01\x02"])
            asked.inputs.add(name="x", datatype="UINT8", shape=[2])
            while True:
                assert stub.ModelInfer(asked, timeout=60).raw_output_contents == [b"\x01\x02"]
                yield

    def go_on(self):
        """Waits until each kind of client has been answered again."""
        before = self.counts.copy()
        processes.until(lambda: self.errors or all(self.counts[kind] > before[kind] + 3 for kind in before), 60, "load")
        assert not self.errors


def test_an_upgrade_fails_no_request(started):
    """The process id stays; a new front serves; the old one ends when its clients have gone over."""
    server = started()
    with Load(server) as load:
        for _ in range(3):
            load.go_on()
            old = server.front()
            server.process.send_signal(signal.SIGUSR2)
            assert server.err.wait_for("upgraded", 60), server.err.text()
            load.go_on()
            old.wait(60)
            assert server.front().pid != old.pid
    assert not load.errors and server.process.poll() is None
    server.stop()


def test_a_front_that_does_not_turn_while_it_retires_is_ended(started):
    """It is not waited for: the new one serves, and may be upgraded in turn."""
    server = started("--stuck-timeout-ms", "3000")
    old = server.front()
    with Held(server):
        server.process.send_signal(signal.SIGUSR2)
        assert server.err.wait_for("upgraded", 60), server.err.text()
        old.suspend()
        assert server.err.wait_for("stuck", 60)
    processes.until(lambda: not old.is_running(), 60, "the old front's end, seen by the spawner too")
    assert server.front() != old and infer(server)[0] == 200
    server.process.send_signal(signal.SIGUSR2)
    assert server.err.wait_for("upgraded", 60), server.err.text()
    server.stop()


def test_a_front_that_does_not_turn_while_it_starts_is_ended(server, tmp_path):
    """A model that hangs while it loads keeps it from taking over; the old one goes on."""
    folder = write_model(tmp_path / "models", "echo", "identity", "UINT8")
    write_model(folder, "hangs", "chaos", "INT32", {"load": "hang"})
    one = server(folder, "--stuck-timeout-ms", "3000", "--drain-timeout-ms", "200").wait_ready("echo")
    old = one.front()

    def loading():
        return [process for process in processes.tree(one.pid) if processes.name(process) == "hangs"]

    processes.until(loading, 60, "its worker")
    one.process.send_signal(signal.SIGUSR2)
    processes.until(lambda: len(loading()) == 2, 60, "the new front's worker")
    [new] = [process for process in processes.named(one.pid, "front") if process != old]
    new.suspend()
    assert one.err.wait_for("stuck", 60)
    assert one.err.wait_for("the old one goes on", 60)
    processes.until(lambda: len(loading()) == 1, 60, "the end of its worker")
    assert one.front() == old and infer(one)[0] == 200
    one.stop()


def test_a_front_that_turns_is_left_alone(started, tmp_path):
    """However short the time: its signs of life, which its supervisor is told too, come more often."""
    supervisor = Supervisor(tmp_path)
    server = started("--stuck-timeout-ms", "500", environment={"NOTIFY_SOCKET": supervisor.path, "WATCHDOG_USEC": "30000000"})
    front = server.front()
    for _ in range(12):
        supervisor.wait_for("WATCHDOG=1")
    assert server.front() == front and infer(server)[0] == 200
    assert "stuck" not in server.err.text()


def test_a_time_that_no_healthy_server_keeps_is_refused(tmp_path):
    asked = subprocess.run([binary(), "serve", "--stuck-timeout-ms", "499", str(tmp_path)], capture_output=True, text=True)
    assert asked.returncode != 0 and "--stuck-timeout-ms" in asked.stderr and "500" in asked.stderr


@pytest.fixture
def replaceable(started, tmp_path, monkeypatch):
    """A server with a program of its own, and what puts a script in that's place."""
    program, engines = tmp_path / "tensord", Path(binary()).resolve().parents[2] / "engines"
    shutil.copy(binary(), program)
    monkeypatch.setenv("TENSORD_BINARY", str(program))

    def replace(script):
        program.unlink()
        program.write_text(script)
        program.chmod(0o755)

    return started("--engine-dir", engines), replace


def test_a_program_that_does_not_start_is_no_upgrade(replaceable):
    """It is asked first; the old one goes on."""
    server, replace = replaceable
    front = server.front()
    replace("#!/bin/sh\necho 'not today' >&2\nexit 1\n")
    server.process.send_signal(signal.SIGUSR2)
    assert server.err.wait_for("not today", 60)
    assert server.err.wait_for("the old one goes on", 60)
    assert server.front() == front and infer(server)[0] == 200
    server.stop()


def test_the_front_is_woken_at_once(started):
    """By wishing for short slices of the processor. Threads that work for long have usual ones, as workers."""
    served = started()
    front = served.front()
    [worker] = processes.named(served.pid, "worker")
    usual_ns = processes.slice_ns(worker.pid)
    if usual_ns == 0:
        pytest.skip("this kernel knows no wishes for slices")
    assert processes.slice_ns(front.pid) == 100_000 < usual_ns
    assert all(processes.slice_ns(thread.id) == usual_ns for thread in front.threads() if thread.id != front.pid)


# ---- signals and upgrades at awkward moments ----


def blocks_signals(server):
    """Whether its first process has come so far as to hear signals."""
    return int(re.search(r"SigBlk:\s*(\w+)", Path(f"/proc/{server.pid}/status").read_text()).group(1), 16) & 1


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_signals_are_heard_while_it_starts(server, tmp_path, number):
    """As early as its first process hears any: a reload ends nothing, and an end is a good one."""
    one = server(write_model(tmp_path / "models", "echo", "identity", "UINT8"), "--port", "0", ports=False)
    processes.until(lambda: blocks_signals(one), 60, "signals to be held")
    while one.process.poll() is None and not one.err.text().count("landlock abi"):
        one.process.send_signal(number)
        if number == signal.SIGTERM:
            break
    if number == signal.SIGHUP:
        one.wait_listening().wait_ready("echo")
    one.stop()


def test_its_supervisor_is_told_of_the_end_of_a_reload(started, tmp_path):
    """Also of one that changes nothing, as the settings are wrong: otherwise the service reloads for ever."""
    supervisor, file = Supervisor(tmp_path), tmp_path / "config.yaml"
    file.write_text("log_level: info\n")
    server = started("--config", file, environment={"NOTIFY_SOCKET": supervisor.path})
    supervisor.wait_for("READY=1")
    for text in ("log_level: debug\n", "log_level: loud\n"):
        file.write_text(text)
        server.process.send_signal(signal.SIGHUP)
        supervisor.wait_for("RELOADING=1")
        supervisor.wait_for("READY=1")
    server.stop()


@pytest.mark.parametrize("text, sentence", [
    ("socket_mode: 999\n", "--socket-mode"),
    ("listen: unix:/nonexistent/socket\n", "cannot listen on unix:/nonexistent/socket"),
    ("listen: http://0.0.0.0:0\n", "--insecure"),
])
def test_settings_that_cannot_be_are_no_upgrade(started, tmp_path, text, sentence):
    """They have changed since the start, and are tried by the new program before it takes the old one's place."""
    file = tmp_path / "config.yaml"
    file.write_text("log_level: info\n")
    server = started("--config", file)
    front = server.front()
    file.write_text(text)
    server.process.send_signal(signal.SIGUSR2)
    assert server.err.wait_for(sentence, 60), server.err.text()
    assert server.err.wait_for("the old one goes on", 60), server.err.text()
    assert server.front() == front and infer(server)[0] == 200
    listening = tmp_path / "socket"
    file.write_text(f"listen: unix:{listening}\n")  # can be, and is opened beside those that there are
    server.process.send_signal(signal.SIGUSR2)
    assert server.err.wait_for("upgraded", 60), server.err.text()
    assert listening.is_socket() and infer(server)[0] == 200
    server.stop()
    assert not listening.exists()


def test_a_reload_while_the_program_is_upgraded_counts(server, tmp_path):
    """The new front has read its settings already, and waits for its models."""
    folder, file = write_model(tmp_path / "models", "echo", "identity", "UINT8"), tmp_path / "config.yaml"
    file.write_text("server_timing: false\n")
    one = server(folder, "--config", file).wait_ready("echo")
    write_model(folder, "hangs", "chaos", "INT32", {"load": "hang"})
    old = one.front()
    one.process.send_signal(signal.SIGUSR2)

    def loading():
        return [process for process in processes.tree(one.pid) if processes.name(process) == "hangs"]

    def new():
        return [process for process in processes.named(one.pid, "front") if process != old]

    processes.until(lambda: new() and len(loading()) >= 1, 60, "the new front")
    processes.until(lambda: any(process.ppid() for process in loading()) and len(loading()) == 2, 60, "its worker")
    file.write_text("server_timing: true\n")
    one.process.send_signal(signal.SIGHUP)
    assert one.err.wait_for("reloading the settings", 60) and one.err.wait_for("reloading the settings", 60)
    shutil.rmtree(folder / "hangs")
    assert one.err.wait_for("upgraded", 60), one.err.text()
    processes.until(lambda: one.fetch("/v2/models/echo/infer", request([1], datatype="UINT8"))[1]["Server-Timing"], 60,
                    "the new setting in force")
    one.stop()


def test_a_program_that_does_not_say_whether_it_would_start_is_no_upgrade(replaceable):
    """It is ended, and the next one is asked."""
    server, replace = replaceable
    front = server.front()
    replace("#!/bin/sh\nexec sleep 3600\n")
    server.process.send_signal(signal.SIGUSR2)
    assert server.err.wait_for("has not said", 60), server.err.text()
    assert server.err.wait_for("the old one goes on", 60)
    assert server.front() == front and infer(server)[0] == 200
    server.process.send_signal(signal.SIGUSR2)
    processes.until(lambda: processes.named(server.pid, "sleep"), 60, "the next one")
    server.stop()  # which ends it too
