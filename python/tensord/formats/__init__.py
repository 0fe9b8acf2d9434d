"""Formats of models, each a class, in one table; src/repository/format.c has their files' names."""

from __future__ import annotations

from pathlib import Path

from tensord.formats.base import Format
from tensord.formats.huggingface import SentenceTransformers, Transformers
from tensord.formats.mlflow import MLflow
from tensord.formats.mlserver import MLServer
from tensord.formats.pytorch import TorchExport, TorchScript
from tensord.formats.sklearn import Pickle, Skops
from tensord.formats.spacy import Spacy
from tensord.formats.tensorflow import Keras, SavedModel, TFLite
from tensord.formats.torchserve import Archive
from tensord.formats.trees import CatBoost, LightGBM, XGBoost

_SKLEARN, _XGBOOST, _LIGHTGBM, _CATBOOST, _MLFLOW = Pickle(), XGBoost(), LightGBM(), CatBoost(), MLflow()

# What says what its folder is, whatever else lies there, even code.
MANIFESTS: tuple[Format, ...] = (_MLFLOW, MLServer({
    "mlserver_sklearn": _SKLEARN, "mlserver_xgboost": _XGBOOST, "mlserver_lightgbm": _LIGHTGBM,
    "mlserver_catboost": _CATBOOST, "mlserver_mlflow": _MLFLOW, "mlserver_huggingface": Transformers(),
}))

FORMATS: tuple[Format, ...] = (
    *MANIFESTS, Archive(), SavedModel(), Spacy(), SentenceTransformers(), Transformers(), _SKLEARN, Skops(), _XGBOOST,
    _LIGHTGBM, _CATBOOST, TorchScript(), TorchExport(), Keras(), TFLite(),
)


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
