"""The model that `./dev serve` serves, magika's, tells the same of files as its own package does."""
import importlib.util
import io
import json
import re
import shutil
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import magika
import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http

from support.server import ROOT, Server

FILES = 50
TOLERANCE = 1e-5  # of a score
EXAMPLE = ROOT / "examples" / "file_type.py"


def png(side):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(side * (side + 1))))
            + chunk(b"IEND", b""))


def zipped(count):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(count):
            archive.writestr(f"member{i}.txt", f"line {i}\n" * 50)
    return made.getvalue()


def wav(count):
    data = struct.pack(f"<{count}h", *(i * 321 % 20000 - 10000 for i in range(count)))
    head = struct.pack("<4sIHHIIHH4sI", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16, b"data", len(data))
    return b"RIFF" + struct.pack("<I", 4 + len(head) + len(data)) + b"WAVE" + head + data


PDF = b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF\n"
MADE = {
    "small.png": png(4), "large.png": png(500), "one.zip": zipped(1), "many.zip": zipped(40), "tone.wav": wav(3000),
    "paper.pdf": PDF, "noise.bin": np.random.default_rng(5).bytes(5000), "zeros.bin": bytes(3000),
    "short.txt": b"eight by", "blanks.txt": b" \n\t" * 900 + b"in the middle of nowhere" + b" \r\n" * 900,
    "table.csv": b"name,value,unit\n" + b"".join(b"row%d,%d,ms\n" % (i, i * i) for i in range(200)),
    "data.json": json.dumps({"rows": [{"id": i, "ok": i % 2 == 0} for i in range(80)]}).encode(),
    "page.html": b"<!DOCTYPE html><html><head><title>A page</title></head><body>" + b"<p>text</p>" * 60 + b"</body></html>",
    "feed.xml": b'<?xml version="1.0"?><feed>' + b"<entry><id>1</id></entry>" * 40 + b"</feed>",
    "style.css": b"body { margin: 0; color: #222; }\n.box { display: flex; }\n" * 10,
    "app.js": b"const app = require('express')();\napp.get('/', (req, res) => res.send('hi'));\n" * 5,
    "query.sql": b"SELECT a.id, count(*) FROM a JOIN b ON a.id = b.id GROUP BY a.id;\n" * 8,
    "main.go": b'package main\n\nimport "fmt"\n\nfunc main() {\n\tfmt.Println("hello")\n}\n',
    "Main.java": b"public class Main {\n  public static void main(String[] args) { System.out.println(1); }\n}\n",
    "lib.rs": b"pub fn add(a: i32, b: i32) -> i32 {\n    a + b\n}\n#[test]\nfn adds() { assert_eq!(add(1, 2), 3); }\n",
    "run.sh": b"#!/bin/sh\nset -eu\nfor f in *.c; do\n  cc -c \"$f\"\ndone\n",
    "letter.eml": b"From: a@b.example\r\nTo: c@d.example\r\nSubject: Hi\r\nMIME-Version: 1.0\r\n\r\nHello there.\r\n",
    "conf.ini": b"[server]\nport = 8000\nhost = localhost\n\n[log]\nlevel = info\n",
    "bytes.bin": bytes(range(256)) * 9,
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """FILES paths of at least 8 bytes, half of them sources of this project."""
    folder = tmp_path_factory.mktemp("files")
    for name, content in MADE.items():
        (folder / name).write_bytes(content)
    sources = [path for pattern in ("src/*/*.c", "src/*/*.h", "*.md", "tests/*.py", "proto/*.proto", "dev")
               for path in sorted(ROOT.glob(pattern))]
    step = len(sources) / (FILES - len(MADE))
    chosen = [sources[int(i * step)] for i in range(FILES - len(MADE))]
    paths = [*sorted(folder.iterdir()), *chosen]
    assert len(set(paths)) == FILES and all(path.stat().st_size >= 8 for path in paths)
    return paths


@pytest.fixture(scope="module")
def package():
    return magika.Magika()


@pytest.fixture(scope="module")
def served(tmp_path_factory, package):
    model = tmp_path_factory.mktemp("models") / "magika.onnx"
    shutil.copy2(package._model_path, model)  # a model's name is its file's
    one = Server(model, state=tmp_path_factory.mktemp("state"))
    yield one.wait_ready("magika")
    one.stop()


@pytest.fixture(scope="module")
def rows(files, package):
    """What the package itself feeds its model with, and what the model then says of the files, one
    by one and all together: (features, {1: scores, FILES: scores}). ONNX Runtime computes a row a
    little differently alone than among others, so that scores differ by up to 0.001."""
    found, config = [], package._model_config
    for path in files:
        result, features = package._get_result_or_features_from_path(path)
        assert result is None, f"{path} is told by rules, not by the model"
        found.append((path, features))
    given = [[*one.beg[:config.beg_size], *one.end[-config.end_size:]] for _, one in found]
    scores = {1: [package._get_raw_predictions([one])[0] for one in found], FILES: package._get_raw_predictions(found)}
    return np.array(given, np.int32), {count: np.array(one, np.float32) for count, one in scores.items()}


def agree(scores, expected, package):
    assert scores.shape == expected.shape == (FILES, len(package._target_labels_space))
    np.testing.assert_array_equal(scores.argmax(1), expected.argmax(1))
    np.testing.assert_allclose(scores, expected, rtol=0, atol=TOLERANCE)


def test_the_files_differ(rows, package):
    """The other tests would mean little if the model always said the same."""
    assert len(set(rows[1][1].argmax(1))) >= 15


def test_rest_json(served, rows, package):
    scores = []
    for row in rows[0]:
        asked = {"inputs": [{"name": "bytes", "datatype": "INT32", "shape": [1, len(row)], "data": row.tolist()}]}
        status, answer = served.infer("magika", asked)
        assert status == 200, answer
        scores.append(answer["outputs"][0]["data"])
    agree(np.array(scores, np.float32), rows[1][1], package)


@pytest.mark.parametrize("library", [tritonclient.http, tritonclient.grpc], ids=["rest-binary", "grpc"])
@pytest.mark.parametrize("together", [1, FILES], ids=["one-by-one", "together"])
def test_binary(served, rows, package, library, together):
    parts = []
    with library.InferenceServerClient(served.netloc) as client:
        for at in range(0, len(rows[0]), together):
            part = np.ascontiguousarray(rows[0][at:at + together])
            asked = library.InferInput("bytes", list(part.shape), "INT32")
            asked.set_data_from_numpy(part)
            parts.append(client.infer("magika", [asked]).as_numpy("target_label"))
    agree(np.concatenate(parts), rows[1][together], package)


def test_the_example_says_what_the_package_says(served, files, rows, package):
    """examples/file_type.py, as the README calls it."""
    spec = importlib.util.spec_from_file_location("file_type", EXAMPLE)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    config = example.find_config()
    features = np.array([example.features(path, config) for path in files], np.int32)
    np.testing.assert_array_equal(features, rows[0])


def test_the_example_as_a_program(served, tmp_path, package):
    script = tmp_path / "file_type.py"
    script.write_text(EXAMPLE.read_text().replace("127.0.0.1:8000", served.netloc))
    done = subprocess.run([sys.executable, script, "README.md", "examples/file_type.py"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = [re.fullmatch(r"(.*): (\S+) \((\d\.\d\d)\)", line).groups() for line in done.stdout.splitlines()]
    for name, label, score in lines:
        told = package.identify_path(Path(ROOT / name)).prediction
        assert (label, score) == (str(told.dl.label), f"{told.score:.2f}")
    assert [name for name, _, _ in lines] == ["README.md", "examples/file_type.py"]
