"""`tensord run`."""
from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any, Sequence

from tensord.client import datatypes, npy
from tensord.client.datatypes import Tensor, TensorInfo, nest, unpack
from tensord.client.model import Model
from tensord.commands.common import Parser, connected, safe
from tensord.commands.table import COMMANDS
from tensord.errors import Error, InvalidInput, ModelError

_IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
_SEVERAL = 501  # the status of a call for one answer that has several
_EDGE = 4  # how many elements of a long dimension are shown at each end
_EXAMPLES = """
A value is JSON ('[5.1, 3.5]', 3, '["a", "b"]'), numbers with commas (5.1,3.5), a text for an input of texts, or a file:
@x.npy, @x.json, @x.csv, @x.txt, @image.png (pixels for an input of numbers, with pillow; the file for one of bytes);
@- reads JSON from standard input. A model with one input needs no name before it.

  tensord run iris 5.1,3.5,1.4,0.2
  tensord run add A=@a.npy B='[[1, 2, 3, 4]]' -o sum.npy
  tensord run classify @cat.jpg --json | jq .label
"""


def main(arguments: Sequence[str]) -> int:
    """Calls a model."""
    parser = Parser("run", COMMANDS["run"].summary, epilog=_EXAMPLES)
    parser.add_model()
    parser.add_argument("values", metavar="[NAME=]VALUE", nargs="*", help="its inputs")
    parser.add_argument("--json", action="store_true", help="print the outputs by name as JSON, for programs")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path,
                        help="write the output to a file: .npy, .json, or the bytes themselves")
    parser.add_argument("--stream", action="store_true", help="print the parts of the answer as they come")
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="wait no longer than this for the answer")
    parser.add_server_options()
    given = parser.parse_args(arguments)
    model = connected(given).model(given.model, given.version, timeout_s=given.timeout, returns="list")
    inputs = read_inputs(model, given.values)
    if given.stream:
        for part in model.stream(**inputs):
            print(json.dumps(_plain(part)) if given.json else readable(part), flush=True)
        return 0
    try:
        outputs, _ = model.infer(inputs)
    except ModelError as error:
        if error.status == _SEVERAL:
            raise Error(f"model '{model.name}' answers several times; --stream prints its answers as they come") from error
        raise
    if given.output:
        write(given.output, outputs)
    elif given.json:
        print(json.dumps({one.name: _plain(_nested(one)) for one in outputs}))
    else:
        show(outputs)
    return 0


# ---- inputs ----


def read_inputs(model: Model, values: Sequence[str]) -> dict[str, Any]:
    """The inputs that the arguments name, as values."""
    if model.server_url:
        raise InvalidInput(model.name, f"it is a managed server; its paths are beneath {model.server_url}/")
    infos = {info.name: info for info in model.inputs}
    given: dict[str, Any] = {}
    for text in values:
        name, equals, rest = text.partition("=")
        if not equals or name not in infos:
            if len(infos) != 1:
                takes = "; ".join(map(str, infos.values()))
                raise InvalidInput(model.name, f"'{text}' names none of its inputs; it takes {takes}")
            name, rest = next(iter(infos)), text
        if name in given:
            raise InvalidInput(model.name, f"input '{name}' is given twice")
        given[name] = read_value(rest, infos[name])
    if not given and infos:
        raise InvalidInput(model.name, "it takes " + "; ".join(map(str, infos.values())))
    return given


def read_value(text: str, info: TensorInfo) -> Any:
    """One value: JSON, a text, numbers with commas, or what lies in a file."""
    if text.startswith("@"):
        return _read_file(text[1:], info)
    is_text = info.datatype == "BYTES"
    if not is_text or text.startswith(("[", '"')):
        try:
            return json.loads(text)
        except ValueError:
            if not is_text and all(map(_is_number, text.split(","))):
                return [json.loads(one) for one in text.split(",")]
    if is_text:
        return text
    raise Error(f"input '{info.name}' takes {info.datatype}, and '{text}' is neither JSON nor a file (@FILE)")


def _is_number(text: str) -> bool:
    try:
        return isinstance(json.loads(text), (int, float))
    except ValueError:
        return False


def _read_file(path: str, info: TensorInfo) -> Any:
    if path == "-":
        return _read_json(sys.stdin.read(), "standard input")
    file, ending = Path(path), Path(path).suffix.lower()
    if ending == ".npy":
        return npy.read(file)
    if ending == ".json":
        return _read_json(file.read_text(encoding="utf-8"), path)
    if ending == ".csv":
        return _read_csv(file)
    if info.datatype == "BYTES":
        return file.read_text(encoding="utf-8") if ending == ".txt" else file.read_bytes()
    if ending in _IMAGES:
        try:
            from PIL import Image
        except ImportError:
            raise Error(f"pillow reads '{path}' into pixels, and is not installed: pip install pillow numpy") from None
        return Image.open(file)
    raise Error(f"input '{info.name}' takes {info.datatype}; from a file it is read as .npy, .json, .csv or an image")


def _read_json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise Error(f"{where} is no JSON: {error}") from error


def _read_csv(file: Path) -> list:
    """Rows of numbers; a first row of names is skipped."""
    with file.open(newline="", encoding="utf-8") as read:
        rows = [row for row in csv.reader(read) if row]
    if rows and not all(map(_is_number, rows[0])):
        rows = rows[1:]
    try:
        return [[json.loads(cell) for cell in row] for row in rows]
    except ValueError as error:
        raise Error(f"'{file}' holds a cell that is no number") from error


# ---- outputs ----


def _nested(tensor: Tensor) -> Any:
    return nest(unpack(tensor.data, tensor.datatype), tensor.shape)


def _plain(value: Any) -> Any:
    """A value as JSON has it; bytes as base64."""
    if isinstance(value, bytes):
        import base64

        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list) else value


def show(outputs: Sequence[Tensor]) -> None:
    """Prints the outputs for a reader."""
    for tensor in outputs:
        value = _nested(tensor)
        if len(outputs) > 1 or tensor.shape:
            print(f"{safe(tensor.name)} {tensor.datatype} {list(tensor.shape)}")
        print(readable(value))


def readable(value: Any, indent: int = 0) -> str:
    """A value for a reader: rows under each other, the middle of what is long left out."""
    if isinstance(value, dict):
        return "\n".join(f"{safe(str(name))}: {readable(one)}" for name, one in value.items())
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, str):
        return "\n".join(map(safe, value.split("\n"))) if indent == 0 else json.dumps(value, ensure_ascii=False)
    if isinstance(value, float):
        return f"{value:.6g}"
    if not isinstance(value, list):
        return json.dumps(value)
    cut = len(value) > 3 * _EDGE
    shown = [readable(one, indent + 1) for one in (value[:_EDGE] + value[-_EDGE:] if cut else value)]
    if cut:
        shown.insert(_EDGE, "…")
    separator = ",\n" + " " * (indent + 1) if value and isinstance(value[0], list) else ", "
    return f"[{separator.join(shown)}]"


def write(path: Path, outputs: Sequence[Tensor]) -> None:
    """The output as a file, by the file's ending."""
    if path.suffix == ".json":
        path.write_text(json.dumps({one.name: _plain(_nested(one)) for one in outputs}) + "\n", encoding="utf-8")
        return
    if len(outputs) != 1:
        names = ", ".join(one.name for one in outputs)
        raise Error(f"the model has several outputs ({names}); -o writes them to a .json file")
    (tensor,) = outputs
    if path.suffix == ".npy":
        npy.write(path, tensor)
        return
    elements = datatypes.unpack_bytes(tensor.data) if tensor.datatype == "BYTES" else []
    if len(elements) != 1:
        raise Error(f"'{path}': only a single text, or bytes, can be written as it is; name the file .npy or .json")
    path.write_bytes(elements[0].encode() if isinstance(elements[0], str) else elements[0])
