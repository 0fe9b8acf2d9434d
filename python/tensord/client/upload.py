"""Uploads: what the server lacks of a model's files, by their content.

One that is cut off goes on where it stopped: when the connection comes back, or when the same is pushed again.
"""
from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO, Optional, Sequence
from urllib.parse import urlencode

from tensord.client.content import File
from tensord.client.progress import Progress, human_size
from tensord.client.transport import Cancel, Transport, error_text
from tensord.errors import ConnectionFailed, DeployError, TimedOut

API = "/tensord/v1"
_PIECE_BYTES = 16 << 20  # of one request; what is lost when it is cut off is less than that
_ASKED_AT_ONCE = 5000
_UPLOADS_AT_ONCE = 4
_TRIES = 8  # of one file, as long as none of them brings it further


class Counter:
    """Bytes that are done, counted by several threads, and shown."""

    def __init__(self, progress: Progress, total: int) -> None:
        self.progress, self.total, self.done, self.lock = progress, total, 0, threading.Lock()

    def add(self, count: int) -> None:
        """So many more."""
        with self.lock:
            self.done += count
            share = self.done / self.total if self.total else None
            self.progress.update(share, f"{human_size(self.done)} of {human_size(self.total)}")


def count_files(files: Sequence[File]) -> str:
    """"3 files"."""
    return f"{len(files)} file{'s' if len(files) != 1 else ''}"


def missing_of(transport: Transport, files: Sequence[File], cancel: Optional[Cancel] = None) -> list[tuple[File, int]]:
    """The files that the server lacks, each content once, and how many bytes of each it has already."""
    by_content = {one.sha256: one for one in files}
    asked = [{"sha256": one.sha256, "size": one.size} for one in by_content.values()]
    missing = []
    for start in range(0, len(asked), _ASKED_AT_ONCE):
        body = {"blobs": asked[start:start + _ASKED_AT_ONCE]}
        answer = ask(transport, "POST", f"{API}/blobs/missing", body, cancel)
        missing += [(by_content[blob["sha256"]], int(blob.get("have", 0))) for blob in answer["missing"]]
    return missing


def ask(transport: Transport, method: str, path: str, body: Any = None, cancel: Optional[Cancel] = None) -> Any:
    """The JSON that answers; DeployError with the server's sentence for a status that is no success."""
    response = transport.request(method, path, json_body=body, repeatable=True, cancel=cancel)
    if response.status // 100 != 2:
        sentence = error_text(response)
        if response.status in (404, 405) and sentence in ("Not Found", "Method Not Allowed"):
            sentence = f"the server at {transport.address} takes no models; it is older than this program"
        raise DeployError(sentence)
    return json.loads(response.read())


def upload(transport: Transport, missing: Sequence[tuple[File, int]], progress: Progress) -> None:
    """Sends the files, each from as many bytes of it as the server has; DeployError when one is refused."""
    if not missing:
        return
    total = sum(one.size for one, _ in missing)
    had = sum(have for _, have in missing)
    going_on = f", going on at {human_size(had)}" if had else ""
    progress.stage(f"uploading {count_files([one for one, _ in missing])}, {human_size(total)}{going_on}")
    counter = Counter(progress, total)
    counter.add(had)
    uploads = [_Upload(transport, one, have, counter) for one, have in missing]
    with ThreadPoolExecutor(_UPLOADS_AT_ONCE, thread_name_prefix="tensord-upload") as threads:
        running = [threads.submit(one.run) for one in uploads]
        try:
            for future in running:
                future.result()
        except BaseException:
            for future in running:
                future.cancel()
            for one in uploads:  # the threads are waited for: none may wait for the server
                one.cancel.cancel()
            raise


class _Upload:
    """One file on its way: sent in pieces, each from where the server has it."""

    def __init__(self, transport: Transport, file: File, have: int, counter: Counter) -> None:
        self.transport, self.file, self.have, self.counter = transport, file, have, counter
        self.cancel, self.tries = Cancel(), 0

    def run(self) -> None:
        """Sends all of it."""
        with self.file.open() as read:
            while not self.cancel.cancelled:
                if self._piece(read):
                    return
        raise DeployError("the push was given up")

    def _piece(self, read: BinaryIO) -> bool:
        """Sends the next piece; True when the server has the whole file."""
        try:
            status, body = self._send(self._next(read))
        except (ConnectionFailed, TimedOut):
            if self.tries >= _TRIES or self.cancel.cancelled:
                raise
            self._try_again(0.2, 10.0)
            left = self._left()
            self._moved(self.file.size if left is None else left)
            return left is None
        if status == 201:
            self._moved(self.file.size)
            return True
        # 202: the server says how much it has; 409: another upload of the same moves it on.
        has = _have(body) if status in (202, 409) else None
        if has is None or status == 409 and has <= self.have and self.tries >= _TRIES:
            raise DeployError(_refused(self.file, status, body))
        if status == 409 and has <= self.have:
            self._try_again(0.1, 5.0)
        self._moved(has)
        return False

    def _next(self, read: BinaryIO) -> bytes:
        wanted = min(_PIECE_BYTES, self.file.size - self.have)
        read.seek(self.have)
        piece = read.read(wanted)
        if len(piece) < wanted:
            raise DeployError(f"'{self.file.path}' has changed while it was uploaded; push again")
        return piece

    def _send(self, piece: bytes) -> tuple[int, bytes]:
        path = f"{API}/blobs/{self.file.sha256}?{urlencode({'offset': self.have, 'size': self.file.size})}"
        response = self.transport.request("PUT", path, body=[piece], headers={"Content-Type": "application/octet-stream"},
                                          cancel=self.cancel)
        body = bytes(response.read())
        self.cancel.watch(None)  # the connection may be somebody else's now
        return response.status, body

    def _left(self) -> Optional[int]:
        """How much the server has after the connection broke, None when all; as before while no server answers."""
        try:
            left = missing_of(self.transport, [self.file], self.cancel)
        except (ConnectionFailed, TimedOut):
            return self.have
        return left[0][1] if left else None

    def _try_again(self, first_s: float, longest_s: float) -> None:
        self.tries += 1
        self.cancel.wait(min(first_s * 2 ** self.tries, longest_s))

    def _moved(self, now: int) -> None:
        """Notes how much the server has."""
        if now > self.have:
            self.tries = 0
        self.counter.add(now - self.have)
        self.have = now


def _have(body: bytes) -> Optional[int]:
    try:
        return int(json.loads(body)["have"])
    except (ValueError, KeyError, TypeError):
        return None


def _refused(one: File, status: int, body: bytes) -> str:
    try:
        sentence = str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        sentence = f"status {status}"
    if status == 422:
        return f"'{one.path}' has changed while it was uploaded; push again ({sentence})"
    return f"'{one.path}' could not be uploaded: {sentence}"
