"""Half an hour of everything at once: clients of every kind, while workers are killed, models replaced, settings read
anew, the program upgraded and, at times, the whole server drained and started again.

Each answer is checked. A request may fail only for a reason that the server gave and while the cause lasts: its worker
was killed (503 "may be sent again"), or the server was told to stop. Memory and descriptors, looked at while nobody
asks, must not grow. SOAK_MINUTES says for how long; each event and what was asked is printed at the end.
"""
import collections
import datetime
import http.client
import json
import os
import random
import signal
import statistics
import threading
import time

import grpc
import numpy
import pytest
import tritonclient.grpc
import tritonclient.http
from tritonclient.grpc import service_pb2, service_pb2_grpc

from support import models, processes
from support.repositories import request, write_model
from support.server import Server
from support.sockets import Connection

MINUTES = float(os.environ.get("SOAK_MINUTES", "30"))
SEED = int(os.environ.get("SOAK_SEED", "1"))
PAUSE_S = 1.0  # between two events
ROUND_EVENTS = 40  # then the clients pause and the server is looked at
WARM_ROUNDS = 2
DRIFT_SHARE = 0.02
DRIFT_BYTES = 2 << 20  # a share of something this small is noise; what was just started has not its full size yet
MAY_BE_SENT_AGAIN = "may be sent again"


class Refused(Exception):
    """The server said that a worker ended under the request."""


def utc_now():
    """As the server's log writes it."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")


def checked(status, text, good):
    """Raises Refused for the answer that a killed worker explains, AssertionError for any other but the good one."""
    if status == 503 and MAY_BE_SENT_AGAIN in text:
        raise Refused(text)
    assert status == 200 and good(), (status, text)


class Clients:
    """Threads that ask without pause, each in its own way; they can be held for a while."""

    def __init__(self, server):
        self.server = server
        self.stopping, self.going = threading.Event(), threading.Event()
        self.busy, self.lock = 0, threading.Condition()
        self.counts, self.refusals, self.errors = collections.Counter(), [], []
        kinds = [self.json_kept_alive, self.json_anew, self.raw, self.triton_http, self.triton_grpc, self.bare_grpc,
                 self.metadata, self.goes_away, self.onnx]
        self.threads = [threading.Thread(target=self.run, args=(kind,), daemon=True) for kind in kinds]
        for thread in self.threads:
            thread.start()

    def run(self, kind):
        ask = kind()
        while not self.stopping.is_set():
            self.going.wait(1)
            if not self.going.is_set():
                continue
            with self.lock:
                self.busy += 1
            try:
                next(ask)
                self.counts[kind.__name__] += 1
            except Refused:
                self.refusals.append((time.monotonic(), utc_now(), kind.__name__))
                ask = kind()
            except Exception as error:
                self.errors.append((time.monotonic(), kind.__name__, repr(error)))
                ask = kind()
            finally:
                with self.lock:
                    self.busy -= 1
                    self.lock.notify_all()

    def hold(self):
        """Returns once nobody asks."""
        self.going.clear()
        with self.lock:
            assert self.lock.wait_for(lambda: self.busy == 0, 120)

    def go(self):
        self.going.set()

    def stop(self):
        self.stopping.set()
        self.going.set()
        for thread in self.threads:
            thread.join(120)

    def json_kept_alive(self):
        connection = http.client.HTTPConnection(*self.server.address, timeout=60)
        while True:
            values = [random.randrange(256) for _ in range(random.randrange(1, 50))]
            connection.request("POST", "/v2/models/echo/infer", json.dumps(request(values, datatype="UINT8")))
            response = connection.getresponse()
            text = response.read().decode()
            checked(response.status, text, lambda: json.loads(text)["outputs"][0]["data"] == values)
            yield

    def json_anew(self):
        while True:
            status, _, body = self.server.fetch("/v2/models/chaos/infer", request([1, 2, 3], datatype="INT32"))
            checked(status, body.decode(), lambda: json.loads(body)["outputs"][0]["data"] == [1, 2, 3])
            yield

    def raw(self):
        """A tensor of up to a megabyte there and back."""
        while True:
            body = random.randbytes(random.randrange(1, 1 << 20))
            status, headers, answer = self.server.fetch(
                "/v2/models/echo/infer", body, headers={"Inference-Header-Content-Length": "0"})
            checked(status, str(answer[:200]), lambda: answer.endswith(body))
            yield

    def triton_http(self):
        client = tritonclient.http.InferenceServerClient(self.server.netloc, network_timeout=60, connection_timeout=60)
        yield from self.triton(tritonclient.http, client)

    def triton_grpc(self):
        client = tritonclient.grpc.InferenceServerClient(self.server.netloc)
        yield from self.triton(tritonclient.grpc, client)

    def triton(self, module, client):
        while True:
            values = numpy.random.randint(0, 255, (64,)).astype(numpy.uint8)
            tensor = module.InferInput("x", values.shape, "UINT8")
            tensor.set_data_from_numpy(values)
            try:
                answer = client.infer("echo", [tensor])
            except Exception as error:
                checked(503, str(error), None)
            assert (answer.as_numpy("y") == values).all()
            yield

    def bare_grpc(self):
        # What gRPC's core had begun to send when it read GOAWAY, it sends again by itself, but only as much as this.
        channel = grpc.insecure_channel(self.server.netloc, [("grpc.per_rpc_retry_buffer_size", 1 << 20)])
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        asked = service_pb2.ModelInferRequest(model_name="echo", raw_input_contents=[bytes(602112)])
        asked.inputs.add(name="x", datatype="UINT8", shape=[602112])
        while True:
            try:
                answer = stub.ModelInfer(asked, timeout=60)
            except grpc.RpcError as error:
                checked(503, error.details(), None)
            assert answer.raw_output_contents == asked.raw_input_contents
            yield

    def metadata(self):
        while True:
            assert self.server.get("/v2/models/onnx")["name"] == "onnx"
            assert self.server.fetch("/v2/health/ready")[0] == 200
            assert {"echo", "chaos", "onnx"} <= {m["name"] for m in json.loads(
                self.server.fetch("/v2/repository/index", b"")[2])}
            yield

    def onnx(self):
        x = numpy.ones((2, 4), numpy.float32)
        expected = x @ models.weights()
        while True:
            status, _, body = self.server.fetch("/v2/models/onnx/infer", {"inputs": [
                {"name": "X", "datatype": "FP32", "shape": [2, 4], "data": x.ravel().tolist()}]})
            checked(status, body.decode(), lambda: numpy.allclose(
                numpy.reshape(json.loads(body)["outputs"][0]["data"], (2, 4)), expected, atol=1e-5))
            yield

    def goes_away(self):
        """Asks for something slow and leaves; sends half a head and leaves; connects and leaves."""
        while True:
            with Connection(self.server.address) as connection:
                what = random.randrange(3)
                if what == 0:
                    body = json.dumps(request([1], datatype="INT32", wait_ms=5000)).encode()
                    connection.send(b"POST /v2/models/chaos/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b"
                                    % (len(body), body))
                elif what == 1:
                    connection.send(b"POST /v2/models/chaos/infer HTTP/1.1\r\nHos")
                if random.random() < 0.5:
                    connection.reset()
            time.sleep(0.01)  # not all of the machine
            yield


class Events:
    """What happens to the server meanwhile."""

    def __init__(self, server, folder):
        self.server, self.folder = server, folder
        self.random = random.Random(SEED)
        self.counts, self.kills = collections.Counter(), []
        self.kinds = [self.kill_a_worker, self.kill_a_worker, self.replace_a_model, self.add_and_remove_a_model,
                      self.reload, self.upgrade, self.unload_and_load]

    def happen(self):
        event = self.random.choice(self.kinds)
        event()
        self.counts[event.__name__] += 1

    def kill_a_worker(self):
        workers = processes.named(self.server.pid, "worker")
        if workers:
            self.kills.append(time.monotonic())
            self.random.choice(workers).kill()

    def replace_a_model(self):
        """The same model, written anew and renamed into place."""
        models.save(models.matmul(), self.folder / "onnx.new")
        (self.folder / "onnx.new").rename(self.folder / "onnx.onnx")

    def add_and_remove_a_model(self):
        path = self.folder / "passing.onnx"
        models.save(models.add(), path.with_suffix(".new"))
        path.with_suffix(".new").rename(path)
        self.server.wait_ready("passing")
        path.unlink()
        processes.until(lambda: self.server.fetch("/v2/models/passing/ready")[0] != 200, 60, "its end")

    def reload(self):
        self.server.process.send_signal(signal.SIGHUP)

    def upgrade(self):
        self.server.process.send_signal(signal.SIGUSR2)
        assert self.server.err.wait_for("upgraded", 120), self.server.err.text()[-4000:]
        processes.until(lambda: len(processes.named(self.server.pid, "front")) == 1, 120, "the old front's end")

    def unload_and_load(self):
        for action in ("unload", "load"):
            status, _, body = self.server.fetch(f"/v2/repository/models/other/{action}", b"", method="POST")
            assert status == 200, body


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "models"
    write_model(folder, "echo", "identity", "UINT8")
    write_model(folder, "other", "identity", "UINT8")
    write_model(folder, "chaos", "chaos", "INT32", {"batching": "no"})
    models.save(models.matmul(), folder / "onnx.onnx")
    return folder


def start(folder, state):
    server = Server(folder, state=state)
    for name in ("echo", "other", "chaos", "onnx"):
        server.wait_ready(name)
    return server


def descriptors(server):
    """Open ones but for connections."""
    return processes.fd_count(server.pid) - processes.connection_count(server.pid)


def facts(server, warm):
    """(PSS, descriptors, processes), while nobody asks and every worker is up again; as few descriptors as when it was
    warm, if that is known: one or two may be on their way from one process to another."""
    for name in ("echo", "chaos", "onnx", "other"):
        server.wait_ready(name)
    if warm:
        processes.until(lambda: descriptors(server) <= warm[1], 60, f"{warm[1]} descriptors again")
    return processes.pss_bytes(server.pid), descriptors(server), len(server.descendants())


def test_nothing_fails_and_nothing_grows(folder, tmp_path):
    deadline = time.monotonic() + 60 * MINUTES
    server = start(folder, tmp_path)
    clients, events, seen = Clients(server), Events(server, folder), []
    try:
        while time.monotonic() < deadline:
            clients.go()
            for _ in range(ROUND_EVENTS):
                events.happen()
                assert not clients.errors, clients.errors
                time.sleep(PAUSE_S)  # the clients' turn
            clients.hold()
            seen.append(facts(server, seen[WARM_ROUNDS - 1] if len(seen) >= WARM_ROUNDS else None))
            print(f"{len(seen)}: PSS {seen[-1][0] / 2**20:.1f} MiB, {seen[-1][1]} descriptors,"
                  f" {seen[-1][2]} processes", flush=True)
    finally:
        clients.stop()
        print(dict(clients.counts), dict(events.counts), f"{len(clients.refusals)} refused")
    assert not clients.errors
    unexplained = [refusal for refusal in clients.refusals if not any(0 <= refusal[0] - kill < 10 for kill in events.kills)]
    assert not unexplained, (unexplained, [line for line in server.err.text().splitlines() if "worker" in line])
    server.stop()
    warm = seen[WARM_ROUNDS - 1:]
    if len(warm) > 1:
        half = len(warm) // 2
        early, late = (statistics.median(one[0] for one in part) for part in (warm[:half], warm[half:]))
        assert late <= early + max(DRIFT_SHARE * early, DRIFT_BYTES), seen
        assert all(one[1] <= warm[0][1] and one[2] == warm[0][2] for one in warm), seen
