"""HTTP/1.1 that has more than one meaning, or none, or too much: refused with the right status, and closed."""
import pytest

from support.sockets import Connection, request
from support.victim import check_error_body

INFER = "/v2/models/echo/infer"
GET, POST = "GET /v2 HTTP/1.1", f"POST {INFER} HTTP/1.1"
HOST, CHUNKED = "Host: a", "Transfer-Encoding: chunked"


def head(*lines):
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def get(target):
    return head(f"GET {target} HTTP/1.1", HOST)


def post(*fields, body=b""):
    return head(POST, HOST, *fields) + body


def chunks(data):
    return post(CHUNKED, body=data)


# What is refused because nobody can say what it means. The connection ends: its bytes could be anything.
FRAMING = {
    "length and coding": (400, post("Content-Length: 5", CHUNKED, body=b"0\r\n\r\n")),
    "coding and length": (400, post(CHUNKED, "Content-Length: 5", body=b"0\r\n\r\n")),
    "two unequal lengths": (400, post("Content-Length: 5", "Content-Length: 6")),
    "two equal lengths": (400, post("Content-Length: 5", "Content-Length: 5")),
    "a list of lengths": (400, post("Content-Length: 5, 5")),
    "length with a sign": (400, post("Content-Length: +5")),
    "negative length": (400, post("Content-Length: -5")),
    "hexadecimal length": (400, post("Content-Length: 0x5")),
    "length with a blank inside": (400, post("Content-Length: 5 5")),
    "length with a fraction": (400, post("Content-Length: 5.0")),
    "empty length": (400, post("Content-Length: ")),
    "length of 40 digits": (413, post("Content-Length: " + "9" * 40)),
    "length of 2^64": (413, post(f"Content-Length: {1 << 64}")),
    "coding twice": (400, post(CHUNKED, CHUNKED, body=b"0\r\n\r\n")),
    "chunked, chunked": (400, post("Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n")),
    "gzip, chunked": (501, post("Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n")),
    "chunked, identity": (400, post("Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n")),
    "xchunked": (501, post("Transfer-Encoding: xchunked", body=b"0\r\n\r\n")),
    "empty coding": (400, post("Transfer-Encoding:", body=b"0\r\n\r\n")),
    "coding after a vertical tab": (400, post("Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n")),
    "coding in HTTP/1.0": (400, head(f"POST {INFER} HTTP/1.0", HOST, CHUNKED) + b"0\r\n\r\n"),
    "chunk size with plus": (400, chunks(b"+5\r\nhello\r\n0\r\n\r\n")),
    "chunk size with minus": (400, chunks(b"-5\r\nhello\r\n0\r\n\r\n")),
    "chunk size with 0x": (400, chunks(b"0x5\r\nhello\r\n0\r\n\r\n")),
    "chunk size after a blank": (400, chunks(b" 5\r\nhello\r\n0\r\n\r\n")),
    "chunk size before a blank": (400, chunks(b"5 \r\nhello\r\n0\r\n\r\n")),
    "empty chunk size": (400, chunks(b"\r\nhello\r\n0\r\n\r\n")),
    "chunk size of 17 digits": (413, chunks(b"1" * 17)),
    "chunk size of endless zeros": (431, chunks(b"0" * 40000)),
    "chunk longer than its size": (400, chunks(b"4\r\nhello\r\n0\r\n\r\n")),
    "chunk size ended by LF": (400, chunks(b"5\nhello\r\n0\r\n\r\n")),
    "chunk ended by LF": (400, chunks(b"5\r\nhello\n0\r\n\r\n")),
    "chunk extension with LF": (400, chunks(b"5;a\nb\r\nhello\r\n0\r\n\r\n")),
    "chunk extension with CR": (400, chunks(b"5;a\rb\r\nhello\r\n0\r\n\r\n")),
    "chunk extension of 1 MiB": ((400, 413, 431), chunks(b"5;" + b"a" * (1 << 20) + b"\r\nhello\r\n0\r\n\r\n")),
    "trailers of 1 MiB": ((400, 413, 431), chunks(b"0\r\nx: " + b"a" * (1 << 20) + b"\r\n\r\n")),
    "10,000 trailers": ((400, 413, 431), chunks(b"0\r\n" + b"x: y\r\n" * 10000 + b"\r\n")),
    "a million chunks": ((400, 413), chunks(b"1\r\na\r\n" * 1000000)),
}

LINES = {
    "bare LF": (400, b"GET /v2 HTTP/1.1\nHost: a\n\n"),
    "LF after the request line": (400, b"GET /v2 HTTP/1.1\nHost: a\r\n\r\n"),
    "LF at the end": (400, b"GET /v2 HTTP/1.1\r\nHost: a\r\n\n"),
    "bare CR": (400, b"GET /v2 HTTP/1.1\rHost: a\r\r"),
    "CR in a value": (400, head(GET, HOST, "X: a\rb")),
    "LF before the request": (400, b"\nGET /v2 HTTP/1.1\r\nHost: a\r\n\r\n"),
    "NUL in a value": (400, head(GET, HOST, "X: a\0b")),
    "NUL in a name": (400, head(GET, HOST, "X\0: a")),
    "control character in a value": (400, head(GET, HOST, "X: a\x01b")),
    "DEL in a value": (400, head(GET, HOST, "X: a\x7fb")),
    "blank before the colon": (400, head(GET, HOST, "X : b")),
    "tab before the colon": (400, head(GET, HOST, "X\t: b")),
    "blank in a name": (400, head(GET, HOST, "X Y: b")),
    "name outside ASCII": (400, head(GET, HOST, "X\xe4: b")),
    "no name": (400, head(GET, HOST, ": b")),
    "no colon": (400, head(GET, HOST, "X")),
    "folded line": (400, head(GET, HOST, "X: b", " c")),
    "folded first line": (400, head(GET, " X: b", HOST)),
    "folded by a tab": (400, head(GET, HOST, "X: b", "\tc")),
    "no host": (400, head(GET)),
    "two hosts": (400, head(GET, HOST, HOST)),
    "empty host": (400, head(GET, "Host:")),
    "host with a path": (400, head(GET, "Host: a/b")),
    "host with a user": (400, head(GET, "Host: u@a")),
    "host with a blank": (400, head(GET, "Host: a b")),
    "host with a list": (400, head(GET, "Host: a, b")),
    "host with a bad port": (400, head(GET, "Host: a:99999")),
    "host that is not the target's": (400, head("GET http://b/v2 HTTP/1.1", HOST)),
    "version 9.9": (505, head("GET /v2 HTTP/9.9", HOST)),
    "version 2.0": (505, head("GET /v2 HTTP/2.0", HOST)),
    "version 1": (400, head("GET /v2 HTTP/1", HOST)),
    "version 1.10": (400, head("GET /v2 HTTP/1.10", HOST)),
    "lower-case version": (400, head("GET /v2 http/1.1", HOST)),
    "another protocol": (400, head("GET /v2 RTSP/1.0", HOST)),
    "HTTP/0.9": (400, b"GET /v2\r\n\r\n"),
    "two blanks in the request line": (400, head("GET  /v2 HTTP/1.1", HOST)),
    "tab in the request line": (400, head("GET\t/v2 HTTP/1.1", HOST)),
    "blank after the version": (400, head("GET /v2 HTTP/1.1 ", HOST)),
    "unknown method": (501, head("BREW /v2 HTTP/1.1", HOST)),
    "lower-case method": (501, head("get /v2 HTTP/1.1", HOST)),
    "method with a NUL": (400, head("G\0T /v2 HTTP/1.1", HOST)),
    "CONNECT": (501, head("CONNECT a:80 HTTP/1.1", HOST)),
    "NUL at once": (400, b"\0" * 100),
    "TLS": (400, bytes.fromhex("16030100c8010000c40303") + b"a" * 50),
    "half the preface of HTTP/2": (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\rX"),
    "target of 64 KiB": (414, get("/" + "a" * 65536)),
    "target of 9,000 bytes": (414, get("/" + "a" * 9000)),
    "field of 1 MiB": (431, head(GET, HOST, "X: " + "a" * (1 << 20))),
    "name of 1 MiB": (431, head(GET, HOST, "a" * (1 << 20) + ": x")),
    "10,000 fields": (431, head(GET, HOST, *(f"x{i}: 1" for i in range(10000)))),
    "101 fields": (431, head(GET, HOST, *(f"x{i}: 1" for i in range(100)))),
}

TARGETS = {
    "encoded dots": (400, get("/v2/models/%2e%2e/ready")),
    "dots": (400, get("/v2/models/../models/echo/ready")),
    "one dot": (400, get("/v2/./models/echo")),
    "half-encoded dots": (400, get("/v2/models/.%2E/ready")),
    "encoded slash": (400, get("/v2/models/a%2fb/ready")),
    "encoded NUL": (400, get("/v2/models/%00/ready")),
    "encoded line feed": (400, get("/v2/models/a%0d%0aX:y/ready")),
    "encoded backslash": (400, get("/v2/models/..%5c/ready")),
    "backslash": (400, get("/v2\\models")),
    "cut escape": (400, get("/v2/models/%2")),
    "no escape": (400, get("/v2/models/%zz")),
    "fragment": (400, get("/v2#x")),
    "bytes outside ASCII": (400, get("/v2/\xff")),
    "no slash": (400, get("v2")),
    "control character": (400, get("/v2/\x01")),
    "another scheme": (400, get("ftp://a/v2")),
    "star": (400, get("*")),
}

REFUSED = {**FRAMING, **LINES, **TARGETS}


def refused(victim, status, data):
    """Sends it all, as far as it gets; one answer, then the end."""
    with Connection(victim.address) as conn:
        try:
            conn.send(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has answered and closed already
        response = conn.response()
        assert response.status in (status if isinstance(status, tuple) else (status,)), response.body
        assert response.headers["content-type"] == "application/json"
        assert response.headers["connection"] == "close"
        check_error_body(response.body)
        assert conn.rest() == b""


@pytest.mark.parametrize("status, data", REFUSED.values(), ids=REFUSED)
def test_it_is_refused_and_the_connection_closed(victim, status, data):
    victim.survives(lambda: refused(victim, status, data), repeats=100 if len(data) < 1 << 18 else 20)


# What is whole and clear, and only wrong: the connection goes on.
WRONG = {
    "unknown path": (404, get("/nowhere")),
    "trailing slash": (404, get("/v2/health/live/")),
    "doubled slash": (404, get("//v2")),
    "unknown model": (404, get("/v2/models/nope")),
    "unknown version": (404, get("/v2/models/echo/versions/2")),
    "version that is no number": (400, get("/v2/models/echo/versions/x")),
    "version of 40 digits": (400, get("/v2/models/echo/versions/" + "9" * 40)),
    "version -1": (400, get("/v2/models/echo/versions/-1")),
    "method that does not fit": (405, head("DELETE /v2/health/live HTTP/1.1", HOST)),
    "method that does not fit, with a body": (405, request("PUT", INFER, body=b"x" * 1000)),
    "no body": (400, request("POST", INFER)),
}


def kept(victim, status, data):
    """One answer, and then the same connection serves a good request."""
    with Connection(victim.address) as conn:
        conn.send(data)
        response = conn.response()
        assert response.status == status, response.body
        check_error_body(response.body)
        conn.send(request("GET", "/v2/health/live"))
        assert conn.response().status == 200


@pytest.mark.parametrize("status, data", WRONG.values(), ids=WRONG)
def test_it_is_refused_and_the_connection_goes_on(victim, status, data):
    victim.survives(lambda: kept(victim, status, data))


# What looks odd, and is allowed.
ALLOWED = {
    "empty lines first": b"\r\n\r\n" + head(GET, HOST),
    "absolute target": head("GET http://a/v2 HTTP/1.1", HOST),
    "upgrade that is not taken": head(GET, HOST, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c",
                                      "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"),
    "encoded letters": get("/%76%32"),
    "query": get("/v2?a=b&c"),
    "100 fields": head(GET, HOST, *(f"x{i}: 1" for i in range(99))),
    "value outside ASCII": head(GET, HOST, "X: \xe4"),
}


@pytest.mark.parametrize("data", ALLOWED.values(), ids=ALLOWED)
def test_it_is_served(victim, data):
    with Connection(victim.address) as conn:
        conn.send(data)
        assert conn.response().status == 200


@pytest.mark.parametrize("bad", [head(GET, HOST, HOST), b"\0", post(CHUNKED, "Content-Length: 1")],
                         ids=["two hosts", "NUL", "smuggling"])
def test_what_came_before_in_the_pipeline_is_answered(victim, bad):
    def attack():
        with Connection(victim.address) as conn:
            conn.send(request("GET", "/v2") * 2 + bad)
            assert [conn.response().status for _ in range(3)] == [200, 200, 400]
            assert conn.rest() == b""

    victim.survives(attack)


def test_what_comes_after_a_refusal_is_not_served(victim):
    with Connection(victim.address) as conn:
        conn.send(post("Content-Length: 5", CHUNKED, body=b"0\r\n\r\n") + request("GET", "/v2"))
        assert conn.response().status == 400
        assert conn.rest() == b""


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_the_cut_into_reads_changes_nothing(victim, size):
    for status, data in (LINES["two hosts"], FRAMING["chunk size with plus"], TARGETS["encoded dots"]):
        with Connection(victim.address) as conn:
            for at in range(0, len(data), size):
                try:
                    conn.send(data[at:at + size])
                except (BrokenPipeError, ConnectionResetError):
                    break
            assert conn.response().status == status
    victim.check()
