"""HTTP/1.1 over a pool of connections that are kept open; may be used by any number of threads.

A request is sent again only when that is safe: nothing was sent yet (no connection could be made), the server says that
it has not begun with it (429 or 503 with Retry-After), or the caller says that doing it twice does no harm.
"""
from __future__ import annotations

import http.client
import json
import select
import socket
import ssl
import threading
import time
from typing import Any, Iterator, Mapping, NoReturn, Optional, Sequence, Union

from tensord.client import own_server
from tensord.client.address import Address
from tensord.errors import ConnectionFailed, Error, TimedOut, Unauthorized

Bytes = Union[bytes, bytearray, memoryview]

CONNECT_TIMEOUT_S = 10.0
POOLED_CONNECTIONS = 64
POOLED_IDLE_S = 60.0
LONGEST_WAIT_S = 30.0  # for a server that says when to come back
OF_TRANSPORT = -1.0  # a request's timeout: that of its transport
_FIRST_PAUSE_S = 0.1
_SENT_WITH_HEAD_BYTES = 1 << 16
_ERROR_BYTES = 1 << 20


class Timer:
    """The time that is left for a request and all its attempts; None is no limit."""

    def __init__(self, timeout_s: Optional[float]) -> None:
        self.end = None if timeout_s is None else time.monotonic() + timeout_s

    def left(self) -> Optional[float]:
        """Seconds that are left; TimedOut when there are none."""
        if self.end is None:
            return None
        left = self.end - time.monotonic()
        if left <= 0:
            raise TimedOut("the answer did not come in time")
        return left

    def allows(self, pause_s: float) -> bool:
        """Is there time to wait that long, and then for an answer?"""
        return self.end is None or time.monotonic() + pause_s < self.end


class _Connection(http.client.HTTPConnection):
    """One connection, by TCP, TLS or a unix socket."""

    used_at = 0.0
    held: Optional[list] = None  # what is not sent yet, while it is a list

    def __init__(self, address: Address, context: Optional[ssl.SSLContext]) -> None:
        super().__init__(address.host, address.port)
        self.address, self.context = address, context

    def connect(self) -> None:
        if self.address.path is not None:
            if not hasattr(socket, "AF_UNIX"):
                raise ConnectionFailed("this system has no unix sockets for Python; use http://HOST:PORT")
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(self.timeout)
            self.sock.connect(self.address.path)
            return
        super().connect()
        if self.context:
            self.sock = self.context.wrap_socket(self.sock, server_hostname=self.address.host)

    def send(self, data: Any) -> None:
        if self.held is None:
            super().send(data)
        else:
            self.held.append(data)

    def end_head(self, small: Optional[bytes]) -> None:
        """Sends the head and the small beginning of a body in one packet."""
        if self.sock is None:
            raise ConnectionResetError("the connection was closed")
        self.held = []
        self.endheaders(small)
        held, self.held = self.held, None
        self.send(b"".join(held))

    def is_stale(self) -> bool:
        """Has the other end closed it, or sent what nobody asked for?"""
        if self.sock is None or time.monotonic() - self.used_at > POOLED_IDLE_S:
            return True
        try:
            if hasattr(select, "poll"):
                poll = select.poll()
                poll.register(self.sock, select.POLLIN)
                return bool(poll.poll(0))
            return bool(select.select([self.sock], [], [], 0)[0])
        except (OSError, ValueError):
            return True


class Response:
    """An answer whose head has come. Read it to its end, or close it."""

    def __init__(self, transport: "Transport", connection: _Connection, sock: socket.socket,
                 raw: http.client.HTTPResponse, timer: Timer) -> None:
        self.transport, self.connection, self.raw, self.timer = transport, connection, raw, timer
        self.sock, self.status = sock, raw.status
        self._given_back = False

    def _give_back(self, keep: bool) -> None:
        """Once: afterwards the connection may be somebody else's."""
        if not self._given_back:
            self._given_back = True
            self.transport._give_back(self.connection, keep)

    def header(self, name: str) -> Optional[str]:
        """A field of the head."""
        return self.raw.getheader(name)

    def read(self) -> bytearray:
        """The whole body, in memory of its own; afterwards the connection is free for others."""
        try:
            body = self._read_all()
        except BaseException as error:
            self.close()
            _reraise(error, self.transport.address)
        self._give_back(keep=not self.raw.will_close)
        return body

    def _read_all(self) -> bytearray:
        size = self.raw.length
        if size is None:
            return bytearray(self.raw.read())
        body, at = bytearray(size), 0
        view = memoryview(body)
        while at < size:
            self.sock.settimeout(self.timer.left())
            got = self.raw.readinto(view[at:])
            if not got:
                raise http.client.IncompleteRead(bytes(view[:at]), size - at)
            at += got
        self.raw.read()  # nothing is left: lets the response close itself
        return body

    def pieces(self, size: int = 1 << 16) -> Iterator[bytes]:
        """The body, as it comes. Leaving the loop before its end ends the request."""
        ended = False
        try:
            while True:
                self.sock.settimeout(self.timer.left())
                if not (piece := self.raw.read1(size)):
                    break
                yield piece
            if self.raw.length:  # of what was announced
                raise http.client.IncompleteRead(b"", self.raw.length)
            ended = True
        except (OSError, http.client.HTTPException) as error:
            _reraise(error, self.transport.address)
        finally:
            self.raw.close()
            self._give_back(keep=ended and not self.raw.will_close)

    def lines(self) -> Iterator[str]:
        """The body's lines, as they come, without their ends."""
        rest = b""
        for piece in self.pieces():
            *whole, rest = (rest + piece).split(b"\n")
            for line in whole:
                yield line.rstrip(b"\r").decode("utf-8", "replace")
        if rest:
            yield rest.decode("utf-8", "replace")

    def close(self) -> None:
        """Ends the connection, and with it the request, if it still runs at the server."""
        self.raw.close()
        self._give_back(keep=False)


def error_text(response: Response) -> str:
    """The sentence of an answer that is an error."""
    body = bytes(response.read()[:_ERROR_BYTES])
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return body.decode("utf-8", "replace").strip() or f"status {response.status}"


class Cancel:
    """Lets another thread end a request that runs: its connection is cut, which cancels it at the server, too."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.connection: Optional[_Connection] = None
        self.event = threading.Event()

    @property
    def cancelled(self) -> bool:
        """Was it cancelled?"""
        return self.event.is_set()

    def wait(self, pause_s: float) -> None:
        """Pauses between two tries, unless it is cancelled."""
        self.event.wait(pause_s)

    def watch(self, connection: Optional[_Connection]) -> None:
        """The request is now on this connection."""
        with self.lock:
            if self.cancelled:
                raise ConnectionFailed("the request was cancelled")
            self.connection = connection

    def cancel(self) -> None:
        """Ends the request."""
        with self.lock:
            self.event.set()
            sock = self.connection.sock if self.connection else None
            if sock is not None:
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass


class Transport:
    """Requests to one server."""

    def __init__(self, address: Address, token: Optional[str] = None, *, timeout_s: Optional[float] = None,
                 retries: int = 3, context: Optional[ssl.SSLContext] = None) -> None:
        if token is not None and not all("!" <= character <= "~" for character in token):
            raise Error("the token holds a character that no token has")
        self.address, self.token = address, token
        self.timeout_s, self.retries = timeout_s, retries
        self.context = (context or ssl.create_default_context()) if address.tls else None
        self._lock = threading.Lock()
        self._idle: list[_Connection] = []

    # ---- connections ----

    def _take(self, timer: Timer) -> tuple[_Connection, bool]:
        """A connection, and whether it was used before."""
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                break
            if not connection.is_stale():
                connection.sock.settimeout(timer.left())
                return connection, True
            connection.close()
        connection = _Connection(self.address, self.context)
        left = timer.left()
        connection.timeout = CONNECT_TIMEOUT_S if left is None else min(left, CONNECT_TIMEOUT_S)
        connection.connect()
        connection.sock.settimeout(timer.left())
        return connection, False

    def _give_back(self, connection: _Connection, keep: bool) -> None:
        if keep and connection.sock is not None:
            connection.used_at = time.monotonic()
            with self._lock:
                if len(self._idle) < POOLED_CONNECTIONS:
                    self._idle.append(connection)
                    return
        connection.close()

    def close(self) -> None:
        """Closes the connections that nobody uses; the transport may be used again."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    # ---- requests ----

    def request(self, method: str, path: str, *, body: Sequence[Bytes] = (), json_body: Any = None,
                headers: Optional[Mapping[str, str]] = None, timeout_s: Optional[float] = OF_TRANSPORT,
                repeatable: bool = False, cancel: Optional[Cancel] = None) -> Response:
        """Sends a request and returns its answer, whatever the status.

        `repeatable`: doing it twice does no harm, so that it is sent again, too, when the connection broke. timeout_s counts
        over all attempts; without it, that of the transport does. Unauthorized for 401 and 403.
        """
        fields = {"Accept": "*/*", **(headers or {})}
        if json_body is not None:
            body = [json.dumps(json_body).encode()]
            fields["Content-Type"] = "application/json"
        timer = Timer(self.timeout_s if timeout_s == OF_TRANSPORT else timeout_s)
        attempt = 0
        while True:
            attempt += 1
            last = attempt > self.retries
            try:
                response = self._attempt(method, path, fields, body, timer, cancel)
            except (OSError, http.client.HTTPException, ssl.SSLError) as error:
                pause_s = _FIRST_PAUSE_S * 2 ** (attempt - 1)
                safe = getattr(error, "nothing_sent", False) or (repeatable and not isinstance(error, TimeoutError))
                if isinstance(error, (ssl.SSLCertVerificationError, Error)) or last or not safe or not timer.allows(pause_s):
                    _reraise(error, self.address)
                time.sleep(pause_s)
                continue
            wait_s = _retry_after(response)
            if wait_s is None or last or wait_s > LONGEST_WAIT_S or not timer.allows(wait_s):
                return _authorized(response)
            response.read()
            time.sleep(wait_s)

    def _attempt(self, method: str, path: str, fields: Mapping[str, str], body: Sequence[Bytes], timer: Timer,
                 cancel: Optional[Cancel]) -> Response:
        try:
            connection, _ = self._take(timer)
        except OSError as error:
            error.nothing_sent = True  # type: ignore[attr-defined]
            raise
        try:
            response = self._exchange(connection, method, path, fields, body, timer, cancel)
            if response.status == 401 and self.token is None and (token := own_server.own_token(response.sock)):
                sentence = error_text(response)
                self.token = token
                response = self._attempt(method, path, fields, body, timer, cancel)
                if response.status == 401:  # it is another server of this user's
                    self.token = None
                    response.close()
                    raise _unauthorized(sentence, False)
            return response
        except BaseException:
            connection.close()
            raise

    def _exchange(self, connection: _Connection, method: str, path: str, fields: Mapping[str, str],
                  body: Sequence[Bytes], timer: Timer, cancel: Optional[Cancel]) -> Response:
        if cancel:
            cancel.watch(connection)
        connection.putrequest(method, self.address.prefix + path, skip_accept_encoding=True)
        for name, value in fields.items():
            connection.putheader(name, value)
        if self.token:
            connection.putheader("Authorization", f"Bearer {self.token}")
        if body or method in ("POST", "PUT"):
            connection.putheader("Content-Length", str(sum(map(len, body))))
        try:
            small, rest = _split_small(body)
            connection.end_head(small)
            for part in rest:
                connection.send(part)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the server may have answered, and closed, before it had the whole body
        sock = connection.sock  # which the connection forgets when it closes after the answer
        return Response(self, connection, sock, connection.getresponse(), timer)

    def get_json(self, path: str, **options: Any) -> Any:
        """The JSON at a path; an Error with the server's sentence for another status than 200."""
        return self.ask("GET", path, repeatable=True, **options)

    def ask(self, method: str, path: str, **options: Any) -> Any:
        """The JSON that answers a request; an Error with the server's sentence for a status that is no success."""
        response = self.request(method, path, **options)
        if response.status // 100 != 2:
            raise Error(error_text(response))
        body = response.read()
        return json.loads(body) if body else None


def _split_small(body: Sequence[Bytes]) -> tuple[Optional[bytes], Sequence[Bytes]]:
    """The first parts of a body, as far as they are small, joined so that they leave in one packet with the head, and the
    others."""
    size, count = 0, 0
    while count < len(body) and size + len(body[count]) <= _SENT_WITH_HEAD_BYTES:
        size += len(body[count])
        count += 1
    return b"".join(body[:count]) or None, body[count:]


def _retry_after(response: Response) -> Optional[float]:
    """Seconds after which a refused request may come again; None when it was not refused so."""
    if response.status not in (429, 503):
        return None
    try:
        return max(0.0, float(response.header("Retry-After") or ""))
    except ValueError:
        return None


def _authorized(response: Response) -> Response:
    if response.status not in (401, 403):
        return response
    had_token = response.transport.token is not None
    raise _unauthorized(error_text(response), had_token or response.status == 403)


def _unauthorized(sentence: str, had_token: bool) -> Unauthorized:
    return Unauthorized(sentence if had_token else
                        f"{sentence}; give a token as token=…, as --token, or in the variable TENSORD_TOKEN")


def _reraise(error: BaseException, address: Address) -> NoReturn:
    """Raises the failure in our words."""
    translated = _translated(error, address)
    raise translated from (None if translated is error else error)


def _translated(error: BaseException, address: Address) -> BaseException:
    """A failure of the connection in our words; others as they are."""
    if isinstance(error, (Error, KeyboardInterrupt)):
        return error
    if isinstance(error, (TimeoutError, socket.timeout)):
        if getattr(error, "nothing_sent", False):
            return ConnectionFailed(f"no server answers at {address}: the connection could not be made in time")
        return TimedOut(f"the server at {address} did not answer in time")
    if isinstance(error, ssl.SSLCertVerificationError):
        return ConnectionFailed(f"the certificate of {address} cannot be trusted: {error.verify_message}; "
                                "name its authority by ca=FILE or in the variable TENSORD_CA")
    if isinstance(error, ConnectionRefusedError):
        return ConnectionFailed(f"no server answers at {address}; is it running, and is this its address?")
    if isinstance(error, socket.gaierror):
        return ConnectionFailed(f"cannot find '{address.host}': {error.strerror}")
    if isinstance(error, (OSError, http.client.HTTPException)):
        what = "no server answers" if getattr(error, "nothing_sent", False) else "the connection broke"
        return ConnectionFailed(f"{what} at {address}: {str(error) or type(error).__name__}")
    return error
