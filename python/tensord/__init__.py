"""tensord: call and deploy models on a tensord server, and serve them.

    import tensord
    gpu = tensord.connect("http://gpu-box:8000", token="…")
    gpu.model("iris")(x)

Importing the package imports nothing else: each name is loaded when it is first used.
"""
from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # by their names again: type checkers take these for public
    from tensord.client import Deployed as Deployed
    from tensord.client import Model as Model
    from tensord.client import Server as Server
    from tensord.client import connect as connect
    from tensord.errors import ConnectionFailed as ConnectionFailed
    from tensord.errors import DeployError as DeployError
    from tensord.errors import Error as Error
    from tensord.errors import InvalidInput as InvalidInput
    from tensord.errors import ModelError as ModelError
    from tensord.errors import ModelNotFound as ModelNotFound
    from tensord.errors import ModelUnavailable as ModelUnavailable
    from tensord.errors import TimedOut as TimedOut
    from tensord.errors import Unauthorized as Unauthorized
    from tensord.worker.calls import CallFailed as CallFailed
    from tensord.worker.calls import call as call
    from tensord.worker.calls import call_sync as call_sync
    from tensord.worker.declare import model as model
    from tensord.worker.errors import BadRequest as BadRequest
    from tensord.worker.errors import Unavailable as Unavailable
    from tensord.worker.memory import empty as empty
    from tensord.worker.memory import is_shared as is_shared
    from tensord.worker.requests import Request as Request

__version__ = "0.1.0"

# Where each public name is defined.
_HOMES = {
    "tensord.client": ("connect", "Server", "Model", "Deployed"),
    "tensord.worker.calls": ("call", "call_sync", "CallFailed"),
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
