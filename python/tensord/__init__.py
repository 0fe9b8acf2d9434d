"""tensord: call and deploy models on a tensord server, and serve them.

    import tensord
    gpu = tensord.connect("http://gpu-box:8000", token="…")
    gpu.model("iris")(x)

Importing the package imports nothing else: each name is loaded when it is first used.
"""
from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tensord.client import Deployed, Model, Server, connect
    from tensord.errors import (
        ConnectionFailed,
        DeployError,
        Error,
        InvalidInput,
        ModelError,
        ModelNotFound,
        ModelUnavailable,
        TimedOut,
        Unauthorized,
    )
    from tensord.worker.declare import model
    from tensord.worker.errors import BadRequest, Unavailable
    from tensord.worker.memory import empty, is_shared
    from tensord.worker.requests import Request

__version__ = "0.1.0"

# Where each public name is defined.
_HOMES = {
    "tensord.client": ("connect", "Server", "Model", "Deployed"),
    "tensord.worker.declare": ("model",),
    "tensord.worker.errors": ("BadRequest", "Unavailable"),
    "tensord.worker.memory": ("empty", "is_shared"),
    "tensord.worker.requests": ("Request",),
    "tensord.errors": (
        "Error",
        "ConnectionFailed",
        "Unauthorized",
        "TimedOut",
        "ModelError",
        "ModelNotFound",
        "ModelUnavailable",
        "InvalidInput",
        "DeployError",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [*sorted(_HOME_OF)]


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'tensord' has no attribute '{name}'")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
