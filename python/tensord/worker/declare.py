"""Decorators by which a file says what its model is."""
from typing import Any


def model(target: Any = None, /, **options: Any) -> Any:
    """Marks the function or class that is the file's model; options: see docs/python.md."""

    def mark(marked: Any) -> Any:
        marked.__tensord__ = options
        return marked

    return mark(target) if target is not None else mark
