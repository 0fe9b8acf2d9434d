"""TLS: its users' clients, mutual TLS, certificates that change, and those who do not keep to it."""
import http.client
import json
import re
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

from support import pki, processes
from support.http_peers import free_port
from support.repositories import request, write_model
from support.server import START_S, binary, fetch, is_sanitized
from support.sockets import H2_PREFACE, Connection

LIVE = "/v2/health/live"
MIB = 1 << 20
IS_SANITIZED = is_sanitized()


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return pki.authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def identity(ca, tmp_path):
    """The server's."""
    return pki.server(tmp_path, ca)


@pytest.fixture
def folder(tmp_path):
    return write_model(tmp_path / "models", "echo", "identity")


@pytest.fixture
def secure(server, folder, identity, ca):
    """secure("--tls-client-ca", …): a server that speaks TLS, asked by clients that trust it."""

    def start(*arguments, context=None, ready=True, **options):
        served = server(folder, *identity.flags, *arguments, **options)
        served.context = context or pki.trusting(ca)
        return served.wait_ready("echo") if ready else served

    return start


def answers(served):
    """A good inference, on a connection of its own."""
    status, body = served.infer("echo", request([1.0, 2.5]))
    return status == 200 and body["outputs"][0]["data"] == [1.0, 2.5]


def shake_hands(served, context, name="localhost"):
    return context.wrap_socket(socket.create_connection(served.address, timeout=START_S), server_hostname=name)


def told(served, pattern):
    """The match of a line of the log, already there or to come."""
    found = processes.until(lambda: re.search(pattern, served.err.text()), START_S, f"'{pattern}' in the log")
    return found


# Clients


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_curl(secure, ca, version):
    served = secure()
    done = subprocess.run(
        ["curl", "-sS", version, "--cacert", ca.certificate_path, "-w", "\n%{http_version}", "-d",
         json.dumps(request([3.5])), f"{served.url}/v2/models/echo/infer"],
        capture_output=True, text=True, timeout=60, check=True)
    body, spoken = done.stdout.rsplit("\n", 1)
    assert json.loads(body)["outputs"][0]["data"] == [3.5] and spoken == version.removeprefix("--http").rstrip(".0")


def test_a_body_waits_for_memory_and_a_client_that_leaves_meanwhile_is_noticed(secure):
    """As in the open: for longer than the server takes to look whether a waiting client is still there."""
    served = secure("--memory-limit-mib", 8)
    size = 5 * MIB  # of the six that requests may have
    head = (f"POST /v2/models/echo/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n"
            "Inference-Header-Content-Length: 0\r\nExpect: 100-continue\r\n\r\n").encode()
    first, leaving, second = (shake_hands(served, served.context) for _ in range(3))
    first.sendall(head)
    assert first.recv(100).startswith(b"HTTP/1.1 100 ")
    leaving.sendall(head + bytes(1000))
    assert served.fetch(LIVE)[0] == 200
    second.sendall(head)
    leaving.close()
    second.settimeout(2.5)
    with pytest.raises(TimeoutError):
        second.recv(100)
    first.close()
    second.settimeout(START_S)
    assert second.recv(100).startswith(b"HTTP/1.1 100 ")
    second.sendall(bytes(size))
    assert second.recv(12) == b"HTTP/1.1 200"
    second.close()
    assert answers(served)


def triton_client(library, served, ca, client=None):
    """With the options that its users know."""
    files = [str(one) for one in (ca.certificate_path, client and client.key_path, client and client.certificate_path)
             if one]
    if library is tritonclient.grpc:
        names = ("root_certificates", "private_key", "certificate_chain")
        return library.InferenceServerClient(f"localhost:{served.port}", ssl=True, **dict(zip(names, files)))
    names = ("ca_certs", "keyfile", "certfile")
    return library.InferenceServerClient(f"localhost:{served.port}", ssl=True, ssl_options=dict(zip(names, files)))


def triton_infers(library, client, count=4):
    tensor = library.InferInput("x", [count], "FP32")
    values = np.arange(count, dtype=np.float32)
    tensor.set_data_from_numpy(values)
    return np.array_equal(client.infer("echo", [tensor]).as_numpy("y"), values)


@pytest.mark.parametrize("library", [tritonclient.http, tritonclient.grpc], ids=["http", "grpc"])
def test_triton_clients(secure, ca, library):
    with triton_client(library, secure(), ca) as client:
        assert client.is_server_live()
        assert triton_infers(library, client)
        assert triton_infers(library, client, 1_000_003)  # many records each way


@pytest.mark.parametrize("offered, agreed", [
    (("h2", "http/1.1"), "h2"), (("http/1.1",), "http/1.1"), (("http/1.1", "h2"), "h2"), ((), None)])
def test_alpn_says_what_is_spoken(secure, ca, offered, agreed):
    with shake_hands(secure(), pki.trusting(ca, protocols=offered)) as client:
        assert client.selected_alpn_protocol() == agreed
        if agreed == "h2":
            client.sendall(H2_PREFACE + bytes(3) + b"\4" + bytes(5))
            assert client.recv(9)[3] == 4  # SETTINGS
        else:
            client.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert client.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_what_alpn_agreed_on_is_not_left(secure, ca):
    """A client that speaks the other protocol after all would be understood by one side alone."""
    served = secure()
    with shake_hands(served, pki.trusting(ca, protocols=["http/1.1"])) as client:
        client.sendall(H2_PREFACE)
        assert client.recv(1000).startswith(b"HTTP/1.1 505 ")
    with shake_hands(served, pki.trusting(ca, protocols=["h2"])) as client:
        client.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with pytest.raises((ssl.SSLEOFError, ConnectionResetError)):  # cut, not ended
            assert not client.recv(1000)
            raise ssl.SSLEOFError
    assert answers(served)


def test_a_session_is_resumed(secure, ca):
    served, context = secure(), pki.trusting(ca)
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # where Python has the ticket by the end of the handshake
    with shake_hands(served, context) as first:
        session = first.session
    sock = socket.create_connection(served.address)
    with context.wrap_socket(sock, server_hostname="localhost", session=session) as second:
        assert second.session_reused


# Where


def test_a_certificate_makes_every_port_speak_tls(server, folder, identity, ca, tmp_path):
    """But for unix sockets, and addresses that say otherwise."""
    path = tmp_path / "tensord.sock"
    served = server(folder, "--listen", "http://127.0.0.1:0", "--listen", "https://127.0.0.1:0", "--listen",
                    "127.0.0.1:0", "--listen", f"unix:{path}", *identity.flags, ports=False)
    context = pki.trusting(ca)
    urls = [served.out.wait_for(r"listening on (\S+)", START_S).group(1) for _ in range(4)]
    assert [url.split(":")[0] for url in urls] == ["http", "https", "https", "unix"]
    assert [fetch(url + LIVE, context=context)[0] for url in urls[:3]] == [200] * 3
    subprocess.run(["curl", "-sSf", "--unix-socket", path, "http://localhost" + LIVE], check=True, timeout=60)


def test_the_second_ports_speak_tls(server, folder, identity, ca):
    rpc = metrics = free_port()
    while metrics == rpc:
        metrics = free_port()
    server(folder, "--port", 0, "--grpc-port", rpc, "--metrics-port", metrics, *identity.flags, ports=False).wait_listening()
    for port in (rpc, metrics):
        assert fetch(f"https://127.0.0.1:{port}{LIVE}", context=pki.trusting(ca))[0] == 200


# Mutual TLS


def test_tls_is_enough_beyond_this_machine(secure):
    """No --insecure is needed; the gate sees through TLS where a client is, and the line to paste says https."""
    served = secure("--host", "0.0.0.0", ready=False)
    told(served, "model echo:1.*ready")
    line = rf"export TENSORD_URL=https://{re.escape(socket.gethostname())}:{served.port} TENSORD_TOKEN=(\S+)"
    secret = processes.until(lambda: re.search(line, served.out.text()), START_S, "a token").group(1)
    url, elsewhere = f"https://localhost:{served.port}/v2", {"X-Forwarded-For": "10.0.0.1"}
    assert fetch(url, context=served.context)[0] == 200
    assert fetch(url, headers=elsewhere, context=served.context)[0] == 401
    assert fetch(url, headers={**elsewhere, "Authorization": f"Bearer {secret}"}, context=served.context)[0] == 200
    assert fetch(url, headers={"Origin": "https://evil.example"}, context=served.context)[0] == 403


@pytest.fixture
def alice(ca, tmp_path):
    return pki.Identity(tmp_path, "alice", ca)


@pytest.fixture
def mutual(secure, ca, alice):
    return secure("--tls-client-ca", ca.certificate_path, context=pki.trusting(ca, identity=alice))


@pytest.mark.parametrize("library", [tritonclient.http, tritonclient.grpc], ids=["http", "grpc"])
def test_clients_with_a_certificate_are_let_in(mutual, ca, alice, library):
    with triton_client(library, mutual, ca, alice) as client:
        assert client.is_server_live()
        assert triton_infers(library, client)


@pytest.mark.parametrize("library", [tritonclient.http, tritonclient.grpc], ids=["http", "grpc"])
def test_clients_without_one_are_not(mutual, ca, library):
    with triton_client(library, mutual, ca) as client, pytest.raises((InferenceServerException, OSError)):
        client.is_server_live()
    assert told(mutual, "the client showed no certificate")
    assert answers(mutual)


def refusal(served, context):
    """What the server tells a client that it does not let in, and that has the handshake behind it (TLS 1.3)."""
    with pytest.raises(ssl.SSLError) as caught, shake_hands(served, context) as client:
        client.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        client.recv(1)
    return str(caught.value)


@pytest.mark.parametrize("flaw, alert, why", [
    ("none", "certificate required", "the client showed no certificate"),
    ("expired", "certificate expired", "is refused: certificate has expired"),
    ("early", "bad certificate", "is refused: certificate is not yet valid"),
    ("self-signed", "unknown ca", "is refused: self-signed certificate"),
    ("stranger", "unknown ca", "is refused: unable to get local issuer certificate"),
    ("forger", "decrypt error|unknown ca|bad certificate", "is refused: "),
])
def test_bad_certificates_of_clients_are_refused(mutual, ca, tmp_path, flaw, alert, why):
    made = {
        "none": lambda: None,
        "expired": lambda: pki.Identity(tmp_path, "alice", ca, days=(-30, -1)),
        "early": lambda: pki.Identity(tmp_path, "alice", ca, days=(1, 30)),
        "self-signed": lambda: pki.Identity(tmp_path, "mallory"),
        "stranger": lambda: pki.Identity(tmp_path, "mallory", pki.authority(tmp_path, "stranger")),
        "forger": lambda: pki.Identity(tmp_path, "mallory", pki.authority(tmp_path)),  # of the same name
    }[flaw]()
    assert re.search(alert, refusal(mutual, pki.trusting(ca, identity=made)).replace("_", " ").lower())
    assert told(mutual, re.escape(why)), mutual.err.text()
    assert answers(mutual)


def test_a_certificate_may_be_optional(secure, ca, alice, tmp_path):
    served = secure("--tls-client-ca", ca.certificate_path, "--tls-client-auth", "request")
    assert answers(served)
    served.context = pki.trusting(ca, identity=alice)
    assert answers(served)
    assert refusal(served, pki.trusting(ca, identity=pki.Identity(tmp_path, "mallory")))


# Files


def refused(folder, *arguments):
    """What a server says that does not start."""
    done = subprocess.run([binary(), "serve", str(folder), "--port", "0", "--grpc-port", "0", "--metrics-port", "0",
                           *map(str, arguments)], capture_output=True, text=True, timeout=START_S,
                          stdin=subprocess.DEVNULL)
    assert done.returncode in (1, 2) and "listening" not in done.stdout, done
    return done.stderr


def test_what_is_wrong_with_the_files_is_said_at_the_start(folder, ca, identity, tmp_path):
    expired = pki.Identity(tmp_path, "expired", ca, days=(-30, -1))
    cert, key = identity.certificate_path, identity.key_path
    for flags, words in {
        ("--tls-cert", "/no/such.crt"): ["/no/such.crt", "No such file"],
        ("--tls-cert", cert, "--tls-key", expired.key_path): [str(expired.key_path), "does not belong", str(cert)],
        ("--tls-cert", cert): [str(cert), "has no private key"],
        ("--tls-cert", key, "--tls-key", key): [str(key), "has no certificate"],
        expired.flags: [str(expired.certificate_path), "expired on 20"],
        ("--tls-key", key): ["--tls-key", "--tls-cert"],
        ("--tls-client-ca", cert): ["--tls-client-ca", "--tls-cert"],
        (*identity.flags, "--tls-client-auth", "require"): ["--tls-client-auth require", "--tls-client-ca"],
        (*identity.flags, "--tls-client-ca", key): [str(key), "has no certificate"],
        ("--listen", "https://127.0.0.1:0"): ["--listen https://127.0.0.1:0", "--tls-cert"],
    }.items():
        said = refused(folder, *flags)
        assert all(word in said for word in words), (flags, said)


def test_certificate_and_key_may_share_a_file(server, folder, identity, ca, tmp_path):
    both = tmp_path / "both.pem"
    both.touch(mode=0o600)
    both.write_bytes(identity.pem + identity.key_path.read_bytes())
    served = server(folder, "--tls-cert", both)
    served.context = pki.trusting(ca)
    assert served.fetch(LIVE)[0] == 200


def test_a_key_that_everybody_may_read_is_a_warning(secure, identity):
    identity.key_path.chmod(0o644)
    assert told(secure(ready=False), "every user may read the key in '.*server.key'")


# Certificates that change


class Load:
    """Clients that connect anew for each request, and clients that stay connected, for as long as the `with` lasts."""

    def __init__(self, served, context, threads=2):
        self.served, self.context = served, context
        self.over, self.counts, self.failures = threading.Event(), [0] * (2 * threads), []
        self.threads = [threading.Thread(target=self.run, args=(i, i < threads)) for i in range(2 * threads)]

    def connection(self):
        return http.client.HTTPSConnection("localhost", self.served.port, timeout=60, context=self.context)

    def ask(self, connection):
        connection.request("POST", "/v2/models/echo/infer", json.dumps(request([1.5])))
        response = connection.getresponse()
        body = json.loads(response.read())
        assert response.status == 200 and body["outputs"][0]["data"] == [1.5], (response.status, body)

    def run(self, place, stays):
        connection = self.connection()
        try:
            while not self.over.is_set():
                self.ask(connection)
                self.counts[place] += 1
                if not stays:
                    connection.close()
        except Exception as failure:
            self.failures.append(failure)
        finally:
            connection.close()

    def await_more(self, count=5):
        """Until each has done so many more."""
        goal = [done + count for done in self.counts]
        processes.until(lambda: self.failures or all(done >= wanted for done, wanted in zip(self.counts, goal)),
                        START_S, "more requests")

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        self.await_more()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()
        assert not self.failures, self.failures


def serial_shown(served, ca):
    with shake_hands(served, pki.trusting(ca)) as client:
        return int(client.getpeercert()["serialNumber"], 16)


def shows(served, ca, identity):
    return serial_shown(served, ca) == identity.certificate.serial_number


def test_a_new_certificate_is_used_without_a_failed_request(secure, ca, identity, tmp_path):
    """When the files have changed, and on SIGHUP; under load from old and new connections."""
    served = secure("--rescan-ms", 200)
    newer = [pki.server(tmp_path, ca, f"newer{i}") for i in range(4)]
    with Load(served, pki.trusting(ca)) as load:
        for i, new in enumerate(newer):
            new.write(identity.certificate_path, identity.key_path)
            if i % 2:
                served.process.send_signal(signal.SIGHUP)
            processes.until(lambda: shows(served, ca, new), START_S, "the new certificate")
            load.await_more()


def test_a_bad_new_certificate_changes_nothing(secure, ca, identity, tmp_path):
    served = secure("--rescan-ms", 3_600_000)
    new, other = pki.server(tmp_path, ca, "new"), pki.server(tmp_path, ca, "other")
    with Load(served, pki.trusting(ca)) as load:
        new.write(identity.certificate_path, tmp_path / "elsewhere")
        served.process.send_signal(signal.SIGHUP)
        assert told(served, "the certificate stays as it was: the key in '.*' does not belong")
        assert shows(served, ca, identity)
        identity.certificate_path.unlink()
        served.process.send_signal(signal.SIGHUP)
        assert told(served, "the certificate stays as it was: cannot read '.*': No such file")
        assert shows(served, ca, identity)
        other.write(identity.certificate_path, identity.key_path)
        served.process.send_signal(signal.SIGHUP)
        processes.until(lambda: shows(served, ca, other), START_S, "the good one")
        load.await_more()


def test_links_lead_to_new_certificates(server, folder, ca, tmp_path):
    """As certbot and Kubernetes lay them out: what is named is a link, and the link changes."""
    live, archive = tmp_path / "live", tmp_path / "archive"
    live.mkdir()
    archive.mkdir()
    first, second = (pki.server(archive, ca, name) for name in ("first", "second"))
    cert, key = live / "fullchain.pem", live / "privkey.pem"
    cert.symlink_to(first.certificate_path)
    key.symlink_to(first.key_path)
    served = server(folder, "--tls-cert", cert, "--tls-key", key, "--rescan-ms", 200)
    assert shows(served, ca, first)
    for link, to in ((cert, second.certificate_path), (key, second.key_path)):
        part = live / "part"
        part.symlink_to(to)
        part.rename(link)
    processes.until(lambda: shows(served, ca, second), START_S, "the new certificate")


def test_a_new_authority_of_clients_is_heeded(secure, ca, alice, tmp_path):
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(ca.pem)
    served = secure("--tls-client-ca", trusted, "--rescan-ms", 200, context=pki.trusting(ca, identity=alice))
    trusted.write_bytes(pki.authority(tmp_path, "newcomer").pem)
    processes.until(lambda: "new connections get" in served.err.text(), START_S, "the reload")
    assert "unknown ca" in refusal(served, served.context).replace("_", " ").lower()


def test_an_authority_below_a_root_may_be_trusted_alone(secure, ca, tmp_path):
    """Whoever it has signed is let in, and nobody else whom the root has."""
    below = pki.Identity(tmp_path, "below", ca, authority=True)
    bob = pki.Identity(tmp_path, "bob", below)
    served = secure("--tls-client-ca", below.certificate_path, context=pki.trusting(ca, identity=bob))
    assert answers(served)
    alice = pki.Identity(tmp_path, "alice", ca)
    assert "unknown ca" in refusal(served, pki.trusting(ca, identity=alice)).replace("_", " ").lower()


def test_certificates_in_the_wrong_order_are_a_warning(server, folder, ca, tmp_path):
    below = pki.Identity(tmp_path, "below", ca, authority=True)
    own = pki.server(tmp_path, below)
    chain = tmp_path / "chain.pem"
    flags = ("--tls-cert", chain, "--tls-key", own.key_path, "--rescan-ms", 3_600_000)
    chain.write_bytes(own.pem + below.pem + ca.pem)
    served = server(folder, *flags)
    assert "are no chain" not in served.err.text()
    chain.write_bytes(own.pem + ca.pem + below.pem)
    served.process.send_signal(signal.SIGHUP)
    assert told(served, "certificates in the file are no chain.*the server's own should come first")
    served.context = pki.trusting(ca)
    assert answers(served.wait_ready("echo"))


# Those who do not keep to it


def test_http_on_a_tls_port_is_told_so(secure):
    served = secure()
    status, headers, body = fetch(f"http://{served.netloc}{LIVE}")
    assert status == 400 and headers["connection"] == "close"
    assert json.loads(body) == {"error": "this port speaks TLS: use https"}
    with Connection(served.address) as client:
        client.send(H2_PREFACE)
        assert client.rest().startswith(b"HTTP/1.1 400 ")
    assert told(served, "127.0.0.1:.*: the client speaks HTTP without TLS")
    assert answers(served)


def test_the_command_line_says_that_it_speaks_no_tls(secure):
    served = secure()
    for url, word in ((served.url, "unix:PATH"), (served.url.replace("https", "http"), "this port speaks TLS")):
        asked = subprocess.run([binary(), "ls", "--to", url], capture_output=True, text=True, timeout=60)
        assert asked.returncode != 0 and "TLS" in asked.stderr and word in asked.stderr


def test_tls_on_a_plain_port_gets_an_alert(server, folder, ca):
    served = server(folder)
    with pytest.raises(ssl.SSLError, match="(?i)alert.handshake.failure"):
        shake_hands(served, pki.trusting(ca))
    assert told(served, "the client speaks TLS to a port without it")
    assert served.fetch(LIVE)[0] == 200


def client_hello(ca):
    """The first bytes of a client."""
    to_client, from_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        pki.trusting(ca).wrap_bio(to_client, from_client, server_hostname="localhost").do_handshake()
    return from_client.read()


@pytest.mark.parametrize("data", [b"\x80\x2e\x01\x03\x01\x00", b"\x00" * 100, b"get / http/1.1\r\n\r\n", b"\x16garbage",
                                  b"\x16\x03\x01\xff\xff" + bytes(70_000), b"\x15\x03\x03\x00\x02\x01\x00"])
def test_garbage_is_cut(secure, data):
    served = secure()
    with Connection(served.address) as client:
        client.send(data)
        client.rest()  # an alert, or nothing; the server closes
    assert answers(served)


def test_every_byte_of_the_hello_may_come_alone(secure, ca):
    served = secure()
    with socket.create_connection(served.address) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = pki.trusting(ca).wrap_bio(incoming, outgoing, server_hostname="localhost")
        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                for byte in outgoing.read():
                    sock.sendall(bytes([byte]))
                incoming.write(sock.recv(1))
        client.write(b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        sock.sendall(outgoing.read())
        assert sock.recv(5)[0] == 23  # application data


def test_handshakes_that_are_not_finished_are_cut(secure, ca):
    """Silent ones, ones that say half a hello, ones that do not answer; they cost little, and others are served."""
    count, header_ms = 100, 10_000  # in which all of them can be counted
    served = secure("--header-timeout-ms", header_ms)
    hello = client_hello(ca)
    front = served.front()
    before = processes.own_pss_bytes(front)
    started = time.monotonic()
    idle = [Connection(served.address, timeout_s=START_S) for _ in range(3 * count)]
    try:
        for i, client in enumerate(idle):
            client.send([b"", hello[:len(hello) // 2], hello][i % 3])
        processes.until(lambda: processes.connection_count(served.pid) >= len(idle), START_S, "all of them")
        assert answers(served)
        added = processes.own_pss_bytes(front) - before
        for client in idle:
            client.rest()
        assert time.monotonic() - started >= header_ms / 1000
    finally:
        for client in idle:
            client.socket.close()
    assert answers(served)
    assert IS_SANITIZED or added <= len(idle) * 65536, f"{added // len(idle)} bytes each"
    if not IS_SANITIZED:
        processes.until(lambda: processes.own_pss_bytes(front) <= before + 4 * MIB, START_S, "the memory to come back")


def test_an_idle_connection_costs_little(secure, ca):
    count, served, context = 200, secure(), pki.trusting(ca)
    front = served.front()
    ask = b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"

    def talk(client):
        client.sendall(ask)
        assert client.recv(1000).startswith(b"HTTP/1.1 200 ")

    with shake_hands(served, context) as warm:
        talk(warm)
        before = processes.own_pss_bytes(front)
        idle = [shake_hands(served, context) for _ in range(count)]
        for client in idle:
            talk(client)
        added = processes.own_pss_bytes(front) - before
        for client in idle:
            talk(client)
            client.close()
    assert IS_SANITIZED or added <= count * 65536, f"{added // count} bytes each"


def test_a_client_that_does_not_read_is_cut(secure, ca):
    served = secure("--unsent-timeout-ms", 1000)
    body = struct.pack("<f", 1.0) * 4_000_000
    head = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [len(body) // 4],
                                   "parameters": {"binary_data_size": len(body)}}],
                       "outputs": [{"name": "y", "parameters": {"binary_data": True}}]}).encode()
    with shake_hands(served, pki.trusting(ca)) as client:
        client.sendall(b"POST /v2/models/echo/infer HTTP/1.1\r\nHost: localhost\r\nInference-Header-Content-Length: %d\r\n"
                       b"Content-Length: %d\r\n\r\n" % (len(head), len(head) + len(body)) + head + body)
        processes.until(lambda: not processes.connection_count(served.pid), START_S, "the cut")
    assert answers(served)
