"""The text of definitions: of functions and classes in files, and in a notebook's cells, which belong to no file."""
from __future__ import annotations

import ast
import inspect
import linecache
import os
import textwrap
import types
from typing import Any, Iterator, Optional


def of_definition(value: Any) -> str:
    """The source of a function or class, without its indentation. OSError when it is not to be had."""
    try:
        return textwrap.dedent(inspect.getsource(value))
    except TypeError:  # a class without a file
        if not inspect.isclass(value):
            raise OSError("no source") from None
    except OSError:
        if not inspect.isclass(value):
            raise
    for text in _cells():
        found = _top(text, lambda node: isinstance(node, ast.ClassDef) and node.name == value.__name__)
        if found:
            return found
    raise OSError("no source")


def of_assignment(name: str, module: Optional[types.ModuleType]) -> Optional[str]:
    """The statement of a module, or of a notebook, that gives a name its value; None when there are several, or none."""

    def assigns(node: ast.stmt) -> bool:
        return isinstance(node, ast.Assign) and any(isinstance(one, ast.Name) and one.id == name for one in node.targets)

    try:
        text = inspect.getsource(module) if module else ""
    except (OSError, TypeError):
        return next(filter(None, (_top(cell, assigns) for cell in _cells())), None)
    return _top(text, assigns)


def _top(text: str, fits: Any) -> Optional[str]:
    """The one statement at the top of a text that fits, with its decorators."""
    try:
        found = [node for node in ast.parse(text).body if fits(node)]
    except SyntaxError:
        return None
    if len(found) != 1:
        return None
    first = min(one.lineno for one in (found[0], *getattr(found[0], "decorator_list", ())))
    return "\n".join(text.splitlines()[first - 1:found[0].end_lineno]) + "\n"


def _cells() -> Iterator[str]:
    """The texts that were executed and belong to no file, the latest first."""
    for name, entry in reversed(list(linecache.cache.items())):
        if len(entry) == 4 and not os.path.exists(name):
            yield "".join(entry[2])
