"""What loads a model."""
import os
import sys

from tensord.worker.model import Model, Source


def load(source: Source) -> Model:
    """Loads the model at source.path: by the format that the server has recognised, or as a function in a file of Python's."""
    if source.engine and source.engine != "python":  # imported for these alone: most models are code
        from pathlib import Path

        from tensord.formats import named

        form = named(source.engine)
        if form is not None:
            return form.load(Path(source.path), source)
    return load_code(source)


def load_code(source: Source) -> Model:
    """Loads a model that is written in Python."""
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
