"""Versions and version specifiers (PEP 440), as far as they choose an interpreter or a package.

Local parts and epochs are left out of account: an interpreter has neither, and a package that has
one is compared by the rest.
"""

from __future__ import annotations

import re

OPERATOR = r"(?:~=|===?|!=|<=|>=|<|>)"
VERSION = r"[A-Za-z0-9_.*+!-]+"
SPECIFIER = re.compile(rf"\s*({OPERATOR})\s*({VERSION})\s*")
PARTS = re.compile(
    r"v?(?:\d+!)?(\d+(?:\.\d+)*)[._-]?(?:(a|b|c|rc|alpha|beta|pre|preview)[._-]?(\d*))?"
    r"(?:[._-]?(post|rev|r)[._-]?(\d*))?(?:[._-]?(dev)[._-]?(\d*))?(?:\+.*)?",
    re.IGNORECASE,
)
PRE_ORDER = {"a": 1, "alpha": 1, "b": 2, "beta": 2, "c": 3, "rc": 3, "pre": 3, "preview": 3}
FINAL = 4

Key = tuple[tuple[int, ...], int, int, int, int]


def _release(text: str) -> list[int]:
    numbers = [int(part) for part in text.split(".")]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    return numbers


def key(version: str) -> Key:
    """What versions are ordered by. ValueError when it is none."""
    match = PARTS.fullmatch(version.strip())
    if not match:
        raise ValueError(f"'{version}' is no version")
    release, pre, pre_number, post, post_number, dev, dev_number = match.groups()
    stage = PRE_ORDER[pre.lower()] if pre else FINAL
    if dev and not pre and not post:
        stage = 0
    return (
        tuple(_release(release)),
        stage,
        int(pre_number or 0),
        int(post_number or 0) + 1 if post else 0,
        int(dev_number or 0) - (1 << 30) if dev else 0,
    )


def _has_prefix(version: str, prefix: str) -> bool:
    wanted = [int(part) for part in prefix.split(".")]
    have = [int(part) for part in PARTS.fullmatch(version.strip()).group(1).split(".")]
    have += [0] * (len(wanted) - len(have))
    return have[: len(wanted)] == wanted


def _agrees(version: str, operator: str, wanted: str) -> bool:
    if operator in ("==", "!=") and wanted.endswith(".*"):
        return _has_prefix(version, wanted[:-2]) == (operator == "==")
    if operator == "===":
        return version.strip() == wanted
    if operator == "~=":
        head = wanted.rsplit(".", 1)[0]
        return key(version) >= key(wanted) and _has_prefix(version, head)
    have, want = key(version), key(wanted)
    return {
        "==": have == want,
        "!=": have != want,
        "<=": have <= want,
        ">=": have >= want,
        "<": have < want,
        ">": have > want and have[0] >= want[0],
    }[operator]


def specifiers(text: str) -> list[tuple[str, str]]:
    """The pairs of operator and version of a list like ">=3.11, <4"; ValueError when it is none."""
    pairs = []
    for part in text.split(","):
        if not part.strip():
            continue
        match = SPECIFIER.fullmatch(part)
        if not match:
            raise ValueError(f"'{part.strip()}' is no version specifier")
        key(match[2].removesuffix(".*"))
        pairs.append((match[1], match[2]))
    return pairs


def satisfies(version: str, wanted: str) -> bool:
    """True when the version agrees with all specifiers."""
    return all(_agrees(version, operator, other) for operator, other in specifiers(wanted))
