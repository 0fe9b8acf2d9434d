"""Values of a program's names as source, where that is possible, and what belongs to an installation."""
from __future__ import annotations

import logging
import os
import re
import site
import sysconfig
import types
import typing
from pathlib import Path
from typing import Any, Optional

from tensord.client import source_text
from tensord.errors import DeployError

_PLAIN = (bool, int, float, complex, str, bytes, type(None), type(...))
_LONGEST_CHARS = 100_000  # what is longer is data, and belongs into a file
_DEEPEST = 8
# Values that are the same wherever their assignment is executed.
_REPEATABLE = (re.Pattern, types.GenericAlias, typing.TypeVar, logging.Logger, type(typing.List[int]))


def constant(value: Any) -> Optional[str]:
    """A value that is made of plain constants, or a small array of numpy's, as source; None for others."""
    text = _plain(value, 0)
    if text is None and type(value).__module__ == "numpy" and hasattr(value, "tolist") and value.dtype.kind in "biuf":
        items = _plain(value.tolist(), 0)
        text = f'numpy.array({items}, dtype="{value.dtype.str}")' + ("[()]" if not hasattr(value, "ctypes") else "")
    if text is not None and len(text) > _LONGEST_CHARS:
        raise DeployError(f"a constant of {len(text)} characters is data; put it into a file and name that in files=[…]")
    return text


def _plain(value: Any, depth: int) -> Optional[str]:
    kind = type(value)
    if kind is float and (value != value or value in (float("inf"), float("-inf"))):
        return f"float('{value}')"
    if kind in _PLAIN:
        return "..." if value is ... else repr(value)
    if depth > _DEEPEST:
        return None
    if kind is dict:
        pairs = [(_plain(key, depth + 1), _plain(item, depth + 1)) for key, item in value.items()]
        return None if any(None in pair for pair in pairs) else "{" + ", ".join(f"{k}: {v}" for k, v in pairs) + "}"
    if kind not in (list, tuple, set, frozenset):
        return None
    items = [_plain(item, depth + 1) for item in value]
    if None in items:
        return None
    inner = ", ".join(items)  # type: ignore[arg-type]
    if kind is tuple:
        return f"({inner},)" if len(items) == 1 else f"({inner})"
    return f"[{inner}]" if kind is list else f"{kind.__name__}([{inner}])"


def assignment(name: str, value: Any, module: Optional[types.ModuleType]) -> Optional[str]:
    """The line that gives a name its value, if it is one that may be executed again: a compiled pattern, a logger, a type."""
    if not isinstance(value, _REPEATABLE):
        return None
    text = source_text.of_assignment(name, module)
    return text.rstrip() if text else None


def is_installed(file: str) -> bool:
    """Does a module's file belong to Python, or to a package that requirements can name?"""
    real = os.path.realpath(file)
    if {"site-packages", "dist-packages"} & set(Path(real).parts):
        return True
    folders = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    folders += site.getsitepackages() if hasattr(site, "getsitepackages") else []
    return any(real.startswith(os.path.realpath(folder) + os.sep) for folder in folders if folder)
