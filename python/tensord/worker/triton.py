"""Triton's Python models as they are: a class TritonPythonModel in model.py.

A thread takes what waits, as many requests at once as the config's max_batch_size has rows, and hands them to the model
as a list, as Triton does; tensors are never joined. Each instance of the config's instance_group is a worker of its own.
"""
import json
import os
import queue
import threading
from collections.abc import Sequence
from typing import Any

from tensord.worker.model import Source, TensorInfo
from tensord.worker.requests import of_task

_WAITING_REQUESTS = 64  # with the worker
# TritonError's codes in the channel's statuses.
_STATUSES = {3: 1, 4: 2, 5: 3, 7: 5}


class Failure(Exception):
    """What a response's error says, to the client as it is."""

    def __init__(self, error: Any) -> None:
        super().__init__(error.message())
        self.tensord_sentence = error.message()
        self.tensord_status = _STATUSES.get(error.code(), 4)


def outputs_of(response: Any) -> dict[str, Any]:
    """The outputs by name."""
    return {tensor.name(): tensor.as_numpy() for tensor in response.output_tensors()}


class TritonModel:
    """Serves an instance of a TritonPythonModel."""

    platform = "python"
    batching = "own"

    def __init__(self, model_class: type, source: Source) -> None:
        config = Config(source)
        complete = getattr(model_class, "auto_complete_config", None)
        if complete is not None:
            completed = complete(config)
            config = completed if isinstance(completed, Config) else config
        self.config, self.source = config.fields, source
        self.max_batch_size: int = max(0, self.config["max_batch_size"])
        self.inputs, self.outputs = self._tensors("input"), self._tensors("output")
        self.streams: bool = self.config["model_transaction_policy"]["decoupled"]
        self.concurrency = 1 if self.max_batch_size < 2 else _WAITING_REQUESTS
        self.waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.instance = self._instance(model_class)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _tensors(self, what: str) -> list[TensorInfo]:
        if not self.config[what]:
            raise ValueError(f"no {what}s are known: neither the config nor auto_complete_config declares any")
        rows = [-1] if self.max_batch_size > 0 else []
        return [
            TensorInfo(row["name"], row["data_type"].removeprefix("TYPE_").replace("STRING", "BYTES"),
                       rows + list(row["dims"]), bool(row.get("optional")))
            for row in self.config[what]
        ]

    def _instance(self, model_class: type) -> Any:
        made = model_class()
        folder = self.source.path if os.path.isdir(self.source.path) else os.path.dirname(self.source.path)
        versioned = os.path.basename(folder) == str(self.source.version)
        gpu = self.source.device.startswith("cuda")
        if hasattr(made, "initialize"):
            made.initialize({
                "model_config": json.dumps(self.config),
                "model_instance_kind": "GPU" if gpu else "CPU",
                "model_instance_name": f"{self.source.name}_0_0",
                "model_instance_device_id": self.source.device.partition(":")[2] or "0",
                "model_repository": os.path.dirname(folder) if versioned else folder,
                "model_version": str(self.source.version),
                "model_name": self.source.name,
            })
        return made

    # ---- requests ----

    def start(self, values: tuple[Any, ...], handle: Any) -> None:
        """Takes a request into the queue."""
        self.waiting.put(self._request(values, handle))

    def _request(self, values: tuple[Any, ...], handle: Any) -> Any:
        from tensord.worker.triton_utils import InferenceRequest, Tensor

        tensors = [Tensor(info.name, value) for info, value in zip(self.inputs, values) if value is not None]
        parameters = _typed(handle)
        correlation, flags = _sequence_of(parameters)
        request = InferenceRequest(self.source.name, [], tensors, handle.id, correlation, self.source.version, flags,
                                   parameters=parameters)
        request._handle = handle
        return request

    def _rows(self, request: Any) -> int:
        tensors = request.inputs()
        return tensors[0].as_numpy().shape[0] if self.max_batch_size and tensors else 1

    def _take(self, first: Any) -> tuple[list[Any], Any]:
        """Requests for one call, and one that did not fit any more."""
        requests, rows = [first], self._rows(first)
        while rows < self.max_batch_size:
            try:
                request = self.waiting.get_nowait()
            except queue.Empty:
                break
            if request is None or rows + self._rows(request) > self.max_batch_size:
                return requests, request or self.waiting.put(None)
            requests.append(request)
            rows += self._rows(request)
        return requests, None

    def _serve(self) -> None:
        left = None
        while (first := left or self.waiting.get()) is not None:
            requests, left = self._take(first)
            self._execute(requests)
            first = requests = None

    def _execute(self, requests: list[Any]) -> None:
        of_task.set(requests[0]._handle)
        try:
            responses = self.instance.execute(requests)
            if hasattr(responses, "__await__"):
                import asyncio

                responses = asyncio.run(_awaited(responses))
            if not self.streams or responses is not None:
                self._respond(requests, responses)
        except BaseException as error:
            for request in requests:
                request._handle.fail(error)
        finally:
            of_task.set(None)

    def _respond(self, requests: list[Any], responses: Sequence[Any] | None) -> None:
        if responses is None or len(responses) != len(requests):
            given = "none" if responses is None else len(responses)
            raise TypeError(f"execute must return a list of {len(requests)} responses, one for each request; it gave {given}")
        for request, response in zip(requests, responses):
            if response is None:  # it has a response sender
                continue
            try:
                if response.has_error():
                    raise Failure(response.error())
                request._handle.answer(outputs_of(response), True)
            except BaseException as error:
                request._handle.fail(error)

    def unload(self) -> None:
        """Ends the thread and finalizes the instance."""
        self.waiting.put(None)
        self.thread.join(5)
        if hasattr(self.instance, "finalize"):
            self.instance.finalize()


def _typed(handle: Any) -> dict[str, Any]:
    """A request's parameters, of the types that its client gave them."""
    literals, typed = handle.literals, dict(handle.parameters)
    for key in literals:
        try:
            typed[key] = json.loads(typed[key])
        except (KeyError, ValueError):  # of more digits than Python reads
            pass
    return typed


def _sequence_of(parameters: dict[str, Any]) -> tuple[Any, int]:
    """Takes out of a request's parameters which sequence it is of, and its flags."""
    starts, ends = (bool(parameters.pop(name, False)) for name in ("sequence_start", "sequence_end"))
    return parameters.pop("sequence_id", 0), starts | ends << 1


async def _awaited(responses: Any) -> Any:
    return await responses


class Config:
    """A model's config as auto_complete_config may fill it; fields are those of the JSON that initialize gets."""

    def __init__(self, source: Source) -> None:
        batched = source.max_batch_size > 0
        self.fields: dict[str, Any] = {
            "name": source.name, "platform": "", "backend": "python", "max_batch_size": max(0, source.max_batch_size),
            "input": [_row(info, batched) for info in source.inputs],
            "output": [_row(info, batched) for info in source.outputs],
            "instance_group": [{"name": f"{source.name}_0", "kind": "KIND_CPU", "count": 1}],
            "parameters": {key: {"string_value": value} for key, value in source.parameters.items()},
            "model_transaction_policy": {"decoupled": source.decoupled},
        }

    def as_dict(self) -> dict[str, Any]:
        """The config."""
        return self.fields

    def _add(self, what: str, row: dict[str, Any]) -> None:
        unknown = row.keys() - {"name", "data_type", "dims", "optional"}
        if unknown or not row.get("name") or "data_type" not in row or "dims" not in row:
            raise ValueError(f"auto_complete_config: an {what} has name, data_type and dims, not {sorted(row)}")
        if all(one["name"] != row["name"] for one in self.fields[what]):
            self.fields[what].append(dict(row, dims=list(row["dims"])))

    def add_input(self, row: dict[str, Any]) -> None:
        """Declares an input, unless the config has it."""
        self._add("input", row)

    def add_output(self, row: dict[str, Any]) -> None:
        """Declares an output, unless the config has it."""
        self._add("output", row)

    def set_max_batch_size(self, size: int) -> None:
        """Rows at most, unless the config says more."""
        self.fields["max_batch_size"] = max(self.fields["max_batch_size"], size)

    def set_dynamic_batching(self) -> None:
        """Requests are always taken together as far as they wait."""
        self.fields.setdefault("dynamic_batching", {})

    def set_model_transaction_policy(self, policy: dict[str, bool]) -> None:
        """Decoupled or not."""
        self.fields["model_transaction_policy"] = {"decoupled": bool(policy.get("decoupled"))}


def _row(info: TensorInfo, batched: bool) -> dict[str, Any]:
    kind = "STRING" if info.datatype == "BYTES" else info.datatype
    row: dict[str, Any] = {"name": info.name, "data_type": f"TYPE_{kind}", "dims": info.shape[1:] if batched else info.shape}
    return row | {"optional": True} if info.optional else row
