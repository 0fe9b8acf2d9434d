"""Between a client and a server of HTTP/2: passes all bytes on, and counts frames and bytes each way."""
import collections
import socket
import threading

from support.sockets import FRAME_PING, H2_PREFACE

HEAD_BYTES = 9
ACK = 1


class Way:
    """What goes one way: .bytes of all, .frames of each (kind, whether it is an acknowledgement)."""

    def __init__(self):
        self.bytes, self.frames, self.rest = 0, collections.Counter(), b""

    def seen(self, data):
        self.bytes += len(data)
        self.rest += data
        self.rest = self.rest.removeprefix(H2_PREFACE)
        while len(self.rest) >= HEAD_BYTES:
            end = HEAD_BYTES + int.from_bytes(self.rest[:3], "big")
            if len(self.rest) < end:
                break
            kind, flags = self.rest[3], self.rest[4]
            self.frames[kind, kind == FRAME_PING and bool(flags & ACK)] += 1
            self.rest = self.rest[end:]


class Relay:
    """Listens at .netloc for connections to `address`; `connections` has (from the client, from the server) of each."""

    def __init__(self, address):
        self.address, self.connections, self.sockets = address, [], []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.netloc = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for one in (self.listener, *self.sockets):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            one.close()

    def accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            server = socket.create_connection(self.address)
            self.sockets += [client, server]
            ways = Way(), Way()
            self.connections.append(ways)
            for source, target, way in ((client, server, ways[0]), (server, client, ways[1])):
                threading.Thread(target=self.move, args=(source, target, way), daemon=True).start()

    @staticmethod
    def move(source, target, way):
        try:
            while data := source.recv(1 << 16):
                way.seen(data)
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass
