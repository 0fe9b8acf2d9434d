"""A thousand clients who behave badly in the same way, and the moment at which the server gives each of them up."""
import resource
import select
import socket
import ssl
import struct
import time

TCP_REPAIR = 19  # of linux/tcp.h; a socket in repair is closed without a word to its peer
BETWEEN = 50  # members that come between two looks at the others
SEGMENT_BYTES = 536  # keeps the kernel's buffers small, so that output comes to lie in the server


def allow_descriptors():
    """As many as there may be, for this process and the servers that it starts."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class Member:
    """One client."""

    def __init__(self, address, small, wrap):
        raw = socket.socket()
        # Closed by RST, so that no port is left waiting.
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if small:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT_BYTES)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        raw.settimeout(60)
        raw.connect(address)
        self.socket = wrap(raw) if wrap else raw
        self.socket.setblocking(False)
        self.since, self.cut_after_s = time.monotonic(), None
        self.received = b""

    def send(self, data):
        """What the kernel takes of it; a client that was given up has not noticed it yet."""
        try:
            self.socket.send(data)
        except (BlockingIOError, ConnectionError, ssl.SSLError):
            pass

    def read(self):
        """Takes what has come; True at the end of the connection."""
        try:
            while data := self.socket.recv(65536):
                self.received += data
            return True
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        except OSError:
            return True


class Crowd:
    """A context manager. Each member sends `first` at once, and is watched from then on: it is given up when its
    connection ends, or is_given_up(all that came). reads=False: it takes nothing of what comes, has little room for it,
    and only RST shows. wrap(socket) makes another of each."""

    def __init__(self, address, count, first=b"", reads=True, is_given_up=lambda received: False, wrap=None):
        self.members, self.watched, self.poll = [], {}, select.epoll()
        self.is_given_up = is_given_up
        try:
            for number in range(count):
                self.add(Member(address, not reads, wrap), first, reads)
                if number % BETWEEN == 0:
                    self.note_cuts(0)
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def add(self, member, first, reads):
        self.members.append(member)
        self.watched[member.socket.fileno()] = member
        self.poll.register(member.socket.fileno(), select.EPOLLIN if reads else 0)
        member.send(first)

    def close(self):
        for member in self.members:
            member.socket.close()
        self.poll.close()

    def send(self, data):
        for member in self.watched.values():
            member.send(data)

    def note_cuts(self, wait_s):
        """Waits that long at most; how many are still connected."""
        for number, events in self.poll.poll(wait_s) if self.watched else ():
            member = self.watched[number]
            if events & (select.EPOLLERR | select.EPOLLHUP) or member.read() or self.is_given_up(member.received):
                member.cut_after_s = time.monotonic() - member.since
                self.poll.unregister(number)
                del self.watched[number]
        return len(self.watched)

    def answered(self):
        """Have all got something?"""
        self.note_cuts(0)
        return all(member.received for member in self.members)

    def vanish(self):
        """Nobody is there any more, and the server is not told; False when that is not permitted."""
        try:
            for member in self.members:
                member.socket.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
        except PermissionError:
            return False
        self.close()
        return True
