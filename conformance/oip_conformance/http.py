"""HTTP by hand, over 1.1 and over 2 with prior knowledge: what is sent is what the case says, byte for byte."""
import json
import re
import socket
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

import h2.config
import h2.connection
import h2.events
import h2.exceptions

TIMEOUT_S = 30
END = b"\r\n\r\n"


class NoAnswer(AssertionError):
    """The server closed the connection, or said nothing in time."""


@dataclass
class Reply:
    """An answer. Names of fields are in lower case."""

    status: int
    fields: dict
    body: bytes

    def json(self):
        """The body, which must be JSON."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise AssertionError(f"{self.status}, and no JSON: {self.body[:200]!r}") from error

    def error(self):
        """The sentence of an error's body."""
        body = self.json()
        assert isinstance(body, dict) and isinstance(body.get("error"), str) and body["error"], f"no error's body: {body}"
        return body["error"]

    def sentence(self):
        """What an error's body says, in whatever form."""
        body = self.json()
        said = isinstance(body, dict) and (body.get("error") or body.get("detail"))
        assert said, f"no error's body: {body}"
        return str(said)


def connect(url):
    """A socket to the URL's server."""
    made = socket.create_connection((url.hostname, url.port or (443 if url.scheme == "https" else 80)), timeout=TIMEOUT_S)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


class Http1:
    """One request a connection."""

    name = "HTTP/1.1"

    def __init__(self, url, fields=()):
        self.url, self.fields = urlsplit(url), list(fields)
        self.context = ssl._create_unverified_context() if self.url.scheme == "https" else None

    def open(self):
        made = connect(self.url)
        return self.context.wrap_socket(made, server_hostname=self.url.hostname) if self.context else made

    def ask(self, method, path, body=None, fields=()):
        """One request, one answer. body: bytes, or what is to be sent as JSON."""
        body, fields = encoded(body), described(body, [*self.fields, *fields])
        lines = [f"{method} {self.url.path.rstrip('/')}{path} HTTP/1.1", f"Host: {self.url.netloc}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in fields]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        return self.raw("\r\n".join(lines).encode("latin-1") + END + (body or b""))

    def raw(self, data):
        """The answer to these bytes."""
        with self.open() as conn:
            try:
                conn.sendall(data)
            except (BrokenPipeError, ConnectionResetError):
                pass  # it may have answered already
            return self.read(conn)

    def read(self, conn):
        received = b""
        try:
            while chunk := conn.recv(1 << 16):
                received += chunk
                if END in received and complete(received):
                    break
        except (TimeoutError, ConnectionResetError) as error:
            if END not in received:
                raise NoAnswer(f"no answer: {error}") from None
        head, found, body = received.partition(END)
        if not found:
            raise NoAnswer(f"the connection was closed without an answer: {received[:100]!r}")
        status, *lines = head.decode("latin-1").split("\r\n")
        fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return Reply(int(status.split()[1]), fields, body_of(fields, body))


def encoded(body):
    return body if body is None or isinstance(body, bytes) else json.dumps(body).encode()


def described(body, fields):
    """The fields of a body: it is JSON unless they say otherwise. A Content-Type of None is not sent."""
    if body and not any(name.lower() == "content-type" for name, _ in fields):
        fields = [*fields, ("Content-Type", "application/json")]
    return [(name, value) for name, value in fields if value is not None]


def complete(received):
    """Has all of an answer with a length, or with chunks, come?"""
    head, _, body = received.partition(END)
    head = head.lower()
    if found := re.search(rb"\ncontent-length: *(\d+)", head):
        return len(body) >= int(found[1])
    return b"chunked" in head and (body.endswith(b"\r\n0" + END) or body == b"0" + END)


def body_of(fields, body):
    if "chunked" not in fields.get("transfer-encoding", ""):
        return body
    whole = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        count = int(size.split(b";")[0] or b"0", 16)
        whole, body = whole + body[:count], body[count + 2:]
        if not count:
            break
    return whole


class Http2:
    """The same over HTTP/2, in the clear with prior knowledge."""

    name = "HTTP/2"

    def __init__(self, url, fields=()):
        self.url, self.fields = urlsplit(url), list(fields)

    def speaks(self):
        """Does the server answer HTTP/2's preface?"""
        try:
            return self.url.scheme == "http" and self.ask("GET", "/v2/health/live").status < 500
        except (NoAnswer, OSError, h2.exceptions.ProtocolError):
            return False

    def ask(self, method, path, body=None, fields=()):
        body, fields = encoded(body), described(body, [*self.fields, *fields])
        client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        client.initiate_connection()
        client.increment_flow_control_window(1 << 24)
        head = [(":method", method), (":scheme", "http"), (":path", self.url.path.rstrip("/") + path),
                (":authority", self.url.netloc), *((name.lower(), value) for name, value in fields)]
        if body is not None:
            head.append(("content-length", str(len(body))))
        client.send_headers(1, head, end_stream=body is None)
        with connect(self.url) as conn:
            return self.exchange(client, conn, body or b"", body is not None)

    def exchange(self, client, conn, body, sends):
        reply = Reply(0, {}, b"")
        while True:
            while sends and (room := min(client.local_flow_control_window(1), client.max_outbound_frame_size)) >= min(len(body), 1):
                part, body = body[:room], body[room:]
                client.send_data(1, part, end_stream=not body)
                sends = bool(body)
            try:
                conn.sendall(client.data_to_send())
                data = conn.recv(1 << 16)
            except (TimeoutError, OSError) as error:
                raise NoAnswer(f"no answer: {error}") from None
            if not data:
                raise NoAnswer("the connection was closed without an answer")
            for event in client.receive_data(data):
                if isinstance(event, h2.events.ResponseReceived):
                    reply.fields = {name.lower(): value for name, value in event.headers}
                    reply.status = int(reply.fields[":status"])
                elif isinstance(event, h2.events.DataReceived):
                    reply.body += event.data
                    client.acknowledge_received_data(event.flow_controlled_length, 1)
                elif isinstance(event, h2.events.StreamEnded):
                    return reply
                elif isinstance(event, (h2.events.StreamReset, h2.events.ConnectionTerminated)):
                    if reply.status and isinstance(event, h2.events.StreamReset):
                        return reply  # an early answer, and no more of the body
                    raise NoAnswer(f"no answer: {event}")
