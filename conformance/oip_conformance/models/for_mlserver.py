"""A folder of the models for MLServer: `mlserver start FOLDER`. All are one file of code, mlserver_models.py."""
import json
import shutil
from pathlib import Path

HERE = Path(__file__).parent


def described(name):
    """(inputs, outputs) of a model, each [(name, datatype, shape)]."""
    from . import DATATYPES

    for datatype in DATATYPES:
        if name == f"identity_{datatype.lower()}":
            return [("INPUT0", datatype, [-1, -1])], [("OUTPUT0", datatype, [-1, -1])]
    return {
        "add_sub": ([("INPUT0", "INT32", [-1, 16]), ("INPUT1", "INT32", [-1, 16])],
                    [("OUTPUT0", "INT32", [-1, 16]), ("OUTPUT1", "INT32", [-1, 16])]),
        "text": ([("text_input", "BYTES", [1])], [("text_output", "BYTES", [1])]),
        "words": ([("text_input", "BYTES", [1])], [("text_output", "BYTES", [1])]),
        "behave": ([("COMMAND", "BYTES", [1])], [("RESULT", "BYTES", [1])]),
        "versions": ([("ANY", "INT32", [1])], [("VERSION", "INT32", [1])]),
    }[name]


CLASSES = {"add_sub": "AddSub", "text": "Text", "words": "Words", "behave": "Behave", "versions": "Versions"}


def write(folder):
    """Writes the folder: a settings.json beside this is the user's."""
    from . import TRITON

    folder = Path(folder)
    for name, (_, _, versions) in TRITON.items():
        inputs, outputs = ([{"name": tensor, "datatype": datatype, "shape": shape} for tensor, datatype, shape in tensors]
                           for tensors in described(name))
        for version in versions:
            place = folder / (name if len(versions) == 1 else f"{name}-{version}")
            place.mkdir(parents=True)
            shutil.copyfile(HERE / "mlserver_models.py", place / "mlserver_models.py")
            settings = {"name": name, "implementation": f"mlserver_models.{CLASSES.get(name, 'Identity')}", "inputs": inputs,
                        "outputs": outputs, "parameters": {"version": str(version)}}
            (place / "model-settings.json").write_text(json.dumps(settings, indent=1) + "\n")
