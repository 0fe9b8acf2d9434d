"""Builds the Python package's wheels; the end of `./dev wheel`.

    wheel.py STAGE DIST

The pure one is built by the package's own build system. The one for Linux is the same with the installed program beneath
STAGE added, in tensord/_server: what may be executed stays so, and its tag says which C library it needs.
"""
import base64
import csv
import hashlib
import io
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SERVER = "tensord/_server"
INSTALLED = ("bin", "lib")  # of STAGE; manuals and completions belong to the system's packages
ELF = b"\x7fELF"
DATE = (1980, 1, 1, 0, 0, 0)  # the same files make the same wheel


def build_pure(dist):
    """Builds the pure wheel from a copy, so that nothing is left in the tree; returns its path."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch, "python")
        shutil.copytree(ROOT / "python", copy, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "build"))
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps",
                   "--no-build-isolation", "--no-index", "--wheel-dir", str(dist), str(copy)]
        subprocess.run(command, check=True, env={**os.environ, "SOURCE_DATE_EPOCH": "315532800"})
    (wheel,) = dist.glob("tensord-*-py3-none-any.whl")
    return wheel


def installed(stage):
    """The files to add: path in the wheel, path here."""
    for folder in INSTALLED:
        for path in sorted((stage / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield f"{SERVER}/{path.relative_to(stage).as_posix()}", path


def glibc_needed(paths):
    """The version of the C library, (2, 36), that the programs among the files need."""
    versions = {(2, 17)}
    for path in paths:
        data = path.read_bytes()
        if data.startswith(ELF):
            versions |= {(int(major), int(minor)) for major, minor in re.findall(rb"GLIBC_(\d+)\.(\d+)", data)}
    return max(versions)


def tag(paths):
    """The wheel's tag."""
    major, minor = glibc_needed(paths)
    return f"py3-none-manylinux_{major}_{minor}_{platform.machine()}"


def record_row(name, data):
    """A line of RECORD."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return [name, f"sha256={digest}", str(len(data))]


def add_server(pure, stage, dist):
    """The wheel with the program; returns its path."""
    added = list(installed(stage))
    its_tag = tag([path for _, path in added])
    target = dist / pure.name.replace("py3-none-any", its_tag)
    rows = []
    with zipfile.ZipFile(pure) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:

        def put(name, data, mode):
            info = zipfile.ZipInfo(name, DATE)
            info.external_attr = (0o100000 | mode) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            new.writestr(info, data)
            rows.append(record_row(name, data))

        for name in old.namelist():
            data = old.read(name)
            if name.endswith(".dist-info/RECORD"):
                record = name
            elif name.endswith(".dist-info/WHEEL"):
                text = data.decode().replace("Root-Is-Purelib: true", "Root-Is-Purelib: false")
                put(name, text.replace("Tag: py3-none-any", f"Tag: {its_tag}").encode(), 0o644)
            else:
                put(name, data, 0o644)
        for name, path in added:
            put(name, path.read_bytes(), 0o755 if os.access(path, os.X_OK) else 0o644)
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([*rows, [record, "", ""]])
        put(record, text.getvalue().encode(), 0o644)
    return target


def main():
    if len(sys.argv) != 3:
        sys.exit(f"usage: {Path(__file__).name} STAGE DIST")
    stage, dist = map(Path, sys.argv[1:])
    dist.mkdir(parents=True, exist_ok=True)
    pure = build_pure(dist)
    for wheel in (pure, add_server(pure, stage, dist)):
        print(f"{wheel} ({wheel.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    main()
