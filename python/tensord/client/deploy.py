"""Deploying functions and folders: pushed, waited for, and callable."""
from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any, AsyncIterator, Callable, Iterable, Iterator, Mapping, Optional, Sequence, Union

from tensord.client import content, push
from tensord.client.datatypes import Tensor
from tensord.client.model import Model
from tensord.client.progress import Progress, choose
from tensord.client.ship import ship
from tensord.client.signature import Signature
from tensord.errors import DeployError

if TYPE_CHECKING:
    from tensord.client.server import Server

Requirements = Union[None, str, Path, Iterable[str]]


class Deployed:
    """A function that was deployed: calling it calls the model on the server, with the arguments of the function, and gives
    what its annotations say. `local` is the function as it was, `model` the model."""

    def __init__(self, function: Callable, model: Model) -> None:
        functools.update_wrapper(self, function, updated=())
        self.local, self.model = function, model
        self._signature = Signature(function)

    def __repr__(self) -> str:
        return f"<{self.local.__name__}, deployed as {self.model!r}>"

    def _make(self, values: Sequence[Any], named: Mapping[str, Any]) -> Callable[[], Mapping[str, Any]]:
        return lambda: self._signature.inputs(values, named, self.model.inputs)

    def _finish(self, outputs: Sequence[Tensor], single: bool, given: Mapping[str, Any]) -> Any:
        return self._signature.result(outputs, lambda: self.model.finish(outputs, single, given))

    def __call__(self, *values: Any, **named: Any) -> Any:
        """Runs there; see Model.__call__."""
        return self.model.run(self._make(values, named), self._finish)

    async def aio(self, *values: Any, **named: Any) -> Any:
        """Runs there, without blocking the event loop; see Model.aio."""
        return await self.model.run_aio(self._make(values, named), self._finish)

    def stream(self, *values: Any, **named: Any) -> Iterator[Any]:
        """The parts of the answer of a generator; see Model.stream."""
        return self.model.run_stream(self._make(values, named)(), self._finish)

    def astream(self, *values: Any, **named: Any) -> AsyncIterator[Any]:
        """stream() without blocking the event loop."""
        return self.model.run_astream(self._make(values, named), self._finish)


def deploy(server: "Server", path: Union[str, Path], name: Optional[str] = None, *, version: Optional[int] = None,
           requirements: Requirements = None, wait: bool = True, timeout_s: Optional[float] = None,
           progress: Optional[Progress] = None) -> Model:
    """Pushes the model file or folder at a path; see Server.push."""
    if len(found := content.models_in(path)) > 1:
        raise DeployError(f"'{path}' holds {len(found)} models; push each of them: {', '.join(one.name for one in found)}")
    files = content.with_requirements(content.collect(found[0]), requirements)
    called = name or content.default_name(found[0])
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
    return Deployed(function, server.model(called, version))
