"""Index, load and unload."""
import time

import pytest

from oip_conformance.catalogue import TRITON, case

SOURCE = "Triton: extension_model_repository.md"
STATES = {"UNKNOWN", "READY", "UNAVAILABLE", "LOADING", "UNLOADING"}
LOAD_S = 60


def index(http, body=None):
    reply = http.ask("POST", "/v2/repository/index", body if body is not None else b"")
    assert reply.status == 200, (reply.status, reply.body[:200])
    return reply.json()


def until(check):
    """Waits for what a server does in its own time."""
    end = time.monotonic() + LOAD_S
    while not (found := check()) and time.monotonic() < end:
        time.sleep(0.1)
    return found


@case("repository.index", TRITON, SOURCE, "model_repository", "add_sub")
def test_index(http, target):
    """POST /v2/repository/index lists the models, each version with name, version, state and reason."""
    rows = [row for row in index(http) if row["name"] == target.model("add_sub")]
    assert len(rows) == 1 and rows[0]["version"] == "1" and rows[0]["state"] == "READY"


@case("repository.index-versions", TRITON, SOURCE, "model_repository", "versions")
def test_index_versions(http, target):
    """Each version has a row."""
    assert {row["version"] for row in index(http) if row["name"] == target.model("versions")} == {"1", "2"}


@case("repository.index-ready", TRITON, SOURCE, "model_repository")
def test_index_ready(http):
    """With {"ready": true} only versions that are ready are listed."""
    rows = index(http, {"ready": True})
    assert rows and all(row["state"] == "READY" for row in rows) and {row["state"] for row in index(http)} <= STATES


@case("repository.unload-and-load", TRITON, SOURCE, "model_repository", "identity_int16")
def test_unload_and_load(http1, target):
    """unload takes a model out of service: not ready, 4xx or 503 for inferences; load brings it back. Both answer 200 with an
    empty body."""
    name = target.model("identity_int16")
    unload = http1.ask("POST", f"/v2/repository/models/{name}/unload", b"")
    if unload.status in (403, 503) or (unload.status == 400 and "explicit" in unload.error()):
        pytest.skip(f"loads and unloads are not allowed: {unload.error()}")
    try:
        assert unload.status == 200 and unload.body == b"", (unload.status, unload.body)
        assert until(lambda: http1.ask("GET", f"/v2/models/{name}/ready").status != 200), "still ready"
        body = {"inputs": [{"name": "INPUT0", "datatype": "INT16", "shape": [1, 1], "data": [1]}]}
        assert http1.ask("POST", f"/v2/models/{name}/infer", body).status in (*range(400, 500), 503)
        rows = [row for row in index(http1) if row["name"] == name]
        assert all(row.get("state") != "READY" for row in rows), rows
    finally:
        load = http1.ask("POST", f"/v2/repository/models/{name}/load", b"")
    assert load.status == 200 and load.body == b"", (load.status, load.body)
    assert until(lambda: http1.ask("GET", f"/v2/models/{name}/ready").status == 200), "not ready again"


@case("repository.load-unknown", TRITON, SOURCE, "model_repository")
def test_load_unknown(http1):
    """A load of a model that there is not fails with a sentence."""
    reply = http1.ask("POST", "/v2/repository/models/nix/load", b"")
    assert reply.status >= 400 and reply.error()
