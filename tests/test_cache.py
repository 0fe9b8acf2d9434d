"""Answers that are given again: what is kept, what makes requests the same, when an answer goes, and what is counted."""
import contextlib
import json
import re
import subprocess

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from test_metrics import of_model, scrape, value
from tritonclient.utils import InferenceServerException, triton_to_np_dtype

from support import models
from support.processes import until
from support.repositories import request, settle, tensor_config, write_config
from support.server import ROOT

LONG_MS = 600_000
START_S = 30
CACHED = {"response_cache": {"enable": True}}


@pytest.fixture
def chaos(server, tmp_path):
    """chaos("--flag", …, field=value, …) serves a chaos model "m" that keeps its answers."""

    def start(*arguments, parameters=None, **config):
        config = {**CACHED, **config}
        write_config(tmp_path / "models", "m", backend="chaos", input=[tensor_config("x", "INT32")],
                     output=[tensor_config("y", "INT32")], **config,
                     parameters={key: {"string_value": str(value)} for key, value in (parameters or {}).items()})
        return server(tmp_path / "models", *arguments).wait_ready("m")

    return start


def infer(server, values, model="m", **parameters):
    """The values that come back."""
    status, body = server.infer(model, request(values, datatype="INT32", **parameters))
    assert status == 200, body
    return body["outputs"][0]["data"]


def stats(server, model="m"):
    """(successes, executions, hits, misses) so far."""
    found = server.get(f"/v2/models/{model}/stats")["model_stats"][0]
    inferences = found["inference_stats"]
    return (inferences["success"]["count"], found["execution_count"], inferences["cache_hit"]["count"],
            inferences["cache_miss"]["count"])


def test_an_answer_is_given_again_without_an_execution(chaos):
    server = chaos()
    assert infer(server, [1, 2, 3]) == infer(server, [1, 2, 3]) == [1, 2, 3]
    assert infer(server, [1, 2, 4]) == [1, 2, 4]
    assert stats(server) == (3, 2, 1, 2)


@pytest.mark.parametrize("second, hits", [
    ({"values": [5, 6]}, 1),
    ({"values": [6, 5]}, 0),
    ({"values": [5, 6, 0]}, 0),
    ({"values": [5, 6], "wait_ms": 1}, 0),
    ({"values": [5, 6], "priority": 1, "timeout": 60_000_000}, 1),
])
def test_what_makes_requests_the_same(chaos, second, hits):
    server = chaos()
    infer(server, [5, 6])
    infer(server, **second)
    assert stats(server)[2] == hits


def test_the_outputs_that_are_asked_for_and_shapes_make_a_difference(server, tmp_path):
    tensors = {"input": [tensor_config("x", "INT32", [-1, -1])], "output": [tensor_config("y", "INT32", [-1, -1])]}
    write_config(tmp_path / "models", "m", backend="chaos", max_batch_size=0, **tensors, **CACHED)
    one = server(tmp_path / "models").wait_ready("m")

    def ask(shape, **more):
        made = {"inputs": [{"name": "x", "datatype": "INT32", "shape": shape, "data": [1, 2]}], **more}
        status, body = one.infer("m", made)
        assert status == 200, body
        return body["outputs"][0]["shape"]

    assert ask([1, 2]) == [1, 2] and ask([2, 1]) == [2, 1]
    assert ask([1, 2], id="another") == [1, 2]
    assert ask([1, 2], outputs=[{"name": "y"}]) == [1, 2]
    assert ask([2, 1]) == [2, 1]
    assert stats(one)[2:] == (2, 3)


def test_failures_are_not_kept(chaos):
    server = chaos()
    for _ in range(2):
        status, _ = server.infer("m", request([1], datatype="INT32", fail="no"))
        assert status == 500
    assert stats(server)[1:] == (0, 0, 0) and value(scrape(server), "tensord_cache_answers") == 0


def test_without_the_field_nothing_is_kept(chaos):
    server = chaos(response_cache={"enable": False})
    for _ in range(3):
        infer(server, [1])
    assert stats(server) == (3, 3, 0, 0)


def test_the_clients_see_no_difference(server, repository):
    """Over HTTP and gRPC, binary and JSON, an answer that was kept is the first one byte for byte."""
    folder = repository()
    made = folder / "types"
    (made / "1").mkdir(parents=True)
    models.save(models.all_datatypes(), made / "1" / "model.onnx")
    (made / "model.yaml").write_text(json.dumps(CACHED))
    settle(made)
    one = server(folder).wait_ready("types")
    def inputs(library):
        for name in models.DATATYPES:
            tensor = library.InferInput("in_" + name, [1, 2], name)
            values = [[b"\0x", b""]] if name == "BYTES" else [[0, 1]]
            tensor.set_data_from_numpy(np.array(values, triton_to_np_dtype(name)))
            yield tensor

    answers = []
    with tritonclient.http.InferenceServerClient(one.netloc) as http, \
            tritonclient.grpc.InferenceServerClient(one.netloc) as grpc:
        for library, client in 2 * ((tritonclient.http, http), (tritonclient.grpc, grpc)):
            got = client.infer("types", list(inputs(library)))
            answers.append([got.as_numpy("out_" + name).tolist() for name in models.DATATYPES])
    assert all(answer == answers[0] for answer in answers) and stats(one, "types")[1:] == (1, 3, 1)


def test_statistics_and_metrics_agree(chaos):
    server = chaos("--metrics-summaries")
    for number in (1, 1, 2, 1):
        infer(server, [number])
    with tritonclient.grpc.InferenceServerClient(server.netloc) as client:
        found = client.get_inference_statistics("m").model_stats[0]
    assert (found.inference_stats.cache_hit.count, found.inference_stats.cache_miss.count) == (2, 2)
    assert found.inference_stats.cache_hit.ns > 0 and found.inference_stats.cache_miss.ns > 0
    assert (found.inference_count, found.execution_count) == (2, 2)  # as Triton counts them
    assert found.inference_stats.success.count == found.inference_stats.queue.count == 4
    assert found.inference_stats.compute_infer.count == 2
    shown = scrape(server)
    assert of_model(shown, "nv_cache_num_hits_per_model", "m") == 2
    assert of_model(shown, "nv_cache_num_misses_per_model", "m") == 2
    assert of_model(shown, "nv_cache_hit_duration_per_model", "m") >= 0
    assert of_model(shown, "nv_cache_miss_duration_per_model", "m") > 0
    assert of_model(shown, "nv_cache_hit_summary_per_model_count", "m") == 2
    assert of_model(shown, "nv_inference_request_success", "m") == 4
    assert value(shown, "tensord_cache_answers") == 2 and 0 < value(shown, "tensord_cache_bytes") < 4096
    assert server.get("/v2/models/m/config")["response_cache"] == {"enable": True}


def test_a_hit_wakes_no_sleeping_model(chaos):
    server = chaos(residency={"idle_after_s": 1})
    infer(server, [1, 2])
    workers, loads = "tensord_model_workers", "tensord_model_loads_total"
    until(lambda: of_model(scrape(server), workers, "m") == 0, START_S, "asleep")
    before = of_model(scrape(server), loads, "m")
    assert infer(server, [1, 2]) == [1, 2]
    assert of_model(scrape(server), workers, "m") == 0 and stats(server)[2] == 1
    assert of_model(scrape(server), loads, "m") == before
    assert infer(server, [1, 3]) == [1, 3]
    assert of_model(scrape(server), loads, "m") == before + 1  # and it may sleep again by now


def test_a_hit_takes_no_slot(chaos):
    server = chaos(parameters={"concurrency": 1})
    infer(server, [1, 2])
    with tritonclient.grpc.InferenceServerClient(server.netloc) as client:
        tensor = tritonclient.grpc.InferInput("x", [1], "INT32")
        tensor.set_data_from_numpy(np.int32([0]))
        ended = []
        busy = client.async_infer("m", [tensor], lambda result, error: ended.append(error),
                                  parameters={"wait_ms": LONG_MS, "log": 1})
        assert server.err.wait_for("line 0 of many", START_S)
        assert infer(server, [1, 2]) == [1, 2] and not ended
        busy.cancel()


def test_a_replaced_model_does_not_answer_with_the_old_one_s(server, repository):
    folder = repository()
    version = folder / "m" / "1"
    version.mkdir(parents=True)
    models.save(models.constant(1), version / "model.onnx")
    (folder / "m" / "model.yaml").write_text(json.dumps(CACHED))
    settle(folder / "m")
    one = server(folder).wait_ready("m")

    def ask():
        status, body = one.infer("m", {"inputs": [{"name": "X", "datatype": "FP32", "shape": [1], "data": [0]}]})
        assert status == 200, body
        return body["outputs"][0]["data"]

    assert ask() == ask() == [1] and stats(one)[2] == 1
    models.save(models.constant(2), version / "new.onnx")
    settle(version / "new.onnx")
    (version / "new.onnx").replace(version / "model.onnx")
    until(lambda: ask() == [2], START_S, "the new model")
    until(lambda: value(scrape(one), "tensord_cache_answers") == 1, START_S, "the end of the old one's answers")
    hits = stats(one)[2]
    assert ask() == [2] and stats(one)[2] == hits + 1


def test_memory_is_bounded_under_many_inputs(chaos):
    server = chaos("--cache-memory-mib", "1", "--cache-entry-kib", "64")
    limit, size = 1 << 20, 4000
    for number in range(200):
        assert infer(server, [number] * size) == [number] * size
        if number % 50 == 49:
            assert value(scrape(server), "tensord_cache_bytes") <= limit
    shown = scrape(server)
    kept, driven_out = value(shown, "tensord_cache_answers"), value(shown, "tensord_cache_evictions_total")
    assert kept + driven_out == 200 and 50 < kept < limit / (4 * size)
    assert value(shown, "tensord_limit_hits_total", limit="cache_memory_mib") == driven_out
    hits = stats(server)[2]
    infer(server, [199] * size)
    infer(server, [0] * size)
    assert stats(server)[2] == hits + 1


def test_what_is_too_large_is_not_kept(chaos):
    server = chaos("--cache-entry-kib", "1")
    for size in (256, 257):
        for _ in range(2):
            assert len(infer(server, [1] * size)) == size
    assert stats(server)[2:] == (1, 1)  # the second has not been looked for
    assert value(scrape(server), "tensord_limit_hits_total", limit="cache_entry_kib") == 2


def test_no_memory_for_it_turns_it_off(chaos):
    server = chaos("--cache-memory-mib", "0")
    for _ in range(2):
        infer(server, [1])
    assert stats(server) == (2, 2, 0, 0)


def test_models_that_stream_cannot_be_kept(server, tmp_path):
    write_config(tmp_path / "models", "m", backend="chaos", input=[tensor_config("x", "INT32")],
                 output=[tensor_config("y", "INT32")], model_transaction_policy={"decoupled": True}, **CACHED)
    one = server(tmp_path / "models")
    assert one.err.wait_for("'response_cache' excludes a decoupled", START_S)


def test_a_pipeline_s_answer_goes_with_its_step(server, repository):
    folder = repository()
    version = folder / "step" / "1"
    version.mkdir(parents=True)
    models.save(models.constant(1), version / "model.onnx")
    settle(folder / "step")
    write_config(folder, "all", steps=[{"model": "step", "input": {"X": "X"}, "output": {"Y": "Y"}}],
                 input=[tensor_config("X", "FP32", [1])], output=[tensor_config("Y", "FP32", [1])], **CACHED)
    one = server(folder).wait_ready("step").wait_ready("all")

    def ask():
        status, body = one.infer("all", {"inputs": [{"name": "X", "datatype": "FP32", "shape": [1], "data": [0]}]})
        assert status == 200, body
        return body["outputs"][0]["data"]

    assert ask() == ask() == [1] and stats(one, "all")[2] == 1 and stats(one, "step")[0] == 1
    models.save(models.constant(2), version / "new.onnx")
    settle(version / "new.onnx")
    (version / "new.onnx").replace(version / "model.onnx")
    until(lambda: ask() == [2], START_S, "the new step")


def test_a_request_that_is_wrong_is_not_looked_for(chaos):
    server = chaos()
    infer(server, [1])
    with tritonclient.http.InferenceServerClient(server.netloc) as client, pytest.raises(InferenceServerException):
        tensor = tritonclient.http.InferInput("x", [1], "FP32")
        tensor.set_data_from_numpy(np.float32([1]))
        client.infer("m", [tensor])
    assert stats(server)[2:] == (0, 1)


# ---- requests that are the same, at once ----

COALESCES = {"response_cache": {"enable": False}, "scheduling": {"coalesce": True}}
CROWD = 32


class Crowd:
    """The same request many times at once, each over a call of its own."""

    def __init__(self, server, count, value=7, **parameters):
        self.client = tritonclient.grpc.InferenceServerClient(server.netloc)
        self.results, self.errors, self.calls = [], [], []
        for _ in range(count):
            self.send(value, **parameters)

    def send(self, value=7, timeout=None, **parameters):
        tensor = tritonclient.grpc.InferInput("x", [1], "INT32")
        tensor.set_data_from_numpy(np.int32([value]))
        self.calls.append(self.client.async_infer("m", [tensor], self.ended, parameters=parameters,
                                                  timeout=timeout))

    def ended(self, result, error):
        if error:
            self.errors.append(error)
        else:
            self.results.append(result.as_numpy("y").tolist())

    def settle(self):
        """Returns when the server has all that was sent."""
        for _ in range(2):
            assert self.client.is_server_live()

    def wait(self):
        until(lambda: len(self.results) + len(self.errors) == len(self.calls), START_S, "answers")
        self.client.close()


@contextlib.contextmanager
def held_up(server):
    """The model's worker does nothing meanwhile: what was sent to it is under way until afterwards."""
    [worker] = server.workers("m")
    worker.suspend()
    try:
        yield
    finally:
        worker.resume()


def coalesced(server):
    return of_model(scrape(server), "tensord_coalesced_requests_total", "m")


def test_a_crowd_is_one_execution(chaos):
    server = chaos(**COALESCES)
    with held_up(server):
        crowd = Crowd(server, CROWD)
        crowd.settle()
    crowd.wait()
    assert crowd.results == [[7]] * CROWD
    assert stats(server) == (CROWD, 1, 0, 0) and coalesced(server) == CROWD - 1


def test_the_first_one_s_leaving_is_not_the_others(chaos):
    server = chaos(**COALESCES)
    with held_up(server):
        crowd = Crowd(server, 8)
        crowd.settle()
        crowd.calls[0].cancel()
        crowd.settle()
    crowd.wait()
    assert crowd.results == [[7]] * 7 and len(crowd.errors) == 1 and stats(server)[1] == 1


def test_one_that_nobody_waits_for_is_cancelled(chaos):
    server = chaos(**COALESCES)
    crowd = Crowd(server, 8, wait_ms=LONG_MS, log=1)
    assert server.err.wait_for("line 0 of many", START_S)
    crowd.settle()
    for call in crowd.calls:
        call.cancel()
    crowd.wait()
    assert infer(server, [1]) == [1]
    until(lambda: of_model(scrape(server), "tensord_running_requests", "m") == 0, START_S, "the end")


def test_deadlines_are_each_one_s_own(chaos):
    server = chaos(**COALESCES)
    with held_up(server):
        crowd = Crowd(server, 1, timeout=1_000_000)
        crowd.send()
        until(lambda: crowd.errors, START_S, "the end of the first one's time")
    crowd.wait()
    assert crowd.results == [[7]] and "Request timeout expired" in str(crowd.errors[0]) and stats(server)[1] == 1


def test_failures_are_shared(chaos):
    server = chaos(**COALESCES)
    with held_up(server):
        crowd = Crowd(server, 8, fail="out of luck", log=1)
        crowd.settle()
    crowd.wait()
    assert len(crowd.errors) == 8 and all("out of luck" in str(error) for error in crowd.errors)
    infer(server, [1], log=2)
    assert server.err.wait_for("line 1 of many", START_S)  # what a worker says may come after its answers
    assert server.err.text().count("line 0 of many") == 2


def test_a_cache_remembers_what_a_crowd_was_answered(chaos):
    server = chaos(scheduling={"coalesce": True})
    with held_up(server):
        first = Crowd(server, 4)
        first.settle()
    first.wait()
    late = Crowd(server, 4)
    late.wait()
    assert late.results == [[7]] * 4 and stats(server) == (8, 1, 4, 4)


def test_without_the_field_each_is_executed(chaos):
    server = chaos(response_cache={"enable": False})
    Crowd(server, 4, wait_ms=1).wait()
    assert stats(server)[1] == 4 and coalesced(server) == 0


# ---- docs/caching.md ----


def test_the_page_s_configs_and_commands(server, tmp_path):
    """A model whose config is all of the page's, asked by the page's commands."""
    page = (ROOT / "docs" / "caching.md").read_text()
    configs = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    commands = re.findall(r"^    \$ (curl .*)$", page, re.MULTILINE)
    assert len(configs) == 3 and len(commands) == 3
    made = tmp_path / "models" / "iris"
    (made / "warmup").mkdir(parents=True)
    (made / "warmup" / "flower.bin").write_bytes(np.float32([5, 3, 1, 0]).tobytes())
    tensors = {"input": [tensor_config("x", "FP32", [4])], "output": [tensor_config("y", "FP32", [4])]}
    own = "".join(f"{key}: {json.dumps(made)}\n" for key, made in {"backend": "identity", "max_batch_size": 8, **tensors}.items())
    (made / "model.yaml").write_text(own + "".join(configs))
    settle(made)
    one = server(tmp_path / "models").wait_ready("iris")
    assert one.err.wait_for("warm-up 'usual': executed 3 times", START_S)
    assert one.err.wait_for("warm-up 'a real one': executed 1 times", START_S)

    def run(command):
        command = command.replace("localhost:8000", one.netloc)
        return subprocess.run(["sh", "-c", command], check=True, capture_output=True, text=True, timeout=START_S).stdout

    assert json.loads(run(commands[0])) == json.loads(run(commands[0]))
    found = json.loads(run(commands[1]))["model_stats"][0]
    assert found["inference_stats"]["cache_hit"]["count"] == found["execution_count"] == 1
    shown = run(commands[2])
    assert 'nv_cache_num_hits_per_model{model="iris",version="1"} 1\n' in shown and "\ntensord_cache_answers 1\n" in shown
