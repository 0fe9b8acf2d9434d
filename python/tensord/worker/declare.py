"""Decorators by which a file says what its model is."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

T = TypeVar("T")


def model(target: T | None = None, /, *, batch: bool | None = None, max_batch_size: int = 0, concurrency: int = 0,
          outputs: Sequence[str] = ()) -> Any:
    """Marks the function or class that is the file's model.

    batch: requests may be joined along the first dimension, of which every input and output must have one.
    max_batch_size: rows at most. concurrency: calls at once, each on a thread of its own; of an async function, on one.
    outputs: names of the outputs, by default `output`, or `output0`, `output1`, … of a tuple.
    """
    options = {"batch": batch, "max_batch_size": max_batch_size, "concurrency": concurrency, "outputs": tuple(outputs)}

    def mark(marked: T) -> T:
        marked.__tensord__ = options  # type: ignore[attr-defined]
        return marked

    return mark(target) if target is not None else mark
