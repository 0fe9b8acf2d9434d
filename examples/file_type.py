#!/usr/bin/env python3
"""Tells the types of files by asking a served magika model: file_type.py FILE...

Start the server with `./dev serve`. Only the standard library is used here; the model's labels come with the magika package.
What the model wants as input is described in the package's config.min.json: beg_size bytes from the beginning and end_size bytes from
the end, white space around the content left out, short files padded with padding_token.
"""
import json
import pathlib
import sys
import urllib.error
import urllib.request

URL = "http://127.0.0.1:8000/v2/models/magika/infer"


def find_config():
    """The config.min.json beside the model, in this environment's magika package."""
    import magika
    [path] = pathlib.Path(magika.__file__).parent.glob("models/standard_v*/config.min.json")
    return json.loads(path.read_text())


def features(path, config):
    """The numbers that the model wants for a file: (beg_size + end_size) bytes or padding tokens."""
    block = config["block_size"]
    beginning_size, end_size, padding = config["beg_size"], config["end_size"], config["padding_token"]
    content = path.read_bytes()
    beginning = content[:block].lstrip()[:beginning_size]
    end = content[-block:].rstrip()[-end_size:] if end_size else b""
    return (list(beginning) + [padding] * (beginning_size - len(beginning)) +
            [padding] * (end_size - len(end)) + list(end))


def infer(rows):
    """Scores for rows of features: one list of scores for each row."""
    request = {"inputs": [{"name": "bytes", "datatype": "INT32", "shape": [len(rows), len(rows[0])],
                           "data": [number for row in rows for number in row]}]}
    with urllib.request.urlopen(URL, json.dumps(request).encode()) as answer:
        output = json.load(answer)["outputs"][0]
    count = output["shape"][1]
    return [output["data"][i:i + count] for i in range(0, len(output["data"]), count)]


def main():
    config = find_config()
    labels = config["target_labels_space"]
    for name in sys.argv[1:]:
        try:
            [scores] = infer([features(pathlib.Path(name), config)])
        except urllib.error.URLError as error:
            sys.exit(f"{URL} does not answer ({error}): is ./dev serve running?")
        best = max(range(len(scores)), key=scores.__getitem__)
        print(f"{name}: {labels[best]} ({scores[best]:.2f})")


if __name__ == "__main__":
    main()
