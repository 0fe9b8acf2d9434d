"""Boosted trees in their libraries' own files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tensord.formats.base import Format, Functions, begins
from tensord.worker.model import Model, Source, TensorInfo


class XGBoost(Format):
    """A Booster, as save_model writes it."""

    name = "xgboost"
    code = False
    endings = (".ubj", ".json")
    packages = ("xgboost-cpu",)

    def recognises(self, path: Path) -> bool:
        """Many things are JSON."""
        return path.suffix == ".ubj" or begins(path, b'{"learner"')

    def load(self, path: Path, source: Source) -> Model:
        """predict is Booster.predict's."""
        import numpy
        import xgboost

        booster = xgboost.Booster(model_file=str(self.file(path)))
        if source.threads:
            booster.set_param({"nthread": source.threads})
        count = booster.num_features()
        booster.feature_names = booster.feature_types = None  # arrays have no names

        def predict(rows: Any) -> Any:
            return booster.inplace_predict(rows)

        return Functions(self.name, [TensorInfo("input", "FP32", [-1, count])], {"predict": predict},
                         example=[numpy.zeros((1, count), numpy.float32)])


class LightGBM(Format):
    """A Booster, as save_model writes it."""

    name = "lightgbm"
    code = False
    endings = (".txt",)
    packages = ("lightgbm",)

    def recognises(self, path: Path) -> bool:
        """Many things are text."""
        return begins(path, b"tree\n")

    def load(self, path: Path, source: Source) -> Model:
        """predict is Booster.predict's."""
        import lightgbm
        import numpy

        booster = lightgbm.Booster(model_file=str(self.file(path)))
        count = booster.num_feature()
        options = {"num_threads": source.threads} if source.threads else {}

        def predict(rows: Any) -> Any:
            return booster.predict(rows, **options)

        return Functions(self.name, [TensorInfo("input", "FP64", [-1, count])], {"predict": predict},
                         example=[numpy.zeros((1, count))])


class CatBoost(Format):
    """A model in CatBoost's binary form: a classifier, when its loss is one of classes."""

    name = "catboost"
    code = False
    endings = (".cbm",)
    packages = ("catboost",)
    CLASSES = ("Logloss", "CrossEntropy", "MultiClass", "MultiClassOneVsAll")

    def load(self, path: Path, source: Source) -> Model:
        """predict, and of a classifier predict_proba."""
        import catboost
        import numpy

        file = str(self.file(path))
        model = catboost.CatBoost().load_model(file)
        loss = str((model.get_all_params() or {}).get("loss_function", "")).partition(":")[0]
        if loss in self.CLASSES:
            model = catboost.CatBoostClassifier().load_model(file)
        texts_at = {*model.get_cat_feature_indices(), *model.get_text_feature_indices()}
        names = model.feature_names_
        threads = source.threads or -1
        found = {name: getattr(model, name) for name in ("predict", "predict_proba") if hasattr(model, name)}
        if texts_at:
            from tensord.formats.estimators import over_columns

            inputs = [TensorInfo(n, "BYTES" if i in texts_at else "FP32", [-1]) for i, n in enumerate(names)]
            example: list[Any] = [
                numpy.array([b""], dtype=object) if i.datatype == "BYTES" else numpy.zeros(1, numpy.float32) for i in inputs
            ]
            over = {n: over_columns(lambda table, f=f: f(table, thread_count=threads), inputs) for n, f in found.items()}
            return Functions(self.name, inputs, over, example=example)
        over = {name: (lambda rows, f=f: f(rows, thread_count=threads)) for name, f in found.items()}
        return Functions(self.name, [TensorInfo("input", "FP32", [-1, len(names)])], over,
                         example=[numpy.zeros((1, len(names)), numpy.float32)])
