"""PyTorch's own files: TorchScript and torch.export."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tensord.formats.base import Format
from tensord.worker.model import Model, Source, TensorInfo

_DATATYPES = {
    "bool": "BOOL", "uint8": "UINT8", "int8": "INT8", "int16": "INT16", "int32": "INT32", "int64": "INT64",
    "float16": "FP16", "bfloat16": "BF16", "float32": "FP32", "float64": "FP64",
}


class Module:
    """A module of torch's over its inputs in their order; its outputs are a tensor, a tuple or a dict."""

    max_batch_size = 0
    concurrency = 1
    streams = False

    def __init__(self, platform: str, module: Any, inputs: list[TensorInfo], outputs: list[TensorInfo],
                 batching: bool | None, threads: int) -> None:
        import torch

        self.platform, self.module, self.inputs, self.outputs, self.batching = platform, module, inputs, outputs, batching
        if threads:
            torch.set_num_threads(threads)

    def call(self, *values: Any) -> Any:
        """The outputs, in their order."""
        import torch

        given = [_tensor(value, info) for value, info in zip(values, self.inputs) if value is not None]
        with torch.inference_mode():
            made = self.module(*given)
        if isinstance(made, dict):
            made = [made[info.name] if info.name in made else list(made.values())[i] for i, info in enumerate(self.outputs)]
        return tuple(made) if isinstance(made, (tuple, list)) and len(self.outputs) != 1 else _only(made)

    def execute(self, inputs: dict[str, Any], request: Any) -> dict[str, Any]:
        """The outputs by name."""
        made = self.call(*(inputs.get(info.name) for info in self.inputs))
        values = made if isinstance(made, tuple) else (made,)
        return {info.name: value for info, value in zip(self.outputs, values)}

    def unload(self) -> None:
        """Nothing is left to do."""


def _only(made: Any) -> Any:
    return made[0] if isinstance(made, (tuple, list)) else made


def _tensor(value: Any, info: TensorInfo) -> Any:
    """A tensor over the array; over a copy of one that may not be written to, as torch has no such tensors."""
    import torch

    if info.datatype == "BF16":
        return torch.from_numpy(value.view("int16").copy()).view(torch.bfloat16)
    return torch.from_numpy(value if value.flags.writeable else value.copy())


class TorchScript(Format):
    """A scripted or traced module. It does not say the tensors' types and shapes: a config may."""

    name = "pytorch"
    endings = (".pt", ".pth")
    packages = ("torch", "numpy")

    def recognises(self, path: Path) -> bool:
        """A state_dict has such endings, too, and is no model without its code."""
        try:
            with zipfile.ZipFile(path) as archive:
                return any(name.endswith("/constants.pkl") for name in archive.namelist())
        except (zipfile.BadZipFile, OSError):
            return False

    def file(self, path: Path) -> Path:
        """Says what is missing."""
        found = self.find(path)
        if found is None:
            raise ValueError("it is no TorchScript: a file of weights alone takes a model.py beside it that makes the module")
        return found

    def load(self, path: Path, source: Source) -> Model:
        """Inputs are named as forward's arguments."""
        import torch

        module = torch.jit.load(str(self.file(path)), map_location="cpu").eval()
        schema = module.forward.schema
        names = [argument.name for argument in schema.arguments[1:]]
        inputs = source.inputs or [TensorInfo(name, "FP32", [-1], any_rank=True) for name in names]
        returned = str(schema.returns[0].type) if schema.returns else "Tensor"
        count = returned.count("Tensor") if returned.startswith(("Tuple", "(")) else 1
        outputs = source.outputs or [
            TensorInfo(name, "FP32", [-1], any_rank=True)
            for name in (["output"] if count == 1 else [f"output{i}" for i in range(count)])
        ]
        return Module(self.name, module, inputs, outputs, None if source.inputs else False, source.threads)


class TorchExport(Format):
    """An exported program, which says all of its tensors."""

    name = "torch_export"
    endings = (".pt2",)
    packages = ("torch", "numpy")

    def load(self, path: Path, source: Source) -> Model:
        """Inputs and outputs are described as they were exported."""
        import torch

        program = torch.export.load(str(self.file(path)))
        values = {node.name: node.meta.get("val") for node in program.graph.nodes}
        signature = program.graph_signature
        inputs = [_info(name, values[name]) for name in signature.user_inputs]
        made = list(signature.user_outputs)
        names = ["output"] if len(made) == 1 else [f"output{i}" for i in range(len(made))]
        outputs = [_info(name, values[node]) for name, node in zip(names, made)]
        rows = all(info.shape[:1] == [-1] for info in inputs + outputs)
        return Module(self.name, program.module(), inputs, outputs, None if rows else False, source.threads)


def _info(name: str, value: Any) -> TensorInfo:
    shape: Sequence[Any] = value.shape
    return TensorInfo(name, _DATATYPES[str(value.dtype).removeprefix("torch.")], [s if isinstance(s, int) else -1 for s in shape])

