"""/metrics and statistics: what is counted, under which names, and that they agree with each other."""
import json
import re
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from support import repositories, sockets
from support.processes import until

ROOT = Path(__file__).parent.parent
OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"  # as Prometheus asks

# What the queries of the dashboards in triton-inference-server/server's deploy/*/dashboard.json ask for; of the
# series for GPUs, which Triton itself serves only where there are any, none.
DASHBOARDS = [
    "nv_inference_request_success",
    "nv_inference_request_failure",
    "nv_inference_count",
    "nv_inference_queue_duration_us",
    "nv_inference_compute_duration_us",
    "nv_inference_compute_infer_duration_us",
    "nv_inference_load_ratio_bucket",
    "nv_cpu_utilization",
    "nv_cpu_memory_used_bytes",
]
# Triton's other families.
FAMILIES = {
    *(f"nv_inference_{name}" for name in ("request_success", "request_failure", "count", "exec_count", "pending_request_count",
                                          "first_response_histogram_ms", "request_duration_us", "request_summary_us")),
    *(f"nv_inference_{stage}_{kind}_us" for stage in ("queue", "compute_input", "compute_infer", "compute_output")
      for kind in ("duration", "summary")),
    "nv_cache_num_hits_per_model", "nv_cache_num_misses_per_model", "nv_model_load_duration_secs",
    *(f"nv_cache_{what}_{kind}_per_model" for what in ("hit", "miss") for kind in ("duration", "summary")),
    *(f"nv_cpu_{name}" for name in ("utilization", "memory_total_bytes", "memory_used_bytes")),
}
OF_GPUS = ("nv_gpu_", "nv_energy_consumption", "nv_pinned_memory_pool_")


@pytest.fixture
def models(tmp_path):
    folder = tmp_path / "models"
    repositories.write_model(folder, "identity", "identity")
    return folder


def scrape(one, accept=None):
    """{(name, labels): value} of all samples; the text must be sound in either format."""
    status, headers, body = one.fetch("/metrics", headers={"Accept": accept} if accept else {})
    assert status == 200
    text = body.decode()
    parse = text_string_to_metric_families
    if "openmetrics" in headers["Content-Type"]:
        assert headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
        parse = openmetrics.text_string_to_metric_families
    else:
        assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    written = set(re.findall(r"^(\w+)", text, re.MULTILINE))
    samples = [sample for family in parse(text) for sample in family.samples]
    # The parser adds _total to counters that have it not; Prometheus itself takes names as they are.
    names = [s.name if s.name in written else s.name.removesuffix("_total") for s in samples]
    found = {(name, tuple(sorted(s.labels.items()))): s.value for name, s in zip(names, samples, strict=True)}
    assert len(found) == len(samples) > 80, "a series stands twice"
    return found


def value(found, name, **labels):
    return found[name, tuple(sorted(labels.items()))]


def of_model(found, name, model="identity", version="1", **labels):
    return value(found, name, model=model, version=version, **labels)


def infer(one, times=1, **parameters):
    for _ in range(times):
        assert one.infer("identity", repositories.request([1.0, 2.0], **parameters))[0] == 200


def test_both_formats_say_the_same(server, models):
    one = server(models).wait_ready("identity")
    infer(one, 3)
    plain, opened = scrape(one), scrape(one, OPENMETRICS)
    moving = re.compile(r"^(process_|nv_cpu|tensord_(http|connections|received|sent)|tensord_tensor)")
    for (name, labels), number in plain.items():
        assert (name, labels) in opened, name
        if not moving.match(name):
            assert opened[name, labels] == number, name


def test_inferences_are_counted_and_timed_by_stage(server, models):
    one = server(models).wait_ready("identity")
    before = scrape(one)
    infer(one, 5)
    after = scrape(one)
    assert of_model(after, "nv_inference_request_success") - of_model(before, "nv_inference_request_success") == 5
    assert of_model(after, "nv_inference_count") == of_model(after, "nv_inference_exec_count") == 5
    assert of_model(after, "nv_inference_pending_request_count") == of_model(after, "tensord_running_requests") == 0
    sums = {}
    for stage in ("parse", "queue", "batch", "execute", "write", "total"):
        assert of_model(after, "tensord_request_stage_seconds_count", stage=stage) == 5
        assert of_model(after, "tensord_request_stage_seconds_bucket", stage=stage, le="+Inf") == 5
        sums[stage] = of_model(after, "tensord_request_stage_seconds_sum", stage=stage)
    # The stages are all of a request's time: nothing lies between them.
    assert abs(sum(sums.values()) - 2 * sums["total"]) < 1e-6
    assert sums["total"] > 0 and sums["execute"] > 0


def test_statistics_and_metrics_are_the_same_numbers(server, models):
    one = server(models).wait_ready("identity")
    infer(one, 4)
    one.infer("identity", repositories.request([1.0], name="nobody"))
    found = scrape(one)
    [stats] = one.get("/v2/models/identity/stats")["model_stats"]
    assert one.get("/v2/models/identity/versions/1/stats")["model_stats"] == [stats]
    assert one.get("/v2/models/stats")["model_stats"] == [stats]
    times = stats["inference_stats"]
    assert (stats["name"], stats["version"], stats["inference_count"], stats["execution_count"]) == ("identity", "1", 4, 4)
    assert times["success"]["count"] == of_model(found, "nv_inference_request_success") == 4
    assert times["fail"]["count"] == of_model(found, "nv_inference_request_failure", reason="OTHER") == 1
    for key, name in (("success", "request"), ("queue", "queue"), ("compute_input", "compute_input"),
                      ("compute_infer", "compute_infer"), ("compute_output", "compute_output")):
        assert times[key]["count"] == 4
        assert times[key]["ns"] // 1000 == of_model(found, f"nv_inference_{name}_duration_us")
    assert times["success"]["ns"] >= times["queue"]["ns"] + times["compute_infer"]["ns"]
    assert stats["batch_stats"][0]["batch_size"] == 1 and stats["batch_stats"][0]["compute_infer"]["count"] == 4
    assert stats["last_inference"] > 1_600_000_000_000
    assert {use["type"] for use in stats["memory_usage"]} == {"CPU"}
    assert one.fetch("/v2/models/nobody/stats")[0] == 404
    assert one.fetch("/v2/models/identity/versions/7/stats")[0] == 404


def test_statistics_over_grpc(server, models):
    one = server(models).wait_ready("identity")
    infer(one, 3)
    with tritonclient.grpc.InferenceServerClient(one.netloc) as client:
        [stats] = client.get_inference_statistics("identity", "1").model_stats
        assert client.get_inference_statistics().model_stats == [stats]
        with pytest.raises(tritonclient.grpc.InferenceServerException, match="not found"):
            client.get_inference_statistics("nobody")
    [rest] = one.get("/v2/models/stats")["model_stats"]
    assert stats.inference_stats.success.count == stats.inference_count == stats.execution_count == 3
    assert stats.inference_stats.compute_infer.ns == rest["inference_stats"]["compute_infer"]["ns"]
    assert stats.batch_stats[0].compute_infer.ns == rest["batch_stats"][0]["compute_infer"]["ns"]
    assert stats.last_inference == rest["last_inference"]


def test_failures_have_reasons(server, models):
    repositories.write_model(models, "chaos", "chaos", parameters={"batching": "no"})
    one = server(models).wait_ready("chaos")
    assert one.infer("chaos", repositories.request([1.0], fail="no milk"))[0] == 500
    assert one.infer("chaos", repositories.request([1.0], wait_ms=60000, timeout=50000))[0] == 503
    found = scrape(one)
    assert of_model(found, "nv_inference_request_failure", "chaos", reason="BACKEND") == 1
    assert of_model(found, "nv_inference_request_failure", "chaos", reason="CANCELED") == 1
    assert of_model(found, "nv_inference_request_success", "chaos") == 0
    with pytest.raises(KeyError):  # nothing succeeded: there is no histogram of it
        of_model(found, "tensord_request_stage_seconds_count", "chaos", stage="total")


def test_a_batch_is_one_execution_of_several_rows(server, models):
    """Requests that come while another runs are joined; the counts tell."""
    repositories.write_config(models, "joined", backend="chaos", max_batch_size=8,
                              input=[repositories.tensor_config("x")], output=[repositories.tensor_config("y")],
                              parameters={"concurrency": {"string_value": "1"}})
    one = server(models).wait_ready("joined")
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [2, 1], "data": [1, 2]}]}
    slow = dict(body, parameters={"wait_ms": 500})
    path = "/v2/models/joined/infer"
    first, *others = connections = [sockets.Connection(one.address) for _ in range(3)]
    first.send(sockets.request("POST", path, body=json.dumps(slow).encode()))
    until(lambda: of_model(scrape(one), "tensord_running_requests", "joined") == 1, 60, "a running request")
    for connection in others:
        connection.send(sockets.request("POST", path, body=json.dumps(body).encode()))
    for connection in connections:
        with connection:
            assert connection.response().status == 200
    found = scrape(one)
    assert of_model(found, "nv_inference_count", "joined") == 6
    assert of_model(found, "nv_inference_request_success", "joined") == 3
    executions = of_model(found, "nv_inference_exec_count", "joined")
    [stats] = one.get("/v2/models/joined/stats")["model_stats"]
    assert sum(batch["batch_size"] * batch["compute_infer"]["count"] for batch in stats["batch_stats"]) == 6
    assert sum(batch["compute_infer"]["count"] for batch in stats["batch_stats"]) == executions <= 3


def test_triton_s_dashboards_find_what_they_ask_for(server, models):
    one = server(models).wait_ready("identity")
    infer(one)
    for accept in (None, OPENMETRICS):
        names = {name for name, _ in scrape(one, accept)}
        assert set(DASHBOARDS) <= names
        assert not any(name.startswith(OF_GPUS) for name in names)


def test_requests_are_counted_by_protocol_and_status(server, models):
    one = server(models).wait_ready("identity")
    infer(one, 2)
    assert one.fetch("/nothing")[0] == 404
    with tritonclient.grpc.InferenceServerClient(one.netloc) as client:
        x = tritonclient.grpc.InferInput("x", [1], "FP32").set_data_from_numpy(np.zeros(1, np.float32))
        client.infer("identity", [x])
        with pytest.raises(tritonclient.grpc.InferenceServerException):
            client.infer("nobody", [x])
    found = scrape(one)
    http = "tensord_http_requests_total"
    assert value(found, http, protocol="http/1.1", code="2xx") >= 2
    assert value(found, http, protocol="http/1.1", code="4xx") >= 1
    assert value(found, http, protocol="grpc", code="2xx") == 2
    assert value(found, "tensord_grpc_calls_total", code="OK") == 1
    assert value(found, "tensord_grpc_calls_total", code="NOT_FOUND") == 1
    assert value(found, "tensord_received_bytes_total") > 500 and value(found, "tensord_sent_bytes_total") > 500


def test_a_client_that_goes_is_counted_and_its_inference_cancelled(server, models):
    repositories.write_model(models, "chaos", "chaos", parameters={"batching": "no"})
    one = server(models).wait_ready("chaos")
    with sockets.Connection(one.address) as connection:
        body = json.dumps(repositories.request([1.0], wait_ms=60000)).encode()
        connection.send(sockets.request("POST", "/v2/models/chaos/infer", body=body))
        until(lambda: of_model(scrape(one), "tensord_running_requests", "chaos") == 1, 60, "a running request")
    until(lambda: of_model(scrape(one), "nv_inference_request_failure", "chaos", reason="CANCELED") == 1, 60, "its end")
    assert value(scrape(one), "tensord_http_requests_total", protocol="http/1.1", code="none") == 1


def settings_of_limits():
    """The rows of the section of limits in the table of settings, and the limits of pushes."""
    text = (ROOT / "src/settings/table.def").read_text()
    section = text[text.index("SECTION(limits,"):]
    section = section[:section.index("SECTION(", 1)]
    return re.findall(r"^NUMBER\((\w+),", section, re.MULTILINE) + re.findall(r"^NUMBER\((max_(?:blobs|uploads|push)\w*),", text, re.MULTILINE)


def test_every_limit_of_the_settings_has_a_series(server, models):
    found = scrape(server(models))
    counted = {dict(labels)["limit"] for name, labels in found if name == "tensord_limit_hits_total"}
    # Two settings say together when this bites.
    together = {"reset_burst": "resets_per_s", "min_body_bytes_per_s": "body_timeout_ms"}
    rows = settings_of_limits()
    assert len(rows) > 10
    assert {together.get(row, row) for row in rows} <= counted


def raw(one, data):
    """What the server answers to some bytes, up to the end of the connection."""
    with socket.create_connection(one.address, timeout=60) as connection:
        connection.sendall(data)
        return connection.makefile("rb").read()


HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
LIMITS = {
    "max_header_bytes": (["--max-header-bytes", "1024"], HEAD + b"a: " + b"b" * 2000 + b"\r\n\r\n"),
    "max_header_fields": ([], HEAD + b"".join(b"a%d: b\r\n" % i for i in range(200)) + b"\r\n"),
    "max_target_bytes": ([], b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    "max_chunks": (["--max-chunks", "2"], b"POST /v2/repository/index HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
                   + b"1\r\n \r\n" * 5 + b"0\r\n\r\n"),
    "header_timeout_ms": (["--header-timeout-ms", "1000"], HEAD),
    "body_timeout_ms": (["--body-timeout-ms", "1000"], b"POST /v2/models/identity/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n\r\n{"),
    "idle_timeout_ms": (["--idle-timeout-ms", "1000"], HEAD + b"\r\n"),
    "max_json_mib": (["--max-json-mib", "1"], b"POST /v2/models/identity/infer HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 2000000\r\n\r\n"),
    "max_body_mib": (["--max-body-mib", "1"], b"POST /v2/models/identity/infer HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nInference-Header-Content-Length: 10\r\nContent-Length: 2000000\r\n\r\n"),
}


@pytest.mark.parametrize("limit", LIMITS)
def test_a_limit_that_bites_is_counted(server, models, limit):
    arguments, data = LIMITS[limit]
    one = server(models, *arguments).wait_ready("identity")
    assert value(scrape(one), "tensord_limit_hits_total", limit=limit) == 0
    raw(one, data)
    assert value(scrape(one), "tensord_limit_hits_total", limit=limit) >= 1


def test_a_full_queue_is_counted_and_seen(server, models):
    repositories.write_model(models, "chaos", "chaos", parameters={"batching": "no"})
    one = server(models, "--queue-limit", "2").wait_ready("chaos")
    body = json.dumps(repositories.request([1.0], wait_ms=60000)).encode()
    connections = [sockets.Connection(one.address) for _ in range(8)]
    for connection in connections:
        connection.send(sockets.request("POST", "/v2/models/chaos/infer", body=body))
    until(lambda: value(scrape(one), "tensord_limit_hits_total", limit="queue_limit") >= 1, 60, "a refusal")
    found = scrape(one)
    waiting = of_model(found, "tensord_queue_requests", "chaos")
    assert waiting == of_model(found, "nv_inference_pending_request_count", "chaos") and 1 <= waiting <= 2
    assert of_model(found, "nv_inference_request_failure", "chaos", reason="REJECTED") >= 1
    assert of_model(found, "tensord_tensor_memory_used_bytes", "chaos") > 0
    for connection in connections:
        connection.socket.close()
    until(lambda: of_model(scrape(one), "tensord_queue_requests", "chaos") == 0, 60, "an empty queue")


def test_more_versions_than_the_limit_share_their_series(server, tmp_path):
    folder = tmp_path / "models"
    for name in "abcde":
        repositories.write_model(folder, name, "identity")
    one = server(folder, "--metrics-models", "2")
    for name in "abcde":
        one.wait_ready(name)
        assert one.infer(name, repositories.request([1.0]))[0] == 200
    found = scrape(one)
    counts = {dict(labels)["model"]: number for (name, labels), number in found.items() if name == "nv_inference_request_success"}
    assert len(counts) == 3 and counts["(others)"] == 3 and sum(counts.values()) == 5
    assert value(found, "tensord_limit_hits_total", limit="metrics_models") == 3
    assert value(found, "tensord_model_versions", state="ready") == 5


def test_what_models_that_are_gone_have_counted_stays(server, tmp_path):
    """In the series that they shared with others: a counter that goes down would look as if the server had started anew."""
    folder = tmp_path / "models"
    for name in "abcd":
        repositories.write_model(folder, name, "identity")
    one = server(folder, "--metrics-models", "1", "--rescan-ms", "100")
    for name in "abcd":
        one.wait_ready(name)
        assert one.infer(name, repositories.request([1.0]))[0] == 200

    def others(name):
        return of_model(scrape(one), name, "(others)", "")

    before, loaded = others("nv_inference_request_success"), others("nv_model_load_duration_secs")
    for name in "abcd":
        shutil.rmtree(folder / name)
    until(lambda: not repositories.index(one), 60, "no model")
    assert before == others("nv_inference_request_success") == 3
    assert loaded > 0 == others("nv_model_load_duration_secs") == others("tensord_model_workers_ready")


def test_summaries_are_kept_when_asked_for(server, models):
    one = server(models, "--metrics-summaries").wait_ready("identity")
    infer(one, 10)
    found = scrape(one)
    assert FAMILIES <= set(re.findall(r"^# TYPE (\S+)", one.fetch("/metrics")[2].decode(), re.MULTILINE))
    for name in ("request", "queue", "compute_input", "compute_infer", "compute_output"):
        series = f"nv_inference_{name}_summary_us"
        assert of_model(found, f"{series}_count") == 10
        quantiles = [of_model(found, series, quantile=q) for q in ("0.5", "0.9", "0.95", "0.99", "0.999")]
        assert quantiles == sorted(quantiles)
    assert of_model(found, "nv_inference_request_summary_us_sum") == of_model(found, "nv_inference_request_duration_us")
    assert not any("summary" in name for name, _ in scrape(server(models)))


def test_the_process_and_its_workers_are_seen(server, models):
    repositories.write_model(models, "chaos", "chaos", parameters={"batching": "no"})
    one = server(models).wait_ready("identity").wait_ready("chaos")
    front = one.front()
    found = scrape(one)
    memory = front.memory_info()
    assert abs(value(found, "process_resident_memory_bytes") - memory.rss) < 4 << 20
    until(lambda: abs(value(scrape(one), "process_open_fds") - front.num_fds()) <= 3, 60, "the same count of descriptors")
    assert abs(value(found, "process_start_time_seconds") - front.create_time()) < 60
    assert value(found, "process_cpu_seconds_total") > 0
    assert value(found, "tensord_workers") == 2 and of_model(found, "tensord_model_workers") == 1
    assert 0 <= value(found, "nv_cpu_utilization") <= 1
    assert 0 < value(found, "nv_cpu_memory_used_bytes") <= value(found, "nv_cpu_memory_total_bytes")
    assert of_model(found, "nv_model_load_duration_secs") > 0 and of_model(found, "tensord_model_ready") == 1
    assert one.infer("chaos", repositories.request([1.0], die="abort"))[0] == 503
    one.wait_ready("chaos")
    until(lambda: of_model(scrape(one), "tensord_worker_restarts_total", "chaos") == 1, 60, "a restart")
    assert of_model(scrape(one), "tensord_worker_crashes_total", "chaos") == 1


def test_only_get_and_everywhere(server, models):
    one = server(models)
    assert one.fetch("/metrics", b"", method="POST")[0] == 405
    assert one.fetch("/metrics", method="HEAD")[2] == b""


def test_server_timing_is_told_to_whom_asks(server, models):
    one = server(models).wait_ready("identity")
    body = repositories.request([1.0])
    _, headers, _ = one.fetch("/v2/models/identity/infer", body)
    assert headers["Server-Timing"] is None
    _, headers, _ = one.fetch("/v2/models/identity/infer", body, headers={"X-Tensord-Timing": "1"})
    stages = dict(re.findall(r"(\w+);dur=(\d+\.\d{3})", headers["Server-Timing"]))
    assert list(stages) == ["parse", "queue", "batch", "execute"]
    assert 0 < sum(map(float, stages.values())) < 60000
    told = server(models, "--server-timing").wait_ready("identity")
    assert told.fetch("/v2/models/identity/infer", body)[1]["Server-Timing"]
