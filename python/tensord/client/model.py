"""A model on a server, called like a function."""
from __future__ import annotations

import json
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, AsyncIterator, Callable, Iterator, Mapping, Optional, Sequence, Union

from tensord.client import arrays, wire
from tensord.client.address import segment
from tensord.client.datatypes import Tensor, TensorInfo
from tensord.client.sequence import RequestSequence
from tensord.client.transport import Cancel, Response, error_text
from tensord.errors import Error, InvalidInput, ModelError, ModelNotFound, ModelUnavailable, TimedOut

if TYPE_CHECKING:
    from tensord.client.server import Server

_EXPIRED = "Request timeout expired"
_NO_ROUTE = "Not Found"  # of a path that the server does not know; a model that it does not know has a longer sentence

Finish = Callable[[Sequence[Tensor], bool, Mapping[str, Any]], Any]


@dataclass(frozen=True)
class Metadata:
    """What a model takes and gives."""

    platform: str
    versions: tuple
    inputs: tuple
    outputs: tuple


@dataclass(frozen=True)
class CallOptions:
    """How a model is called.

    returns: the kind of the answers: "numpy", "torch", "pandas" or "list"; None: that of the inputs.
    timeout_s: for an answer, waiting included; the server gives up then, too. None: the server's connection's.
    parameters: the protocol's request parameters, such as priority.
    """

    returns: Optional[str] = None
    timeout_s: Optional[float] = None
    parameters: Optional[Mapping[str, Any]] = None


class Model:
    """A model on a server; `server.model(NAME)` makes one. May be used by any number of threads.

    Calling it takes one value for a model with one input, or keywords by the inputs' names: numpy arrays, pandas tables,
    torch tensors, PIL images, lists, plain values. A single row is taken for a batch of one. The answer is one value when
    the model has one output, else a dict by the outputs' names; its kind is that of the inputs.
    """

    def __init__(self, server: "Server", name: str, version: Optional[int] = None,
                 options: CallOptions = CallOptions()) -> None:
        if options.returns not in (None, *arrays.KINDS):
            raise ValueError(f"returns={options.returns!r} is none of {', '.join(arrays.KINDS)}")
        self.server, self.name, self.version, self.options = server, name, version, options
        self._metadata: Optional[Metadata] = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        version = f", version={self.version}" if self.version is not None else ""
        return f"<tensord model {self.name!r}{version} at {self.server.url}>"

    def __reduce__(self) -> Any:
        raise TypeError("a tensord.Model holds connections and cannot be pickled; make one with connect().model() there")

    def with_options(self, **options: Any) -> "Model":
        """The same model, called with other options: returns, timeout_s, parameters (see CallOptions)."""
        other = Model(self.server, self.name, self.version, replace(self.options, **options))
        other._metadata = self._metadata
        return other

    def sequence(self, name: Union[int, str, None] = None) -> RequestSequence:
        """Requests that belong together, of a model that remembers: call what this returns, and end with its `last`. The
        name, a number above 0 or a text, is made up if there is none."""
        return RequestSequence(self, name)

    # ---- what it is ----

    @property
    def path(self) -> str:
        """The path of the model's address."""
        version = f"/versions/{self.version}" if self.version is not None else ""
        return f"/v2/models/{segment(self.name)}{version}"

    @property
    def server_url(self) -> Optional[str]:
        """Of a managed server (`server:` in its model.yaml): the URL beneath which its paths are, as base_url for its own
        clients, with the server's token as their key. None for other models."""
        managed = self.metadata.platform == "server"
        return f"{self.server.url}/tensord/v1/servers/{segment(self.name)}" if managed else None

    @property
    def metadata(self) -> Metadata:
        """What it takes and gives; asked once, and again when the model has changed."""
        with self._lock:
            if self._metadata is None:
                self._metadata = self._ask_metadata()
            return self._metadata

    def _ask_metadata(self) -> Metadata:
        response = self.server.transport.request("GET", self.path, repeatable=True, timeout_s=self._timeout_s())
        self._check(response)
        described = json.loads(response.read())
        return Metadata(described.get("platform", ""), tuple(described.get("versions", ())),
                        tuple(wire.read_infos(described["inputs"])), tuple(wire.read_infos(described["outputs"])))

    @property
    def inputs(self) -> Sequence[TensorInfo]:
        """Its inputs: name, datatype, shape."""
        return self.metadata.inputs

    @property
    def outputs(self) -> Sequence[TensorInfo]:
        """Its outputs: name, datatype, shape."""
        return self.metadata.outputs

    def is_ready(self) -> bool:
        """Can it be called now?"""
        response = self.server.transport.request("GET", self.path + "/ready", repeatable=True, timeout_s=self._timeout_s())
        response.read()
        return response.status == 200

    # ---- calling it ----

    def __call__(self, *values: Any, **named: Any) -> Any:
        """The answer; an exception of tensord.Error that names the model when there is none."""
        return self.run(lambda: self._inputs(values, named), self.finish)

    async def aio(self, *values: Any, **named: Any) -> Any:
        """The same without blocking the event loop. Cancelling the task cancels the request at the server."""
        return await self.run_aio(lambda: self._inputs(values, named), self.finish)

    def stream(self, *values: Any, **named: Any) -> Iterator[Any]:
        """The parts of the answer, as the model gives them, of any datatype. Leaving the loop ends the request at the server.

        Goes over the server's …/infer_stream; a server that has none is refused with a clear error.
        """
        return self.run_stream(self._inputs(values, named), self.finish)

    def astream(self, *values: Any, **named: Any) -> AsyncIterator[Any]:
        """stream() without blocking the event loop. Cancelling the task cancels the request at the server."""
        return self.run_astream(lambda: self._inputs(values, named), self.finish)

    # What follows are the same calls for whoever makes inputs and results by rules of their own: `make` gives the inputs by
    # name, `finish` makes the result of the outputs, these inputs, and whether they were single rows or values.

    def run(self, make: Callable[[], Mapping[str, Any]], finish: Finish, cancel: Optional[Cancel] = None) -> Any:
        """A call."""
        try:
            given = make()
            return finish(*self.infer(given, cancel), given)
        except InvalidInput:
            # The model may have been replaced by one that takes other inputs since its metadata was asked.
            known, self._metadata = self._metadata, None
            if known is None or self.metadata == known:
                raise
        given = make()
        return finish(*self.infer(given, cancel), given)

    async def run_aio(self, make: Callable[[], Mapping[str, Any]], finish: Finish) -> Any:
        """A call that does not block."""
        import asyncio

        cancel = Cancel()
        try:
            return await asyncio.get_running_loop().run_in_executor(self.server.executor, self.run, make, finish, cancel)
        except asyncio.CancelledError:
            cancel.cancel()
            raise

    def run_stream(self, given: Mapping[str, Any], finish: Finish, cancel: Optional[Cancel] = None) -> Iterator[Any]:
        """A call with several answers."""
        tensors, single = self._encode(given)
        fields, body = wire.encode_request(tensors, self._parameters())
        response = self.server.transport.request(
            "POST", self.path + "/infer_stream", headers=fields, body=body, timeout_s=self._timeout_s(), cancel=cancel)
        if response.status == 200:
            return self._parts(response, lambda outputs: finish(outputs, single, given))
        sentence = error_text(response)
        if response.status == 404 and sentence == _NO_ROUTE:
            raise Error(f"the server at {self.server.url} cannot stream answers yet; call the model instead")
        raise self._error(response.status, sentence)

    async def run_astream(self, make: Callable[[], Mapping[str, Any]], finish: Finish) -> AsyncIterator[Any]:
        """A stream that does not block."""
        import asyncio

        loop, executor = asyncio.get_running_loop(), self.server.executor
        cancel, end = Cancel(), object()
        parts: Any = None
        try:
            parts = await loop.run_in_executor(executor, lambda: self.run_stream(make(), finish, cancel))
            while (part := await loop.run_in_executor(executor, next, parts, end)) is not end:
                yield part
        except asyncio.CancelledError:
            cancel.cancel()  # a thread may still wait for the next part, and then ends
            raise
        finally:
            if parts is not None and not cancel.cancelled:
                parts.close()

    def _parts(self, response: Response, finish: Callable[[list[Tensor]], Any]) -> Iterator[Any]:
        try:
            for outputs in wire.decode_answers(response.pieces()):
                yield finish(outputs)
        except wire.StreamError as error:
            raise self._error(500, str(error)) from None
        finally:
            response.close()

    def infer(self, given: Mapping[str, Any], cancel: Optional[Cancel] = None) -> tuple[list[Tensor], bool]:
        """The outputs as tensors, for inputs by name; and whether all of these were single rows or values."""
        tensors, single = self._encode(given)
        fields, body = wire.encode_request(tensors, self._parameters())
        try:
            response = self.server.transport.request(
                "POST", self.path + "/infer", headers=fields, body=body, timeout_s=self._timeout_s(), cancel=cancel)
            self._check(response)
            length = response.header(wire.HEAD_LENGTH)
            return wire.decode_answer(response.read(), length), single
        except TimedOut:
            raise TimedOut(f"model '{self.name}': the answer did not come in time") from None

    def _timeout_s(self) -> Optional[float]:
        return self.options.timeout_s if self.options.timeout_s is not None else self.server.timeout_s

    def _parameters(self) -> dict[str, Any]:
        parameters, timeout_s = dict(self.options.parameters or {}), self._timeout_s()
        if timeout_s is not None:
            parameters.setdefault("timeout", max(1, int(timeout_s * 1e6)))  # in µs
        return parameters

    def _inputs(self, values: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Any]:
        """The inputs by name."""
        infos = self.inputs
        given = dict(named)
        if len(values) == 1 and not named and len(infos) > 1 and isinstance(values[0], Mapping):
            given = dict(values[0])
        elif len(values) == 1 and not named and len(infos) > 1 and (columns := arrays.column_inputs(values[0], infos)):
            given = columns
        elif len(values) > 1 or (values and len(infos) > 1):
            names = ", ".join(f"{info.name}=…" for info in infos)
            raise InvalidInput(self.name, f"it has {len(infos)} inputs; name them: {names}")
        elif values:
            if named:
                raise InvalidInput(self.name, "give its one input as a value or by its name, not both")
            given = {infos[0].name: values[0]} if infos else {}
        known = {info.name for info in infos}
        if unknown := [name for name in given if name not in known]:
            takes = "; ".join(map(str, infos)) or "nothing"
            raise InvalidInput(self.name, f"it has no input '{unknown[0]}'; it takes {takes}")
        return given

    def _encode(self, given: Mapping[str, Any]) -> tuple[list[Tensor], bool]:
        """The inputs as tensors, and whether each was a single row."""
        tensors, rows = [], []
        for info in self.inputs:
            if info.name not in given:
                continue  # one that may be left out; the server knows
            try:
                tensor, added = arrays.encode(given[info.name], info)
            except (TypeError, ValueError) as error:
                raise InvalidInput(self.name, f"input '{info.name}': {error}") from error
            tensors.append(tensor)
            rows.append(added)
        return tensors, bool(rows) and all(rows)

    def finish(self, outputs: Sequence[Tensor], single: bool, given: Mapping[str, Any]) -> Any:
        """The outputs as values of the inputs' kind, or of the chosen one."""
        kind = self.options.returns or arrays.result_kind(list(given.values()))
        like = next((value for value in given.values() if arrays.kind_of(value) == "pandas"), None)
        infos = {info.name: info for info in self.outputs}
        values = {}
        for output in outputs:
            info = infos.get(output.name)
            is_row = single and info is not None and (tuple(info.shape[:1]) == (-1,) or tuple(info.shape) == (1,))
            values[output.name] = arrays.decode(output, kind, like, is_row)
        return next(iter(values.values())) if len(values) == 1 else values

    # ---- errors ----

    def _check(self, response: Response) -> None:
        if response.status != 200:
            raise self._error(response.status, error_text(response))

    def _error(self, status: int, sentence: str) -> Error:
        if sentence.startswith(_EXPIRED):
            return TimedOut(f"model '{self.name}': {sentence}")
        if status == 404:
            return ModelNotFound(self.name, sentence, status)
        if status in (400, 413, 422):
            return InvalidInput(self.name, sentence, status)
        if status in (429, 503):
            return ModelUnavailable(self.name, sentence, status)
        return ModelError(self.name, sentence, status)
