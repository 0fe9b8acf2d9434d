"""Which model a path is, and what loads it."""
import os
import sys

from tensord.worker.model import Model, Source


def load(source: Source) -> Model:
    """Loads the model at source.path: by its format, or else as a function in a file of Python's."""
    if not is_plainly_code(source.path):
        from pathlib import Path

        from tensord.formats import find

        form = find(Path(source.path), source.engine)
        if form is not None:
            return form.load(Path(source.path), source)
    return load_code(source)


def is_plainly_code(path: str) -> bool:
    """At a glance, so that what formats need is not imported for most models."""
    if path.endswith(".py"):
        return True
    manifests = ("MLmodel", "model-settings.json")
    names = {name: os.path.isfile(os.path.join(path, name)) for name in ("model.py", *manifests)}
    return names["model.py"] and not any(names[name] for name in manifests)


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
