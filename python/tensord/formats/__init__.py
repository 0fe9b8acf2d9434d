"""Formats of models, each a class, in one table; src/repository/format.c recognises them by their files' names."""

from __future__ import annotations

from tensord.formats.base import Format
from tensord.formats.huggingface import SentenceTransformers, Transformers
from tensord.formats.mlflow import MLflow
from tensord.formats.mlserver import MLServer
from tensord.formats.pmml import PMML
from tensord.formats.pytorch import TorchExport, TorchScript
from tensord.formats.sklearn import Pickle, Skops
from tensord.formats.spacy import Spacy
from tensord.formats.tensorflow import Keras, SavedModel, TFLite
from tensord.formats.torchserve import Archive
from tensord.formats.trees import CatBoost, LightGBM, XGBoost

_SKLEARN, _XGBOOST, _LIGHTGBM, _CATBOOST, _MLFLOW = Pickle(), XGBoost(), LightGBM(), CatBoost(), MLflow()
_TRANSFORMERS = Transformers()

FORMATS: tuple[Format, ...] = (
    _MLFLOW,
    MLServer({
        "mlserver_sklearn": _SKLEARN, "mlserver_xgboost": _XGBOOST, "mlserver_lightgbm": _LIGHTGBM,
        "mlserver_catboost": _CATBOOST, "mlserver_mlflow": _MLFLOW, "mlserver_huggingface": _TRANSFORMERS,
    }),
    Archive(), SavedModel(), Spacy(), SentenceTransformers(), _TRANSFORMERS, _SKLEARN, Skops(), _XGBOOST, _LIGHTGBM,
    _CATBOOST, TorchScript(), TorchExport(), Keras(), TFLite(), PMML(),
)


def named(name: str | None) -> Format | None:
    """The format of that name; None when there is none: such a model is code."""
    return next((one for one in FORMATS if one.name == name), None)
