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
from support.sockets import request

PATIENCE_S = 1.0  # without a byte: the server waits for more
THREADS = 16
REFUSALS = {400, 408, 411, 413, 414, 417, 421, 431, 501, 505}
SMALL = 1 << 17

# A second request tells where the server thinks that the first one ends.
SECOND = b"GET /second HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
BASES = {
    "GET": b"GET /v2 HTTP/1.1\r\nHost: a\r\nX-A: b\r\n\r\n",
    "length": b"POST /v2/models/echo/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
    "chunked": b"POST /v2/models/echo/infer HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: u\r\n\r\n",
}
INSERTED = [b"\0", b"\r", b"\n", b"\r\n", b" ", b"\t", b"\x0b", b":", b";", b",", b"0", b"\x7f", b"\x80", b"-"]

# What tensord takes and another does not: (the other's name, pattern of the case) and why that is right.
EXPLAINED = []


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
    """refused, waits, or how many requests were seen."""
    statuses, ending = outcome
    if not statuses:
        return "waits" if ending == "waits" else "refused"
    if statuses[0] in REFUSALS and not (statuses[0] == 400 and len(statuses) > 1):
        return "refused"
    return f"{len(statuses)} requests"
