"""Reads the text in an image, by the pipeline beside this file: its lines, and how sure each is. Nothing but the standard library.

    python3 examples/ocr/read.py IMAGE [http://127.0.0.1:8000]
"""
import json
import struct
import sys
import urllib.request
from pathlib import Path


def read(image, url="http://127.0.0.1:8000", headers=()):
    """The lines in an encoded image: (box, text, score) each; a box is four points, from the upper left one clockwise."""
    tensor = struct.pack("<I", len(image)) + image  # one BYTES element, behind the JSON
    head = json.dumps({"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1],
                                   "parameters": {"binary_data_size": len(tensor)}}]}).encode()
    asked = urllib.request.Request(f"{url}/v2/models/ocr/infer", head + tensor,
                                   {"Inference-Header-Content-Length": str(len(head)), **dict(headers)})
    with urllib.request.urlopen(asked) as response:
        given = {output["name"]: output["data"] for output in json.load(response)["outputs"]}
    numbers = iter(given["boxes"])
    boxes = [[[next(numbers), next(numbers)] for _ in range(4)] for _ in given["text"]]
    return list(zip(boxes, given["text"], given["score"]))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for box, text, score in read(Path(sys.argv[1]).read_bytes(), *sys.argv[2:3]):
        print(f"{score:.2f}  {text}")
