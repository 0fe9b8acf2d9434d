"""Models that are written in Python, through the wire."""
import numpy as np
import tritonclient.grpc as grpcclient

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
