"""Sentences and statuses that people match on, word for word, over REST and gRPC, where no other test says them."""
import json

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

from support import models
from support.repositories import write_model
from support.server import Server

LIBRARIES = {"http": tritonclient.http, "grpc": tritonclient.grpc}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    models.save(models.add(), folder / "add.onnx")
    write_model(folder, "echo", "identity")
    started = Server(folder, "--anonymous", "admin", state=tmp_path_factory.mktemp("state")).wait_ready("add").wait_ready("echo")
    yield started
    started.stop()


@pytest.fixture(params=LIBRARIES)
def library(request):
    return LIBRARIES[request.param]


def tensor(library, name, shape):
    made = library.InferInput(name, shape, "FP32")
    made.set_data_from_numpy(np.zeros(shape, np.float32))
    return made


def refused(served, library, model, *inputs):
    with library.InferenceServerClient(served.netloc) as client, pytest.raises(InferenceServerException) as caught:
        client.infer(model, list(inputs))
    return caught.value.message()


def test_a_missing_input(served, library):
    assert refused(served, library, "add", tensor(library, "A", [1, 4])) == (
        "expected 2 inputs but got 1 inputs for model 'add'. Got input(s) ['A'], but missing required input(s) ['B']. "
        "Please provide all required input(s).")


def test_another_shape(served, library):
    said = refused(served, library, "add", tensor(library, "A", [1, 5]), tensor(library, "B", [1, 4]))
    assert "unexpected shape for input 'A' for model 'add'. Expected [-1,4], got [1,5]" in said


def test_bytes_of_another_size(served):
    library = tritonclient.grpc
    made = tensor(library, "x", [2])
    made._raw_content = b"\0" * 4  # what no method of the client makes
    assert "input byte size mismatch for input 'x'" in refused(served, library, "echo", made)


def test_a_model_that_is_not_loaded(served, library):
    with library.InferenceServerClient(served.netloc) as client:
        client.unload_model("echo")
        try:
            assert "is not at ready state" in refused(served, library, "echo", tensor(library, "x", [1]))
            status, body = served.infer("echo", {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}]})
            assert status == 503 and "error" in body
        finally:
            client.load_model("echo")


def test_the_server_is_alive(served):
    assert served.get("/") == {"status": "alive"}


def test_a_repository_cannot_be_named(served):
    for path in ("/v2/repository/x/models/echo/load", "/v2/repository/x/models/echo/unload"):
        status, _, body = served.fetch(path, b"", method="POST")
        assert status in (404, 501) and "error" in json.loads(body), path
