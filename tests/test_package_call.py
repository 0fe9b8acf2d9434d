"""The Python package calling models: through the wire, and against servers that misbehave."""
import asyncio
import pickle
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas
import pytest
from PIL import Image

import tensord
from support import models, pki
from support.server import ROOT
from tensord.client import arrays, datatypes
from tensord.client.datatypes import TensorInfo


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """One server with a model for each question."""
    from support.server import Server

    folder = tmp_path_factory.mktemp("models")
    made = {"add": models.add(), "echo": models.identity(), "matmul": models.matmul(), "dynamic": models.dynamic(),
            "text": models.identity("BYTES", ("batch",)), "column": models.strings(), "all": models.all_datatypes(),
            "pixels": models.identity("UINT8", ("height", "width", "channels")), "slow": models.slow(),
            "one": models.constant(1)}
    for name, model in made.items():
        models.save(model, folder / f"{name}.onnx")
    started = Server(folder, state=tmp_path_factory.mktemp("state"))
    for name in made:
        started.wait_ready(name)
    started.folder = folder
    yield started
    started.stop()


@pytest.fixture
def gpu(running):
    with tensord.connect(running.url) as connected:
        yield connected


# ---- what goes in and comes out ----


def test_arrays_come_back_as_arrays(gpu):
    x = np.random.default_rng(1).standard_normal((3, 4))  # of 64 bits; the model takes 32
    answer = gpu.model("matmul")(x)
    assert isinstance(answer, np.ndarray) and answer.dtype == np.float32
    np.testing.assert_allclose(answer, x.astype(np.float32) @ models.weights(), rtol=1e-5)
    answer[0, 0] = 7  # it is the caller's own


def test_lists_come_back_as_lists(gpu):
    assert gpu.model("echo")([[1, 2, 3, 4], [5, 6, 7, 8.5]]) == [[1, 2, 3, 4], [5, 6, 7, 8.5]]


def test_one_row_is_a_batch_of_one(gpu):
    echo = gpu.model("echo")
    assert echo([1, 2, 3, 4]) == [1, 2, 3, 4]
    assert echo(np.ones(4)).shape == (4,)
    assert echo(np.ones((1, 4))).shape == (1, 4)
    assert gpu.model("text")("hällo") == "hällo"
    assert gpu.model("column")(["a", "b"]) == [["a"], ["b"]]


def test_texts_are_texts_and_bytes_are_bytes(gpu):
    text = gpu.model("text")
    assert text(["a", "ü", ""]) == ["a", "ü", ""]
    assert text([b"\xff\0", b"a"]) == [b"\xff\0", b"a"]
    answer = text(np.array(["a", "b"]))
    assert answer.dtype == object and list(answer) == ["a", "b"]


def test_inputs_by_name_and_several_outputs(gpu):
    assert gpu.model("add")(A=[[1, 2, 3, 4]], B=np.ones((1, 4))).tolist() == [[2, 3, 4, 5]]
    assert gpu.model("add")({"A": [[1, 2, 3, 4]], "B": [[1, 1, 1, 1]]}) == [[2, 3, 4, 5]]
    answer = gpu.model("dynamic")(X=[[1, 2], [3, 4], [5, 6]])
    assert answer == {"TRANSPOSED": [[1, 3, 5], [2, 4, 6]], "TOTAL": 21}


def test_every_datatype_goes_there_and_back(gpu):
    every = gpu.model("all")
    given = {}
    for info in every.inputs:
        name = datatypes.numpy_name(info.datatype)
        given[info.name] = (np.array([["a", "b"]], object) if info.datatype == "BYTES"
                            else np.array([[1, 0]], name or "<f4"))
    answer = every(**given)
    for info in every.inputs:
        got = answer[info.name.replace("in_", "out_")]
        assert got.tolist() == given[info.name].tolist(), info
        if info.datatype not in ("BYTES", "BF16"):
            assert got.dtype == given[info.name].dtype
    assert answer["out_BF16"].dtype.name == "bfloat16"  # ml_dtypes is here
    plain = every(**{name: value.tolist() for name, value in given.items() if name != "in_BOOL"}, in_BOOL=[[True, False]])
    assert plain["out_INT8"] == [[1, 0]] and plain["out_BOOL"] == [[True, False]] and plain["out_BF16"] == [[1.0, 0.0]]


def test_pandas(gpu):
    table = pandas.DataFrame(np.arange(8.0).reshape(2, 4), index=["x", "y"])
    answer = gpu.model("echo")(table)
    assert isinstance(answer, pandas.DataFrame) and list(answer.index) == ["x", "y"]
    np.testing.assert_array_equal(answer.to_numpy(), table.to_numpy())
    words = gpu.model("text")(pandas.Series(["a", "b"], index=[5, 6]))
    assert isinstance(words, pandas.Series) and words[6] == "b"


def test_columns_of_a_table_are_the_inputs(tmp_path):
    infos = [TensorInfo("age", "FP32", (-1, 1)), TensorInfo("name", "BYTES", (-1, 1))]
    table = pandas.DataFrame({"name": ["a", "b"], "age": [1, 2], "other": [0, 0]})
    columns = arrays.column_inputs(table, infos)
    tensors = [arrays.encode(columns[info.name], info)[0] for info in infos]
    assert [tensor.shape for tensor in tensors] == [(2, 1), (2, 1)]
    assert arrays.column_inputs(table.drop(columns="age"), infos) is None


def test_images(gpu):
    image = Image.fromarray(np.arange(24, dtype=np.uint8).reshape(2, 4, 3))
    np.testing.assert_array_equal(gpu.model("pixels")(image), np.asarray(image))
    (png,) = gpu.model("text")([image])
    assert png.startswith(b"\x89PNG")


def test_the_kind_of_an_answer_can_be_chosen(gpu):
    assert isinstance(gpu.model("echo", returns="numpy")([1, 2, 3, 4]), np.ndarray)
    assert gpu.model("echo").with_options(returns="list")(np.zeros(4)) == [0, 0, 0, 0]
    with pytest.raises(ValueError, match="none of torch"):
        gpu.model("echo", returns="tuple")


def test_torch_tensors(running):
    """With Debian's torch, by an interpreter of its own."""
    script = (
        "import torch, tensord\n"
        f"gpu = tensord.connect({running.url!r})\n"
        "x = torch.arange(8.0).reshape(2, 4).requires_grad_()\n"
        "answer = gpu.model('echo')(x)\n"
        "assert isinstance(answer, torch.Tensor) and torch.equal(answer, x.detach())\n"
        "assert torch.equal(gpu.model('echo')([x[0], x[1]]), x.detach())\n"
        "from tensord.client.arrays import decode, encode\n"
        "from tensord.client.datatypes import TensorInfo\n"
        "half = x.detach().bfloat16()\n"
        "tensor, _ = encode(half, TensorInfo('x', 'BF16', (-1, 4)))\n"
        "tensor.data = bytearray(tensor.data)\n"
        "assert torch.equal(decode(tensor, 'torch'), half)\n"
    )
    for python in ("/usr/bin/python3", sys.executable):
        if Path(python).exists() and not subprocess.run([python, "-c", "import torch"], capture_output=True).returncode:
            subprocess.run([python, "-c", script], check=True, env={"PYTHONPATH": str(ROOT / "python")})
            return
    pytest.skip("no interpreter here has torch")


@pytest.mark.parametrize("value, sentence", [
    ("x", "takes FP32 and got text"),
    ([[1, 2], [3]], "different lengths"),
    ([1, [2]], "beside each other"),
    ([{"a": 1}], "holds dict"),
    (np.zeros((2, 3)), "Expected \\[-1,4\\], got \\[2,3\\]"),
])
def test_a_wrong_input_is_told(gpu, value, sentence):
    with pytest.raises(tensord.InvalidInput, match=sentence) as raised:
        gpu.model("echo")(value)
    assert raised.value.model == "echo" and "echo" in str(raised.value) and isinstance(raised.value, ValueError)


@pytest.mark.parametrize("value, datatype, sentence", [
    ([1.5], "INT32", "with a fraction"), (np.array([1.5]), "INT32", "convert it"), ([300], "UINT8", "does not fit"),
    (np.array([300]), "UINT8", "does not fit"), (np.array([-1]), "UINT64", "does not fit"), ([1], "BOOL", "numbers"),
    (np.array([1]), "BYTES", "text or bytes"), ([1], "BYTES", "text or bytes"), ([2**70], "INT64", "does not fit"),
])
def test_no_value_is_changed_behind_the_callers_back(value, datatype, sentence):
    with pytest.raises((TypeError, ValueError), match=sentence):
        arrays.encode(value, TensorInfo("x", datatype, (-1,)))


def test_inputs_that_are_not_there(gpu):
    with pytest.raises(tensord.InvalidInput, match="no input 'C'; it takes A FP32 \\[any, 4\\]; B"):
        gpu.model("add")(C=1)
    with pytest.raises(tensord.InvalidInput, match="name them: A=…, B=…"):
        gpu.model("add")([1, 2, 3, 4])
    with pytest.raises(tensord.InvalidInput, match="missing required input"):
        gpu.model("add")(A=[[1, 2, 3, 4]])


# ---- datatypes without numpy ----


@pytest.mark.parametrize("datatype", [name for name in datatypes.NAMES if datatypes.numpy_name(name) not in (None, "object")])
def test_plain_values_are_packed_as_numpy_does(datatype):
    values = [True, False, True] if datatype == "BOOL" else [0, 1, 100]
    if datatype in datatypes.FLOATS:
        values += [0.1, float("inf"), -2.5]
    expected = np.array(values, datatypes.numpy_name(datatype))
    packed = datatypes.pack(values, datatype)
    assert packed == expected.tobytes()
    assert datatypes.unpack(packed, datatype) == expected.tolist()


def test_bf16_is_rounded_as_others_round_it():
    import ml_dtypes

    values = [0.0, 1.0, 3.14159, -1e30, 1.00390625, 1.01171875, float("inf")]
    expected = np.array(values, np.float32).astype(ml_dtypes.bfloat16)
    assert datatypes.pack(values, "BF16") == expected.tobytes()
    tensor, _ = arrays.encode(np.array(values), TensorInfo("x", "BF16", (-1,)))
    assert bytes(tensor.data) == expected.tobytes()
    assert datatypes.unpack(datatypes.pack([float("nan")], "BF16"), "BF16")[0] != 0


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (2, 0), (0, 2), (1, 2, 3)])
def test_nested_lists(shape):
    expected = np.arange(int(np.prod(shape))).reshape(shape)
    assert datatypes.nest(expected.ravel().tolist(), shape) == expected.tolist()
    found = datatypes.shape_of(expected.tolist())
    assert datatypes.flatten(expected.tolist(), len(found)) == expected.ravel().tolist()


# ---- errors, time, threads ----


def test_errors_name_the_model(gpu):
    with pytest.raises(tensord.ModelNotFound, match="model 'nobody': Request for unknown model") as raised:
        gpu.model("nobody")(1)
    again = pickle.loads(pickle.dumps(raised.value))
    assert str(again) == str(raised.value) and again.model == "nobody" and isinstance(again, tensord.Error)


def test_an_answer_that_comes_too_late(gpu):
    known = gpu.model("slow")
    assert known.inputs  # asked while there is time
    slow = known.with_options(timeout_s=0.01)
    x = np.zeros((384, 384), np.float32)
    with pytest.raises(tensord.TimedOut, match="slow") as raised:
        slow(x)
    assert isinstance(raised.value, TimeoutError)
    assert gpu.model("slow")(x).shape == (384, 384)


def test_the_server_gives_up_when_the_client_does():
    scripted = Scripted(answer(INFOS), DONE)
    assert tensord.connect(scripted.url, timeout_s=5).model("m")(1.0) == 5
    assert b'"timeout":5000000' in scripted.bodies[1]


def test_many_calls_at_once_on_threads_and_in_a_loop(gpu):
    echo = gpu.model("echo")
    answers = [None] * 20

    def call(i):
        answers[i] = [echo([i, i, i, j])[3] for j in range(10)]

    threads = [threading.Thread(target=call, args=(i,)) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(answer == list(range(10)) for answer in answers)

    async def calls():
        return await asyncio.gather(*(echo.aio([i, 0, 0, 0]) for i in range(100)))

    assert [answer[0] for answer in asyncio.run(calls())] == list(range(100))


def test_a_cancelled_task_cancels_the_request(gpu):
    slow = gpu.model("slow")
    x = np.zeros((384, 384), np.float32)

    async def cancelled():
        slow.inputs
        many = [asyncio.ensure_future(slow.aio(x)) for _ in range(8)]
        await asyncio.sleep(0)
        for task in many:
            task.cancel()
        return await asyncio.gather(*many, return_exceptions=True)

    assert all(isinstance(one, asyncio.CancelledError) for one in asyncio.run(cancelled()))
    assert slow(x).shape == (384, 384)


def test_a_model_that_was_replaced_by_one_with_other_inputs(running, gpu):
    from support.processes import until

    path = running.folder / "changing.onnx"
    models.save(models.identity(shape=("batch", 2)), path)
    running.wait_ready("changing")
    changing = gpu.model("changing")
    assert changing([1, 2]) == [1, 2]
    models.save(models.identity("INT64", ("batch", 3)), path)
    until(lambda: gpu.model("changing").inputs[0].datatype == "INT64", 60, "replaced")
    assert changing([1, 2, 3]) == [1, 2, 3]


def test_a_token_is_wanted(server, repository, monkeypatch, tmp_path):
    monkeypatch.setenv("TENSORD_STATE_DIR", str(tmp_path))
    (tmp_path / "admin-token").write_text("that-of-another-server")
    strict = server(repository(echo=models.identity()), "--anonymous", "none").wait_ready("echo")
    with pytest.raises(tensord.Unauthorized, match="needs a token with the scope .*; give a token as token=…"):
        tensord.connect(strict.url).model("echo")([1, 2, 3, 4])
    with pytest.raises(tensord.Unauthorized):
        tensord.connect(strict.url, "wrong").model("echo")([1, 2, 3, 4])
    assert tensord.connect(strict.url, strict.admin_token).model("echo")([1, 2, 3, 4]) == [1, 2, 3, 4]


def test_the_users_own_server_needs_no_token(server, repository, monkeypatch):
    strict = server(repository(echo=models.identity()), "--anonymous", "none").wait_ready("echo")
    monkeypatch.setenv("TENSORD_STATE_DIR", str(strict.state_dir))
    assert tensord.connect(strict.url).model("echo")([1, 2, 3, 4]) == [1, 2, 3, 4]


def test_a_unix_socket(server, repository, tmp_path):
    path = tmp_path / "socket"
    server(repository(echo=models.identity()), "--listen", f"unix:{path}").wait_ready("echo")
    assert tensord.connect(f"unix:{path}").model("echo")([1, 2, 3, 4]) == [1, 2, 3, 4]


def test_tls(server, repository, tmp_path, monkeypatch):
    authority = pki.authority(tmp_path)
    secure = server(repository(echo=models.identity()), *pki.server(tmp_path, authority).flags)
    secure.context = pki.trusting(authority)
    secure.wait_ready("echo")
    assert secure.url.startswith("https://")
    with pytest.raises(tensord.ConnectionFailed, match="certificate of .* cannot be trusted: .*ca=FILE"):
        tensord.connect(secure.url).model("echo")([1, 2, 3, 4])
    assert tensord.connect(secure.url, ca=str(authority.certificate_path)).model("echo")([1, 2, 3, 4]) == [1, 2, 3, 4]
    monkeypatch.setenv("TENSORD_CA", str(authority.certificate_path))
    assert tensord.connect(secure.url).model("echo")([1, 2, 3, 4]) == [1, 2, 3, 4]


# ---- a server that misbehaves ----

INFOS = b'{"name":"m","versions":["1"],"platform":"p","inputs":[{"name":"x","datatype":"FP32","shape":[-1]}],"outputs":[{"name":"y","datatype":"FP32","shape":[-1]}]}'


class Scripted:
    """Answers the requests on one connection after the other with what it was told, and counts them."""

    def __init__(self, *answers):
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listening.getsockname()[1]}"
        self.answers, self.requests, self.bodies = list(answers), [], []
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while self.answers:
            connection, _ = self.listening.accept()
            with connection, connection.makefile("rb") as read:
                while self.answers and (line := read.readline()):
                    length = 0
                    while (field := read.readline()) not in (b"\r\n", b""):
                        if field.lower().startswith(b"content-length:"):
                            length = int(field.split(b":")[1])
                    self.bodies.append(read.read(length))
                    self.requests.append(line.split()[1].decode())
                    answer = self.answers.pop(0)
                    if answer is None:
                        break
                    connection.sendall(answer)
        self.listening.close()


def answer(body, status=b"200 OK", *fields):
    return b"\r\n".join([b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *fields, b"", body])


DONE = answer(b'{"outputs":[{"name":"y","datatype":"FP32","shape":[1],"data":[5]}]}')
BUSY = answer(b'{"error":"Exceeds maximum queue size"}', b"503 Unavailable", b"Retry-After: 0")


def test_what_was_not_begun_with_is_sent_again():
    scripted = Scripted(answer(INFOS), BUSY, BUSY, DONE)
    assert tensord.connect(scripted.url).model("m")(1.0) == 5
    assert scripted.requests == ["/v2/models/m", *["/v2/models/m/infer"] * 3]


def test_retries_end():
    scripted = Scripted(answer(INFOS), BUSY, BUSY)
    with pytest.raises(tensord.ModelUnavailable, match="Exceeds maximum queue size"):
        tensord.connect(scripted.url, retries=1).model("m")(1.0)


def test_what_may_have_run_is_not_sent_again():
    failed = answer(b'{"error":"it died"}', b"503 Unavailable")
    for wrong, error in ((None, tensord.ConnectionFailed), (failed, tensord.ModelUnavailable)):
        scripted = Scripted(answer(INFOS), wrong)
        with pytest.raises(error):
            tensord.connect(scripted.url).model("m")(1.0)
        assert len(scripted.requests) == 2


def test_a_question_is_asked_again_when_the_connection_breaks():
    scripted = Scripted(None, answer(INFOS))
    assert tensord.connect(scripted.url).model("m").inputs[0].name == "x"


def test_a_connection_that_the_server_has_closed_is_not_used():
    scripted = Scripted(answer(INFOS, b"200 OK", b"Connection: close"), DONE)
    model = tensord.connect(scripted.url).model("m")
    model.inputs
    assert model(1.0) == 5


def test_nobody_answers():
    with socket.socket() as silent:  # nobody else may listen there meanwhile
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        start = time.monotonic()
        with pytest.raises(tensord.ConnectionFailed, match=f"no server answers at http://127.0.0.1:{port}"):
            tensord.connect(f"127.0.0.1:{port}").model("m")(1)
        assert time.monotonic() - start > 0.1  # it was tried again


@pytest.mark.parametrize("body", [b"", b"[]", b'{"outputs":[{}]}', b'{"outputs":[{"name":"y","datatype":"FP32","shape":[1],'
                                  b'"parameters":{"binary_data_size":4}}]}'])
def test_an_answer_that_cannot_be_read(body):
    with pytest.raises(tensord.Error, match="the server's answer"):
        tensord.connect(Scripted(answer(INFOS), answer(body)).url).model("m")(1.0)


@pytest.mark.parametrize("url", ["ftp://x", "http://", "http://h:99999", "http://h/?a=b"])
def test_an_address_that_is_none(url):
    with pytest.raises(tensord.Error, match="is no address"):
        tensord.connect(url)


def test_addresses():
    for given, meant in {"gpu": "http://gpu:8000", "gpu:9": "http://gpu:9", "https://gpu": "https://gpu:443",
                         "http://[::1]:5/": "http://[::1]:5", "https://h/models/": "https://h:443/models"}.items():
        assert tensord.connect(given).url == meant
    with pytest.raises(tensord.Error, match="TENSORD_TOKEN"):
        tensord.connect("http://me:secret@host")


def part(head, tensors=b""):
    """One answer of a stream."""
    return len(head).to_bytes(4, "little") + head + tensors


def part_of(value):
    return part(b'{"outputs":[{"name":"y","datatype":"FP32","shape":[1],"parameters":{"binary_data_size":4}}]}', struct.pack("<f", value))


def test_streams_are_read_to_their_end():
    boom = part(b'{"error":"boom"}')
    late = part(b'{"error":"Request timeout expired"}')
    scripted = Scripted(answer(INFOS), answer(part_of(1.5) + part_of(2.5)), answer(part_of(3.5) + boom), answer(late))
    model = tensord.connect(scripted.url).model("m")
    assert list(model.stream(1.0)) == [1.5, 2.5]
    parts = model.stream(1.0)
    assert next(parts) == 3.5
    with pytest.raises(tensord.ModelError, match="model 'm': boom"):
        next(parts)
    with pytest.raises(tensord.TimedOut):
        list(model.stream(1.0))


@pytest.mark.parametrize("body", [part_of(1)[:-1], part_of(1)[:9], b"ab", part(b"{}"), part(b"[]"), part(b"x")])
def test_a_stream_that_cannot_be_read(body):
    with pytest.raises(tensord.Error, match="the server's answer"):
        list(tensord.connect(Scripted(answer(INFOS), answer(body)).url).model("m").stream(1.0))


def test_a_stream_is_refused_clearly_where_the_server_has_none():
    scripted = Scripted(answer(INFOS), answer(b'{"error":"Not Found"}', b"404 Not Found"))
    with pytest.raises(tensord.Error, match="cannot stream answers yet"):
        tensord.connect(scripted.url).model("m").stream(1.0)


# ---- the package itself ----


def test_importing_the_package_imports_nothing_else():
    script = "import sys; before = set(sys.modules); import tensord; tensord.connect('http://h'); " \
             "print(*({n.partition('.')[0] for n in set(sys.modules) - before} - set(sys.stdlib_module_names)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True,
                          env={"PYTHONPATH": str(ROOT / "python")})
    assert done.stdout.split() == ["tensord"]


def test_the_package_and_the_server_have_one_version():
    meson = (ROOT / "meson.build").read_text()
    assert f"version: '{tensord.__version__}'" in meson
    assert f'version = "{tensord.__version__}"' in (ROOT / "python" / "pyproject.toml").read_text()


def test_every_public_name_is_there():
    for name in tensord.__all__:
        assert getattr(tensord, name)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        tensord.nothing


def test_the_client_needs_no_newer_python_than_it_says(running):
    """Its text is that of 3.9, and it runs under every interpreter that is here."""
    import ast
    import shutil

    loaded = subprocess.run([sys.executable, "-c", "import sys, tensord\nfor name in tensord.__all__: getattr(tensord, name)\n"
                             "print(*(name for name in sys.modules if name.startswith('tensord.worker.')))"],
                            capture_output=True, text=True, env={"PYTHONPATH": str(ROOT / "python")}, check=True).stdout.split()
    texts = [ROOT / "python" / f"{name.replace('.', '/')}.py" for name in loaded]
    for folder in ("client", "commands"):
        texts += (ROOT / "python" / "tensord" / folder).glob("*.py")
    for path in texts:
        text = path.read_text()
        ast.parse(text, feature_version=(3, 9))
        assert "from __future__ import annotations" in text or "def " not in text, path
        assert "UnionType" not in [alias.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)
                                   for alias in node.names], path
    script = ("import importlib, pathlib, tensord\n"
              "for name in tensord.__all__: getattr(tensord, name)\n"
              "for path in pathlib.Path(tensord.__file__).parent.glob('c*/*.py'):\n"
              "    importlib.import_module(f'tensord.{path.parent.name}.{path.stem}'.replace('.__init__', ''))\n"
              f"print(tensord.connect({running.url!r}).model('echo')([1, 2, 3, 4]))")
    for name in ("pypy3", *(f"python3.{minor}" for minor in range(9, 16))):
        python = shutil.which(name)
        if python and not subprocess.run([python, "-c", ""], capture_output=True).returncode:
            ran = subprocess.run([python, "-c", script], capture_output=True, text=True, env={"PYTHONPATH": str(ROOT / "python")})
            assert ran.stdout == "[1.0, 2.0, 3.0, 4.0]\n", (python, ran.stderr)
