"""Live and ready."""
import pytest

from oip_conformance.catalogue import OIP_REST, REQUIRED, TRITON, case


@case("health.live", REQUIRED, OIP_REST)
def test_live(http):
    """A server that runs answers 200 to GET /v2/health/live: orchestrators restart what does not."""
    assert http.ask("GET", "/v2/health/live").status == 200


@case("health.ready", REQUIRED, OIP_REST)
def test_ready(http):
    """A server whose models are ready answers 200 to GET /v2/health/ready: only then requests are sent to it."""
    assert http.ask("GET", "/v2/health/ready").status == 200


@case("health.model", REQUIRED, OIP_REST, model="identity_fp32")
def test_model_ready(http, target):
    """A model that is ready answers 200 to GET /v2/models/NAME/ready; clients look at the status alone."""
    assert http.ask("GET", f"/v2/models/{target.model('identity_fp32')}/ready").status == 200


@case("health.version", REQUIRED, OIP_REST, model="versions")
@pytest.mark.parametrize("version", ["1", "2"])
def test_version_ready(http, target, version):
    """Each version of a model has a ready of its own, /v2/models/NAME/versions/VERSION/ready."""
    assert http.ask("GET", f"/v2/models/{target.model('versions')}/versions/{version}/ready").status == 200


@case("health.unknown-model", REQUIRED, OIP_REST)
def test_unknown_model(http):
    """A model that there is not is not ready: a 4xx status (or 503), never a 2xx."""
    assert http.ask("GET", "/v2/models/nix/ready").status in (*range(400, 500), 503)


@case("health.unknown-version", REQUIRED, OIP_REST, model="identity_fp32")
def test_unknown_version(http, target):
    """A version that there is not is not ready, though the model is."""
    assert http.ask("GET", f"/v2/models/{target.model('identity_fp32')}/versions/77/ready").status in (*range(400, 500), 503)


@case("health.method", TRITON, "Triton: http_server.cc answers 405")
def test_method(http):
    """Another method than GET is refused with 405: the path is there, the method is not."""
    assert http.ask("POST", "/v2/health/live", b"").status == 405


@case("health.trailing-slash", TRITON, "Triton: paths match in full")
def test_trailing_slash(http):
    """A path with a slash behind it is another path, which there is not: 404 and no redirection, which clients do not follow."""
    assert http.ask("GET", "/v2/health/live/").status == 404


@case("health.unknown-path", TRITON, "Triton: http_server.cc answers 404")
def test_unknown_path(http):
    """A path that there is not answers 404."""
    assert http.ask("GET", "/v2/nix").status == 404
