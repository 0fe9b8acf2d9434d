"""The models that the cases ask: what they are, and folders of them for each server."""
import argparse
import shutil
from pathlib import Path

HERE = Path(__file__).parent

# Triton's names of datatypes in a config, by the protocol's.
DATATYPES = {name: f"TYPE_{'STRING' if name == 'BYTES' else name}"
             for name in ("BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32",
                          "FP64", "BF16", "BYTES")}
LABELS = ("cat", "dog", "bird")

SEQUENCES = """
sequence_batching {
  max_sequence_idle_microseconds: 60000000
  direct { }
  control_input [
    { name: "START" control [ { kind: CONTROL_SEQUENCE_START int32_false_true: [ 0, 1 ] } ] },
    { name: "END" control [ { kind: CONTROL_SEQUENCE_END int32_false_true: [ 0, 1 ] } ] },
    { name: "NAME" control [ { kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_UINT64 } ] }
  ]
}
"""


def tensors(kind, datatype, dims, *names, more=""):
    """input or output of a config."""
    return "".join(f'{kind} [ {{ name: "{name}" data_type: {DATATYPES[datatype]} dims: {dims}{more} }} ]\n' for name in names)


def config(inputs, outputs, max_batch_size=0, more=""):
    return (f'backend: "python"\nmax_batch_size: {max_batch_size}\n{inputs}{outputs}'
            f"instance_group [ {{ count: 1 kind: KIND_CPU }} ]\n{more}")


def identity(datatype):
    """The config of an identity."""
    labels = ' label_filename: "labels.txt"' if datatype == "FP32" else ""
    return config(tensors("input", datatype, [-1], "INPUT0"), tensors("output", datatype, [-1], "OUTPUT0", more=labels), 8)


# name: (the file of its code, its config, its versions)
TRITON = {
    **{f"identity_{name.lower()}": ("identity", identity(name), (1,)) for name in DATATYPES},
    "add_sub": ("add_sub", config(tensors("input", "INT32", [16], "INPUT0", "INPUT1"),
                                  tensors("output", "INT32", [16], "OUTPUT0", "OUTPUT1"), 8), (1,)),
    "text": ("text", config(tensors("input", "BYTES", [1], "text_input"), tensors("output", "BYTES", [1], "text_output")), (1,)),
    "words": ("words", config(tensors("input", "BYTES", [1], "text_input"), tensors("output", "BYTES", [1], "text_output"),
                              more="model_transaction_policy { decoupled: true }\n"), (1,)),
    "behave": ("behave", config(tensors("input", "BYTES", [1], "COMMAND"), tensors("output", "BYTES", [1], "RESULT")), (1,)),
    "versions": ("versions", config(tensors("input", "INT32", [1], "ANY"), tensors("output", "INT32", [1], "VERSION"),
                                    more="version_policy { all { } }\n"), (1, 2)),
}
SEQUENCE = {
    "sequence_sum": ("sequence_sum", config(tensors("input", "INT32", [1], "VALUE"), tensors("output", "INT32", [1], "SUM"), 1,
                                            more=SEQUENCES), (1,)),
}
NAMES = (*TRITON, *SEQUENCE)


def write_triton(folder, sequences=True):
    """Writes a repository for Triton's Python backend, and for what serves the same."""
    for name, (code, text, versions) in {**TRITON, **(SEQUENCE if sequences else {})}.items():
        for version in versions:
            place = Path(folder) / name / str(version)
            place.mkdir(parents=True)
            shutil.copyfile(HERE / f"triton_{code}.py", place / "model.py")
        (Path(folder) / name / "config.pbtxt").write_text(text)
        if "label_filename" in text:
            (Path(folder) / name / "labels.txt").write_text("\n".join(LABELS) + "\n")


def main(arguments=None):
    """oip-conformance-models KIND FOLDER"""
    from . import for_kserve, for_mlserver

    parser = argparse.ArgumentParser(prog="oip-conformance-models", description="Writes the models that the suite asks.")
    parser.add_argument("kind", choices=["triton", "mlserver", "kserve"], help="for which server")
    parser.add_argument("folder", type=Path, help="a folder that does not exist yet, or is empty")
    given = parser.parse_args(arguments)
    writers = {"triton": write_triton, "mlserver": for_mlserver.write, "kserve": for_kserve.write}
    writers[given.kind](given.folder)
