"""Which Pythons are installed here."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Iterator

from tensord.environments import version
from tensord.environments.errors import EnvironmentFault

ASK = "import sys, platform as p; print(p.python_implementation(), p.python_version(), sys.abiflags)"
ASK_TIMEOUT_S = 10
OLDEST = "3.11"
NAMES = re.compile(r"python3(\.\d+)?")


def _folders() -> Iterator[Path]:
    home = Path(os.environ.get("HOME", "/nonexistent"))
    yield from map(Path, filter(os.path.isabs, os.environ.get("PATH", "").split(os.pathsep)))
    yield from (Path("/usr/local/bin"), Path("/usr/bin"))
    for base in (
        Path(os.environ.get("PYENV_ROOT") or home / ".pyenv") / "versions",
        Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or home / ".local/share/uv/python"),
        Path("/opt"),
    ):
        try:
            yield from sorted(folder / "bin" for folder in base.iterdir())
        except OSError:
            continue


def _is_program(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return os.access(path, os.X_OK) and file.read(4) == b"\x7fELF"
    except OSError:
        return False


def _programs() -> Iterator[Path]:
    seen = set()
    for folder in _folders():
        try:
            names = sorted(name for name in os.listdir(folder) if NAMES.fullmatch(name))
        except OSError:
            continue
        for name in names:
            real = Path(os.path.realpath(folder / name))
            if real not in seen and _is_program(real):
                seen.add(real)
                yield real


def _version(program: Path) -> str:
    """Empty when it does not run, or is of a kind that models cannot run on."""
    try:
        said = subprocess.run(
            [program, "-I", "-S", "-c", ASK],
            capture_output=True,
            text=True,
            timeout=ASK_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
            check=True,
        ).stdout.rstrip("\n")
    except (OSError, subprocess.SubprocessError):
        return ""
    kind, number, flags = (said.split(" ") + ["", ""])[:3]
    return number if kind == "CPython" and "t" not in flags else ""


def find(wanted: str) -> str:
    """The newest installed CPython whose version agrees with the specifier."""
    best, best_key, others = "", None, set()
    for program in _programs():
        number = _version(program)
        if not number:
            continue
        others.add(number)
        fits = version.satisfies(number, wanted) and version.satisfies(number, f">={OLDEST}")
        if fits and (best_key is None or version.key(number) > best_key):
            best, best_key = str(program), version.key(number)
    if not best:
        here = ", ".join(sorted(others, key=version.key)) or "none"
        raise EnvironmentFault(
            f"no Python {wanted} (at least {OLDEST}) is installed on the server; it has {here}"
        )
    return best
