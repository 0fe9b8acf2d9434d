"""What is pushed: a model's files, known by their content."""
from __future__ import annotations

import hashlib
import io
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Callable, Iterable, Optional, Sequence, Union

from tensord.errors import DeployError

_READ_BYTES = 1 << 20
_LEFT_OUT = ("__pycache__", "node_modules")
_CONFIGS = ("config.pbtxt", "model.yaml")
REQUIREMENTS = "requirements.txt"


@dataclass
class File:
    """A file of a model: its path there, "weights/a.bin", and where its bytes are: in a file here, or in memory."""

    path: str
    local: Optional[Path] = None
    data: bytes = b""
    sha256: str = field(default="", compare=False)
    size: int = 0

    def open(self) -> BinaryIO:
        """Its bytes, from the beginning."""
        return io.BytesIO(self.data) if self.local is None else self.local.open("rb")

    def describe(self) -> dict:
        """It as manifests and questions have it."""
        return {"path": self.path, "sha256": self.sha256, "size": self.size}


def collect(path: Union[str, Path]) -> list[File]:
    """The files of a model at a path, which is a file or a folder.

    Hidden files, Python's caches and what editors leave are left out. Links to files are followed, as caches of models are
    made of them; DeployError for what is no file, or for nothing at all.
    """
    root = Path(path).expanduser()
    if root.is_file():
        return [File(root.name, root)]
    if not root.is_dir():
        raise DeployError(f"there is no file or folder '{path}'")
    files = list(_walk(root))
    if not files:
        raise DeployError(f"the folder '{path}' holds no file")
    return files


def models_in(path: Union[str, Path]) -> list[Path]:
    """The models at a path: those of a repository as Triton has it, a folder that holds nothing but folders of models; else
    the path itself."""
    root = Path(path).expanduser()
    entries = [one for one in sorted(root.iterdir()) if not _is_left_out(one.name)] if root.is_dir() else []
    return entries if entries and all(map(_is_model_folder, entries)) else [root]


def _is_model_folder(folder: Path) -> bool:
    """Does a folder say by its own files that it is a model: by a config, or by folders of versions?"""
    return folder.is_dir() and not folder.name.isdecimal() and any(
        one.name in _CONFIGS or one.name.isdecimal() and one.is_dir() for one in folder.iterdir())


def _is_left_out(name: str) -> bool:
    return name.startswith(".") or name.endswith(("~", ".pyc")) or name in _LEFT_OUT


def _walk(root: Path) -> Iterable[File]:
    seen = {os.path.realpath(root)}
    for folder, names, files in os.walk(root, followlinks=True):
        kept = []
        for name in sorted(names):
            real = os.path.realpath(os.path.join(folder, name))
            if not _is_left_out(name) and real not in seen:
                seen.add(real)
                kept.append(name)
        names[:] = kept
        for name in sorted(files):
            local = Path(folder, name)
            if _is_left_out(name):
                continue
            if not local.is_file():
                raise DeployError(f"'{local}' is {'a link to nothing' if local.is_symlink() else 'no file'}")
            yield File(local.relative_to(root).as_posix(), local)


def with_requirements(files: Sequence[File], requirements: Union[None, str, Path, Iterable[str]]) -> list[File]:
    """The files with a requirements.txt: from a file, or of a list of requirements; it replaces one that is there."""
    if requirements is None:
        return list(files)
    if isinstance(requirements, (str, Path)):
        source = Path(requirements)
        if not source.is_file():
            raise DeployError(f"there is no file of requirements '{requirements}'; for packages give a list: ['{requirements}']")
        added = File(REQUIREMENTS, source)
    else:
        added = File(REQUIREMENTS, data="".join(f"{line}\n" for line in requirements).encode())
    return [*(one for one in files if one.path != REQUIREMENTS), added]


def digest(files: Sequence[File], on_bytes: Callable[[int], None] = lambda count: None) -> None:
    """Reads every file once and notes its SHA-256 and size; on_bytes hears of each piece."""
    for one in files:
        known, size = hashlib.sha256(), 0
        try:
            with one.open() as read:
                while piece := read.read(_READ_BYTES):
                    known.update(piece)
                    size += len(piece)
                    on_bytes(len(piece))
        except OSError as error:
            raise DeployError(f"cannot read '{one.local}': {error.strerror}") from error
        one.sha256, one.size = known.hexdigest(), size


def total_size(files: Sequence[File]) -> int:
    """All sizes together, before the files are read."""
    return sum(len(one.data) if one.local is None else one.local.stat().st_size for one in files)


def default_name(path: Union[str, Path]) -> str:
    """What a model at that path is called when nobody says so: the folder's name, or the file's without its ending."""
    root = Path(path).expanduser().resolve()
    name = root.name if root.is_dir() else root.stem
    return name or "model"
