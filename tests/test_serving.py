"""What clients and files may do to a model at the wrong moment; every request gets an answer."""
import json
import os
import shutil
import threading

import onnx
import pytest
from onnx import helper
from tritonclient.grpc import service_pb2

from support import models, processes
from support.http2 import (
    ACK, END_HEADERS, Http2, data, grpc_block, grpc_message, header_block, headers, settings, window_update,
)
from support.repositories import request, write_model
from support.server import onnxruntime
from support.sockets import Connection

LOAD, UNLOAD = "/v2/repository/models/{}/load", "/v2/repository/models/{}/unload"


@pytest.fixture
def folder(tmp_path):
    return write_model(tmp_path / "models", "chaos", "chaos", "INT32")


@pytest.fixture
def served(server, folder):
    return server(folder).wait_ready("chaos")


def ask(server, timeout_s=60, outputs=None, **parameters):
    asked = request([1, 2, 3], datatype="INT32", **parameters)
    if outputs:
        asked["outputs"] = [{"name": name} for name in outputs]
    return server.infer("chaos", asked, timeout_s=timeout_s)


def index(server):
    return json.loads(server.fetch("/v2/repository/index", b"")[2])


def test_parameters_that_no_worker_can_be_sent_are_refused(served):
    assert ask(served, note="x" * 200_000)[0] == 200
    status, body = ask(served, note="x" * 2_000_000)
    assert status == 413 and "parameters" in body["error"]
    assert ask(served)[0] == 200


def test_requests_too_large_for_one_batch_are_sent_as_several(server, tmp_path):
    """64 requests of 60 inputs each, if joined, are more than one record holds."""
    names, dims = [f"x{i}" for i in range(60)], "[1,1,1,1,1,1,1,1,1,1,1,1,1,1]"
    text = "backend: chaos\nmax_batch_size: 64\nparameters: {load: {string_value: slow}}\n"
    for kind, prefix in (("input", ""), ("output", "of_")):
        text += f"{kind}:\n"
        text += "".join(f"  - {{name: {prefix}{name}, data_type: TYPE_INT32, dims: {dims}}}\n" for name in names)
    folder = write_model(tmp_path / "models", "wide", "chaos")
    config = folder / "wide" / "model.yaml"
    config.write_text(text)
    os.utime(config, (1, 1))
    served = server(folder)
    processes.until(lambda: index(served), 60, "the model to be found")
    inputs = [{"name": name, "datatype": "INT32", "shape": [1] * 15, "data": [1]} for name in names]
    statuses = []
    threads = [
        threading.Thread(target=lambda: statuses.append(served.infer("wide", {"inputs": inputs}, timeout_s=60)))
        for _ in range(64)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [status for status, _ in statuses] == [200] * 64, statuses[0]


def test_a_timeout_of_centuries_does_not_pass_at_once(served):
    assert ask(served, timeout=2**64 // 1000)[0] == 200


def test_an_output_is_asked_for_once(served):
    assert ask(served, outputs=["y"])[0] == 200
    status, body = ask(served, outputs=["y", "y"])
    assert status == 400 and "more than once" in body["error"]


def test_a_half_sent_request_survives_its_unloaded_model_and_its_worker(served):
    head = {"inputs": [{"name": "x", "datatype": "INT32", "shape": [2], "parameters": {"binary_data_size": 8}}]}
    text = json.dumps(head).encode()
    connection = Connection(served.address)
    connection.send(
        b"POST /v2/models/chaos/infer HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n"
        b"Inference-Header-Content-Length: %d\r\n\r\n" % (len(text) + 8, len(text)) + text + b"abcd")
    [worker] = served.workers()
    assert served.fetch(UNLOAD.format("chaos"), b"")[0] == 200
    processes.until(lambda: index(served)[0]["state"] == "UNLOADING", 60, "the unload")
    worker.kill()
    assert served.err.wait_for("killed by signal 9", 60), "the front knows of the worker's end"
    connection.send(b"efgh")
    assert connection.rest().startswith(b"HTTP/1.1 200 ")


def fan_out(count):
    nodes = [helper.make_node("Identity", ["X"], [f"Y{i}"]) for i in range(count)]
    outputs = [models.tensor(f"Y{i}", "FP32", [1]) for i in range(count)]
    return models.model(nodes, [models.tensor("X", "FP32", [1])], outputs)


def test_a_sleeping_model_whose_file_got_other_outputs_is_not_trusted(server, repository):
    folder = repository(fan=fan_out(1))
    os.utime(folder / "fan.onnx", (1, 1))
    served = server(folder, "--load", "lazy").wait_ready("fan")
    onnx.save_model(fan_out(60), folder / "fan.onnx")
    asked = request([1], name="X", datatype="FP32")
    status, body = served.infer("fan", asked)
    assert status == 503 and "the files have changed" in body["error"] or len(body["outputs"]) == 60
    processes.until(lambda: served.infer("fan", asked)[0] == 200, 60, "the new file to be served")
    assert len(served.infer("fan", asked)[1]["outputs"]) == 60


def test_loading_a_config_that_is_wrong_fails_and_keeps_the_reason(served, folder):
    (folder / "chaos" / "model.yaml").write_text("backend: chaos\nnonsense: 3\n")
    processes.until(lambda: "nonsense" in index(served)[0]["reason"], 60, "the mistake to be seen")
    for _ in range(2):
        status, _, body = served.fetch(LOAD.format("chaos"), b"")
        assert status == 400 and b"nonsense" in body
    assert "nonsense" in index(served)[0]["reason"]
    assert ask(served)[0] == 200


def test_a_load_does_not_wait_for_a_repository_that_is_gone(served, folder):
    shutil.rmtree(folder)
    status, _, body = served.fetch(LOAD.format("chaos"), b"")
    assert status == 503 and b"failed to poll" in body


def test_names_that_are_no_text_do_not_spoil_the_index(server, folder):
    with open(os.fsencode(folder) + b"/bad\xff.onnx", "wb") as file:
        file.write(b"x")
    served = server(folder).wait_ready("chaos")
    assert [model["name"] for model in index(served)] == ["chaos"]


def test_a_missing_engine_is_told_without_its_path(server, folder):
    write_model(folder, "lost", "nowhere")
    served = server(folder).wait_ready("chaos")
    processes.until(lambda: any(m["state"] == "UNAVAILABLE" for m in index(served)), 60, "the failure")
    [lost] = [m for m in index(served) if m["name"] == "lost"]
    assert "nowhere" in lost["reason"] and "/" not in lost["reason"]


def test_onnxruntime_may_be_named_from_here(server, repository):
    """Workers start in other folders than the server does."""
    folder = repository(echo=models.identity())
    relative = os.path.relpath(onnxruntime(), folder.parent)
    served = server(folder, "--onnxruntime", relative, cwd=folder.parent)
    assert served.wait_ready("echo")


def test_a_request_is_answered_while_a_large_one_on_its_connection_has_half_come(server, tmp_path):
    """The client may well wait for the one before it goes on with the other."""
    served = server(write_model(tmp_path / "models", "echo", "identity")).wait_ready("echo")
    tensor = bytes(range(256)) * 2400  # less than the window
    asked = service_pb2.ModelInferRequest(model_name="echo", raw_input_contents=[tensor])
    asked.inputs.add(name="x", datatype="FP32", shape=[len(tensor) // 4])
    message = grpc_message(asked.SerializeToString())
    frames = [message[at:at + 16384] for at in range(0, len(message), 16384)]
    with Http2(served.address, (4, 1 << 30)) as conn:
        conn.step()  # the server's settings, whose window holds when they are acknowledged
        conn.send(settings(flags=ACK) + window_update(0, 1 << 30) + headers(1, grpc_block(), END_HEADERS))
        conn.send(b"".join(data(1, frame, 0) for frame in frames[:30]))
        conn.send(headers(3, header_block("/v2/health/live")))
        assert conn.answer(3).status == 200
        conn.send(b"".join(data(1, frame, 0) for frame in frames[30:-1]) + data(1, frames[-1]))
        assert conn.answer(1).fields["grpc-status"] == "0"
    assert service_pb2.ModelInferResponse.FromString(conn.streams[1].body[5:]).raw_output_contents == [tensor]
