"""What a model needs, as a recipe for its environment, and the name of that; see plan.py."""


from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import site
import sys
import sysconfig
from pathlib import Path
from typing import Any, Optional

from tensord.environments import requirement, sources, version
from tensord.environments.errors import EnvironmentFault
from tensord.environments.sources import Source

RECIPE_FORM = 1  # changes when an equal recipe would be made otherwise
OLDEST_PYTHON = (3, 11)
MANIFEST = "tensord.json"  # in an environment that is whole
ARRAYS = "numpy"
# A model whose code has one of these words in it gets its tensors as numpy's arrays.
WORDS_OF_ARRAYS = (b"numpy", b"torch", b"triton_python_backend_utils")
SCRIPT_BYTES = 16 << 20
MODEL_DIRECTORY = "$$TRITON_MODEL_DIRECTORY"  # in what Triton's config says
HASH_DIGITS = 32


def from_config(python: dict[str, Any], root: Path) -> Optional[Source]:
    """What the section `python` of the config says of requirements."""
    lines = python.get("requirements") or []
    if not lines:
        return None
    where = "python.requirements"
    if len(lines) == 1 and lines[0].endswith((".txt", ".lock", ".toml")):
        path = root / lines[0]
        if root.resolve() not in path.resolve().parents or not path.is_file():
            raise EnvironmentFault(f"{where}: there is no file '{lines[0]}' in the model's folder")
        return sources.READERS.get(path.name, sources.from_requirements)(path, root)
    return Source(where, requirements=requirement.parse_list(lines, where))


def from_files(path: Path, root: Optional[Path]) -> Optional[Source]:
    """What lies beside the model: in the folder of its version, else in its own."""
    if path.is_file():
        source = sources.from_script(path, path.parent) if path.suffix == ".py" else None
        return source if source and not source.empty() else None
    folders = dict.fromkeys([path, root or path])
    return next((source for folder in folders for source in sources.beside(folder)), None)


def from_format(path: Path, name: str) -> Optional[Source]:
    """What the format of that name needs, when this interpreter has not got it."""
    from tensord.formats import named

    form = named(name)
    if form is None:
        return None
    origin = f"the format {form.name}"
    try:
        lines = form.requirements(path)
    except Exception as error:  # whatever a broken file leads to
        raise EnvironmentFault(f"{origin}: {error}") from None
    found = requirement.parse_list(lines, origin)
    if sys.flags.no_site:
        site.main()  # for the packages of the base interpreter
    if all(is_installed(one) for one in found.requirements):
        return None
    return Source(origin, requirements=found)


def is_installed(wanted: requirement.Requirement) -> bool:
    """True when this interpreter has the package in such a version."""
    import importlib.metadata

    try:
        have = importlib.metadata.version(wanted.name)
        return not wanted.marker and version.satisfies(have, wanted.clauses)
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return False


def wanted_python(python: dict[str, Any], source: Optional[Source]) -> str:
    """The specifier of the interpreter; empty when the base interpreter will do."""
    wanted = str(python.get("version") or "")
    if re.fullmatch(r"\d+(\.\d+)*", wanted):
        wanted = f"=={wanted}" if wanted.count(".") > 1 else f"=={wanted}.*"
    wanted = wanted or (source.python if source else "")
    try:
        fits = version.satisfies(platform.python_version(), wanted)
    except ValueError as error:
        raise EnvironmentFault(f"python.version: {error}") from None
    return "" if fits else wanted


def named_interpreter(path: str, root: Path) -> str:
    """The program at the path, or that of the environment whose folder it is."""
    if path.startswith(MODEL_DIRECTORY):
        path = str(root) + path[len(MODEL_DIRECTORY) :]
    if os.path.isdir(path):
        found = [os.path.join(path, "bin", name) for name in ("python", "python3")]
        path = next(filter(os.path.exists, found), found[0])
    if not os.path.isfile(path) or not os.access(path, os.X_OK):
        raise EnvironmentFault("python.interpreter: there is no program at that path")
    return path


# ---- the answer ----


def base_identity() -> list[str]:
    """Of the base interpreter: an environment does not outlive it."""
    executable = os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable)
    return [platform.python_implementation(), platform.python_version(), executable]


def uses_arrays(path: Path, root: Optional[Path]) -> bool:
    """True when the model's code is about arrays, which it need not ask for."""
    scripts = [path] if path.is_file() else [*path.glob("*.py"), *(root or path).glob("*.py")]
    for script in scripts:
        with script.open("rb") as file:
            text = file.read(SCRIPT_BYTES)
        if any(word in text for word in WORDS_OF_ARRAYS):
            return True
    return False


def make_recipe(source: Optional[Source], python: str, arrays: bool) -> dict[str, Any]:
    """All that the builder has to know, in one form for equal requirements."""
    source = source or Source("the version of Python")
    wanted = source.requirements
    names = {one.name for one in wanted.requirements}
    lines = {one.line() for one in wanted.requirements}
    hashed = any(one.hashes for one in wanted.requirements)
    has_arrays = hashed or not arrays or ARRAYS in names
    return {
        "form": RECIPE_FORM,
        "python": python,
        "base": base_identity() if not python else [],
        "platform": [sysconfig.get_platform(), *platform.libc_ver()],
        "kind": source.kind,
        "requirements": sorted(lines),
        "extra": [] if has_arrays else [ARRAYS],
        "constraints": sorted(one.line() for one in wanted.constraints),
        "options": list(wanted.options) + (["--require-hashes"] if hashed else []),
        "files": source.files,
    }


def recipe_hash(recipe: dict[str, Any]) -> str:
    """The name of the environment."""
    text = json.dumps(recipe, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:HASH_DIGITS]


def is_ready(environments: Path, name: str) -> bool:
    """True when the environment was made, and the interpreter that it leads to is still there."""
    folder = environments / name
    return (folder / MANIFEST).is_file() and (folder / "bin" / "python").exists()


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """The answer to a question; EnvironmentFault when the model's files make no sense."""
    python = question.get("python") or {}
    path = Path(question["path"])
    root = Path(question["root"]) if question.get("root") else None
    if python.get("interpreter"):
        named = named_interpreter(python["interpreter"], root or path)
        return {"interpreter": named, "named": True}
    source = from_config(python, root or path) or from_files(path, root)
    source = source or from_format(path / (question.get("file") or ""), question.get("engine") or "")
    specifier = wanted_python(python, source)
    if not specifier and (source is None or source.empty() or not _asks(source)):
        return {"interpreter": sys.executable}
    recipe = make_recipe(source, specifier, uses_arrays(path, root))
    environments, name = Path(question["environments"]), recipe_hash(recipe)
    return {
        "interpreter": str(environments / name / "bin" / "python"),
        "hash": name,
        "ready": is_ready(environments, name),
        "origin": source.origin if source else "python.version",
        "recipe": recipe,
    }


def _asks(source: Source) -> bool:
    return bool(source.requirements.requirements or source.files)
