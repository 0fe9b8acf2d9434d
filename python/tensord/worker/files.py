"""The file of a model in Python, and importing it."""
import os
import sys
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType

from tensord.worker.model import Source

_BESIDE = ("setup.py", "conftest.py")  # and test_….py, _….py: what accompanies code


def find_module(source: Source) -> str:
    """The path of the model's file: itself, model.py in its folder, or the only one that could be meant."""
    if not os.path.isdir(source.path):
        return source.path
    names = [n for n in sorted(os.listdir(source.path)) if n.endswith(".py") and not n.startswith(("_", ".", "test_"))]
    names = [n for n in names if n not in _BESIDE]
    if "model.py" in names:
        names = ["model.py"]
    if len(names) != 1:
        found = ", ".join(names) or "none"
        raise FileNotFoundError(f"the model's folder has no model.py, and not one other file of Python's (found: {found})")
    return os.path.join(source.path, names[0])


def load_module(path: str) -> ModuleType:
    """Imports the file under its own name, so that pickles of its classes find them."""
    name = os.path.splitext(os.path.basename(path))[0]
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"'{os.path.basename(path)}' is no file of Python's")
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
