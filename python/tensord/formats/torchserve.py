"""TorchServe's archives (.mar), with the handlers that they bring."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from tensord.formats.base import Format
from tensord.worker.model import Model, Source, TensorInfo

MANIFEST = "MAR-INF/MANIFEST.json"
MAX_BYTES = 64 << 30  # unpacked


class Archive(Format):
    """An archive whose handler is a file of its own, or one of TorchServe's by name."""

    name = "torchserve"
    endings = (".mar",)
    BUILT_IN = ("image_classifier", "image_segmenter", "object_detector", "text_classifier", "base_handler")

    def manifest(self, archive: zipfile.ZipFile) -> dict[str, Any]:
        """The archive's own description."""
        return dict(json.loads(archive.read(MANIFEST)))

    def requirements(self, path: Path) -> list[str]:
        """torch, TorchServe when its handlers are used, and the archive's own requirements."""
        with zipfile.ZipFile(self.file(path)) as archive:
            model = self.manifest(archive).get("model", {})
            handler = str(model.get("handler", "")).partition(":")[0]
            names = set(archive.namelist())
            source = b"".join(archive.read(name) for name in names if name.endswith(".py"))
            lines = ["torch", "numpy"]
            if handler in self.BUILT_IN or b"ts.torch_handler" in source:
                lines += ["torchserve", "torchvision", "captum", "pyyaml", "packaging", "pillow"]
            extra = str(model.get("requirementsFile", ""))
            if extra in names:
                lines += [line.partition("#")[0].strip() for line in archive.read(extra).decode().splitlines()]
        return [line for line in lines if line]

    def load(self, path: Path, source: Source) -> Model:
        """Unpacks the archive and sets the handler up."""
        folder = Path(tempfile.mkdtemp(prefix="mar-"))
        with zipfile.ZipFile(self.file(path)) as archive:
            manifest = self.manifest(archive)
            unpack(archive, folder)
        return Handled(self.name, Context(manifest, folder, source), folder)


def unpack(archive: zipfile.ZipFile, folder: Path) -> None:
    """Unpacks within the folder."""
    total = 0
    for entry in archive.infolist():
        target = (folder / entry.filename).resolve()
        total += entry.file_size
        if not target.is_relative_to(folder.resolve()) or total > MAX_BYTES:
            raise ValueError(f"the archive's entry '{entry.filename}' leads out of it, or is too large")
        archive.extract(entry, folder)


class Context:
    """What handlers are told, under the names that they know it by."""

    def __init__(self, manifest: dict[str, Any], folder: Path, source: Source) -> None:
        self.manifest, self.model_name = manifest, source.name
        self.system_properties = {
            "model_dir": str(folder), "gpu_id": None, "batch_size": max(1, source.max_batch_size),
            "server_name": "tensord", "server_version": "",
        }
        self.model_yaml_config: dict[str, Any] = {}
        self.metrics = Metrics()
        self._request_ids: dict[int, str] = {}
        self.explain = False

    def get_request_id(self, index: int = 0) -> str:
        """The number of the request in a call."""
        return self._request_ids.get(index, str(index))

    def get_request_header(self, index: int, name: str) -> None:
        """None: requests have no headers here."""

    def set_response_content_type(self, index: int, value: str) -> None:
        """Answers are tensors."""

    set_response_status = set_response_header = set_response_content_type


class Metrics:
    """Takes a handler's own metrics, and drops them."""

    def __getattr__(self, name: str) -> Any:
        return lambda *values, **named: self


class Handled:
    """A handler: a class with initialize and handle, or a function handle(data, context)."""

    inputs = [TensorInfo("data", "BYTES", [-1])]
    outputs = [TensorInfo("output", "BYTES", [-1])]
    batching = True  # a handler takes a list of requests
    max_batch_size = 0
    concurrency = 1
    streams = False

    def __init__(self, platform: str, context: Context, folder: Path) -> None:
        self.platform, self.context = platform, context
        sys.path.insert(0, str(folder))
        os.chdir(folder)
        named, _, function = str(context.manifest["model"]["handler"]).partition(":")
        module_name = named.removesuffix(".py")
        is_own = (folder / f"{module_name}.py").is_file()
        module = importlib.import_module(module_name if is_own else f"ts.torch_handler.{module_name}")
        self.handle = self._handle(module, function)

    def _handle(self, module: Any, function: str) -> Any:
        """What is called for each list of requests, set up."""
        if function or hasattr(module, "handle"):
            called = getattr(module, function or "handle")
            called(None, self.context)  # by which TorchServe sets it up
            return called
        classes = [one for _, one in inspect.getmembers(module, inspect.isclass)
                   if one.__module__ == module.__name__ and hasattr(one, "handle")]
        if len(classes) != 1:
            raise TypeError(f"the handler has no function handle, and not one class that has it (found: {len(classes)})")
        handler = classes[0]()
        if hasattr(handler, "initialize"):
            handler.initialize(self.context)
        return handler.handle

    def call(self, data: Any) -> Any:
        """A response for each element."""
        import numpy

        requests = [{"data": one, "body": one} for one in data.ravel().tolist()]
        responses = self.handle(requests, self.context)
        if not isinstance(responses, (list, tuple)) or len(responses) != len(requests):
            raise TypeError(f"the handler must give a list of {len(requests)} responses")
        made = numpy.empty(len(responses), dtype=object)
        made[:] = [_bytes(one) for one in responses]
        return made

    def execute(self, inputs: dict[str, Any], request: Any) -> dict[str, Any]:
        """The outputs by name."""
        return {"output": self.call(inputs["data"])}

    def unload(self) -> None:
        """The scratch folder goes with the worker."""


def _bytes(value: Any) -> bytes:
    """A response as TorchServe sends it: bytes and text as they are, other values as JSON."""
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()
