"""Models that are written in Python, through the wire."""
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as grpcclient

from support.processes import until
from support.python_models import ask, needs_python, tensor, write_python

pytestmark = needs_python

DOUBLE = """
    import numpy as np

    def predict(x: np.ndarray) -> np.ndarray:
        return x * 2
"""


def test_a_function_is_served(server, tmp_path):
    write_python(tmp_path, "double", DOUBLE)
    served = server(tmp_path).wait_ready("double")
    status, outputs = ask(served, "double", tensor("x", "FP32", [2, 2], [1, 2, 3, 4]))
    assert status == 200, outputs
    assert outputs["output"]["data"] == [2, 4, 6, 8] and outputs["output"]["shape"] == [2, 2]
    described = served.get("/v2/models/double")
    assert described["platform"] == "python"
    assert [(row["name"], row["datatype"]) for row in described["inputs"]] == [("x", "FP32")]


def test_over_grpc(server, tmp_path):
    write_python(tmp_path, "double", DOUBLE)
    served = server(tmp_path).wait_ready("double")
    client = grpcclient.InferenceServerClient(served.netloc)
    given = grpcclient.InferInput("x", [3, 5], "FP32")
    value = np.arange(15, dtype=np.float32).reshape(3, 5)
    given.set_data_from_numpy(value)
    answer = client.infer("double", [given]).as_numpy("output")
    assert np.array_equal(answer, value * 2)
    client.close()


def test_a_file_is_served(server, tmp_path):
    path = write_python(tmp_path, "any", DOUBLE) / "model.py"
    path = path.rename(tmp_path / "twice.py")
    served = server(path).wait_ready("twice")
    status, outputs = ask(served, "twice", tensor("x", "FP32", [1], [4]))
    assert status == 200 and outputs["output"]["data"] == [8]


def test_files_beside_it_can_be_imported(server, tmp_path):
    write_python(tmp_path, "beside", """
        import numpy as np
        from numbers_of_mine import FACTOR

        def predict(x: np.ndarray) -> np.ndarray:
            return x * FACTOR
    """, numbers_of_mine__py="FACTOR = 3\n")
    served = server(tmp_path).wait_ready("beside")
    status, outputs = ask(served, "beside", tensor("x", "FP32", [1], [4]))
    assert status == 200 and outputs["output"]["data"] == [12]


def interpreters():
    """Other Pythons of this machine, by their versions: those on PATH, and pyenv's."""
    found = {}
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for path in [*map(shutil.which, ("python3.10", "python3.12", "python3.13", "python3.14")), *root.glob("versions/3.*/bin/python3")]:
        code = "import sys; print(sys.executable, *sys.version_info[:2])"
        try:
            done = subprocess.run([path, "-I", "-c", code], capture_output=True, text=True) if path else None
        except OSError:
            continue
        if done and done.returncode == 0:
            program, major, minor = done.stdout.rsplit(" ", 2)
            found[int(major), int(minor)] = program
    return {version: path for version, path in found.items() if (3, 10) <= version != sys.version_info[:2]}


VERSION = """
    import sys

    def predict(x: list[float]) -> str:
        return f"{sys.version_info[:2]} {sum(x)}"
"""


def test_other_versions_of_python(server, tmp_path):
    """One build of the extension serves 3.11 and later; what is older is refused."""
    others = interpreters()
    if not others:
        pytest.skip("there is no other Python")
    write_python(tmp_path, "version", VERSION)
    for version, path in others.items():
        started = server(tmp_path, "--python", path)
        if version >= (3, 11):
            status, outputs = ask(started.wait_ready("version"), "version", tensor("x", "FP64", [2], [1, 2]))
            assert status == 200 and outputs["output"]["data"] == [f"{version} 3.0"]
        else:
            expected = f"the model's Python is cpython {version[0]}.{version[1]}"
            until(lambda: expected in started.fetch("/v2/repository/index", {}, method="POST")[2].decode(), 30, expected)
        started.stop()


def test_without_a_python(server, tmp_path):
    write_python(tmp_path, "double", DOUBLE)
    with pytest.raises(RuntimeError, match="there is no interpreter at '/no/such/python'"):
        server(tmp_path, "--python", "/no/such/python")


def test_calls_at_once(server, tmp_path):
    """Each of four waits until all have begun."""
    write_python(tmp_path, "together", """
        import threading
        import tensord

        meeting = threading.Barrier(4)

        @tensord.model(concurrency=4)
        def predict(x: int) -> int:
            meeting.wait(20)
            return x
    """)
    started = server(tmp_path).wait_ready("together")
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda i: ask(started, "together", tensor("x", "INT64", [1], [i])), range(4)))
    assert [outputs["output"]["data"] for _, outputs in answers] == [[0], [1], [2], [3]]
