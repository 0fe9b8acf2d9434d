"""The walk: every route of the table × every method × every kind of caller × every protocol. Whoever is not let in by the
table is refused, and only health is open."""
import json
import re
import subprocess

import pytest

from support import http2, processes
from support.repositories import write_model
from support.server import START_S, Server, binary, fetch, is_sanitized
from support.sockets import Connection, request as http_request
from support.tokens import bearer, create, revoke

METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND"]
OPEN = {"/", "/v2/health/live", "/v2/health/ready", "/inference.GRPCInferenceService/ServerLive",
        "/inference.GRPCInferenceService/ServerReady", "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"}

# Which scopes of a token will do for a route's.
ENOUGH = {
    "read": {"read", "infer", "deploy", "code", "admin"},
    "infer": {"infer", "admin"},
    "deploy": {"deploy", "code", "admin"},
    "code": {"code", "admin"},
    "admin": {"admin"},
}
# Kinds of callers and the scopes that they have; None: what they show is worth nothing.
CALLERS = {"nobody": set(), "bad": None, "expired": None, "revoked": None, "read": {"read"}, "infer": {"infer"},
           "deploy": {"deploy"}, "code": {"code"}, "admin": {"admin"}, "other tenant": {"infer", "deploy"}}
UNAUTHENTICATED, PERMISSION_DENIED = 16, 7


def routes():
    done = subprocess.run([binary(), "routes", "--json"], capture_output=True, text=True, timeout=START_S)
    return json.loads(done.stdout)


TABLE = routes()
REST = {(row["method"], row["path"]): row["scope"] for row in TABLE if row["protocol"] == "rest"}
GRPC = {row["path"]: row["scope"] for row in TABLE if row["protocol"] == "grpc"}


def make_secrets(state):
    """A secret for each kind of caller; None for the one that shows none."""
    secrets = {scope: create(state, scope=scope) for scope in ("read", "infer", "deploy", "code", "admin")}
    secrets |= {"nobody": None, "bad": "tensord_" + "x" * 43}
    secrets["revoked"] = create(state, name="revoked", scope="admin")
    revoke(state, "revoked")
    secrets["expired"] = create(state, scope="admin", expires="1h")
    tokens = state / "tokens"
    tokens.write_text(re.sub(r"expires=\S+", "expires=2020-01-01T00:00:00Z", tokens.read_text()))
    secrets["other tenant"] = create(state, scope="infer,deploy", model="other*")
    return secrets


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    """A server that listens on a port and on a unix socket, with a secret for each kind of caller."""
    folder, state = tmp_path_factory.mktemp("models"), tmp_path_factory.mktemp("state")
    write_model(folder, "iris", "identity", "INT32")
    server = Server(folder, "--listen", f"unix:{state}/s", "--allow-client-shm", "infer", state=state)
    server.unix = state / "s"
    server.wait_ready("iris")
    server.secrets = make_secrets(server.state_dir)
    processes.until(lambda: all(
        (fetch(server.url + "/v2", headers=bearer(secret))[0] == 200) == (CALLERS[who] is not None)
        for who, secret in server.secrets.items() if secret), START_S, "the tokens")
    yield server
    server.stop()


def verdict(scope, granted, local, same_user):
    """"in", 401 or 403."""
    if scope == "open":
        return "in"
    if granted is None:
        return 401
    if granted == set():  # shows no token
        granted = {"admin"} if same_user else {"infer"} if local else set()
        return "in" if granted & ENOUGH[scope] else 401
    return "in" if granted & ENOUGH[scope] else 403


def rest_steps():
    """(method, path of the table, path as it is asked for, scope); a model that is loaded, unloaded, removed or followed does
    not exist."""
    for path in sorted({path for _, path in REST} | set(GRPC) | {"/nowhere", "/v2/", "/v2/models/iris/nothing"}):
        for method in METHODS:
            model = "absent" if path.endswith(("load", "/events", "/logs")) or method == "DELETE" else "iris"
            scope = REST.get((("GET" if method == "HEAD" else method), path))
            filled = path.replace("{model}", model).replace("{version}", "1").replace("{sha256}", "0" * 64)
            yield method, filled.replace("{path}", "x").replace("{region}", "r"), scope


def check(step, who, status, expected, scope):
    if expected != "in":
        assert status == expected, (step, who, status)
    elif scope is None:
        assert status in (404, 405), (step, who, status)
    else:  # there is no Python in sanitizers' builds that could look after environments
        lacks_python = is_sanitized() and step[1].startswith("/tensord/v1/environments")
        explains = step[1].endswith(":explain")  # which nothing can
        assert status in ((400, 404, 503) if lacks_python else (404, 501) if explains else (200, 400, 404)), (step, who, status)


def fields_of(secret, forwarded):
    return {**(bearer(secret) if secret else {}), **({"X-Forwarded-For": "10.0.0.1"} if forwarded else {})}


@pytest.mark.parametrize("way", ["loopback", "elsewhere", "unix"])
@pytest.mark.parametrize("who", CALLERS)
def test_http1(walked, who, way):
    count = 0
    fields = fields_of(walked.secrets[who], way == "elsewhere")
    with Connection(walked.unix if way == "unix" else walked.address) as client:
        for method, path, scope in rest_steps():
            client.send(http_request(method, path, fields, host="localhost"))
            if method == "HEAD":
                status = int(client.take_until(b"\r\n\r\n").split()[1])
            else:
                status = client.response().status
            check((method, path), who, status, verdict(scope or "read", CALLERS[who], way == "loopback", way == "unix"), scope)
            count += 1
    assert count > len(METHODS) * (len(GRPC) + len(REST) / 2)


@pytest.mark.parametrize("way", ["loopback", "elsewhere", "unix"])
@pytest.mark.parametrize("who", CALLERS)
def test_http2(walked, who, way):
    fields = [(name.lower().encode(), value.encode()) for name, value in fields_of(walked.secrets[who], way == "elsewhere").items()]
    roomy = (http2.SETTINGS_INITIAL_WINDOW_SIZE, 1 << 20)
    with http2.Http2(walked.unix if way == "unix" else walked.address, roomy) as client:
        client.send(http2.window_update(0, 1 << 28))  # for all answers together
        for i, (method, path, scope) in enumerate(rest_steps()):
            client.send(http2.headers(2 * i + 1, http2.header_block(path, method, *fields)))
            status = client.answer(2 * i + 1).status
            check((method, path), who, status, verdict(scope or "read", CALLERS[who], way == "loopback", way == "unix"), scope)


@pytest.mark.parametrize("way", ["loopback", "elsewhere", "unix"])
@pytest.mark.parametrize("who", CALLERS)
def test_grpc(walked, who, way):
    """Also REST's paths as gRPC calls, which no service has."""
    fields = [(name.lower().encode(), value.encode()) for name, value in fields_of(walked.secrets[who], way == "elsewhere").items()]
    paths = [*GRPC, "/no.Service/Method", *sorted({path for _, path in REST})]
    with http2.Http2(walked.unix if way == "unix" else walked.address) as client:
        for i, path in enumerate(paths):
            scope = GRPC.get(path)
            expected = verdict(scope or "read", CALLERS[who], way == "loopback", way == "unix")
            ends = [(b"grpc-timeout", b"100m")] if path.endswith("/Watch") else []  # else it would go on
            code, _ = client.call(http2.grpc_message(b""), *fields, *ends, path=path, stream=2 * i + 1)
            if expected == "in":
                assert code not in (UNAUTHENTICATED, PERMISSION_DENIED) and (scope or code == 12), (path, who, code)
            else:
                assert code == {401: UNAUTHENTICATED, 403: PERMISSION_DENIED}[expected], (path, who, code)


def test_only_health_is_open():
    assert {row["path"] for row in TABLE if row["scope"] == "open"} == OPEN
    assert {row["scope"] for row in TABLE} <= set(ENOUGH) | {"open"}


def test_what_changes_something_is_not_for_readers():
    """A new route that posts must be looked at here before a reader may use it."""
    harmless = {"/v2/repository/index"}
    for (method, path), scope in REST.items():
        if method not in ("GET", "HEAD") and scope in ("read", "open"):
            assert path in harmless, path


@pytest.mark.parametrize("path", ["/v2/repository/models/iris%2funload", "/v2/repository//models/iris/unload",
                                  "/v2/./repository/models/iris/unload", "/v2/x/../repository/models/iris/unload",
                                  "/v2/repository/models/iris/unload/", "/v2/repository/models/iris/unload%00",
                                  "/V2/repository/models/iris/unload", "/v2/repository/models/iris/unload;x",
                                  "//v2/repository/models/iris/unload", "/v2/repository/models/iris/unload%20",
                                  "http://localhost/v2/repository/models/iris/unload", "/v2%2frepository/models/iris/unload",
                                  "/v2/repository/models/iris/%75nload", "/v2/repository/models/%69ris/unload"])
def test_no_spelling_of_a_path_goes_around_the_gate(walked, path):
    """Gate and router see the same path: either it is the route, and refused, or it is none."""
    for fields in ({}, {"X-Forwarded-For": "10.0.0.1"}, {"X-HTTP-Method-Override": "GET"}, {"X-Original-URL": "/"},
                   {"X-Rewrite-URL": "/v2/health/live"}):
        with Connection(walked.address) as client:
            client.send(http_request("POST", path, fields, host="localhost"))
            assert client.response().status in (400, 401, 404), (path, fields)
    assert fetch(walked.url + "/v2/models/iris/ready")[0] == 200


def test_a_token_of_one_request_is_not_the_next_ones(walked):
    """On one connection each request is judged by what it shows itself."""
    with Connection(walked.address) as client:
        unload = "/v2/repository/models/absent/unload"
        for secret, status in ((walked.secrets["admin"], 404), (None, 401), (walked.secrets["infer"], 403), ("x", 401)):
            client.send(http_request("POST", unload, bearer(secret) if secret else {}, host="localhost"))
            assert client.response().status == status
    with Connection(walked.address) as client:  # and so if they are sent together
        client.send(http_request("POST", unload, bearer(walked.secrets["admin"]), host="localhost")
                    + http_request("POST", unload, host="localhost"))
        assert [client.response().status for _ in range(2)] == [404, 401]
    with http2.Http2(walked.address) as client:  # the field is in HPACK's table: it must be sent again all the same
        field = http2.literal(b"authorization", b"Bearer " + walked.secrets["admin"].encode(), 0x40)
        client.send(http2.headers(1, http2.header_block(unload, "POST") + field))
        client.send(http2.headers(3, http2.header_block(unload, "POST")))
        assert [client.answer(stream).status for stream in (1, 3)] == [404, 401]


def test_upgrades_and_connects_are_no_way_in(walked):
    for head in ("CONNECT localhost:80 HTTP/1.1\r\nHost: localhost", "GET /v2/repository/index HTTP/1.1\r\nHost: localhost\r\n"
                 "X-Forwarded-For: 10.0.0.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__"):
        with Connection(walked.address) as client:
            client.send(f"{head}\r\n\r\n".encode())
            assert client.response().status in (400, 401, 404, 405, 501), head
