"""Formats through the wire, compared with what their frameworks say when they are called directly."""
import json
import os
import re
import subprocess

import numpy as np
import pytest
from support import frameworks
from support.builder import Asked
from support.frameworks import assert_same
from support.python_models import ask, needs_python, tensor
from support.server import Server
from tensord.formats import FORMATS
from test_environments import environments, failed, wait_for

pytestmark = needs_python
QUICK = [frameworks.TESTED[name] for name in frameworks.EVERY_TIME if name not in ("pytorch", "torchserve")]

# Of the models, those that only the long tests serve: a worker each, which imports a framework, takes its time.
EVERYTHING = "TENSORD_ALL_FORMATS" in os.environ
MORE = ("line", "words.joblib", "scale.pickle", "kinds.joblib", "xgbjson.json", "xgbmany.ubj", "wrapped.joblib",
        "regressor.pkl", "pmmlline.pmml", "named")
more = pytest.mark.skipif(not EVERYTHING, reason="only where TENSORD_ALL_FORMATS is set")

# Saves each model into a folder; says what each answers.
SCRIPT = """
    import json, sys, pickle, cloudpickle, joblib, numpy as np, pandas as pd
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

    scaler = StandardScaler().fit(x)
    (folder / "scale.pickle").write_bytes(pickle.dumps(scaler, protocol=2))
    answers["scale"] = {"transform": scaler.transform(rows).tolist()}

    table = pd.DataFrame({"size": x[:, 0], "city": np.array(["Rom", "Bonn"])[y]})
    mixed = make_pipeline(make_column_transformer((OneHotEncoder(), ["city"]), remainder="passthrough"), LogisticRegression()).fit(table, y)
    joblib.dump(mixed, folder / "mixed.joblib")
    remember("mixed", mixed, table[:5])
    answers["table"] = {"size": table["size"][:5].tolist(), "city": table["city"][:5].tolist()}

    words = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(["good film", "bad film", "good", "bad"], [1, 0, 1, 0])
    joblib.dump(words, folder / "words.joblib")
    remember("words", words, ["a good one", "bad"])

    kinds = OneHotEncoder(sparse_output=False).fit(np.array([[1, 4], [2, 5]]))
    joblib.dump(kinds, folder / "kinds.joblib")
    answers["kinds"] = {"transform": kinds.transform([[2, 4], [1, 5]]).tolist()}

    import skops.io
    logistic = LogisticRegression().fit(x, y)
    skops.io.dump(logistic, folder / "logistic.skops")
    remember("logistic", logistic, rows)

    import xgboost
    trees = xgboost.train({"objective": "binary:logistic", "max_depth": 3}, xgboost.DMatrix(x, y), 8)
    (folder / "xgb").mkdir()
    trees.save_model(folder / "xgb" / "model.ubj")
    joblib.dump(forest, folder / "xgb" / "other.pkl")  # which is not what the folder was recognised by
    trees.save_model(folder / "xgbjson.json")
    answers["xgb"] = answers["xgbjson"] = {"predict": trees.predict(xgboost.DMatrix(rows)).tolist()}
    frame = pd.DataFrame(x, columns=list("abcd"))
    many = xgboost.XGBClassifier(n_estimators=4).fit(frame, (y + (x[:, 2] > 0)))
    many.save_model(folder / "xgbmany.ubj")
    answers["xgbmany"] = {"predict": many.predict_proba(frame[:5]).tolist()}
    joblib.dump(many, folder / "wrapped.joblib")
    remember("wrapped", many, frame[:5])

    import lightgbm
    light = lightgbm.train({"objective": "binary", "verbose": -1, "min_data_in_leaf": 2}, lightgbm.Dataset(x, y), 8)
    light.save_model(folder / "light.txt")
    answers["light"] = {"predict": light.predict(rows).tolist()}
    regressor = lightgbm.LGBMRegressor(n_estimators=3, min_child_samples=2, verbose=-1).fit(x, x[:, 1])
    joblib.dump(regressor, folder / "regressor.pkl")
    remember("regressor", regressor, rows)

    # Pickles of a class in a module beside it, of a function, and of a class that is in no module.
    (folder / "own").mkdir()
    (folder / "own" / "features.py").write_text("class Sum:\\n    def predict(self, rows):\\n        return rows.sum(axis=1)\\n")
    sys.path.insert(0, str(folder / "own"))
    import features
    (folder / "own" / "model.pkl").write_bytes(pickle.dumps(features.Sum()))
    answers["own"] = {"predict": features.Sum().predict(rows).tolist()}
    def lengths(texts: list[str], scale: float = 1.0) -> list[float]:
        return [len(text) * scale for text in texts]
    (folder / "called.pkl").write_bytes(cloudpickle.dumps(lengths))
    class InAScript:
        def predict(self, rows): return rows
    (folder / "lost.pkl").write_bytes(pickle.dumps(InAScript()))

    # PMML of a line and of a small tree.
    fields = "".join(f'<DataField name="x{i}" optype="continuous" dataType="double"/>' for i in range(4))
    mining = "".join(f'<MiningField name="x{i}"/>' for i in range(4)) + '<MiningField name="y" usageType="target"/>'
    def pmml(name, target, model):
        (folder / name).write_text('<PMML xmlns="http://www.dmg.org/PMML-4_4" version="4.4"><Header/><DataDictionary>' + fields +
                                   target + "</DataDictionary>" + model + "</PMML>")
    numbers = "".join(f'<NumericPredictor name="x{i}" coefficient="{i + 1}"/>' for i in range(4))
    pmml("pmmlline.pmml", '<DataField name="y" optype="continuous" dataType="double"/>',
         f'<RegressionModel functionName="regression"><MiningSchema>{mining}</MiningSchema>'
         f'<RegressionTable intercept="0.5">{numbers}</RegressionTable></RegressionModel>')
    def leaf(score, no, yes, operator):
        return (f'<Node score="{score}" recordCount="{no + yes}"><SimplePredicate field="x0" operator="{operator}" value="0.1"/>'
                f'<ScoreDistribution value="no" recordCount="{no}"/><ScoreDistribution value="yes" recordCount="{yes}"/></Node>')
    pmml("pmmltree.pmml", '<DataField name="y" optype="categorical" dataType="string"><Value value="no"/><Value value="yes"/></DataField>',
         f'<TreeModel functionName="classification" splitCharacteristic="binarySplit"><MiningSchema>{mining}</MiningSchema>'
         f'<Node recordCount="10"><True/>{leaf("no", 4, 1, "lessOrEqual")}{leaf("yes", 2, 3, "greaterThan")}</Node></TreeModel>')
    from sklearn_pmml_model.auto_detect import auto_detect_estimator
    named = pd.DataFrame(rows, columns=[f"x{i}" for i in range(4)])
    written, grown = (auto_detect_estimator(pmml=str(folder / f"{name}.pmml")) for name in ("pmmlline", "pmmltree"))
    answers["pmmlline"] = {"predict": written.predict(named).tolist()}
    remember("pmmltree", grown, named)
    answers["by hand"] = {"pmmlline": (rows @ [1, 2, 3, 4] + 0.5).tolist(),
                          "pmmltree": ["no" if row[0] <= 0.1 else "yes" for row in rows]}

    # A format that a config names, where the file's name does not.
    (folder / "named").mkdir()
    joblib.dump(forest, folder / "named" / "weights.bin")
    (folder / "named" / "model.yaml").write_text("backend: sklearn\\ndefault_model_filename: weights.bin\\n")
    answers["named"] = answers["forest"]
    (folder / "notes.txt").write_text("no model")
    (folder / "notes.json").write_text("{}")
    print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def python():
    return frameworks.environment(*QUICK, "pandas==3.1.1", "cloudpickle==3.1.2")


@pytest.fixture(scope="module")
def made(python, tmp_path_factory):
    """(the folder of models, what their frameworks say)."""
    folder = tmp_path_factory.mktemp("formats")
    return folder, frameworks.run(python, SCRIPT, folder)


@pytest.fixture(scope="module")
def served(made, python, tmp_path_factory):
    for name in () if EVERYTHING else MORE:
        os.rename(made[0] / name, tmp_path_factory.mktemp("more") / name)
    started = Server(made[0], "--python", python, state=tmp_path_factory.mktemp("state"))
    yield started
    started.stop()


@pytest.mark.parametrize("model, datatype", [
    ("forest", "FP64"), ("logistic", "FP64"), ("xgb", "FP32"), ("light", "FP64"), ("own", "FP64"),
    ("pmmltree", "FP64"), *(pytest.param(name, datatype, marks=more) for name, datatype in (
        ("line", "FP64"), ("scale", "FP64"), ("xgbjson", "FP32"), ("xgbmany", "FP32"), ("wrapped", "FP64"), ("regressor", "FP64"),
        ("pmmlline", "FP64"), ("named", "FP64"))),
])
def test_answers_as_the_framework(served, made, model, datatype):
    served.wait_ready(model, timeout_s=300)
    rows = made[1]["rows"]
    status, outputs = ask(served, model, tensor("input", datatype, [5, 4], rows))
    assert status == 200, outputs
    assert_same(outputs, made[1][model])


def test_columns_of_text_are_inputs_of_their_own(served, made):
    served.wait_ready("mixed", timeout_s=300)
    table = made[1]["table"]
    size, city = tensor("size", "FP64", [5], table["size"]), tensor("city", "BYTES", [5], table["city"])
    status, outputs = ask(served, "mixed", size, city)
    assert status == 200, outputs
    assert_same(outputs, made[1]["mixed"])


@more
def test_documents_are_text(served, made):
    served.wait_ready("words", timeout_s=300)
    status, outputs = ask(served, "words", tensor("input", "BYTES", [2], ["a good one", "bad"]))
    assert status == 200, outputs
    assert_same(outputs, made[1]["words"])


@more
def test_categories_that_are_numbers(served, made):
    """No row of zeros can be shown to such a model."""
    served.wait_ready("kinds", timeout_s=300)
    status, outputs = ask(served, "kinds", tensor("input", "FP64", [2, 2], [2, 4, 1, 5]))
    assert status == 200, outputs
    assert_same(outputs, made[1]["kinds"])


def test_a_pickled_function(served):
    served.wait_ready("called", timeout_s=300)
    status, outputs = ask(served, "called", tensor("texts", "BYTES", [2], ["a", "bcd"]), tensor("scale", "FP64", [1], [2]))
    assert status == 200, outputs
    assert outputs["output"]["data"] == [2, 6]


def test_a_class_that_is_in_no_module(served):
    """One of a notebook: the pickle has its name alone."""
    reason = wait_for(served, "lost", failed)
    assert "InAScript" in reason and "module that lies beside the pickle" in reason


def test_pmml_means_what_it_says(made):
    answers = made[1]
    assert answers["pmmlline"]["predict"] == pytest.approx(answers["by hand"]["pmmlline"])
    assert answers["pmmltree"]["predict"] == answers["by hand"]["pmmltree"]


def test_the_schema_says_what_the_model_knows(served):
    served.wait_ready("forest", timeout_s=300)
    status, _, body = served.fetch("/v2/models/forest")
    assert status == 200
    metadata = json.loads(body)
    assert metadata["platform"] == "sklearn"
    assert metadata["inputs"] == [{"name": "input", "datatype": "FP64", "shape": [-1, 4]}]
    assert metadata["outputs"] == [{"name": "predict", "datatype": "BYTES", "shape": [-1]},
                                   {"name": "predict_proba", "datatype": "FP64", "shape": [-1, 2]}]


def test_other_text_is_no_model(served):
    served.wait_ready("light", timeout_s=300)
    _, _, body = served.fetch("/v2/repository/index", {})
    assert not [row for row in json.loads(body) if row["name"] == "notes"]


def test_what_an_environment_needs_is_in_the_pickle(server, made, tmp_path):
    """One is built for a model that asks for nothing: here the packages of a pickled function."""
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "called.pkl").write_bytes((made[0] / "called.pkl").read_bytes())
    served = server(tmp_path / "m").wait_ready("called", timeout_s=300)
    assert ask(served, "called", tensor("texts", "BYTES", [1], ["abc"]))[1]["output"]["data"] == [3]
    packages = next((served.state_dir / "environments" / environments(served)[0]).glob("lib/python3*/site-packages"))
    assert (packages / "cloudpickle").exists() and (packages / "joblib").exists() and not (packages / "sklearn").exists()


def test_the_version_that_made_a_pickle_is_asked_for(made, tmp_path):
    question = {"path": str(made[0]), "file": "forest.joblib", "engine": "sklearn", "root": "", "environments": str(tmp_path)}
    plan = Asked("plan.py", json.dumps(question)).answer()
    assert "scikit-learn==1.9.1" in plan["recipe"]["requirements"], plan


@more
def test_an_environment_is_built_with_the_version_that_made_the_pickle(server, made, tmp_path):
    """Also where only the config says that it is a pickle."""
    (tmp_path / "m" / "forest").mkdir(parents=True)
    (tmp_path / "m" / "forest" / "weights.bin").write_bytes((made[0] / "forest.joblib").read_bytes())
    (tmp_path / "m" / "forest" / "model.yaml").write_text("backend: sklearn\ndefault_model_filename: weights.bin\n")
    served = server(tmp_path / "m")
    served.wait_ready("forest", timeout_s=240)
    status, outputs = ask(served, "forest", tensor("input", "FP64", [5, 4], made[1]["rows"]))
    assert status == 200, outputs
    assert_same(outputs, made[1]["forest"])
    python = served.state_dir / "environments" / environments(served)[0] / "bin" / "python"
    assert frameworks.run(python, "import sklearn, json; print(json.dumps(sklearn.__version__))") == "1.9.1"


# ---- torch, of the system's packages ----

TORCH = """
    import json, os, subprocess, sys, torch
    from pathlib import Path
    folder, programs = Path(sys.argv[1]), Path(sys.executable).parent
    torch.manual_seed(3)
    x, line = torch.randn(5, 4), torch.nn.Linear(4, 3)
    net = torch.nn.Sequential(line, torch.nn.ReLU()).eval()

    def model(name, **more):
        (folder / name).mkdir()
        config = {"python": {"interpreter": str(programs / "python")}, **more}
        (folder / name / "model.yaml").write_text(json.dumps(config))  # which is YAML, too
        return folder / name

    torch.jit.trace(net, x).save(str(model("traced", input=[{"name": "x", "data_type": "TYPE_FP32", "dims": [-1, 4]}],
                                           output=[{"name": "y", "data_type": "TYPE_FP32", "dims": [-1, 3]}]) / "model.pt"))
    torch.save(line.state_dict(), model("weights", parameters={
        "module": {"string_value": "torch.nn.Linear"},
        "arguments": {"string_value": '{"in_features": 4, "out_features": 3}'}}) / "line.pth")

    scratch = folder.parent / "mar"
    scratch.mkdir()
    torch.jit.script(net).save(str(scratch / "net.pt"))
    (scratch / "handler.py").write_text("\\n".join([
        "import json, os, torch",
        "class Handler:",
        "    def initialize(self, context):",
        "        folder = context.system_properties['model_dir']",
        "        self.net = torch.jit.load(os.path.join(folder, context.manifest['model']['serializedFile']))",
        "    def handle(self, data, context):",
        "        return self.net(torch.tensor([json.loads(one['body']) for one in data])).tolist()"]))
    subprocess.run([programs / "torch-model-archiver", "--model-name", "archived", "--version", "1", "--serialized-file",
                    scratch / "net.pt", "--handler", scratch / "handler.py", "--export-path", model("archived")], check=True)
    with torch.no_grad():
        print(json.dumps({"rows": x.tolist(), "traced": net(x).tolist(), "weights": line(x).tolist()}))
"""


@pytest.fixture(scope="module")
def torch(tmp_path_factory):
    """(a server, what torch says): the system's torch, seen by an environment of another prefix, on an interpreter that is not
    the server's own, named in the models' configs."""
    if subprocess.run([frameworks.SYSTEM_PYTHON, "-c", "import torch"], capture_output=True).returncode:
        pytest.skip("this system has no package of torch")
    python = frameworks.environment(frameworks.TESTED["torchserve"], base=frameworks.SYSTEM_PYTHON, system=True)
    folder = tmp_path_factory.mktemp("torch") / "models"
    folder.mkdir()
    said = frameworks.run(python, TORCH, folder)
    started = Server(folder, state=tmp_path_factory.mktemp("state"))
    yield started, said
    started.stop()


@pytest.mark.parametrize("model, given, made", [("traced", "x", "y"), ("weights", "input", "output")])
def test_torch_on_an_interpreter_that_the_config_names(torch, model, given, made):
    served, said = torch
    served.wait_ready(model, timeout_s=300)
    status, outputs = ask(served, model, tensor(given, "FP32", [5, 4], said["rows"]))
    assert status == 200, outputs
    assert_same(outputs, {made: said[model]})


def test_an_archive_of_torchserves(torch):
    served, said = torch
    served.wait_ready("archived", timeout_s=300)
    status, outputs = ask(served, "archived", tensor("data", "BYTES", [5], [json.dumps(row) for row in said["rows"]]))
    assert status == 200, outputs
    np.testing.assert_allclose([json.loads(one) for one in outputs["output"]["data"]], said["traced"], rtol=1e-5)


# ---- the tables ----


def test_the_table_says_what_is_tested():
    rows = re.findall(r"^\| `(\w+)` \|.*\| (.*?) \| `(code|deploy)`.* \|$", (frameworks.ROOT / "docs/formats.md").read_text(), re.M)
    assert [row[0] for row in rows] == [form.name for form in FORMATS]
    for (name, tested, scope), form in zip(rows, FORMATS):
        wanted = frameworks.TESTED.get(name, "*untested*").replace("==", " ")
        assert (tested, scope) == (wanted, "code" if form.code else "deploy"), name


def test_what_is_said_to_be_tested_is():
    """Each of the table is tested here, or is the subject of a fixture of the long tests."""
    long = (frameworks.ROOT / "tests/long/test_large_formats.py").read_text()
    of_long = set(re.findall(r'"(\w+)"', " ".join(re.findall(r"= module_fixture\((.*)", long))))
    assert frameworks.TESTED.keys() <= {*frameworks.EVERY_TIME, *of_long}


def test_both_tables_of_formats_agree():
    source = (frameworks.ROOT / "src/repository/format.c").read_text()
    rows = re.findall(r'\{"(\w+)", "(.+?)", FORMAT_\w+, PYTHON_(CODE|DATA)', source)
    rows = [row for row in rows if row[0] != "python"]
    assert {row[:2] for row in rows} == {(form.name, ending) for form in FORMATS for ending in form.endings}
    # What the first row of a name says counts where only a config names the format.
    first = {name: kind for name, _, kind in reversed(rows)}
    assert first == {form.name: "CODE" if form.code else "DATA" for form in FORMATS}
