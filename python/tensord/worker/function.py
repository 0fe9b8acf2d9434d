"""A model that is a function."""
from types import FunctionType, ModuleType
from typing import Any

from tensord.worker.model import Source, TensorInfo


def find_target(module: ModuleType) -> Any:
    """The function that serves: the one that is marked, `predict`, or the only public one."""
    own = {n: v for n, v in vars(module).items() if getattr(v, "__module__", None) == module.__name__}
    marked = [v for v in own.values() if hasattr(v, "__tensord__")]
    if len(marked) == 1:
        return marked[0]
    if "predict" in own:
        return own["predict"]
    public = [v for n, v in own.items() if not n.startswith("_") and isinstance(v, FunctionType)]
    if len(public) != 1:
        raise TypeError(f"'{module.__name__}.py' has {len(public)} public functions and none is called predict")
    return public[0]


class FunctionModel:
    """Serves a function."""

    platform = "python"
    batching: bool | None = False
    max_batch_size = 0
    streams = False

    def __init__(self, module: ModuleType, source: Source) -> None:
        function = find_target(module)
        code = function.__code__
        names = code.co_varnames[: code.co_argcount]
        self.inputs = [TensorInfo(name, "FP32", [-1], any_rank=True) for name in names]
        self.outputs = [TensorInfo("output", "FP32", [-1], any_rank=True)]
        self.concurrency = source.concurrency
        self.call = function

    def execute(self, inputs: dict[str, Any], request: Any) -> dict[str, Any]:
        """The general way in."""
        return {"output": self.call(*(inputs.get(info.name) for info in self.inputs))}

    def unload(self) -> None:
        """Nothing is left behind."""
