"""HTTP/1.1 that has more than one meaning, or none, or too much.

Each case: the status that refuses it, the section of the RFC that says why ("limit": ours), and the bytes."""

INFER = "/v2/models/echo/infer"
GET, POST = "GET /v2 HTTP/1.1", f"POST {INFER} HTTP/1.1"
HOST, CHUNKED = "Host: localhost", "Transfer-Encoding: chunked"


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
    "length and coding": (400, "9112 §6.3", post("Content-Length: 5", CHUNKED, body=b"0\r\n\r\n")),
    "coding and length": (400, "9112 §6.3", post(CHUNKED, "Content-Length: 5", body=b"0\r\n\r\n")),
    "two unequal lengths": (400, "9112 §6.3", post("Content-Length: 5", "Content-Length: 6")),
    "two equal lengths": (400, "9112 §6.3", post("Content-Length: 5", "Content-Length: 5")),
    "a list of lengths": (400, "9112 §6.3", post("Content-Length: 5, 5")),
    "length with a sign": (400, "9110 §8.6", post("Content-Length: +5")),
    "negative length": (400, "9110 §8.6", post("Content-Length: -5")),
    "hexadecimal length": (400, "9110 §8.6", post("Content-Length: 0x5")),
    "length with a blank inside": (400, "9110 §8.6", post("Content-Length: 5 5")),
    "length with a fraction": (400, "9110 §8.6", post("Content-Length: 5.0")),
    "empty length": (400, "9110 §8.6", post("Content-Length: ")),
    "length of 40 digits": (413, "9110 §8.6", post("Content-Length: " + "9" * 40)),
    "length of 2^64": (413, "9110 §8.6", post(f"Content-Length: {1 << 64}")),
    "coding twice": (400, "9112 §6.1", post(CHUNKED, CHUNKED, body=b"0\r\n\r\n")),
    "chunked, chunked": (400, "9112 §6.1", post("Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n")),
    "gzip, chunked": (501, "9112 §6.1", post("Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n")),
    "chunked, identity": (400, "9112 §6.1", post("Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n")),
    "xchunked": (501, "9112 §6.1", post("Transfer-Encoding: xchunked", body=b"0\r\n\r\n")),
    "empty coding": (400, "9112 §6.1", post("Transfer-Encoding:", body=b"0\r\n\r\n")),
    "coding after a vertical tab": (400, "9112 §6.1", post("Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n")),
    "coding in HTTP/1.0": (400, "9112 §6.1", head(f"POST {INFER} HTTP/1.0", HOST, CHUNKED) + b"0\r\n\r\n"),
    "chunk size with plus": (400, "9112 §7.1", chunks(b"+5\r\nhello\r\n0\r\n\r\n")),
    "chunk size with minus": (400, "9112 §7.1", chunks(b"-5\r\nhello\r\n0\r\n\r\n")),
    "chunk size with 0x": (400, "9112 §7.1", chunks(b"0x5\r\nhello\r\n0\r\n\r\n")),
    "chunk size after a blank": (400, "9112 §7.1", chunks(b" 5\r\nhello\r\n0\r\n\r\n")),
    "chunk size before a blank": (400, "9112 §7.1", chunks(b"5 \r\nhello\r\n0\r\n\r\n")),
    "empty chunk size": (400, "9112 §7.1", chunks(b"\r\nhello\r\n0\r\n\r\n")),
    "chunk size of 17 digits": (413, "9112 §7.1", chunks(b"1" * 17)),
    "chunk size of endless zeros": (431, "9112 §7.1", chunks(b"0" * 40000)),
    "chunk longer than its size": (400, "9112 §7.1", chunks(b"4\r\nhello\r\n0\r\n\r\n")),
    "chunk size ended by LF": (400, "9112 §7.1", chunks(b"5\nhello\r\n0\r\n\r\n")),
    "chunk ended by LF": (400, "9112 §7.1", chunks(b"5\r\nhello\n0\r\n\r\n")),
    "chunk extension with LF": (400, "9112 §7.1.1", chunks(b"5;a\nb\r\nhello\r\n0\r\n\r\n")),
    "chunk extension with CR": (400, "9112 §7.1.1", chunks(b"5;a\rb\r\nhello\r\n0\r\n\r\n")),
    "chunk extension of 1 MiB": ((400, 413, 431), "9112 §7.1.1",
                                 chunks(b"5;" + b"a" * (1 << 20) + b"\r\nhello\r\n0\r\n\r\n")),
    "trailers of 1 MiB": ((400, 413, 431), "9112 §7.1.2", chunks(b"0\r\nx: " + b"a" * (1 << 20) + b"\r\n\r\n")),
    "10,000 trailers": ((400, 413, 431), "9112 §7.1.2", chunks(b"0\r\n" + b"x: y\r\n" * 10000 + b"\r\n")),
    "NUL in a chunk extension": (400, "9112 §7.1.1", chunks(b"5;a\0b\r\nhello\r\n0\r\n\r\n")),
    "trailer ended by LF": (400, "9112 §7.1.2", chunks(b"0\r\nx: y\n\r\n")),
    "trailer with a blank before the colon": (400, "9112 §7.1.2", chunks(b"0\r\nx : y\r\n\r\n")),
    "chunked with a parameter": ((400, 501), "9112 §7", post("Transfer-Encoding: chunked;q=1", body=b"0\r\n\r\n")),
    "quoted chunked": ((400, 501), "9112 §7", post('Transfer-Encoding: "chunked"', body=b"0\r\n\r\n")),
    "length after a vertical tab": (400, "9110 §8.6", post("Content-Length: \x0b5", body=b"hello")),
    "length after NUL": (400, "9110 §8.6", post("Content-Length: 5\0", body=b"hello")),
    "a million chunks": ((400, 413), "limit", chunks(b"1\r\na\r\n" * 1000000)),
}

LINES = {
    "bare LF": (400, "9112 §2.2", b"GET /v2 HTTP/1.1\nHost: localhost\n\n"),
    "LF after the request line": (400, "9112 §2.2", b"GET /v2 HTTP/1.1\nHost: localhost\r\n\r\n"),
    "LF at the end": (400, "9112 §2.2", b"GET /v2 HTTP/1.1\r\nHost: localhost\r\n\n"),
    "bare CR": (400, "9112 §2.2", b"GET /v2 HTTP/1.1\rHost: localhost\r\r"),
    "CR in a value": (400, "9112 §2.2", head(GET, HOST, "X: a\rb")),
    "LF before the request": (400, "9112 §2.2", b"\nGET /v2 HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    "NUL in a value": (400, "9110 §5.5", head(GET, HOST, "X: a\0b")),
    "NUL in a name": (400, "9110 §5.1", head(GET, HOST, "X\0: a")),
    "control character in a value": (400, "9110 §5.5", head(GET, HOST, "X: a\x01b")),
    "DEL in a value": (400, "9110 §5.5", head(GET, HOST, "X: a\x7fb")),
    "blank before the colon": (400, "9112 §5.1", head(GET, HOST, "X : b")),
    "tab before the colon": (400, "9112 §5.1", head(GET, HOST, "X\t: b")),
    "blank in a name": (400, "9110 §5.1", head(GET, HOST, "X Y: b")),
    "name outside ASCII": (400, "9110 §5.1", head(GET, HOST, "X\xe4: b")),
    "no name": (400, "9110 §5.1", head(GET, HOST, ": b")),
    "no colon": (400, "9112 §5", head(GET, HOST, "X")),
    "folded line": (400, "9112 §5.2", head(GET, HOST, "X: b", " c")),
    "folded first line": (400, "9112 §2.2", head(GET, " X: b", HOST)),
    "folded by a tab": (400, "9112 §5.2", head(GET, HOST, "X: b", "\tc")),
    "no host": (400, "9112 §3.2", head(GET)),
    "two hosts": (400, "9112 §3.2", head(GET, HOST, HOST)),
    "empty host": (400, "9112 §3.2", head(GET, "Host:")),
    "host with a path": (400, "9112 §3.2", head(GET, "Host: a/b")),
    "host with a user": (400, "9112 §3.2", head(GET, "Host: u@a")),
    "host with a blank": (400, "9112 §3.2", head(GET, "Host: a b")),
    "host with a list": (400, "9112 §3.2", head(GET, "Host: a, b")),
    "host with a bad port": (400, "9112 §3.2", head(GET, "Host: a:99999")),
    "host with half a bracket": (400, "9112 §3.2", head(GET, "Host: [::1")),
    "host with a backslash": (400, "9112 §3.2", head(GET, "Host: a\\b")),
    "target with a user": (400, "9112 §3.2.2", head("GET http://u@a/v2 HTTP/1.1", HOST)),
    "host that is not the target's": (400, "9112 §3.2", head("GET http://b/v2 HTTP/1.1", HOST)),
    "version 9.9": (505, "9112 §2.3", head("GET /v2 HTTP/9.9", HOST)),
    "version 2.0": (505, "9112 §2.3", head("GET /v2 HTTP/2.0", HOST)),
    "version 1": (400, "9112 §2.3", head("GET /v2 HTTP/1", HOST)),
    "version 1.10": (400, "9112 §2.3", head("GET /v2 HTTP/1.10", HOST)),
    "lower-case version": (400, "9112 §2.3", head("GET /v2 http/1.1", HOST)),
    "another protocol": (400, "9112 §2.3", head("GET /v2 RTSP/1.0", HOST)),
    "HTTP/0.9": (400, "9112 §2.3", b"GET /v2\r\n\r\n"),
    "two blanks in the request line": (400, "9112 §3", head("GET  /v2 HTTP/1.1", HOST)),
    "tab in the request line": (400, "9112 §3", head("GET\t/v2 HTTP/1.1", HOST)),
    "blank after the version": (400, "9112 §3", head("GET /v2 HTTP/1.1 ", HOST)),
    "unknown method": (501, "9112 §3.1", head("BREW /v2 HTTP/1.1", HOST)),
    "lower-case method": (501, "9112 §3.1", head("get /v2 HTTP/1.1", HOST)),
    "method with a NUL": (400, "9112 §3.1", head("G\0T /v2 HTTP/1.1", HOST)),
    "absolute target of another host": (400, "9112 §3.2.2", head("GET http://a/v2 HTTP/1.1", HOST)),
    "CONNECT": (501, "9110 §9.3.6", head("CONNECT a:80 HTTP/1.1", HOST)),
    "NUL at once": (400, "9112 §3", b"\0" * 100),
    "half the preface of HTTP/2": (505, "9112 §2.3", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\rX"),
    "target of 64 KiB": (414, "9112 §3", get("/" + "a" * 65536)),
    "target of 9,000 bytes": (414, "9112 §3", get("/" + "a" * 9000)),
    "field of 1 MiB": (431, "6585 §5", head(GET, HOST, "X: " + "a" * (1 << 20))),
    "name of 1 MiB": (431, "6585 §5", head(GET, HOST, "a" * (1 << 20) + ": x")),
    "10,000 fields": (431, "6585 §5", head(GET, HOST, *(f"x{i}: 1" for i in range(10000)))),
    "101 fields": (431, "6585 §5", head(GET, HOST, *(f"x{i}: 1" for i in range(100)))),
}

TARGETS = {
    "encoded dots": (400, "3986 §6.2.2", get("/v2/models/%2e%2e/ready")),
    "dots": (400, "3986 §6.2.2", get("/v2/models/../models/echo/ready")),
    "one dot": (400, "3986 §6.2.2", get("/v2/./models/echo")),
    "half-encoded dots": (400, "3986 §6.2.2", get("/v2/models/.%2E/ready")),
    "encoded slash": (400, "3986 §6.2.2", get("/v2/models/a%2fb/ready")),
    "encoded NUL": (400, "3986 §6.2.2", get("/v2/models/%00/ready")),
    "encoded line feed": (400, "3986 §6.2.2", get("/v2/models/a%0d%0aX:y/ready")),
    "encoded backslash": (400, "3986 §6.2.2", get("/v2/models/..%5c/ready")),
    "backslash": (400, "3986 §2.1", get("/v2\\models")),
    "cut escape": (400, "3986 §2.1", get("/v2/models/%2")),
    "no escape": (400, "3986 §2.1", get("/v2/models/%zz")),
    "fragment": (400, "9112 §3.2", get("/v2#x")),
    "bytes outside ASCII": (400, "3986 §2.1", get("/v2/\xff")),
    "no slash": (400, "9112 §3.2", get("v2")),
    "control character": (400, "3986 §2.1", get("/v2/\x01")),
    "another scheme": (400, "9112 §3.2", get("ftp://a/v2")),
    "star": (400, "9112 §3.2", get("*")),
}

REFUSED = {**FRAMING, **LINES, **TARGETS}

# What looks odd, and is allowed.
ALLOWED = {
    "empty lines first": b"\r\n\r\n" + head(GET, HOST),
    "absolute target": head("GET http://localhost/v2 HTTP/1.1", HOST),
    "upgrade that is not taken": head(GET, HOST, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c",
                                      "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"),
    "encoded letters": get("/%76%32"),
    "query": get("/v2?a=b&c"),
    "100 fields": head(GET, HOST, *(f"x{i}: 1" for i in range(99))),
    "value outside ASCII": head(GET, HOST, "X: \xe4"),
}
