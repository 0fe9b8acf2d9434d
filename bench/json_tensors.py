"""A big tensor as JSON: what it costs the front to read it, and to write it. The other way is binary, which costs it next to
nothing."""
import json
import random
import struct

import load
import messages
import subjects
from comparisons import BIG, interleave, median

BOUND_US = 6000
CONNS = 1


def image(count):
    """FP32 values such as a picture has that was brought to mean 0 and deviation 1: the same in every run."""
    gauss = random.Random(1).gauss
    return struct.unpack(f"{count}f", struct.pack(f"{count}f", *(gauss(0, 1) for _ in range(count))))


def shortest(value):
    """The fewest digits that mean this FP32."""
    for digits in range(1, 10):
        text = f"{value:.{digits}g}"
        if struct.pack("f", float(text)) == struct.pack("f", value):
            return text
    raise AssertionError(value)


def posts(folder, values):
    """{name: a request whose tensor is JSON in the way that is named}."""
    tensor = {"name": "x", "datatype": "FP32", "shape": [len(values)]}
    binary = {**tensor, "parameters": {"binary_data_size": 4 * len(values)}}
    packed = struct.pack(f"{len(values)}f", *values)

    def post(name, data, wanted):
        """data: the tensor as JSON, or None."""
        head = {"inputs": [tensor if data else binary], "outputs": [{"name": "y", "parameters": {"binary_data": wanted}}]}
        text = json.dumps(head)
        if data:
            text = text.replace('"shape":', f'"data": {data}, "shape":')
        return messages.rest_post(folder, name, text.encode(), b"" if data else packed)

    return {"neither way": post("json-none", None, True),
            "in, the fewest digits of an FP32": post("json-short", f"[{','.join(map(shortest, values))}]", True),
            "in, as Python writes it, 17 digits": post("json-long", json.dumps(values), True),
            "out": post("json-out", None, False)}


def rows(report, options, build, models, folder):
    requests = posts(folder, image(BIG))
    with subjects.tensord(build, models) as server:
        front = server.role("front")

        def run(request):
            return lambda: load.wrk(front, messages.REST_PATH, request, CONNS, options.seconds)

        samples = interleave(options.rounds, {name: run(request) for name, request in requests.items()})
    report.heading(f"JSON of {BIG:,} FP32 values, one way; {CONNS} connection; CPU time of the front alone")
    for name in requests:
        report.add(f"JSON {name}: CPU per request", median(samples[name], "cpu_us"), " µs",
                   None if name == "neither way" else BOUND_US)
