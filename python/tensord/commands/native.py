"""The server program, for the commands that it has: the one that the package carries, else the one on PATH."""
from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Optional, Sequence

_CARRIED = Path(__file__).resolve().parent.parent / "_server" / "bin" / "tensord"
_ELF = b"\x7fELF"


def find() -> Optional[Path]:
    """The program, or None. What is on PATH counts when it is the program itself, not another script of this package's."""
    places = [_CARRIED, *(Path(folder, "tensord") for folder in os.environ.get("PATH", "").split(os.pathsep) if folder)]
    for place in places:
        try:
            with place.open("rb") as file:
                if file.read(4) == _ELF and os.access(place, os.X_OK):
                    return place
        except OSError:
            continue
    return None


def run(words: Sequence[str]) -> int:
    """Becomes the program, with these arguments; returns only when there is none."""
    program = find()
    if program is None:
        where = "this installation has none, and there is none on PATH" if sys.platform == "linux" else \
            "it runs on Linux; from here, push to it with: tensord push PATH --to http://HOST:8000"
        print(f"tensord {words[0]}: this is a command of the server program; {where}", file=sys.stderr)
        return 1
    os.execve(program, ["tensord", *words], _environment())


def _environment() -> dict[str, str]:
    """The variables by which the server finds what is installed beside this package: the interpreter and the engines'
    libraries. What the user says counts first."""
    variables = dict(os.environ)
    if sys.prefix != sys.base_prefix:
        variables.setdefault("VIRTUAL_ENV", sys.prefix)
    elif "VIRTUAL_ENV" not in variables and sys.version_info >= (3, 11):
        variables.setdefault("TENSORD_PYTHON", sys.executable)
    return variables
