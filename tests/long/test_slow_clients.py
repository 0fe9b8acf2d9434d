"""Slow clients by the thousand against a server with its default limits: each is given up when it should be and not
before, costs little until then, and others are served meanwhile."""
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from support import pki, processes
from support.crowd import Crowd, allow_descriptors
from support.http2 import END_HEADERS, SETTINGS_INITIAL_WINDOW_SIZE, header_block, headers, settings
from support.sockets import FRAME_RST_STREAM, H2_PREFACE
from support.victim import Victim

COUNT, HALF_OPEN_COUNT = 1000, 10000
HEADER_S, BODY_S, UNSENT_S = 10, 10, 30  # the defaults
EARLY_S, LATE_S = 0.1, 5  # clocks that are read at different times; a machine that others use too
BYTES_EACH = 64 << 10
LOOK_S = 0.25
STILL_SHARE = 0.99  # a packet that was on its way tells of some

HEAD = b"POST /v2/models/echo/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"
ASK = b"GET /v2/models/echo HTTP/1.1\r\nHost: localhost\r\n\r\n"
H2_OPEN = headers(1, header_block("/v2/models/echo/infer", "POST"), END_HEADERS)
CLIENT_HELLO_HEAD = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"  # of 512 bytes


def is_reset(received):
    """Has RST_STREAM come? Over HTTP/2 a body that is late ends its stream, and the connection goes on."""
    at = 0
    while at + 9 <= len(received):
        if received[at + 3] == FRAME_RST_STREAM:
            return True
        at += 9 + int.from_bytes(received[at:at + 3], "big")
    return False


def never(received):
    return False


@dataclass
class Kind:
    """What each of the thousand sends, and after how many seconds it is given up."""

    cut_s: float
    first: bytes
    drip: bytes = b""  # a piece of it every drip_s
    drip_s: float = 1
    reads: bool = True
    is_given_up: Callable = never  # told all that came; the end of the connection always counts
    tls: bool = False
    handshake: bool = False  # of TLS, before that


KINDS = {
    "nothing": Kind(HEADER_S, b""),
    "half a header": Kind(HEADER_S, b"POST /v2 HT"),
    "a header of a byte a second": Kind(HEADER_S, b"G", b"ET /v2/some/long/path/that/never/ends"),
    "half a header over HTTP/2": Kind(HEADER_S, H2_PREFACE + settings() + headers(1, flags=0)),
    "a body that stops": Kind(BODY_S, HEAD + b'{"inputs":['),
    "a body of a byte a second": Kind(BODY_S, HEAD, b" " * 60),
    "a body of a byte a minute": Kind(BODY_S, HEAD, b" " * 60, 60),
    "a body that stops, over HTTP/2": Kind(BODY_S, H2_PREFACE + settings() + H2_OPEN, is_given_up=is_reset),
    "unread output": Kind(UNSENT_S, ASK * 2000, reads=False),
    "unread output over HTTP/2": Kind(
        UNSENT_S, H2_PREFACE + settings((SETTINGS_INITIAL_WINDOW_SIZE, 0)) + headers(1),
        is_given_up=is_reset),
    "half a handshake of TLS": Kind(HEADER_S, CLIENT_HELLO_HEAD, tls=True),
    "half a header over TLS": Kind(HEADER_S, b"POST /v2 HT", tls=True, handshake=True),
}


@pytest.fixture(scope="module")
def victims(tmp_path_factory):
    """Two servers with their default limits: {speaks TLS: Victim}."""
    allow_descriptors()
    folder = tmp_path_factory.mktemp("pki")
    authority = pki.authority(folder)
    flags = {False: (), True: pki.server(folder, authority).flags}
    started = {tls: Victim(tmp_path_factory.mktemp("models"), tmp_path_factory.mktemp("state"), *flags[tls], limits=(),
                           context=pki.trusting(authority)) for tls in flags}
    yield started
    for one in started.values():
        one.stop()


def memory_bytes(victim):
    return processes.pss_bytes(victim.server.pid)


def check_memory(victim, before, count):
    """What each of the crowd costs the server, in KiB."""
    each = (memory_bytes(victim) - before) / count
    assert each <= BYTES_EACH, f"{each / 1024:.1f} KiB each"
    return f"{each / 1024:.1f}"


def serves(victim):
    """Good clients get what they always get."""
    assert victim.answers() == victim.good


def outwait(victim, crowd, kind):
    """Until all are given up, or that is long overdue: the drip goes on, and good clients are served."""
    drip, due = iter(kind.drip), time.monotonic() + kind.drip_s
    until = time.monotonic() + kind.cut_s + 2 * LATE_S
    while crowd.note_cuts(LOOK_S) and time.monotonic() < until:
        serves(victim)
        if time.monotonic() > due:
            due += kind.drip_s
            crowd.send(bytes([next(drip)]) if kind.drip else b"")


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_given_up_in_time(victims, kind, record_property):
    victim = victims[kind.tls]
    wrap = (lambda plain: victim.server.context.wrap_socket(plain, server_hostname="localhost")) if kind.handshake else None
    before = memory_bytes(victim)
    with Crowd(victim.address, COUNT, kind.first, kind.reads, kind.is_given_up, wrap) as crowd:
        serves(victim)
        record_property("kib_each", check_memory(victim, before, COUNT))
        outwait(victim, crowd, kind)
        after_s = [member.cut_after_s for member in crowd.members]
    assert None not in after_s, f"{after_s.count(None)} are still connected"
    record_property("cut_after_s", f"{min(after_s):.1f} to {max(after_s):.1f}")
    assert kind.cut_s - EARLY_S <= min(after_s) and max(after_s) <= kind.cut_s + LATE_S, (min(after_s), max(after_s))
    victim.check()


def test_idle_ones_stay(victims, record_property):
    """Those that have asked and may ask again."""
    victim = victims[False]
    before = memory_bytes(victim)
    with Crowd(victim.address, COUNT, ASK) as crowd:
        processes.until(crowd.answered, what="all answers")
        until = time.monotonic() + HEADER_S + LATE_S
        while time.monotonic() < until:
            assert crowd.note_cuts(LOOK_S) == COUNT
        serves(victim)
        record_property("kib_each", check_memory(victim, before, COUNT))
    victim.check()


def test_half_open_ones_cost_little(victims, record_property):
    """Their machines are gone, and nobody has told the server."""
    victim = victims[False]
    before = memory_bytes(victim)
    with Crowd(victim.address, HALF_OPEN_COUNT, ASK) as crowd:
        processes.until(crowd.answered, 60, "all answers")
        if not crowd.vanish():
            pytest.skip("a socket cannot be closed without a word (CAP_NET_ADMIN)")
        serves(victim)
        assert processes.connection_count(victim.server.pid) >= HALF_OPEN_COUNT * STILL_SHARE
        record_property("kib_each", check_memory(victim, before, HALF_OPEN_COUNT))
    victim.stop()
    victims.pop(False)
