"""Mutants of a small ONNX model: bytes that are wrong in every way that a seed can think of.

What they ask for is either too small to hurt or too large to be had, so that a server that believes
them fails at once.
"""
import random

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from support import models


def original():
    """A model with something of everything: weights, symbols, attributes, a subgraph, strings."""
    weight = numpy_helper.from_array(models.weights(4), "W")
    one = numpy_helper.from_array(np.ones(4, np.float32), "one")
    then = helper.make_graph([helper.make_node("Neg", ["P"], ["t"])], "then", [], [models.tensor("t", "FP32", None)])
    other = helper.make_graph([helper.make_node("Abs", ["P"], ["e"])], "else", [], [models.tensor("e", "FP32", None)])
    nodes = [
        helper.make_node("MatMul", ["X", "W"], ["Z"], name="product"),
        helper.make_node("Add", ["Z", "one"], ["P"]),
        helper.make_node("If", ["FLAG"], ["C"], then_branch=then, else_branch=other),
        helper.make_node("LeakyRelu", ["C"], ["Y"], alpha=0.5),
        helper.make_node("Identity", ["S"], ["T"]),
    ]
    rows = ["batch", 4]
    inputs = [models.tensor("X", "FP32", rows), models.tensor("FLAG", "BOOL", []), models.tensor("S", "BYTES", ["n"])]
    outputs = [models.tensor("Y", "FP32", rows), models.tensor("T", "BYTES", ["n"])]
    return models.model(nodes, inputs, outputs, [weight, one])


# ---- mutants of the bytes ----


def cut(data, chance):
    return data[: chance.randrange(len(data))]


def flip_bits(data, chance):
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8, 64))):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def overwrite(data, chance):
    at, size = chance.randrange(len(data)), chance.choice((1, 4, 16, 64))
    return data[:at] + chance.choice((b"\0", b"\xff", b"\x80", chance.randbytes(1))) * size + data[at + size :]


def lie_of_lengths(data, chance):
    """A byte becomes a varint of five, nine or ten bytes: lengths, dimensions, numbers of fields."""
    at = chance.randrange(len(data))
    huge = chance.choice((b"\xff\xff\xff\xff\x0f", b"\xff" * 8 + b"\x7f", b"\xff" * 9 + b"\x01"))
    return data[:at] + huge + data[at + 1 :]


def repeat_or_drop(data, chance):
    first, second = sorted(chance.randrange(len(data)) for _ in range(2))
    if chance.random() < 0.5:
        return data[:first] + data[second:]
    return data[:second] + data[first:second] * chance.choice((1, 2, 20)) + data[second:]


def field(number, content):
    """A protobuf field of bytes."""
    size, varint = len(content), bytearray()
    while size >= 0x80:
        varint.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([number << 3 | 2, *varint, size]) + content


def nest_deeply(data, chance):
    """Subgraphs in subgraphs, deeper than a parser's stack may go: graph.node.attribute.g.node…"""
    inner = b""
    for _ in range(chance.choice((40, 2000))):
        inner = field(1, field(5, field(6, inner)))
    return data + field(7, inner)


# ---- mutants of the meaning ----


def change_dims(made, chance):
    tensor = chance.choice(made.graph.initializer)
    tensor.dims[:] = chance.choice(([1 << 62, 4], [1 << 31, 1 << 31], [-1, 4], [0], [], [4, 5], [(1 << 63) - 1], [1 << 45]))


def change_data(made, chance):
    tensor = chance.choice(made.graph.initializer)
    tensor.raw_data = chance.choice((b"", tensor.raw_data[:-1], tensor.raw_data + b"\0", b"x"))


def change_type(made, chance):
    thing = chance.choice([*made.graph.initializer, *(value.type.tensor_type for value in made.graph.input)])
    number = chance.choice((0, 8, 16, 17, 23, 99, -1, (1 << 31) - 1))
    if isinstance(thing, TensorProto):
        thing.data_type = number
    else:
        thing.elem_type = number


def change_external(made, chance):
    tensor = chance.choice(made.graph.initializer)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    fields = {
        "location": chance.choice(("../other.onnx", "/etc/passwd", "/dev/zero", "", ".", "a" * 5000, "*/_ORT_MEM_ADDR_/*", "a\0b")),
        "offset": chance.choice(("0", "-1", "18446744073709551615", "x", str(1 << 62))),
        "length": chance.choice(("64", "0", "-1", "18446744073709551615", str(1 << 62))),
    }
    for key, value in fields.items():
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value


def change_operator(made, chance):
    node = chance.choice(made.graph.node)
    node.op_type = chance.choice(("Nope", "", "Scan", "Loop", "\u00ff" * 300, "ConstantOfShape", "SequenceConstruct"))
    node.domain = chance.choice(("", "", "ai.onnx.ml", "com.microsoft", "nowhere"))


def change_edges(made, chance):
    """Circles, names twice, names that are not there."""
    names = [name for node in made.graph.node for name in (*node.input, *node.output)] + ["", "nothing"]
    node = chance.choice(made.graph.node)
    edges = chance.choice((node.input, node.output))
    if edges:
        edges[chance.randrange(len(edges))] = chance.choice(names)


def change_opset(made, chance):
    made.opset_import[0].version = chance.choice((0, -1, 1, 7, 999, (1 << 63) - 1))
    made.ir_version = chance.choice((0, 1, models.IR_VERSION, 999))


def nest(made, chance):
    """Subgraphs in subgraphs."""
    def negated(name):
        return helper.make_graph([helper.make_node("Neg", ["P"], [name])], name, [], [models.tensor(name, "FP32", None)])

    inner = negated("o0")
    for depth in range(1, chance.choice((3, 10, 25))):
        node = helper.make_node("If", ["FLAG"], [f"o{depth}"], then_branch=inner, else_branch=negated(f"e{depth}"))
        inner = helper.make_graph([node], f"g{depth}", [], [models.tensor(f"o{depth}", "FP32", None)])
    made.graph.node[2].attribute[0].g.CopyFrom(inner)


def grow_names(made, chance):
    made.graph.input[0].name = made.graph.node[0].input[0] = chance.choice(("n" * 100000, "n" * 4097, "%s%n\n\x1b[31m"))


def ask_for_a_terabyte(made, chance):
    shape = numpy_helper.from_array(np.array([1 << chance.choice((42, 50, 62))], np.int64), "shape")
    made.graph.initializer.append(shape)
    made.graph.node.append(helper.make_node("ConstantOfShape", ["shape"], ["huge"]))
    made.graph.output.append(models.tensor("huge", "FP32", [None]))


BYTES = (cut, flip_bits, flip_bits, overwrite, lie_of_lengths, repeat_or_drop, nest_deeply)
MEANING = (change_dims, change_data, change_type, change_external, change_operator, change_edges, change_opset, nest,
           grow_names, ask_for_a_terabyte)


def mutants(seed, count):
    """count pairs (name, bytes); the same for the same seed."""
    chance = random.Random(seed)
    whole = original().SerializeToString()
    for number in range(count):
        how = chance.choice(chance.choice((BYTES, MEANING, MEANING)))
        if how in BYTES:
            yield f"{number:03}_{how.__name__}", how(whole, chance)
            continue
        made = onnx.ModelProto.FromString(whole)
        how(made, chance)
        yield f"{number:03}_{how.__name__}", made.SerializeToString()
