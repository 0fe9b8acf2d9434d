"""What the oracle asks of models whose requests are of sequences, and the models."""
import itertools
import time
from pathlib import Path

from oip_conformance.models import config, tensors
from oip_conformance.rpc import message
from oip_conformance.tensors import request, tensor

from support.oracle import Rpc, infer

IDLE_US = 1_000_000
SLOTS = 2

# Tells in SEEN what it was given, and in what company: the sum of its sequence so far, which it keeps itself.
CODE = '''
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        self.sums = {}

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        given = {name: pb_utils.get_input_tensor_by_name(request, name) for name in ("VALUE", "START", "END", "READY", "NAME")}
        seen = {name: tensor.as_numpy() for name, tensor in given.items() if tensor is not None}
        value, start = seen["VALUE"].ravel()[0], seen["START"].ravel()[0]
        name = seen["NAME"].ravel()[0] if "NAME" in seen else None
        if value < 0:
            return pb_utils.InferenceResponse(error=pb_utils.TritonError("told to refuse"))
        self.sums[name] = value + (0 if start else self.sums.get(name, 0))
        text = "; ".join(f"{name} {value.dtype.kind} {value.shape} {value.ravel().tolist()}" for name, value in seen.items())
        return pb_utils.InferenceResponse([pb_utils.Tensor("SEEN", np.array([[text.encode()]] if BATCHES else [text.encode()], dtype=object)),
                                           pb_utils.Tensor("SUM", np.array([[self.sums[name]]] if BATCHES else [self.sums[name]], dtype=np.int32))])
'''


def batching(strategy, identifiers="TYPE_UINT64", idle_us=60_000_000, kind="int32"):
    """sequence_batching of a config."""
    off, on = ("false", "true") if kind == "bool" else (0, 1)
    given = [f'{{ name: "{name}" control [ {{ kind: CONTROL_SEQUENCE_{name} {kind}_false_true: [ {off}, {on} ] }} ] }}'
             for name in ("START", "END", "READY")]
    if identifiers:
        given.append(f'{{ name: "NAME" control [ {{ kind: CONTROL_SEQUENCE_CORRID data_type: {identifiers} }} ] }}')
    return (f"sequence_batching {{ max_sequence_idle_microseconds: {idle_us} {strategy} "
            f"control_input [ {', '.join(given)} ] }}\n")


OLDEST = f"oldest {{ max_candidate_sequences: {SLOTS} }}"
MODELS = {  # name: (rows, sequence_batching)
    "direct": (SLOTS, batching("direct { }")),
    "oldest": (SLOTS, batching(OLDEST)),
    "plain": (SLOTS, batching("")),
    "one_row": (0, batching("direct { }")),
    "named": (SLOTS, batching(OLDEST, "TYPE_STRING")),
    "narrow": (SLOTS, batching("direct { }", "TYPE_INT32", kind="fp32")),
    "flags": (SLOTS, batching(OLDEST, kind="bool")),
    "nameless": (SLOTS, batching(OLDEST, None)),
    "brief": (SLOTS, batching("direct { }", idle_us=IDLE_US)),
    "brief_oldest": (SLOTS, batching(OLDEST, idle_us=IDLE_US)),
}


def write(folder):
    """Adds the models to a repository."""
    for name, (rows, more) in MODELS.items():
        made = Path(folder) / f"sequence_{name}/1"
        made.mkdir(parents=True)
        (made / "model.py").write_text(f"BATCHES = {rows > 0}\n{CODE}")
        (made.parent / "config.pbtxt").write_text(config(
            tensors("input", "INT32", [1], "VALUE"), tensors("output", "BYTES", [1], "SEEN") + tensors("output", "INT32", [1], "SUM"), rows, more))


class Pause:
    """Lets sequences be idle for too long, at both servers."""

    label = "pause"

    def ask(self, server):
        time.sleep(3 * IDLE_US / 1e6)
        return {}


def parameters(name=None, start=None, end=None):
    given = {"sequence_id": name, "sequence_start": start, "sequence_end": end}
    return {key: value for key, value in given.items() if value is not None}


def rest(label, model, value, shape=None, **given):
    return infer(f"sequences, REST: {label}", f"sequence_{model}", request(
        tensor([value], "INT32", shape or ([1, 1] if MODELS[model][0] else [1]), "VALUE"), parameters=parameters(**given)))


def asked(model, value, **given):
    """A message."""
    made = message(f"sequence_{model}", ("VALUE", "INT32", [1, 1] if MODELS[model][0] else [1], [value]))
    for name, what in parameters(**given).items():
        kind = "bool_param" if isinstance(what, bool) else "int64_param" if isinstance(what, int) else "string_param"
        setattr(made.parameters[name], kind, what)
    return made


def call(label, model, value, **given):
    return Rpc(f"sequences, gRPC: {label}", "ModelInfer", asked(model, value, **given))


def both(label, model, value, **given):
    yield rest(label, model, value, **given)
    yield call(label, model, value, **given)


def whole(model, name, *values):
    """The requests of a sequence, over both protocols in turn."""
    ways = itertools.cycle((rest, call))
    for i, value in enumerate(values):
        yield next(ways)(f"{model} {name!r:.9}, {i}", model, value, name=name, start=i == 0, end=i == len(values) - 1)


def cases():
    numbers = itertools.count(1000)
    for model in [name for name in MODELS if name != "named"]:
        name = next(numbers)
        yield from whole(model, name, 1, 2, 3)
        yield from whole(model, name, 5)  # start and end in one
        yield from both(f"{model}, no start", model, 1, name=name)
        yield from both(f"{model}, no start, but its end", model, 1, name=name, end=True)
        yield from both(f"{model}, no sequence", model, 1)
        yield from both(f"{model}, no sequence, a start", model, 1, start=True)
        yield from both(f"{model}, sequence 0", model, 1, name=0, start=True, end=True)
        yield from both(f"{model}, sequence ''", model, 1, name="", start=True, end=True)
    yield from both("named", "named", 1, name="text", start=True, end=True)
    # A text for a model that is told numbers, and the reverse, upset tritonserver for good.
    for name in ("text", "7", 7, "n" * 128):
        yield from whole("nameless", name, 1, 2)
    for model in ("direct", "oldest"):
        yield from whole(model, 2**63 - 1, 1, 2)
        yield from both(f"{model} -1", model, 1, name=-1, start=True, end=True)
    yield from both("a long name", "nameless", 1, name="n" * 129, start=True, end=True)
    for name in (2**64 - 1, 2**64, 1.5, True, [1], {"a": 1}, None):
        yield rest(f"name {name}", "direct", 1, name=name, start=True, end=True)
    yield from whole("narrow", 2**31 - 1, 1, 2)
    yield from both("narrow 2^31", "narrow", 1, name=2**31, start=True, end=True)
    for flag in (1, 0, "true", 1.0):
        yield rest(f"start {flag!r}", "oldest", 1, name=next(numbers), start=flag, end=True)
    yield rest("two rows", "direct", 1, [2, 1], name=next(numbers), start=True, end=True)
    yield infer("sequences, REST: two whole rows", "sequence_direct", request(
        tensor([1, 2], "INT32", [2, 1], "VALUE"), parameters=parameters(next(numbers), True, True)))
    for model in ("direct", "oldest", "plain"):
        yield from interleaved(model, next(numbers), next(numbers), next(numbers))
        yield from refusing(model, next(numbers))
    for model in ("brief", "brief_oldest"):
        yield from both(f"{model}, start", model, 1, name=77, start=True)
        yield from both(f"{model}, goes on", model, 2, name=77)
        yield Pause()
        yield from both(f"{model}, after a pause", model, 3, name=77)
        yield from both(f"{model}, anew", model, 4, name=77, start=True, end=True)


def interleaved(model, a, b, c):
    """Two at once; a start in their midst; more than have room, in one stream."""
    for label, value, given in (("a", 1, {"name": a, "start": True}), ("b", 10, {"name": b, "start": True}), ("a", 2, {"name": a}),
                                ("b", 20, {"name": b}), ("a anew", 3, {"name": a, "start": True}), ("a", 4, {"name": a}),
                                ("b", 30, {"name": b, "end": True}), ("a", 5, {"name": a, "end": True}), ("a", 6, {"name": a})):
        yield call(f"{model}, interleaved, {label} {value}", model, value, **given)
    yield Rpc(f"sequences, gRPC: {model}, more than have room", "ModelStreamInfer", [
        asked(model, 1, name=a, start=True), asked(model, 10, name=b, start=True), asked(model, 100, name=c, start=True),
        asked(model, 2, name=a, end=True), asked(model, 20, name=b, end=True), asked(model, 200, name=c, end=True)])


def refusing(model, name):
    """A sequence goes on after a request that its model refuses, and one that the server does."""
    yield from both(f"{model}, before", model, 1, name=name, start=True)
    yield from both(f"{model}, refused by the model", model, -1, name=name)
    yield rest(f"{model}, refused by the server", model, 1, [1, 2], name=name)
    yield from both(f"{model}, after", model, 5, name=name)
    yield from both(f"{model}, an end that is refused", model, -1, name=name, end=True)
    yield from both(f"{model}, after its end", model, 5, name=name)
