"""PMML, read by sklearn-pmml-model into estimators like scikit-learn's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tensord.formats.base import Format
from tensord.worker.model import Model, Source


class PMML(Format):
    """A model in PMML, of the kinds that sklearn-pmml-model knows."""

    name = "pmml"
    code = False
    endings = (".pmml",)
    packages = ("sklearn-pmml-model", "pandas")

    def load(self, path: Path, source: Source) -> Model:
        """predict, and of a classifier predict_proba, over the fields of the data dictionary but the target."""
        from sklearn_pmml_model.auto_detect import auto_detect_estimator

        from tensord.formats.estimators import serve, serve_columns

        model = auto_detect_estimator(pmml=str(self.file(path)))
        fields = {name: field for name, field in model.fields.items() if field.tag.rpartition("}")[2] == "DataField"}
        names = [name for name, field in fields.items() if field is not model.target_field]
        found = {name: _text(model, name) for name in names if model.fields[name].get("dataType") == "string"}
        if found:
            return serve_columns(self.name, model, names, found)
        if not hasattr(model, "n_features_in_"):
            model.n_features_in_ = len(names)
        return serve(self.name, model)


def _text(model: Any, name: str) -> str:
    """One of the values that the field may have."""
    value = model.find(model.fields[name], "Value")
    return "" if value is None else str(value.get("value"))
