"""Several workers of one model: they work at once, and one that dies is missed by nobody but who was with it.

A model in Python that has a name of its own in each worker, and blocks when it is asked to until it is cancelled.
"""
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from support import models
from support.processes import until
from support.python_models import ask, needs_python, tensor, write_python
from support.repositories import one, settle, tensor_config, write_config

pytestmark = needs_python

PATIENCE_S = 60
PYTHON = Path(__file__).parents[1] / "python"
BLOCKING = """
    import os, time
    from collections.abc import Iterator
    import tensord

    ME = os.urandom(8).hex()

    def predict(block: bool, request: tensord.Request) -> str:
        if block:
            print("blocks in", ME)
        while block and not request.cancelled():
            time.sleep(0.01)
        return ME
"""


def row(server, model="m"):
    """What the server says of the model."""
    rows = json.loads(server.fetch("/tensord/v1/models")[2])["models"]
    return next(one for one in rows if one["name"] == model)


def wait_for_workers(server, count, model="m"):
    until(lambda: row(server, model)["workers_ready"] == count, PATIENCE_S, f"{count} workers")


def start(server, folder, code=BLOCKING, config="workers: 2\n", workers=2, **files):
    write_python(folder, "m", code, config, **files)
    settle(folder)
    started = server(folder).wait_ready("m")
    if workers:
        wait_for_workers(started, workers)
    return started


def who(server):
    status, outputs = ask(server, "m", tensor("block", "BOOL", [1], [False]))
    assert status == 200, outputs
    return outputs["output"]["data"][0]


class Blocked:
    """Requests that block; one after the other, so that it is known where each is."""

    def __init__(self, server):
        self.server, self.calls = server, {}
        self.channel = grpc.insecure_channel(server.netloc)
        self.stub = service_pb2_grpc.GRPCInferenceServiceStub(self.channel)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()

    def add(self):
        """The name of the worker that it blocks."""
        request = service_pb2.ModelInferRequest(model_name="m", raw_input_contents=[b"\1"])
        request.inputs.add(name="block", datatype="BOOL", shape=[1])
        call = self.stub.ModelInfer.future(request, timeout=PATIENCE_S)
        until(lambda: len(self.blocked()) > len(self.calls), PATIENCE_S, "a request that blocks")
        self.calls[self.blocked()[-1]] = call
        return self.blocked()[-1]

    def blocked(self):
        return re.findall(r"blocks in (\w+)", self.server.err.text())


def test_two_workers_block_at_once_and_a_third_request_waits(server, tmp_path):
    started = start(server, tmp_path)
    with Blocked(started) as blocked:
        first, second = blocked.add(), blocked.add()
        assert first != second
        answers = []
        third = threading.Thread(target=lambda: answers.append(who(started)))
        third.start()
        until(lambda: row(started)["requests_waiting"] == 1, PATIENCE_S, "a request that waits")
        assert row(started)["slots"] == 2
        blocked.calls[second].cancel()  # the right worker hears it
        third.join(PATIENCE_S)
        assert answers == [second]
        assert not blocked.calls[first].done()
    assert started.fetch("/metrics")[2].decode().count('tensord_model_workers_ready{model="m",version="1"} 2') == 1


def test_one_that_is_killed_costs_its_own_request_and_comes_back(server, tmp_path):
    started = start(server, tmp_path)
    before = started.workers("m")
    with Blocked(started) as blocked:
        calls = [blocked.calls[blocked.add()] for _ in range(2)]
        before[0].kill()
        until(lambda: any(call.done() for call in calls), PATIENCE_S, "the end of a request")
        [failed] = [call for call in calls if call.done()]
        assert failed.code() == grpc.StatusCode.UNAVAILABLE and "may be sent again" in failed.details()
        assert row(started)["state"] == "ready"
        wait_for_workers(started, 2)
        assert not all(call.done() for call in calls)
        assert who(started) not in blocked.blocked()  # it has come back as another one
        assert len(started.workers("m")) == 2 and before[1] in started.workers("m")


def test_more_come_when_requests_wait_and_go_when_they_are_not_needed(server, tmp_path):
    started = start(server, tmp_path, config="workers: {min: 1, max: 2, idle_after_s: 1}\n", workers=1)
    with Blocked(started) as blocked:
        first, second = blocked.add(), blocked.add()  # which waits until another worker has come
        assert first != second
        assert (row(started)["workers_ready"], row(started)["workers_wanted"]) == (2, 2)
    until(lambda: row(started)["workers"] == 1, PATIENCE_S, "the end of a worker")
    assert row(started)["workers_wanted"] == 1 and row(started)["state"] == "ready"
    assert who(started) in (first, second)
    assert started.err.wait_for("1 workers instead of 2", PATIENCE_S)
    said = re.findall(r'(\d workers instead of [^"}]*)', started.err.text())
    assert said == ["2 workers instead of 1: requests have waited while all were busy",
                    "1 workers instead of 2: fewer have been needed for a while"]


def test_requests_go_on_while_workers_are_killed(server, tmp_path):
    """Of those that come one by one, each is answered, or told that it was with the one that was killed."""
    started = start(server, tmp_path, config="workers: 3\n", workers=3)
    stop, answers = threading.Event(), []

    def go_on():
        while not stop.is_set():
            answers.append(ask(started, "m", tensor("block", "BOOL", [1], [False])))

    threads = [threading.Thread(target=go_on) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(4):  # so that at last none of the first three is there
        min(started.workers("m"), key=lambda worker: worker.create_time()).kill()
        assert started.err.wait_for("killed by signal 9", PATIENCE_S)  # the front knows
        assert row(started)["state"] == "ready"
        wait_for_workers(started, 3)
    stop.set()
    for thread in threads:
        thread.join(PATIENCE_S)
    lost = [outputs for status, outputs in answers if status != 200]
    assert len(lost) <= 4 * 3 and all("may be sent again" in sentence for sentence in lost)
    assert len({outputs["output"]["data"][0] for status, outputs in answers if status == 200}) > 3


def test_newer_files_take_over_with_all_workers_and_lose_nothing(server, repository):
    """ONNX Runtime, in three workers."""
    folder = repository(constant=models.constant(1))
    write_config(folder, "many", workers=3)
    models.save(models.constant(1), folder / "many" / "model.onnx")
    started = server(folder).wait_ready("many")
    wait_for_workers(started, 3, "many")
    stop, seen, failed = threading.Event(), [], []

    def go_on():
        while not stop.is_set():
            status, body = one(started, "many")
            seen.append(body["outputs"][0]["data"][0]) if status == 200 else failed.append(body)

    threads = [threading.Thread(target=go_on) for _ in range(4)]
    for thread in threads:
        thread.start()
    until(lambda: len(seen) > 100, PATIENCE_S, "answers")
    least = []
    models.save(models.constant(2), folder / "many" / "model.onnx")
    until(lambda: least.append(row(started, "many")["workers_ready"]) or seen[-1] == 2, PATIENCE_S, "the newer model")
    stop.set()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert not failed and set(seen) == {1, 2}
    assert min(least) >= 3  # at no time did fewer serve
    until(lambda: len(started.workers("many")) == 3, PATIENCE_S, "the end of the older ones")


def test_streams_and_calls_stay_with_their_worker(server, tmp_path):
    """A generator that calls another model for each answer, in two workers at once."""
    write_python(tmp_path, "twice", "def predict(x: int) -> int:\n    return 2 * x\n", "workers: 2\n")
    started = start(server, tmp_path, """
        import os
        from collections.abc import Iterator
        import tensord

        ME = os.urandom(8).hex()

        def predict(n: int) -> Iterator[str]:
            for i in range(n):
                yield f"{ME} {tensord.call_sync('twice', x=i).item()}"
    """)
    wait_for_workers(started, 2, "twice")
    told = []

    def stream(n):
        body = {"n": n}
        status, _, text = started.fetch("/v2/models/m/generate_stream", body, timeout_s=PATIENCE_S)
        told.append((status, n, re.findall(r'"output": ?"(\w+) (\d+)"', text.decode()) or text))

    threads = [threading.Thread(target=stream, args=(200 + i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert len(told) == 4
    for status, n, parts in told:
        assert status == 200, parts
        assert len({me for me, _ in parts}) == 1
        assert [int(number) for _, number in parts] == [2 * i for i in range(n)]
    assert len({parts[0][0] for _, _, parts in told}) == 2


def test_one_that_cannot_start_is_told_of_while_the_other_serves(server, tmp_path):
    """As with a device that only one process may have: here a lock."""
    started = start(server, tmp_path, """
        import fcntl

        lock = open(__file__)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RuntimeError("the device is taken") from None

        def predict(x: int) -> int:
            return x + 1
    """, workers=1)
    until(lambda: "the device is taken" in row(started)["reason"], PATIENCE_S, "the reason")
    said = row(started)
    assert said["reason"].startswith("1 of 2 workers serve: another one ended: ") and said["state"] == "ready"
    assert (said["workers_ready"], said["workers_wanted"]) == (1, 2)
    index = json.loads(started.fetch("/v2/repository/index", {})[2])
    assert [(entry["state"], "the device is taken" in entry["reason"]) for entry in index] == [("READY", True)]
    status, outputs = ask(started, "m", tensor("x", "INT64", [1], [1]))
    assert (status, outputs["output"]["data"]) == (200, [2])
    shown = subprocess.run([sys.executable, "-m", "tensord", "ps"], capture_output=True, text=True, timeout=PATIENCE_S,
                           env=os.environ | {"PYTHONPATH": str(PYTHON), "TENSORD_URL": started.url,
                                             "TENSORD_TOKEN": started.admin_token})
    assert re.search(r"^m +1 +ready +1/2 ", shown.stdout, re.MULTILINE), shown.stdout + shown.stderr


def test_instances_of_triton_s_python_models_are_workers(server, tmp_path):
    code = """
        import os
        import numpy as np
        import triton_python_backend_utils as pb_utils

        ME = os.urandom(8).hex().encode()

        class TritonPythonModel:
            def execute(self, requests):
                return [pb_utils.InferenceResponse([pb_utils.Tensor("ME", np.array([ME], dtype=object))]) for _ in requests]
    """
    config = {"backend": "python", "input": [tensor_config("x", "FP32", [1])], "output": [tensor_config("ME", "BYTES", [1])],
              "instance_group": [{"count": 2, "kind": "KIND_CPU"}, {"count": 1, "kind": "KIND_CPU"}]}
    started = start(server, tmp_path, code, json.dumps(config), workers=3)
    seen = set()
    until(lambda: seen.add(ask(started, "m", tensor("x", "FP32", [1], [1]))[1]["ME"]["data"][0]) or len(started.workers("m")) == 3,
          PATIENCE_S, "three workers")
    assert seen and row(started)["workers"] == 3


def test_more_instances_than_there_may_be_workers_are_refused(server, tmp_path):
    config = "instance_group:\n  - count: 200\n    kind: KIND_CPU\n"
    write_python(tmp_path, "m", "def predict(x: int) -> int:\n    return x\n", config)
    settle(tmp_path)
    started = server(tmp_path)
    until(lambda: "m" in started.fetch("/v2/repository/index", {})[2].decode(), PATIENCE_S, "the model")
    until(lambda: row(started)["reason"] == "'instance_group' asks for 200 workers; 128 is the most", PATIENCE_S, "the reason")
