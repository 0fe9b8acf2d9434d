"""Small ONNX models, made on the spot.

Each function returns a model; `save` writes it into a folder. Opset and IR version are old enough
for ONNX Runtime 1.19.
"""
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 18
IR_VERSION = 9

# The protocol's datatypes and ONNX's.
DATATYPES = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BF16": TensorProto.BFLOAT16,
    "BYTES": TensorProto.STRING,
}


def tensor(name, datatype, shape):
    """Describes an input or output; a text in the shape is a symbolic dimension, None an unknown one."""
    return helper.make_tensor_value_info(name, DATATYPES[datatype], shape)


def model(nodes, inputs, outputs, initializers=(), opset=OPSET, domains=()):
    """A checked model of these nodes."""
    graph = helper.make_graph(list(nodes), "graph", inputs, outputs, list(initializers))
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(name, 1) for name in domains)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    if not domains:
        onnx.checker.check_model(made)
    return made


def save(made, path, external_data=False):
    """Writes the model to path, making its folder; with external_data the weights go to NAME.data."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if external_data:
        onnx.save_model(made, path, save_as_external_data=True, location=path.stem + ".data", size_threshold=0)
    else:
        # Renamed in, so that a server that watches the folder sees a whole file.
        part = path.with_suffix(".part")
        onnx.save_model(made, part)
        part.rename(path)
    return path


def add(shape=("batch", 4), datatype="FP32"):
    """SUM = A + B; rows do not see each other."""
    inputs = [tensor(name, datatype, shape) for name in ("A", "B")]
    return model([helper.make_node("Add", ["A", "B"], ["SUM"])], inputs, [tensor("SUM", datatype, shape)])


def matmul(rows="batch", width=4, seed=1):
    """Y = X @ W with fixed W; weights(width, seed) tells W."""
    inputs, outputs = [tensor("X", "FP32", [rows, width])], [tensor("Y", "FP32", [rows, width])]
    weight = numpy_helper.from_array(weights(width, seed), "W")
    return model([helper.make_node("MatMul", ["X", "W"], ["Y"])], inputs, outputs, [weight])


def weights(width=4, seed=1):
    """The W of matmul, (width, width)."""
    return np.random.default_rng(seed).standard_normal((width, width)).astype(np.float32)


def constant(value, shape=(1,)):
    """Y = the value, whatever X is: tells versions of a model apart."""
    filled = numpy_helper.from_array(np.full(shape, value, np.float32), "value")
    zero = numpy_helper.from_array(np.zeros(1, np.float32), "zero")
    nodes = [helper.make_node("Mul", ["X", "zero"], ["nothing"]), helper.make_node("Add", ["nothing", "value"], ["Y"])]
    return model(nodes, [tensor("X", "FP32", shape)], [tensor("Y", "FP32", shape)], [filled, zero])


def identity(datatype="FP32", shape=("batch", 4)):
    """OUTPUT = INPUT, of any datatype."""
    nodes = [helper.make_node("Identity", ["INPUT"], ["OUTPUT"])]
    return model(nodes, [tensor("INPUT", datatype, shape)], [tensor("OUTPUT", datatype, shape)])


def all_datatypes(shape=("batch", 2)):
    """Inputs in_BOOL, in_UINT8, … come back as out_BOOL, out_UINT8, …"""
    nodes = [helper.make_node("Identity", ["in_" + name], ["out_" + name]) for name in DATATYPES]
    inputs = [tensor("in_" + name, name, shape) for name in DATATYPES]
    return model(nodes, inputs, [tensor("out_" + name, name, shape) for name in DATATYPES])


def strings(shape=("batch", 1)):
    """OUTPUT = INPUT, BYTES."""
    return identity("BYTES", shape)


def dynamic():
    """Every dimension is free: TRANSPOSED = Xᵀ, TOTAL = the sum of all."""
    nodes = [
        helper.make_node("Transpose", ["X"], ["TRANSPOSED"], perm=[1, 0]),
        helper.make_node("ReduceSum", ["X"], ["TOTAL"], keepdims=0),
    ]
    outputs = [tensor("TRANSPOSED", "FP32", ["columns", "rows"]), tensor("TOTAL", "FP32", [])]
    return model(nodes, [tensor("X", "FP32", ["rows", "columns"])], outputs)


def mixes_rows():
    """Looks batchable by its shapes and is not: from each row the mean of all rows is taken away."""
    nodes = [
        helper.make_node("ReduceMean", ["X", "axes"], ["mean"], keepdims=1),
        helper.make_node("Sub", ["X", "mean"], ["Y"]),
    ]
    axes = numpy_helper.from_array(np.array([0], np.int64), "axes")
    return model(nodes, [tensor("X", "FP32", ["batch", 4])], [tensor("Y", "FP32", ["batch", 4])], [axes])


def optional(shape=("batch", 2)):
    """Y = X + BIAS; BIAS has a default (an initializer of the same name) and may be left out."""
    bias = numpy_helper.from_array(np.array([10, 20], np.float32), "BIAS")
    inputs = [tensor("X", "FP32", shape), tensor("BIAS", "FP32", [2])]
    return model([helper.make_node("Add", ["X", "BIAS"], ["Y"])], inputs, [tensor("Y", "FP32", shape)], [bias])


def slow(steps=200, width=384):
    """Takes about a hundred milliseconds: the same product again and again."""
    nodes = [helper.make_node("Identity", ["X"], ["y0"])]
    for i in range(steps):
        nodes += [
            helper.make_node("MatMul", [f"y{i}", "W"], [f"z{i}"]),
            helper.make_node("Tanh", [f"z{i}"], [f"y{i + 1}"]),
        ]
    nodes.append(helper.make_node("Identity", [f"y{steps}"], ["Y"]))
    shape = [width, width]
    weight = numpy_helper.from_array(weights(width) / np.float32(width), "W")
    return model(nodes, [tensor("X", "FP32", shape)], [tensor("Y", "FP32", shape)], [weight])


def missing_operator():
    """ONNX Runtime refuses it: nobody has the operator."""
    node = helper.make_node("NoSuchOperator", ["X"], ["Y"], domain="nowhere")
    return model([node], [tensor("X", "FP32", [1])], [tensor("Y", "FP32", [1])], domains=["nowhere"])
