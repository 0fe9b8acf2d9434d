"""Models are loaded, unloaded, replaced, removed and killed in any order while clients ask for them.

Every request is answered exactly once, with a code that says what happened; a right answer is right; in the end
nothing is left over: no process, no descriptor. The walk is drawn from a seed, which a failure names.
"""
import contextlib
import json
import random
import shutil
import signal
import threading

import grpc
import numpy as np
import psutil
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from support import processes
from support.repositories import request, settle, tensor_config
from support.sockets import Connection, request as http_request

SEEDS = [1, 2]
STEPS = 80
ANSWERS_A_STEP = 4
TIMEOUT_S = 120
MODELS = ["steady", "wild", "slow"]
WORKERS = {"steady": {"min": 1, "max": 2, "idle_after_s": 1}, "wild": 3, "slow": 1}
REST_CODES = {200, 404, 500, 503}
GRPC_CODES = {grpc.StatusCode.OK, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE}


class Repository:
    """A folder of chaos models whose files change."""

    def __init__(self, folder):
        self.folder, self.writes = folder, 0
        for name in MODELS:
            self.write(name)

    def write(self, name, **parameters):
        """New files for a model, renamed in; each write is another fingerprint."""
        self.writes += 1
        parameters = {"batching": "no", "write": self.writes, **parameters}
        if name == "slow":
            parameters.setdefault("load", "slow")
        made = self.folder / f".new{self.writes}"
        made.mkdir(parents=True)
        (made / "model.yaml").write_text(json.dumps({
            "backend": "chaos", "workers": WORKERS[name], "input": [tensor_config("x", "INT32")], "output": [tensor_config("y", "INT32")],
            "parameters": {key: {"string_value": str(value)} for key, value in parameters.items()}}))
        settle(made)
        self.remove(name)
        made.rename(self.folder / name)

    def remove(self, name):
        if (self.folder / name).exists():
            gone = self.folder / f".old{self.writes}"
            (self.folder / name).rename(gone)
            shutil.rmtree(gone)


class Clients:
    """Threads that ask for models over and over, each in its own way; what is wrong is kept."""

    WAYS = ["json", "binary", "grpc", "leaves"]

    def __init__(self, server, seed):
        self.server, self.seed = server, seed
        self.answers, self.wrong, self.stop = [], [], threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(way, i)) for i, way in enumerate(self.WAYS * 2)]
        for thread in self.threads:
            thread.start()

    def run(self, way, number):
        draw = random.Random(f"{self.seed}/{number}")
        ask = getattr(self, "ask_" + way)
        while not self.stop.is_set():
            parameters = draw.choice([{}, {}, {}, {"wait_ms": 5}, {"die": "exit"}, {"forge": "slot"}, {"fail": "no"},
                                      {"call": draw.choice(MODELS)}, {"huge": 100_000}])
            try:
                ask(draw, draw.choice(MODELS), parameters)
            except Exception as error:  # no answer at all
                self.wrong.append((way, parameters, repr(error)))
            self.answers.append(way)

    def check(self, status, good, body):
        if status not in REST_CODES or (status == 200 and not good):
            self.wrong.append((status, body[:300]))

    def ask_json(self, draw, model, parameters):
        values = [draw.randrange(1000) for _ in range(draw.randrange(1, 50))]
        status, _, body = self.server.fetch(f"/v2/models/{model}/infer", request(values, datatype="INT32", **parameters),
                                            timeout_s=TIMEOUT_S)
        good = status != 200 or "huge" in parameters or json.loads(body)["outputs"][0]["data"] == values
        self.check(status, good, body)

    def ask_binary(self, draw, model, parameters):
        values = np.arange(draw.randrange(1, 50_000), dtype=np.int32)
        with Connection(self.server.address, timeout_s=TIMEOUT_S) as client:
            client.send(http_request("POST", f"/v2/models/{model}/infer", {"Inference-Header-Content-Length": "0"},
                                     body=values.tobytes()))
            answer = client.response()
        good = answer.body.endswith(values.tobytes())
        # a raw body needs to know the model's input, which is not known while it is loaded for the first time
        self.check(answer.status, good, answer.body)

    def ask_grpc(self, draw, model, parameters):
        values = np.arange(draw.randrange(1, 50_000), dtype=np.int32)
        message = service_pb2.ModelInferRequest(model_name=model, raw_input_contents=[values.tobytes()])
        message.inputs.add(name="x", datatype="INT32", shape=[len(values)])
        for key, value in parameters.items():
            if isinstance(value, int):
                message.parameters[key].int64_param = value
            else:
                message.parameters[key].string_param = value
        with grpc.insecure_channel(self.server.netloc) as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            try:
                raw = stub.ModelInfer(message, timeout=TIMEOUT_S).raw_output_contents[0]
                if raw != values.tobytes() and "huge" not in parameters:
                    self.wrong.append(("grpc", len(raw), len(values)))
            except grpc.RpcError as error:
                if error.code() not in GRPC_CODES:
                    self.wrong.append(("grpc", error.code(), error.details()))

    def ask_leaves(self, draw, model, parameters):
        """Goes away in the middle of its request, or without reading the answer."""
        body = json.dumps(request([1, 2, 3], datatype="INT32", **parameters)).encode()
        whole = http_request("POST", f"/v2/models/{model}/infer", body=body)
        with Connection(self.server.address, timeout_s=TIMEOUT_S) as client:
            client.send(whole[:draw.randrange(1, len(whole) + 1)])
            if draw.random() < 0.5:
                client.reset()

    def join(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(TIMEOUT_S)
            assert not thread.is_alive(), "a request was never answered"


def change(server, model, what):
    """Loads or unloads; the answer's status."""
    return server.fetch(f"/v2/repository/models/{model}/{what}", b"", method="POST", timeout_s=TIMEOUT_S)[0]


def step(server, repository, draw):
    """One thing that operators, or accidents, do."""
    model = draw.choice(MODELS)
    what = draw.randrange(10)
    if what < 4:  # whichever it is: it may load, probe, serve, or do nothing
        which, workers = draw.random(), server.workers()
        try:
            if workers:
                workers[int(which * len(workers))].send_signal(signal.SIGKILL)
        except psutil.Error:
            pass
    elif what == 4:
        repository.write(model)
    elif what == 5:
        repository.write(model, load=draw.choice(["fail", "slow", "slow"]))
    elif what == 6:
        repository.remove(model)
    else:
        assert change(server, model, "load" if what > 7 else "unload") in (200, 400, 404, 503)


def everything_works(server):
    """Whether all models answer."""
    return all(server.infer(model, request([7], datatype="INT32"))[0] == 200 for model in MODELS)


def rest(server):
    """Unloads all; what the server holds then: its descriptors and processes."""
    for model in MODELS:
        assert change(server, model, "unload") == 200
    processes.until(lambda: server.descendants() == [server.front()], 60, "the end of all workers, and of those that watch them")
    return processes.idle_fd_count(server.pid), len(server.descendants())


def load_all(server):
    for model in MODELS:
        processes.until(lambda: change(server, model, "load") == 200, TIMEOUT_S, f"a load of '{model}'")
    processes.until(lambda: everything_works(server), TIMEOUT_S, "all models")


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_happens_to_models_requests_are_answered_and_nothing_is_left(server, tmp_path, seed):
    repository = Repository(tmp_path / "models")
    running = server(repository.folder, "--rescan-ms", 200)
    load_all(running)
    before = rest(running)
    load_all(running)
    draw = random.Random(seed)
    clients = Clients(running, seed)
    try:
        for _ in range(STEPS):
            step(running, repository, draw)
            enough = len(clients.answers) + ANSWERS_A_STEP
            processes.until(lambda: len(clients.answers) >= enough, TIMEOUT_S, "answers")
    finally:
        clients.join()
    assert not clients.wrong, (seed, clients.wrong[:5])
    for model in MODELS:
        repository.write(model)
    load_all(running)
    def is_as_before():
        descriptors, children = rest(running)
        return descriptors <= before[0] and children == before[1]

    processes.until(is_as_before, 60, f"{before}, as at the beginning (seed {seed})")


@pytest.mark.parametrize("load", ["hang", "slow"])
def test_a_worker_that_is_killed_while_it_loads_is_replaced(server, tmp_path, load):
    repository = Repository(tmp_path / "models")
    repository.write("wild", load=load)
    running = server(repository.folder, "--load", "explicit")
    processes.until(lambda: running.fetch("/v2/health/ready")[0] == 200, 60, "the first scan")
    loading = threading.Thread(target=change, args=(running, "wild", "load"))
    loading.start()
    [first] = processes.until(lambda: running.workers(), 60, "the first worker")
    first.kill()
    processes.until(lambda: any(p != first for p in running.workers()), 60, "the second")
    if load == "hang":  # and the load, which would wait for ever, ends with an unload
        assert change(running, "wild", "unload") == 200
        processes.until(lambda: not running.workers(), 60, "the end of the second")
    loading.join(TIMEOUT_S)
    assert not loading.is_alive()
    if load == "slow":
        assert running.infer("wild", request([3], datatype="INT32"))[1]["outputs"][0]["data"] == [3]


def test_a_probe_that_is_killed_is_made_again(server, tmp_path):
    repository = Repository(tmp_path / "models")
    repository.write("wild", load="slow")
    running = server(repository.folder, "--load", "lazy")
    killed = processes.until(lambda: running.workers(), 60, "a probe")
    for probe in killed:
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended by itself
            probe.kill()
    index = lambda: {one["name"]: one["state"] for one in json.loads(running.fetch("/v2/repository/index", {})[2])}  # noqa: E731
    processes.until(lambda: set(index().values()) == {"READY"}, TIMEOUT_S, "all probed")
    processes.until(lambda: not running.workers(), 60, "the end of all probes")
    assert everything_works(running)
