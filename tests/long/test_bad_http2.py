"""HTTP/2 that breaks the rules, or keeps them and means harm: the stream or the connection ends, others are served."""
import struct

import pytest

from support import processes
from support.http2 import (
    CANCEL, COMPRESSION_ERROR, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR,
    PROTOCOL_ERROR, SETTINGS_INITIAL_WINDOW_SIZE, Http2, continuation, data, grpc_block, grpc_message, header_block,
    headers, literal, rst_stream, settings, window_update,
)
from support.sockets import FRAME_GOAWAY, FRAME_PING, FRAME_SETTINGS, H2_PREFACE, Connection, h2_frame
from support.victim import MIB, check_error_body

PUSH_PROMISE, PRIORITY = 5, 2
OPEN = headers(1, header_block("/v2/models/echo/infer", "POST"), END_HEADERS)
MEMORY_UNREAD = 24 * MIB  # 8 MiB of answers, the tensors of a hundred requests, and what is being received
SMALL_INFER = b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1]}]}'


def h2(name, value):
    return name.encode(), value.encode()


# Frames, and the code with which the whole connection ends.
CONNECTION_ERRORS = {
    "DATA on stream 0": (PROTOCOL_ERROR, data(0, b"x")),
    "HEADERS on stream 0": (PROTOCOL_ERROR, headers(0)),
    "HEADERS on an even stream": (PROTOCOL_ERROR, headers(2)),
    "DATA on an idle stream": (PROTOCOL_ERROR, data(5, b"x")),
    "RST_STREAM on an idle stream": (PROTOCOL_ERROR, rst_stream(5)),
    "WINDOW_UPDATE on an idle stream": (PROTOCOL_ERROR, window_update(5, 1)),
    "WINDOW_UPDATE of 0": (PROTOCOL_ERROR, window_update(0, 0)),
    "WINDOW_UPDATE of 0 on a stream": (PROTOCOL_ERROR, OPEN + window_update(1, 0)),
    "WINDOW_UPDATE above 2^31": (FLOW_CONTROL_ERROR, window_update(0, 0x7FFFFFFF)),
    "WINDOW_UPDATE of 3 bytes": (FRAME_SIZE_ERROR, h2_frame(8, 0, 0, b"abc")),
    "SETTINGS on a stream": (PROTOCOL_ERROR, h2_frame(FRAME_SETTINGS, 0, 1)),
    "SETTINGS of 5 bytes": (FRAME_SIZE_ERROR, h2_frame(FRAME_SETTINGS, 0, 0, b"12345")),
    "SETTINGS ACK with a payload": (FRAME_SIZE_ERROR, h2_frame(FRAME_SETTINGS, 1, 0, b"123456")),
    "window beyond 2^31": (FLOW_CONTROL_ERROR, settings((SETTINGS_INITIAL_WINDOW_SIZE, 1 << 31))),
    "frame size of 1": (PROTOCOL_ERROR, settings((5, 1))),
    "ENABLE_PUSH of 2": (PROTOCOL_ERROR, settings((2, 2))),
    "PING of 7 bytes": (FRAME_SIZE_ERROR, h2_frame(FRAME_PING, 0, 0, b"1234567")),
    "PING on a stream": (PROTOCOL_ERROR, h2_frame(FRAME_PING, 0, 1, b"12345678")),
    "GOAWAY on a stream": (PROTOCOL_ERROR, h2_frame(FRAME_GOAWAY, 0, 1, bytes(8))),
    "PUSH_PROMISE": (PROTOCOL_ERROR, h2_frame(PUSH_PROMISE, END_HEADERS, 1, struct.pack(">I", 2) + header_block())),
    "CONTINUATION first": (PROTOCOL_ERROR, continuation(1, header_block(), END_HEADERS)),
    "a frame between head and CONTINUATION": (PROTOCOL_ERROR, headers(1, flags=END_STREAM) + h2_frame(6, 0, 0, bytes(8))),
    "padding longer than the frame": (PROTOCOL_ERROR, OPEN + h2_frame(0, 8, 1, b"\xffabc")),
    "frame of 16 MiB": (FRAME_SIZE_ERROR, h2_frame(0, 0, 1, b"")[3:].join([b"\xff\xff\xff", b""]) + bytes(9)),
    "head of 70,000 bytes": (FRAME_SIZE_ERROR, headers(1, header_block() + literal(b"x", b"y" * 100) * 700)),
    "HPACK index 0": (COMPRESSION_ERROR, headers(1, b"\x80")),
    "HPACK index that is not there": (COMPRESSION_ERROR, headers(1, header_block() + b"\xfe")),
    "HPACK over-long integer": (COMPRESSION_ERROR, headers(1, b"\xff" + b"\xff" * 10 + b"\x01")),
    "HPACK string that is cut": (COMPRESSION_ERROR, headers(1, header_block() + b"\x00\x05ab")),
    "HPACK string of 2^32": (COMPRESSION_ERROR, headers(1, header_block() + b"\x00\x7f\xff\xff\xff\xff\x0f")),
    "HPACK table too large": (COMPRESSION_ERROR, headers(1, b"\x3f\xe1\xff\x3f" + header_block())),
    "Huffman of ones only": (COMPRESSION_ERROR, headers(1, header_block() + b"\x00\x84\xff\xff\xff\xff\x01y")),
}


def ended(victim, code, frames):
    with Http2(victim.address) as conn:
        conn.attack([frames])
        assert conn.end() == code


@pytest.mark.parametrize("code, frames", CONNECTION_ERRORS.values(), ids=CONNECTION_ERRORS)
def test_the_connection_ends_with_the_reason(victim, code, frames):
    victim.survives(lambda: ended(victim, code, frames))


def head(*more, path="/v2", method="GET", flags=END_STREAM | END_HEADERS):
    return headers(1, header_block(path, method, *more), flags)


def raw_head(*fields):
    return headers(1, b"".join(literal(name, value) for name, value in fields))


METHOD, SCHEME, PATH, AUTHORITY = h2(":method", "GET"), h2(":scheme", "http"), h2(":path", "/v2"), h2(":authority", "localhost")

# Frames, and the code with which their stream ends; the connection goes on.
STREAM_ERRORS = {
    "upper-case name": (PROTOCOL_ERROR, head(h2("X-Upper", "y"))),
    "connection field": (PROTOCOL_ERROR, head(h2("connection", "close"))),
    "transfer-encoding": (PROTOCOL_ERROR, head(h2("transfer-encoding", "chunked"))),
    "te that is not trailers": (PROTOCOL_ERROR, head(h2("te", "gzip"))),
    "no method": (PROTOCOL_ERROR, raw_head(SCHEME, PATH, AUTHORITY)),
    "no scheme": (PROTOCOL_ERROR, raw_head(METHOD, PATH, AUTHORITY)),
    "no path": (PROTOCOL_ERROR, raw_head(METHOD, SCHEME, AUTHORITY)),
    "empty path": (PROTOCOL_ERROR, raw_head(METHOD, SCHEME, h2(":path", ""), AUTHORITY)),
    "path without a slash": (PROTOCOL_ERROR, head(path="v2")),
    "no authority": (PROTOCOL_ERROR, raw_head(METHOD, SCHEME, PATH)),
    "two hosts": (PROTOCOL_ERROR, head(h2("host", "a"), h2("host", "a"))),
    "path twice": (PROTOCOL_ERROR, raw_head(METHOD, SCHEME, PATH, PATH, AUTHORITY)),
    "unknown pseudo-field": (PROTOCOL_ERROR, raw_head(METHOD, SCHEME, PATH, AUTHORITY, h2(":x", "y"))),
    "status in a request": (PROTOCOL_ERROR, raw_head(METHOD, SCHEME, PATH, AUTHORITY, h2(":status", "200"))),
    "pseudo-field at the end": (PROTOCOL_ERROR, raw_head(METHOD, SCHEME, AUTHORITY, h2("x", "y"), PATH)),
    "content-length of too much": (PROTOCOL_ERROR, head(h2("content-length", "5"), method="POST", flags=END_HEADERS)
                                   + data(1, b"abc")),
    "content-length of too little": (PROTOCOL_ERROR, head(h2("content-length", "2"), method="POST", flags=END_HEADERS)
                                     + data(1, b"abc")),
    "content-length twice": (PROTOCOL_ERROR, head(h2("content-length", "3"), h2("content-length", "3"), method="POST",
                                                  flags=END_HEADERS) + data(1, b"abc")),
    "content-length with a sign": (PROTOCOL_ERROR, head(h2("content-length", "+3"), method="POST", flags=END_HEADERS)
                                   + data(1, b"abc")),
    "WINDOW_UPDATE above 2^31": (FLOW_CONTROL_ERROR, OPEN + window_update(1, 0x7FFFFFFF)),
    "trailers with pseudo-fields": (PROTOCOL_ERROR, OPEN + headers(1)),
    "trailers that end nothing": (PROTOCOL_ERROR, OPEN + headers(1, literal(b"x", b"y"), END_HEADERS)),
}


def still_serves(conn, stream):
    conn.send(headers(stream))
    assert conn.answer(stream).status == 200


def stream_ended(victim, code, frames):
    with Http2(victim.address) as conn:
        conn.send(frames)
        assert conn.answer().reset == code
        still_serves(conn, 3)


@pytest.mark.parametrize("code, frames", STREAM_ERRORS.values(), ids=STREAM_ERRORS)
def test_the_stream_ends_with_the_reason(victim, code, frames):
    victim.survives(lambda: stream_ended(victim, code, frames))


# Frames, and the status that is answered; the connection goes on.
REFUSED = {
    "NUL in a value": (400, head((b"x", b"a\0b"))),
    "line feed in a value": (400, head((b"x", b"a\r\nb: c"))),
    "blank in a name": (400, head((b"x y", b"z"))),
    "encoded dots": (400, head(path="/v2/models/%2e%2e/ready")),
    "encoded slash": (400, head(path="/v2/models/a%2fb/ready")),
    "host that is not the authority": (400, head(h2("host", "b"))),
    "authority with a user": (400, raw_head(METHOD, SCHEME, PATH, h2(":authority", "u@localhost"))),
    "101 fields": (431, headers(1, header_block() + literal(b"x", b"y") * 101)),
    "40 KiB of fields": (431, headers(1, header_block() + literal(b"x", b"y" * 14000), END_STREAM)
                         + continuation(1, literal(b"x", b"y" * 14000))
                         + continuation(1, literal(b"x", b"y" * 14000), END_HEADERS)),
    "unknown path": (404, head(path="/nowhere")),
    "method that does not fit": (405, head(method="DELETE")),
    "no body": (400, head(path="/v2/models/echo/infer", method="POST")),
    "CONNECT": (405, raw_head(h2(":method", "CONNECT"), AUTHORITY)),
}


def refused(victim, status, frames):
    with Http2(victim.address) as conn:
        conn.send(frames)
        stream = conn.answer()
        assert stream.reset is None and stream.status == status, stream.body
        check_error_body(stream.body)
        still_serves(conn, 3)


@pytest.mark.parametrize("status, frames", REFUSED.values(), ids=REFUSED)
def test_the_request_is_refused_with_the_reason(victim, status, frames):
    victim.survives(lambda: refused(victim, status, frames))


def rapid_resets():
    return (headers(stream, grpc_block(), END_HEADERS) + rst_stream(stream) for stream in range(1, 40001, 2))


def made_resets():
    """MadeYouReset: streams that the server itself must reset."""
    return (headers(stream, flags=END_HEADERS) + window_update(stream, 0) for stream in range(1, 40001, 2))


def endless_head(block):
    yield headers(1, header_block(), END_STREAM)
    for _ in range(100000):
        yield continuation(1, block)


def hpack_bomb():
    """4 KB into the table once, then a byte for each mention: 14 KB on the wire say 40 MB."""
    return [headers(1, header_block() + literal(b"x", b"y" * 4000, 0x40) + b"\xbe" * 10000)]


# What keeps the rules, or nearly, and never ends: the connection is cut before the attack is through.
FLOODS = {
    "rapid reset": rapid_resets,
    "resets that we are made to send": made_resets,
    "CONTINUATION for ever": lambda: endless_head(literal(b"x", b"y" * 100)),
    "CONTINUATION of nothing for ever": lambda: endless_head(b""),
    "fields of nothing for ever": lambda: endless_head(b"\x00\x01x\x00" * 4000),
    "PING": lambda: (h2_frame(FRAME_PING, 0, 0, b"12345678") * 100 for _ in range(50000)),
    "SETTINGS": lambda: (settings() * 100 for _ in range(50000)),
    "HPACK bomb": hpack_bomb,
}


def cut(victim, frames):
    """Sends, reads nothing until the end, and finds the connection ended."""
    with Http2(victim.address) as conn:
        went_through = conn.attack(frames)
        try:
            while conn.socket.recv(65536):
                pass
        except TimeoutError:
            raise AssertionError(f"the connection goes on; all frames were sent: {went_through}") from None
        except ConnectionResetError:
            pass


@pytest.mark.parametrize("frames", FLOODS.values(), ids=FLOODS)
def test_a_flood_is_cut(victim, frames):
    victim.survives(lambda: cut(victim, frames()), repeats=2)


def test_others_are_served_during_a_flood(victim):
    with Http2(victim.address) as conn, Http2(victim.address) as good:
        frames = rapid_resets()
        for stream in range(1, 100, 2):
            conn.attack([next(frames)])
            still_serves(good, stream)
    victim.check()


# Frames that are odd, useless or unknown, and must not be minded.
PASSED = {
    "unknown frame": h2_frame(0x42, 0xFF, 1, b"x" * 100),
    "unknown setting": settings((0x4242, 1)),
    "PRIORITY": h2_frame(PRIORITY, 0, 3, struct.pack(">IB", 1, 16)),
    "empty DATA": b"",
    "PING": h2_frame(FRAME_PING, 0, 0, b"12345678"),
    "reserved bit": h2_frame(6, 0, 0x80000000, b"12345678"),
}


@pytest.mark.parametrize("frames", PASSED.values(), ids=PASSED)
def test_it_is_passed_over(victim, frames):
    with Http2(victim.address) as conn:
        conn.send(frames)
        still_serves(conn, 1)


def test_more_streams_than_allowed_are_refused_and_the_others_answered(victim):
    refused_stream = 7

    def attack():
        with Http2(victim.address) as conn:
            conn.send(b"".join(headers(stream, header_block("/v2/models/echo/infer", "POST"), END_HEADERS)
                               for stream in range(1, 401, 2)))
            assert all(conn.answer(stream).reset == refused_stream for stream in range(201, 401, 2))
            for stream in range(1, 201, 2):
                conn.send(data(stream, SMALL_INFER))
                assert conn.answer(stream).status == 200

    victim.survives(attack, repeats=10)


def test_a_hundred_big_answers_and_no_window_cost_their_size_and_end(victim):
    """The client's window is 0: answers wait for it, are cut after the time for unread output, and others go on."""
    numbers = b",".join([b"0.5"] * 20000)
    body = b'{"inputs":[{"name":"x","datatype":"FP32","shape":[20000],"data":[' + numbers + b"]}]}"

    def attack():
        with Http2(victim.address, (SETTINGS_INITIAL_WINDOW_SIZE, 0)) as conn:
            for stream in range(1, 201, 2):
                conn.send(headers(stream, header_block("/v2/models/echo/infer", "POST"), END_HEADERS))
                for at in range(0, len(body), 16384):
                    last = at + 16384 >= len(body)
                    conn.send(data(stream, body[at:at + 16384], END_STREAM if last else 0))
            victim.answers()
            if victim.judges_memory:
                assert processes.rss_bytes(victim.server.pid) - victim.memory < MEMORY_UNREAD
            resets = {conn.answer(stream).reset for stream in range(1, 201, 2)}
            assert resets == {CANCEL}

    victim.survives(attack, repeats=2)


def test_ten_thousand_streams_cancelled_in_flight(victim):
    """A good client cancels what runs: its connection is cut at most, and nothing stays behind."""
    body = grpc_message(b"\x0a\x04wild")

    def attack():
        sent = 0
        while sent < 10000:
            with Http2(victim.address) as conn:
                for stream in range(1, 2001, 2):
                    frames = headers(stream, grpc_block(), END_HEADERS) + data(stream, body) + rst_stream(stream)
                    sent += 1
                    if not conn.attack([frames]):
                        break

    victim.survives(attack, repeats=1)


@pytest.mark.parametrize("start", [H2_PREFACE[:20] + b"xxxx", H2_PREFACE + b"GET / HTTP/1.1\r\n\r\n" * 10,
                                   H2_PREFACE + headers(1)], ids=["cut preface", "HTTP/1.1 inside", "no SETTINGS"])
def test_what_only_begins_like_http2_is_cut(victim, start):
    def attack():
        with Connection(victim.address) as conn:
            conn.send(start)
            conn.rest()

    victim.survives(attack)


@pytest.mark.parametrize("start", [b"", settings(), headers(1, flags=END_STREAM), OPEN],
                         ids=["nothing", "settings only", "half a head", "no body"])
def test_a_started_request_has_a_clock(victim, start):
    """Idle is allowed; a head or a body that does not come is not."""
    with Http2(victim.address) as conn:
        conn.send(start)
        if start == OPEN:
            assert conn.answer().status == 408
        elif start.startswith(headers(1, flags=END_STREAM)):
            assert conn.end() == ENHANCE_YOUR_CALM
        else:
            still_serves(conn, 1)
    victim.check()
