"""The folder of environments: what is made in it, what is whole, what is no longer needed.

    HASH/                 an environment, with its manifest; never changed once it is there
    HASH.used             its modification time: when a model last referred to it
    HASH.XXXX.tmp/        one that is being made; locked as long as its builder lives
    cache/                the installer's
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, Optional

from tensord.environments.errors import EnvironmentFault
from tensord.environments.recipe import HASH_DIGITS, MANIFEST, is_ready

NAME = re.compile(rf"[0-9a-f]{{{HASH_DIGITS}}}")
USERS = "users.json"


def is_name(text: Any) -> bool:
    """True for what may be the name of an environment."""
    return isinstance(text, str) and NAME.fullmatch(text) is not None


def _remove(path: Path) -> None:
    """Removes a file, or a folder, also one whose folders may not be written to."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return

    def retry(remove: Any, failed: str, error: Any) -> None:
        os.chmod(os.path.dirname(failed), 0o700)
        if os.path.isdir(failed) and not os.path.islink(failed):
            os.chmod(failed, 0o700)
            shutil.rmtree(failed, ignore_errors=True)
        else:
            os.unlink(failed)

    try:
        shutil.rmtree(path, onerror=retry)
    except OSError:
        shutil.rmtree(path, ignore_errors=True)


def _lock(folder: Path) -> Optional[int]:
    """A descriptor that holds the folder; None when another process does, or it has gone."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(fd).st_nlink:
            return fd
    except OSError:
        pass
    os.close(fd)
    return None


class Store:
    """The folder at `path`, for a builder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cache = path / "cache"
        self.cache.mkdir(exist_ok=True)

    def has(self, name: str) -> bool:
        """True when the environment is there and whole."""
        return is_ready(self.path, name)

    def clear(self) -> None:
        """Removes what builders left that ended before their time."""
        for folder in self.path.glob("*.tmp"):
            fd = _lock(folder)
            if fd is not None:
                _remove(folder)
                os.close(fd)

    @contextmanager
    def making(self, name: str) -> Iterator[Path]:
        """A folder to make the environment in; gone afterwards, whatever happens."""
        fd = None
        while fd is None:  # another builder that clears may be quicker
            folder = Path(tempfile.mkdtemp(prefix=f"{name}.", suffix=".tmp", dir=self.path))
            fd = _lock(folder)
        try:
            yield folder
        finally:
            _remove(folder)
            os.close(fd)

    def put(self, name: str, made: Path, manifest: dict[str, Any]) -> None:
        """Moves a whole environment to its place; one that is there already stays, if it works."""
        text = json.dumps({"hash": name, "made": int(time.time()), **manifest}, indent=1)
        target = made / MANIFEST
        target.unlink(missing_ok=True)
        with open(target, "x", encoding="utf-8") as file:
            file.write(text + "\n")
        self.touch(name)
        place = self.path / name
        if place.exists() and not self.has(name):
            old = Path(tempfile.mkdtemp(prefix=f"{name}.", suffix=".tmp", dir=self.path))
            os.rename(place, old / "environment")
            _remove(old)
        try:
            os.rename(made, place)
        except OSError:
            if not self.has(name):
                raise

    @contextmanager
    def using_cache(self) -> Iterator[None]:
        """Keeps the cache from being emptied."""
        fd = os.open(self.cache, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(fd, fcntl.LOCK_SH)
            yield
        finally:
            os.close(fd)

    def trim_cache(self, most_bytes: int) -> bool:
        """Empties the cache when it is larger and nobody uses it; True when it did."""
        fd = _lock(self.cache)
        if fd is None:
            return False
        try:
            if folder_bytes(self.cache) <= most_bytes:
                return False
            for entry in self.cache.iterdir():
                _remove(entry)
            return True
        finally:
            os.close(fd)

    def touch(self, name: str) -> None:
        """Notes that a model refers to the environment."""
        (self.path / f"{name}.used").touch()

    def _last_used(self, name: str) -> float:
        try:
            return (self.path / f"{name}.used").stat().st_mtime
        except FileNotFoundError:
            self.touch(name)  # of unknown age: young
            return time.time()

    def names(self) -> list[str]:
        """The environments that are there."""
        return sorted(entry.name for entry in self.path.iterdir() if is_name(entry.name))

    def collect(self, users: dict[str, list[str]], unused_s: float) -> list[str]:
        """Puts away those that no model has referred to for so long; returns their names.

        users: names of environments and of the models that refer to them now.
        """
        removed = []
        for name in self.names():
            if name in users:
                self.touch(name)
            elif time.time() - self._last_used(name) > unused_s:
                self._put_away(name)
                removed.append(name)
        self._write_users(users)
        return removed

    def remove(self, name: str, users: dict[str, list[str]]) -> str:
        """Puts one away; EnvironmentFault when a model refers to it, or there is none."""
        if not is_name(name) or not (self.path / name).is_dir():
            raise EnvironmentFault(f"there is no environment '{name}'")
        if name in users:
            raise EnvironmentFault(f"the environment {name} is used by {', '.join(sorted(set(users[name])))}")
        self._put_away(name)
        return name

    def list(self, users: dict[str, list[str]]) -> list[dict[str, Any]]:
        """What there is: a dict for each environment, that of the largest first."""
        rows = [self._row(name, sorted(set(users.get(name, [])))) for name in self.names()]
        return sorted(rows, key=lambda row: -row["bytes"])

    def _row(self, name: str, models: list[str]) -> dict[str, Any]:
        try:
            manifest = json.loads((self.path / name / MANIFEST).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            manifest = {}
        number = lambda key: value if isinstance(value := manifest.get(key), int) else 0  # noqa: E731
        return {
            "hash": name,
            "bytes": number("bytes"),
            "made": number("made"),
            "used": int(self._last_used(name)),
            "origin": str(manifest.get("origin", "")),
            "python": str(manifest.get("python", "")),
            "models": models,
        }

    def _put_away(self, name: str) -> None:
        """It is there no longer, at once; what was it is for `clear`, which may take its time."""
        old = Path(tempfile.mkdtemp(prefix=f"{name}.", suffix=".tmp", dir=self.path))
        os.rename(self.path / name, old / "environment")
        (self.path / f"{name}.used").unlink(missing_ok=True)

    def _write_users(self, users: dict[str, list[str]]) -> None:
        new = self.path / f"{USERS}.new"
        new.write_text(json.dumps(users, indent=1) + "\n", encoding="utf-8")
        new.replace(self.path / USERS)


def folder_bytes(path: Path) -> int:
    """What lies beneath the folder, as it takes room on disk."""
    total = 0
    for folder, _, files in os.walk(path):
        for name in files:
            try:
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512
            except OSError:
                continue
    return total
