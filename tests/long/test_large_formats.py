"""Formats of large frameworks through the wire, compared with the frameworks called directly: minutes, and gigabytes.

Each group of frameworks has an environment, which is gone before the next one is made.
"""
import json
import textwrap
from types import SimpleNamespace

import numpy as np
import pytest
from support import frameworks
from support.frameworks import TESTED, assert_same
from support.python_models import ask, needs_python, tensor
from support.server import Server

pytestmark = needs_python

CATBOOST = """
    import json, sys, numpy as np, pandas as pd, catboost
    from pathlib import Path
    folder = Path(sys.argv[1]); rng = np.random.default_rng(7)
    x = rng.normal(size=(60, 4)).astype(np.float32); y = (x[:, 0] > 0).astype(int)
    quiet = dict(iterations=5, verbose=False, allow_writing_files=False)
    one = catboost.CatBoostClassifier(**quiet).fit(x, y); one.save_model(folder / "cat.cbm")
    many = catboost.CatBoostClassifier(**quiet).fit(x, y + (x[:, 1] > 0)); many.save_model(folder / "many.cbm")
    number = catboost.CatBoostRegressor(**quiet).fit(x, x[:, 1]); number.save_model(folder / "number.cbm")
    table = pd.DataFrame({"size": x[:, 0], "city": np.array(["Rom", "Bonn"])[y]})
    mixed = catboost.CatBoostClassifier(**quiet).fit(table, y, cat_features=["city"]); mixed.save_model(folder / "mixed.cbm")
    both = lambda m, rows: {"predict": m.predict(rows).tolist(), "predict_proba": m.predict_proba(rows).tolist()}
    print(json.dumps({"rows": x[:5].tolist(), "cat": both(one, x[:5]), "many": both(many, x[:5]),
                      "number": {"predict": number.predict(x[:5]).tolist()},
                      "mixed": both(mixed, table[:5]), "size": table["size"][:5].tolist(), "city": table["city"][:5].tolist()}))
"""

TENSORFLOW = """
    import json, os, shutil, sys, numpy as np
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"; os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    import keras, tensorflow as tf
    from pathlib import Path
    folder = Path(sys.argv[1]); keras.utils.set_random_seed(3)
    x = np.random.default_rng(7).normal(size=(5, 4)).astype(np.float32)
    model = keras.Sequential([keras.Input((4,), name="x"), keras.layers.Dense(3, activation="softmax")])
    model.save(folder / "net.keras")
    model.export(folder / "exported", verbose=False)
    answer = model(x, training=False).numpy().tolist()

    one, other = keras.Input((4,), name="one"), keras.Input((4,), name="other")
    total = keras.layers.Add(name="total")([one, other]); dense = keras.layers.Dense(2, name="dense")(total)
    two = keras.Model([one, other], [total, dense]); two.save(folder / "two.keras")
    made = [value.numpy().tolist() for value in two([x, 2 * x], training=False)]

    class Double(tf.Module):
        def __init__(self):
            super().__init__(); self.w = tf.Variable(2.0)
        @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")])
        def __call__(self, x):
            return {"doubled": x * self.w, "total": tf.reduce_sum(x, axis=1)}
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def upper(self, text):
            return {"upper": tf.strings.upper(text)}
    double = Double()
    tf.saved_model.save(double, str(folder / "saved"), signatures=double.__call__)
    (folder / "triton" / "1").mkdir(parents=True)
    tf.saved_model.save(double, str(folder / "triton" / "1" / "model.savedmodel"),
                        signatures={"serving_default": double.__call__, "upper": double.upper})
    (folder / "triton" / "config.pbtxt").write_text('platform: "tensorflow_savedmodel"')
    shutil.copytree(folder / "triton", folder / "upper")
    (folder / "upper" / "config.pbtxt").write_text(
        'backend: "tensorflow" parameters { key: "signature" value { string_value: "upper" } }')
    saved = {"doubled": (x * 2).tolist(), "total": tf.reduce_sum(x, axis=1).numpy().tolist()}

    call = tf.function(lambda x: model(x))
    (folder / "lite.tflite").write_bytes(tf.lite.TFLiteConverter.from_concrete_functions(
        [call.get_concrete_function(tf.TensorSpec([5, 4], tf.float32))]).convert())
    (folder / "signed.tflite").write_bytes(tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved")).convert())
    print(json.dumps({"rows": x.tolist(), "net": answer, "saved": saved, "two": dict(zip(two.output_names, made)),
                      "twice": (2 * x).tolist()}))
"""

MLFLOW = """
    import json, sys, numpy as np, pandas as pd, joblib, mlflow, mlflow.sklearn, mlflow.pyfunc, mlflow.xgboost, xgboost
    from mlflow.models import infer_signature
    from sklearn.linear_model import LinearRegression
    from pathlib import Path
    folder = Path(sys.argv[1]); rng = np.random.default_rng(7)
    table = pd.DataFrame(rng.normal(size=(60, 2)), columns=["a", "b"]); y = table["a"] * 2 + table["b"]
    line = LinearRegression().fit(table, y)
    mlflow.sklearn.save_model(line, folder / "line", signature=infer_signature(table, line.predict(table)))
    rows = table.to_numpy()
    array = LinearRegression().fit(rows, y)
    mlflow.sklearn.save_model(array, folder / "array", signature=infer_signature(rows, array.predict(rows)))
    trees = xgboost.XGBRegressor(n_estimators=3).fit(table, y)
    mlflow.xgboost.save_model(trees, folder / "trees", signature=infer_signature(table, trees.predict(table)))
    mlflow.sklearn.save_model(array, folder / "unsigned")

    class Shout(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            return pd.DataFrame({"loud": model_input["text"].str.upper(), "size": model_input["text"].str.len()})
    words = pd.DataFrame({"text": ["one", "three"]})
    out = pd.DataFrame({"loud": ["ONE"], "size": [3]})
    mlflow.pyfunc.save_model(folder / "shout", python_model=Shout(), signature=infer_signature(words, out))

    def settings(name, implementation, uri, save):
        (folder / name).mkdir()
        save(folder / name / uri)
        (folder / name / "model-settings.json").write_text(json.dumps(
            {"name": name, "implementation": implementation, "parameters": {"uri": f"./{uri}"}}))
    settings("settings", "mlserver_sklearn.SKLearnModel", "line.joblib", lambda path: joblib.dump(array, path))
    booster = xgboost.train({}, xgboost.DMatrix(rows, y), 3)
    settings("boosted", "mlserver_xgboost.XGBoostModel", "trees.ubj", booster.save_model)
    settings("custom", "custom.Runtime", "x", lambda path: path.write_text(""))
    for one in [*folder.glob("*/requirements.txt"), *folder.glob("*/python_env.yaml"), *folder.glob("*/conda.yaml")]:
        one.unlink()  # the interpreter has what they name
    predict = lambda name, given: mlflow.pyfunc.load_model(str(folder / name)).predict(given).tolist()
    print(json.dumps({"a": table["a"][:5].tolist(), "b": table["b"][:5].tolist(), "rows": rows[:5].tolist(),
        "line": predict("line", table[:5]), "array": predict("array", rows[:5]), "trees": predict("trees", table[:5]),
        "unsigned": predict("unsigned", rows[:5]), "settings": array.predict(rows[:5]).tolist(),
        "boosted": booster.predict(xgboost.DMatrix(rows[:5])).tolist()}))
"""

SPACY = """
    import json, sys, spacy
    from pathlib import Path
    pipeline = spacy.blank("en")
    ruler = pipeline.add_pipe("entity_ruler"); ruler.add_patterns([{"label": "ORG", "pattern": "Acme"}])
    pipeline.to_disk(Path(sys.argv[1]) / "ents")
    labels = spacy.blank("en"); cats = labels.add_pipe("textcat"); cats.add_label("good"); cats.add_label("bad")
    labels.initialize(); labels.to_disk(Path(sys.argv[1]) / "cats")
    texts = ("Acme sells tea.", "No name")
    print(json.dumps({"ents": [pipeline(text).to_json() for text in texts], "cats": [labels(text).cats for text in texts]}))
"""

NET = """
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__(); self.line = torch.nn.Linear(4, 3)
        def forward(self, x):
            return torch.relu(self.line(x))
"""

TORCH = """
    import json, subprocess, sys, os, torch
    from pathlib import Path
    from safetensors.torch import save_file
    folder = Path(sys.argv[1]); torch.manual_seed(3)
    x = torch.randn(5, 4)
""" + NET + """
    class Pair(torch.nn.Module):
        def forward(self, a, b):
            return a + b, a - b
    net = Net().eval()
    torch.jit.script(net).save(folder / "script.pt")
    torch.jit.trace(net, x).save(folder / "traced.pth")
    torch.jit.script(Pair()).save(folder / "pair.pt")
    rows = torch.export.Dim("rows")
    torch.export.save(torch.export.export(net, (x,), dynamic_shapes={"x": {0: rows}}), folder / "exported.pt2")
    torch.export.save(torch.export.export(Pair(), (x, x)), folder / "exportedpair.pt2")
    (folder / "weights").mkdir()
    save_file(net.state_dict(), folder / "weights" / "net.safetensors")
    (folder / "weights" / "model.py").write_text(sys.argv[2])
    torch.save(net.state_dict(), folder / "state.pt")
    for name, save in (("named", lambda path: save_file(net.line.state_dict(), path / "line.safetensors")),
                       ("namedstate", lambda path: torch.save(net.line.state_dict(), path / "line.pth"))):
        (folder / name).mkdir(); save(folder / name)
        (folder / name / "model.yaml").write_text(json.dumps({"parameters": {
            "module": {"string_value": "torch.nn.Linear"},
            "arguments": {"string_value": '{"in_features": 4, "out_features": 3}'}}}))

    scratch = folder.parent / "mar"; scratch.mkdir()
    torch.jit.script(net).save(scratch / "net.pt")
    def archive(name, handler):
        (scratch / f"{name}.py").write_text(handler)
        subprocess.run([os.path.join(os.path.dirname(sys.executable), "torch-model-archiver"), "--model-name", name, "--version", "1",
            "--serialized-file", scratch / "net.pt", "--handler", scratch / f"{name}.py", "--export-path", folder], check=True)
    archive("classy", sys.argv[3]); archive("functional", sys.argv[4]); archive("derived", sys.argv[5])
    print(json.dumps({"rows": x.tolist(), "net": net(x).tolist(), "line": net.line(x).tolist()}))
"""

MODEL = """
from pathlib import Path
from typing import Annotated
import torch
from safetensors.torch import load_file
""" + textwrap.dedent(NET) + """
net = Net().eval()
net.load_state_dict(load_file(Path(__file__).with_name("net.safetensors")))

def predict(x: Annotated[torch.Tensor, "FP32", (-1, 4)]) -> Annotated[torch.Tensor, "FP32", (-1, 3)]:
    return net(x)
"""

# Handlers: a class, a function as TorchServe's documentation has it, and one that derives from TorchServe's own.
CLASSY = """
import json, os, torch
class Handler:
    def initialize(self, context):
        folder = context.system_properties["model_dir"]
        self.net = torch.jit.load(os.path.join(folder, context.manifest["model"]["serializedFile"]))
    def handle(self, data, context):
        return self.net(torch.tensor([json.loads(one["body"]) for one in data])).tolist()
"""
FUNCTIONAL = """
import json, os, torch
net = None
def handle(data, context):
    global net
    if not data:
        folder = context.system_properties["model_dir"]
        net = torch.jit.load(os.path.join(folder, context.manifest["model"]["serializedFile"]))
        return None
    return net(torch.tensor([json.loads(one.get("data") or one.get("body")) for one in data])).tolist()
"""
DERIVED = """
import json, torch
from ts.torch_handler.base_handler import BaseHandler
class Derived(BaseHandler):
    def preprocess(self, data):
        return torch.tensor([json.loads(one["body"]) for one in data])
"""

# What TorchServe's own handlers need.
OF_HANDLERS = ["torchserve==0.12.0", "torchvision", "captum", "pyyaml", "packaging", "pillow"]

HUGGINGFACE = """
    import json, sys, os, torch
    from pathlib import Path
    folder = Path(sys.argv[1]); torch.manual_seed(3)
    scratch = folder.parent / "scratch"; scratch.mkdir()
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast, pipeline
    from transformers import BertConfig, BertForMaskedLM, BertForSequenceClassification, BertForTokenClassification, BertModel
    from transformers import GPT2Config, GPT2LMHeadModel, ViTConfig, ViTForImageClassification, ViTImageProcessor
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "film"]
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    special = dict(unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, **special)
    config = BertConfig(vocab_size=8, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
                        id2label={0: "no", 1: "yes"}, label2id={"no": 0, "yes": 1}, max_position_embeddings=32)

    def save(name, model, processor=tokenizer, into=folder):
        model.eval().save_pretrained(into / name); processor.save_pretrained(into / name)
    save("bert", BertForSequenceClassification(config)); save("tokens", BertForTokenClassification(config))
    save("masked", BertForMaskedLM(config)); save("features", BertModel(config)); save("plain", BertModel(config), into=scratch)
    save("gpt", GPT2LMHeadModel(GPT2Config(vocab_size=8, n_positions=64, n_embd=16, n_layer=1, n_head=2, eos_token_id=0)))
    save("vit", ViTForImageClassification(ViTConfig(image_size=32, patch_size=16, hidden_size=16, num_hidden_layers=1,
        num_attention_heads=2, intermediate_size=16, id2label={0: "cat", 1: "dog"})), ViTImageProcessor(size={"height": 32, "width": 32}))
    texts = ["good film", "bad film bad"]
    plain = lambda value: value.tolist() if hasattr(value, "tolist") else float(value) if hasattr(value, "dtype") else str(value)
    said = {"bert": pipeline("text-classification", model=str(folder / "bert"), device="cpu")(texts)}
    for name, task, given in (("tokens", "token-classification", texts), ("masked", "fill-mask", ["good [MASK]", "[MASK] film"]),
                              ("features", "feature-extraction", texts)):
        said[name] = json.loads(json.dumps(pipeline(task, model=str(folder / name), device="cpu")(given), default=plain))
    generate = pipeline("text-generation", model=str(folder / "gpt"), device="cpu")
    said["greedy"] = not generate.generation_config.do_sample if hasattr(generate, "generation_config") else None
    from PIL import Image
    Image.new("RGB", (40, 30), (250, 10, 90)).save(scratch / "image.png")
    said["vit"] = pipeline("image-classification", model=str(folder / "vit"), device="cpu")(str(scratch / "image.png"), top_k=1)
    said["image"] = str(scratch / "image.png")

    from sentence_transformers import SentenceTransformer
    try:
        from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    except ImportError:
        from sentence_transformers.models import Pooling, Transformer
    SentenceTransformer(modules=[Transformer(str(scratch / "plain")), Pooling(16)]).save(str(folder / "vectors"))
    said["vectors"] = SentenceTransformer(str(folder / "vectors"), device="cpu").encode(texts).tolist()
    print(json.dumps(said))
"""


def module_fixture(script, *names, extra=(), arguments=()):
    """Serves the models that the script saves: (the server, what the frameworks say)."""
    @pytest.fixture(scope="module")
    def started(tmp_path_factory):
        with frameworks.large_environment(*sorted({TESTED[name] for name in names}), *extra) as python:
            folder = tmp_path_factory.mktemp("models") / "m"
            folder.mkdir()
            said = frameworks.run(python, script, folder, *arguments)
            server = Server(folder, "--python", python, state=tmp_path_factory.mktemp("state"))
            yield SimpleNamespace(said=said, server=server)
            server.stop()

    return started


catboost = module_fixture(CATBOOST, "catboost", extra=["pandas==3.1.1"])
tensorflow = module_fixture(TENSORFLOW, "tensorflow", "keras", "tflite")
mlflow = module_fixture(MLFLOW, "mlflow", "mlserver", extra=["joblib", TESTED["xgboost"]])
spacy = module_fixture(SPACY, "spacy")
torch = module_fixture(TORCH, "pytorch", "torch_export", "torchserve", arguments=(MODEL, CLASSY, FUNCTIONAL, DERIVED),
                       extra=["safetensors", "numpy", *OF_HANDLERS])
huggingface = module_fixture(HUGGINGFACE, "transformers", "sentence_transformers", extra=[TESTED["pytorch"], "pillow", "torchvision"])


def answer(started, model, *tensors):
    started.server.wait_ready(model, timeout_s=300)
    status, outputs = ask(started.server, model, *tensors)
    assert status == 200, outputs
    return outputs


def rows_of(started, name="input", datatype="FP32", given="rows"):
    rows = started.said[given]
    return tensor(name, datatype, list(np.shape(rows)), rows)


@pytest.mark.parametrize("model", ["cat", "many", "number"])
def test_catboost(catboost, model):
    assert_same(answer(catboost, model, rows_of(catboost)), catboost.said[model])


def test_catboost_with_categories(catboost):
    size, city = tensor("size", "FP32", [5], catboost.said["size"]), tensor("city", "BYTES", [5], catboost.said["city"])
    assert_same(answer(catboost, "mixed", size, city), catboost.said["mixed"])


def test_keras(tensorflow):
    assert_same(answer(tensorflow, "net", rows_of(tensorflow, "x")), {"output": tensorflow.said["net"]})


def test_keras_of_several_tensors(tensorflow):
    outputs = answer(tensorflow, "two", rows_of(tensorflow, "one"), rows_of(tensorflow, "other", given="twice"))
    assert_same(outputs, tensorflow.said["two"])


@pytest.mark.parametrize("model", ["saved", "triton"])
def test_saved_model(tensorflow, model):
    assert_same(answer(tensorflow, model, rows_of(tensorflow, "x")), tensorflow.said["saved"])


def test_saved_model_that_keras_exports(tensorflow):
    tensorflow.server.wait_ready("exported", timeout_s=300)
    metadata = json.loads(tensorflow.server.fetch("/v2/models/exported")[2])
    outputs = answer(tensorflow, "exported", rows_of(tensorflow, metadata["inputs"][0]["name"]))
    assert_same(outputs, {metadata["outputs"][0]["name"]: tensorflow.said["net"]})


def test_saved_model_with_a_signature_of_text(tensorflow):
    outputs = answer(tensorflow, "upper", tensor("text", "BYTES", [2], ["a", "bcd"]))
    assert outputs["upper"]["data"] == ["A", "BCD"]


def test_tflite(tensorflow):
    tensorflow.server.wait_ready("lite", timeout_s=300)
    metadata = json.loads(tensorflow.server.fetch("/v2/models/lite")[2])
    outputs = answer(tensorflow, "lite", rows_of(tensorflow, metadata["inputs"][0]["name"]))
    assert_same(outputs, {metadata["outputs"][0]["name"]: tensorflow.said["net"]})


def test_tflite_with_a_signature(tensorflow):
    assert_same(answer(tensorflow, "signed", rows_of(tensorflow, "x")), tensorflow.said["saved"])


@pytest.mark.parametrize("model", ["line", "trees"])
def test_mlflow_columns(mlflow, model):
    a, b = tensor("a", "FP64", [5], mlflow.said["a"]), tensor("b", "FP64", [5], mlflow.said["b"])
    assert_same(answer(mlflow, model, a, b), {"predict": mlflow.said[model]})


@pytest.mark.parametrize("model", ["array", "unsigned", "settings"])
def test_mlflow_tensors_and_mlserver_settings(mlflow, model):
    assert_same(answer(mlflow, model, rows_of(mlflow, datatype="FP64")), {"predict": mlflow.said[model]})


def test_mlserver_settings_of_another_runtime(mlflow):
    assert_same(answer(mlflow, "boosted", rows_of(mlflow)), {"predict": mlflow.said["boosted"]})
    assert mlflow.server.err.wait_for("there is no format for the implementation 'custom.Runtime'", 60)


def test_mlflow_pyfunc_of_text(mlflow):
    outputs = answer(mlflow, "shout", tensor("text", "BYTES", [2], ["a", "bcd"]))
    assert_same(outputs, {"loud": ["A", "BCD"], "size": [1, 3]})


def test_spacy(spacy):
    outputs = answer(spacy, "ents", tensor("text", "BYTES", [2], ["Acme sells tea.", "No name"]))
    assert [json.loads(one) for one in outputs["document"]["data"]] == spacy.said["ents"]


def test_spacy_categories(spacy):
    outputs = answer(spacy, "cats", tensor("text", "BYTES", [2], ["Acme sells tea.", "No name"]))
    for one, cats in zip(outputs["document"]["data"], spacy.said["cats"]):
        assert json.loads(one)["cats"] == pytest.approx(cats, rel=1e-4)


@pytest.mark.parametrize("model, given, made", [
    ("script", "x", "net"), ("traced", "x", "net"), ("exported", "x", "net"), ("weights", "x", "net"),
    ("named", "input", "line"), ("namedstate", "input", "line"),
])
def test_torch(torch, model, given, made):
    assert_same(answer(torch, model, rows_of(torch, given)), {"output": torch.said[made]})


@pytest.mark.parametrize("model", ["pair", "exportedpair"])
def test_torch_of_several_tensors(torch, model):
    rows = np.array(torch.said["rows"])
    outputs = answer(torch, model, rows_of(torch, "a"), rows_of(torch, "b"))
    assert_same(outputs, {"output0": (rows + rows).tolist(), "output1": (rows - rows).tolist()})


def test_weights_alone_are_no_model(torch):
    assert torch.server.err.wait_for("it holds weights alone: a model.py beside them makes the module", 60)


@pytest.mark.parametrize("model", ["classy", "functional", "derived"])
def test_torchserve_archive(torch, model):
    lines = [json.dumps(row) for row in torch.said["rows"]]
    outputs = answer(torch, model, tensor("data", "BYTES", [5], lines))
    made = [json.loads(one) for one in outputs["output"]["data"]]
    np.testing.assert_allclose(made, torch.said["net"], rtol=1e-5)


TEXTS = ["good film", "bad film bad"]


def test_transformers(huggingface):
    outputs = answer(huggingface, "bert", tensor("text", "BYTES", [2], TEXTS))
    assert outputs["label"]["data"] == [one["label"] for one in huggingface.said["bert"]]
    np.testing.assert_allclose(outputs["score"]["data"], [one["score"] for one in huggingface.said["bert"]], rtol=1e-4)


def test_transformers_of_images(huggingface):
    with open(huggingface.said["image"], "rb") as file:
        data = file.read()
    huggingface.server.wait_ready("vit", timeout_s=300)
    head = json.dumps({"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1],
                                   "parameters": {"binary_data_size": len(data) + 4}}]}).encode()
    status, _, body = huggingface.server.fetch(
        "/v2/models/vit/infer", head + len(data).to_bytes(4, "little") + data,
        headers={"Inference-Header-Content-Length": str(len(head))})
    assert status == 200, body
    outputs = {one["name"]: one["data"] for one in json.loads(body)["outputs"]}
    assert outputs["label"] == [huggingface.said["vit"][0]["label"]]
    np.testing.assert_allclose(outputs["score"], [huggingface.said["vit"][0]["score"]], rtol=1e-4)


def close(made, said):
    """Whether two JSON documents are the same but for the last digits of their numbers."""
    if isinstance(said, dict):
        return made.keys() == said.keys() and all(close(made[key], said[key]) for key in said)
    if isinstance(said, list):
        return len(made) == len(said) and all(map(close, made, said))
    return made == pytest.approx(said, rel=1e-3, abs=1e-5) if isinstance(said, float) else made == said


@pytest.mark.parametrize("model, given", [("tokens", TEXTS), ("masked", ["good [MASK]", "[MASK] film"]), ("features", TEXTS)])
def test_transformers_of_other_tasks(huggingface, model, given):
    outputs = answer(huggingface, model, tensor("text", "BYTES", [2], given))
    made = [json.loads(one) for one in outputs["output"]["data"]]
    assert close(made, huggingface.said[model]), (made, huggingface.said[model])


def test_transformers_that_generate(huggingface):
    outputs = answer(huggingface, "gpt", tensor("text", "BYTES", [1], ["good film"]))
    (made,) = json.loads(outputs["output"]["data"][0])
    assert made["generated_text"].startswith("good film")


def test_sentence_transformers(huggingface):
    outputs = answer(huggingface, "vectors", tensor("text", "BYTES", [2], TEXTS))
    np.testing.assert_allclose(outputs["embedding"]["data"], np.ravel(huggingface.said["vectors"]), rtol=1e-4, atol=1e-5)
