"""Loads that bring a config of their own, and unloads that take along what a pipeline uses; by NVIDIA's clients."""
import json

import grpc
import pytest
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

from support import models
from support.repositories import tensor_config, write_config, write_model


@pytest.fixture(params=[tritonclient.http, tritonclient.grpc], ids=["http", "grpc"])
def library(request):
    return request.param


def config_of(client, model):
    config = client.get_model_config(model)
    return config if isinstance(config, dict) else json.loads(
        tritonclient.grpc._client.MessageToJson(config, preserving_proto_field_name=True))["config"]


def failure(call, *arguments, **named):
    with pytest.raises(InferenceServerException) as caught:
        call(*arguments, **named)
    return caught.value.status(), caught.value.message()


def test_a_config_counts_for_one_load(server, repository, library):
    one = server(repository(add=models.add()), "--anonymous", "admin")
    one.wait_ready("add")
    with library.InferenceServerClient(one.netloc) as client:
        before = config_of(client, "add")["max_batch_size"]
        assert before != 7
        client.load_model("add", config=json.dumps({"max_batch_size": 7}))
        assert config_of(client, "add")["max_batch_size"] == 7
        client.load_model("add", config=json.dumps({"max_batch_size": 5}))
        assert config_of(client, "add")["max_batch_size"] == 5
        client.load_model("add")
        assert config_of(client, "add")["max_batch_size"] == before
        client.load_model("add", config=json.dumps({"max_batch_size": 7}))
        client.unload_model("add")
        client.load_model("add")
        assert config_of(client, "add")["max_batch_size"] == before


def test_what_the_server_says_of_a_config_can_be_loaded(server, repository, library):
    """Clients change what they are given, and load it: the JSON of a ModelConfig."""
    one = server(write_model(repository(), "identity", "identity", names=("INPUT0", "OUTPUT0")), "--anonymous", "admin")
    one.wait_ready("identity")
    with library.InferenceServerClient(one.netloc) as client:
        config = config_of(client, "identity")
        config["parameters"] = {"a": {"string_value": "b"}}
        client.load_model("identity", config=json.dumps(config))
        assert config_of(client, "identity")["parameters"]["a"] == {"string_value": "b"}


def test_a_config_that_is_wrong_changes_nothing(server, repository, library):
    one = server(repository(add=models.add()), "--anonymous", "admin")
    one.wait_ready("add")
    with library.InferenceServerClient(one.netloc) as client:
        before = config_of(client, "add")["max_batch_size"]
        for config, says in (("{", "the config of the load"), (json.dumps({"max_batch_sice": 1}), "max_batch_size"),
                             (json.dumps({"max_batch_size": "many"}), "max_batch_size"),
                             ("x" * (1 << 18 | 1), "at most"), ("[]", "the config of the load")):
            status, message = failure(client.load_model, "add", config=config)
            assert says in message, message
            assert client.is_model_ready("add")
        client.load_model("add")
        assert config_of(client, "add")["max_batch_size"] == before and client.is_model_ready("add")


def test_a_parameter_that_there_is_not_is_refused(server, repository, library):
    """One that was mistyped would be missed."""
    one = server(repository(add=models.add()), "--anonymous", "admin")
    one.wait_ready("add")
    if library is tritonclient.http:
        status, _, body = one.fetch("/v2/repository/models/add/load", {"parameters": {"confg": "{}"}})
        assert status == 400 and json.loads(body)["error"] == "unrecognized load parameter 'confg'."
    else:
        asked = tritonclient.grpc.service_pb2.RepositoryModelLoadRequest(model_name="add")
        asked.parameters["confg"].string_param = "{}"
        with tritonclient.grpc.InferenceServerClient(one.netloc) as client, pytest.raises(grpc.RpcError) as caught:
            client._client_stub.RepositoryModelLoad(asked)
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert caught.value.details() == "unrecognized load parameter 'confg'."


def test_code_takes_its_scope(server, repository, library):
    """A config that makes the server run a command, or install packages, is code."""
    one = server(repository(add=models.add()), "--anonymous", "deploy")
    one.wait_ready("add")
    with library.InferenceServerClient(one.netloc) as client:
        write = json.dumps({"python": {"requirements": ["evil"]}})
        folder = repository()
        write_config(folder, "other", backend="identity", input=[tensor_config("x")], output=[tensor_config("y")])
        one.wait_ready("other")
        for config in (write, json.dumps({"server": {"command": "/bin/true {port}"}})):
            status, message = failure(client.load_model, "other", config=config)
            assert "scope 'code'" in message
        assert client.is_model_ready("other")


def test_unloading_a_pipeline_with_its_steps(server, repository, library):
    folder = repository()
    for name in ("one", "two", "other"):
        write_model(folder, name, "identity")
    write_config(folder, "both", steps=[{"model": "one", "input": {"x": "x"}, "output": {"y": "m"}},
                                        {"model": "two", "input": {"x": "m"}, "output": {"y": "y"}}])
    one = server(folder, "--anonymous", "admin")
    for name in ("one", "two", "other", "both"):
        one.wait_ready(name)
    with library.InferenceServerClient(one.netloc) as client:
        client.unload_model("both")
        assert client.is_model_ready("one") and client.is_model_ready("two")
        client.load_model("both")
        client.unload_model("both", unload_dependents=True)
        assert [client.is_model_ready(name) for name in ("both", "one", "two", "other")] == [False, False, False, True]
        client.load_model("both")
        assert client.is_model_ready("one")
