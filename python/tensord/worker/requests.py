"""The request that is being executed."""
from contextvars import ContextVar
from typing import Any

import _channel
from _channel import Request

__all__ = ["Request", "current"]

# Of a task of asyncio; a thread of the host's knows its own.
of_task: ContextVar[Any] = ContextVar("tensord_request", default=None)


def current() -> Request | None:
    """The request that this thread or task executes; None outside of one."""
    return _channel.current() or of_task.get()
