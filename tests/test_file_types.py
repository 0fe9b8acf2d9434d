"""The example of the README: magika's model served, compared with magika's own package on files of many kinds."""
import io
import json
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import magika
import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from magika.types.seekable import Seekable

from support.server import fetch

ROOT = Path(__file__).resolve().parents[1]
FILES = 50


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Fifty files of at least 8 bytes: of this tree, and made up."""
    folder = tmp_path_factory.mktemp("files")
    made = {
        "a.json": b'{"a": [1, 2, 3]}', "a.csv": b"a,b,c\n1,2,3\n4,5,6\n", "a.html": b"<html><body>hello</body></html>",
        "a.xml": b'<?xml version="1.0"?><a><b/></a>', "a.png": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
        "a.gz": b"\x1f\x8b\x08\x00" + zlib.compress(b"x" * 999), "a.pdf": b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\n",
        "a.sql": b"SELECT a, b FROM c WHERE d = 1;\n" * 9, "zeros": bytes(5000), "blanks": b" \n" * 50 + b"text" + b" " * 99,
    }
    for name, content in made.items():
        (folder / name).write_bytes(content)
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.writestr("a.txt", "text " * 100)
    paths = sorted(folder.iterdir())
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    others = [ROOT / name for name in tracked if (ROOT / name).is_file() and (ROOT / name).stat().st_size >= 8]
    return (paths + others[:: max(1, len(others) // (FILES - len(paths)))])[:FILES]


@pytest.fixture(scope="module")
def expected(files):
    """What magika's own code makes of each file: features (files, 2048) and scores (files, labels)."""
    own = magika.Magika()
    config = own._model_config
    features = []
    for path in files:
        cut = own._extract_features_from_seekable(Seekable(io.BytesIO(path.read_bytes())), config.beg_size, config.mid_size,
                                                  config.end_size, config.padding_token, config.block_size,
                                                  config.use_inputs_at_offsets)
        features.append(cut.beg + cut.mid + cut.end)
    features = np.array(features, np.int32)
    return features, own._onnx_session.run(["target_label"], {"bytes": features})[0]


@pytest.fixture
def served(server, tmp_path):
    [model] = Path(magika.__file__).parent.glob("models/standard_v*/model.onnx")
    (tmp_path / "magika.onnx").write_bytes(model.read_bytes())
    return server(tmp_path / "magika.onnx").wait_ready("magika")


def test_scores_agree_over_every_protocol(served, files, expected):
    features, scores = expected
    assert len(files) == FILES
    answers = {}
    request = {"inputs": [{"name": "bytes", "datatype": "INT32", "shape": list(features.shape),
                           "data": features.tolist()}]}
    status, _, body = fetch(served.url + "/v2/models/magika/infer", request, timeout_s=120)
    assert status == 200
    answers["JSON"] = np.array(json.loads(body)["outputs"][0]["data"]).reshape(scores.shape)
    for client in (triton_http, triton_grpc):
        tensor = client.InferInput("bytes", features.shape, "INT32")
        tensor.set_data_from_numpy(features)
        one = client.InferenceServerClient(served.netloc)
        answers[client.__name__] = one.infer("magika", [tensor]).as_numpy("target_label")
    for name, got in answers.items():
        assert np.abs(got - scores).max() < 1e-5, name
        assert (got.argmax(1) == scores.argmax(1)).all(), name


def test_the_readme_script_names_types(served):
    script = (ROOT / "examples/file_type.py").read_text().replace("http://127.0.0.1:8000", served.url)
    done = subprocess.run([sys.executable, "-", "README.md", "src/api/call.c", "tools/lint.py"], input=script, cwd=ROOT,
                          capture_output=True, text=True, check=True, timeout=60)
    kinds = [line.split(": ")[1].split()[0] for line in done.stdout.splitlines()]
    assert kinds == ["markdown", "c", "python"]
