"""The models that the examples of Triton's clients ask: their names and tensors, and the numbers that they must answer."""
import textwrap

import numpy as np
import onnx
from onnx import helper, numpy_helper

from support import models, sequences
from support.repositories import settle, write_config

VALUES = [11, 7, 5, 3, 2, 0, 1]  # what the examples send, after the first
COLOURS = ["red", "green", "blue"]

# Reads PPM images, of which the header is no matter, and gives the mean of each colour.
READ_IMAGES = """
    import numpy as np
    import triton_python_backend_utils as pb_utils

    class TritonPythonModel:
        def execute(self, requests):
            return [self.read(pb_utils.get_input_tensor_by_name(request, "INPUT").as_numpy()) for request in requests]

        def read(self, files):
            pixels = [np.frombuffer(file.split(b"255\\n", 1)[1], np.uint8).reshape(-1, 3) for file in files.reshape(-1)]
            means = np.stack([image.mean(axis=0) for image in pixels]).astype(np.float32)
            return pb_utils.InferenceResponse([pb_utils.Tensor("MEANS", means)])
"""


def sum_model(summands, identifiers=None, kept=False):
    """OUTPUT is the sum of INPUT and the summands: START, "LAST_ID" (the sequence's id with its last request), or
    "SUM_IN" (the OUTPUT before)."""
    types = {"INPUT": "INT32", "START": "INT32"}
    if identifiers:
        types |= {"END": "INT32", "CORRID": identifiers}
    if kept:
        types |= {"SUM_IN": "INT32"}
    nodes = [helper.make_node("Cast", ["CORRID"], ["id"], to=onnx.TensorProto.INT32),
             helper.make_node("Mul", ["id", "END"], ["LAST_ID"])] if identifiers else []
    nodes.append(helper.make_node("Identity", ["INPUT"], ["sum0"]))
    for at, summand in enumerate(summands):
        nodes.append(helper.make_node("Add", [f"sum{at}", summand], [f"sum{at + 1}"]))
    names = ["OUTPUT", "SUM_OUT"] if kept else ["OUTPUT"]
    nodes += [helper.make_node("Identity", [f"sum{len(summands)}"], [name]) for name in names]
    return models.model(nodes, [models.tensor(name, kind, ["batch", 1]) for name, kind in types.items()],
                        [models.tensor(name, "INT32", ["batch", 1]) for name in names])


def write_sequences(folder):
    """simple_sequence, simple_dyna_sequence and simple_string_dyna_sequence."""
    def controls(*kinds, corrid=None):
        made = [{"name": kind, "control": [{"kind": "CONTROL_SEQUENCE_" + kind, "int32_false_true": [0, 1]}]} for kind in kinds]
        corrid = {"kind": "CONTROL_SEQUENCE_CORRID", "data_type": corrid}
        return [*made, {"name": "CORRID", "control": [corrid]}] if corrid["data_type"] else made

    def save(name, model, **batching):
        sequences.save(folder, name, model, max_batch_size=8, sequence_batching={
            "max_sequence_idle_microseconds": 60_000_000, **batching})

    save("simple_sequence", sum_model(["START"]), control_input=controls("START"), direct={})
    save("simple_dyna_sequence", sum_model(["START", "LAST_ID"], "UINT64"), oldest={"max_candidate_sequences": 8},
         control_input=controls("START", "END", corrid="TYPE_UINT64"))
    save("simple_string_dyna_sequence", sum_model(["SUM_IN", "LAST_ID"], "BYTES", kept=True),
         oldest={"max_candidate_sequences": 8}, control_input=controls("START", "END", corrid="TYPE_STRING"),
         state=[{"input_name": "SUM_IN", "output_name": "SUM_OUT"}])
    return folder


def write_ensemble(folder):
    """preprocess_inception_ensemble: images as bytes, read by a model in Python, classified by an ONNX one."""
    read = write_config(folder, "read_images", backend="python", max_batch_size=8,
                        input=[{"name": "INPUT", "data_type": "TYPE_STRING", "dims": [1]}],
                        output=[{"name": "MEANS", "data_type": "TYPE_FP32", "dims": [3]}])
    (read / "1").mkdir()
    (read / "1" / "model.py").write_text(textwrap.dedent(READ_IMAGES))
    weights = numpy_helper.from_array(np.eye(3, dtype=np.float32) / 255, "weights")
    classify = models.model([helper.make_node("MatMul", ["MEANS", "weights"], ["OUTPUT"])],
                            [models.tensor("MEANS", "FP32", ["batch", 3])], [models.tensor("OUTPUT", "FP32", ["batch", 3])],
                            [weights])
    models.save(classify, folder / "classify" / "model.onnx")
    whole = write_config(
        folder, "preprocess_inception_ensemble", platform="ensemble", max_batch_size=8,
        input=[{"name": "INPUT", "data_type": "TYPE_STRING", "dims": [1]}],
        output=[{"name": "OUTPUT", "data_type": "TYPE_FP32", "dims": [3], "label_filename": "labels.txt"}],
        ensemble_scheduling={"step": [
            {"model_name": "read_images", "model_version": -1, "input_map": {"INPUT": "INPUT"},
             "output_map": {"MEANS": "means"}},
            {"model_name": "classify", "model_version": -1, "input_map": {"MEANS": "means"},
             "output_map": {"OUTPUT": "OUTPUT"}}]})
    (whole / "labels.txt").write_text("\n".join(COLOURS))
    for made in (read, folder / "classify", whole):
        settle(made)
    return folder


def image(colour):
    """The bytes of a PPM image in that colour. None is 0 at the end: the example loses zeros there."""
    return b"P6 4 4 255\n" + bytes(204 if name == colour else 51 for name in COLOURS) * 16
