"""Managed servers, through the wire."""
import http.client
import json
import os
import signal
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.managed import (WITHOUT_NAMESPACES, apps, ask, needs_root, path_of, row_of, served_by_nobody,
                             told, write_server)
from support.processes import outlasting, until
from support.python_models import needs_python
from support.server import is_thread_sanitized
from support.sockets import Connection


class HalfSent:
    """A request whose body has come half: the server answers when finish() has sent the rest."""

    def __init__(self, server, name, path, size=1000):
        self.connection, fields = connection(server)
        self.half = size // 2
        self.connection.putrequest("POST", path_of(name, path))
        for field, value in {**fields, "Content-Length": str(2 * self.half)}.items():
            self.connection.putheader(field, value)
        self.connection.endheaders(b"x" * self.half)

    def finish(self):
        """(status, body) of the answer."""
        self.connection.send(b"x" * self.half)
        answer = self.connection.getresponse()
        body = answer.read()
        self.connection.close()
        return answer.status, body


def connection(server):
    """A connection that stays open, and the fields to send."""
    made = http.client.HTTPConnection(server.host, server.port, timeout=60)
    return made, {"Authorization": f"Bearer {server.admin_token}"}


@pytest.fixture(scope="module")
def echo(tmp_path_factory):
    """One server for all that changes nothing."""
    from support.server import Server

    folder = tmp_path_factory.mktemp("models")
    write_server(folder, "app", health="/health", environment={"COLOUR": "blue"})
    started = Server(folder, state=tmp_path_factory.mktemp("state"))
    started.wait_ready("app")
    yield started
    started.stop()


def test_requests_are_passed_on(echo):
    got = told(echo, "app", "/echo/some%20path?a=1&b=%2F", b"hello", headers={"X-Mine": "yes", "Content-Type": "text/x"})
    assert (got["method"], got["path"], got["query"], got["body"]) == ("POST", "/echo/some%20path", "a=1&b=%2F", "hello")
    assert got["fields"]["x-mine"] == "yes" and got["fields"]["content-type"] == "text/x"
    assert got["fields"]["content-length"] == "5" and got["fields"]["host"] == "localhost"
    assert got["fields"]["x-forwarded-prefix"] == "/tensord/v1/servers/app"
    assert got["fields"]["x-forwarded-for"] == "127.0.0.1"
    assert got["fields"]["x-forwarded-host"] == echo.netloc and got["fields"]["x-forwarded-proto"] == "http"


def test_the_token_is_not_passed_on(echo):
    got = told(echo, "app", "/echo", headers={"Cookie": "a=b"})
    assert "authorization" not in got["fields"] and "cookie" not in got["fields"]
    assert echo.admin_token not in json.dumps(got)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
def test_methods(echo, method):
    status, headers, body = echo.fetch(path_of("app", "/echo"), method=method)
    assert status == 200
    if method == "HEAD":
        assert body == b"" and int(headers["content-length"]) > 0
    else:
        assert json.loads(body)["method"] == method


@pytest.mark.parametrize("path", ["", "/"])
def test_the_root(echo, path):
    assert ask(echo, "app", path) == (200, b"root")


def test_statuses_are_its_own(echo):
    for status in (201, 204, 304, 404, 418, 500, 503):
        assert ask(echo, "app", f"/status?{status}")[0] == status


def test_redirects_stay_beneath_its_path(echo):
    client, fields = connection(echo)
    for given, expected in (("/there", path_of("app", "/there")), ("http://localhost/x", path_of("app", "/x")),
                            ("https://example.org/y", "https://example.org/y")):
        client.request("GET", path_of("app", f"/redirect?{given}"), headers=fields)
        answer = client.getresponse()
        answer.read()
        assert (answer.status, answer.headers["location"]) == (302, expected)
    client.close()


def test_pages_speak_for_themselves_alone(echo):
    """A page of a server must not act as one of tensord's own."""
    _, headers, _ = echo.fetch(path_of("app", "/page"))
    assert headers["content-security-policy"].startswith("sandbox ")
    assert "set-cookie" not in headers and "access-control-allow-origin" not in headers


def test_what_the_command_gets(echo):
    got = told(echo, "app", "/echo")
    environment = got["environment"]
    assert environment["COLOUR"] == "blue" and environment["PORT"] == got["argv"][0]
    assert environment["HOME"] == environment["TMPDIR"] != os.environ.get("HOME")
    assert Path(got["cwd"]).name == "app"
    assert not [name for name in environment if name.startswith("TENSORD")]


def test_large_bodies_both_ways(echo):
    size = 64 << 20
    status, body = ask(echo, "app", "/count", b"x" * size)
    assert (status, body) == (200, str(size).encode())
    status, body = ask(echo, "app", f"/large?{size}")
    assert status == 200 and len(body) == size and body[:256] == bytes(range(256)) == body[-256:]


def test_chunked_bodies(echo):
    client, fields = connection(echo)
    client.request("POST", path_of("app", "/count"), (b"x" * 1000 for _ in range(500)), fields, encode_chunked=True)
    assert client.getresponse().read() == b"500000"
    client.close()


def test_http2(echo):
    from support import http2

    with http2.Http2(echo.address) as client:
        client.send(http2.headers(1, http2.header_block(path_of("app", "/echo?x"), "GET")))
        answer = client.answer(1)
        assert answer.status == 200 and json.loads(answer.body)["query"] == "x"


def test_events_come_one_by_one(echo):
    """Each is acknowledged before the next one is sent: none waits for company."""
    client, fields = connection(echo)
    client.request("GET", path_of("app", "/events?5"), headers=fields)
    answer = client.getresponse()
    assert answer.headers["content-type"] == "text/event-stream"
    for i in range(5):
        assert answer.readline() == b"data: %d\n" % i and answer.readline() == b"\n"
        assert ask(echo, "app", f"/acknowledge?{i}")[0] == 200
    assert answer.read() == b""
    client.close()


def test_a_client_that_leaves_is_noticed(echo):
    client, fields = connection(echo)
    client.request("GET", path_of("app", "/forever"), headers=fields)
    client.getresponse().read(5000)
    client.sock.shutdown(socket.SHUT_RDWR)
    client.close()
    assert ask(echo, "app", "/gone") == (200, b"gone")


def test_who_does_not_read_holds_little(echo):
    """An answer without end is read no faster than its client does."""
    front = echo.front()
    resident = front.memory_info().rss
    client, fields = connection(echo)
    client.request("GET", path_of("app", f"/large?{1 << 30}"), headers=fields)
    answer = client.getresponse()
    answer.read(1 << 20)
    assert ask(echo, "app", "/pid")[0] == 200
    assert front.memory_info().rss - resident < 16 << 20
    client.close()


def test_requests_at_once(echo):
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda i: told(echo, "app", f"/echo?{i}")["query"], range(500)))
    assert answers == [str(i) for i in range(500)]


def test_inferences_say_where_its_paths_are(echo):
    status, body = echo.infer("app", {"inputs": []})
    assert status == 501 and "/tensord/v1/servers/app/" in body["error"]


def test_it_is_a_model_like_others(echo):
    described = echo.get("/v2/models/app")
    assert (described["platform"], described["inputs"], described["outputs"]) == ("server", [], [])
    row = row_of(echo)
    assert (row["state"], row["format"], row["engine"]) == ("ready", "server", "server")
    assert ask(echo, "app", "/pid")[0] == 200
    stats = echo.get("/v2/models/app/stats")["model_stats"][0]
    assert int(stats["inference_stats"]["success"]["count"]) > 0
    index = echo.fetch("/v2/repository/index", {}, method="POST")[2]
    assert json.loads(index)[0]["state"] == "READY"


def test_other_models_have_no_such_paths(server, repository):
    from support import models

    served = server(repository(add=models.add())).wait_ready("add")
    assert ask(served, "add", "/x")[0] == 404
    assert ask(served, "absent", "/x")[0] == 404


def test_what_is_said_at_the_start(echo):
    until(lambda: f"its paths are beneath {echo.url}/tensord/v1/servers/app/" in echo.out.text(), 30, "the line")


def test_its_sandbox(echo):
    """What the app may not: read the server's secrets, other models and files, reach the front's ports, see others."""
    def attempt(code):
        return ask(echo, "app", "/try", code.encode())[1].decode()

    secret = echo.state_dir / "admin-token"
    assert "Permission" in attempt(f"result = open({str(secret)!r}).read()")
    assert "Permission" in attempt("open('app.py', 'a')") or "Read-only" in attempt("open('app.py', 'a')")
    assert attempt("open(os.environ['TMPDIR'] + '/x', 'w').write('1'); result = 'fine'") == "fine"
    assert "refused" in attempt(f"socket.create_connection(('127.0.0.1', {echo.port}), 5)")
    assert "unreachable" in attempt("socket.create_connection(('192.0.2.1', 80), 5)").lower()
    assert "PermissionError" in attempt("os.unshare(os.CLONE_NEWUSER)") or "AttributeError" in attempt("os.unshare(0)")
    assert attempt("result = [name for name in os.listdir('/proc') if name.isdigit() and int(name) > 500]") == "[]"


# ---- who runs it, and where ----


@needs_root
@pytest.mark.skipif(is_thread_sanitized(), reason="a process with threads may not enter a user namespace")
def test_as_an_ordinary_user():
    """What a user may have without privilege is enough for the whole cage."""
    with served_by_nobody("/usr/bin/python3 -B app.py {port}", health="/health") as served:
        assert ask(served, "app", "/try", b"result = os.getuid(), len([n for n in os.listdir('/proc') if n.isdigit()])")[1] \
            == b"(65534, 2)"
        assert b"refused" in ask(served, "app", "/try", f"socket.create_connection(('127.0.0.1', {served.port}))".encode())[1]


def test_without_namespaces(server, tmp_path):
    """It shares the network then, on a port of its own, and still leaves nothing behind."""
    for name in ("one", "two"):
        write_server(tmp_path, name, health="/health", environment={"NAME": name})
    served = server(tmp_path, starter=WITHOUT_NAMESPACES).wait_ready("one").wait_ready("two")
    for name in ("one", "two"):
        assert told(served, name, "/echo")["environment"]["NAME"] == name
    assert ask(served, "one", "/try", f"socket.create_connection(('127.0.0.1', {served.port})); result = 1".encode())[1] == b"1"
    assert ask(served, "one", "/fork")[0] == 200
    processes = apps(served)
    assert len(processes) == 3
    for name in ("one", "two"):
        assert served.fetch(f"/v2/repository/models/{name}/unload", {}, method="POST")[0] == 200
    assert not outlasting(processes, 30)
    assert "the server shares this machine's network" in served.err.text()


def test_what_is_refused_without_namespaces(server, tmp_path):
    write_server(tmp_path / "models", "app")
    served = server(tmp_path / "models", "--listen", f"unix:{tmp_path}/s", starter=WITHOUT_NAMESPACES)
    until(lambda: row_of(served)["state"] == "failed", 60, "failed")
    assert "unix socket" in row_of(served)["reason"]
    with pytest.raises(RuntimeError, match="--sandbox=strict: workers cannot have namespaces"):
        server(tmp_path / "models", "--sandbox", "strict", starter=WITHOUT_NAMESPACES)


def test_its_own_unix_socket_is_out_of_reach(server, tmp_path):
    """There it would be the server's own user, who may do everything."""
    write_server(tmp_path / "models", "app")
    served = server(tmp_path / "models", "--listen", f"unix:{tmp_path}/s").wait_ready("app")
    code = f"s = socket.socket(socket.AF_UNIX); s.connect('{tmp_path}/s'); result = 'in'"
    assert b"Error" in ask(served, "app", "/try", code.encode())[1]


def test_with_the_network(server, tmp_path):
    write_server(tmp_path, "app", network=True)
    served = server(tmp_path).wait_ready("app")
    assert ask(served, "app", "/try", f"socket.create_connection(('127.0.0.1', {served.port})); result = 1".encode())[1] == b"1"


def test_a_home_that_is_kept(server, tmp_path):
    """What it writes there is there when it is started again; and nobody else's is."""
    for name in ("app", "a b%", "other"):
        write_server(tmp_path, name, keep_home=name != "other", health="/health")
    served = server(tmp_path).wait_ready("app").wait_ready("other").wait_ready("a%20b%25")
    assert ask(served, "app", "/try", b"open(os.environ['HOME'] + '/weights', 'w').write('kept'); result = 1")[1] == b"1"
    home = served.state_dir / "homes" / "app"
    assert (home / "weights").read_text() == "kept"
    assert b"Permission" in ask(served, "other", "/try", f"result = open('{home}/weights').read()".encode())[1]
    ask(served, "app", "/exit?0")
    until(lambda: ask(served, "app", "/try", b"result = open(os.environ['HOME'] + '/weights').read()")[1] == b"kept", 60, "it again")
    assert {path.name for path in home.parent.iterdir()} == {"app", "a%20b%25"}


def test_upgraded_under_load(server, tmp_path):
    """The new front starts servers of its own; the old ones finish what they have. No request fails."""
    write_server(tmp_path, "app", health="/health")
    served = server(tmp_path).wait_ready("app")
    stop, failures, count = threading.Event(), [], [0]

    def load():
        while not stop.is_set():
            status, body = ask(served, "app", "/echo", b"x" * 1000)
            count[0] += 1
            if status != 200:
                failures.append((status, body))

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    served.process.send_signal(signal.SIGUSR2)
    try:
        until(lambda: "upgraded: the new front serves" in served.err.text(), 120, "the upgrade")
        seen = count[0]
        until(lambda: count[0] > seen + 50, 60, "more requests")
    finally:
        stop.set()
    for thread in threads:
        thread.join()
    assert not failures, failures[:3]


def test_without_a_sandbox(server, tmp_path):
    write_server(tmp_path, "app", health="/health")
    served = server(tmp_path, "--sandbox", "off").wait_ready("app")
    assert told(served, "app", "/echo")["environment"]["HOME"]


@needs_python
def test_programs_of_its_environment_come_first(server, tmp_path):
    """As those of a requirements.txt would; here the environment is named."""
    import venv

    place = tmp_path / "environment"
    venv.create(place, symlinks=True)
    program = place / "bin" / "serve-it"
    program.write_text(f"#!{place}/bin/python -B\nimport runpy, sys; sys.argv = ['app.py', sys.argv[1]]; runpy.run_path('app.py')\n")
    program.chmod(0o755)
    path = write_server(tmp_path / "models", "app", "serve-it {port}", health="/health")
    config = json.loads((path / "model.yaml").read_text())
    (path / "model.yaml").write_text(json.dumps({**config, "python": {"interpreter": str(place)}}))
    served = server(tmp_path / "models").wait_ready("app")
    environment = told(served, "app", "/echo")["environment"]
    assert environment["PATH"].startswith(f"{place}/bin:") and environment["VIRTUAL_ENV"] == str(place)


def test_pushing_one_takes_the_scope_code(server, tmp_path):
    from support.tokens import create
    from tensord import Error, connect
    from tensord.commands.run import read_inputs

    served = server(None)
    path = write_server(tmp_path, "app", health="/health")
    tokens = [create(served.state_dir, scope=scope) for scope in ("deploy,infer", "code,infer")]
    until(lambda: all(served.fetch("/v2", headers={"Authorization": f"Bearer {token}"})[0] == 200 for token in tokens), 30, "tokens")
    deploy, code = [connect(served.url, token=token) for token in tokens]
    with pytest.raises(Error, match="scope 'code'"):
        deploy.push(path)
    model = code.push(path)
    assert model.server_url == served.url + "/tensord/v1/servers/app"
    assert ask(served, "app", "/pid")[0] == 200
    with pytest.raises(Error, match=f"managed server; its paths are beneath {model.server_url}/"):
        read_inputs(model, ["1"])  # of `tensord run`


# ---- start, stop, death ----


def test_requests_wait_while_it_starts(server, tmp_path):
    path = write_server(tmp_path, "app", health="/health", files={"slow": ""})
    served = server(tmp_path)
    until(lambda: row_of(served)["state"] == "loading", 30, "loading")
    with ThreadPoolExecutor(20) as pool:
        answers = [pool.submit(ask, served, "app", "/nothing") for _ in range(20)]
        until(lambda: row_of(served)["requests_waiting"] == 20, 60, "waiting")
        assert served.fetch("/v2/models/app/ready")[0] != 200
        (path / "slow").unlink()
        assert {answer.result()[1] for answer in answers} == {b"no such path"}


def test_health_that_never_comes(server, tmp_path):
    write_server(tmp_path, "app", health="/status?503", start_timeout_s=10)
    served = server(tmp_path)
    until(lambda: row_of(served)["state"] == "failed", 60, "failed")
    reason = row_of(served)["reason"]
    assert "start_timeout_s" in reason and "503" in reason
    status, body = ask(served, "app", "/")
    assert status == 503 and b"start_timeout_s" in body


@pytest.mark.parametrize("command, reason", [
    ("no-such-program --port {port}", "cannot execute 'no-such-program'"),
    ("sh -c 'echo no weights here >&2; exit 3' {port}", "no weights here"),
])
def test_commands_that_fail(server, tmp_path, command, reason):
    write_server(tmp_path, "app", command)
    served = server(tmp_path)
    until(lambda: row_of(served)["state"] == "failed", 60, "failed")
    assert reason in row_of(served)["reason"]


def test_it_is_restarted_when_it_dies(server, tmp_path):
    write_server(tmp_path, "app", health="/health")
    served = server(tmp_path).wait_ready("app")
    status, body = ask(served, "app", "/exit?3")
    assert status == 502 and b"ended before it answered (exited with status 3)" in body
    until(lambda: ask(served, "app", "/echo")[0] == 200, 60, "the next one")
    until(lambda: "the server exited with status 3" in served.err.text(), 30, "the reason")


def test_it_dies_in_the_middle_of_an_answer(server, tmp_path):
    write_server(tmp_path, "app")
    served = server(tmp_path).wait_ready("app")
    client, fields = connection(served)
    client.request("GET", path_of("app", "/die"), headers=fields)
    answer = client.getresponse()
    with pytest.raises(http.client.IncompleteRead):
        answer.read()
    client.close()
    until(lambda: ask(served, "app", "/pid")[0] == 200, 60, "the next one")


def test_idle_stop_and_wake(server, tmp_path):
    write_server(tmp_path, "app", health="/health", idle_after_s=1)
    served = server(tmp_path).wait_ready("app")

    for _ in range(2):
        until(lambda: row_of(served)["state"] == "asleep", 30, "asleep")
        until(lambda: row_of(served)["workers"] == 0, 30, "no worker")
        assert served.fetch("/v2/models/app/ready")[0] == 200  # asleep is ready
        asking = HalfSent(served, "app", "/count")  # which wakes it, and keeps it awake
        until(lambda: row_of(served)["requests_running"] == 1, 30, "a request")
        assert row_of(served)["state"] == "ready"
        assert asking.finish() == (200, b"1000")


def test_loaded_when_asked_for(server, tmp_path):
    write_server(tmp_path, "app", health="/health")
    served = server(tmp_path, "--load", "lazy")
    until(lambda: row_of(served)["state"] == "asleep", 60, "asleep")
    assert ask(served, "app", "/pid")[0] == 200


def test_replaced_under_load(server, tmp_path):
    """No request fails while another version of the app takes its place."""
    write_server(tmp_path, "app", health="/health", environment={"COLOUR": "blue"})
    served = server(tmp_path).wait_ready("app")
    stop, seen, failures = threading.Event(), set(), []

    def load():
        while not stop.is_set():
            status, body = ask(served, "app", "/echo", b"x" * 1000)
            if status == 200:
                seen.add(json.loads(body)["environment"]["COLOUR"])
            else:
                failures.append((status, body))

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    until(lambda: seen, 60, "blue")
    write_server(tmp_path, "app", health="/health", environment={"COLOUR": "green"})
    until(lambda: "green" in seen, 60, "green")
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures and seen == {"blue", "green"}


def test_unloading_drains(server, tmp_path):
    """What it is doing is finished; then it ends."""
    write_server(tmp_path, "app")
    served = server(tmp_path).wait_ready("app")
    running = [HalfSent(served, "app", "/count") for _ in range(3)]
    until(lambda: row_of(served)["requests_running"] == 3, 30, "three requests")
    assert served.fetch("/v2/repository/models/app/unload", {}, method="POST")[0] == 200
    assert ask(served, "app", "/pid")[0] == 503
    processes = apps(served)
    assert len(processes) == 1
    assert [one.finish() for one in running] == [(200, b"1000")] * 3
    assert not outlasting(processes, 30)


def test_stopping_drains(server, tmp_path):
    write_server(tmp_path, "app")
    served = server(tmp_path).wait_ready("app")
    running = HalfSent(served, "app", "/count")
    until(lambda: row_of(served)["requests_running"] == 1, 30, "a request")
    served.process.terminate()
    assert running.finish() == (200, b"1000")
    served.stop()


def test_nothing_is_left_behind(server, tmp_path):
    """A process that the app has started, and that ignores what can be ignored, ends with it."""
    write_server(tmp_path, "app")
    served = server(tmp_path).wait_ready("app")
    assert ask(served, "app", "/fork")[0] == 200
    processes = apps(served)
    assert len(processes) == 2
    assert served.fetch("/v2/repository/models/app/unload", {}, method="POST")[0] == 200
    assert not outlasting(processes, 30)


def test_nothing_outlives_a_killed_keeper(server, tmp_path):
    write_server(tmp_path, "app")
    served = server(tmp_path).wait_ready("app")
    assert ask(served, "app", "/fork")[0] == 200
    processes = apps(served)
    [keeper] = served.workers("app")
    keeper.kill()
    assert not outlasting(processes, 30)
    assert served.err.wait_for("killed by signal 9", 30)  # the front knows
    assert ask(served, "app", "/pid")[0] == 200  # by another one


def test_its_output_is_its_log(server, tmp_path):
    write_server(tmp_path, "app")
    served = server(tmp_path).wait_ready("app")
    assert ask(served, "app", "/print?printed-by-the-app")[0] == 200
    until(lambda: "printed-by-the-app" in served.err.text(), 30, "the line")
    assert ask(served, "app", "/flood?200")[0] == 200  # as much as it likes: nobody waits for the log
    assert ask(served, "app", "/pid")[0] == 200


def test_a_unix_socket(server, tmp_path):
    write_server(tmp_path, "app", f"{sys.executable} -B app.py {{socket}}", health="/health")
    served = server(tmp_path).wait_ready("app")
    assert ask(served, "app", "/nothing")[1] == b"no such path"


def test_two_servers_on_one_port(server, tmp_path):
    """Each has a network of its own."""
    for name in ("one", "two"):
        write_server(tmp_path, name, f"{sys.executable} -B app.py 8123", port=8123, health="/health",
                     environment={"NAME": name})
    served = server(tmp_path).wait_ready("one").wait_ready("two")
    for name in ("one", "two"):
        assert told(served, name, "/echo")["environment"]["NAME"] == name


def test_as_many_requests_at_once_as_its_config_says(server, tmp_path):
    write_server(tmp_path, "app", connections=3)
    served = server(tmp_path).wait_ready("app")
    running = [HalfSent(served, "app", "/count") for _ in range(5)]
    until(lambda: (row_of(served)["requests_running"], row_of(served)["requests_waiting"]) == (3, 2), 30, "three at once")
    with ThreadPoolExecutor(5) as pool:
        assert [one.result() for one in [pool.submit(one.finish) for one in running]] == [(200, b"1000")] * 5


def test_a_waiting_client_that_leaves(server, tmp_path):
    path = write_server(tmp_path, "app", files={"slow": ""})
    served = server(tmp_path)
    until(lambda: row_of(served)["state"] == "loading", 30, "loading")
    waiting = HalfSent(served, "app", "/count")
    until(lambda: row_of(served)["requests_waiting"] == 1, 30, "waiting")
    waiting.connection.close()
    until(lambda: row_of(served)["requests_waiting"] == 0, 30, "none waiting")
    (path / "slow").unlink()
    until(lambda: ask(served, "app", "/pid")[0] == 200, 60, "an answer")


# ---- hostile answers ----

RAW = {
    "both-lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two-lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "no-http": b"SSH-2.0-OpenSSH_9.2\r\n",
    "nothing": b"",
    "half-a-head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "bare-lf": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi",
    "folded": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nhi",
    "switching": b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    "status-zero": b"HTTP/1.1 000 Nothing\r\n\r\n",
    "nul": b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    from support.server import Server

    folder = tmp_path_factory.mktemp("models")
    write_server(folder, "app", answer_timeout_s=5,
                 files={**RAW, "short": b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello",
                        "bad-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nxyz\r\n",
                        "cut-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
                        "two-answers": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"})
    started = Server(folder, state=tmp_path_factory.mktemp("state"))
    started.wait_ready("app")
    yield started
    started.stop()


@pytest.mark.parametrize("name", RAW)
def test_answers_that_are_none(hostile, name):
    status, body = ask(hostile, "app", f"/raw?{name}")
    assert status == 502, (status, body)
    assert json.loads(body)["error"]
    assert ask(hostile, "app", "/pid")[0] == 200


@pytest.mark.parametrize("name", ["short", "bad-chunk", "cut-chunk"])
def test_answers_that_break_off(hostile, name):
    """Their clients must not take them for complete."""
    client, fields = connection(hostile)
    client.request("GET", path_of("app", f"/raw?{name}"), headers=fields)
    with pytest.raises((http.client.IncompleteRead, ConnectionError, http.client.BadStatusLine)):
        answer = client.getresponse()
        assert answer.status == 200
        answer.read()
    client.close()


def test_what_follows_an_answer_is_nobodys(hostile):
    for _ in range(5):
        assert ask(hostile, "app", "/raw?two-answers") == (200, b"hi")
        assert ask(hostile, "app", "/nothing")[1] == b"no such path"


@pytest.mark.parametrize("what", ["head", "interim"])
def test_endless_heads(hostile, what):
    assert ask(hostile, "app", f"/endless?{what}")[0] == 502


def test_silence(hostile):
    status, body = ask(hostile, "app", "/silent")
    assert status == 504 and b"answer_timeout_s" in body


def test_an_answer_before_the_body_has_come(hostile):
    with Connection(hostile.address) as client:
        client.send(f"POST {path_of('app', '/early')} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {1 << 30}\r\n"
                    f"Authorization: Bearer {hostile.admin_token}\r\n\r\n".encode() + b"x" * 1000)
        assert client.response().status == 413


# ---- real apps ----


def test_fastapi(server, tmp_path):
    """A real ASGI server, with an environment of its own when it asks for one; here it is the server's Python's."""
    pytest.importorskip("fastapi")
    pytest.importorskip("uvicorn")
    write_server(tmp_path, "shop", f"{sys.executable} -m uvicorn app:app --port {{port}}", app='''
        import asyncio

        from fastapi import FastAPI, Request
        from fastapi.responses import StreamingResponse

        app = FastAPI()

        @app.get("/items/{item}")
        def item(item: int, q: str = ""):
            return {"item": item, "q": q}

        @app.post("/upload")
        async def upload(request: Request):
            size = 0
            async for part in request.stream():
                size += len(part)
            return {"size": size}

        @app.get("/stream")
        def stream():
            async def parts():
                for i in range(100):
                    yield f"data: {i}\\n\\n"
                    await asyncio.sleep(0)
            return StreamingResponse(parts(), media_type="text/event-stream")

        @app.get("/slash/")
        def slash():
            return "slash"
    ''')
    served = server(tmp_path).wait_ready("shop")
    assert told(served, "shop", "/items/7?q=x") == {"item": 7, "q": "x"}
    assert ask(served, "shop", "/items/seven")[0] == 422
    assert told(served, "shop", "/upload", b"x" * (8 << 20)) == {"size": 8 << 20}
    status, body = ask(served, "shop", "/stream")
    assert status == 200 and body == b"".join(b"data: %d\n\n" % i for i in range(100))
    assert told(served, "shop", "/slash") == "slash"  # through a redirect
    assert ask(served, "shop", "/openapi.json")[0] == 200
