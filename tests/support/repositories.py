"""Model folders that need no ONNX: models of the engines identity and chaos."""
import os
import time

TENSORS = """input: [{{name: {1}, data_type: TYPE_{0}, dims: [-1]}}]
output: [{{name: {2}, data_type: TYPE_{0}, dims: [-1]}}]
"""


def write_model(folder, name, engine, datatype="FP32", parameters=None, names=("x", "y")):
    """Writes NAME/model.yaml; old enough to count as complete at once."""
    text = f"backend: {engine}\n" + TENSORS.format(datatype, *names)
    for key, value in (parameters or {}).items():
        text += f"parameters: {{{key}: {{string_value: \"{value}\"}}}}\n"
    (folder / name).mkdir(parents=True)
    config = folder / name / "model.yaml"
    config.write_text(text)
    long_ago = time.time() - 3600
    os.utime(config, (long_ago, long_ago))
    os.utime(folder / name, (long_ago, long_ago))
    return folder


def request(values, name="x", datatype="FP32", **parameters):
    """An inference request in JSON for one flat input."""
    return {"parameters": parameters,
            "inputs": [{"name": name, "datatype": datatype, "shape": [len(values)], "data": values}]}
