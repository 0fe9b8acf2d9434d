"""Formats of models, each a class, in one table; src/repository/format.c has their files' names."""

from __future__ import annotations

from pathlib import Path

from tensord.formats.base import Format
from tensord.formats.sklearn import Pickle, Skops
from tensord.formats.trees import CatBoost, LightGBM, XGBoost

# What says what its folder is, whatever else lies there, even code.
MANIFESTS: tuple[Format, ...] = ()

FORMATS: tuple[Format, ...] = (*MANIFESTS, Pickle(), Skops(), XGBoost(), LightGBM(), CatBoost())


def find(path: Path, engine: str | None = None) -> Format | None:
    """The format of a model; None when it is code. engine: the name of one, as a config may say it."""
    if engine:
        return next((one for one in FORMATS if one.name == engine), None)
    if not path.exists():
        return None
    manifest = next((one for one in MANIFESTS if one.matches(path)), None)
    return manifest or (None if is_code(path) else next((one for one in FORMATS if one.matches(path)), None))


def is_code(path: Path) -> bool:
    """Whether a file of Python's is the model: a model's code has its data beside it."""
    if path.is_file():
        return path.suffix == ".py"
    names = [one.name for one in path.iterdir() if one.suffix == ".py"]
    if "model.py" in names:
        return True
    beside = ("setup.py", "conftest.py")
    code = any(not name.startswith(("_", ".", "test_")) and name not in beside for name in names)
    return code and not any(one.stem == "model" and one.suffix for one in path.iterdir() if one.is_file())
