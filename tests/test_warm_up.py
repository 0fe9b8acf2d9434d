"""Warm-ups: what a config has executed before the model serves."""
import json

import numpy as np
import pytest

from support import models
from support.processes import until
from support.python_models import ask, needs_python, tensor, write_python
from support.repositories import index, settle, tensor_config, write_config

START_S = 30

def warm_up(name="first", inputs=None, **fields):
    return {"name": name, "inputs": inputs or {}, **fields}


def given(datatype="FP32", dims=(4,), **data):
    return {"data_type": "TYPE_" + datatype.replace("BYTES", "STRING"), "dims": list(dims), **(data or {"zero_data": True})}


@pytest.fixture
def served(server, tmp_path):
    """served(model, warm_up, …, file=bytes) serves an ONNX model "m" that is warmed up so."""

    def start(model, *warm_ups, config=None, **files):
        made = tmp_path / "models" / "m"
        (made / "1").mkdir(parents=True)
        models.save(model, made / "1" / "model.onnx")
        (made / "model.yaml").write_text(json.dumps({"model_warmup": warm_ups, **(config or {})}))
        if files:
            (made / "warmup").mkdir()
        for name, content in files.items():
            (made / "warmup" / name).write_bytes(content)
        settle(made)
        return server(tmp_path / "models")

    return start


def reason(one):
    """Why the model does not serve."""
    until(lambda: index(one).get(("m", "1"), {}).get("state") == "UNAVAILABLE", START_S, "the failure")
    return index(one)["m", "1"]["reason"]


def test_it_is_executed_before_the_model_is_ready_and_counts_as_no_request(served):
    one = served(models.matmul(), warm_up("zeros", {"X": given()}, batch_size=3, count=5),
                 warm_up("numbers", {"X": given(random_data=True)})).wait_ready("m")
    assert one.err.wait_for('"model m:1","message":"ready"', START_S)
    said = [line["message"] for line in map(json.loads, one.err.text().splitlines()) if line.get("part") == "model m:1"]
    assert [line.split(" in ")[0] for line in said] == [
        "warm-up 'zeros': executed 5 times", "warm-up 'numbers': executed 1 times", "ready"]
    found = one.get("/v2/models/m/stats")["model_stats"][0]
    assert found["execution_count"] == found["inference_stats"]["success"]["count"] == 0
    config = one.get("/v2/models/m/config")
    assert [each["name"] for each in config["model_warmup"]] == ["zeros", "numbers"]


@pytest.mark.parametrize("rows", [1, 3])
def test_a_file_has_one_row_or_all(served, rows):
    data = np.arange(rows * 4, dtype=np.float32).tobytes()
    one = served(models.matmul(), warm_up("file", {"X": given(input_data_file="x.bin")}, batch_size=3), **{"x.bin": data})
    one.wait_ready("m")
    assert one.err.wait_for("warm-up 'file': executed 1 times", START_S)


def test_strings(served):
    file = b"\2\0\0\0ab"
    one = served(models.strings(), *(warm_up(name, {"INPUT": given("BYTES", [1], **data)}, batch_size=2) for name, data in (
        ("zero", {"zero_data": True}), ("random", {"random_data": True}), ("file", {"input_data_file": "s"}))), s=file)
    one.wait_ready("m")
    assert one.err.wait_for("warm-up 'file': executed 1 times", START_S)
    assert one.err.text().count("executed 1 times") == 3


@pytest.mark.parametrize("made, sentence", [
    (warm_up(inputs={"Y": given()}), "warm-up 'first': input 'Y' is none of the model's"),
    (warm_up(), "warm-up 'first': input 'X' is missing"),
    (warm_up(inputs={"X": given("FP64")}), "warm-up 'first': input 'X' is FP64, and the model takes FP32"),
    (warm_up(inputs={"X": given(dims=[5])}), "input 'X' is of shape [1,5], and the model takes [-1,4]"),
    (warm_up(inputs={"X": given()}, batch_size=65), "its 'batch_size' is 65, and the model takes 64"),
    (warm_up(inputs={"X": given(input_data_file="no")}), "warmup/no: it is named by input_data_file, and is not there"),
    (warm_up(inputs={"X": given(input_data_file="short")}), "has a file, 'warmup/short', whose 3 bytes do not fit"),
    (warm_up(inputs={"X": given(input_data_file="../model.yaml", dims=[4])}), "bytes do not fit"),
    (warm_up(inputs={"X": given(input_data_file="../../m.yaml", dims=[4])}), "warmup/../../m.yaml"),
    (warm_up(inputs={"X": given(dims=[-1])}), "'model_warmup' 'first', input 'X': dims are sizes, 1 or more"),
    (warm_up(inputs={"X": {"data_type": "TYPE_FP32", "dims": [4]}}), "give one of 'zero_data', 'random_data'"),
    (warm_up(inputs={"X": given()}, count=10001), "'count' is at most 10000"),
])
def test_what_is_wrong_fails_the_load_with_a_sentence(served, made, sentence):
    assert sentence in reason(served(models.matmul(), made, short=b"abc"))


def test_a_config_says_the_rows(served):
    config = {"max_batch_size": 0, "input": [tensor_config("X", "FP32", [2, 4])], "output": [tensor_config("Y", "FP32", [2, 4])]}
    one = served(models.matmul(), warm_up("whole", {"X": given(dims=[2, 4])}), config=config).wait_ready("m")
    assert one.err.wait_for("warm-up 'whole': executed 1 times", START_S)


@needs_python
def test_models_in_python(server, tmp_path):
    write_python(tmp_path / "models", "m", """
        seen = []

        def m(x: int) -> int:
            seen.append(x)
            return len(seen)
        """, """
        model_warmup:
        - {name: three, count: 3, inputs: {x: {data_type: TYPE_INT64, dims: [1], zero_data: true}}}
        """)
    settle(tmp_path / "models" / "m")
    one = server(tmp_path / "models").wait_ready("m")
    status, outputs = ask(one, "m", tensor("x", "INT64", [1], [1]))
    assert status == 200 and next(iter(outputs.values()))["data"][0] >= 4, outputs


@needs_python
def test_a_model_that_fails_says_why(server, tmp_path):
    write_python(tmp_path / "models", "m", """
        def m(x: int) -> int:
            return 1 // x
        """, """
        model_warmup:
        - {name: zero, inputs: {x: {data_type: TYPE_INT64, dims: [1], zero_data: true}}}
        """)
    settle(tmp_path / "models" / "m")
    said = reason(server(tmp_path / "models"))
    assert said.startswith("warm-up 'zero' failed: ") and "ZeroDivisionError" in said


def test_a_file_that_changes_loads_the_model_anew(served, tmp_path):
    one = served(models.matmul(), warm_up("file", {"X": given(input_data_file="x")}), x=b"abc")
    assert "do not fit" in reason(one)
    file = tmp_path / "models" / "m" / "warmup" / "x"
    new = file.with_name("new")
    new.write_bytes(bytes(16))
    new.replace(file)
    one.wait_ready("m")


def test_pipelines_and_servers_have_none(server, tmp_path):
    folder = tmp_path / "models"
    write_config(folder, "m", steps=[{"model": "n", "input": {"x": "x"}, "output": {"y": "y"}}],
                 model_warmup=[warm_up(inputs={"x": given()})])
    assert server(folder).err.wait_for("a pipeline excludes 'model_warmup': its steps' models have it", START_S)
