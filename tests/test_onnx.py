"""ONNX models of every kind, through the wire: what is served, and what is refused with a reason."""
import json
import os
import time

import ml_dtypes
import numpy as np
import pytest
import tritonclient.http as http
from onnx import TensorProto, helper, numpy_helper

from support import models, processes
from support.processes import until
from support.repositories import index, write_config
from support.server import SANITIZER_REPORT
from support.victim import LEAKS

DTYPES = {"BOOL": np.bool_, "UINT8": np.uint8, "UINT16": np.uint16, "UINT32": np.uint32, "UINT64": np.uint64,
          "INT8": np.int8, "INT16": np.int16, "INT32": np.int32, "INT64": np.int64, "FP16": np.float16,
          "FP32": np.float32, "FP64": np.float64}


def graph(nodes, inputs, outputs, initializers=(), opset=models.OPSET, domains=()):
    """A model that nobody has checked."""
    made = helper.make_graph(nodes, "graph", inputs, outputs, list(initializers))
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(name, 1) for name in domains)]
    return helper.make_model(made, opset_imports=opsets, ir_version=models.IR_VERSION)


def one_node(operator, inputs, outputs, names=("X", "Y"), **options):
    opset = options.pop("opset", models.OPSET)
    domain = options.get("domain")
    node = helper.make_node(operator, [names[0]], [names[1]], **options)
    return graph([node], inputs, outputs, opset=opset, domains=[domain] if domain else [])


def identity_of(onnx_type, opset=21):
    return one_node("Identity", [helper.make_tensor_value_info("X", onnx_type, [2])],
                    [helper.make_tensor_value_info("Y", onnx_type, [2])], opset=opset)


def external(**fields):
    """A model whose only weight, three floats, lies where the fields say."""
    weight = TensorProto(name="W", data_type=TensorProto.FLOAT, dims=[3], data_location=TensorProto.EXTERNAL)
    for key, text in {"offset": 0, "length": 12, **fields}.items():
        entry = weight.external_data.add()
        entry.key, entry.value = key, str(text)
    return graph([helper.make_node("Identity", ["W"], ["Y"])], [], [models.tensor("Y", "FP32", [3])], [weight])


def zip_map():
    made = one_node("ZipMap", [models.tensor("X", "FP32", ["b", 2])], [], domain="ai.onnx.ml", classlabels_int64s=[0, 1])
    numbers = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    made.graph.output.append(helper.make_value_info("Y", helper.make_sequence_type_proto(numbers)))
    return made


def optional_input():
    maybe = helper.make_optional_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, [2]))
    return one_node("OptionalHasElement", [helper.make_value_info("X", maybe)], [models.tensor("Y", "BOOL", [])])


def future_ir():
    made = one_node("Neg", [models.tensor("X", "FP32", [1])], [models.tensor("Y", "FP32", [1])])
    made.ir_version = 99
    return made


def floats(name, shape):
    return models.tensor(name, "FP32", shape)


# ---- refused ----

SEQUENCE = helper.make_tensor_sequence_value_info("Y", TensorProto.FLOAT, [2])
SEQUENCE_IN = helper.make_tensor_sequence_value_info("X", TensorProto.FLOAT, [2])

# name: (the model or its bytes, a part of the reason)
REFUSED = {
    "sequence_out": (one_node("SequenceConstruct", [floats("X", [2])], [SEQUENCE]), "output 'Y' is a sequence"),
    "sequence_in": (one_node("SequenceLength", [SEQUENCE_IN], [models.tensor("Y", "INT64", [])]), "input 'X' is a sequence"),
    "map_out": (zip_map(), "convert with options={'zipmap': False}"),
    "optional_type": (optional_input(), "input 'X' is of an optional type"),
    "custom": (models.missing_operator(), "nowhere:NoSuchOperator(-1) is not a registered function/op (libraries of custom"),
    "custom_of_microsoft": (one_node("Nope", [floats("X", [1])], [floats("Y", [1])], domain="com.microsoft"), "Nope(-1) is not"),
    "no_such_operator": (one_node("NoSuchOp", [floats("X", [1])], [floats("Y", [1])]), "No Op registered for NoSuchOp"),
    "float8": (identity_of(TensorProto.FLOAT8E4M3FN), "input 'X' has a datatype that the protocol has not"),
    "int4": (identity_of(TensorProto.INT4), "Could not find an implementation"),
    "complex64": (identity_of(TensorProto.COMPLEX64), "tensor(complex64) is not currently"),
    "rank": (one_node("Identity", [floats("X", [1] * 17)], [floats("Y", [1] * 17)]), "input 'X' has 17 dimensions, 16 are the most"),
    "nothing_in_it": (b"", "No graph was found"),
    "text": (b"hello world\n", "Protobuf parsing failed"),
    "future_ir": (future_ir(), "Unsupported model IR version: 99"),
    "future_opset": (one_node("Neg", [floats("X", [1])], [floats("Y", [1])], opset=99), "Opset 99 is under development"),
    "name_is_no_text": (models.identity().SerializeToString().replace(b"INPUT", b"INP\xff\xfe"),
                        "the name of input 0 is not UTF-8"),
    "name_is_long": (one_node("Neg", [floats("X" * 5000, [1])], [floats("Y", [1])], ("X" * 5000, "Y")),
                     "the name of input 0 is longer than 4096 bytes"),
    "data_above": (external(location="../secret.bin"), "External data path escapes model directory"),
    "data_elsewhere": (external(location="/etc/hostname"), "Absolute path not allowed"),
    "data_gone": (external(location="gone.bin"), "External data path does not exist"),
    "data_short": (external(location="short.bin"), "out of bounds"),
    "data_lies": (external(location="short.bin", length=1 << 60), "external data size mismatch"),
    "data_wraps": (external(location="short.bin", offset=(1 << 64) - 8), ""),
    "data_negative": (external(location="short.bin", offset=-8), ""),
}


# Tensor memory reserves address space for each model, of which ThreadSanitizer leaves little for so many.
LITTLE_MEMORY = ("--memory-limit-mib", "64")


@pytest.fixture(scope="module")
def refused(tmp_path_factory):
    """A server with all of them in one folder, each in one of its own, and one good model."""
    from support.server import Server

    folder = tmp_path_factory.mktemp("refused")
    for name, (made, _) in REFUSED.items():
        (folder / name).mkdir()
        (folder / name / "short.bin").write_bytes(b"\0" * 5)
        (folder / name / "model.onnx").write_bytes(made if isinstance(made, bytes) else made.SerializeToString())
    (folder / "secret.bin").write_bytes(bytes(12))
    models.save(models.constant(1), folder / "good.onnx")
    # What no file should be.
    for name in ("fifo", "sparse", "sparse_tail", "device", "folder", "two", "fifo_data"):
        (folder / name).mkdir()
    os.mkfifo(folder / "fifo/model.onnx")
    (folder / "fifo/model.yaml").write_text("")
    with open(folder / "sparse/model.onnx", "wb") as file:
        file.truncate(1 << 40)
    (folder / "sparse_tail/model.onnx").write_bytes(models.matmul().SerializeToString())
    os.truncate(folder / "sparse_tail/model.onnx", 1 << 40)
    (folder / "device/model.onnx").symlink_to("/dev/zero")
    (folder / "folder/model.onnx").mkdir()
    for name in ("two/a.onnx", "two/b.onnx", "fifo_data/model.onnx"):
        (folder / name).write_bytes(external(location="data.bin").SerializeToString())
    os.mkfifo(folder / "fifo_data/data.bin")
    started = Server(folder, *LITTLE_MEMORY, state=tmp_path_factory.mktemp("state"))
    started.wait_ready("good")
    yield started
    started.stop()


def reason(server, name):
    """Why the model failed; waits until it has."""
    until(lambda: index(server).get((name, "1"), {}).get("state") == "UNAVAILABLE", 120, f"'{name}' to fail")
    return index(server)[name, "1"]["reason"]


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_served_is_refused_with_the_reason(refused, name):
    said = reason(refused, name)
    assert said and REFUSED[name][1] in said
    assert not LEAKS.search(said) and ".cc:" not in said and "::" not in said, said


@pytest.mark.parametrize("name, said", [
    ("fifo", "'model.onnx' among the model's files is neither a file nor a folder"),
    ("device", "'model.onnx' among the model's files is neither a file nor a folder"),
    ("fifo_data", "'data.bin' among the model's files is neither a file nor a folder"),
    ("sparse", "it does not fit into memory: it needs 2097216 MiB (going by its files)"),
    ("sparse_tail", "it does not fit into memory: it needs 2097216 MiB (going by its files)"),
    ("folder", "The model path is a directory."),
    ("two", "there is no model.onnx, and not exactly one other *.onnx: name it by default_model_filename in the config"),
])
def test_what_is_no_model_file_is_refused_with_the_reason(refused, name, said):
    assert reason(refused, name).startswith(said)


def test_the_server_is_well_after_all_that(refused):
    for name in REFUSED:
        reason(refused, name)
    assert refused.fetch("/v2/health/ready")[0] == 200
    assert len(processes.named(refused.pid, "worker")) == 1
    assert not SANITIZER_REPORT.search(refused.err.text())
    status, _, body = refused.fetch("/v2/models/text/infer", {"inputs": []})
    assert status == 503 and "Protobuf parsing failed" in json.loads(body)["error"]


# ---- served ----


def no_inputs():
    values = numpy_helper.from_array(np.array([1, 2, 3], np.float32), "values")
    return graph([helper.make_node("Identity", ["values"], ["Y"])], [], [floats("Y", [3])], [values])


def bfloat16():
    return one_node("Identity", [models.tensor("X", "BF16", ["n"])], [models.tensor("Y", "BF16", ["n"])])


def branches():
    """Y = -X when FLAG, else X: subgraphs, which see the outer graph's values."""
    then = helper.make_graph([helper.make_node("Neg", ["X"], ["t"])], "then", [], [floats("t", ["n"])])
    other = helper.make_graph([helper.make_node("Identity", ["X"], ["e"])], "else", [], [floats("e", ["n"])])
    node = helper.make_node("If", ["FLAG"], ["Y"], then_branch=then, else_branch=other)
    return graph([node], [floats("X", ["n"]), models.tensor("FLAG", "BOOL", [])], [floats("Y", ["n"])])


def nonzero():
    """An output whose shape depends on the data."""
    return one_node("NonZero", [floats("X", ["n"])], [models.tensor("Y", "INT64", [1, "k"])])


SERVED = {
    "no_inputs": no_inputs(),
    "scalar": one_node("Neg", [floats("X", [])], [floats("Y", [])]),
    "matmul": models.matmul(),
    "dynamic": models.dynamic(),
    "bfloat16": bfloat16(),
    "branches": branches(),
    "nonzero": nonzero(),
    "optional": models.optional(),
    "types": models.all_datatypes(),
    "strings": models.strings(("n", "m")),
    "sixteen": one_node("Identity", [floats("X", [None] * 16)], [floats("Y", [None] * 16)]),
}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    from support.server import Server

    folder = tmp_path_factory.mktemp("served")
    for name, made in SERVED.items():
        (folder / f"{name}.onnx").write_bytes(made.SerializeToString())
        os.utime(folder / f"{name}.onnx", (1, 1))
    started = Server(folder, *LITTLE_MEMORY, state=tmp_path_factory.mktemp("state"))
    for name in SERVED:
        started.wait_ready(name)
    yield started
    started.stop()


@pytest.fixture
def client(served):
    with http.InferenceServerClient(served.netloc) as made:
        yield made


def call(client, model, datatypes=None, **arrays):
    inputs = []
    for name, array in arrays.items():
        datatype = (datatypes or {}).get(name) or next((key for key, dtype in DTYPES.items() if dtype == array.dtype), "BYTES")
        inputs.append(http.InferInput(name, list(array.shape), datatype))
        inputs[-1].set_data_from_numpy(array)
    return client.infer(model, inputs)


def test_a_model_without_inputs(served, client):
    assert served.get("/v2/models/no_inputs")["inputs"] == []
    assert call(client, "no_inputs").as_numpy("Y").tolist() == [1, 2, 3]
    status, body = served.infer("no_inputs", {"inputs": []})
    assert status == 200 and body["outputs"][0]["data"] == [1, 2, 3]


def test_scalars(served, client):
    assert served.get("/v2/models/scalar")["inputs"] == [{"name": "X", "datatype": "FP32", "shape": []}]
    answer = call(client, "scalar", X=np.array(2.5, np.float32)).as_numpy("Y")
    assert answer.shape == () and answer == -2.5
    status, body = served.infer("scalar", {"inputs": [{"name": "X", "datatype": "FP32", "shape": [], "data": [2]}]})
    assert status == 200 and body["outputs"][0]["shape"] == [] and body["outputs"][0]["data"] == [-2]


def test_tensors_of_no_elements(client):
    assert call(client, "matmul", X=np.zeros((0, 4), np.float32)).as_numpy("Y").shape == (0, 4)
    answer = call(client, "dynamic", X=np.zeros((3, 0), np.float32))
    assert answer.as_numpy("TRANSPOSED").shape == (0, 3) and answer.as_numpy("TOTAL") == 0


def test_symbolic_dimensions(served, client):
    assert served.get("/v2/models/dynamic")["outputs"][0]["shape"] == [-1, -1]
    for shape in ((1, 1), (2, 3), (7, 5), (3, 2)):
        x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
        assert (call(client, "dynamic", X=x).as_numpy("TRANSPOSED") == x.T).all()


def test_outputs_whose_shape_depends_on_the_data(client):
    for x in ([0, 1, 0, 2], [0, 0], [1, 1, 1]):
        assert call(client, "nonzero", X=np.array(x, np.float32)).as_numpy("Y").tolist() == [list(np.flatnonzero(x))]


def test_subgraphs(client):
    x = np.array([1, -2], np.float32)
    for flag in (True, False):
        assert call(client, "branches", X=x, FLAG=np.array(flag)).as_numpy("Y").tolist() == (-x if flag else x).tolist()


def test_bfloat16_keeps_its_bits(client):
    x = np.array([0x3F80, 0x7FC0, 0x8000, 0x0001], np.uint16).view(ml_dtypes.bfloat16)
    answer = call(client, "bfloat16", {"X": "BF16"}, X=x).as_numpy("Y")
    assert answer.view(np.uint16).tolist() == x.view(np.uint16).tolist()


def test_every_datatype_at_its_limits(client):
    values = {}
    for name, dtype in DTYPES.items():
        if name == "BOOL":
            values[name] = [False, True]
        else:
            info = np.finfo(dtype) if name.startswith("FP") else np.iinfo(dtype)
            values[name] = [info.min, info.max]
    arrays = {f"in_{name}": np.array([given], DTYPES[name]) for name, given in values.items()}
    arrays["in_BYTES"] = np.array([[b"", b"\x00\xff" * 1000]], np.object_)
    arrays["in_BF16"] = np.array([[1.5, -2]], ml_dtypes.bfloat16)
    answer = call(client, "types", {"in_BF16": "BF16"}, **arrays)
    for name, array in arrays.items():
        assert (answer.as_numpy(name.replace("in_", "out_")) == array).all(), name


def test_strings_of_many_shapes(client):
    for shape in ((0, 3), (1, 1), (3, 2)):
        texts = np.array([f"text {i} ü".encode() * i for i in range(int(np.prod(shape)))], np.object_).reshape(shape)
        answer = call(client, "strings", INPUT=texts).as_numpy("OUTPUT")
        assert answer.shape == shape and (answer == texts).all()


def test_optional_inputs(client):
    x = np.ones((2, 2), np.float32)
    assert call(client, "optional", X=x).as_numpy("Y").tolist() == [[11, 21], [11, 21]]
    assert call(client, "optional", X=x, BIAS=np.array([1, 2], np.float32)).as_numpy("Y").tolist() == [[2, 3], [2, 3]]


def test_as_many_dimensions_as_there_may_be(client):
    x = np.arange(4, dtype=np.float32).reshape([2, 2] + [1] * 14)
    assert call(client, "sixteen", X=x).as_numpy("Y").shape == x.shape


def test_a_config_gives_a_rank_that_the_model_leaves_open(server, tmp_path):
    made = one_node("Identity", [helper.make_tensor_value_info("X", TensorProto.FLOAT, None)],
                    [helper.make_tensor_value_info("Y", TensorProto.FLOAT, None)])
    shape = {"data_type": "TYPE_FP32", "dims": [-1, -1]}
    write_config(tmp_path, "m", input=[{"name": "X", **shape}], output=[{"name": "Y", **shape}])
    (tmp_path / "m/model.onnx").write_bytes(made.SerializeToString())
    running = server(tmp_path / "m").wait_ready("m")
    assert running.get("/v2/models/m")["inputs"][0]["shape"] == [-1, -1]
    with http.InferenceServerClient(running.netloc) as client:
        for shape in ((2, 3), (3, 1), (0, 2)):
            x = np.ones(shape, np.float32)
            assert call(client, "m", X=x).as_numpy("Y").shape == shape


def test_how_many_run_at_once_is_as_the_config_says(server, tmp_path):
    """Or what is learned, of as many as there are processors."""
    models.save(models.slow(10), tmp_path / "learned" / "model.onnx")
    write_config(tmp_path, "said", instance_group=[{"count": 3, "kind": "KIND_CPU"}])
    models.save(models.slow(10), tmp_path / "said" / "model.onnx")
    served = server(tmp_path).wait_ready("learned").wait_ready("said")
    rows = {row["name"]: row for row in json.loads(served.fetch("/tensord/v1/models")[2])["models"]}
    assert rows["said"]["slots"] == 3
    assert 1 <= rows["learned"]["slots"] <= min(4, len(os.sched_getaffinity(0)))


def test_idle_workers_take_no_time(served, client):
    """Threads of ONNX Runtime sleep while there is nothing to do; so does everybody else."""
    for name in ("matmul", "dynamic"):
        call(client, name, X=np.ones((4, 4), np.float32))
    workers = processes.named(served.pid, "worker")
    until(lambda: all(worker.status() == "sleeping" for worker in workers), 60)
    before = sum(sum(worker.cpu_times()[:2]) for worker in workers)
    time.sleep(2)  # nothing is to happen, so there is nothing to wait for
    assert sum(sum(worker.cpu_times()[:2]) for worker in workers) - before <= 0.1


def test_the_log_has_nothing_to_warn_of(served):
    """Above all not ONNX Runtime's telemetry, which from 1.32 on wants to keep a device's id."""
    lines = [line for line in served.err.seen if '"warning"' in line or '"error"' in line]
    assert not [line for line in lines if '"part":"model optional:1"' not in line]
