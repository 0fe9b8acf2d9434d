"""Deploying functions and folders: pushed, waited for, and callable."""
from __future__ import annotations

import functools
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any, AsyncIterator, Callable, Iterable, Iterator, Optional, Sequence, Union

from tensord.client import content, push
from tensord.client.model import Model
from tensord.client.progress import Progress, choose
from tensord.client.ship import ship
from tensord.errors import DeployError

if TYPE_CHECKING:
    from tensord.client.server import Server

Requirements = Union[None, str, Path, Iterable[str]]


class Deployed:
    """A function that was deployed: calling it calls the model on the server. `local` is the function as it was."""

    def __init__(self, function: Callable, model: Model) -> None:
        functools.update_wrapper(self, function)
        self.local, self.model = function, model
        self._signature = inspect.signature(function) if inspect.isfunction(function) else None

    def __repr__(self) -> str:
        return f"<{self.local.__name__}, deployed as {self.model!r}>"

    def _named(self, values: Sequence[Any], named: dict) -> dict:
        """The arguments by their names, without those that have their defaults."""
        if self._signature is None:
            return named
        return dict(self._signature.bind(*values, **named).arguments)

    def _positional(self, values: Sequence[Any]) -> Sequence[Any]:
        return values if self._signature is None else ()

    def __call__(self, *values: Any, **named: Any) -> Any:
        """Runs there; see Model.__call__."""
        return self.model(*self._positional(values), **self._named(values, named))

    async def aio(self, *values: Any, **named: Any) -> Any:
        """Runs there, without blocking the event loop; see Model.aio."""
        return await self.model.aio(*self._positional(values), **self._named(values, named))

    def stream(self, *values: Any, **named: Any) -> Iterator[Any]:
        """The parts of the answer of a generator; see Model.stream."""
        return self.model.stream(*self._positional(values), **self._named(values, named))

    def astream(self, *values: Any, **named: Any) -> AsyncIterator[Any]:
        """stream() without blocking the event loop."""
        return self.model.astream(*self._positional(values), **self._named(values, named))


def returned_kind(function: Callable) -> Optional[str]:
    """The kind of array that a function says it returns; None when it says nothing of the sort."""
    annotation = getattr(function, "__annotations__", {}).get("return")
    text = annotation if isinstance(annotation, str) else f"{getattr(annotation, '__module__', '')}." \
        f"{getattr(annotation, '__qualname__', annotation)}"
    for kind, marks in {"numpy": ("ndarray", "NDArray"), "torch": ("torch.", "Tensor"), "list": ("list", "List", "str")}.items():
        if any(mark in text for mark in marks):
            return kind
    return None


def deploy(server: "Server", path: Union[str, Path], name: Optional[str] = None, *, version: Optional[int] = None,
           requirements: Requirements = None, wait: bool = True, timeout_s: Optional[float] = None,
           progress: Optional[Progress] = None) -> Model:
    """Pushes the model file or folder at a path; see Server.push."""
    files = content.with_requirements(content.collect(path), requirements)
    called = name or content.default_name(path)
    push_files(server, called, files, version=version, wait=wait, timeout_s=timeout_s, progress=progress)
    return server.model(called, version)


def push_files(server: "Server", name: str, files: Sequence[content.File], *, version: Optional[int] = None,
               wait: bool = True, timeout_s: Optional[float] = None, progress: Optional[Progress] = None) -> int:
    """Pushes files as a model and waits until it is ready; returns the version that it has become."""
    progress = progress or choose()
    try:
        installed = push.push(server.transport, name, files, version=version, progress=progress)
        number = int(installed["version"])
        if wait:
            push.wait_ready(server.transport, name, number, progress=progress, timeout_s=timeout_s)
    except BaseException:
        progress.abandon()
        raise
    progress.finish(f"{name} version {number} is {'ready' if wait else 'installed'} at {server.url}")
    return number


def deploy_function(server: "Server", function: Callable, name: Optional[str] = None, *, version: Optional[int] = None,
                    requirements: Requirements = None, files: Sequence[Union[str, Path]] = (), wait: bool = True,
                    timeout_s: Optional[float] = None, progress: Optional[Progress] = None) -> Deployed:
    """Ships a function's source, and waits until it is ready there; see Server.deploy."""
    if isinstance(function, Deployed):
        function = function.local
    shipped = content.with_requirements(ship(function, files), requirements)
    names = [one.path for one in shipped]
    if twice := {one for one in names if names.count(one) > 1}:
        raise DeployError(f"two files would be called '{sorted(twice)[0]}' there")
    called = name or function.__name__
    push_files(server, called, shipped, version=version, wait=wait, timeout_s=timeout_s, progress=progress)
    return Deployed(function, server.model(called, version, returns=returned_kind(function)))
