"""The same bytes to tensord and to others: what it takes for a request, none of them may refuse or take for something else,
or the reason stands here."""
import concurrent.futures
import re
import socket

import pytest

from support.http1_cases import ALLOWED, REFUSED
from support.http_peers import start_peers
from support.repositories import write_model
from support.server import Server

PATIENCE_S = 1.0  # without a byte: the server waits for more
THREADS = 16
REFUSALS = {400, 408, 411, 413, 414, 417, 421, 431, 501, 505}
SMALL = 1 << 17

# A second request tells where the server thinks that the first one ends.
SECOND = b"GET /second HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
BASES = {
    "GET": b"GET /v2 HTTP/1.1\r\nHost: localhost\r\nX-A: b\r\n\r\n",
    "length": b"POST /v2/models/echo/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc",
    "chunked": b"POST /v2/models/echo/infer HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: u\r\n\r\n",
}
INSERTED = [b"\0", b"\r", b"\n", b"\r\n", b" ", b"\t", b"\x0b", b":", b";", b",", b"0", b"\x7f", b"\x80", b"-"]

# What tensord takes and another does not: (the other's name, pattern of the case) and why that is right.
EXPLAINED = [
    ("nginx", rb"Host:[ \ta-z]*\t", "RFC 9110 §5.6.3: a tab around a value is blank space like any other"),
    ("nginx", rb"Content-Length:[ \t3]*\t", "as above"),
    ("nginx", rb"Transfer-Encoding:[ \t]*\t", "as above"),
    ("node", rb"Content-Length: 3\t", "as above"),
    ("node", rb"Upgrade: h2c", "it ends a connection whose upgrade it does not take"),
]


def ask(address, data):
    """What the server made of it: the statuses in order, and whether it closed or waits for more."""
    received = b""
    with socket.create_connection(address, timeout=PATIENCE_S) as conn:
        try:
            conn.sendall(data)
        except OSError:
            pass
        ending = "waits"
        try:
            while True:
                more = conn.recv(65536)
                if not more:
                    ending = "closed"
                    break
                received += more
        except TimeoutError:
            pass
        except OSError:
            ending = "closed"
    statuses = [int(found) for found in re.findall(rb"HTTP/1\.[01] (\d\d\d) ", received)]
    return [status for status in statuses if status >= 200], ending


def meaning(outcome):
    """(how many requests were served, how it went on): what the last answer refuses was not served. A request that is
    wrong only for the application is answered, and the next one is served."""
    statuses, ending = outcome
    if statuses and statuses[-1] not in REFUSALS:
        return len(statuses), ending
    return max(len(statuses) - 1, 0), "waits" if not statuses and ending == "waits" else "refused"


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """tensord first, then the others."""
    folder = write_model(tmp_path_factory.mktemp("models"), "echo", "identity")
    tensord = Server(folder, state=tmp_path_factory.mktemp("state"))
    tensord.wait_ready("echo")
    peers = start_peers()
    yield [("tensord", tensord.address), *((peer.name, peer.address) for peer in peers)]
    for peer in peers:
        peer.stop()
    tensord.stop()


def compare(servers, named):
    """{name of the case: {server: meaning}}"""
    def one(item):
        name, data = item
        return name, {server: meaning(ask(address, data)) for server, address in servers}

    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        return dict(pool.map(one, named.items()))


def mutated():
    """Each base with each of the odd bytes inserted at each place of its first request."""
    return {f"{name} {at} {piece!r}": base[:at] + piece + base[at:] + SECOND
            for name, base in BASES.items() for at in range(len(base)) for piece in INSERTED}


def explained(other, ours, theirs, name, data):
    """The reason for a difference, or None."""
    if other == "node" and ours[1] == "refused" and theirs == (0, "refused"):
        return "its refusal of a pipelined request overtakes the answers before it"
    return next((why for peer, pattern, why in EXPLAINED if peer == other and re.search(pattern, data)), None)


def unexplained(table, cases):
    """Where another serves fewer requests than tensord: what it refuses, or takes for a part of the first. Fewer of our
    own are no danger: an early answer to a chunked request ends the connection."""
    return [f"{name}: {row}" for name, row in table.items() for other, theirs in row.items()
            if theirs[1] != "waits" and theirs[0] < row["tensord"][0]
            and not explained(other, row["tensord"], theirs, name, cases[name])]


def test_what_tensord_serves_no_other_takes_otherwise(servers, record_property):
    cases = {**{name: data + SECOND for name, data in ALLOWED.items()}, **mutated()}
    record_property("cases", f"{len(cases):,}")
    found = unexplained(compare(servers, cases), cases)
    assert not found, f"{len(found)} of {len(cases)}:\n" + "\n".join(found[:40])


def test_each_bad_case_is_refused_and_others_are_counted(servers, record_property):
    """Notes how many each server refuses; only ours must refuse all."""
    table = compare(servers, {name: data for name, (_, _, data) in REFUSED.items() if len(data) < SMALL})
    counts = (str(sum(row[server] == (0, "refused") for row in table.values())) for server, _ in servers)
    record_property("refused", f"{', '.join(counts)} of {len(table)}")
    assert [name for name, row in table.items() if row["tensord"] != (0, "refused")] == []
