"""Loads that bring the files of their model, by NVIDIA's clients, and what becomes of those files."""
import base64
import contextlib
import json
import os
from pathlib import Path

import numpy
import psutil
import pytest
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

from support import models, processes
from support.pushes import Pusher
from support.python_models import needs_python
from support.repositories import index, value

CONSTANT = json.dumps({"backend": "onnxruntime", "max_batch_size": 0})
PYTHON = json.dumps({"backend": "python", "max_batch_size": 0,
                     "input": [{"name": "X", "data_type": "TYPE_FP32", "dims": [1]}],
                     "output": [{"name": "Y", "data_type": "TYPE_FP32", "dims": [1]}]})
PYTHON_MODEL = b"""
import triton_python_backend_utils as pb_utils
import helper

class TritonPythonModel:
    def execute(self, requests):
        return [pb_utils.InferenceResponse([pb_utils.Tensor("Y", helper.add(
            pb_utils.get_input_tensor_by_name(request, "X").as_numpy()))]) for request in requests]
"""
HELPER = b"""
def add(values):
    return values + 40
"""


@pytest.fixture(params=[tritonclient.http, tritonclient.grpc], ids=["http", "grpc"])
def library(request):
    return request.param


def failure(call, *arguments, **named):
    with pytest.raises(InferenceServerException) as caught:
        call(*arguments, **named)
    return caught.value.status(), caught.value.message()


def constant(number):
    return models.constant(number).SerializeToString()


def folders(server):
    """Of loads' files, of all servers that have this state folder."""
    return sorted(path for path in (Path(server.state_dir) / "loads").glob("*/*"))


def test_a_model_is_served_from_the_files_of_a_load(server, repository, library):
    one = server(repository(m=models.constant(1)), "--anonymous", "admin")
    one.wait_ready("m")
    with library.InferenceServerClient(one.netloc) as client:
        client.load_model("m", config=CONSTANT, files={"file:3/model.onnx": constant(7)})
        assert value(one, "m") == 7
        processes.until(lambda: set(index(one)) == {("m", "3")})
        client.load_model("m", config=CONSTANT, files={"file:1/model.onnx": constant(8), "file:2/model.onnx": constant(9)})
        assert value(one, "m") == 9
        processes.until(lambda: set(index(one)) == {("m", "1"), ("m", "2")})
        client.load_model("m")
        assert value(one, "m") == 1
        processes.until(lambda: set(index(one)) == {("m", "1")})
    processes.until(lambda: not folders(one))


def test_a_model_that_the_repository_lacks(server, repository, library):
    one = server(repository(other=models.constant(1)), "--anonymous", "admin")
    one.wait_ready("other")
    with library.InferenceServerClient(one.netloc) as client:
        client.load_model("new", config="{}", files={"file:1/model.onnx": constant(5)})
        assert value(one, "new") == 5
        client.unload_model("new")
        processes.until(lambda: ("new", "1") not in index(one))
        status, message = failure(client.load_model, "new")
        assert "failed to poll from model repository" in message
        assert value(one, "other") == 1
    processes.until(lambda: not folders(one))


def test_a_load_that_fails_leaves_what_an_earlier_one_brought(server, repository, library):
    """Also where it has other versions, and where the repository has nothing of the model."""
    one = server(repository(m=models.constant(1)), "--anonymous", "admin")
    one.wait_ready("m")
    with library.InferenceServerClient(one.netloc) as client:
        client.load_model("m", config=CONSTANT, files={"file:2/model.onnx": constant(7), "file:5/model.onnx": constant(8)})
        client.load_model("new", config=CONSTANT, files={"file:1/model.onnx": constant(5)})
        for name, given in (("m", {"config": CONSTANT, "files": {"file:1/model.onnx": b"not a model"}}),
                            ("m", {"config": CONSTANT, "files": {"file:5/model.onnx": b"not a model"}}), ("new", {})):
            failure(client.load_model, name, **given)
            assert (value(one, "m"), value(one, "new")) == (8, 5)
            client.load_model("other", config=CONSTANT, files={"file:1/model.onnx": constant(3)})  # the repository is looked at
            assert (value(one, "m"), value(one, "new")) == (8, 5)
            assert {key for key in index(one) if key[0] != "other"} == {("m", "2"), ("m", "5"), ("new", "1")}
        client.load_model("m", config=CONSTANT, files={"file:1/model.onnx": constant(9)})
        assert value(one, "m") == 9
        client.unload_model("new")
        failure(client.load_model, "new")
        client.load_model("m")
        assert value(one, "m") == 1


@needs_python
def test_a_model_in_python_with_what_it_imports(server, repository, library):
    one = server(repository(), "--anonymous", "admin")
    with library.InferenceServerClient(one.netloc) as client:
        client.load_model("py", config=PYTHON, files={"file:1/model.py": PYTHON_MODEL, "file:1/helper.py": HELPER})
        values = library.InferInput("X", [1], "FP32")
        values.set_data_from_numpy(numpy.array([2], numpy.float32))
        assert client.infer("py", [values]).as_numpy("Y") == [42]


def test_code_takes_its_scope(server, repository, library):
    one = server(repository(m=models.constant(1)), "--anonymous", "deploy")
    one.wait_ready("m")
    command = json.dumps({"server": {"command": "/bin/true {port}"}})
    packages = json.dumps({"python": {"requirements": ["evil"]}})
    with library.InferenceServerClient(one.netloc) as client:
        for config, files in ((PYTHON, {"file:1/model.py": PYTHON_MODEL}), ("{}", {"file:1/model.pkl": b"\x80\x04."}),
                              (command, {"file:1/x": b""}), (packages, {"file:1/model.onnx": constant(2)})):
            status, message = failure(client.load_model, "m", config=config, files=files)
            assert status in ("403", "StatusCode.PERMISSION_DENIED") and "scope 'code'" in message, message
        assert value(one, "m") == 1
        client.load_model("m", config="{}", files={"file:1/model.onnx": constant(2)})  # data takes none
        assert value(one, "m") == 2


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../m/1/model.onnx", "1/../../x", "1//model.onnx", "1/model.onnx/",
                                  "1/./model.onnx", "1\\model.onnx", "1/a\nb", "1/" + "n" * 256, "a/" * 9 + "b",
                                  "config.pbtxt", "model.yaml", "1/config.pbtxt", "1/\x00"])
def test_paths_that_lead_elsewhere_are_refused(server, repository, library, path):
    one = server(repository(m=models.constant(1)), "--anonymous", "admin")
    one.wait_ready("m")
    with library.InferenceServerClient(one.netloc) as client:
        status, message = failure(client.load_model, "m", config="{}",
                                  files={"file:1/model.onnx": constant(2), f"file:{path}": b"x"})
        assert status in ("400", "StatusCode.INVALID_ARGUMENT"), message
        assert value(one, "m") == 1
    processes.until(lambda: not folders(one))


@pytest.mark.parametrize("leaves", [False, True])
def test_a_load_that_fails_takes_nothing_away_when_nobody_waits_for_it(server, repository, leaves):
    one = server(repository(m=models.constant(1), other=models.constant(1)), "--anonymous", "admin")
    one.wait_ready("m").wait_ready("other")
    slow = "import time\ntime.sleep(2)\nraise ValueError('no good')\ndef predict(x: int) -> int:\n    return x\n"
    bad = {"parameters": {"config": "{}", "file:3/model.py": base64.b64encode(slow.encode()).decode()}}
    if leaves:
        with contextlib.suppress(TimeoutError):
            one.fetch("/v2/repository/models/m/load", bad, timeout_s=1)
    else:
        assert one.fetch("/v2/repository/models/m/load", {**bad, "wait": False})[0] == 200
    processes.until(lambda: ("m", "3") in index(one))
    assert value(one, "m") == 1  # while it loads
    processes.until(lambda: ("m", "3") not in index(one))
    for _ in range(2):
        assert one.fetch("/v2/repository/models/other/load", {})[0] == 200  # the repository is looked at
        assert value(one, "m") == 1
    processes.until(lambda: not folders(one))


def test_what_is_wrong_is_said_and_changes_nothing(server, repository, library):
    one = server(repository(m=models.constant(1)), "--anonymous", "admin", "--max-push-files", 3)
    one.wait_ready("m")
    good = {"file:1/model.onnx": constant(2)}
    with library.InferenceServerClient(one.netloc) as client:
        client.load_model("m", config=CONSTANT, files={"file:1/model.onnx": constant(7)})
        for name, config, files, says in (
                ("m", None, good, "Load parameter 'config' must be specified"),
                ("m", json.dumps({"max_batch_sice": 1}), good, "the config of the load: "),
                ("m", "{", good, "the config of the load"),
                ("m", "x" * (1 << 18 | 1), good, "at most"),
                ("m", "{}", {"file:1/readme.txt": b"x"}, "no engine knows"),
                ("m", "{}", {"file:1/model.onnx": b"x", "file:1/model.onnx/y": b"x"}, "is a file and a folder"),
                ("m", "{}", {f"file:1/{i}.onnx": b"x" for i in range(4)}, "at most 3 files"),
                ("m", CONSTANT, {"file:1/model.onnx": b"not a model"}, "failed to load 'm'"),
                (".hidden", "{}", good, "does not start with a dot"),
                ("7", "{}", good, "not a number alone"),
        ):
            _, message = failure(client.load_model, name, config=config, files=files)
            assert says in message, message
            assert value(one, "m") == 7, says
        client.load_model("m")
        assert value(one, "m") == 1
    processes.until(lambda: not folders(one))


def test_it_may_bring_as_many_files_as_a_push(server, repository, library):
    one = server(repository(m=models.constant(1)), "--anonymous", "admin")
    one.wait_ready("m")
    files = {"file:1/model.onnx": constant(2), **{f"file:1/{i}": b"x" for i in range(9999)}}
    patience = {"network_timeout": 600, "connection_timeout": 600} if library is tritonclient.http else {}
    with library.InferenceServerClient(one.netloc, **patience) as client:
        client.load_model("m", config=CONSTANT, files=files)
        assert value(one, "m") == 2
        _, message = failure(client.load_model, "m", config=CONSTANT, files={**files, "file:1/another": b"x"})
        assert "a load brings at most 10000 files" in message


@pytest.mark.parametrize("content, says", [("%%%%", "not base64"), ("QUJ", None), ("QUJD=", "not base64"), (7, "string"),
                                           (None, "string"), ("QUJD" * 40000 + "=" + "QUJD", "not base64")])
def test_what_is_no_base64(server, repository, content, says):
    one = server(repository(m=models.constant(1)), "--anonymous", "admin")
    one.wait_ready("m")
    status, _, body = one.fetch("/v2/repository/models/m/load", {"parameters": {
        "config": "{}", "file:1/model.onnx": base64.b64encode(constant(2)).decode(), "file:1/other": content}})
    assert status == (400 if says else 200), body
    assert (says or "").encode() in body
    assert value(one, "m") == (1 if says else 2)


def test_a_long_one_is_read_on_a_thread(server, repository, library):
    one = server(repository(m=models.constant(1)), "--anonymous", "admin")
    one.wait_ready("m")
    with library.InferenceServerClient(one.netloc) as client:
        client.load_model("m", config=CONSTANT, files={"file:1/model.onnx": constant(4), "file:1/more": os.urandom(3 << 20)})
        assert value(one, "m") == 4
    made = next(Path(one.state_dir).glob("loads/*/*/models/m"))
    assert (made / "1/model.onnx").read_bytes() == constant(4)
    status, _, body = one.fetch("/v2/repository/models/m/load", b'{"parameters": {"config": "' + b"x" * (2 << 20))
    assert status == 400 and b"byte" in body


def test_their_bytes_are_bounded(server, repository, library):
    one = server(repository(m=models.constant(1)), "--anonymous", "admin", "--max-blobs-mib", 1)
    one.wait_ready("m")
    with library.InferenceServerClient(one.netloc) as client:
        half = {"file:1/model.onnx": constant(2), "file:1/more": bytes(600 << 10)}
        client.load_model("m", config=CONSTANT, files=half)
        status, message = failure(client.load_model, "other", config=CONSTANT, files=half)
        assert "as many bytes" in message
        client.unload_model("m")

        def load_other():  # what was removed counts until its folder is gone
            try:
                client.load_model("other", config=CONSTANT, files=half)
            except InferenceServerException as refusal:
                return "as many bytes" not in str(refusal)
            return True

        processes.until(load_other)
        assert value(one, "other") == 2


def test_an_unload_sticks(server, repository, library):
    """What the repository has of the model is no reason to load it again."""
    folder = repository(m=models.constant(1))
    one = server(folder, "--anonymous", "admin", "--rescan-ms", 100)
    one.wait_ready("m")
    with library.InferenceServerClient(one.netloc) as client:
        for given in ({"files": {"file:1/model.onnx": constant(2)}}, {}):
            client.load_model("m", config=CONSTANT, **given)
            client.unload_model("m")
            seen = processes.until(lambda: index(one).get(("m", "1"), {}).get("state") == "UNAVAILABLE")
            assert seen
            models.save(models.constant(3), folder / "new.onnx")  # others come, and are seen
            one.wait_ready("new")
            (folder / "new.onnx").unlink()
            processes.until(lambda: ("new", "1") not in index(one))
            assert index(one)["m", "1"]["state"] == "UNAVAILABLE"
        models.save(models.constant(6), folder / "m.onnx")  # but other files are
        processes.until(lambda: value(one, "m") == 6)


def test_an_unload_sticks_when_a_load_fails_after_it(server, repository, library):
    one = server(repository(m=models.constant(1)), "--anonymous", "admin")
    one.wait_ready("m")
    with library.InferenceServerClient(one.netloc) as client:
        client.unload_model("m")
        for number, given in enumerate(({"config": "{"}, {"config": CONSTANT, "files": {"file:1/model.onnx": b"not a model"}},
                                        {"config": CONSTANT, "files": {"file:2/model.onnx": b"not a model"}})):
            failure(client.load_model, "m", **given)
            client.load_model("other", config=CONSTANT, files={"file:1/model.onnx": constant(number)})  # the repository is looked at
            assert {state["state"] for key, state in index(one).items() if key[0] == "m"} == {"UNAVAILABLE"}
            assert value(one, "m") is None
        client.load_model("m")
        assert value(one, "m") == 1


def test_changes_in_the_repository_wait_for_the_next_load(server, repository, library):
    """A load's config goes on with other files of the model, and its files stay in their place."""
    folder = repository(m=models.constant(1))
    one = server(folder, "--anonymous", "admin", "--rescan-ms", 100)
    one.wait_ready("m")
    with library.InferenceServerClient(one.netloc) as client:
        client.load_model("m", config=json.dumps({"backend": "onnxruntime", "max_batch_size": 0, "parameters": {"a": {"string_value": "b"}}}))
        models.save(models.constant(2), folder / "m.onnx")
        processes.until(lambda: value(one, "m") == 2)
        assert "b" in one.fetch("/v2/models/m/config")[2].decode()
        client.load_model("m", config=CONSTANT, files={"file:1/model.onnx": constant(7)})
        models.save(models.constant(3), folder / "m.onnx")
        models.save(models.constant(3), folder / "new.onnx")
        one.wait_ready("new")
        assert value(one, "m") == 7
        client.load_model("m")
        assert value(one, "m") == 3


def test_they_do_not_outlast_the_server(server, repository, library):
    folder = repository(m=models.constant(1))
    one = server(folder, "--anonymous", "admin")
    one.wait_ready("m")
    with library.InferenceServerClient(one.netloc) as client:
        client.load_model("m", config=CONSTANT, files={"file:1/model.onnx": constant(7)})
    assert folders(one)
    one.stop()
    assert not list((Path(one.state_dir) / "loads").iterdir())


def test_what_a_killed_server_left_is_removed(server, repository, library):
    folder = repository(m=models.constant(1))
    one = server(folder, "--anonymous", "admin", "--state-dir", repository())
    one.wait_ready("m")
    with library.InferenceServerClient(one.netloc) as client:
        client.load_model("m", config=CONSTANT, files={"file:1/model.onnx": constant(7)})
    left = folders(one)
    assert left
    one.kill()
    two = server(folder, "--anonymous", "admin", "--state-dir", one.state_dir)
    two.wait_ready("m")
    assert value(two, "m") == 1
    processes.until(lambda: not folders(two))


def test_a_worker_that_dies_comes_back_with_them(server, repository, library):
    one = server(repository(m=models.constant(1)), "--anonymous", "admin")
    one.wait_ready("m")
    with library.InferenceServerClient(one.netloc) as client:
        client.load_model("m", config=CONSTANT, files={"file:1/model.onnx": constant(7)})
        for worker in processes.named(one.pid, "worker"):
            with contextlib.suppress(psutil.NoSuchProcess):  # it went with another
                worker.kill()
        processes.until(lambda: value(one, "m") == 7)


def test_a_push_counts_from_then_on(server, tmp_path):
    one = server(None, "--anonymous", "admin")
    pusher = Pusher(one)
    with tritonclient.http.InferenceServerClient(one.netloc) as client:
        pusher.push("m", {"model.onnx": constant(1)})
        one.wait_ready("m")
        for number in (2, 1, 1):  # the last two change nothing that lies there
            client.load_model("m", config=CONSTANT, files={"file:1/model.onnx": constant(7)})
            assert value(one, "m") == 7
            pusher.push("m", {"model.onnx": constant(number)}, version=1)
            processes.until(lambda number=number: value(one, "m") == number)
    processes.until(lambda: not folders(one))
