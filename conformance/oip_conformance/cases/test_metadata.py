"""What a server says of itself and of its models."""
import pytest

from oip_conformance.catalogue import OIP_REST, REQUIRED, TRITON, case
from oip_conformance.models import DATATYPES, LABELS

CONFIG = "Triton: extension_model_configuration.md"


def model(http, target, name, more=""):
    reply = http.ask("GET", f"/v2/models/{target.model(name)}{more}")
    assert reply.status == 200, (reply.status, reply.body[:200])
    return reply.json()


@case("metadata.server", REQUIRED, OIP_REST)
def test_server(http):
    """GET /v2 gives the server's name, its version and the list of its extensions."""
    reply = http.ask("GET", "/v2")
    found = reply.json()
    assert reply.status == 200 and reply.fields["content-type"].startswith("application/json")
    assert isinstance(found["name"], str) and isinstance(found["version"], str)
    assert all(isinstance(name, str) for name in found["extensions"])


@case("metadata.model", REQUIRED, OIP_REST, model="add_sub")
def test_model(http, target):
    """GET /v2/models/NAME gives name, platform, inputs and outputs; each tensor has name, datatype and a shape of integers."""
    found = model(http, target, "add_sub")
    assert found["name"] == target.model("add_sub") and isinstance(found["platform"], str)
    assert {tensor["name"] for tensor in found["inputs"]} == {"INPUT0", "INPUT1"}
    assert {tensor["name"] for tensor in found["outputs"]} == {"OUTPUT0", "OUTPUT1"}
    for tensor in found["inputs"] + found["outputs"]:
        assert tensor["datatype"] == "INT32" and all(isinstance(size, int) for size in tensor["shape"])


@case("metadata.shape", REQUIRED, OIP_REST, model="add_sub")
def test_shape(http, target):
    """A dimension of any size is -1 in a model's shape; that of the batch is one, and stands first."""
    assert [tensor["shape"] for tensor in model(http, target, "add_sub")["inputs"]] == [[-1, 16]] * 2


@case("metadata.datatype", REQUIRED, OIP_REST, model=[f"identity_{name.lower()}" for name in DATATYPES if name != "BF16"])
@pytest.mark.parametrize("datatype", [name for name in DATATYPES if name != "BF16"])
def test_datatype(http, target, datatype):
    """Datatypes have the protocol's names."""
    found = model(http, target, f"identity_{datatype.lower()}")
    assert [tensor["datatype"] for tensor in found["inputs"] + found["outputs"]] == [datatype] * 2


@case("metadata.versions", REQUIRED, OIP_REST, model="versions")
def test_versions(http, target):
    """A model's versions are a list of strings."""
    assert sorted(model(http, target, "versions")["versions"]) == ["1", "2"]


@case("metadata.version", REQUIRED, OIP_REST, model="versions")
def test_version(http, target):
    """A version may be asked for in the path."""
    assert model(http, target, "versions", "/versions/2")["name"] == target.model("versions")


@case("metadata.unknown-model", REQUIRED, OIP_REST)
def test_unknown(http):
    """Of a model that there is not: 4xx, with {"error": "..."}."""
    reply = http.ask("GET", "/v2/models/nix")
    assert 400 <= reply.status < 500 and reply.error()


@case("metadata.unknown-model-sentence", TRITON, "Triton: clients and tests match on it")
def test_unknown_sentence(http):
    """Of a model that there is not: 404 and the sentence that Triton's clients know, with the model's name."""
    reply = http.ask("GET", "/v2/models/nix")
    assert reply.status == 404 and "Request for unknown model: 'nix' is not found" in reply.error()


@case("config.batch", TRITON, CONFIG, "model_configuration", "add_sub")
def test_config(http, target):
    """GET .../config gives the ModelConfig as JSON: name, max_batch_size, and tensors whose dims have no batch."""
    found = model(http, target, "add_sub", "/config")
    assert found["name"] == target.model("add_sub") and found["max_batch_size"] == 8
    assert [(tensor["name"], tensor["data_type"], tensor["dims"]) for tensor in found["input"]] == [
        ("INPUT0", "TYPE_INT32", [16]), ("INPUT1", "TYPE_INT32", [16])]


@case("config.decoupled", TRITON, CONFIG, "model_configuration", "words")
def test_decoupled(http, target):
    """A model that may answer several times says so: model_transaction_policy.decoupled, which perf_analyzer reads."""
    assert model(http, target, "words", "/config")["model_transaction_policy"]["decoupled"] is True


@case("config.version", TRITON, CONFIG, "model_configuration", "versions")
def test_config_version(http, target):
    """A version may be named in the path of the config."""
    assert model(http, target, "versions", "/versions/1/config")["name"] == target.model("versions")


@case("config.labels", TRITON, CONFIG, ("model_configuration", "classification"), "identity_fp32")
def test_labels(http, target):
    """The config names the file of labels."""
    assert len(LABELS) == 3
    assert model(http, target, "identity_fp32", "/config")["output"][0]["label_filename"] == "labels.txt"


@case("config.unknown-model", TRITON, CONFIG, "model_configuration")
def test_config_unknown(http):
    """Of a model that there is not: 404 with a sentence."""
    reply = http.ask("GET", "/v2/models/nix/config")
    assert reply.status == 404 and reply.error()


@case("models.list", TRITON, "KServe: GET /v2/models", "model_list", "add_sub")
def test_list(http, target):
    """GET /v2/models lists the models, as KServe does."""
    assert target.model("add_sub") in http.ask("GET", "/v2/models").json()["models"]
