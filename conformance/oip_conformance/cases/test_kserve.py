"""KServe's first protocol, where a server has it."""
from oip_conformance.catalogue import TRITON, case

SOURCE = "KServe: V1 protocol"


@case("kserve-v1.list", TRITON, SOURCE, "kserve_v1", "identity_fp32")
def test_list(http, target):
    """GET /v1/models lists the models."""
    assert target.model("identity_fp32") in http.ask("GET", "/v1/models").json()["models"]


@case("kserve-v1.unknown-model", TRITON, SOURCE, "kserve_v1")
def test_unknown(http):
    """predict of a model that there is not: 404 with a sentence."""
    reply = http.ask("POST", "/v1/models/nix:predict", {"instances": [[1.0]]})
    assert reply.status == 404 and reply.error()
