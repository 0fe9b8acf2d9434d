"""Requirements and files of them: one line, read strictly, in one form (PEP 508, PEP 503)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Iterator, Optional

from tensord.environments import version
from tensord.environments.errors import EnvironmentFault

MAX_FILE_BYTES = 1 << 20
MAX_DEPTH = 8  # of files that include files

NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
EXTRAS = rf"\[\s*(?:{NAME}(?:\s*,\s*{NAME})*)?\s*\]"
CLAUSE = rf"{version.OPERATOR}\s*{version.VERSION}"
CLAUSES = rf"{CLAUSE}(?:\s*,\s*{CLAUSE})*\s*,?"
LINE = re.compile(
    rf"(?P<name>{NAME})\s*(?P<extras>{EXTRAS})?\s*"
    rf"(?:@\s*(?P<url>\S+)|\(\s*(?P<inside>{CLAUSES})\s*\)|(?P<clauses>{CLAUSES}))?\s*"
    r"(?:;\s*(?P<marker>.+))?"
)
HASH = re.compile(r"\s--hash[= ]([a-z0-9]+:[0-9a-fA-F]+)")
URL_SCHEMES = ("https://", "http://", "git+https://", "git+http://", "git+ssh://")

# Options of a requirements file that are handed to the installer: its name, and whether it takes a
# value.
OPTIONS = {
    "-i": ("--index-url", True),
    "--index-url": ("--index-url", True),
    "--extra-index-url": ("--extra-index-url", True),
    "-f": ("--find-links", True),
    "--find-links": ("--find-links", True),
    "--no-index": ("--no-index", False),
    "--no-binary": ("--no-binary", True),
    "--only-binary": ("--only-binary", True),
    "--pre": ("--pre", False),
    "--prefer-binary": ("--prefer-binary", False),
    "--require-hashes": ("--require-hashes", False),
    "--trusted-host": ("--trusted-host", True),
}
OPTIONS_WITH_URLS = ("--index-url", "--extra-index-url", "--find-links")


def normal_name(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


@dataclass(frozen=True)
class Requirement:
    """One requirement; `text` is its normal form, without hashes."""

    name: str
    text: str
    clauses: str = ""
    marker: str = ""
    hashes: tuple[str, ...] = ()

    def line(self) -> str:
        """As a line of a requirements file."""
        return " ".join([self.text, *(f"--hash={value}" for value in self.hashes)])


def _check_url(url: str) -> None:
    if not url.startswith(URL_SCHEMES):
        raise ValueError(
            f"'{url}' is no address on the network: what lies beside the model is not seen by the "
            "installer (a package that is put into the model's folder needs no installing)"
        )


def parse(text: str) -> Requirement:
    """A requirement; ValueError when it is none, or one that cannot be installed here."""
    hashes = tuple(sorted(HASH.findall(text)))
    match = LINE.fullmatch(HASH.sub("", text).strip())
    if not match:
        if re.match(r"[./~]|file:", text.strip()):
            _check_url(text.strip().split()[0])
        raise ValueError(f"'{text.strip()[:200]}' is no requirement")
    extras = ",".join(sorted(filter(None, re.split(r"[\[\],\s]+", match["extras"] or ""))))
    clauses = re.sub(r"\s+", "", match["inside"] or match["clauses"] or "").rstrip(",")
    clauses = ",".join(sorted(clauses.split(",")))
    name = normal_name(match["name"])
    normal = name + (f"[{extras.lower()}]" if extras else "") + clauses
    marker = re.sub(r"\s+", " ", match["marker"] or "").strip()
    if match["url"]:
        _check_url(match["url"])
        normal += f" @ {match['url']}"
    if marker:
        normal += f" ; {marker}"
    return Requirement(name, normal, clauses, marker, hashes)


@dataclass
class RequirementsFile:
    """What a requirements file asks for, and the files that it includes."""

    requirements: list[Requirement] = field(default_factory=list)
    constraints: list[Requirement] = field(default_factory=list)
    options: list[str] = field(default_factory=list)


def read_text(path: Path, limit: int = MAX_FILE_BYTES) -> str:
    """The file as text; EnvironmentFault when it is too large or no UTF-8."""
    with path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise EnvironmentFault(f"{path.name} is larger than {limit >> 20} MiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise EnvironmentFault(f"{path.name}, line {line}: not UTF-8") from None


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with those that a backslash continues, without comments, and the first one's number."""
    first, joined = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        first = first or number
        if line.rstrip().endswith("\\") and not line.lstrip().startswith("#"):
            joined += line.rstrip()[:-1] + " "
            continue
        joined = re.sub(r"(^|\s)#.*", "", joined + line).strip()
        if joined:
            yield first, joined
        first, joined = 0, ""
    if joined.strip():
        yield first, joined.strip()


def _option(line: str) -> tuple[str, Optional[str]]:
    match = re.fullmatch(r"(--?[A-Za-z-]+)(?:[=\s]\s*(.*))?", line)
    if not match and line.startswith(("-r", "-c", "-i", "-f", "-e")):
        return line[:2], line[2:].strip()
    if not match:
        raise ValueError(f"'{line[:200]}' is no requirement")
    return match[1], match[2]


class _Reader:
    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.result = RequirementsFile()

    def read(self, path: Path, constraints: bool = False, depth: int = 0) -> None:
        name = path.name if path.parent == self.root else str(path.relative_to(self.root))
        text = read_text(path)
        for number, line in logical_lines(text):
            try:
                self.take(path, line, constraints, depth)
            except ValueError as error:
                raise EnvironmentFault(f"{name}, line {number}: {error}") from None

    def take(self, path: Path, line: str, constraints: bool, depth: int) -> None:
        if "${" in line:
            raise ValueError("variables are not replaced here")
        if line.startswith("-"):
            self.take_option(path, line, constraints, depth)
        else:
            (self.result.constraints if constraints else self.result.requirements).append(
                parse(line)
            )

    def include(self, path: Path, name: Optional[str], constraints: bool, depth: int) -> None:
        other = (path.parent / (name or "")).resolve()
        if self.root not in other.parents:
            raise ValueError(f"'{name}' is not a file of the model's folder")
        if depth >= MAX_DEPTH:
            raise ValueError(f"files include each other more than {MAX_DEPTH} deep")
        if not other.is_file():
            raise ValueError(f"there is no file '{name}'")
        self.read(other, constraints, depth + 1)

    def take_option(self, path: Path, line: str, constraints: bool, depth: int) -> None:
        option, value = _option(line)
        if option in ("-r", "--requirement", "-c", "--constraint"):
            constraints = constraints or option in ("-c", "--constraint")
            self.include(path, value, constraints, depth)
            return
        if option in ("-e", "--editable"):
            raise ValueError("nothing can be installed in editable form")
        if option not in OPTIONS:
            raise ValueError(f"option '{option}' is not supported")
        name, has_value = OPTIONS[option]
        if has_value != bool(value):
            raise ValueError(f"option '{option}' {'wants a' if has_value else 'has no'} value")
        if name in OPTIONS_WITH_URLS:
            _check_url(value or "")
        self.result.options.append(f"{name} {value}" if has_value else name)


def read_file(path: Path, root: Path) -> RequirementsFile:
    """Reads a requirements file and what it includes, all beneath root.

    EnvironmentFault names the file and the line of the first mistake.
    """
    reader = _Reader(root)
    reader.read(path.resolve())
    return reader.result


def parse_list(lines: list[str], where: str) -> RequirementsFile:
    """Requirements that stand in a list of another file; EnvironmentFault names the place."""
    result = RequirementsFile()
    for line in lines:
        try:
            if not isinstance(line, str):
                raise ValueError("a requirement is a string")
            result.requirements.append(parse(line))
        except ValueError as error:
            raise EnvironmentFault(f"{where}: {error}") from None
    return result
