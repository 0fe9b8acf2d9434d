"""Unmodified clients of others: they know nothing of this server."""
import asyncio
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.grpc.aio as triton_grpc_aio
import tritonclient.http as triton_http
import tritonclient.http.aio as triton_http_aio
from tritonclient.utils import InferenceServerException

from support import models
from support.repositories import request, write_model

GRPCURL = Path(__file__).resolve().parents[1] / ".deps/bin/grpcurl"
CLIENTS = [pytest.param(triton_http, id="http"), pytest.param(triton_grpc, id="grpc")]


def sample(datatype, count):
    """`count` values of a datatype as numpy has them."""
    if datatype == "BYTES":
        return np.array([b"", b"text", b"\x00\xff", "grün".encode()][:count], dtype=np.object_)
    kinds = {"BOOL": np.bool_, "FP16": np.float16, "FP32": np.float32, "FP64": np.float64}
    kind = kinds.get(datatype) or np.dtype(datatype.lower())
    return np.arange(count).astype(kind)


def ask(client, server, model, inputs, **options):
    """Infers through a client of tritonclient; inputs are {name: (datatype, array)}."""
    tensors = []
    for name, (datatype, array) in inputs.items():
        tensors.append(client.InferInput(name, array.shape, datatype))
        tensors[-1].set_data_from_numpy(array)
    return client.InferenceServerClient(server.netloc).infer(model, tensors, **options)


@pytest.mark.parametrize("client", CLIENTS)
def test_health_and_metadata(server, repository, client):
    running = server(repository(sum=models.add())).wait_ready("sum")
    one = client.InferenceServerClient(running.netloc)
    assert one.is_server_live() and one.is_server_ready() and one.is_model_ready("sum")
    assert not one.is_model_ready("sum", "7")
    options = {"as_json": True} if client is triton_grpc else {}
    about = one.get_model_metadata("sum", **options)
    assert about["name"] == "sum" and about["versions"] == ["1"] and about["platform"] == "onnxruntime_onnx"
    assert [entry["name"] for entry in about["inputs"]] == ["A", "B"]
    assert [int(size) for entry in about["inputs"] for size in entry["shape"]] == [-1, 4, -1, 4]
    index = one.get_model_repository_index(**options)
    [entry] = index["models"] if client is triton_grpc else index
    assert (entry["name"], entry["state"]) == ("sum", "READY")


@pytest.mark.parametrize("client", CLIENTS)
def test_every_datatype_comes_back(server, repository, client):
    running = server(repository(all=models.all_datatypes(["batch", 2]))).wait_ready("all")
    dtypes = pytest.importorskip("ml_dtypes")
    inputs = {"in_" + name: (name, sample(name, 4).reshape(2, 2)) for name in models.DATATYPES if name != "BF16"}
    inputs["in_BF16"] = ("BF16", np.array([[1, -2], [3.5, 0]], dtypes.bfloat16))
    answer = ask(client, running, "all", inputs, request_id="id-7")
    for name in models.DATATYPES:
        assert np.array_equal(answer.as_numpy("out_" + name), inputs["in_" + name][1]), name
    response = answer.get_response()
    assert (response["id"] if client is triton_http else response.id) == "id-7"


@pytest.mark.parametrize("client", CLIENTS)
def test_outputs_by_name_and_dynamic_shapes(server, repository, client):
    running = server(repository(shapes=models.dynamic())).wait_ready("shapes")
    matrix = np.arange(6, dtype=np.float32).reshape(2, 3)
    wanted = [client.InferRequestedOutput(name) for name in ("TOTAL", "TRANSPOSED")]
    answer = ask(client, running, "shapes", {"X": ("FP32", matrix)}, outputs=wanted)
    assert np.array_equal(answer.as_numpy("TRANSPOSED"), matrix.T)
    assert answer.as_numpy("TOTAL") == 15
    only = ask(client, running, "shapes", {"X": ("FP32", matrix)}, outputs=wanted[:1])
    assert only.as_numpy("TRANSPOSED") is None


@pytest.mark.parametrize("client", CLIENTS)
def test_optional_inputs_may_be_left_out(server, repository, client):
    running = server(repository(bias=models.optional())).wait_ready("bias")
    row = np.array([[1, 2]], np.float32)
    assert ask(client, running, "bias", {"X": ("FP32", row)}).as_numpy("Y").tolist() == [[11, 22]]
    both = {"X": ("FP32", row), "BIAS": ("FP32", np.array([1, 1], np.float32))}
    assert ask(client, running, "bias", both).as_numpy("Y").tolist() == [[2, 3]]


@pytest.mark.parametrize("client", CLIENTS)
def test_mistakes_are_answered_with_sentences(server, repository, client):
    running = server(repository(sum=models.add())).wait_ready("sum")
    four = np.zeros((1, 4), np.float32)
    good = {"A": ("FP32", four), "B": ("FP32", four)}
    cases = [
        ("nope", good, "Request for unknown model: 'nope' is not found"),
        ("sum", {"A": ("FP32", four)}, "missing required input(s) ['B']"),
        ("sum", {**good, "C": ("FP32", four)}, "unexpected inference input 'C'"),
        ("sum", {**good, "B": ("INT32", four.astype(np.int32))}, "data-type is 'INT32', but model 'sum' expects 'FP32'"),
        ("sum", {**good, "B": ("FP32", np.zeros((1, 5), np.float32))}, "Expected [-1,4], got [1,5]"),
    ]
    for model, inputs, sentence in cases:
        with pytest.raises(InferenceServerException) as raised:
            ask(client, running, model, inputs)
        assert sentence in raised.value.message()
    assert ask(client, running, "sum", good).as_numpy("SUM").tolist() == [[0, 0, 0, 0]]


@pytest.mark.parametrize("client", [triton_http_aio, triton_grpc_aio])
def test_asynchronous_clients(server, tmp_path, client):
    running = server(write_model(tmp_path / "m", "echo", "identity")).wait_ready("echo")
    row = np.arange(5, dtype=np.float32)

    async def many():
        async with client.InferenceServerClient(running.netloc) as one:
            tensor = client.InferInput("x", [5], "FP32")
            tensor.set_data_from_numpy(row)
            return await asyncio.gather(*(one.infer("echo", [tensor]) for _ in range(20)))

    for answer in asyncio.run(many()):
        assert np.array_equal(answer.as_numpy("y"), row)


KSERVE = """
import asyncio, sys
import numpy as np
import kserve

url, netloc = sys.argv[1:]


def ask_once():
    tensor = kserve.InferInput("x", [3], "FP32")
    tensor.set_data_from_numpy(np.array([1, 2, 3], np.float32), binary_data=True)
    return kserve.InferRequest(infer_inputs=[tensor], model_name="echo")


async def main():
    rest = kserve.InferenceRESTClient(kserve.RESTConfig(protocol="v2"))
    assert await rest.is_server_live(url) and await rest.is_server_ready(url)
    assert await rest.is_model_ready(url, "echo")
    print((await rest.infer(url, ask_once(), model_name="echo")).outputs[0].as_numpy().tolist())
    grpc = kserve.InferenceGRPCClient(netloc)
    assert await grpc.is_server_live() and await grpc.is_server_ready() and await grpc.is_model_ready("echo")
    print((await grpc.infer(ask_once())).outputs[0].as_numpy().tolist())


asyncio.run(main())
"""


def test_kserve_clients(server, tmp_path):
    """In a process of its own: kserve and tritonclient declare the same protobuf names."""
    running = server(write_model(tmp_path / "m", "echo", "identity")).wait_ready("echo")
    done = subprocess.run([sys.executable, "-c", KSERVE, running.url, running.netloc], capture_output=True, text=True,
                          timeout=120)
    assert done.stdout.splitlines() == ["[1.0, 2.0, 3.0]"] * 2, done.stderr


def test_curl_with_nothing_but_json(server, tmp_path):
    running = server(write_model(tmp_path / "m", "echo", "identity")).wait_ready("echo")
    for flags in ([], ["--http2-prior-knowledge"]):
        done = subprocess.run(["curl", "-sS", *flags, "-d", json.dumps(request([1, 2.5])),
                               running.url + "/v2/models/echo/infer"], capture_output=True, check=True, timeout=30)
        assert json.loads(done.stdout)["outputs"][0]["data"] == [1, 2.5]


def test_a_raw_body_is_the_one_input(server, tmp_path):
    running = server(write_model(tmp_path / "m", "echo", "identity")).wait_ready("echo")
    values = np.array([1, 2, 3], np.float32).tobytes()
    status, headers, body = running.fetch("/v2/models/echo/infer", values,
                                          headers={"Inference-Header-Content-Length": "0"})
    head = int(headers["inference-header-content-length"])
    assert status == 200 and json.loads(body[:head])["outputs"][0]["shape"] == [3]
    assert body[head:] == values


def test_grpcurl_lists_describes_and_calls(server, tmp_path):
    if not GRPCURL.exists():
        pytest.skip("grpcurl is built where Go is installed")
    running = server(write_model(tmp_path / "m", "echo", "identity")).wait_ready("echo")

    def grpcurl(*arguments, data=()):
        return subprocess.run([GRPCURL, "-plaintext", *data, running.netloc, *arguments], capture_output=True,
                              text=True, check=True, timeout=30).stdout

    assert "inference.GRPCInferenceService" in grpcurl("list")
    assert "rpc ModelInfer" in grpcurl("describe", "inference.GRPCInferenceService")
    assert "SERVING" in grpcurl("grpc.health.v1.Health/Check")
    tensor = {"name": "x", "datatype": "FP32", "shape": [1], "contents": {"fp32_contents": [7]}}
    answer = grpcurl("inference.GRPCInferenceService/ModelInfer",
                     data=("-d", json.dumps({"model_name": "echo", "inputs": [tensor]})))
    assert json.loads(answer)["outputs"][0]["shape"] == ["1"]
