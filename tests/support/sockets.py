"""Raw bytes over TCP or a unix socket, for what no client would send."""
import json
import socket
import struct

TIMEOUT_S = 60

FRAME_DATA, FRAME_HEADERS, FRAME_RST_STREAM, FRAME_SETTINGS = 0, 1, 3, 4
FRAME_PING, FRAME_GOAWAY, FRAME_WINDOW_UPDATE, FRAME_CONTINUATION = 6, 7, 8, 9
H2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Connection:
    """One connection to the server. A context manager; closed at the end."""

    def __init__(self, address, timeout_s=TIMEOUT_S):
        if isinstance(address, tuple):
            self.socket = socket.create_connection(address, timeout=timeout_s)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:  # a path
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout_s)
            self.socket.connect(str(address))
        self.received = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def reset(self):
        """Closes with RST instead of FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def more(self):
        """Reads once; False at the end of the stream."""
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            return False
        self.received += data
        return bool(data)

    def take(self, count):
        """The next `count` bytes; EOFError when the stream ends before."""
        while len(self.received) < count:
            if not self.more():
                raise EOFError(f"{len(self.received)} bytes of {count}")
        taken, self.received = self.received[:count], self.received[count:]
        return taken

    def take_until(self, mark):
        """The bytes up to and with the mark."""
        while mark not in self.received:
            if not self.more():
                raise EOFError(f"no {mark!r} in {self.received[:200]!r}")
        return self.take(self.received.index(mark) + len(mark))

    def rest(self):
        """Everything up to the end of the stream."""
        while self.more():
            pass
        return self.take(len(self.received))

    def rest_of_chunks(self):
        """Everything up to the last chunk of a chunked body."""
        return self.take_until(b"0\r\n\r\n")

    def response(self):
        """Reads one HTTP/1.1 response with Content-Length."""
        head = self.take_until(b"\r\n\r\n").decode("latin-1")
        status_line, *lines = head.rstrip("\r\n").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return Response(int(status_line.split()[1]), headers, self.take(int(headers.get("content-length", 0))))

    def frame(self):
        """Reads one HTTP/2 frame: type, flags, stream, payload."""
        head = self.take(9)
        size, kind, flags, stream = int.from_bytes(head[:3], "big"), head[3], head[4], head[5:]
        return kind, flags, int.from_bytes(stream, "big") & 0x7FFFFFFF, self.take(size)


class Response:
    """A response of HTTP/1.1."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)


def request(method, path, headers=(), body=b"", host="localhost"):
    """The bytes of one HTTP/1.1 request; Host and Content-Length are added."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in dict(headers).items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def h2_frame(kind, flags=0, stream=0, payload=b""):
    """The bytes of one HTTP/2 frame."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload
