"""HTTP/2 and gRPC by hand: frames as one likes them, answers as they come."""
import struct

import hpack
from support.sockets import FRAME_CONTINUATION, FRAME_DATA, FRAME_GOAWAY, FRAME_HEADERS, FRAME_RST_STREAM, FRAME_SETTINGS
from support.sockets import FRAME_WINDOW_UPDATE, H2_PREFACE, Connection, h2_frame

END_STREAM, ACK, END_HEADERS = 1, 1, 4
NO_ERROR, PROTOCOL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED, FRAME_SIZE_ERROR = 0, 1, 3, 5, 6
CANCEL, COMPRESSION_ERROR, ENHANCE_YOUR_CALM = 8, 9, 11
SETTINGS_INITIAL_WINDOW_SIZE = 4
INFER_PATH = "/inference.GRPCInferenceService/ModelInfer"


def prefixed(number, bits, first=0):
    """A number of HPACK: what fits into that many bits of its first byte, then seven bits a byte."""
    full = (1 << bits) - 1
    if number < full:
        return bytes([first | number])
    out, number = bytes([first | full]), number - full
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def literal(name, value, kind=0):
    """A header field as it is: kind 0 goes into no table, 0x40 into the connection's."""
    return bytes([kind]) + prefixed(len(name), 7) + name + prefixed(len(value), 7) + value


def header_block(path="/v2", method="GET", *more):
    """A request's head without compression; more are pairs of bytes."""
    fields = [(b":method", method.encode()), (b":scheme", b"http"), (b":path", path.encode()), (b":authority", b"localhost")]
    return b"".join(literal(name, value) for name, value in [*fields, *more])


def headers(stream, block=None, flags=END_STREAM | END_HEADERS):
    return h2_frame(FRAME_HEADERS, flags, stream, header_block() if block is None else block)


def continuation(stream, block, flags=0):
    return h2_frame(FRAME_CONTINUATION, flags, stream, block)


def data(stream, payload, flags=END_STREAM):
    return h2_frame(FRAME_DATA, flags, stream, payload)


def rst_stream(stream, code=CANCEL):
    return h2_frame(FRAME_RST_STREAM, 0, stream, struct.pack(">I", code))


def settings(*pairs, flags=0):
    return h2_frame(FRAME_SETTINGS, flags, 0, b"".join(struct.pack(">HI", *pair) for pair in pairs))


def window_update(stream, increment):
    return h2_frame(FRAME_WINDOW_UPDATE, 0, stream, struct.pack(">I", increment))


def grpc_block(path=INFER_PATH, *more):
    """The head of a gRPC call."""
    return header_block(path, "POST", (b"content-type", b"application/grpc"), (b"te", b"trailers"), *more)


def grpc_message(payload, flag=0, size=None):
    """A message with its prefix, which may lie."""
    return struct.pack(">BI", flag, len(payload) if size is None else size) + payload


class Stream:
    """What has come on one stream."""

    def __init__(self):
        self.heads, self.body, self.ended, self.reset = [], b"", False, None

    @property
    def fields(self):
        """All fields, of head and trailers."""
        return dict(field for head in self.heads for field in head)

    @property
    def status(self):
        return int(self.fields[":status"])

    @property
    def over(self):
        return self.ended or self.reset is not None


class Http2(Connection):
    """A connection that has sent the preface and its settings."""

    def __init__(self, address, *pairs, **options):
        super().__init__(address, **options)
        self.decoder, self.streams, self.goaway = hpack.Decoder(), {}, None
        self.send(H2_PREFACE + settings(*pairs))

    def attack(self, frames):
        """Sends until the server has had enough; False then."""
        try:
            for frame in frames:
                self.send(frame)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def stream(self, number):
        return self.streams.setdefault(number, Stream())

    def step(self):
        """Reads one frame; False at the end of the connection."""
        try:
            kind, flags, number, payload = self.frame()
        except EOFError:
            return False
        if kind == FRAME_HEADERS:
            self.stream(number).heads.append(self.decoder.decode(payload))
        elif kind == FRAME_DATA:
            self.stream(number).body += payload
        elif kind == FRAME_RST_STREAM:
            self.stream(number).reset = int.from_bytes(payload, "big")
        elif kind == FRAME_GOAWAY:
            self.goaway = int.from_bytes(payload[4:8], "big")
        if kind in (FRAME_HEADERS, FRAME_DATA) and flags & END_STREAM:
            self.stream(number).ended = True
        return True

    def answer(self, number=1):
        """The stream, when it is over; EOFError when the connection ends before."""
        while not self.stream(number).over:
            if not self.step():
                raise EOFError(f"the connection ended, GOAWAY {self.goaway}")
        return self.streams[number]

    def end(self):
        """Reads until the server closes; the code of its GOAWAY, None without one."""
        while self.step():
            pass
        return self.goaway

    def call(self, body, *more, path=INFER_PATH, stream=1):
        """A unary gRPC call with this very body: (grpc-status, grpc-message)."""
        self.send(headers(stream, grpc_block(path, *more), END_HEADERS) + data(stream, body))
        fields = self.answer(stream).fields
        return int(fields["grpc-status"]), fields.get("grpc-message", "")
