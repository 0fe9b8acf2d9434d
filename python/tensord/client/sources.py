"""Models that lie elsewhere: hf://, s3://, gs://, http(s)://, oci:// and whatever else fsspec reads, fetched into a folder
by the field's own packages, which are asked for when they are not there."""
from __future__ import annotations

import importlib
import shutil
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Optional
from urllib.parse import unquote, urlsplit

from tensord.client.progress import Progress
from tensord.errors import DeployError

# Scheme: the package that reads it, and what pip installs for it.
_PACKAGES = {
    "hf": ("huggingface_hub", "huggingface_hub"),
    "s3": ("s3fs", "s3fs"),
    "gs": ("gcsfs", "gcsfs"),
    "gcs": ("gcsfs", "gcsfs"),
    "abfs": ("adlfs", "adlfs"),
    "az": ("adlfs", "adlfs"),
    "oci": ("oras", "oras"),
}


def scheme_of(path: str) -> Optional[str]:
    """The scheme of a source, "hf" of hf://…; None for a path on this machine."""
    scheme, colon, _ = path.partition("://")
    return scheme.lower() if colon and scheme.isalnum() else None


def _package(scheme: str) -> Any:
    module, install = _PACKAGES.get(scheme, ("fsspec", "fsspec"))
    try:
        return importlib.import_module(module)
    except ImportError:
        raise DeployError(f"{scheme}:// is read by the package {install}, which is not installed: pip install {install}") \
            from None


def fetch(source: str, folder: Path, progress: Progress) -> Path:
    """Fetches what a source names into a folder; returns the file or folder there. Its name is what the model is called by."""
    scheme = scheme_of(source)
    progress.stage(f"fetching {source}")
    if scheme in ("http", "https"):
        return _fetch_http(source, folder, progress)
    if scheme == "hf":
        return _fetch_hf(source, folder)
    if scheme == "oci":
        return _fetch_oci(source, folder)
    return _fetch_fsspec(str(scheme), source, folder)


def _name(path: str) -> str:
    return unquote(path.rstrip("/").rpartition("/")[2]) or "model"


def _fetch_http(source: str, folder: Path, progress: Progress) -> Path:
    target = folder / _name(urlsplit(source).path)
    try:
        with urllib.request.urlopen(source) as read, target.open("wb") as write:
            total, done = int(read.headers.get("Content-Length") or 0), 0
            while piece := read.read(1 << 20):
                write.write(piece)
                done += len(piece)
                progress.update(done / total if total else None)
            if total and done != total:
                raise DeployError(f"'{source}' did not arrive whole")
    except (urllib.error.URLError, OSError) as error:
        raise DeployError(f"'{source}' cannot be fetched: {getattr(error, 'reason', error)}") from error
    return target


def _fetch_hf(source: str, folder: Path) -> Path:
    """hf://OWNER/NAME[@REVISION][/PATH]: a repository of models, or a file or folder in it."""
    hub = _package("hf")
    parts = source[len("hf://"):].strip("/").split("/")
    if len(parts) < 2:
        raise DeployError(f"'{source}' names no repository; write hf://OWNER/NAME, or hf://OWNER/NAME/FILE")
    name, _, revision = parts[1].partition("@")
    repository, inner = f"{parts[0]}/{name}", "/".join(parts[2:])
    target = folder / name
    patterns = [inner, f"{inner}/*"] if inner else None
    try:
        hub.snapshot_download(repository, revision=revision or None, allow_patterns=patterns, local_dir=str(target))
    except Exception as error:  # of many kinds, by the package's version
        raise DeployError(f"'{source}' cannot be fetched: {_first_line(error)}") from error
    shutil.rmtree(target / ".cache", ignore_errors=True)
    found = target / inner if inner else target
    if not found.exists():
        raise DeployError(f"'{repository}' has no '{inner}'")
    return found


def _fetch_oci(source: str, folder: Path) -> Path:
    """oci://REGISTRY/NAME[:TAG]: an artifact, whose files are the model's."""
    oras = _package("oci")
    reference = source[len("oci://"):]
    target = folder / _name(reference.partition("@")[0].rpartition(":")[0] or reference)
    target.mkdir()
    try:
        client = importlib.import_module(f"{oras.__name__}.client").OrasClient()
        client.pull(target=reference, outdir=str(target))
    except Exception as error:
        raise DeployError(f"'{source}' cannot be fetched: {_first_line(error)}") from error
    return target


def _fetch_fsspec(scheme: str, source: str, folder: Path) -> Path:
    _package(scheme)
    fsspec = _package("file")
    target = folder / _name(urlsplit(source).path or source)
    try:
        system, path = fsspec.core.url_to_fs(source)
        if not system.exists(path):
            raise DeployError(f"there is nothing at '{source}'")
        if system.isdir(path):
            system.get(path.rstrip("/") + "/", f"{target}/", recursive=True)
        else:
            system.get_file(path, str(target))
    except (ValueError, ImportError) as error:
        raise DeployError(f"'{source}' cannot be read: {error}") from error
    except OSError as error:
        raise DeployError(f"'{source}' cannot be fetched: {_first_line(error)}") from error
    return target


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
