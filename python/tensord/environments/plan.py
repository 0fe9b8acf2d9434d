"""The plan: which interpreter a model runs with, and which environment has to be made for it.

A process of a moment, which may read the model's folder and has no network:

    python -I -S -B plan.py FD

On the socket FD comes a question, a JSON value and then the end, and goes one line with the answer:
"=" and JSON.

    {"path": the model's file, or the folder of its version,
     "root": the folder of the model, above that of a version; "" for a model of one file,
     "engine": the format that serves it, "file": the one in path that the config names; either may be "",
     "environments": the folder of those that were made,
     "python": {"interpreter": …, "version": …, "requirements": […]}}      as the config says

    {"error": a sentence} or
    {"interpreter": a path, "named": true}                                 as the config names it
    {"interpreter": a path}                                                nothing has to be made
    {"interpreter": a path, "hash": …, "ready": whether it was made, "recipe": for the builder}
"""

from __future__ import annotations

import json
import os
import sys

SCRIPT_MARK = b"# /// script"  # of metadata in a script (PEP 723)
SCRIPT_BYTES = 16 << 20
# What may lie beside a model and say what it needs; a lock says more than what it locks.
FILES = ("uv.lock", "pylock.toml", "requirements.lock", "requirements.txt", "pyproject.toml")
MODEL_FILE = "model.py"
CODE = "python"  # the engine of models that are code


def _says_nothing(script: str) -> bool:
    with open(script, "rb") as file:
        return SCRIPT_MARK not in file.read(SCRIPT_BYTES)


def asks_for_nothing(question: dict) -> bool:
    """True when it is plain at a glance: then the base interpreter will do.

    Most models are a file of Python without a word about packages, and wait for this process to
    start; so nothing is imported for them that takes time.
    """
    path, root = question["path"], question.get("root")
    if any((question.get("python") or {}).values()) or question.get("engine") not in (None, "", CODE):
        return False
    if not os.path.isdir(path):
        return path.endswith(".py") and _says_nothing(path)
    folders = {path, root or path}
    if any(os.path.lexists(os.path.join(folder, name)) for folder in folders for name in FILES):
        return False
    scripts = [os.path.join(folder, MODEL_FILE) for folder in folders]
    scripts = [script for script in scripts if os.path.isfile(script)]
    return bool(scripts) and all(map(_says_nothing, scripts))


def answer(question: dict) -> dict:
    """The answer to a question."""
    if asks_for_nothing(question):
        return {"interpreter": sys.executable}
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path.insert(0, os.path.dirname(os.path.dirname(here)))
    from tensord.environments import recipe
    from tensord.environments.errors import EnvironmentFault

    try:
        return recipe.answer(question)
    except EnvironmentFault as fault:
        return {"error": str(fault)}


def read_all(fd: int) -> bytes:
    """All that comes until the other side has said what it wanted to say."""
    parts = []
    while part := os.read(fd, 1 << 16):
        parts.append(part)
    return b"".join(parts)


def write_all(fd: int, data: bytes) -> None:
    """Writes everything."""
    while data:
        data = data[os.write(fd, data) :]


def main(fd: int) -> int:
    """Answers the question that comes on the socket; returns the exit status."""
    question = json.loads(read_all(fd))
    try:
        reply = answer(question)
    except OSError as error:
        reply = {"error": f"cannot read the model's files: {error.strerror}"}
    write_all(fd, b"=" + json.dumps(reply).encode() + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
