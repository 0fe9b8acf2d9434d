"""The classification extension: classes in the place of values, over every protocol, through Triton's clients."""
import json
import queue

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

from support import models
from support.repositories import settle, tensor_config, write_config
from support.server import Server

VALUES = np.array([[0.5, -2, 3.5, 3.5], [7, 8, 9, 6]], np.float32)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    labelled = write_config(
        folder, "labelled", backend="identity", max_batch_size=8, input=[tensor_config("x", dims=[4])],
        output=[{**tensor_config("y", dims=[4]), "label_filename": "labels.txt"}])
    (labelled / "labels.txt").write_text("cat\r\ndög\n\nfish\n")
    settle(labelled)
    write_config(folder, "flat", backend="identity", max_batch_size=0, input=[tensor_config("x", dims=[-1, -1])],
                 output=[tensor_config("y", dims=[-1, -1])])
    write_config(folder, "text", backend="identity", input=[tensor_config("x", "BYTES")], output=[tensor_config("y", "BYTES")])
    write_config(folder, "streams", backend="chaos", input=[tensor_config("x", "INT32")], output=[tensor_config("y", "INT32")],
                 model_transaction_policy={"decoupled": True}, parameters={"batching": {"string_value": "no"}})
    missing = write_config(folder, "missing", backend="identity", input=[tensor_config("x")],
                           output=[{**tensor_config("y"), "label_filename": "none.txt"}])
    assert missing
    settle(models.save(models.add(), folder / "add.onnx"))
    one = Server(folder, state=tmp_path_factory.mktemp("state"))
    for name in ("labelled", "flat", "text", "streams", "add"):
        one.wait_ready(name)
    yield one
    one.stop()


@pytest.fixture(params=["http-json", "http-binary", "grpc"])
def classes_of(request, served):
    """A function: classes of an identity model's output, as a list of lists of text, or of text."""
    library = tritonclient.grpc if request.param == "grpc" else tritonclient.http
    options = {} if request.param == "grpc" else {"binary_data": request.param == "http-binary"}
    with library.InferenceServerClient(served.netloc) as client:
        def ask(model, values, count):
            given = library.InferInput("x", list(values.shape), "FP32")
            given.set_data_from_numpy(values)
            wanted = library.InferRequestedOutput("y", class_count=count, **options)
            got = client.infer(model, [given], outputs=[wanted]).as_numpy("y")
            text = [one if isinstance(one, str) else one.decode() for one in got.ravel()]
            return np.array(text).reshape(got.shape).tolist()
        yield ask


def test_each_item_of_a_batch_has_its_classes(classes_of):
    assert classes_of("labelled", VALUES, 2) == [["3.500000:2", "3.500000:3:fish"], ["9.000000:2", "8.000000:1:dög"]]
    assert classes_of("labelled", VALUES[:1], 9) == [["3.500000:2", "3.500000:3:fish", "0.500000:0:cat", "-2.000000:1:dög"]]


def test_without_batches_the_whole_output_is_one(classes_of):
    assert classes_of("flat", VALUES, 2) == ["9.000000:6", "8.000000:5"]


def test_other_outputs_keep_their_values(served):
    body = {"inputs": [{"name": name, "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]} for name in "AB"],
            "outputs": [{"name": "SUM", "parameters": {"classification": 1}}]}
    status, answer = served.infer("add", body)
    assert (status, answer["outputs"]) == (200, [{"name": "SUM", "datatype": "BYTES", "shape": [1, 1], "data": ["8.000000:3"]}])
    status, answer = served.infer("add", {**body, "outputs": [{"name": "SUM"}]})
    assert answer["outputs"][0]["data"] == [2, 4, 6, 8]


def test_what_has_no_classes_is_refused(served):
    body = {"inputs": [{"name": "x", "datatype": "BYTES", "shape": [1], "data": ["a"]}],
            "outputs": [{"name": "y", "parameters": {"classification": 1}}]}
    status, answer = served.infer("text", body)
    assert status == 400 and "unsupported type 'BYTES'" in answer["error"]


@pytest.mark.parametrize("count", [0, -1, 1.5, "2", 2**31, 10**30, [1]])
def test_a_count_that_is_none_is_refused(served, count):
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}],
            "outputs": [{"name": "y", "parameters": {"classification": count}}]}
    status, answer = served.infer("labelled", body)
    assert status == 400 and answer["error"]


def test_a_count_of_null_is_none(served):
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}],
            "outputs": [{"name": "y", "parameters": {"classification": None}}]}
    status, answer = served.infer("labelled", body)
    assert status == 200 and answer["outputs"][0]["datatype"] == "FP32"


def test_a_count_of_nothing_is_refused_over_grpc(served):
    with tritonclient.grpc.InferenceServerClient(served.netloc) as client:
        given = tritonclient.grpc.InferInput("x", [1, 4], "FP32").set_data_from_numpy(VALUES[:1])
        wanted = tritonclient.grpc.InferRequestedOutput("y")
        wanted._output.parameters["classification"].int64_param = -3
        with pytest.raises(InferenceServerException) as refused:
            client.infer("labelled", [given], outputs=[wanted])
    assert refused.value.status() == "StatusCode.INVALID_ARGUMENT"


def test_labels_that_are_not_there_fail_the_model(served):
    status, _, body = served.fetch("/v2/repository/index", {})
    reasons = {one["name"]: one["reason"] for one in json.loads(body)}
    assert status == 200 and "none.txt" in reasons["missing"] and "label_filename" in reasons["missing"]


def test_each_answer_of_a_stream_has_its_classes(served):
    answers = queue.Queue()
    with tritonclient.grpc.InferenceServerClient(served.netloc) as client:
        client.start_stream(callback=lambda result, error: answers.put((result, error)))
        given = tritonclient.grpc.InferInput("x", [3], "INT32")
        for start in range(4):
            given.set_data_from_numpy(np.array([start, 7, 5], np.int32))
            client.async_stream_infer("streams", [given], outputs=[tritonclient.grpc.InferRequestedOutput("y", class_count=2)])
        got = []
        for _ in range(4):
            result, error = answers.get(timeout=60)
            assert error is None, error
            got.append([one.decode() for one in result.as_numpy("y")])
        client.stop_stream()
    assert got == [["7:1", "5:2"]] * 4


def test_events_of_a_stream_have_classes(served):
    body = {"inputs": [{"name": "x", "datatype": "INT32", "shape": [3], "data": [1, 7, 5]}],
            "outputs": [{"name": "y", "parameters": {"classification": 1}}]}
    status, _, text = served.fetch("/v2/models/streams/infer_stream", body)
    events = [json.loads(line.removeprefix(b"data: ")) for line in text.split(b"\n") if line.startswith(b"data: ")]
    assert status == 200 and [one["outputs"][0]["data"] for one in events] == [["7:1"]]


def test_changed_labels_are_taken_in(server, tmp_path):
    made = write_config(tmp_path, "m", backend="identity", max_batch_size=8, input=[tensor_config("x", dims=[2])],
                        output=[{**tensor_config("y", dims=[2]), "label_filename": "labels.txt"}])
    (made / "labels.txt").write_text("old\n")
    (made / "1").mkdir()
    (made / "1" / "model.bin").write_text("")
    settle(made)
    one = server(tmp_path)
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 0]}],
            "outputs": [{"name": "y", "parameters": {"classification": 1}}]}
    one.wait_ready("m")
    assert one.infer("m", body)[1]["outputs"][0]["data"] == ["1.000000:0:old"]
    (made / "labels.txt").write_text("newer\n")
    from support.processes import until
    until(lambda: one.infer("m", body)[1]["outputs"][0]["data"] == ["1.000000:0:newer"], 60, "the new labels")
