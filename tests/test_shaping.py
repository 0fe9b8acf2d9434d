"""Tensors that a model has otherwise than clients: `reshape`, ragged batches, `batch_input` and `batch_output`, of
models in ONNX and in Python."""
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from onnx import helper, numpy_helper

from support import models
from support.processes import until
from support.python_models import ask, needs_python, tensor, write_python
from support.repositories import index, settle, tensor_config

START_S = 30
LONG_US = 600_000_000  # nothing waits for so long
SPLIT = {"batch_output": [{"target_name": ["DOUBLE"], "source_input": ["VALUES"]}]}


def batch_input(name, kind, datatype="INT32", source="VALUES"):
    return {"kind": kind, "target_name": [name], "data_type": "TYPE_" + datatype, "source_input": [source]}


def save(folder, model, **config):
    """Writes model "m"."""
    made = folder / "models" / "m"
    (made / "1").mkdir(parents=True)
    models.save(model, made / "1" / "model.onnx")
    (made / "model.yaml").write_text(json.dumps(config))
    settle(made)
    return folder / "models"


def reason(one):
    """Why the model does not serve."""
    until(lambda: index(one).get(("m", "1"), {}).get("state") == "UNAVAILABLE", START_S, "the failure")
    return index(one)["m", "1"]["reason"]


# ---- reshape ----


def spread():
    """Y = X of each row, times [[1, 2], [3, 4]]: X has no dimension but the rows, Y two."""
    factors = numpy_helper.from_array(np.array([[[1, 2], [3, 4]]], np.float32), "factors")
    axes = numpy_helper.from_array(np.array([1, 2]), "axes")
    nodes = [helper.make_node("Unsqueeze", ["X", "axes"], ["wide"]), helper.make_node("Mul", ["wide", "factors"], ["Y"])]
    return models.model(nodes, [models.tensor("X", "FP32", ["rows"])], [models.tensor("Y", "FP32", ["rows", 2, 2])],
                        [factors, axes])


RESHAPED = {
    "max_batch_size": 8,
    "input": [{**tensor_config("X", dims=[1]), "reshape": {"shape": []}}],
    "output": [{**tensor_config("Y", dims=[4]), "reshape": {"shape": [2, 2]}}],
}


@pytest.mark.parametrize("client", [tritonclient.http, tritonclient.grpc], ids=["http", "grpc"])
def test_a_reshaped_model_has_the_clients_shapes_to_clients(server, tmp_path, client):
    one = server(save(tmp_path, spread(), **RESHAPED)).wait_ready("m")
    told = one.get("/v2/models/m")
    assert told["inputs"] == [{"name": "X", "datatype": "FP32", "shape": [-1, 1]}]
    assert told["outputs"] == [{"name": "Y", "datatype": "FP32", "shape": [-1, 4]}]
    wire = client.InferenceServerClient(one.netloc)
    given = client.InferInput("X", [3, 1], "FP32")
    given.set_data_from_numpy(np.array([[1], [10], [100]], np.float32))
    answer = wire.infer("m", [given]).as_numpy("Y")
    assert answer.tolist() == [[1, 2, 3, 4], [10, 20, 30, 40], [100, 200, 300, 400]]
    config = one.get("/v2/models/m/config")
    assert config["output"][0]["reshape"] == {"shape": [2, 2]} or config["output"][0]["reshape"] == {"shape": ["2", "2"]}


def test_the_models_own_shape_is_not_the_clients(server, tmp_path):
    one = server(save(tmp_path, spread(), **RESHAPED)).wait_ready("m")
    status, error = ask(one, "m", tensor("X", "FP32", [2], [1, 2]))
    assert (status, "Expected [-1,1], got [2]" in error) == (400, True), error


def test_reshaped_requests_are_joined(server, tmp_path):
    batching = {"preferred_batch_size": [3], "max_queue_delay_microseconds": LONG_US}
    one = server(save(tmp_path, spread(), **RESHAPED, dynamic_batching=batching)).wait_ready("m")
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda x: ask(one, "m", tensor("X", "FP32", [1, 1], [x])), [1, 2, 3]))
    assert [answer["Y"]["data"] for _, answer in answers] == [[1, 2, 3, 4], [2, 4, 6, 8], [3, 6, 9, 12]]
    assert [answer["Y"]["shape"] for _, answer in answers] == [[1, 4]] * 3
    assert one.get("/v2/models/m/stats")["model_stats"][0]["execution_count"] == 1


def test_what_is_of_any_size_is_carried_over(server, tmp_path):
    one = server(save(tmp_path, models.add(("rows", "n", 1, 2)), max_batch_size=4,
                      input=[{**tensor_config(name, dims=[-1, 2]), "reshape": {"shape": [-1, 1, 2]}} for name in "AB"],
                      output=[{**tensor_config("SUM", dims=[-1, 2]), "reshape": {"shape": [-1, 1, 2]}}])).wait_ready("m")
    values = list(range(6))
    _, answer = ask(one, "m", *(tensor(name, "FP32", [1, 3, 2], values) for name in "AB"))
    assert (answer["SUM"]["shape"], answer["SUM"]["data"]) == ([1, 3, 2], [2 * value for value in values])


def test_without_rows_the_whole_is_reshaped_and_requests_are_not_joined(server, tmp_path):
    config = {"input": [{**tensor_config(name, dims=[8]), "reshape": {"shape": [2, 4]}} for name in "AB"]}
    one = server(save(tmp_path, models.add(), **config)).wait_ready("m")
    _, answer = ask(one, "m", *(tensor(name, "FP32", [8], list(range(8))) for name in "AB"))
    assert answer["SUM"]["shape"] == [2, 4]  # this one the config leaves as it is
    assert index(one)["m", "1"]["batching"] == "not joined: the config reshapes, and has no max_batch_size"


def test_a_reshape_to_what_the_model_has_not_fails_the_load(server, tmp_path):
    config = {**RESHAPED, "input": [{**tensor_config("X", dims=[1]), "reshape": {"shape": [1, 1]}}]}
    assert "the config gives input 'X' the shape [-1,1,1], the model has [-1]" in reason(
        server(save(tmp_path, spread(), **config)))


def test_warm_ups_are_reshaped_too(server, tmp_path):
    zeros = {"name": "zeros", "batch_size": 2,
             "inputs": {"X": {"data_type": "TYPE_FP32", "dims": [1], "zero_data": True}}}
    one = server(save(tmp_path, spread(), **RESHAPED, model_warmup=[zeros])).wait_ready("m")
    assert one.err.wait_for("warm-up 'zeros': executed 1 times", START_S)


TURNED = """
    import numpy as np

    class Model:
        def predict(self, x: np.ndarray) -> np.ndarray:
            return x.transpose(0, 2, 1)
"""


@needs_python
def test_a_model_in_python_sees_its_own_shapes(server, tmp_path):
    write_python(tmp_path / "models", "m", TURNED, """
        max_batch_size: 4
        input: [{name: x, data_type: TYPE_FP32, dims: [4], reshape: {shape: [2, 2]}}]
        output: [{name: output, data_type: TYPE_FP32, dims: [4], reshape: {shape: [2, 2]}}]
    """)
    one = server(tmp_path / "models").wait_ready("m")
    _, answer = ask(one, "m", tensor("x", "FP32", [1, 4], [1, 2, 3, 4]))
    assert (answer["output"]["shape"], answer["output"]["data"]) == ([1, 4], [1, 3, 2, 4])


# ---- ragged batches ----


def ragged(datatype="INT32"):
    """A model of VALUES (all elements of a batch, in one row) and ENDS (how many there are up to each request's end,
    from 0 on). SUM: of each request's elements; DOUBLE: each element twice; COUNT, MOST, SHAPE: what the server says."""
    values = [models.tensor("VALUES", "FP32", ["total"]), models.tensor("ENDS", datatype, ["ends"]),
              models.tensor("COUNT", "FP32", ["requests"]), models.tensor("MOST", "FP32", ["most"]),
              models.tensor("SHAPE", "INT32", ["rows", 1])]
    constants = {"zero": np.zeros(1, np.float32), "none": np.array(0), "column": np.array([-1, 1]),
                 "first": np.array([0]), "second": np.array([1]), "last": np.array([-1]), "end": np.array([2**31 - 1]),
                 "two": np.float32(2), "one": np.array([1])}
    node = helper.make_node
    nodes = [
        node("CumSum", ["VALUES", "none"], ["sums"]),
        node("Concat", ["zero", "sums"], ["until"], axis=0),
        node("Slice", ["ENDS", "first", "last"], ["from"]),
        node("Slice", ["ENDS", "second", "end"], ["to"]),
        node("Gather", ["until", "from"], ["low"]),
        node("Gather", ["until", "to"], ["high"]),
        node("Sub", ["high", "low"], ["sum"]),
        node("Reshape", ["sum", "column"], ["SUM"]),
        node("Mul", ["VALUES", "two"], ["DOUBLE"]),
        node("Reshape", ["COUNT", "column"], ["COUNTS"]),
        node("Shape", ["MOST"], ["most_count"]),
        node("Shape", ["COUNT"], ["rows_count"]),
        node("Concat", ["rows_count", "one"], ["wide"], axis=0),
        node("Expand", ["most_count", "wide"], ["MOSTS"]),
        node("Identity", ["SHAPE"], ["SHAPES"]),
    ]
    outputs = [models.tensor("SUM", "FP32", ["requests", 1]), models.tensor("DOUBLE", "FP32", ["total"]),
               models.tensor("COUNTS", "FP32", ["requests", 1]), models.tensor("MOSTS", "INT64", ["requests", 1]),
               models.tensor("SHAPES", "INT32", ["rows", 1])]
    return models.model(nodes, values, outputs,
                        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()])


RAGGED = {
    "max_batch_size": 8,
    "input": [{**tensor_config("VALUES", dims=[-1]), "allow_ragged_batch": True}],
    "output": [tensor_config("SUM", dims=[1]), tensor_config("DOUBLE", dims=[-1]), tensor_config("COUNTS", dims=[1]),
               tensor_config("MOSTS", "INT64", dims=[1]), tensor_config("SHAPES", "INT32", dims=[1])],
    "batch_input": [batch_input("ENDS", "BATCH_ACCUMULATED_ELEMENT_COUNT_WITH_ZERO"),
                    batch_input("COUNT", "BATCH_ELEMENT_COUNT", "FP32"),
                    batch_input("MOST", "BATCH_MAX_ELEMENT_COUNT_AS_SHAPE", "FP32"),
                    batch_input("SHAPE", "BATCH_ITEM_SHAPE")],
    **SPLIT,
}
TOGETHER = {"dynamic_batching": {"preferred_batch_size": [3], "max_queue_delay_microseconds": LONG_US}}


def test_ragged_requests_run_as_one(server, tmp_path):
    one = server(save(tmp_path, ragged(), **RAGGED, **TOGETHER)).wait_ready("m")
    rows = [[1, 2, 3], [10], [100, 200]]
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda row: ask(one, "m", tensor("VALUES", "FP32", [1, len(row)], row)), rows))
    for row, (status, answer) in zip(rows, answers):
        assert status == 200, answer
        assert (answer["SUM"]["shape"], answer["SUM"]["data"]) == ([1, 1], [sum(row)])
        assert (answer["DOUBLE"]["shape"], answer["DOUBLE"]["data"]) == ([1, len(row)], [2 * value for value in row])
        assert answer["COUNTS"]["data"] == answer["SHAPES"]["data"] == [len(row)]
        assert answer["MOSTS"]["data"] == [3]
    stats = one.get("/v2/models/m/stats")["model_stats"][0]
    assert (stats["execution_count"], stats["inference_count"]) == (1, 3)


def test_one_request_alone_is_ragged_too(server, tmp_path):
    one = server(save(tmp_path, ragged(), **RAGGED)).wait_ready("m")
    _, answer = ask(one, "m", tensor("VALUES", "FP32", [1, 4], [1, 2, 3, 4]))
    assert answer["SUM"]["data"] == [10] and answer["MOSTS"]["data"] == [4]
    assert (answer["DOUBLE"]["shape"], answer["DOUBLE"]["data"]) == ([1, 4], [2, 4, 6, 8])


def test_clients_neither_see_nor_give_what_the_server_makes(server, tmp_path):
    one = server(save(tmp_path, ragged(), **RAGGED)).wait_ready("m")
    told = one.get("/v2/models/m")
    assert told["inputs"] == [{"name": "VALUES", "datatype": "FP32", "shape": [-1, -1]}]
    assert {each["name"]: each["shape"] for each in told["outputs"]}["DOUBLE"] == [-1, -1]
    status, error = ask(one, "m", tensor("VALUES", "FP32", [1, 1], [1]), tensor("ENDS", "INT32", [2], [0, 1]))
    assert (status, "unexpected inference input 'ENDS'" in error) == (400, True), error


def test_an_output_that_does_not_split_fails_the_request(server, tmp_path):
    config = {**RAGGED, "batch_output": [{"target_name": ["DOUBLE", "SUM"], "source_input": ["VALUES"]}]}
    config["output"] = [*config["output"][1:], tensor_config("SUM", dims=[-1])]
    one = server(save(tmp_path, ragged(), **config)).wait_ready("m")
    assert ask(one, "m", tensor("VALUES", "FP32", [1, 1], [7]))[0] == 200
    status, error = ask(one, "m", tensor("VALUES", "FP32", [1, 2], [7, 8]))
    assert (status, "another number of elements" in error) == (500, True), error


def test_what_the_server_makes_must_be_what_the_model_takes(server, tmp_path):
    one = server(save(tmp_path, ragged("INT64"), **RAGGED))
    assert "input 'ENDS' is INT32, the model that it is INT64" in reason(one)


def test_warm_ups_have_what_the_server_makes(server, tmp_path):
    some = {"name": "some", "batch_size": 1,
            "inputs": {"VALUES": {"data_type": "TYPE_FP32", "dims": [5], "random_data": True}}}
    one = server(save(tmp_path, ragged(), **RAGGED, model_warmup=[some])).wait_ready("m")
    assert one.err.wait_for("warm-up 'some': executed 1 times", START_S)


def together(one, datatype, rows, name="x"):
    """The answers to a request of one row for each of `rows`, sent at once, which ran as one."""
    with ThreadPoolExecutor(len(rows)) as pool:
        answers = list(pool.map(lambda row: ask(one, "m", tensor(name, datatype, [1, len(row)], row)), rows))
    assert [status for status, _ in answers] == [200] * len(rows), answers
    assert one.get("/v2/models/m/stats")["model_stats"][0]["execution_count"] == 1
    return [answer for _, answer in answers]


def test_strings_are_ragged(server, tmp_path):
    strings = models.model([helper.make_node("Identity", ["x"], ["y"])], [models.tensor("x", "BYTES", ["n"])],
                           [models.tensor("y", "BYTES", ["n"])])
    one = server(save(tmp_path, strings, max_batch_size=8, **TOGETHER,
                      input=[{**tensor_config("x", "BYTES"), "allow_ragged_batch": True}], output=[tensor_config("y", "BYTES")],
                      batch_output=[{"target_name": ["y"], "source_input": ["x"]}])).wait_ready("m")
    rows = [["a", "bc", ""], ["def"], ["g"] * 5]
    assert [answer["y"]["data"] for answer in together(one, "BYTES", rows)] == rows


CENTRED = """
    import numpy as np

    class Model:
        def predict(self, x: np.ndarray, ends: np.ndarray) -> np.ndarray:
            assert x.ndim == 1, x.shape
            return np.concatenate([part - part.mean() for part in np.split(x, ends[:-1])])
"""
CENTRED_CONFIG = f"""
    max_batch_size: 8
    input: [{{name: x, data_type: TYPE_FP32, dims: [-1], allow_ragged_batch: true}}]
    output: [{{name: output, data_type: TYPE_FP32, dims: [-1]}}]
    batch_input:
      - {{kind: BATCH_ACCUMULATED_ELEMENT_COUNT, target_name: [ends], data_type: TYPE_INT32, source_input: [x]}}
    batch_output: [{{target_name: [output], source_input: [x]}}]
    dynamic_batching: {{preferred_batch_size: [3], max_queue_delay_microseconds: {LONG_US}}}
"""


@needs_python
def test_a_model_in_python_is_given_ragged_batches(server, tmp_path):
    write_python(tmp_path / "models", "m", CENTRED, CENTRED_CONFIG)
    one = server(tmp_path / "models").wait_ready("m")
    answers = together(one, "FP32", [[1, 2, 3], [7], [4, 8]])
    assert [answer["output"]["data"] for answer in answers] == [[-1, 0, 1], [0], [-2, 2]]


LIST = """
    import numpy as np
    import triton_python_backend_utils as pb_utils

    class TritonPythonModel:
        def execute(self, requests):
            responses = []
            for request in requests:
                x = pb_utils.get_input_tensor_by_name(request, "x").as_numpy()
                assert x.ndim == 2, x.shape
                responses.append(pb_utils.InferenceResponse(output_tensors=[pb_utils.Tensor("y", -x)]))
            return responses
"""


@needs_python
def test_a_model_that_takes_requests_one_by_one_has_each_as_it_is(server, tmp_path):
    write_python(tmp_path / "models", "m", LIST, """
        backend: python
        max_batch_size: 8
        input: [{name: x, data_type: TYPE_FP32, dims: [-1], allow_ragged_batch: true}]
        output: [{name: y, data_type: TYPE_FP32, dims: [-1]}]
    """)
    one = server(tmp_path / "models").wait_ready("m")
    _, answer = ask(one, "m", tensor("x", "FP32", [1, 2], [1, 2]))
    assert (answer["y"]["shape"], answer["y"]["data"]) == ([1, 2], [-1, -2])


# ---- padding ----


def transformer():
    """OUT (rows, n): 10 times IDS plus MASK; SUM (rows, 1): the sum of a row, padding included; N: the n of the batch."""
    node = helper.make_node
    nodes = [node("Mul", ["IDS", "ten"], ["tens"]), node("Add", ["tens", "MASK"], ["OUT"]),
             node("ReduceSum", ["OUT", "axis"], ["SUM"], keepdims=1), node("Shape", ["IDS"], ["shape"]),
             node("Slice", ["shape", "one", "two"], ["width"]), node("Slice", ["shape", "zero", "one"], ["rows"]),
             node("Concat", ["rows", "one"], ["column"], axis=0), node("Expand", ["width", "column"], ["N"])]
    constants = {"ten": np.array(10), "axis": np.array([1]), "zero": np.array([0]), "one": np.array([1]),
                 "two": np.array([2])}
    return models.model(nodes, [models.tensor(name, "INT64", ["rows", "n"]) for name in ("IDS", "MASK")],
                        [models.tensor("OUT", "INT64", ["rows", "n"]), models.tensor("SUM", "INT64", ["rows", 1]),
                         models.tensor("N", "INT64", ["rows", 1])],
                        [numpy_helper.from_array(value, name) for name, value in constants.items()])


def padded(*paddings):
    return {"max_batch_size": 8, "scheduling": {"padding": list(paddings)}}


BOTH = {"input": ["IDS", "MASK"], "sizes": [4, 8], "output": ["OUT"]}


def both(ids, rows=1):
    return [tensor("IDS", "INT64", [rows, len(ids) // rows], ids),
            tensor("MASK", "INT64", [rows, len(ids) // rows], [1] * len(ids))]


def test_requests_of_several_sizes_are_padded_and_joined(server, tmp_path):
    one = server(save(tmp_path, transformer(), **padded(BOTH), **TOGETHER)).wait_ready("m")
    rows = [[1, 2, 3], [4], [5, 6]]
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda row: ask(one, "m", *both(row)), rows))
    for row, (status, answer) in zip(rows, answers):
        assert status == 200, answer
        out = [10 * each + 1 for each in row]
        assert (answer["OUT"]["shape"], answer["OUT"]["data"]) == ([1, len(row)], out)
        assert (answer["SUM"]["data"], answer["N"]["data"]) == ([sum(out)], [4])
    assert one.get("/v2/models/m/stats")["model_stats"][0]["execution_count"] == 1


@pytest.mark.parametrize("size, width", [(1, 4), (4, 4), (5, 8), (8, 8), (9, 9)])
def test_one_request_is_padded_to_the_least_size_that_is_enough(server, tmp_path, size, width):
    one = server(save(tmp_path, transformer(), **padded({**BOTH, "value": -1}))).wait_ready("m")
    ids = list(range(1, 2 * size + 1))
    _, answer = ask(one, "m", *both(ids, rows=2))
    assert answer["OUT"]["shape"] == [2, size]
    assert answer["OUT"]["data"] == [10 * each + 1 for each in ids]
    assert answer["N"]["data"] == [width, width]
    assert sum(answer["SUM"]["data"]) == sum(answer["OUT"]["data"]) - 11 * 2 * (width - size)


def test_inputs_that_are_padded_together_must_agree(server, tmp_path):
    one = server(save(tmp_path, transformer(), **padded(BOTH))).wait_ready("m")
    status, error = ask(one, "m", tensor("IDS", "INT64", [1, 3], [1, 2, 3]), tensor("MASK", "INT64", [1, 2], [1, 1]))
    assert (status, "'IDS' and 'MASK' of model 'm' must have the same size in dimension 1" in error) == (400, True), error


def test_an_output_that_is_not_as_long_as_its_input_is_not_cut(server, tmp_path):
    halves = models.model([helper.make_node("Concat", ["x", "x"], ["y"], axis=1)], [models.tensor("x", "FP32", ["rows", "n"])],
                          [models.tensor("y", "FP32", ["rows", "m"])])
    one = server(save(tmp_path, halves, **padded({"input": ["x"], "sizes": [4], "output": ["y"]}))).wait_ready("m")
    status, error = ask(one, "m", tensor("x", "FP32", [1, 3], [1, 2, 3]))
    assert (status, "has not the size to which its input was padded" in error) == (500, True), error


@pytest.mark.parametrize("padding, words", [
    ({"input": ["IDS"], "sizes": [4], "dim": 1}, "'IDS', which has no 'dim' 1 of any size"),
    ({"input": ["IDS"], "sizes": [4], "output": ["SUM"]}, "'SUM', which has no 'dim' 0 of any size"),
    ({"input": ["NONE"], "sizes": [4]}, "input 'NONE', which the model has not"),
    ({"input": ["IDS"], "sizes": [4], "value": 0.5}, "'IDS' of datatype INT64, which is not padded"),
])
def test_what_cannot_be_padded_fails_the_load(server, tmp_path, padding, words):
    assert words in reason(server(save(tmp_path, transformer(), **padded(padding))))


@needs_python
def test_a_model_in_python_is_padded(server, tmp_path):
    write_python(tmp_path / "models", "m", """
        import numpy as np

        class Model:
            def predict(self, x: np.ndarray) -> np.ndarray:
                assert x.shape[1] == 4, x.shape
                return x
    """, """
        max_batch_size: 8
        input: [{name: x, data_type: TYPE_FP32, dims: [-1]}]
        output: [{name: output, data_type: TYPE_FP32, dims: [-1]}]
        scheduling: {padding: [{input: [x], sizes: [4], output: [output]}]}
    """)
    one = server(tmp_path / "models").wait_ready("m")
    _, answer = ask(one, "m", tensor("x", "FP32", [2, 3], [1, 2, 3, 4, 5, 6]))
    assert (answer["output"]["shape"], answer["output"]["data"]) == ([2, 3], [1, 2, 3, 4, 5, 6])
