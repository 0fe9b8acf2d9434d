"""Statistics of models."""
import time

import pytest

from oip_conformance.catalogue import TRITON, case
from oip_conformance.tensors import outputs_of, request, tensor

SOURCE = "Triton: extension_statistics.md"
COUNTED_S = 5
DURATIONS = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output", "cache_hit", "cache_miss")


def statistics(http, path):
    reply = http.ask("GET", path)
    assert reply.status == 200, (reply.status, reply.body[:200])
    return reply.json()["model_stats"]


def of(http, target, name, version=""):
    [found] = statistics(http, f"/v2/models/{target.model(name)}{version}/stats")
    return found


def once(http, target, name, counted):
    """The model's row, once that says that it is counted: servers may count after they have answered."""
    end = time.monotonic() + COUNTED_S
    while not counted(row := of(http, target, name)) and time.monotonic() < end:
        time.sleep(0.05)
    return row


@case("statistics.all", TRITON, SOURCE, "statistics", "add_sub")
def test_all(http, target):
    """GET /v2/models/stats has a row for every version that is served."""
    assert (target.model("add_sub"), "1") in [(row["name"], row["version"]) for row in statistics(http, "/v2/models/stats")]


@case("statistics.versions", TRITON, SOURCE, "statistics", "versions")
def test_versions(http, target):
    """Without a version in the path every version has a row, with one only that."""
    name = target.model("versions")
    assert sorted(row["version"] for row in statistics(http, f"/v2/models/{name}/stats")) == ["1", "2"]
    assert [row["version"] for row in statistics(http, f"/v2/models/{name}/versions/2/stats")] == ["2"]


@case("statistics.durations", TRITON, SOURCE, "statistics", "add_sub")
@pytest.mark.parametrize("name", DURATIONS)
def test_durations(http, target, name):
    """Each stage of a request has a count and nanoseconds, which perf_analyzer subtracts."""
    duration = of(http, target, "add_sub")["inference_stats"][name]
    assert isinstance(duration["count"], int) and isinstance(duration["ns"], int)


@case("statistics.counts", TRITON, SOURCE, "statistics", "identity_uint8")
def test_counts(http, target):
    """An inference of three rows counts one success, three inferences, one execution, one request in the queue."""
    before = of(http, target, "identity_uint8")
    asked = request(tensor([1, 2, 3], "UINT8", [3, 1]))
    outputs_of(http.ask("POST", f"/v2/models/{target.model('identity_uint8')}/infer", asked))
    after = once(http, target, "identity_uint8", lambda row: row["inference_count"] > before["inference_count"])
    assert after["inference_count"] - before["inference_count"] == 3 and after["execution_count"] - before["execution_count"] == 1
    for stage in ("success", "queue", "compute_infer"):
        assert after["inference_stats"][stage]["count"] - before["inference_stats"][stage]["count"] == 1, stage
    assert after["inference_stats"]["success"]["ns"] > before["inference_stats"]["success"]["ns"]


@case("statistics.batches", TRITON, SOURCE, "statistics", "identity_uint16")
def test_batches(http, target):
    """batch_stats has a row for each size of batch that was executed."""
    asked = request(tensor([1, 2, 3, 4, 5], "UINT16", [5, 1]))
    outputs_of(http.ask("POST", f"/v2/models/{target.model('identity_uint16')}/infer", asked))
    counted = once(http, target, "identity_uint16", lambda row: 5 in [batch["batch_size"] for batch in row["batch_stats"]])
    rows = {row["batch_size"]: row for row in counted["batch_stats"]}
    assert rows[5]["compute_infer"]["count"] >= 1 and rows[5]["compute_infer"]["ns"] > 0


@case("statistics.failures", TRITON, SOURCE, "statistics", "behave")
def test_failures(http, target):
    """A request that the model fails counts as failed, not as a success."""
    before = of(http, target, "behave")["inference_stats"]
    asked = request(tensor(["raise"], "BYTES", [1], "COMMAND"))
    assert http.ask("POST", f"/v2/models/{target.model('behave')}/infer", asked).status >= 400
    after = of(http, target, "behave")["inference_stats"]
    assert after["fail"]["count"] - before["fail"]["count"] == 1 and after["success"]["count"] == before["success"]["count"]


@case("statistics.last-inference", TRITON, SOURCE, "statistics", "identity_int64")
def test_last(http, target):
    """last_inference tells when the last request came, in milliseconds since 1970."""
    before = of(http, target, "identity_int64")["last_inference"]
    time.sleep(0.002)  # so that the clock shows another millisecond
    outputs_of(http.ask("POST", f"/v2/models/{target.model('identity_int64')}/infer", request(tensor([1], "INT64"))))
    after = of(http, target, "identity_int64")["last_inference"]
    assert after > before and after > 1_600_000_000_000


@case("statistics.unknown-model", TRITON, SOURCE, "statistics")
def test_unknown(http):
    """Of a model that there is not: 4xx with a sentence."""
    reply = http.ask("GET", "/v2/models/nix/stats")
    assert 400 <= reply.status < 500 and reply.error()
