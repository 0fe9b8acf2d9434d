"""Tokens and the gate, through the wire: who may do what, and what everybody else is told."""
import base64
import http.client
import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import grpc
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from support import http2, processes
from support.repositories import request, write_model
from support.server import START_S, binary, fetch
from support.sockets import Connection, request as http_request
from support.tokens import bearer, create, revoke, tensord

UNLOAD, LOAD = "/v2/repository/models/{}/unload", "/v2/repository/models/{}/load"
NOBODY = pwd.getpwnam("nobody").pw_uid
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user takes root")


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "models"
    for name in ("iris", "secret"):
        write_model(folder, name, "identity", "INT32")
    return write_model(folder, "chaos", "chaos", "INT32", {"batching": "no"})


@pytest.fixture
def served(server, folder):
    return server(folder).wait_ready("iris").wait_ready("secret").wait_ready("chaos")


def post(server, path, secret=None, data=b"", **headers):
    return fetch(server.url + path, data, "POST", headers={**(bearer(secret) if secret else {}), **headers})


def status_of(server, secret, path="/v2"):
    return fetch(server.url + path, headers=bearer(secret))[0]


def infer(server, model, secret=None, **parameters):
    data = json.dumps(request([1, 2], datatype="INT32", **parameters)).encode()
    return post(server, f"/v2/models/{model}/infer", secret, data)


def call(server, method, message, secret=None, channel=None):
    """One gRPC call: (code, details or the response)."""
    metadata = [("authorization", f"Bearer {secret}")] if secret else None
    with grpc.insecure_channel(channel or server.netloc) as channel:
        try:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            return grpc.StatusCode.OK, getattr(stub, method)(message, metadata=metadata, timeout=60)
        except grpc.RpcError as error:
            return error.code(), error.details()


def audit(server, pattern):
    """Waits for a line of the audit log."""
    match = server.err.wait_for(pattern, START_S)
    assert match, server.err.text()
    return match


# ---- the first start ----


def test_a_first_start_leaves_an_admin_token_for_its_owner(server, folder):
    first = server(folder)
    secret, tokens = first.admin_token, (first.state_dir / "tokens").read_text()
    assert re.fullmatch(r"tensord_[0-9A-Za-z]{43}", secret)
    assert secret not in tokens and secret not in first.out.text() + first.err.text()
    for name in ("tokens", "admin-token"):
        assert (first.state_dir / name).stat().st_mode & 0o777 == 0o600
    first.stop()
    second = server(folder, "--state-dir", first.state_dir).wait_ready("iris")
    assert second.admin_token == secret and (first.state_dir / "tokens").read_text() == tokens
    assert post(second, UNLOAD.format("iris"), secret)[0] == 200


def test_loopback_without_a_token_may_infer_and_read_and_no_more(served):
    assert infer(served, "iris")[0] == 200
    for path in ("/v2", "/v2/models", "/v2/models/iris", "/v2/models/iris/ready"):
        assert fetch(served.url + path)[0] == 200
    status, headers, body = post(served, UNLOAD.format("iris"))
    assert status == 401 and headers["www-authenticate"] == 'Bearer realm="tensord"'
    assert "'deploy'" in json.loads(body)["error"]
    code, details = call(served, "RepositoryModelUnload", service_pb2.RepositoryModelUnloadRequest(model_name="iris"))
    assert code == grpc.StatusCode.UNAUTHENTICATED and "'deploy'" in details
    assert infer(served, "iris")[0] == 200


@pytest.mark.parametrize("anonymous, reading, inferring, unloading",
                         [("none", 401, 401, 401), ("read", 200, 401, 401), ("deploy", 200, 401, 200),
                          ("admin", 200, 200, 200)])
def test_what_those_without_a_token_may_do_can_be_said(server, folder, anonymous, reading, inferring, unloading):
    served = server(folder, "--anonymous", anonymous).wait_ready("iris")
    elsewhere = {"X-Forwarded-For": "10.0.0.1"}
    for headers in ({}, elsewhere):
        assert fetch(served.url + "/v2", headers=headers)[0] == reading
        data = json.dumps(request([1, 2], datatype="INT32")).encode()
        assert post(served, "/v2/models/iris/infer", data=data, **headers)[0] == inferring
    assert post(served, UNLOAD.format("iris"))[0] == unloading


def test_what_a_proxy_hands_on_is_not_local(served):
    for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"):
        assert fetch(served.url + "/v2", headers={name: "1.1 proxy"})[0] == 401
        assert fetch(served.url + "/v2/health/live", headers={name: "1.1 proxy"})[0] == 200
        assert fetch(served.url + "/v2", headers={name: "x", **bearer(served.admin_token)})[0] == 200


# ---- credentials ----


def test_tokens_are_shown_as_bearer_or_as_a_password(served):
    secret = create(served.state_dir, scope="deploy")
    processes.until(lambda: status_of(served, secret) == 200, START_S, "the token to be known")
    for value in (f"Bearer {secret}", f"bearer  {secret}", f"BEARER {secret}",
                  "Basic " + base64.b64encode(f"anybody:{secret}".encode()).decode()):
        assert post(served, UNLOAD.format("iris"), Authorization=value)[0] == 200
    for metadata in (f"Bearer {secret}", "Basic " + base64.b64encode(f":{secret}".encode()).decode()):
        with grpc.insecure_channel(served.netloc) as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            stub.RepositoryModelUnload(service_pb2.RepositoryModelUnloadRequest(model_name="iris"), timeout=60,
                                       metadata=[("authorization", metadata)])


def test_wrong_tokens_are_refused(served):
    secret = served.admin_token
    wrong = [secret[:-1], secret + "x", secret[:-1] + ("a" if secret[-1] != "a" else "b"), "tensord_" + "a" * 43,
             secret.upper(), "x", "a" * 8000]
    for one in wrong:
        status, headers, _ = post(served, UNLOAD.format("iris"), one)
        assert status == 401 and 'error="invalid_token"' in headers["www-authenticate"], one
    # What stands in the file opens nothing.
    [hashed] = re.findall(r"sha256=(\w+)", (served.state_dir / "tokens").read_text())
    assert post(served, UNLOAD.format("iris"), hashed)[0] == 401
    # A wrong token is no better than none where none would do, and no worse for health.
    assert status_of(served, wrong[0]) == 401
    assert status_of(served, wrong[0], "/v2/health/live") == 200


@pytest.mark.parametrize("value, status", [
    ("", 401), ("Bearer", 400), ("Bearer ", 400), ("Bearer a b", 400), ("Digest x", 401), ("Basic !!!", 400),
    ("Basic dXNlcg==", 400), ("Basic " + "A" * 4000, 400), ("Bearer \xff\xfe", 401), ("Bearer " + "a" * (1 << 20), 431),
])
def test_malformed_credentials_are_refused(served, value, status):
    with Connection(served.address) as client:
        client.send(f"GET /v2 HTTP/1.1\r\nHost: localhost\r\nAuthorization: {value}\r\n\r\n".encode("latin-1"))
        assert client.response().status == status


def test_two_authorizations_are_one_too_many(served):
    field = f"Authorization: Bearer {served.admin_token}\r\n"
    for second in (field, "authorization: Basic x\r\n"):
        with Connection(served.address) as client:
            client.send(f"GET /v2 HTTP/1.1\r\nHost: localhost\r\n{field}{second}\r\n".encode())
            assert client.response().status == 400
    field = (b"authorization", b"Bearer " + served.admin_token.encode())
    with http2.Http2(served.address) as client:
        client.send(http2.headers(1, http2.header_block("/v2", "GET", field, field)))
        assert client.answer(1).status == 400


def test_a_token_in_the_address_is_refused_and_never_logged(server, folder):
    served = server(folder, "--log-level", "debug").wait_ready("iris")
    secret = served.admin_token
    for query in (f"token={secret}", f"access_token={secret}", f"x={secret}", "api_key=sesame", f"%74oken={secret}",
                  f"x=tensord%5F{secret[8:]}"):
        for path in ("/v2", "/v2/health/live", "/nowhere", UNLOAD.format("iris")):
            status, _, body = post(served, f"{path}?{query}", secret)
            assert status == 400 and secret[8:].encode() not in body and b"sesame" not in body
    assert post(served, UNLOAD.format("iris") + "?token_count=5", secret)[0] == 200
    served.stop()
    assert secret[8:] not in served.err.text() and "sesame" not in served.err.text()


# ---- scopes ----


def test_a_scope_that_is_lacking_is_named(served):
    secret = create(served.state_dir, scope="infer")
    processes.until(lambda: status_of(served, secret) == 200, START_S)
    status, headers, body = post(served, UNLOAD.format("iris"), secret)
    assert status == 403 and 'error="insufficient_scope"' in headers["www-authenticate"]
    assert "'deploy'" in json.loads(body)["error"]
    message = service_pb2.RepositoryModelUnloadRequest(model_name="iris")
    assert call(served, "RepositoryModelUnload", message, secret)[0] == grpc.StatusCode.PERMISSION_DENIED


def test_what_is_not_there_is_for_those_to_know_who_may_look(server, folder):
    served = server(folder, "--anonymous", "none")
    for path, method, known in (("/nowhere", "GET", 404), ("/v2/models/x/y/z", "GET", 404), ("/v2", "DELETE", 405)):
        assert fetch(served.url + path, method=method)[0] == 401
        assert fetch(served.url + path, method=method, headers=bearer(served.admin_token))[0] == known
    with http2.Http2(served.address) as client:
        assert client.call(http2.grpc_message(b""), path="/no.Service/Method")[0] == 16
        field = (b"authorization", b"Bearer " + served.admin_token.encode())
        assert client.call(http2.grpc_message(b""), field, path="/no.Service/Method", stream=3)[0] == 12


# ---- models of others ----


def test_models_of_others_are_as_if_they_were_not_there(served):
    secret = create(served.state_dir, scope="infer,deploy", model="ir*,absent")
    processes.until(lambda: status_of(served, secret) == 200, START_S)
    for method, path in (("GET", "/v2/models/{}"), ("GET", "/v2/models/{}/versions/1"), ("GET", "/v2/models/{}/ready"),
                         ("GET", "/v2/models/{}/versions/1/ready"), ("POST", "/v2/models/{}/infer"),
                         ("POST", "/v2/models/{}/versions/1/infer"), ("POST", UNLOAD), ("POST", LOAD)):
        data = json.dumps(request([1, 2], datatype="INT32")).encode() if method == "POST" else None
        answers = []
        for name in ("secret", "absent"):
            status, headers, body = fetch(served.url + path.format(name), data, method, headers=bearer(secret))
            answers.append((status, headers["content-type"], body.replace(name.encode(), b"NAME")))
        assert answers[0] == answers[1] and answers[0][0] >= 400
        assert fetch(served.url + path.format("iris"), data, method, headers=bearer(secret))[0] == 200
    served.wait_ready("iris")
    assert json.loads(fetch(served.url + "/v2/models", headers=bearer(secret))[2]) == {"models": ["iris"]}
    [only] = json.loads(post(served, "/v2/repository/index", secret)[2])
    assert only["name"] == "iris"


def test_models_of_others_are_not_there_over_grpc_either(served):
    secret = create(served.state_dir, scope="infer,deploy", model="iris")
    processes.until(lambda: status_of(served, secret) == 200, START_S)

    def ask(name):
        message = service_pb2.ModelInferRequest(model_name=name, raw_input_contents=[b"\1\0\0\0"])
        message.inputs.add(name="x", datatype="INT32", shape=[1])
        yield "ModelInfer", message
        yield "ModelMetadata", service_pb2.ModelMetadataRequest(name=name)
        yield "ModelReady", service_pb2.ModelReadyRequest(name=name)
        yield "RepositoryModelLoad", service_pb2.RepositoryModelLoadRequest(model_name=name)
        yield "RepositoryModelUnload", service_pb2.RepositoryModelUnloadRequest(model_name=name)

    for (method, others), (_, absent) in zip(ask("secret"), ask("absent"), strict=True):
        code, details = call(served, method, others, secret)
        again, expected = call(served, method, absent, secret)
        assert code == again and str(details).replace("secret", "absent") == str(expected)
        assert code != grpc.StatusCode.OK or not details.ready
    for method, message in ask("iris"):
        assert call(served, method, message, secret)[0] == grpc.StatusCode.OK
    _, index = call(served, "RepositoryIndex", service_pb2.RepositoryIndexRequest(), secret)
    assert [model.name for model in index.models] == ["iris"]


# ---- quotas ----


def test_a_rate_is_kept(served):
    secret = create(served.state_dir, rate="2/h", burst=5)
    processes.until(lambda: status_of(served, secret) != 401, START_S)
    statuses = [infer(served, "iris", secret)[0] for _ in range(6)]
    assert statuses == [200] * 4 + [429] * 2  # one was spent on finding the token known
    status, headers, body = infer(served, "iris", secret)
    assert status == 429 and 1700 < int(headers["retry-after"]) <= 1800 and b"rate" in body
    code, details = call(served, "ServerMetadata", service_pb2.ServerMetadataRequest(), secret)
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED and "rate" in details
    assert infer(served, "iris")[0] == 200  # others are not limited by it


def start_waiting(served, secret):
    """A request that runs until it is cancelled, sent but not answered."""
    client = Connection(served.address)
    body = json.dumps(request([1, 2], datatype="INT32", wait_ms=60000, log=1)).encode()
    client.send(http_request("POST", "/v2/models/chaos/infer", bearer(secret), body))
    assert served.err.wait_for("line 0 of many", START_S)
    return client


def ways_to_end(served, secret):
    """Each ends one running request of the token's, in another way."""
    authorization = (b"authorization", b"Bearer " + secret.encode())

    def answered():
        assert infer(served, "chaos", secret)[0] == 200

    def refused():
        assert post(served, "/v2/models/chaos/infer", secret, b"{")[0] == 400

    def left():
        start_waiting(served, secret).__exit__()

    def broken_off():
        start_waiting(served, secret).reset()

    def half_sent():
        with Connection(served.address) as client:
            client.send(http_request("POST", "/v2/models/chaos/infer", bearer(secret), b"x" * 100)[:-50])

    def reset_stream():
        with http2.Http2(served.address) as client:
            body = json.dumps(request([1, 2], datatype="INT32", wait_ms=60000, log=1)).encode()
            block = http2.header_block("/v2/models/chaos/infer", "POST", authorization)
            client.send(http2.headers(1, block, http2.END_HEADERS) + http2.data(1, body))
            assert served.err.wait_for("line 0 of many", START_S)
            client.send(http2.rst_stream(1))
            assert client.call(http2.grpc_message(b""), path="/inference.GRPCInferenceService/ServerLive", stream=3)[0] == 0

    def deadline():
        status, _, _ = infer(served, "chaos", secret, wait_ms=60000, timeout=50000)
        assert status == 503

    def worker_died():
        assert infer(served, "chaos", secret, die="exit")[0] == 503
        served.wait_ready("chaos")

    def grpc_cancelled():
        with grpc.insecure_channel(served.netloc) as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            message = service_pb2.ModelInferRequest(model_name="chaos", raw_input_contents=[b"\1\0\0\0"])
            message.inputs.add(name="x", datatype="INT32", shape=[1])
            message.parameters["wait_ms"].int64_param = 60000
            message.parameters["log"].int64_param = 1
            future = stub.ModelInfer.future(message, metadata=[("authorization", f"Bearer {secret}")])
            assert served.err.wait_for("line 0 of many", START_S)
            future.cancel()

    return [answered, refused, left, broken_off, half_sent, reset_stream, deadline, worker_died, grpc_cancelled]


def test_concurrency_is_given_back_however_a_request_ends(served):
    secret = create(served.state_dir, concurrency=1)
    processes.until(lambda: status_of(served, secret) == 200, START_S)
    for end in ways_to_end(served, secret):
        end()
        processes.until(lambda: status_of(served, secret) == 200, START_S, f"room after '{end.__name__}'")
    with start_waiting(served, secret):
        status, headers, body = infer(served, "iris", secret)
        assert status == 429 and headers["retry-after"] == "1" and b"running" in body
        assert status_of(served, secret) == 429
        code, _ = call(served, "ServerMetadata", service_pb2.ServerMetadataRequest(), secret)
        assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert status_of(served, secret, "/v2/health/ready") == 200  # health is nobody's quota
        assert infer(served, "iris", served.admin_token)[0] == 200
    processes.until(lambda: status_of(served, secret) == 200, START_S, "room at the end")


def test_streams_over_one_connection_count_one_by_one(served):
    secret = create(served.state_dir, concurrency=3)
    processes.until(lambda: status_of(served, secret) == 200, START_S)
    field = (b"authorization", b"Bearer " + secret.encode())
    with http2.Http2(served.address) as client:
        block = http2.header_block("/v2/models/iris/infer", "POST", field)
        for stream in (1, 3, 5, 7):
            client.send(http2.headers(stream, block, http2.END_HEADERS))
        assert client.answer(7).status == 429
        client.send(http2.rst_stream(1))
        client.send(http2.headers(9, http2.header_block("/v2", "GET", field)))
        assert client.answer(9).status == 200


# ---- changes while the server runs ----


def test_tokens_come_and_go_without_a_restart(server, folder, tmp_path):
    log = tmp_path / "audit.log"
    served = server(folder, "--audit-log", log).wait_ready("iris")
    secret = create(served.state_dir, name="laptop", scope="deploy")
    created = audit(served, r"token-created (\w{8}) laptop \(deploy\): ok")
    assert post(served, UNLOAD.format("iris"), secret)[0] == 200
    audit(served, rf"unload iris: ok \(by token {created.group(1)} laptop, from 127\.0\.0\.1:\d+\)")
    assert post(served, LOAD.format("nope"), secret)[0] == 400
    audit(served, r"load nope: failed to load 'nope'")
    revoke(served.state_dir, created.group(1))
    audit(served, rf"token-revoked {created.group(1)} laptop")
    assert post(served, LOAD.format("iris"), secret)[0] == 401
    audit(served, r"refused /v2/repository/models/iris/load: the token is unknown or was revoked")
    assert post(served, LOAD.format("iris"), served.admin_token)[0] == 200
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["action"] for line in lines] == ["token-created", "unload", "load", "token-revoked", "refused", "load"]
    assert lines[1]["caller"] == f"token {created.group(1)}" and lines[1]["name"] == "laptop"
    assert lines[1]["object"] == "iris" and lines[1]["result"] == "ok" and lines[1]["peer"].startswith("127.0.0.1:")
    assert log.stat().st_mode & 0o777 == 0o600
    assert secret not in log.read_text() + served.err.text()


def test_a_token_expires(served):
    secret = create(served.state_dir, expires="1h")
    processes.until(lambda: status_of(served, secret) == 200, START_S)
    tokens = served.state_dir / "tokens"
    text = re.sub(r"expires=\S+", "expires=2020-01-01T00:00:00Z", tokens.read_text())
    (served.state_dir / "new").write_text(text)
    (served.state_dir / "new").chmod(0o600)
    (served.state_dir / "new").rename(tokens)
    processes.until(lambda: status_of(served, secret) == 401, START_S, "the end of the token")
    assert b"expired" in fetch(served.url + "/v2", headers=bearer(secret))[2]


def test_a_token_that_ends_by_the_clock_ends_by_itself(served):
    """Nothing but time passes: the file is not touched."""
    secret = create(served.state_dir, name="brief", expires="1h")
    processes.until(lambda: status_of(served, secret) == 200, START_S, "the token to be known")
    tokens = served.state_dir / "tokens"
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3))
    tokens.write_text(re.sub(r"expires=\S+", f"expires={soon}", tokens.read_text()))
    processes.until(lambda: status_of(served, secret) == 401, 60, "the end of the token")


def test_a_state_folder_that_is_moved_away_leaves_the_tokens_as_they_are(served):
    """The log says what helps; put back, it is heeded again."""
    folder, secret = served.state_dir, served.admin_token
    aside = folder.with_name("aside")
    folder.rename(aside)
    create(folder, scope="read")  # makes another one
    served.process.send_signal(signal.SIGHUP)
    audit(served, '"warning".*tokens-kept.*not the one that the server has opened: put that back, or restart')
    assert fetch(served.url + UNLOAD.format("iris"), b"", method="POST", headers=bearer(secret))[0] == 200
    shutil.rmtree(folder)
    aside.rename(folder)
    new = create(folder, scope="read")
    served.process.send_signal(signal.SIGHUP)
    processes.until(lambda: fetch(served.url + "/v2", headers=bearer(new))[0] == 200, START_S, "the new token")


@pytest.mark.parametrize("spoil, sentence", [
    (lambda file: file.write_text(file.read_text() + "nonsense\n"), "line 4: does not start with an id"),
    (lambda file: file.write_text(file.read_text().replace("scopes=", "scopes=root,")), "'root' is no scope"),
    (lambda file: file.chmod(0o644), "chmod 600"),
])
def test_a_spoiled_token_file_leaves_the_tokens_as_they_are(served, spoil, sentence):
    secret = served.admin_token
    spoil(served.state_dir / "tokens")
    audit(served, '"warning".*tokens-kept.*' + re.escape(sentence))
    assert post(served, UNLOAD.format("iris"), secret)[0] == 200
    (served.state_dir / "tokens").write_text("")
    (served.state_dir / "tokens").chmod(0o600)
    audit(served, "token-revoked")
    assert post(served, UNLOAD.format("iris"), secret)[0] == 401


@pytest.mark.parametrize("spoil, sentence", [
    (lambda state: (state / "tokens").write_text("nonsense\n"), "tokens: line 1: does not start with an id"),
    (lambda state: (state / "tokens").chmod(0o604), "mode 0604"),
    (lambda state: state.chmod(0o777), "others may write"),
    (lambda state: os.truncate(state / "tokens", 1 << 21), "too large"),
    pytest.param(lambda state: os.chown(state / "tokens", NOBODY, -1), f"uid {NOBODY}", marks=AS_ROOT),
])
def test_a_server_does_not_start_with_a_spoiled_token_file(server, folder, spoil, sentence):
    first = server(folder)
    first.stop()
    (first.state_dir / "tokens").chmod(0o600)
    spoil(first.state_dir)
    with pytest.raises(RuntimeError, match="did not start") as refusal:
        server(folder, "--state-dir", first.state_dir)
    assert sentence in str(refusal.value)


def test_settings_of_the_gate_are_reloaded(server, folder, tmp_path):
    config = tmp_path / "tensord.yaml"
    config.write_text("anonymous: auto\n")
    served = server(folder, "--config", config)
    assert fetch(served.url + "/v2")[0] == 200
    assert fetch(served.url + "/v2", headers={"Host": "a.example"})[0] == 421
    config.write_text("anonymous: none\nallowed_host: [A.example]\ncors_origin: [https://app.example]\n")
    served.process.send_signal(1)
    processes.until(lambda: fetch(served.url + "/v2")[0] == 401, START_S)
    assert fetch(served.url + "/v2/health/live", headers={"Host": "a.example"})[0] == 200
    assert fetch(served.url + "/v2/health/live", headers={"Origin": "https://app.example"})[0] == 200


# ---- where the server listens ----


def test_beyond_this_machine_it_wants_tls_or_to_be_told(folder):
    done = tensord("serve", folder, "--host", "0.0.0.0", "--port", 0)
    assert done.returncode == 2 and "--insecure" in done.stderr


def test_beyond_this_machine_a_token_is_made_and_shown_once(server, folder):
    served = server(folder, "--host", "0.0.0.0", "--insecure").wait_ready("iris")
    secret = re.search(r"export TENSORD_URL=\S+ TENSORD_TOKEN=(\S+)", served.out.text()).group(1)
    assert f"TENSORD_URL=http://{socket.gethostname()}:{served.port} " in served.out.text()
    stranger = {"X-Forwarded-For": "10.0.0.1"}
    assert fetch(served.url + "/v2", headers=stranger)[0] == 401
    assert fetch(served.url + "/v2", headers={**stranger, **bearer(secret)})[0] == 200
    assert post(served, UNLOAD.format("iris"), secret)[0] == 200
    for host, status in ((socket.gethostname(), 200), ("10.1.2.3:8000", 200), ("[2001:db8::1]", 200), ("evil.example", 421)):
        assert fetch(served.url + "/v2", headers={"Host": host})[0] == status
    served.stop()
    again = server(folder, "--host", "0.0.0.0", "--insecure", "--state-dir", served.state_dir)
    again.stop()
    assert "TENSORD_TOKEN" not in again.out.text()


def test_without_a_place_for_tokens_it_serves_this_machine_alone(server, folder, tmp_path):
    (tmp_path / "file").touch()
    served = server(folder, "--state-dir", tmp_path / "file" / "state").wait_anonymously("iris")
    assert served.err.wait_for("no tokens", START_S)
    assert infer(served, "iris")[0] == 200 and post(served, UNLOAD.format("iris"))[0] == 401
    with pytest.raises(RuntimeError, match="--state-dir"):
        server(folder, "--state-dir", tmp_path / "file" / "state", "--host", "0.0.0.0", "--insecure")


# Runs as another user, who is nobody here: asks over a unix socket and prints the statuses.
ASK_AS_ANOTHER = """
import json, os, socket, sys
os.setuid(int(sys.argv[1]))
for authorization in sys.argv[3:]:
    client = socket.socket(socket.AF_UNIX)
    client.connect(sys.argv[2])
    client.sendall(f"GET /v2 HTTP/1.0\\r\\n{authorization}\\r\\n\\r\\n".encode() if authorization else b"GET /v2 HTTP/1.0\\r\\n\\r\\n")
    print(client.makefile().readline().split()[1])
"""


def test_over_a_unix_socket_the_user_is_known(server, folder):
    # A short path, open to others: their names are what is at stake here, not the way to the socket.
    path = Path("/tmp") / f"tensord-{os.getpid()}.sock"
    served = server(folder, "--listen", f"unix:{path}", "--socket-mode", "0666").wait_ready("iris")
    with Connection(path) as client:
        client.send(http_request("POST", UNLOAD.format("iris"), host="anything.at.all"))
        assert client.response().status == 200
    message = service_pb2.RepositoryModelLoadRequest(model_name="iris")
    assert call(served, "RepositoryModelLoad", message, channel=f"unix:{path}")[0] == grpc.StatusCode.OK
    assert tensord("ls", "--to", f"unix:{path}").returncode == 0
    audit(served, rf"unload iris: ok \(by user {os.geteuid()}, from unix\)")
    if os.geteuid() == 0:
        shown = f"Authorization: Bearer {served.admin_token}"
        done = subprocess.run([sys.executable, "-c", ASK_AS_ANOTHER, str(NOBODY), path, "", shown], capture_output=True,
                              text=True, timeout=START_S)
        assert done.stdout.split() == ["401", "200"], done.stderr


# ---- the command line ----


def test_ls_asks_the_server_that_the_variable_names(server, folder):
    served = server(folder).wait_ready("iris")
    done = tensord("ls", environment={"TENSORD_URL": served.url})
    assert done.returncode == 0 and "iris" in done.stdout, done.stderr
    done = tensord("ls", "--to", served.url, environment={"TENSORD_URL": "unix:/nowhere"})
    assert done.returncode == 0, done.stderr
    assert "unix:" not in tensord("ls", environment={"TENSORD_URL": ""}).stderr


def test_ls_shows_the_admins_token_to_its_own_server(server, folder):
    served = server(folder, "--anonymous", "none").wait_ready("iris")
    own = {"XDG_STATE_HOME": str(served.state_dir.parent)}
    done = tensord("ls", "--to", served.url, environment=own)
    assert done.returncode == 0 and "iris" in done.stdout, done.stderr
    without = {"XDG_STATE_HOME": str(folder)}
    done = tensord("ls", "--to", served.url, environment=without)
    assert done.returncode != 0 and "401" in done.stderr
    secret = create(served.state_dir, scope="read", model="chaos")
    processes.until(lambda: status_of(served, secret) == 200, START_S)
    for how in ({"environment": {"TENSORD_TOKEN": secret, **own}}, {}):
        done = tensord("ls", "--to", served.url, *([] if how else ["--token", secret]), **how)
        assert done.returncode == 0 and "chaos" in done.stdout and "iris" not in done.stdout
    assert tensord("ls", "--to", served.url, "--token", "a\r\nb: c").returncode != 0


# Listens on a free port, says which, wants a token, and prints what it gets.
LISTEN_AS = """
import os, socket, sys
os.setuid(int(sys.argv[1]))
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
for _ in range(2):
    client, _ = server.accept()
    print(client.recv(65536), flush=True)
    client.sendall(b"HTTP/1.1 401 Unauthorized\\r\\n\\r\\n[]")
    client.close()
"""


@AS_ROOT
@pytest.mark.parametrize("uid, shown", [(os.geteuid(), True), (NOBODY, False)])
def test_the_admins_token_goes_to_nobody_elses_server(server, folder, uid, shown):
    state = server(folder).state_dir
    with subprocess.Popen([sys.executable, "-c", LISTEN_AS, str(uid)], stdout=subprocess.PIPE, text=True) as other:
        port = int(other.stdout.readline())
        tensord("ls", "--to", f"http://127.0.0.1:{port}", environment={"XDG_STATE_HOME": str(state.parent)})
        first, second = other.stdout.readlines()
        assert "Bearer" not in first and ("Bearer tensord_" in second) == shown


def test_token_commands(tmp_path):
    state = tmp_path / "state"
    secret = create(state, name="ann", scope="infer,deploy", model="a*,b", expires="30d", rate="20/m", burst=5,
                    concurrency=2)
    assert re.fullmatch(r"tensord_\w{43}", secret)
    create(state, name="bob")
    listed = tensord("token", "ls", "--state-dir", state).stdout
    assert [line.split()[1] for line in sorted(listed.splitlines()[1:], key=lambda line: line.split()[1])] == ["admin", "ann", "bob"]
    [ann] = [line for line in listed.splitlines() if " ann " in line]
    assert ann.split()[2:4] == ["infer,deploy", "a*,b"] and ann.split()[5:8] == ["20/m", "5", "2"]
    assert secret not in listed
    revoke(state, "ann")
    revoke(state, [line.split()[0] for line in listed.splitlines() if " bob " in line][0])
    assert "ann" not in tensord("token", "ls", "--state-dir", state).stdout
    for arguments, sentence in ((["revoke", "ann"], "there is no token 'ann'"), (["revoke"], "Give its id or name"),
                                (["create", "--scope", "root"], "'root' is no scope"), (["create", "x"], "takes no argument"),
                                (["create", "--expires", "soon"], "a time from now 12h, 30d or 8w"), (["create", "--name", "a b"], "name has"),
                                (["create", "--burst", "5"], "--rate"), ([], "create, ls or revoke"), (["make"], "create, ls or revoke"),
                                (["create", "--model", "a b"], "without blanks")):
        done = tensord("token", *arguments, "--state-dir", state)
        assert done.returncode in (1, 2) and sentence in done.stderr and not done.stdout, (arguments, done)
    assert len((state / "tokens").read_text().splitlines()) == 3


def test_a_full_disk_leaves_the_token_file_as_it_was(tmp_path):
    """No room for the new file: the old one stays, and it is said."""
    state = tmp_path / "state"
    create(state, name="ann")
    before = (state / "tokens").read_bytes()
    done = subprocess.run(["bash", "-c", f"ulimit -f 0; trap '' XFSZ; exec {binary()} token create --state-dir {state}"],
                          capture_output=True, text=True, timeout=START_S)
    assert done.returncode == 1 and "cannot write" in done.stderr and not done.stdout
    assert (state / "tokens").read_bytes() == before and sorted(os.listdir(state)) == ["admin-token", "models", "tokens"]


def test_the_flood_of_refusals_is_not_a_flood_of_lines(server, folder, tmp_path):
    log = tmp_path / "audit.log"
    served = server(folder, "--audit-log", log)
    client = http.client.HTTPConnection(*served.address, timeout=60)
    for _ in range(1000):
        client.request("POST", UNLOAD.format("iris"))
        response = client.getresponse()
        assert response.status == 401 and response.read()
    count = len(log.read_text().splitlines())
    assert 0 < count < 900


# ---- web pages ----


METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND"]
PAGES = {
    "another site": ({"Origin": "http://evil.example"}, 403),
    "another port": ({"Origin": "http://localhost:3000"}, 403),
    "an opaque origin": ({"Origin": "null"}, 403),
    "a fetch from another site": ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),
    "a fetch from a neighbour": ({"Sec-Fetch-Site": "same-site"}, 403),
    "a navigation from another site": ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 403),
    "a preflight": ({"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}, 403),
    "a name made to point here": ({"Host": "evil.example"}, 421),
    "such a name with its own origin": ({"Host": "evil.example:8000", "Origin": "http://evil.example:8000"}, 421),
    "a name like ours": ({"Host": "localhost.evil.example"}, 421),
    "another address": ({"Host": "10.0.0.1"}, 421),
}
PATHS = ["/", "/v2", "/v2/health/live", "/v2/models/iris", "/v2/models/iris/infer", UNLOAD.format("iris"), "/nowhere"]


@pytest.mark.parametrize("page", PAGES)
def test_a_web_page_cannot_use_the_local_server(served, page):
    fields, status = PAGES[page]
    for method in METHODS:
        for path in PATHS:
            for secret in (None, served.admin_token):
                headers = {**(bearer(secret) if secret else {}), **fields}
                host = headers.pop("Host", served.netloc)
                with Connection(served.address) as client:
                    client.send(http_request(method, path, {**headers, "Connection": "close"}, host=host))
                    answer = client.rest()
                assert answer.startswith(f"HTTP/1.1 {status} ".encode()), (method, path, answer)
                assert b"access-control" not in answer.lower()


@pytest.mark.parametrize("page", PAGES)
def test_nor_over_http2(served, page):
    fields, status = PAGES[page]
    with http2.Http2(served.address) as client:
        for stream, (method, path) in enumerate((method, path) for method in METHODS for path in PATHS):
            fields = {name.lower(): value for name, value in fields.items()}
            host = fields.get("host", served.netloc)
            block = b"".join(http2.literal(name.encode(), value.encode()) for name, value in [
                (":method", method), (":scheme", "http"), (":path", path), (":authority", host),
                *((name, value) for name, value in fields.items() if name != "host")])
            client.send(http2.headers(2 * stream + 1, block))
            assert client.answer(2 * stream + 1).status == status, (method, path)


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"])
def test_forms_of_browsers_are_refused_and_those_of_programs_are_not(served, content_type):
    data = json.dumps(request([1, 2], datatype="INT32")).encode()
    for fields, status in (({}, 200), ({"User-Agent": "curl/8.0"}, 200), ({"User-Agent": "Mozilla/5.0 (X11)"}, 403),
                           ({"Referer": "http://evil.example/"}, 403), ({"Referer": f"{served.url}/x", "User-Agent": "Mozilla/5.0"}, 200),
                           ({"Origin": "http://evil.example"}, 403), ({"Origin": served.url, "User-Agent": "Mozilla/5.0"}, 200)):
        headers = {"Content-Type": content_type, **fields}
        assert fetch(served.url + "/v2/models/iris/infer", data, headers=headers)[0] == status, fields


def test_pages_of_its_own_and_people_are_let_in(served):
    for fields in ({"Origin": served.url}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"},
                   {"Host": f"localhost:{served.port}"}, {"Host": "models.localhost"}, {"Host": "[::1]:8000"}):
        assert fetch(served.url + "/v2", headers=fields)[0] == 200, fields


def test_a_listed_site_may_use_the_server(server, folder):
    served = server(folder, "--cors-origin", "https://app.example,http://localhost:*").wait_ready("iris")
    asks = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type"}
    status, headers, body = fetch(served.url + "/v2/models/iris/infer", method="OPTIONS", headers=asks)
    assert (status, body) == (204, b"") and headers["access-control-allow-origin"] == "https://app.example"
    assert headers["access-control-allow-headers"] == "authorization,content-type" and headers["vary"] == "origin"
    data = json.dumps(request([1, 2], datatype="INT32")).encode()
    status, headers, _ = post(served, "/v2/models/iris/infer", data=data, Origin="https://app.example")
    assert status == 200 and headers["access-control-allow-origin"] == "https://app.example"
    status, headers, _ = post(served, UNLOAD.format("iris"), Origin="http://localhost:3000")
    assert status == 401 and headers["access-control-allow-origin"] == "http://localhost:3000"
    assert post(served, UNLOAD.format("iris"), Origin="https://app.example.evil.example")[0] == 403
    assert post(served, UNLOAD.format("iris"), Origin="https://app.example", Host="evil.example")[0] == 421
    with http2.Http2(served.address) as client:
        block = http2.header_block("/v2", "GET", (b"origin", b"https://app.example"))
        client.send(http2.headers(1, block))
        assert client.answer(1).fields["access-control-allow-origin"] == "https://app.example"


# ---- under load ----


def test_tokens_change_while_requests_run(served):
    """Requests of a token that goes finish; none is answered with anything but 200 or 401."""
    secret, statuses, stop = create(served.state_dir, name="busy"), [], threading.Event()
    processes.until(lambda: status_of(served, secret) == 200, START_S)

    def ask():
        while not stop.is_set():
            statuses.append(infer(served, "iris", secret)[0])

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for i in range(10):
        create(served.state_dir, name=f"other{i}")
    revoke(served.state_dir, "busy")
    processes.until(lambda: 401 in statuses, START_S, "the end of the token")
    stop.set()
    for thread in threads:
        thread.join()
    assert set(statuses) == {200, 401}
    assert status_of(served, served.admin_token) == 200
