"""Models whose requests are of sequences, and tritonclient's calls of them."""
import queue

import numpy as np
import tritonclient.grpc as grpcclient
import tritonclient.http as httpclient
from onnx import helper

from support import models
from support.repositories import settle, write_config

ANSWER_S = 60
KINDS = {"START": "int32", "READY": "fp32", "END": "bool"}
DATATYPES = {"int32": "INT32", "fp32": "FP32", "bool": "BOOL"}


def save(folder, name, model, **config):
    """A folder NAME of a model.onnx and a model.yaml."""
    made = write_config(folder, name, **config)
    models.save(model, made / "model.onnx")
    settle(made)
    return folder


def sum_model(rows="batch", width=1):
    """TOTAL = INPUT + SUM_IN, SUM_OUT is the same: with SUM kept, TOTAL is the sum of all inputs so far."""
    shape = [rows, width]
    inputs = [models.tensor(name, "INT32", shape) for name in ("INPUT", "SUM_IN")]
    outputs = [models.tensor(name, "INT32", shape) for name in ("TOTAL", "SUM_OUT")]
    nodes = [helper.make_node("Add", ["INPUT", "SUM_IN"], ["TOTAL"]), helper.make_node("Identity", ["TOTAL"], ["SUM_OUT"])]
    return models.model(nodes, inputs, outputs)


def sums(folder, name="sums", batch=8, idle_us=60_000_000, state=None, width=1, **strategy):
    """A folder with a model that adds up; the strategy is oldest={…} or direct={…}."""
    sequences = {"max_sequence_idle_microseconds": idle_us, **strategy,
                 "state": [{"input_name": "SUM_IN", "output_name": "SUM_OUT", **(state or {})}]}
    return save(folder, name, sum_model(width=width), max_batch_size=batch, sequence_batching=sequences)


def control_model(identifiers="UINT64"):
    """Tells what it was given: INPUT and each control, as outputs of the same names with _WAS."""
    types = {"INPUT": "INT32", "CORRID": identifiers, **{name: DATATYPES[kind] for name, kind in KINDS.items()}}
    inputs = [models.tensor(name, kind, ["batch", 1]) for name, kind in types.items()]
    outputs = [models.tensor(name + "_WAS", kind, ["batch", 1]) for name, kind in types.items()]
    return models.model([helper.make_node("Identity", [name], [name + "_WAS"]) for name in types], inputs, outputs)


def controls(identifiers="UINT64", kinds=("START", "READY", "END")):
    """control_input of a config for control_model."""
    made = [{"name": name, "control": [{"kind": "CONTROL_SEQUENCE_" + name, f"{KINDS[name]}_false_true": [0, 1]}]}
            for name in kinds]
    kind = "TYPE_" + identifiers.replace("BYTES", "STRING")
    return [*made, {"name": "CORRID", "control": [{"kind": "CONTROL_SEQUENCE_CORRID", "data_type": kind}]}]


def controlled(folder, name="controlled", identifiers="UINT64", batch=8, **section):
    """A folder with a model that tells its controls; `section` is more of its sequence_batching."""
    return save(folder, name, control_model(identifiers), max_batch_size=batch,
                sequence_batching={"control_input": controls(identifiers), **section})


def tensor_of(client, value, name="INPUT"):
    array = np.array([[value]], np.int32)
    made = client.InferInput(name, list(array.shape), "INT32")
    made.set_data_from_numpy(array)
    return made


class Http:
    """Calls over HTTP."""

    def __init__(self, server):
        self.client = httpclient.InferenceServerClient(server.netloc)

    def infer(self, model, value, sequence, start=False, end=False, **options):
        """The result of one request."""
        return self.client.infer(model, [tensor_of(httpclient, value)], sequence_id=sequence, sequence_start=start,
                                 sequence_end=end, **options)

    def close(self):
        self.client.close()


class Grpc(Http):
    """Calls over gRPC."""

    def __init__(self, server):
        self.client = grpcclient.InferenceServerClient(server.netloc)

    def infer(self, model, value, sequence, start=False, end=False, **options):
        return self.client.infer(model, [tensor_of(grpcclient, value)], sequence_id=sequence, sequence_start=start,
                                 sequence_end=end, **options)


class Stream(Grpc):
    """Calls over one ModelStreamInfer."""

    def __init__(self, server):
        super().__init__(server)
        self.answers = queue.Queue()
        self.client.start_stream(lambda result, error: self.answers.put((result, error)))

    def send(self, model, value, sequence, start=False, end=False, **options):
        """Sends a request; `next` has the answers, in the order of the requests."""
        self.client.async_stream_infer(model, [tensor_of(grpcclient, value)], sequence_id=sequence, sequence_start=start,
                                       sequence_end=end, **options)

    def next(self):
        """The next answer; raises the error that it is."""
        result, error = self.answers.get(timeout=ANSWER_S)
        if error is not None:
            raise error
        return result

    def infer(self, model, value, sequence, start=False, end=False, **options):
        self.send(model, value, sequence, start, end, **options)
        return self.next()

    def close(self):
        self.client.stop_stream()
        self.client.close()


def value(result, name="TOTAL"):
    """The one element of an output."""
    return result.as_numpy(name).reshape(-1)[0]
