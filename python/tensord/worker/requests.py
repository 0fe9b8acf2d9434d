"""The request that is being executed."""
from __future__ import annotations

from contextvars import ContextVar
from typing import Any

try:
    import _channel
    from _channel import Request
except ImportError:  # not in a worker: for annotations of functions that are written, and deployed, elsewhere
    _channel = None

    class Request:  # type: ignore[no-redef]
        """The request that is being executed; a worker makes it."""


__all__ = ["Request", "current"]

# Of a task of asyncio; a thread of the host's knows its own.
of_task: ContextVar[Any] = ContextVar("tensord_request", default=None)


def current() -> Request | None:
    """The request that this thread or task executes; None outside of one."""
    return (_channel and _channel.current()) or of_task.get()
