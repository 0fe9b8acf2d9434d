"""Pushing a model: what the server lacks is uploaded by its content, then installed as a whole.

An upload that is cut off goes on where it stopped: when the connection comes back, or when the same is pushed again.
"""
from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Iterator, Optional, Sequence
from urllib.parse import urlencode

from tensord.client import content
from tensord.client.address import segment
from tensord.client.content import File
from tensord.client.progress import SILENT, Progress, human_size
from tensord.client.transport import Cancel, Transport, error_text
from tensord.errors import ConnectionFailed, DeployError, Error, TimedOut

API = "/tensord/v1"
_PIECE_BYTES = 16 << 20  # of one request; what is lost when it is cut off is less than that
_ASKED_AT_ONCE = 5000
_UPLOADS_AT_ONCE = 4
_TRIES = 8  # of one file, as long as none of them brings it further
_SETTLED = ("ready", "asleep", "failed", "unloaded")  # states in which nothing more happens by itself
_INSTALL_WAIT_S = 60.0  # for another push of the same name


class _Counter:
    """Bytes that are done, counted by several threads, and shown."""

    def __init__(self, progress: Progress, total: int) -> None:
        self.progress, self.total, self.done, self.lock = progress, total, 0, threading.Lock()

    def add(self, count: int) -> None:
        with self.lock:
            self.done += count
            share = self.done / self.total if self.total else None
            self.progress.update(share, f"{human_size(self.done)} of {human_size(self.total)}")


def push(transport: Transport, name: str, files: Sequence[File], *, version: Optional[int] = None,
         progress: Progress = SILENT) -> dict[str, Any]:
    """Uploads what the server lacks and installs the files as the model. Returns what the server says: name, version.

    DeployError when the server refuses; nothing is half installed then.
    """
    size = content.total_size(files)
    counter = _Counter(progress, size)
    progress.stage(f"reading {_count(files)}, {human_size(size)}")
    content.digest(files, counter.add)
    missing = _missing(transport, files)
    for _ in range(3):
        _upload(transport, missing, progress)
        progress.stage(f"installing {name}")
        installed = _install(transport, name, files, version)
        if "missing" not in installed:
            return installed
        missing = _missing(transport, files)  # what was there has been cleared away meanwhile
    raise DeployError(f"the server does not keep the files of '{name}' that it was sent; is its disk full?")


def _count(files: Sequence[File]) -> str:
    return f"{len(files)} file{'s' if len(files) != 1 else ''}"


def _missing(transport: Transport, files: Sequence[File], cancel: Optional[Cancel] = None) -> list[tuple[File, int]]:
    """The files that the server lacks, each content once, and how many bytes of each it has already."""
    by_content = {one.sha256: one for one in files}
    asked = [{"sha256": one.sha256, "size": one.size} for one in by_content.values()]
    missing = []
    for start in range(0, len(asked), _ASKED_AT_ONCE):
        body = {"blobs": asked[start:start + _ASKED_AT_ONCE]}
        answer = _ask(transport, "POST", f"{API}/blobs/missing", body, cancel)
        missing += [(by_content[blob["sha256"]], int(blob.get("have", 0))) for blob in answer["missing"]]
    return missing


def _ask(transport: Transport, method: str, path: str, body: Any = None, cancel: Optional[Cancel] = None) -> Any:
    response = transport.request(method, path, json_body=body, repeatable=True, cancel=cancel)
    if response.status // 100 != 2:
        sentence = error_text(response)
        if response.status in (404, 405) and sentence in ("Not Found", "Method Not Allowed"):
            sentence = f"the server at {transport.address} takes no models; it is older than this program"
        raise DeployError(sentence)
    return json.loads(response.read())


# ---- uploads ----


def _upload(transport: Transport, missing: Sequence[tuple[File, int]], progress: Progress) -> None:
    if not missing:
        return
    total = sum(one.size for one, _ in missing)
    had = sum(have for _, have in missing)
    going_on = f", going on at {human_size(had)}" if had else ""
    progress.stage(f"uploading {_count([one for one, _ in missing])}, {human_size(total)}{going_on}")
    counter = _Counter(progress, total)
    counter.add(had)
    cancels = [Cancel() for _ in missing]
    with ThreadPoolExecutor(_UPLOADS_AT_ONCE, thread_name_prefix="tensord-upload") as threads:
        running = [threads.submit(_upload_file, transport, one, have, counter, cancel)
                   for (one, have), cancel in zip(missing, cancels)]
        try:
            for one in running:
                one.result()
        except BaseException:
            for one in running:
                one.cancel()
            for cancel in cancels:  # the threads are waited for: none may wait for the server
                cancel.cancel()
            raise


def _upload_file(transport: Transport, one: File, have: int, counter: _Counter, cancel: Cancel) -> None:
    """Sends one file from where the server has it, in pieces."""
    tries = 0
    with one.open() as read:
        while not cancel.cancelled:
            read.seek(have)
            wanted = min(_PIECE_BYTES, one.size - have)
            piece = read.read(wanted)
            if len(piece) < wanted:
                raise DeployError(f"'{one.path}' has changed while it was uploaded; push again")
            path = f"{API}/blobs/{one.sha256}?{urlencode({'offset': have, 'size': one.size})}"
            try:
                response = transport.request("PUT", path, body=[piece], headers={"Content-Type": "application/octet-stream"},
                                             cancel=cancel)
                body = bytes(response.read())
                cancel.watch(None)
            except (ConnectionFailed, TimedOut):
                tries += 1
                if tries > _TRIES or cancel.cancelled:
                    raise
                cancel.wait(min(0.2 * 2 ** tries, 10.0))
                left = _left(transport, one, have, cancel)
                if not left:
                    counter.add(one.size - have)
                    return
                now = left[0][1]
                tries = tries if now <= have else 0
                counter.add(now - have)
                have = now
                continue
            if response.status == 201:
                counter.add(one.size - have)
                return
            if response.status not in (202, 409):
                raise DeployError(_refused(one, response.status, body))
            # 202: the server says how much it has, or has taken what came; 409: another upload of the same moves it on.
            has = _have(body, have + len(piece) if response.status == 202 else None)
            if has is None:
                raise DeployError(_refused(one, response.status, body))
            now = has
            if response.status == 409 and now <= have:
                tries += 1
                if tries > _TRIES:
                    raise DeployError(_refused(one, response.status, body))
                cancel.wait(min(0.1 * 2 ** tries, 5.0))
            counter.add(now - have)
            have = now
    raise DeployError("the push was given up")


def _left(transport: Transport, one: File, have: int, cancel: Cancel) -> list[tuple[File, int]]:
    """What the server lacks of a file after its connection broke; as before while no server answers."""
    try:
        return _missing(transport, [one], cancel)
    except (ConnectionFailed, TimedOut):
        return [(one, have)]


def _have(body: bytes, otherwise: Optional[int]) -> Optional[int]:
    try:
        return int(json.loads(body)["have"])
    except (ValueError, KeyError, TypeError):
        return otherwise


def _refused(one: File, status: int, body: bytes) -> str:
    try:
        sentence = str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        sentence = f"status {status}"
    if status == 422:
        return f"'{one.path}' has changed while it was uploaded; push again ({sentence})"
    return f"'{one.path}' could not be uploaded: {sentence}"


# ---- installing ----


def _install(transport: Transport, name: str, files: Sequence[File], version: Optional[int]) -> dict[str, Any]:
    """What the server answers; with "missing" when it lacks files."""
    manifest = {"version": version, "files": [one.describe() for one in files]}
    end, pause_s = time.monotonic() + _INSTALL_WAIT_S, 0.2
    while True:
        response = transport.request("PUT", f"{API}/models/{segment(name)}", json_body=manifest, repeatable=True)
        if response.status // 100 == 2:
            return json.loads(response.read())
        if response.status == 412:
            response.read()
            return {"missing": True}
        sentence = error_text(response)
        if response.status != 409 or time.monotonic() > end:
            raise DeployError(sentence)
        time.sleep(pause_s)
        pause_s = min(pause_s * 2, 5.0)


# ---- waiting ----


def events(transport: Transport, name: str, version: Optional[int] = None, follow: bool = False,
           timeout_s: Optional[float] = None) -> Iterator[dict[str, Any]]:
    """What happens to a model: dicts with state, reason, progress, or with log; the first is its state now. Ends when it is
    ready or has failed, or with `follow` never."""
    query = {**({"version": version} if version is not None else {}), **({"follow": 1} if follow else {})}
    path = f"{API}/models/{segment(name)}/events" + (f"?{urlencode(query)}" if query else "")
    response = transport.request("GET", path, repeatable=True, timeout_s=timeout_s)
    if response.status != 200:
        raise DeployError(error_text(response))
    for line in response.lines():
        if line.strip():
            yield json.loads(line)


def wait_ready(transport: Transport, name: str, version: Optional[int] = None, *, progress: Progress = SILENT,
               timeout_s: Optional[float] = None) -> None:
    """Waits until the model is ready, and shows meanwhile what happens. DeployError with the reason when it fails."""
    state, reason, line = "", "", ""
    progress.stage(f"loading {name}")
    try:
        for event in events(transport, name, version, timeout_s=timeout_s):
            if "log" in event:
                line = str(event["log"]).strip()
                progress.line(str(event["log"]).rstrip())
                continue
            state, reason = str(event.get("state", "")).lower(), str(event.get("reason") or "")
            if state in _SETTLED:
                break
            does = reason[:-len(line)].rstrip(": ") if line and reason.endswith(line) else reason  # it was just shown
            progress.stage(f"{name}: {does}" if does else f"{state} {name}")
            progress.update(event.get("progress"))
    except TimedOut:
        raise TimedOut(f"'{name}' is installed and was not ready in time; it is {state}{reason and f': {reason}'}") from None
    if state == "failed":
        raise DeployError(f"'{name}' is installed and cannot be loaded: {reason or 'its log says why'}; "
                          f"tensord logs {name} shows more")
    if state in ("found", "unloaded"):
        raise DeployError(f"'{name}' is installed and not loaded{reason and f': {reason}'}")
    if state not in ("ready", "asleep"):
        raise ConnectionFailed(f"the server ended while '{name}' was {state or 'loading'}; tensord ls shows how it is")


# ---- the other way ----


def manifest_of(transport: Transport, name: str, version: Optional[int] = None) -> dict[str, Any]:
    """What is installed as the model: version, files."""
    query = f"?version={version}" if version is not None else ""
    return _ask(transport, "GET", f"{API}/models/{segment(name)}{query}")


def remove(transport: Transport, name: str, version: Optional[int] = None) -> None:
    """Unloads a model, or one version of it, and removes its files."""
    query = f"?version={version}" if version is not None else ""
    response = transport.request("DELETE", f"{API}/models/{segment(name)}{query}", repeatable=True)
    if response.status // 100 != 2:
        raise DeployError(error_text(response))
    response.read()


def pull(transport: Transport, name: str, folder: Path, version: Optional[int] = None, *,
         progress: Progress = SILENT) -> Path:
    """Fetches a model's files into a folder, which must not be there yet; each is checked. Returns the folder."""
    if folder.exists():
        raise DeployError(f"'{folder}' is there already; name another place")
    manifest = manifest_of(transport, name, version)
    counter = _Counter(progress, sum(int(one["size"]) for one in manifest["files"]))
    progress.stage(f"fetching {name}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for one in manifest["files"]:
            target = part / _safe(str(one["path"]))
            target.parent.mkdir(parents=True, exist_ok=True)
            known = hashlib.sha256()
            response = transport.request("GET", f"{API}/blobs/{segment(str(one['sha256']))}", repeatable=True)
            if response.status != 200:
                raise DeployError(error_text(response))
            with target.open("wb") as write:
                for piece in response.pieces(1 << 20):
                    known.update(piece)
                    write.write(piece)
                    counter.add(len(piece))
            if known.hexdigest() != one["sha256"]:
                raise DeployError(f"'{one['path']}' did not arrive whole; pull again")
        part.chmod(0o755)
        part.rename(folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return folder


def _safe(path: str) -> Path:
    """A path within a folder, on whatever system this is; Error for one that would lead out of it."""
    parts = path.split("/")
    unsound = "\0\\:" if os.name == "nt" else "\0"
    if any(part in ("", ".", "..") or set(part) & set(unsound) for part in parts):
        raise Error(f"the server names a file '{path}', which is no path within a folder")
    return Path(*parts)
