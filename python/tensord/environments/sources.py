"""Where a model says what it needs: one reader for each kind of file."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Iterator, Optional

from tensord.environments import requirement, version
from tensord.environments.errors import EnvironmentFault
from tensord.environments.plan import FILES, MODEL_FILE
from tensord.environments.requirement import RequirementsFile

MAX_LOCK_BYTES = 16 << 20
SCRIPT_OPENS, SCRIPT_CLOSES = "# /// script", "# ///"


@dataclass
class Source:
    """What one place says; `files` are for the installer alone (a lock, and what it belongs to)."""

    origin: str
    kind: str = "requirements"  # or "pylock", "uv-lock"
    requirements: RequirementsFile = field(default_factory=RequirementsFile)
    python: str = ""  # a specifier like ">=3.12"; empty: any
    files: dict[str, str] = field(default_factory=dict)

    def empty(self) -> bool:
        """True when it asks for nothing."""
        return not (self.requirements.requirements or self.files or self.python)


def _toml(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise EnvironmentFault(f"{where}: {error}") from None


def _strings(value: Any, where: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise EnvironmentFault(f"{where} is no list of strings")
    return value


def _python(value: Any, where: str) -> str:
    try:
        if not isinstance(value, str):
            raise ValueError("it is no string")
        version.specifiers(value)
    except ValueError as error:
        raise EnvironmentFault(f"{where}: {error}") from None
    return value


def from_requirements(path: Path, root: Path) -> Source:
    """A requirements file, or a lock in its form."""
    return Source(path.name, requirements=requirement.read_file(path, root))


def from_pyproject(path: Path, root: Path) -> Source:
    """The dependencies of a project; the project itself is not installed."""
    project = _toml(requirement.read_text(path), path.name)
    if "project" not in project:
        if "poetry" in project.get("tool", {}):
            raise EnvironmentFault(
                f"{path.name}: only the table [project] is understood, not [tool.poetry]"
            )
        return Source(path.name)
    table = project["project"]
    if not isinstance(table, dict):
        raise EnvironmentFault(f"{path.name}: [project] is no table")
    if "dependencies" in table.get("dynamic", []):
        raise EnvironmentFault(f"{path.name}: its dependencies are dynamic; list them instead")
    lines = _strings(table.get("dependencies", []), f"{path.name}: project.dependencies")
    return Source(
        path.name,
        requirements=requirement.parse_list(lines, f"{path.name}: project.dependencies"),
        python=_python(table.get("requires-python", ""), f"{path.name}: requires-python"),
    )


def from_uv_lock(path: Path, root: Path) -> Source:
    """A project with its lock."""
    text = requirement.read_text(path, MAX_LOCK_BYTES)
    lock = _toml(text, path.name)
    project = path.with_name("pyproject.toml")
    if not project.is_file():
        raise EnvironmentFault("uv.lock: the pyproject.toml that it belongs to is not beside it")
    return Source(
        path.name,
        kind="uv-lock",
        python=_python(lock.get("requires-python", ""), f"{path.name}: requires-python"),
        files={path.name: text, project.name: requirement.read_text(project)},
    )


def from_pylock(path: Path, root: Path) -> Source:
    """A lock in the standard form (PEP 751)."""
    text = requirement.read_text(path, MAX_LOCK_BYTES)
    lock = _toml(text, path.name)
    if "lock-version" not in lock:
        raise EnvironmentFault(f"{path.name}: it has no lock-version")
    return Source(
        path.name,
        kind="pylock",
        python=_python(lock.get("requires-python", ""), f"{path.name}: requires-python"),
        files={path.name: text},
    )


def _script_blocks(text: str) -> list[str]:
    """The blocks of metadata in a script: comments between two marks."""
    blocks: list[str] = []
    block: Optional[list[str]] = None
    for line in text.splitlines():
        line = line.rstrip()
        if block is None:
            block = [] if line == SCRIPT_OPENS else None
        elif line == SCRIPT_CLOSES:
            blocks.append("\n".join(block))
            block = None
        elif line == "#" or line.startswith("# "):
            block.append(line[2:])
        else:
            block = None
    return blocks


def from_script(path: Path, root: Path) -> Source:
    """The metadata that stands in the comments of a script (PEP 723)."""
    blocks = _script_blocks(requirement.read_text(path, MAX_LOCK_BYTES))
    if len(blocks) > 1:
        raise EnvironmentFault(f"{path.name}: more than one block of script metadata")
    if not blocks:
        return Source(path.name)
    table = _toml(blocks[0], f"{path.name}: script metadata")
    where = f"{path.name}: dependencies"
    return Source(
        path.name,
        requirements=requirement.parse_list(_strings(table.get("dependencies", []), where), where),
        python=_python(table.get("requires-python", ""), f"{path.name}: requires-python"),
    )


Reader = Callable[[Path, Path], Source]
READERS: dict[str, Reader] = {
    "uv.lock": from_uv_lock,
    "pylock.toml": from_pylock,
    "requirements.lock": from_requirements,
    "requirements.txt": from_requirements,
    "pyproject.toml": from_pyproject,
    MODEL_FILE: from_script,
}


def beside(folder: Path) -> Iterator[Source]:
    """What lies in a folder and says something, in the order of its weight."""
    for name in (*FILES, MODEL_FILE):
        if (folder / name).is_file():
            source = READERS[name](folder / name, folder)
            if not source.empty():
                yield source
