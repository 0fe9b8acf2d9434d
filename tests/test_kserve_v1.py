"""KServe's protocol v1, which is TensorFlow Serving's: rows in, rows out."""
import json
import subprocess
import sys

import numpy as np
import pytest

from support import models, processes
from support.repositories import settle, tensor_config, write_config, write_model
from support.server import ROOT, Server, fetch
from support.tokens import bearer, create

KSERVE_CLIENT = ROOT / "tests" / "support" / "kserve_client.py"
TYPES = {"BOOL": [True, False], "UINT8": [0, 255], "INT64": [-(2**63), 2**63 - 1], "FP16": [-0.5, 65504], "FP32": [0.1, 1e30],
         "FP64": [0.1, 5e-324], "BYTES": ["", "ä\n€"]}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write_model(folder, "identity", "identity", names=("INPUT0", "OUTPUT0"))
    write_config(folder, "types", backend="identity", input=[tensor_config(f"in_{name}", name) for name in TYPES],
                 output=[tensor_config(f"out_{name}", name) for name in TYPES])
    for name, made in {"add": models.add(), "matmul": models.matmul(), "dynamic": models.dynamic(),
                       "optional": models.optional()}.items():
        settle(models.save(made, folder / f"{name}.onnx"))
    one = Server(folder, state=tmp_path_factory.mktemp("state"))
    for path in folder.iterdir():
        one.wait_ready(path.stem)
    yield one
    one.stop()


def predict(served, model, data, path="/v1/models/{}:predict", **options):
    status, headers, body = served.fetch(path.format(model), data, **options)
    assert headers["Content-Type"] == "application/json"
    return status, json.loads(body)


def test_kserves_client(served):
    done = subprocess.run([sys.executable, KSERVE_CLIENT, "v1", served.netloc], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["health"] == [True, True]
    assert told["answers"] == [{"predictions": [1.0, 2.0, 3.5]}] * 2
    not_ready, unknown, explained = told["errors"]
    assert "'404" in not_ready
    assert unknown.startswith("Request for unknown model: 'nix' is not found, '404")
    assert explained.startswith("explanations are not supported") and "'501" in explained


def test_rows_of_values(served):
    rows = [[1, 2, 3, 4], [0.5, 0, 0, -1]]
    status, answer = predict(served, "matmul", {"instances": rows})
    assert status == 200 and list(answer) == ["predictions"]
    np.testing.assert_allclose(answer["predictions"], np.array(rows, np.float32) @ models.weights(), rtol=1e-5)
    assert predict(served, "matmul", {"inputs": rows}) == (status, answer)
    assert predict(served, "matmul", {"instances": [{"X": row} for row in rows]}) == (status, answer)
    assert predict(served, "matmul", {"instances": rows}, "/v1/models/{}/versions/1:predict") == (status, answer)
    assert predict(served, "optional", {"instances": [[1, 2], [3, 4]]}) == (200, {"predictions": [[11, 22], [13, 24]]})


def test_rows_of_objects(served):
    """One input or several, keys in any order."""
    rows = [{"A": [1, 2, 3, 4], "B": [1, 1, 1, 1]}, {"B": [10, 20, 30, 40], "A": [0, 0, 0, 0]}]
    assert predict(served, "add", {"instances": rows}) == (200, {"predictions": [[2, 3, 4, 5], [10, 20, 30, 40]]})


def test_every_datatype(served):
    rows = [{f"in_{name}": values[i] for name, values in TYPES.items()} for i in range(2)]
    status, answer = predict(served, "types", {"instances": rows})
    assert status == 200, answer
    assert answer["predictions"] == [{key.replace("in_", "out_"): value for key, value in row.items()} for row in rows]


def test_columns(served):
    """TensorFlow Serving's other form: inputs as a whole, and so the outputs."""
    assert predict(served, "add", {"inputs": {"A": [[1, 2, 3, 4]], "B": [[1, 1, 1, 1]]}}) == (200, {"outputs": [[2, 3, 4, 5]]})
    x = [[1, 2, 3], [4, 5, 6]]
    assert predict(served, "dynamic", {"inputs": {"X": x}}) == (
        200, {"outputs": {"TRANSPOSED": [[1, 4], [2, 5], [3, 6]], "TOTAL": 21}})
    status, answer = predict(served, "dynamic", {"instances": x})  # TOTAL has no rows
    assert status == 400 and "send 'inputs' as an object" in answer["error"]


@pytest.mark.parametrize("model, data, sentence", [
    ("add", {"instances": [[1, 2, 3, 4]]}, "write each instance as an object"),
    ("add", {"instances": [{"A": [1, 2, 3, 4]}]}, "expected 2 inputs but got 1 inputs for model 'add'"),
    ("add", {"instances": [{"A": [1, 2, 3, 4], "B": [1, 2, 3, 4]}, {"A": [1, 2, 3, 4]}]}, "instance 1 has 1 inputs"),
    ("add", {"instances": [{"A": [1, 2, 3, 4], "B": [1, 2, 3]}]}, "unexpected shape for input 'B' for model 'add'"),
    ("add", {"instances": [{"A": [1, 2, 3, 4], "B": [1, 2, 3, "x"]}]}, "data of input 'B'"),
    ("matmul", {"instances": [[1, 2, 3, 4], [1, 2, 3]]}, "data of input 'X'"),
    ("matmul", {"instances": [1, 2, 3, 4]}, "does not take 4 elements"),
    ("matmul", {"instances": []}, "has no rows"),
    ("matmul", {"instanses": [[1, 2, 3, 4]]}, "neither 'instances' nor 'inputs'"),
    ("matmul", [1], "expected an object"),
    ("types", {"instances": [{"in_BYTES": {"b64": "AA=="}}]}, "base64 is not read"),
])
def test_what_is_wrong_is_said(served, model, data, sentence):
    status, answer = predict(served, model, data)
    assert status == 400 and sentence in answer["error"]


def test_models(served):
    """KServe's list and OpenAI's in one body."""
    listed = served.get("/v1/models")
    names = {"identity", "types", "add", "matmul", "dynamic", "optional"}
    assert set(listed["models"]) == names and listed["object"] == "list"
    assert {one["id"] for one in listed["data"]} == names and {one["object"] for one in listed["data"]} == {"model"}
    one = served.get("/v1/models/add")
    assert (one["name"], one["ready"], one["id"], one["object"]) == ("add", True, "add", "model")
    assert served.fetch("/v1/models/nix")[0] == 404
    assert set(served.get("/v2/models")["models"]) == names
    assert json.loads(fetch(served.url + "/")[2]) == {"status": "alive"}


def test_a_model_that_is_unloaded_is_not_ready(served):
    assert served.fetch("/v2/repository/models/optional/unload", {})[0] == 200
    status, answer = predict(served, "optional", {"instances": [[1, 2]]})
    assert status == 503 and answer["error"]
    assert served.fetch("/v1/models/optional")[0] == 503
    assert served.fetch("/v2/repository/models/optional/load", {})[0] == 200
    assert predict(served, "optional", {"instances": [[1, 2]]})[0] == 200


def test_a_token_sees_its_own_models(served):
    secret = create(served.state_dir, scope="infer", model="add")
    headers = {**bearer(secret), "X-Forwarded-For": "10.0.0.1"}

    processes.until(lambda: fetch(served.url + "/v1/models", headers=headers)[0] == 200, 60, "the token")
    assert json.loads(fetch(served.url + "/v1/models", headers=headers)[2])["models"] == ["add"]
    assert fetch(served.url + "/v1/models/matmul:predict", {"instances": [[1, 2, 3, 4]]}, headers=headers)[0] == 404
    assert fetch(served.url + "/v1/models/add", headers={"X-Forwarded-For": "10.0.0.1"})[0] == 401
