"""Every client works unmodified: NVIDIA's and KServe's Python clients, curl and grpcurl."""
import asyncio
import json
import queue
import struct
import subprocess
import sys

import grpc
import ml_dtypes
import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.grpc.aio
import tritonclient.http
import tritonclient.http.aio
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from support import models
from support.repositories import settle, tensor_config, write_config, write_model
from support.server import ROOT, Server

KSERVE_CLIENT = ROOT / "tests" / "support" / "kserve_client.py"
GRPCURL = ROOT / ".deps" / "bin" / "grpcurl"
LONG_MS = 60_000  # nobody waits for this to be over

# Each datatype with values that a careless codec would change.
VALUES = {
    "BOOL": np.array([True, False, True]),
    "UINT8": np.array([0, 1, 255], np.uint8),
    "UINT16": np.array([0, 1, 65535], np.uint16),
    "UINT32": np.array([0, 1, 2**32 - 1], np.uint32),
    "UINT64": np.array([0, 1, 2**64 - 1], np.uint64),
    "INT8": np.array([-128, 0, 127], np.int8),
    "INT16": np.array([-(2**15), 0, 2**15 - 1], np.int16),
    "INT32": np.array([-(2**31), 0, 2**31 - 1], np.int32),
    "INT64": np.array([-(2**63), 0, 2**63 - 1], np.int64),
    "FP16": np.array([-0.5, 6.1e-5, 65504], np.float16),
    "FP32": np.array([0.1, -1e-38, 3.4e38], np.float32),
    "FP64": np.array([0.1, 5e-324, 1.7e308], np.float64),
    "BF16": np.array([1.5, -2, 2.0**100], ml_dtypes.bfloat16),
    "BYTES": np.array(["", "ä\0€", "x" * 300], object),
}
BY_JSON = [name for name in VALUES if name not in ("FP16", "BF16")]  # Triton's clients refuse these two in JSON

# The field of InferTensorContents that each datatype's values stand in; the others have none.
CONTENTS = {"BOOL": "bool", "INT8": "int", "INT16": "int", "INT32": "int", "INT64": "int64", "UINT8": "uint", "UINT16": "uint",
            "UINT32": "uint", "UINT64": "uint64", "FP32": "fp32", "FP64": "fp64", "BYTES": "bytes"}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """One server for all of this file."""
    folder = tmp_path_factory.mktemp("models")
    write_model(folder, "identity", "identity", names=("INPUT0", "OUTPUT0"))
    write_model(folder, "text", "identity", "BYTES")
    write_model(folder, "chaos", "chaos", "INT32", {"batching": "no", "concurrency": 8}, names=("INPUT0", "OUTPUT0"))
    write_config(folder, "types", backend="identity", input=[tensor_config(f"in_{name}", name) for name in VALUES],
                 output=[tensor_config(f"out_{name}", name) for name in VALUES])
    write_config(folder, "typed", backend="identity", input=[tensor_config(f"in_{name}", name) for name in CONTENTS],
                 output=[tensor_config(f"out_{name}", name) for name in CONTENTS])
    for name, made in {"add": models.add(), "onnx_types": models.all_datatypes(["rows"]), "dynamic": models.dynamic(),
                       "optional": models.optional()}.items():
        settle(models.save(made, folder / f"{name}.onnx"))
    one = Server(folder, state=tmp_path_factory.mktemp("state"))
    for path in folder.iterdir():
        one.wait_ready(path.stem)
    yield one
    one.stop()


@pytest.fixture(params=[tritonclient.http, tritonclient.grpc], ids=["http", "grpc"])
def triton(request, served):
    """The client library, with a client of it as .client."""
    library = request.param
    with library.InferenceServerClient(served.netloc) as library.client:
        yield library
    del library.client


def tensor(library, name, values, datatype=None, **options):
    made = library.InferInput(name, list(values.shape), datatype or np_to_triton_dtype(values.dtype))
    made.set_data_from_numpy(values, **options)
    return made


def as_dict(message):
    """Metadata over gRPC is a message, over HTTP a dict."""
    if isinstance(message, (dict, list)):
        return message
    return json.loads(tritonclient.grpc._client.MessageToJson(message, preserving_proto_field_name=True))


def same(got, sent):
    if sent.dtype == object:
        return [text if isinstance(text, str) else text.decode() for text in got.ravel()] == list(sent.ravel())
    return got.dtype == sent.dtype and got.shape == sent.shape and np.array_equal(got, sent)


# ---- NVIDIA's clients ----


def test_health_and_metadata(triton):
    client = triton.client
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("identity")
    assert client.is_model_ready("identity", "1")
    assert not client.is_model_ready("identity", "2")
    server = as_dict(client.get_server_metadata())
    assert server["name"] == "tensord" and "binary_tensor_data" in server["extensions"]
    model = as_dict(client.get_model_metadata("types"))
    assert (model["name"], model["versions"], model["platform"]) == ("types", ["1"], "identity")
    assert [one["name"] for one in model["inputs"]] == [f"in_{name}" for name in VALUES]
    assert [one["datatype"] for one in model["outputs"]] == list(VALUES)
    assert {int(one["shape"][0]) for one in model["inputs"]} == {-1}


@pytest.mark.parametrize("model", ["types", "onnx_types"])
def test_every_datatype_comes_back_as_it_went(triton, model):
    inputs = [tensor(triton, f"in_{name}", values, name) for name, values in VALUES.items()]
    result = triton.client.infer(model, inputs, request_id="all of them")
    assert as_dict(result.get_response())["id"] == "all of them"
    for name, values in VALUES.items():
        assert same(result.as_numpy(f"out_{name}"), values), name


def test_empty_tensors(triton):
    inputs = [tensor(triton, f"in_{name}", values[:0], name) for name, values in VALUES.items()]
    result = triton.client.infer("types", inputs)
    for name in VALUES:
        assert result.as_numpy(f"out_{name}").shape == (0,), name


def test_outputs_are_those_asked_for_in_that_order(triton):
    inputs = [tensor(triton, f"in_{name}", values, name) for name, values in VALUES.items()]
    asked = [triton.InferRequestedOutput(name) for name in ("out_FP32", "out_BYTES", "out_BOOL")]
    result = triton.client.infer("types", inputs[::-1], outputs=asked)  # the inputs' order says nothing
    assert [one["name"] for one in as_dict(result.get_response())["outputs"]] == [one.name() for one in asked]
    assert same(result.as_numpy("out_BYTES"), VALUES["BYTES"])
    assert same(result.as_numpy("out_FP32"), VALUES["FP32"])
    assert result.as_numpy("out_INT8") is None


def test_json_and_binary_in_one_request(served):
    """Some inputs and outputs as JSON, others as bytes behind it."""
    library = tritonclient.http
    inputs = [tensor(library, f"in_{name}", values, name, binary_data=name not in BY_JSON or i % 2 == 0)
              for i, (name, values) in enumerate(VALUES.items())]
    outputs = [library.InferRequestedOutput(f"out_{name}", binary_data=name not in BY_JSON or i % 3 == 0)
               for i, name in enumerate(VALUES)]
    with library.InferenceServerClient(served.netloc) as client:
        result = client.infer("types", inputs, outputs=outputs)
    for i, (name, values) in enumerate(VALUES.items()):
        assert same(result.as_numpy(f"out_{name}"), values), name
        binary = "parameters" in result.get_output(f"out_{name}")
        assert binary == (name not in BY_JSON or i % 3 == 0), name


def test_large_tensors(triton):
    values = np.random.default_rng(1).standard_normal(3 * 224 * 224).astype(np.float32)
    result = triton.client.infer("identity", [tensor(triton, "INPUT0", values)])
    assert same(result.as_numpy("OUTPUT0"), values)


def test_onnx(triton):
    a = np.arange(8, dtype=np.float32).reshape(2, 4)
    result = triton.client.infer("add", [tensor(triton, "A", a), tensor(triton, "B", 10 * a)])
    np.testing.assert_array_equal(result.as_numpy("SUM"), 11 * a)
    result = triton.client.infer("dynamic", [tensor(triton, "X", a)])
    np.testing.assert_array_equal(result.as_numpy("TRANSPOSED"), a.T)
    assert (result.as_numpy("TOTAL").shape, result.as_numpy("TOTAL").item()) == ((), 28)


def test_optional_inputs_may_be_left_out(triton):
    row = np.array([[1, 2]], np.float32)
    assert triton.client.infer("optional", [tensor(triton, "X", row)]).as_numpy("Y").tolist() == [[11, 22]]
    both = [tensor(triton, "X", row), tensor(triton, "BIAS", np.array([1, 1], np.float32))]
    assert triton.client.infer("optional", both).as_numpy("Y").tolist() == [[2, 3]]


def test_the_repository_index(triton):
    index = as_dict(triton.client.get_model_repository_index())
    listed = {one["name"]: one for one in (index["models"] if isinstance(index, dict) else index)}
    assert {"identity", "types", "add", "chaos"} <= set(listed)
    assert (listed["add"]["version"], listed["add"]["state"]) == ("1", "READY")


ONE = np.ones(1, np.float32)
MISTAKES = {
    "unknown model": ("nix", "INPUT0", ONE, "404", "NOT_FOUND", "Request for unknown model: 'nix' is not found"),
    "datatype": ("identity", "INPUT0", np.ones(1, np.int32), "400", "INVALID_ARGUMENT",
                 "inference input 'INPUT0' data-type is 'INT32', but model 'identity' expects 'FP32'"),
    "shape": ("identity", "INPUT0", np.ones((1, 2), np.float32), "400", "INVALID_ARGUMENT",
              "unexpected shape for input 'INPUT0' for model 'identity'. Expected [-1], got [1,2]."),
    "input": ("identity", "X", ONE, "400", "INVALID_ARGUMENT", "unexpected inference input 'X' for model 'identity'"),
    "missing": ("types", "in_FP32", ONE, "400", "INVALID_ARGUMENT",
                "expected 14 inputs but got 1 inputs for model 'types'. Got input(s) ['in_FP32']"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_explained(triton, mistake):
    model, name, values, http_status, grpc_status, sentence = MISTAKES[mistake]
    with pytest.raises(InferenceServerException) as caught:
        triton.client.infer(model, [tensor(triton, name, values)])
    assert sentence in caught.value.message()
    assert caught.value.status() in (http_status, f"StatusCode.{grpc_status}")


def test_an_unknown_version_and_output(triton):
    inputs = [tensor(triton, "INPUT0", ONE)]
    with pytest.raises(InferenceServerException, match="'identity' version 7 is not found"):
        triton.client.infer("identity", inputs, model_version="7")
    with pytest.raises(InferenceServerException, match="unexpected inference output 'Y' for model 'identity'"):
        triton.client.infer("identity", inputs, outputs=[triton.InferRequestedOutput("Y")])
    triton.client.infer("identity", inputs, model_version="1")


def numbers(library, *values):
    return [tensor(library, "INPUT0", np.array(values, np.int32))]


def test_the_engines_own_error(triton):
    with pytest.raises(InferenceServerException, match="out of cheese"):
        triton.client.infer("chaos", numbers(triton, 1), parameters={"fail": "out of cheese"})


def test_a_timeout_in_the_request(triton):
    """The timeout parameter, in microseconds: Triton's sentence."""
    with pytest.raises(InferenceServerException, match="Request timeout expired"):
        triton.client.infer("chaos", numbers(triton, 1), timeout=50_000, parameters={"wait_ms": LONG_MS})


def test_a_grpc_deadline(served):
    with tritonclient.grpc.InferenceServerClient(served.netloc) as client:
        with pytest.raises(InferenceServerException) as caught:
            client.infer("chaos", numbers(tritonclient.grpc, 1), client_timeout=0.2, parameters={"wait_ms": LONG_MS})
        assert caught.value.status() == "StatusCode.DEADLINE_EXCEEDED"
        assert same(client.infer("chaos", numbers(tritonclient.grpc, 5)).as_numpy("OUTPUT0"), np.array([5], np.int32))


def test_async_infer_over_http(served):
    with tritonclient.http.InferenceServerClient(served.netloc, concurrency=4) as client:
        waiting = [client.async_infer("chaos", numbers(tritonclient.http, i), parameters={"wait_ms": 5}) for i in range(16)]
        assert [int(one.get_result().as_numpy("OUTPUT0").item()) for one in waiting] == list(range(16))


def test_async_infer_over_grpc(served):
    done = queue.Queue()
    with tritonclient.grpc.InferenceServerClient(served.netloc) as client:
        for i in range(16):
            client.async_infer("chaos", numbers(tritonclient.grpc, i), lambda result, error: done.put((result, error)),
                               request_id=str(i), parameters={"wait_ms": 5})
        answers = [done.get(timeout=30) for _ in range(16)]
    assert [error for _, error in answers] == [None] * 16
    assert {result.get_response().id: int(result.as_numpy("OUTPUT0").item()) for result, _ in answers} == {
        str(i): i for i in range(16)}


def test_cancel_over_grpc(served):
    done = queue.Queue()
    with tritonclient.grpc.InferenceServerClient(served.netloc) as client:
        call = client.async_infer("chaos", numbers(tritonclient.grpc, 1), lambda result, error: done.put(error),
                                  parameters={"wait_ms": LONG_MS})
        call.cancel()
        assert done.get(timeout=30).status() == "StatusCode.CANCELLED"
        client.infer("chaos", numbers(tritonclient.grpc, 1))


@pytest.mark.parametrize("name", ["http", "grpc"])
def test_aio(served, name):
    library = {"http": tritonclient.http.aio, "grpc": tritonclient.grpc.aio}[name]

    async def story():
        async with library.InferenceServerClient(served.netloc) as client:
            assert await client.is_server_live() and await client.is_server_ready()
            assert await client.is_model_ready("identity")
            assert as_dict(await client.get_model_metadata("chaos"))["platform"] == "chaos"
            calls = [client.infer("chaos", numbers(library, i), parameters={"wait_ms": 5}) for i in range(8)]
            results = await asyncio.gather(*calls)
            assert [int(one.as_numpy("OUTPUT0").item()) for one in results] == list(range(8))
            with pytest.raises(InferenceServerException, match="Request for unknown model: 'nix' is not found"):
                await client.infer("nix", numbers(library, 1))
            endless = asyncio.ensure_future(
                client.infer("chaos", numbers(library, 1), parameters={"wait_ms": LONG_MS}))
            await asyncio.wait([endless], timeout=0.05)
            endless.cancel()
            assert (await client.infer("chaos", numbers(library, 3))).as_numpy("OUTPUT0").item() == 3

    asyncio.run(story())


# ---- KServe's clients ----


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
def test_kserve(served, protocol):
    """JSON and binary data."""
    done = subprocess.run([sys.executable, KSERVE_CLIENT, protocol, served.netloc], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["health"] == [True] * 3
    assert told["answers"] == [{"id": "k", "datatype": "FP32", "values": [1, 2, 3.5]}] * 2
    if protocol == "rest":
        assert "Request for unknown model: 'nix' is not found" in told["error"]


# ---- curl ----


def curl(*arguments, body=None):
    done = subprocess.run(["curl", "--silent", "--show-error", "--max-time", "30", *arguments],
                          input=body, capture_output=True, check=True)
    return done.stdout


REQUEST = '{"inputs":[{"name":"INPUT0","datatype":"FP32","shape":[3],"data":[1,2,3.5]}]}'
HTTP_VERSIONS = [["--http1.1"], ["--http1.0"], ["--http2-prior-knowledge"]]


@pytest.mark.parametrize("version", HTTP_VERSIONS, ids=lambda version: version[0][2:])
def test_curl_with_nothing_but_json(served, version):
    answer = json.loads(curl(*version, "-d", REQUEST, f"{served.url}/v2/models/identity/infer"))
    assert answer == {"model_name": "identity", "model_version": "1", "outputs": [
        {"name": "OUTPUT0", "datatype": "FP32", "shape": [3], "data": [1, 2, 3.5]}]}


@pytest.mark.parametrize("version", HTTP_VERSIONS[::2], ids=lambda version: version[0][2:])
def test_curl_sends_chunks_and_large_bodies(served, version):
    """A body without a length, from a pipe, larger than any window."""
    values = list(range(200_000))
    request = {"inputs": [{"name": "INPUT0", "datatype": "FP32", "shape": [len(values)], "data": values}]}
    answer = json.loads(curl(*version, "-T", "-", "-X", "POST", f"{served.url}/v2/models/identity/infer",
                             body=json.dumps(request).encode()))
    assert answer["outputs"][0]["data"] == values


def test_json_data_may_be_nested(served):
    nested = {"inputs": [{"name": "X", "datatype": "FP32", "shape": [2, 3], "data": [[1, 2, 3], [4, 5, 6]]}]}
    status, answer = served.infer("dynamic", nested)
    assert status == 200, answer
    assert answer["outputs"][0]["shape"] == [3, 2]
    assert answer["outputs"][0]["data"] == [1, 4, 2, 5, 3, 6]


def test_a_raw_body(served):
    """No JSON at all: the body is the model's one input, its shape is found out."""
    values = np.array([1, 2, 3.5], np.float32)
    status, headers, body = served.fetch("/v2/models/identity/infer", values.tobytes(),
                                         headers={"Inference-Header-Content-Length": "0"})
    json_bytes = int(headers["Inference-Header-Content-Length"])
    assert status == 200 and headers["Content-Type"] == "application/octet-stream"
    assert json.loads(body[:json_bytes])["outputs"][0]["shape"] == [3]
    assert np.frombuffer(body[json_bytes:], np.float32).tolist() == values.tolist()


def test_a_raw_body_of_text(served):
    status, headers, body = served.fetch("/v2/models/text/infer", "as it is".encode(),
                                         headers={"Inference-Header-Content-Length": "0"})
    json_bytes = int(headers["Inference-Header-Content-Length"])
    assert (status, body[json_bytes:]) == (200, struct.pack("<I", 8) + b"as it is")


def test_json_responses_name_what_is_wrong(served):
    status, answer = served.infer("identity", {"inputs": []})
    assert status == 400 and "missing required input(s) ['INPUT0']" in answer["error"]
    for path in ("/v2/models/identity/", "/v3", "/v2/models/identity/infer/"):
        status, _, body = served.fetch(path)
        assert (status, json.loads(body)) == (404, {"error": "Not Found"})
    status, headers, body = served.fetch("/v2/health/live", {})
    assert (status, json.loads(body), headers["Allow"]) == (405, {"error": "Method Not Allowed"}, "GET, HEAD")
    status, headers, body = served.fetch("/v2/models/identity/infer")
    assert (status, headers["Allow"]) == (405, "POST")
    status, headers, body = served.fetch("/v2/logging", b"{}", method="DELETE")
    assert (status, sorted(headers["Allow"].split(", "))) == (405, ["GET", "HEAD", "POST"])
    status, answer = served.infer("identity", {"inputs": [{"name": "INPUT0", "datatype": "FP32", "shape": [3], "data": [1, 2]}]})
    assert status == 400 and answer["error"].startswith("data of input 'INPUT0': expected 3 elements but got 2")


# ---- gRPC by hand ----


def grpcurl(served, *arguments):
    if not GRPCURL.exists():
        pytest.skip("grpcurl is not built: no Go")
    done = subprocess.run([GRPCURL, "-plaintext", "-max-time", "30", *arguments], capture_output=True, text=True)
    return done.returncode, done.stdout or done.stderr


def test_grpcurl_lists_and_describes(served):
    _, services = grpcurl(served, served.netloc, "list")
    assert {"inference.GRPCInferenceService", "grpc.health.v1.Health"} <= set(services.split())
    _, methods = grpcurl(served, served.netloc, "list", "inference.GRPCInferenceService")
    assert "inference.GRPCInferenceService.ModelInfer" in methods.split()
    status, described = grpcurl(served, served.netloc, "describe", "inference.ModelInferRequest")
    assert status == 0 and "repeated bytes raw_input_contents = 7;" in described
    status, described = grpcurl(served, served.netloc, "describe", "inference.ModelMetadataResponse")
    assert status == 0 and "map<string, string> properties = 6;" in described


def test_metadata_has_nothing_that_tritons_clients_do_not_know(served):
    """The field `properties`, which the Open Inference Protocol alone has, is left out."""
    with grpc.insecure_channel(served.netloc) as channel:
        answer = channel.unary_unary("/inference.GRPCInferenceService/ModelMetadata")(
            service_pb2.ModelMetadataRequest(name="identity").SerializeToString(), timeout=30)
    known = service_pb2.ModelMetadataResponse.FromString(answer)
    known.DiscardUnknownFields()
    assert known.platform and known.ByteSize() == len(answer)


@pytest.mark.parametrize("count", [1, 100_000], ids=["small", "large"])
def test_typed_contents_of_every_datatype(served, count):
    """The large ones are more than an ordinary request may take of the server's own memory."""
    request, expected = service_pb2.ModelInferRequest(model_name="typed"), []
    for name, field in CONTENTS.items():
        values = np.resize(VALUES[name], count)
        items = [value.encode() for value in values[:count // 4 + 1]] if name == "BYTES" else values.tolist()
        made = request.inputs.add(name=f"in_{name}", datatype=name, shape=[len(items)])
        getattr(made.contents, f"{field}_contents").extend(items)
        expected.append(b"".join(struct.pack("<I", len(item)) + item for item in items)
                        if name == "BYTES" else values.astype(VALUES[name].dtype).tobytes())
    with grpc.insecure_channel(served.netloc, [("grpc.max_receive_message_length", -1)]) as channel:
        answer = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request, timeout=120)
    assert answer.raw_output_contents == expected


def test_grpcurl_calls(served):
    request = {"model_name": "identity", "inputs": [
        {"name": "INPUT0", "datatype": "FP32", "shape": [2], "contents": {"fp32_contents": [1.5, 2]}}]}
    status, answer = grpcurl(served, "-d", json.dumps(request), served.netloc,
                             "inference.GRPCInferenceService/ModelInfer")
    assert status == 0, answer
    assert json.loads(answer)["rawOutputContents"] == ["AADAPwAAAEA="]
    status, answer = grpcurl(served, "-d", '{"name": "nix"}', served.netloc, "inference.GRPCInferenceService/ModelMetadata")
    assert status != 0 and "NotFound" in answer and "'nix' is not found" in answer


def test_the_grpc_health_service(served):
    with grpc.insecure_channel(served.netloc) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        assert check(b"", timeout=30) == b"\x08\x01"  # SERVING
        with pytest.raises(grpc.RpcError) as caught:
            check(b"\x0a\x03nix", timeout=30)
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND
