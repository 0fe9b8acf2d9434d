"""PyTorch's own files: TorchScript and torch.export."""

from __future__ import annotations

import importlib
import inspect
import json
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
    """A scripted or traced module, or the weights (a state_dict) of a module that the config names.

    Neither says the tensors' types and shapes: a config may.
    """

    name = "pytorch"
    endings = (".pt", ".pth")
    packages = ("torch", "numpy")

    def load(self, path: Path, source: Source) -> Model:
        """Inputs are named as forward's arguments."""
        import torch

        file = self.file(path)
        if not _is_script(file):
            return load_weights(self.name, file, source)
        module = torch.jit.load(str(file), map_location="cpu").eval()
        schema = module.forward.schema
        returned = str(schema.returns[0].type) if schema.returns else "Tensor"
        count = returned.count("Tensor") if returned.startswith(("Tuple", "(")) else 1
        return _undescribed(self.name, module, [argument.name for argument in schema.arguments[1:]], count, source)


def _is_script(file: Path) -> bool:
    """A state_dict has the same endings, and no code in it."""
    try:
        with zipfile.ZipFile(file) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False


def _undescribed(platform: str, module: Any, names: list[str], count: int, source: Source) -> Module:
    """The module with these arguments and so many outputs, of any shape unless the config says more."""
    inputs = source.inputs or [TensorInfo(name, "FP32", [-1], any_rank=True) for name in names]
    outputs = source.outputs or [
        TensorInfo(name, "FP32", [-1], any_rank=True)
        for name in (["output"] if count == 1 else [f"output{i}" for i in range(count)])
    ]
    return Module(platform, module, inputs, outputs, None if source.inputs else False, source.threads)


def load_weights(platform: str, file: Path, source: Source) -> Module:
    """The module that the config's parameters name, `module` (its class) and `arguments` (JSON), with these weights."""
    import torch

    named = source.parameters.get("module", "")
    package, _, name = named.rpartition(".")
    if not package:
        raise ValueError("it holds weights alone: a model.py beside them makes the module and loads them, or the config's "
                         "parameter `module` names its class (torch.nn.Linear)")
    made = getattr(importlib.import_module(package), name, None)
    if not (isinstance(made, type) and issubclass(made, torch.nn.Module)):
        raise TypeError(f"the config's parameter `module`: {named} is no class of torch.nn.Module's")
    module = made(**json.loads(source.parameters.get("arguments") or "{}"))
    if file.suffix == ".safetensors":
        from safetensors.torch import load_file

        module.load_state_dict(load_file(file))
    else:
        module.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    names = list(inspect.signature(module.forward).parameters)
    return _undescribed(platform, module.eval(), names, 1, source)


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

