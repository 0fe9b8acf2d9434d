"""Triton's Python models, written to its documented interface, run as they are."""
import json
import queue
import textwrap
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tritonclient.grpc as grpcclient
import tritonclient.http as httpclient
from tritonclient.utils import InferenceServerException

from support.python_models import needs_python
from support.server import Server

pytestmark = needs_python

MODELS = {
    # name: (config.pbtxt, model.py)
    "add_sub": ("""
        backend: "python"
        max_batch_size: 8
        input [ { name: "INPUT0" data_type: TYPE_FP32 dims: [ 4 ] }, { name: "INPUT1" data_type: TYPE_FP32 dims: [ 4 ] } ]
        output [ { name: "OUTPUT0" data_type: TYPE_FP32 dims: [ 4 ] }, { name: "OUTPUT1" data_type: TYPE_FP32 dims: [ 4 ] } ]
        dynamic_batching { }
        parameters { key: "factor" value { string_value: "2" } }
    """, """
        import json
        import os
        import triton_python_backend_utils as pb_utils

        class TritonPythonModel:
            def initialize(self, args):
                self.config = json.loads(args["model_config"])
                assert args["model_name"] == "add_sub" and args["model_version"] == "1"
                assert os.path.basename(args["model_repository"]) == "add_sub"
                output = pb_utils.get_output_config_by_name(self.config, "OUTPUT0")
                self.dtype = pb_utils.triton_string_to_numpy(output["data_type"])
                self.factor = float(self.config["parameters"]["factor"]["string_value"])
                pb_utils.Logger.log_info("initialized")

            def execute(self, requests):
                responses = []
                for request in requests:
                    a = pb_utils.get_input_tensor_by_name(request, "INPUT0").as_numpy()
                    b = pb_utils.get_input_tensor_by_name(request, "INPUT1").as_numpy()
                    tensors = [pb_utils.Tensor("OUTPUT0", ((a + b) * self.factor).astype(self.dtype)),
                               pb_utils.Tensor("OUTPUT1", (a - b).astype(self.dtype))]
                    responses.append(pb_utils.InferenceResponse(output_tensors=tensors))
                return responses

            def finalize(self):
                print("finalized")
    """),
    "text": ("""
        backend: "python"
        input [ { name: "TEXT" data_type: TYPE_STRING dims: [ -1 ] } ]
        output [ { name: "UPPER" data_type: TYPE_STRING dims: [ -1 ] } ]
    """, """
        import json
        import numpy as np
        import triton_python_backend_utils as pb_utils

        class TritonPythonModel:
            def execute(self, requests):
                responses = []
                for request in requests:
                    text = pb_utils.get_input_tensor_by_name(request, "TEXT").as_numpy()
                    if text[0] == b"fail":
                        error = pb_utils.TritonError("this text fails", pb_utils.TritonError.INVALID_ARG)
                        responses.append(pb_utils.InferenceResponse(error=error))
                        continue
                    if text[0] == b"raise":
                        raise ValueError("this text raises")
                    if text[0] == b"id":
                        text = np.array([request.request_id().encode()], dtype=object)
                    if text[0] == b"parameters":
                        text = np.array([request.parameters().encode()], dtype=object)
                    upper = np.array([item.decode().upper() for item in text], dtype=object)
                    responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("UPPER", upper)]))
                return responses
    """),
    "auto": ("""
        backend: "python"
    """, """
        import numpy as np
        import triton_python_backend_utils as pb_utils

        class TritonPythonModel:
            @staticmethod
            def auto_complete_config(auto_complete_model_config):
                auto_complete_model_config.add_input({"name": "X", "data_type": "TYPE_INT64", "dims": [2]})
                auto_complete_model_config.add_output({"name": "Y", "data_type": "TYPE_INT64", "dims": [2]})
                auto_complete_model_config.set_max_batch_size(4)
                auto_complete_model_config.set_dynamic_batching()
                return auto_complete_model_config

            def execute(self, requests):
                return [pb_utils.InferenceResponse([pb_utils.Tensor("Y", request.inputs()[0].as_numpy() + 1)])
                        for request in requests]
    """),
    "bls": ("""
        backend: "python"
        input [ { name: "X" data_type: TYPE_FP32 dims: [ 1, 4 ] } ]
        output [ { name: "Y" data_type: TYPE_FP32 dims: [ 1, 4 ] } ]
    """, """
        import numpy as np
        import triton_python_backend_utils as pb_utils

        class TritonPythonModel:
            def execute(self, requests):
                responses = []
                for request in requests:
                    x = pb_utils.get_input_tensor_by_name(request, "X")
                    name = "add_sub" if x.as_numpy()[0, 0] >= 0 else "missing"
                    asked = pb_utils.InferenceRequest(
                        model_name=name, requested_output_names=["OUTPUT0"],
                        inputs=[pb_utils.Tensor("INPUT0", x.as_numpy()), pb_utils.Tensor("INPUT1", x.as_numpy())])
                    answer = asked.exec()
                    if answer.has_error():
                        raise pb_utils.TritonModelException(answer.error().message())
                    y = pb_utils.get_output_tensor_by_name(answer, "OUTPUT0").as_numpy()
                    responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("Y", y)]))
                return responses
    """),
    "async_bls": ("""
        backend: "python"
        input [ { name: "X" data_type: TYPE_FP32 dims: [ 1, 4 ] } ]
        output [ { name: "Y" data_type: TYPE_FP32 dims: [ 1, 4 ] } ]
    """, """
        import asyncio
        import triton_python_backend_utils as pb_utils

        class TritonPythonModel:
            async def execute(self, requests):
                responses = []
                for request in requests:
                    x = pb_utils.get_input_tensor_by_name(request, "X").as_numpy()
                    inputs = [pb_utils.Tensor("INPUT0", x), pb_utils.Tensor("INPUT1", x)]
                    asked = [pb_utils.InferenceRequest("add_sub", ["OUTPUT0"], inputs).async_exec() for _ in range(3)]
                    y = sum([pb_utils.get_output_tensor_by_name(one, "OUTPUT0").as_numpy() for one in await asyncio.gather(*asked)])
                    responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("Y", y)]))
                return responses
    """),
    "bls_decoupled": ("""
        backend: "python"
        input [ { name: "N" data_type: TYPE_INT32 dims: [ 1 ] } ]
        output [ { name: "I" data_type: TYPE_INT32 dims: [ -1 ] } ]
    """, """
        import numpy as np
        import triton_python_backend_utils as pb_utils

        class TritonPythonModel:
            def execute(self, requests):
                responses = []
                for request in requests:
                    n = pb_utils.Tensor("N", request.inputs()[0].as_numpy())
                    made = pb_utils.InferenceRequest("decoupled", ["I"], [n]).exec(decoupled=True)
                    parts = []
                    for answer in made:
                        if answer.has_error():
                            raise pb_utils.TritonModelException(answer.error().message())
                        parts.extend(pb_utils.get_output_tensor_by_name(answer, "I").as_numpy())
                    responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("I", np.array(parts, dtype=np.int32))]))
                return responses
    """),
    "decoupled": ("""
        backend: "python"
        model_transaction_policy { decoupled: True }
        input [ { name: "N" data_type: TYPE_INT32 dims: [ 1 ] } ]
        output [ { name: "I" data_type: TYPE_INT32 dims: [ 1 ] } ]
    """, """
        import threading
        import numpy as np
        import triton_python_backend_utils as pb_utils

        class TritonPythonModel:
            def initialize(self, args):
                assert pb_utils.using_decoupled_model_transaction_policy(args["model_config"])

            def execute(self, requests):
                for request in requests:
                    threading.Thread(target=self.answer, args=(request.get_response_sender(), request.inputs()[0].as_numpy()[0])).start()
                return None

            def answer(self, sender, n):
                for i in range(n):
                    tensor = pb_utils.Tensor("I", np.array([i], dtype=np.int32))
                    sender.send(pb_utils.InferenceResponse([tensor]))
                sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
    """),
}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for name, (config, code) in MODELS.items():
        version = folder / name / "1"
        version.mkdir(parents=True)
        (folder / name / "config.pbtxt").write_text(textwrap.dedent(config))
        (version / "model.py").write_text(textwrap.dedent(code))
    started = Server(folder, "--forward-header", "X-User-*", "--forward-header", "authorization", state=tmp_path_factory.mktemp("state"))
    for name in MODELS:
        started.wait_ready(name)
    yield started
    started.stop()


@pytest.fixture
def infer(served):
    clients = []

    def ask(model, parameters=None, request_id="", **values):
        client = httpclient.InferenceServerClient(served.netloc)
        clients.append(client)
        inputs = []
        for name, value in values.items():
            datatype = {"f": "FP32", "i": f"INT{value.itemsize * 8}", "O": "BYTES"}[value.dtype.kind]
            inputs.append(httpclient.InferInput(name, value.shape, datatype))
            inputs[-1].set_data_from_numpy(value)
        return client.infer(model, inputs, parameters=parameters, request_id=request_id)

    yield ask
    for client in clients:
        client.close()


def rows(count, first=0):
    return np.arange(first, first + 4 * count, dtype=np.float32).reshape(count, 4)


def test_requests_in_and_responses_out(infer):
    answer = infer("add_sub", INPUT0=rows(2), INPUT1=rows(2, 5))
    assert np.array_equal(answer.as_numpy("OUTPUT0"), 2 * (rows(2) + rows(2, 5)))
    assert np.array_equal(answer.as_numpy("OUTPUT1"), rows(2) - rows(2, 5))


def test_many_at_once(infer):
    def one(first):
        return np.array_equal(infer("add_sub", INPUT0=rows(1, first), INPUT1=rows(1)).as_numpy("OUTPUT0"), 2 * (rows(1, first) + rows(1)))

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(one, range(64)))


def test_strings(infer):
    answer = infer("text", TEXT=np.array([b"ab", "é".encode()], dtype=object))
    assert answer.as_numpy("UPPER").tolist() == [b"AB", "É".encode()]


def test_parameters_keep_their_types(infer):
    given = {"text": " 1 ", "whole": 7, "share": 0.5, "on": True, "huge": 2**63 - 1}
    answer = infer("text", parameters=given, TEXT=np.array([b"parameters"], dtype=object))
    got = json.loads(answer.as_numpy("UPPER")[0].lower())
    assert {name: got[name] for name in given} == given


def test_parameters(infer):
    answer = infer("text", parameters={"note": "x"}, TEXT=np.array([b"parameters"], dtype=object))
    assert json.loads(answer.as_numpy("UPPER")[0].decode()) == {"NOTE": "X"}


def test_header_fields_as_parameters(served):
    """What a proxy says of the caller, over each protocol; the caller's token is not for models, and its parameters do not pass for fields."""
    fields = {"X-User-Id": "7", "x-user-name": "ann", "x-other": "1"}
    expected = {"NOTE": "X", "X-USER-ID": "7", "X-USER-NAME": "ANN"}
    body = {"inputs": [{"name": "TEXT", "datatype": "BYTES", "shape": [1], "data": ["parameters"]}], "parameters": {"note": "x"}}
    status, answer = served.infer("text", body, headers=fields)
    assert status == 200 and json.loads(answer["outputs"][0]["data"][0]) == expected
    _, _, answer = served.fetch("/v2/models/text/generate", {"TEXT": "parameters", "note": "x"}, headers=fields)
    assert json.loads(json.loads(answer)["UPPER"]) == expected
    asked = grpcclient.InferInput("TEXT", [1], "BYTES")
    asked.set_data_from_numpy(np.array([b"parameters"], dtype=object))
    answers = queue.Queue()
    with grpcclient.InferenceServerClient(served.netloc) as client:
        given = {name.lower(): value for name, value in fields.items()}
        answers.put(client.infer("text", [asked], parameters={"note": "x"}, headers=given))
        client.start_stream(lambda result, error: answers.put(result or error), headers=given)
        client.async_stream_infer("text", [asked], parameters={"note": "x"})
        for _ in range(2):
            assert json.loads(answers.get(timeout=60).as_numpy("UPPER")[0]) == expected
        with pytest.raises(InferenceServerException, match="'x-user-id' is taken from the header field"):
            client.infer("text", [asked], parameters={"x-user-id": "1"})
    status, answer = served.infer("text", body | {"parameters": {"x-user-id": "1"}})
    assert status == 400 and "'x-user-id' is taken from the header field" in answer["error"]


def test_the_clients_name_of_the_request(infer):
    for name in ("a1", "", "x" * 900):
        answer = infer("text", request_id=name, TEXT=np.array([b"id"], dtype=object))
        assert answer.as_numpy("UPPER").tolist() == [name.upper().encode()]
    assert infer("text", request_id="x" * 5000, TEXT=np.array([b"id"], dtype=object)).as_numpy("UPPER").tolist() == [b""]


def test_errors(infer):
    with pytest.raises(Exception, match="this text fails") as failed:
        infer("text", TEXT=np.array([b"fail"], dtype=object))
    assert failed.value.status() == "400"
    with pytest.raises(Exception, match="ValueError: this text raises") as failed:
        infer("text", TEXT=np.array([b"raise"], dtype=object))
    assert failed.value.status() == "500"
    assert infer("text", TEXT=np.array([b"on"], dtype=object)).as_numpy("UPPER").tolist() == [b"ON"]


def test_the_config_is_completed(infer, served):
    described = served.get("/v2/models/auto")
    assert described["inputs"] == [{"name": "X", "datatype": "INT64", "shape": [-1, 2]}]
    assert infer("auto", X=np.array([[1, 2]], dtype=np.int64)).as_numpy("Y").tolist() == [[2, 3]]


def test_a_model_asks_another(infer):
    assert np.array_equal(infer("bls", X=rows(1)).as_numpy("Y"), 4 * rows(1))
    assert np.array_equal(infer("async_bls", X=rows(1)).as_numpy("Y"), 12 * rows(1))
    with pytest.raises(Exception, match="missing"):
        infer("bls", X=-rows(1, 1))


def test_a_model_asks_one_that_is_decoupled(infer):
    """Which may answer it once; tests/test_streams.py has decoupled models and clients."""
    assert infer("bls_decoupled", N=np.array([1], dtype=np.int32)).as_numpy("I").tolist() == [0]
    with pytest.raises(Exception, match="several times"):
        infer("bls_decoupled", N=np.array([3], dtype=np.int32))


def test_decoupled(infer):
    """Over a protocol of one answer, several are refused; the model goes on."""
    for _ in range(2):
        with pytest.raises(Exception, match="several times"):
            infer("decoupled", N=np.array([3], dtype=np.int32))
