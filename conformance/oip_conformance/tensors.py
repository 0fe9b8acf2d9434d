"""Tensors in JSON and in bytes, and requests made of them."""
import json
import struct

FORMATS = {"BOOL": "?", "UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q", "INT8": "b", "INT16": "h", "INT32": "i",
           "INT64": "q", "FP16": "e", "FP32": "f", "FP64": "d"}

# Values of each datatype that all of its encodings keep: its limits among them.
VALUES = {
    "BOOL": [True, False, True], "UINT8": [0, 1, 255], "UINT16": [0, 1, 65535], "UINT32": [0, 1, 2**32 - 1],
    "UINT64": [0, 1, 2**64 - 1], "INT8": [-128, 0, 127], "INT16": [-32768, 0, 32767], "INT32": [-2**31, 0, 2**31 - 1],
    "INT64": [-2**63, 0, 2**63 - 1], "FP16": [-65504.0, 0.5, 1.0], "FP32": [-1.5, 0.25, 3e38], "FP64": [-1.5, 0.1, 1e308],
    "BF16": [-1.5, 0.5, 2.0], "BYTES": ["a", "", "\u00e9t\u00e9"],
}


def pack(datatype, values):
    """Elements as the protocol's bytes."""
    if datatype == "BYTES":
        texts = [value if isinstance(value, bytes) else value.encode() for value in values]
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    if datatype == "BF16":
        return b"".join(struct.pack("<f", value)[2:] for value in values)
    return struct.pack(f"<{len(values)}{FORMATS[datatype]}", *values)


def unpack(datatype, data):
    """The elements of bytes. BYTES come as bytes."""
    if datatype == "BYTES":
        found = []
        while data:
            (size,) = struct.unpack_from("<I", data)
            assert len(data) >= 4 + size, f"an element of {size} bytes in {len(data) - 4}"
            found.append(data[4:4 + size])
            data = data[4 + size:]
        return found
    if datatype == "BF16":
        return [struct.unpack("<f", b"\0\0" + data[i:i + 2])[0] for i in range(0, len(data), 2)]
    kind = FORMATS[datatype]
    return list(struct.unpack(f"<{len(data) // struct.calcsize(kind)}{kind}", data))


def tensor(data, datatype="FP32", shape=None, name="INPUT0", **more):
    """An input of a request in JSON."""
    return {"name": name, "datatype": datatype, "shape": [1, len(data)] if shape is None else shape, "data": data, **more}


def request(*inputs, **more):
    return {"inputs": list(inputs), **more}


def binary(*inputs, outputs=None, **more):
    """(body, fields) of a request whose inputs, (name, datatype, shape, bytes) each, lie behind the JSON."""
    described = [{"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": len(data)}}
                 for name, datatype, shape, data in inputs]
    asked = {"inputs": described, **({"outputs": outputs} if outputs else {}), **more}
    return framed(asked, b"".join(data for *_, data in inputs))


def framed(asked, tail):
    """(body, fields) of this JSON with these bytes behind it."""
    head = json.dumps(asked).encode()
    return head + tail, [("Inference-Header-Content-Length", str(len(head))), ("Content-Type", "application/octet-stream")]


def flat(data):
    """Elements in row-major order, however deep they are nested."""
    return [one for item in data for one in flat(item)] if isinstance(data, list) else [data]


def outputs_of(reply):
    """The outputs of an answer by name, each (datatype, shape, elements), from its JSON or the bytes behind that."""
    assert reply.status == 200, (reply.status, reply.body[:300])
    length = reply.fields.get("inference-header-content-length")
    head, tail = (reply.body[:int(length)], reply.body[int(length):]) if length else (reply.body, b"")
    found = {}
    for output in json.loads(head)["outputs"]:
        size = (output.get("parameters") or {}).get("binary_data_size")
        if size is None:
            elements = flat(output["data"])
            if output["datatype"] == "BYTES":
                elements = [text.encode() for text in elements]
        else:
            assert len(tail) >= size, f"{size} bytes announced, {len(tail)} are there"
            elements, tail = unpack(output["datatype"], tail[:size]), tail[size:]
        found[output["name"]] = (output["datatype"], output["shape"], elements)
    assert not tail, f"{len(tail)} bytes too many"
    return found
