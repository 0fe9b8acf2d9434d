"""Which model a path is, and what loads it."""
import os
import sys

from tensord.worker.model import Model, Source


def load(source: Source) -> Model:
    """Loads the model at source.path."""
    from tensord.worker.files import find_module, load_module
    from tensord.worker.function import FunctionModel

    path = find_module(source)
    folder = os.path.dirname(path)
    sys.path.insert(0, folder)
    sys.path.append(os.path.join(os.path.dirname(__file__), "shims"))  # modules that other servers provide
    module = load_module(path)
    if hasattr(module, "TritonPythonModel"):
        from tensord.worker.triton import TritonModel

        return TritonModel(module.TritonPythonModel, source)
    return FunctionModel(module, source)
