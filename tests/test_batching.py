"""Waiting requests are joined into one execution where that is right, and each gets its own rows back.

A chaos model with mix=1 answers with 1000 times the mean of its whole batch, which tells who was
computed together.
"""
import json
import struct
import threading

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from support import models
from support.repositories import tensor_config, write_config

LONG_MS = 600_000
TIMEOUT_S = 60


def raw_message(raw, shape, datatype, **parameters):
    """A request to model "m" with these bytes."""
    made = service_pb2.ModelInferRequest(model_name="m", raw_input_contents=[raw])
    made.inputs.add(name="x", datatype=datatype, shape=shape)
    for key, value in parameters.items():
        made.parameters[key].int64_param = value
    return made


def message(values, shape=None, **parameters):
    return raw_message(np.array(values, np.int32).tobytes(), shape or [len(values)], "INT32", **parameters)


def strings(*texts):
    """BYTES elements."""
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def finished_calls(server, busy_message, *messages):
    """Sends all while the model's only slot is busy, lets it go on, and returns the calls when they have ended. All
    share a connection, so they have arrived when the server answers what came after them."""
    with grpc.insecure_channel(server.netloc) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        busy = stub.ModelInfer.future(busy_message, timeout=TIMEOUT_S)
        assert server.err.wait_for("line 0 of many", TIMEOUT_S), "the model is not busy"
        calls = [stub.ModelInfer.future(one, timeout=TIMEOUT_S) for one in messages]
        for _ in range(2):
            assert stub.ServerLive(service_pb2.ServerLiveRequest(), timeout=TIMEOUT_S).live
        busy.cancel()
        for call in calls:
            call.exception()
        return calls


def answers(server, *messages):
    """The values that each of the messages got; see finished_calls."""
    busy = message([0], [1] * len(messages[0].inputs[0].shape), wait_ms=LONG_MS, log=1)
    return [np.frombuffer(call.result().raw_output_contents[0], np.int32).tolist()
            for call in finished_calls(server, busy, *messages)]


@pytest.fixture
def mixing(server, tmp_path):
    """mixing(dims, batching="yes") serves a chaos model "m" that mixes its rows."""

    def start(dims=(-1,), max_batch_size=None, **parameters):
        config = {} if max_batch_size is None else {"max_batch_size": max_batch_size}
        write_config(tmp_path / "models", "m", backend="chaos", input=[tensor_config("x", "INT32", dims)],
                     output=[tensor_config("y", "INT32", dims)], **config,
                     parameters={key: {"string_value": value} for key, value in {"mix": "1", **parameters}.items()})
        return server(tmp_path / "models").wait_ready("m")

    return start


def test_what_waits_is_joined(mixing):
    assert answers(mixing(batching="yes"), *(message([i]) for i in (1, 2, 3, 4))) == [[2500]] * 4


def test_requests_of_several_rows_are_joined_and_taken_apart(mixing):
    got = answers(mixing(batching="yes"), message([1, 2, 3]), message([4]), message([5, 6]))
    assert got == [[3500] * 3, [3500], [3500] * 2]


def test_only_requests_that_differ_in_nothing_else_are_joined(mixing):
    got = answers(mixing(dims=(-1, -1), batching="yes"), message([1, 1], [1, 2]), message([9], [1, 1]),
                  message([3, 3], [1, 2]), message([11], [1, 1]))
    assert got == [[2000, 2000], [10000], [2000, 2000], [10000]]


def test_requests_with_parameters_run_alone(mixing):
    got = answers(mixing(batching="yes"), message([1]), message([5], mood=1), message([3]))
    assert got == [[2000], [5000], [2000]]


def test_no_batch_is_larger_than_the_config_allows(mixing):
    got = answers(mixing(dims=[1], max_batch_size=2, batching="yes"), *(message([i], [1, 1]) for i in (1, 2, 3, 4)))
    assert got == [[1500], [1500], [3500], [3500]]


def test_a_model_that_mixes_its_rows_is_found_out(mixing):
    server = mixing()
    [entry] = json.loads(server.fetch("/v2/repository/index", {})[2])
    assert entry["batching"].startswith("not joined")
    assert answers(server, *(message([i]) for i in (1, 2, 3))) == [[1000], [2000], [3000]]


@pytest.fixture
def joining_strings(server, tmp_path):
    """joining_strings(…) serves a chaos model "m" of BYTES whose requests are joined; returns what sends requests while
    it is busy."""

    def start(**parameters):
        write_config(tmp_path / "models", "m", backend="chaos", input=[tensor_config("x", "BYTES")],
                     output=[tensor_config("y", "BYTES")], parameters={
                         key: {"string_value": value} for key, value in {"batching": "yes", **parameters}.items()})
        running = server(tmp_path / "models").wait_ready("m")
        busy = raw_message(strings(b""), [1], "BYTES", wait_ms=LONG_MS, log=1)
        return lambda *raws: finished_calls(running, busy, *(raw_message(raw, [1], "BYTES") for raw in raws))

    return start


# Instead of one element: its first length takes the request behind it in, or the next request's element is left over.
LYING = {
    "length beyond the end": struct.pack("<I", 12) + b"mine",
    "length short of the end": struct.pack("<I", 1) + b"mine",
    "two elements": strings(b"mine", b"too"),
    "length of 4 GiB": struct.pack("<I", 2**32 - 1) + b"mine",
}


@pytest.mark.parametrize("lying", LYING.values(), ids=LYING)
def test_a_lying_length_takes_nothing_of_another_request(joining_strings, lying):
    first, liar, last = joining_strings()(strings(b"first"), lying, strings(b"secret"))
    assert liar.code() == grpc.StatusCode.INVALID_ARGUMENT, liar
    assert "BYTES" in liar.details()
    assert first.result().raw_output_contents == [strings(b"first")]
    assert last.result().raw_output_contents == [strings(b"secret")]


def test_strings_are_taken_apart_by_their_lengths(joining_strings):
    calls = joining_strings()(strings(b"a"), strings(b""), strings(b"ccc"))
    assert [call.result().raw_output_contents[0] for call in calls] == [strings(b"a"), strings(b""), strings(b"ccc")]


def test_strings_that_do_not_add_up_to_the_answer_are_given_to_nobody(joining_strings):
    for call in joining_strings(excess="1")(strings(b"a"), strings(b"b")):
        assert call.code() == grpc.StatusCode.INTERNAL
        assert "malformed BYTES output" in call.details()


def test_a_cancelled_request_leaves_the_batch(mixing):
    server = mixing(batching="yes")
    with grpc.insecure_channel(server.netloc) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        busy = stub.ModelInfer.future(message([0], wait_ms=LONG_MS, log=1), timeout=TIMEOUT_S)
        assert server.err.wait_for("line 0 of many", TIMEOUT_S)
        stays, goes = (stub.ModelInfer.future(message([value]), timeout=TIMEOUT_S) for value in (1, 99))
        goes.cancel()
        for _ in range(2):
            assert stub.ServerLive(service_pb2.ServerLiveRequest(), timeout=TIMEOUT_S).live
        busy.cancel()
        assert np.frombuffer(stays.result().raw_output_contents[0], np.int32).tolist() == [1000]


def test_requests_with_the_same_optional_inputs_are_joined(server, tmp_path):
    """One that gives an input without rows runs alone; others are joined with those that give the same ones."""
    inputs = [tensor_config("x", "INT32", [-1]), {**tensor_config("y", "INT32", [-1]), "optional": True},
              {**tensor_config("bias", "INT32", [2]), "optional": True}]
    outputs = [tensor_config(name, "INT32") for name in "abc"]
    write_config(tmp_path / "models", "m", backend="chaos", input=inputs, output=outputs,
                 parameters={"mix": {"string_value": "1"}, "batching": {"string_value": "yes"}})

    def with_more(values, name):
        made = message(values)
        made.inputs.add(name=name, datatype="INT32", shape=[len(values)])
        made.raw_input_contents.append(np.array(values, np.int32).tobytes())
        return made

    got = answers(server(tmp_path / "models").wait_ready("m"), message([1]), with_more([3], "y"),
                  with_more([9, 9], "bias"), message([2]), with_more([5], "y"))
    assert got == [[1500], [4000], [9000, 9000], [1500], [4000]]


def test_a_model_with_an_optional_input_without_rows_is_joined(server, repository):
    running = server(repository(optional=models.optional())).wait_ready("optional")
    [entry] = json.loads(running.fetch("/v2/repository/index", {})[2])
    assert entry["batching"].startswith("joined"), entry
    wrong = []

    def client(seed):
        for i in range(20):
            rows = np.random.default_rng(seed + i).standard_normal((seed % 2 + 1, 2)).astype(np.float32)
            given = [{"name": "X", "datatype": "FP32", "shape": list(rows.shape), "data": rows.ravel().tolist()}]
            bias = np.array([10, 20], np.float32)
            if i % 3 == 0:
                bias = np.array([seed, i], np.float32)
                given.append({"name": "BIAS", "datatype": "FP32", "shape": [2], "data": bias.tolist()})
            status, body = running.infer("optional", {"inputs": given})
            if status != 200 or not np.allclose(np.reshape(body["outputs"][0]["data"], rows.shape), rows + bias):
                wrong.append((rows, bias, body))

    clients = [threading.Thread(target=client, args=(seed,)) for seed in range(8)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join(120)
    assert not wrong


def test_onnx_rows_go_to_whom_they_belong(server, repository):
    """Many clients at once; a matrix product is joined, a model that subtracts the mean of all rows
    is not, and both answer right."""
    running = server(repository(joined=models.matmul(), alone=models.mixes_rows()))
    running.wait_ready("joined").wait_ready("alone")
    notes = {entry["name"]: entry["batching"] for entry in json.loads(running.fetch("/v2/repository/index", {})[2])}
    assert notes["joined"].startswith("joined") and notes["alone"].startswith("not joined")
    weights, wrong = models.weights(), []

    def client(seed):
        rows = np.random.default_rng(seed).standard_normal((seed % 3 + 1, 4)).astype(np.float32)
        expected = {"joined": rows @ weights, "alone": rows - rows.mean(0)}
        for model in ["joined", "alone"] * 15:
            status, body = running.infer(model, {"inputs": [
                {"name": "X", "datatype": "FP32", "shape": list(rows.shape), "data": rows.ravel().tolist()}]})
            if status != 200 or not np.allclose(np.reshape(body["outputs"][0]["data"], rows.shape), expected[model], atol=1e-4):
                wrong.append((model, rows, body))

    clients = [threading.Thread(target=client, args=(seed,)) for seed in range(16)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join(120)
    assert not wrong
