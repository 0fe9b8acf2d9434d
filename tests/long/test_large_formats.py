"""Formats of large frameworks through the wire, compared with the frameworks called directly: minutes, and gigabytes."""
import json
import os
from types import SimpleNamespace

import numpy as np
import pytest
from support import frameworks
from support.frameworks import assert_same
from support.python_models import ask, needs_python, tensor
from support.server import Server

pytestmark = needs_python
VERSIONS = {**frameworks.TESTED, **frameworks.UNTESTED}

CATBOOST = """
    import json, sys, numpy as np, pandas as pd, catboost
    from pathlib import Path
    folder = Path(sys.argv[1]); rng = np.random.default_rng(7)
    x = rng.normal(size=(60, 4)).astype(np.float32); y = (x[:, 0] > 0).astype(int)
    quiet = dict(iterations=5, verbose=False, allow_writing_files=False)
    one = catboost.CatBoostClassifier(**quiet).fit(x, y); one.save_model(folder / "cat.cbm")
    number = catboost.CatBoostRegressor(**quiet).fit(x, x[:, 1]); number.save_model(folder / "number.cbm")
    table = pd.DataFrame({"size": x[:, 0], "city": np.array(["Rom", "Bonn"])[y]})
    mixed = catboost.CatBoostClassifier(**quiet).fit(table, y, cat_features=["city"]); mixed.save_model(folder / "mixed.cbm")
    both = lambda m, rows: {"predict": m.predict(rows).tolist(), "predict_proba": m.predict_proba(rows).tolist()}
    print(json.dumps({"rows": x[:5].tolist(), "cat": both(one, x[:5]), "number": {"predict": number.predict(x[:5]).tolist()},
                      "mixed": both(mixed, table[:5]), "size": table["size"][:5].tolist(), "city": table["city"][:5].tolist()}))
"""

TFLITE_AND_TENSORFLOW = """
    import json, os, sys, numpy as np
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"; os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    import keras, tensorflow as tf
    from pathlib import Path
    folder = Path(sys.argv[1]); keras.utils.set_random_seed(3)
    x = np.random.default_rng(7).normal(size=(5, 4)).astype(np.float32)
    model = keras.Sequential([keras.Input((4,), name="x"), keras.layers.Dense(3, activation="softmax")])
    model.save(folder / "net.keras")
    answer = model(x, training=False).numpy().tolist()

    class Double(tf.Module):
        def __init__(self):
            super().__init__(); self.w = tf.Variable(2.0)
        @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")])
        def __call__(self, x):
            return {"doubled": x * self.w, "total": tf.reduce_sum(x, axis=1)}
    double = Double()
    tf.saved_model.save(double, str(folder / "saved"), signatures=double.__call__)
    (folder / "triton" / "1").mkdir(parents=True)
    tf.saved_model.save(double, str(folder / "triton" / "1" / "model.savedmodel"), signatures=double.__call__)
    saved = {"doubled": (x * 2).tolist(), "total": tf.reduce_sum(x, axis=1).numpy().tolist()}

    converted = tf.lite.TFLiteConverter.from_concrete_functions([tf.function(lambda x: model(x)).get_concrete_function(
        tf.TensorSpec([5, 4], tf.float32))]).convert()
    (folder / "lite.tflite").write_bytes(converted)
    print(json.dumps({"rows": x.tolist(), "net": answer, "saved": saved}))
"""

MLFLOW = """
    import json, sys, numpy as np, pandas as pd, joblib, mlflow, mlflow.sklearn, mlflow.pyfunc
    from mlflow.models import infer_signature
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from pathlib import Path
    folder = Path(sys.argv[1]); rng = np.random.default_rng(7)
    table = pd.DataFrame(rng.normal(size=(60, 2)), columns=["a", "b"]); y = table["a"] * 2 + table["b"]
    line = LinearRegression().fit(table, y)
    mlflow.sklearn.save_model(line, folder / "line", signature=infer_signature(table, line.predict(table)))
    array = LinearRegression().fit(table.to_numpy(), y)
    mlflow.sklearn.save_model(array, folder / "array", signature=infer_signature(table.to_numpy(), array.predict(table.to_numpy())))

    class Shout(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            return pd.DataFrame({"loud": model_input["text"].str.upper(), "size": model_input["text"].str.len()})
    words = pd.DataFrame({"text": ["one", "three"]})
    out = pd.DataFrame({"loud": ["ONE"], "size": [3]})
    mlflow.pyfunc.save_model(folder / "shout", python_model=Shout(), signature=infer_signature(words, out))

    (folder / "settings").mkdir()
    joblib.dump(array, folder / "settings" / "line.joblib")
    (folder / "settings" / "model-settings.json").write_text(json.dumps(
        {"name": "settings", "implementation": "mlserver_sklearn.SKLearnModel", "parameters": {"uri": "./line.joblib"}}))
    for one in folder.glob("*/requirements.txt"):
        one.unlink()  # the interpreter has what they name
    load = lambda name: mlflow.pyfunc.load_model(str(folder / name))
    print(json.dumps({"a": table["a"][:5].tolist(), "b": table["b"][:5].tolist(), "rows": table[:5].to_numpy().tolist(),
        "line": load("line").predict(table[:5]).tolist(), "array": load("array").predict(table[:5].to_numpy()).tolist()}))
"""

SPACY = """
    import json, sys, spacy
    from pathlib import Path
    pipeline = spacy.blank("en")
    ruler = pipeline.add_pipe("entity_ruler"); ruler.add_patterns([{"label": "ORG", "pattern": "Acme"}])
    pipeline.to_disk(Path(sys.argv[1]) / "ents")
    print(json.dumps([pipeline(text).to_json() for text in ("Acme sells tea.", "No name")]))
"""

TORCH = """
import json, subprocess, sys, os, torch
from pathlib import Path
folder = Path(sys.argv[1]); torch.manual_seed(3)
x = torch.randn(5, 4)

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__(); self.line = torch.nn.Linear(4, 3)
    def forward(self, x):
        return torch.relu(self.line(x))
net = Net().eval()
torch.jit.script(net).save(folder / "script.pt")
torch.jit.trace(net, x).save(folder / "traced.pth")
torch.export.save(torch.export.export(net, (x,), dynamic_shapes={"x": {0: torch.export.Dim("rows")}}), folder / "exported.pt2")
(folder / "weights").mkdir()
from safetensors.torch import save_file
save_file(net.state_dict(), folder / "weights" / "net.safetensors")
(folder / "weights" / "model.py").write_text('''
from pathlib import Path
from typing import Annotated
import torch
from safetensors.torch import load_file

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__(); self.line = torch.nn.Linear(4, 3)
    def forward(self, x):
        return torch.relu(self.line(x))

net = Net().eval()
net.load_state_dict(load_file(Path(__file__).with_name("net.safetensors")))

def predict(x: Annotated[torch.Tensor, "FP32", (-1, 4)]) -> Annotated[torch.Tensor, "FP32", (-1, 3)]:
    return net(x)
''')
torch.save(net.state_dict(), folder / "state.pt")

scratch = folder.parent / "mar"; scratch.mkdir()
torch.jit.script(net).save(scratch / "net.pt")
(scratch / "handler.py").write_text('''
import json, os, torch
class Handler:
    def initialize(self, context):
        folder = context.system_properties["model_dir"]
        self.net = torch.jit.load(os.path.join(folder, context.manifest["model"]["serializedFile"]))
    def handle(self, data, context):
        rows = torch.tensor([json.loads(one["body"]) for one in data])
        return self.net(rows).tolist()
''')
subprocess.run([os.path.join(os.path.dirname(sys.executable), "torch-model-archiver"), "--model-name", "archived", "--version", "1",
    "--serialized-file", str(scratch / "net.pt"), "--handler", str(scratch / "handler.py"), "--export-path", str(folder)], check=True)

from transformers import BertConfig, BertForSequenceClassification, BertModel, BertTokenizerFast, pipeline
(scratch / "vocab.txt").write_text("\\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "film"]))
tokenizer = BertTokenizerFast(str(scratch / "vocab.txt"))
config = BertConfig(vocab_size=8, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
                    id2label={0: "no", 1: "yes"}, label2id={"no": 0, "yes": 1}, max_position_embeddings=32)
BertForSequenceClassification(config).save_pretrained(folder / "bert"); tokenizer.save_pretrained(folder / "bert")
BertModel(config).save_pretrained(scratch / "plain"); tokenizer.save_pretrained(scratch / "plain")
texts = ["good film", "bad film bad"]
classified = pipeline("text-classification", model=str(folder / "bert"))(texts)

from sentence_transformers import SentenceTransformer, models
word = models.Transformer(str(scratch / "plain"))
sentences = SentenceTransformer(modules=[word, models.Pooling(16)])
sentences.save(str(folder / "vectors"))
vectors = SentenceTransformer(str(folder / "vectors"), device="cpu").encode(texts).tolist()
print(json.dumps({"rows": x.tolist(), "net": net(x).tolist(), "bert": classified, "vectors": vectors}))
"""


def serve(tmp_path_factory, script, *requirements):
    """(the server, what the framework says) of the models that the script saves."""
    python = frameworks.environment(*requirements)
    folder = tmp_path_factory.mktemp("models") / "m"
    folder.mkdir()
    said = frameworks.run(python, script, folder)
    return SimpleNamespace(said=said, server=Server(folder, "--python", python, state=tmp_path_factory.mktemp("state")))


def module_fixture(script, *names, extra=()):
    @pytest.fixture(scope="module")
    def started(tmp_path_factory):
        if not frameworks.TESTED.keys() & set(names) and "TENSORD_UNTESTED" not in os.environ:
            pytest.skip(f"not tested yet: {', '.join(names)}")
        made = serve(tmp_path_factory, script, *(VERSIONS[name] for name in names), *extra)
        yield made
        made.server.stop()

    return started


catboost = module_fixture(CATBOOST, "catboost", extra=["pandas==3.1.1"])
tensorflow = module_fixture(TFLITE_AND_TENSORFLOW, "tensorflow", "keras", "tflite")
mlflow = module_fixture(MLFLOW, "mlflow", extra=["joblib"])
spacy = module_fixture(SPACY, "spacy")
torch = module_fixture(TORCH, "pytorch", "transformers", "sentence_transformers", "torchserve", extra=["safetensors"])


def answer(started, model, *tensors):
    started.server.wait_ready(model, timeout_s=300)
    status, outputs = ask(started.server, model, *tensors)
    assert status == 200, outputs
    return outputs


def rows_of(started, name="input", datatype="FP32"):
    rows = started.said["rows"]
    return tensor(name, datatype, list(np.shape(rows)), rows)


@pytest.mark.parametrize("model", ["cat", "number"])
def test_catboost(catboost, model):
    assert_same(answer(catboost, model, rows_of(catboost)), catboost.said[model])


def test_catboost_with_categories(catboost):
    size, city = tensor("size", "FP32", [5], catboost.said["size"]), tensor("city", "BYTES", [5], catboost.said["city"])
    assert_same(answer(catboost, "mixed", size, city), catboost.said["mixed"])


def test_keras(tensorflow):
    assert_same(answer(tensorflow, "net", rows_of(tensorflow, "x")), {"output": tensorflow.said["net"]})


@pytest.mark.parametrize("model", ["saved", "triton"])
def test_saved_model(tensorflow, model):
    assert_same(answer(tensorflow, model, rows_of(tensorflow, "x")), tensorflow.said["saved"])


def test_tflite(tensorflow):
    tensorflow.server.wait_ready("lite", timeout_s=300)
    metadata = json.loads(tensorflow.server.fetch("/v2/models/lite")[2])
    outputs = answer(tensorflow, "lite", rows_of(tensorflow, metadata["inputs"][0]["name"]))
    assert_same(outputs, {metadata["outputs"][0]["name"]: tensorflow.said["net"]})


def test_mlflow_columns(mlflow):
    a, b = tensor("a", "FP64", [5], mlflow.said["a"]), tensor("b", "FP64", [5], mlflow.said["b"])
    assert_same(answer(mlflow, "line", a, b), {"predict": mlflow.said["line"]})


def test_mlflow_tensors(mlflow):
    assert_same(answer(mlflow, "array", rows_of(mlflow, datatype="FP64")), {"predict": mlflow.said["array"]})


def test_mlflow_pyfunc_of_text(mlflow):
    outputs = answer(mlflow, "shout", tensor("text", "BYTES", [2], ["a", "bcd"]))
    assert_same(outputs, {"loud": ["A", "BCD"], "size": [1, 3]})


def test_mlserver_settings(mlflow):
    assert_same(answer(mlflow, "settings", rows_of(mlflow, datatype="FP64")), {"predict": mlflow.said["array"]})


def test_spacy(spacy):
    outputs = answer(spacy, "ents", tensor("text", "BYTES", [2], ["Acme sells tea.", "No name"]))
    assert [json.loads(one) for one in outputs["document"]["data"]] == spacy.said


@pytest.mark.parametrize("model", ["script", "traced", "exported", "weights"])
def test_torch(torch, model):
    assert_same(answer(torch, model, rows_of(torch, "x")), {"output": torch.said["net"]})


def test_weights_alone_are_no_model(torch):
    assert torch.server.err.wait_for("a file of weights alone takes a model.py", 60)


def test_torchserve_archive(torch):
    lines = [json.dumps(row) for row in torch.said["rows"]]
    outputs = answer(torch, "archived", tensor("data", "BYTES", [5], lines))
    made = [json.loads(one) for one in outputs["output"]["data"]]
    np.testing.assert_allclose(made, torch.said["net"], rtol=1e-5)


def test_transformers(torch):
    outputs = answer(torch, "bert", tensor("text", "BYTES", [2], ["good film", "bad film bad"]))
    assert outputs["label"]["data"] == [one["label"] for one in torch.said["bert"]]
    np.testing.assert_allclose(outputs["score"]["data"], [one["score"] for one in torch.said["bert"]], rtol=1e-4)


def test_sentence_transformers(torch):
    outputs = answer(torch, "vectors", tensor("text", "BYTES", [2], ["good film", "bad film bad"]))
    np.testing.assert_allclose(outputs["embedding"]["data"], np.ravel(torch.said["vectors"]), rtol=1e-4, atol=1e-5)
