"""Formats through the wire, compared with what their frameworks say when they are called directly."""
import json
import re


import pytest
from support import frameworks
from support.frameworks import assert_same
from support.python_models import ask, needs_python, tensor
from tensord.formats import FORMATS
from test_environments import environments

pytestmark = needs_python
QUICK = [frameworks.TESTED[name] for name in ("sklearn", "skops", "xgboost", "lightgbm")]

# Saves each model into a folder; says what each answers.
SCRIPT = """
    import json, sys, pickle, joblib, numpy as np, pandas as pd
    from pathlib import Path
    folder = Path(sys.argv[1])
    rng = np.random.default_rng(7)
    x = rng.normal(size=(60, 4)); y = (x[:, 0] + x[:, 1] > 0).astype(int)
    rows = x[:5]
    answers = {"rows": rows.tolist()}

    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.preprocessing import StandardScaler, OneHotEncoder
    from sklearn.pipeline import make_pipeline
    from sklearn.compose import make_column_transformer
    from sklearn.feature_extraction.text import TfidfVectorizer

    def remember(name, model, *given):
        answers[name] = {m: getattr(model, m)(*given).tolist() for m in ("predict", "predict_proba") if hasattr(model, m)}

    forest = RandomForestClassifier(10, random_state=1).fit(x, np.array(["no", "yes"])[y])
    joblib.dump(forest, folder / "forest.joblib", compress=3)
    remember("forest", forest, rows)

    (folder / "line").mkdir()
    line = make_pipeline(StandardScaler(), LinearRegression()).fit(x, x @ [1, 2, 3, 4])
    (folder / "line" / "model.pkl").write_bytes(pickle.dumps(line))
    remember("line", line, rows)

    (folder / "scale.pickle").write_bytes(pickle.dumps(StandardScaler().fit(x), protocol=2))
    answers["scale"] = {"transform": StandardScaler().fit_transform(x).tolist()[:0] or StandardScaler().fit(x).transform(rows).tolist()}

    table = pd.DataFrame({"size": x[:, 0], "city": np.array(["Rom", "Bonn"])[y]})
    mixed = make_pipeline(make_column_transformer((OneHotEncoder(), ["city"]), remainder="passthrough"), LogisticRegression()).fit(table, y)
    joblib.dump(mixed, folder / "mixed.joblib")
    remember("mixed", mixed, table[:5])
    answers["table"] = {"size": table["size"][:5].tolist(), "city": table["city"][:5].tolist()}

    words = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(["good film", "bad film", "good", "bad"], [1, 0, 1, 0])
    joblib.dump(words, folder / "words.joblib")
    remember("words", words, ["a good one", "bad"])

    import skops.io
    logistic = LogisticRegression().fit(x, y)
    skops.io.dump(logistic, folder / "logistic.skops")
    remember("logistic", logistic, rows)

    import xgboost
    trees = xgboost.train({"objective": "binary:logistic", "max_depth": 3}, xgboost.DMatrix(x, y), 8)
    trees.save_model(folder / "xgb.ubj")
    trees.save_model(folder / "xgbjson.json")
    answers["xgb"] = answers["xgbjson"] = {"predict": trees.predict(xgboost.DMatrix(rows)).tolist()}
    many = xgboost.XGBClassifier(n_estimators=4).fit(pd.DataFrame(x, columns=list("abcd")), (y + (x[:, 2] > 0)))
    many.save_model(folder / "xgbmany.ubj")
    answers["xgbmany"] = {"predict": many.predict_proba(pd.DataFrame(rows, columns=list("abcd"))).tolist()}

    import lightgbm
    light = lightgbm.train({"objective": "binary", "verbose": -1, "min_data_in_leaf": 2}, lightgbm.Dataset(x, y), 8)
    light.save_model(folder / "light.txt")
    answers["light"] = {"predict": light.predict(rows).tolist()}
    (folder / "notes.txt").write_text("no model")
    (folder / "notes.json").write_text("{}")
    print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def python():
    return frameworks.environment(*QUICK, "pandas==3.1.1")


@pytest.fixture(scope="module")
def made(python, tmp_path_factory):
    """(the folder of models, what their frameworks say)."""
    folder = tmp_path_factory.mktemp("formats")
    return folder, frameworks.run(python, SCRIPT, folder)


@pytest.fixture(scope="module")
def served(made, python, tmp_path_factory):
    from support.server import Server

    started = Server(made[0], "--python", python, state=tmp_path_factory.mktemp("state"))
    yield started
    started.stop()


@pytest.mark.parametrize("model, datatype", [
    ("forest", "FP64"), ("line", "FP64"), ("scale", "FP64"), ("logistic", "FP64"), ("xgb", "FP32"), ("xgbjson", "FP32"),
    ("xgbmany", "FP32"), ("light", "FP64"),
])
def test_answers_as_the_framework(served, made, model, datatype):
    served.wait_ready(model, timeout_s=120)
    rows = made[1]["rows"]
    status, outputs = ask(served, model, tensor("input", datatype, [5, 4], rows))
    assert status == 200, outputs
    assert_same(outputs, made[1][model])


def test_columns_of_text_are_inputs_of_their_own(served, made):
    served.wait_ready("mixed", timeout_s=120)
    table = made[1]["table"]
    size, city = tensor("size", "FP64", [5], table["size"]), tensor("city", "BYTES", [5], table["city"])
    status, outputs = ask(served, "mixed", size, city)
    assert status == 200, outputs
    assert_same(outputs, made[1]["mixed"])


def test_documents_are_text(served, made):
    served.wait_ready("words", timeout_s=120)
    status, outputs = ask(served, "words", tensor("input", "BYTES", [2], ["a good one", "bad"]))
    assert status == 200, outputs
    assert_same(outputs, made[1]["words"])


def test_the_schema_says_what_the_model_knows(served):
    served.wait_ready("forest", timeout_s=120)
    status, _, body = served.fetch("/v2/models/forest")
    assert status == 200
    metadata = json.loads(body)
    assert metadata["platform"] == "sklearn"
    assert metadata["inputs"] == [{"name": "input", "datatype": "FP64", "shape": [-1, 4]}]
    assert metadata["outputs"] == [{"name": "predict", "datatype": "BYTES", "shape": [-1]},
                                   {"name": "predict_proba", "datatype": "FP64", "shape": [-1, 2]}]


def test_other_text_is_no_model(served):
    served.wait_ready("light", timeout_s=120)
    _, _, body = served.fetch("/v2/repository/index", {})
    assert not [row for row in json.loads(body) if row["name"] == "notes"]


def test_an_environment_is_built_with_the_version_that_made_the_pickle(server, made, tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "forest.joblib").write_bytes((made[0] / "forest.joblib").read_bytes())
    served = server(tmp_path / "m")
    served.wait_ready("forest", timeout_s=240)
    status, outputs = ask(served, "forest", tensor("input", "FP64", [5, 4], made[1]["rows"]))
    assert status == 200, outputs
    assert_same(outputs, made[1]["forest"])
    python = served.state_dir / "environments" / environments(served)[0] / "bin" / "python"
    assert frameworks.run(python, "import sklearn, json; print(json.dumps(sklearn.__version__))") == "1.9.1"


def test_the_table_says_what_is_tested():
    rows = re.findall(r"^\| `(\w+)` \|.*\| (.*?) \| `(code|deploy)` \|$", (frameworks.ROOT / "docs/formats.md").read_text(), re.M)
    assert [row[0] for row in rows] == [form.name for form in FORMATS]
    for (name, tested, scope), form in zip(rows, FORMATS):
        wanted = frameworks.TESTED.get(name, "*untested*").replace("==", " ")
        assert (tested, scope) == (wanted, "code" if form.code else "deploy"), name


def test_both_tables_of_formats_agree():
    source = (frameworks.ROOT / "src/repository/format.c").read_text()
    rows = re.findall(r'\{"(\w+)", "(.+?)", FORMAT_\w+, PYTHON_(CODE|DATA)', source)
    ours = {(form.name, ending, "CODE" if form.code else "DATA") for form in FORMATS for ending in form.endings}
    assert {row for row in rows if row[0] != "python"} == ours
