"""The log: what a line says of a request, that nobody can make the server wait or fill a disk by it, and Triton's
logging and trace extensions."""
import json
import os
import pty
import re
import signal
import socket
import subprocess

import grpc
import pytest
import tritonclient.grpc
import tritonclient.http
from tritonclient.grpc import service_pb2, service_pb2_grpc

from support import processes, repositories, sockets
from support.collector import Collector
from support.processes import until
from support.server import ADDRESS, PORTS, Lines, binary, fetch, inherited

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def models(tmp_path):
    folder = tmp_path / "models"
    repositories.write_model(folder, "identity", "identity")
    repositories.write_model(folder, "chaos", "chaos", parameters={"batching": "no"})
    return folder


def lines(one, part="request"):
    """The lines of a part so far, decoded."""
    return [line for text in list(one.err.seen) if (line := json.loads(text))["part"] == part]


def line_of(one, request_id):
    """The one line about a request."""
    def found():
        return [line for line in lines(one) if line["request_id"] == request_id]

    [line] = until(found, 60, f"a line about {request_id}")
    return line


def metric(one, name):
    text = one.fetch("/metrics")[2].decode()
    return float(re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE).group(1))


def infer(one, model="identity", headers=None, **parameters):
    body = repositories.request([1.0], **parameters)
    return one.fetch(f"/v2/models/{model}/infer", body, headers=headers or {})


# ---- ids ----


def test_an_id_is_answered_and_stands_in_the_log(server, models):
    one = server(models).wait_ready("identity")
    _, headers, _ = one.fetch("/v2/models/nobody/infer", {}, headers={
        "X-Request-Id": "shop-42", "traceparent": f"00-{TRACE}-{PARENT}-00"})
    assert headers["X-Request-Id"] == "shop-42"
    line = line_of(one, "shop-42")
    assert line["trace_id"] == TRACE and line["status"] == 404 and line["level"] == "info"
    assert (line["method"], line["path"], line["protocol"]) == ("POST", "/v2/models/nobody/infer", "http/1.1")
    assert "not found" in line["message"] and line["duration_ms"] > 0 and line["peer"].startswith("127.0.0.1:")
    _, headers, _ = one.fetch("/v2", headers={"triton-request-id": "theirs"})
    assert headers["X-Request-Id"] == "theirs"


@pytest.mark.parametrize("id", ["", "a b", "x" * 129, '"', "a,b", "<b>", "\xe9"])
def test_an_id_that_makes_no_sense_is_replaced(server, models, id):
    one = server(models)
    _, headers, _ = one.fetch("/v2", headers={"X-Request-Id": id})
    made = headers["X-Request-Id"]
    assert re.fullmatch("[0-9a-f]{16}", made)
    assert one.fetch("/v2")[1]["X-Request-Id"] != made


def test_an_id_over_grpc_is_metadata(server, models):
    one = server(models).wait_ready("identity")
    with grpc.insecure_channel(one.netloc) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        _, call = stub.ServerLive.with_call(service_pb2.ServerLiveRequest(), metadata=[("x-request-id", "mine")])
        assert ("x-request-id", "mine") in call.initial_metadata()
        with pytest.raises(grpc.RpcError) as failed:
            stub.ModelInfer(service_pb2.ModelInferRequest(model_name="nobody"))
        metadata = dict([*failed.value.initial_metadata(), *failed.value.trailing_metadata()])
        assert line_of(one, metadata["x-request-id"])["grpc_status"] == 5
        with pytest.raises(grpc.RpcError):
            stub.ModelInfer(service_pb2.ModelInferRequest(model_name="nobody"), metadata=[("x-request-id", "lost")])
    line = line_of(one, "lost")
    assert (line["protocol"], line["status"], line["grpc_status"]) == ("grpc", 200, 5)


@pytest.mark.parametrize("data, status", [
    (b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", 505), (b"\x00\x01\x02\r\n\r\n", 400),
    (b"POST /v2/models/a/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400)])
def test_what_is_no_request_has_an_id_and_a_line_too(server, models, data, status):
    one = server(models)
    with sockets.Connection(one.address) as connection:
        connection.send(data)
        response = connection.response()
    assert response.status == status
    assert line_of(one, response.headers["x-request-id"])["status"] == status


# ---- what is logged ----


def test_failures_are_told_by_their_fault(server, models):
    one = server(models).wait_ready("identity").wait_ready("chaos")
    assert infer(one, "chaos", {"X-Request-Id": "ours"}, fail="no milk")[0] == 500
    assert one.fetch("/v2/models/identity/infer", b"{", headers={"X-Request-Id": "yours"})[0] == 400
    assert infer(one, headers={"X-Request-Id": "good"})[0] == 200
    assert (line_of(one, "ours")["level"], line_of(one, "ours")["message"]) == ("warning", "no milk")
    assert line_of(one, "yours")["level"] == "info"
    assert "good" not in [line["request_id"] for line in lines(one)]


def test_a_probe_that_is_told_no_is_no_failure(server, models):
    one = server(models, "--load", "explicit")
    for path in ("/v2/models/identity/ready", "/v2/models/nobody/ready"):
        assert one.fetch(path, headers={"X-Request-Id": "probe"})[0] >= 400
    assert one.fetch("/nothing", headers={"X-Request-Id": "other"})[0] == 404
    line_of(one, "other")
    assert "probe" not in [line["request_id"] for line in lines(one)]


@pytest.mark.parametrize("mode, good, bad", [("off", 0, 0), ("errors", 0, 1), ("all", 1, 1)])
def test_the_access_log_has_as_much_as_is_asked_for(server, models, mode, good, bad):
    one = server(models, "--access-log", mode).wait_ready("identity")
    assert infer(one, headers={"X-Request-Id": "good"})[0] == 200
    assert one.fetch("/nothing", headers={"X-Request-Id": "bad"})[0] == 404
    one.stop()
    seen = [line["request_id"] for line in lines(one)]
    assert (seen.count("good"), seen.count("bad")) == (good, bad)


def test_nobody_writes_lines_of_his_own(server, models):
    """Control characters, quotes and bytes that are no text reach the log escaped, terminals and parsers alike."""
    one = server(models)
    with sockets.Connection(one.address) as connection:
        connection.send(b"GET /a%22%5cb%1b%5b2J%c2%9b%ff HTTP/1.1\r\nHost: x\r\nX-Request-Id: odd\r\n\r\n")
        connection.response()
    line = line_of(one, "odd")
    raw = next(text for text in one.err.seen if '"odd"' in text)
    assert raw.rstrip("\n").isprintable()
    assert line["status"] in (400, 404)


def test_repeated_lines_are_left_out_and_counted(server, models):
    one = server(models)
    for _ in range(300):
        assert one.fetch("/nothing")[0] == 404
    assert metric(one, 'tensord_limit_hits_total{limit="log_rate"}') >= 300 - 2 * 101
    one.stop()
    assert len(lines(one)) <= 210  # a period may have ended meanwhile


# ---- where it goes ----


def start(models, state, *arguments, stderr, environment=None):
    command = [binary(), "serve", str(models), *PORTS, *arguments]
    process = subprocess.Popen(command, cwd=state, env={**inherited(), "XDG_STATE_HOME": str(state), **(environment or {})},
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, text=True)
    match = Lines(process.stdout).wait_for(ADDRESS, 60)
    assert match
    return process, f"{match[1]}://{match[2]}:{match[3]}"


def test_a_reader_that_does_not_read_costs_lines_and_no_time(models, tmp_path):
    reader, writer = os.pipe()
    process, url = start(models, tmp_path, "--access-log", "all", stderr=writer)
    try:
        for _ in range(1000):  # far more than a pipe holds
            assert fetch(url + "/v2?" + "x" * 100)[0] == 200
        text = fetch(url + "/metrics")[2].decode()
        dropped = int(re.search(r"^tensord_log_lines_dropped_total (\d+)$", text, re.MULTILINE).group(1))
        assert dropped > 0
        os.close(writer)
        with os.fdopen(reader) as stream:
            seen = Lines(stream)
            until(lambda: fetch(url + "/v2/models")[0] == 200 and any("/v2/models" in line for line in list(seen.seen)),
                  60, "the log")
            told = [json.loads(line)["message"] for line in seen.seen if '"part":"log"' in line]
            assert any(re.match(r"\d+ lines were dropped", message) for message in told)
            assert all(line.endswith("}\n") for line in seen.seen)  # none was cut
            process.terminate()
            assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()


def test_standard_output_that_nobody_reads_holds_nothing_up(models, tmp_path):
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    os.set_blocking(writer, True)
    path = tmp_path / "socket"
    process = subprocess.Popen([binary(), "serve", str(models), "--listen", f"unix:{path}"], cwd=tmp_path,
                               env={**inherited(), "XDG_STATE_HOME": str(tmp_path)}, stdin=subprocess.DEVNULL,
                               stdout=writer, stderr=subprocess.DEVNULL)
    try:
        until(path.exists, 60, "the socket")

        def is_ready():
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(60)
                connection.connect(str(path))
                connection.sendall(b"GET /v2/models/identity/ready HTTP/1.0\r\n\r\n")
                return b"200 OK" in connection.recv(4096)

        until(is_ready, 60, "a ready model, which is announced")
        process.terminate()
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        os.close(reader)
        os.close(writer)


def test_output_that_nobody_will_read_any_more_is_dropped(models, tmp_path):
    """As in `tensord serve 2>&1 | head -1`: all processes go on, the spawner too, which speaks of an upgrade."""
    process = subprocess.Popen([binary(), "serve", str(models), *PORTS], cwd=tmp_path, text=True,
                               env={**inherited(), "XDG_STATE_HOME": str(tmp_path)}, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        while not (match := ADDRESS.search(line := process.stdout.readline())):
            assert line
        process.stdout.close()
        url = f"{match[1]}://{match[2]}:{match[3]}"

        def front():
            return processes.named(process.pid, "front")

        [old] = front()
        process.send_signal(signal.SIGUSR2)
        until(lambda: [one for one in front() if one != old], 60, "another front")
        old.wait(60)
        until(lambda: fetch(url + "/v2/models/chaos/ready")[0] == 200, 60, "a ready model")
        assert fetch(url + "/v2/models/chaos/infer", repositories.request([1], log=5))[0] == 200
        process.terminate()
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("no_color", ["", "1"])
def test_on_a_terminal_lines_are_text_in_colour(models, tmp_path, no_color):
    master, terminal = pty.openpty()
    process, url = start(models, tmp_path, stderr=terminal, environment={"NO_COLOR": no_color})
    os.close(terminal)
    seen = b""
    assert fetch(url + "/nothing")[0] == 404
    process.terminate()
    while True:
        try:
            seen += os.read(master, 4096)
        except OSError:  # the last writer is gone
            break
    assert process.wait(60) == 0
    [line] = [line for line in seen.decode().split("\r\n") if " request: " in line]
    level = "info   " if no_color else "\x1b[32minfo   \x1b[0m"
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z " + re.escape(level) + " request: Not Found request_id=", line)
    assert os.get_blocking(master)


# ---- Triton's logging extension ----


def owner(one):
    """What shows Triton's clients to be the server's owner, who alone may change its settings."""
    return {"authorization": f"Bearer {one.admin_token}"}


def test_levels_are_switched_while_it_runs(server, models):
    one = server(models).wait_ready("identity")
    with tritonclient.http.InferenceServerClient(one.netloc) as client:
        settings = client.get_log_settings(headers=owner(one))
        assert settings == {"log_file": "", "log_info": True, "log_warning": True, "log_error": True,
                            "log_verbose_level": 0, "log_format": "ISO8601"}
        assert client.update_log_settings({"log_info": False}, headers=owner(one))["log_info"] is False
    assert one.fetch("/nothing", headers={"X-Request-Id": "silent"})[0] == 404
    with tritonclient.grpc.InferenceServerClient(one.netloc) as client:
        settings = client.get_log_settings(headers=owner(one)).settings
        assert settings["log_info"].bool_param is False and settings["log_verbose_level"].uint32_param == 0
        client.update_log_settings({"log_info": True, "log_verbose_level": 1}, headers=owner(one))
    assert one.get("/v2/logging")["log_verbose_level"] == 1
    assert one.fetch("/nothing", headers={"X-Request-Id": "loud"})[0] == 404
    line_of(one, "loud")
    assert "silent" not in [line["request_id"] for line in lines(one)]


@pytest.mark.parametrize("change, status, sentence", [
    ({"log_file": "/tmp/x"}, 501, "log_file cannot be set"),
    ({"log_format": "default"}, 501, "log_format cannot be set"),
    ({"log_info": "yes"}, 400, "true or false"),
    ({"log_verbose_level": -1}, 400, ""),
    ({"log_lots": True}, 400, "unknown log setting"),
    ({"log_info": None}, 400, ""),
    ([], 400, ""),
])
def test_a_log_setting_that_makes_no_sense_changes_nothing(server, models, change, status, sentence):
    one = server(models)
    before = one.get("/v2/logging")
    both = {"log_error": False, **change} if isinstance(change, dict) else change
    answer = one.fetch("/v2/logging", both)
    assert answer[0] == status and sentence in json.loads(answer[2])["error"]
    assert one.get("/v2/logging") == before


# ---- Triton's trace extension ----

OFF = {"trace_level": ["OFF"], "trace_rate": "1", "trace_count": "-1", "log_frequency": "0", "trace_file": "",
       "trace_mode": "opentelemetry"}


@pytest.fixture
def collector():
    started = Collector()
    yield started
    started.close()


def test_without_a_collector_traces_are_off_and_stay_so(server, models):
    one = server(models).wait_ready("identity")
    assert one.get("/v2/trace/setting") == one.get("/v2/models/identity/trace/setting") == OFF
    status, _, body = one.fetch("/v2/trace/setting", {"trace_level": ["TIMESTAMPS"]})
    assert status == 400 and "--trace-endpoint" in json.loads(body)["error"]


def test_trace_settings_act(server, models, collector):
    one = server(models, environment=collector.environment).wait_ready("identity").wait_ready("chaos")
    traced = 'tensord_trace_requests_total{outcome="queued"}'
    with tritonclient.http.InferenceServerClient(one.netloc) as client:
        assert client.get_trace_settings(headers=owner(one)) == {**OFF, "trace_level": ["TIMESTAMPS"]}
        assert client.update_trace_settings(settings={"trace_level": "OFF"}, headers=owner(one)) == OFF
        before = metric(one, traced)
        assert infer(one)[0] == 200 and metric(one, traced) == before
        # A model's own settings; what they do not say, the server's do.
        answer = client.update_trace_settings("identity", {"trace_level": ["TIMESTAMPS"], "trace_count": "2"}, headers=owner(one))
        assert answer == {**OFF, "trace_level": ["TIMESTAMPS"], "trace_count": "2"}
    for _ in range(4):
        assert infer(one)[0] == infer(one, "chaos")[0] == 200
    assert metric(one, traced) == before + 2
    with tritonclient.grpc.InferenceServerClient(one.netloc) as client:
        settings = client.get_trace_settings("identity", headers=owner(one)).settings
        assert list(settings["trace_count"].value) == ["0"]
        # null: the server's again.
        client.update_trace_settings("identity", {"trace_count": None, "trace_level": None}, headers=owner(one))
        assert list(client.get_trace_settings("identity", headers=owner(one)).settings["trace_level"].value) == ["OFF"]
        client.update_trace_settings(settings={"trace_level": None, "trace_rate": ["4000000000"]}, headers=owner(one))
    assert one.get("/v2/models/chaos/trace/setting") == {**OFF, "trace_level": ["TIMESTAMPS"], "trace_rate": "4000000000"}
    before = metric(one, traced)
    assert infer(one)[0] == 200 and metric(one, traced) == before
    assert one.fetch("/v2/trace/setting", {"trace_rate": None})[0] == 200
    assert infer(one)[0] == 200 and metric(one, traced) > before


@pytest.mark.parametrize("path, change, status", [
    ("/v2/trace/setting", {"trace_file": "x"}, 501),
    ("/v2/trace/setting", {"trace_mode": "triton"}, 501),
    ("/v2/trace/setting", {"log_frequency": "7"}, 501),
    ("/v2/trace/setting", {"trace_level": ["TENSORS"]}, 501),
    ("/v2/trace/setting", {"trace_level": ["LOUD"]}, 400),
    ("/v2/trace/setting", {"trace_level": []}, 400),
    ("/v2/trace/setting", {"trace_rate": "0"}, 400),
    ("/v2/trace/setting", {"trace_rate": "4294967296"}, 400),
    ("/v2/trace/setting", {"trace_rate": "18446744073709551615"}, 400),
    ("/v2/trace/setting", {"trace_rate": 5}, 400),
    ("/v2/trace/setting", {"trace_rate": ["1", "2"]}, 400),
    ("/v2/trace/setting", {"trace_count": "-2"}, 400),
    ("/v2/trace/setting", {"trace_speed": "9"}, 400),
    ("/v2/models/nobody/trace/setting", {}, 404),
    ("/v2/models/identity/versions/1/trace/setting", {}, 404),
])
def test_a_trace_setting_that_makes_no_sense_changes_nothing(server, models, collector, path, change, status):
    one = server(models, environment=collector.environment).wait_ready("identity")
    before = one.get("/v2/trace/setting")
    answer = one.fetch(path, {"trace_count": "5", **change} if change else {})
    assert answer[0] == status, answer
    assert json.loads(answer[2])["error"]
    assert one.get("/v2/trace/setting") == before


def test_one_client_s_settings_over_grpc_are_refused_as_over_rest(server, models):
    one = server(models)
    with tritonclient.grpc.InferenceServerClient(one.netloc) as client:
        for change, code in (({"trace_file": ["x"]}, "UNIMPLEMENTED"), ({"trace_rate": ["0"]}, "INVALID_ARGUMENT")):
            with pytest.raises(tritonclient.grpc.InferenceServerException) as refused:
                client.update_trace_settings(settings=change, headers=owner(one))
            assert code in refused.value.status()
        with pytest.raises(tritonclient.grpc.InferenceServerException) as refused:
            client.update_log_settings({"log_file": "x"}, headers=owner(one))
        assert "UNIMPLEMENTED" in refused.value.status()
