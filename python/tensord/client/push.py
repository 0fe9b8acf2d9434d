"""Pushing a model: what the server lacks is uploaded by its content, then installed as a whole.

An upload that is cut off goes on where it stopped: when the connection comes back, or when the same is pushed again.
"""
from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any, Iterator, Optional, Sequence
from urllib.parse import urlencode

from tensord.client import content
from tensord.client.address import segment
from tensord.client.content import File
from tensord.client.progress import SILENT, Progress, human_size
from tensord.client.transport import Transport, error_text
from tensord.client.upload import API, Counter, ask, count_files, missing_of, upload
from tensord.errors import ConnectionFailed, DeployError, Error, TimedOut

_SETTLED = ("ready", "asleep", "failed", "unloaded")  # states in which nothing more happens by itself
_INSTALL_WAIT_S = 60.0  # for another push of the same name


def push(transport: Transport, name: str, files: Sequence[File], *, version: Optional[int] = None,
         progress: Progress = SILENT) -> dict[str, Any]:
    """Uploads what the server lacks and installs the files as the model. Returns what the server says: name, version.

    DeployError when the server refuses; nothing is half installed then.
    """
    size = content.total_size(files)
    counter = Counter(progress, size)
    progress.stage(f"reading {count_files(files)}, {human_size(size)}")
    content.digest(files, counter.add)
    missing = missing_of(transport, files)
    for _ in range(3):
        upload(transport, missing, progress)
        progress.stage(f"installing {name}")
        installed = _install(transport, name, files, version)
        if "missing" not in installed:
            return installed
        missing = missing_of(transport, files)  # what was there has been cleared away meanwhile
    raise DeployError(f"the server does not keep the files of '{name}' that it was sent; is its disk full?")


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
    return ask(transport, "GET", f"{API}/models/{segment(name)}{query}")


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
    counter = Counter(progress, sum(int(one["size"]) for one in manifest["files"]))
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
