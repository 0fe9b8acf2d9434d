"""`tensord push`."""
from __future__ import annotations

import json
import shlex
import tempfile
from pathlib import Path
from typing import Any, Sequence

from tensord.client import content, sources
from tensord.client.deploy import push_files
from tensord.client.model import Model
from tensord.client.progress import choose
from tensord.client.server import Server
from tensord.commands.common import Parser, connected, version, where
from tensord.commands.table import COMMANDS
from tensord.errors import DeployError

_EXAMPLES = """
PATH is a file (iris.onnx, model.ubj, NAME.py), a folder that holds a model, a repository of models as Triton has it, or a
source that is fetched here first: hf://OWNER/NAME, s3://…, gs://…, https://…, oci://… (by the packages huggingface_hub, s3fs,
gcsfs, oras, where they are installed).

Only what the server lacks is uploaded. A push that was cut off goes on where it stopped: give it again. The new
version takes over when it is ready; until then the old one answers. Models that are code (Python files, pickles) need a
token with the scope code, others one with the scope deploy.

  tensord push iris.onnx --to http://gpu-box:8000
  tensord push sentiment/ --requirements requirements.txt
  tensord push classify.py -r torch -r pillow --name classify
  tensord push hf://sentence-transformers/all-MiniLM-L6-v2 --name minilm
"""


def main(arguments: Sequence[str]) -> int:
    """Deploys a model."""
    parser = Parser("push", COMMANDS["push"].summary, epilog=_EXAMPLES)
    parser.add_argument("path", metavar="PATH", help="a file, a folder, or a source such as hf://OWNER/NAME")
    parser.add_argument("--name", metavar="NAME", help="what the model is called [the name of the file or folder]")
    parser.add_argument("--version", type=version, metavar="N", help="which version it becomes [the next one]")
    parser.add_argument("-r", "--requirements", action="append", metavar="FILE|PACKAGE", default=[],
                        help="what its Python environment holds: a requirements file, or a package; may be repeated")
    parser.add_argument("--no-wait", action="store_true", help="do not wait until it is ready")
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="wait no longer than this")
    parser.add_argument("--json", action="store_true", help="print name and version as JSON, for programs")
    parser.add_server_options()
    given = parser.parse_args(arguments)
    server = connected(given)
    with tempfile.TemporaryDirectory(prefix="tensord-") as scratch:
        path: Any = given.path
        if sources.scheme_of(path):
            path = sources.fetch(path, Path(scratch), choose())
        found = content.models_in(path)
        if given.name and len(found) > 1:
            raise DeployError(f"'{given.path}' holds {len(found)} models, which have their own names")
        for one in found:
            _push_one(server, one, given)
    return 0


def _push_one(server: Server, path: Path, given: Any) -> None:
    files = content.with_requirements(content.collect(path), _requirements(given.requirements))
    name = given.name or content.default_name(path)
    number = push_files(server, name, files, version=given.version, wait=not given.no_wait, timeout_s=given.timeout)
    if given.json:
        print(json.dumps({"name": name, "version": number}))
    elif not given.no_wait:
        print(how_to_call(server, server.model(name, given.version), where(given)))


def _requirements(given: Sequence[str]) -> Any:
    """Files and packages together as a list; None when nothing was said, so that what lies in the folder counts."""
    if not given:
        return None
    lines: list[str] = []
    for one in given:
        if Path(one).is_file():
            lines += Path(one).read_text(encoding="utf-8").splitlines()
        elif one.endswith((".txt", ".in")) or "/" in one and "@" not in one:
            raise DeployError(f"there is no file of requirements '{one}'")
        else:
            lines.append(one)
    return lines


# ---- how to call it ----


def how_to_call(server: Server, model: Model, to: str) -> str:
    """Lines to paste: from a shell, and from Python."""
    token = ' -H "Authorization: Bearer $TENSORD_TOKEN"' if server.transport.token else ""
    if model.server_url:
        return "\n".join([f"{model.name}: a server, whose paths are beneath {model.server_url}/", "",
                          f"  curl{token} {model.server_url}/"])
    body = json.dumps({"inputs": [
        {"name": one.name, "datatype": one.datatype, "shape": shape, "data": _example(one.datatype, shape)}
        for one, shape in ((one, [1 if size < 0 else size for size in one.shape]) for one in model.inputs)]})
    lines = [f"{model.name}: " + "; ".join(map(str, model.inputs)) + " → " + "; ".join(map(str, model.outputs)), ""]
    if len(body) < 400:
        lines.append(f"  curl{token} {server.url}{model.path}/infer -d {shlex.quote(body)}")
    arguments = "…" if len(model.inputs) == 1 else ", ".join(f"{one.name}=…" for one in model.inputs)
    shell = "VALUE" if len(model.inputs) == 1 else " ".join(f"{one.name}=VALUE" for one in model.inputs)
    lines += [f"  tensord run {shlex.quote(model.name)} {shell}{to}",
              f'  python: tensord.connect("{server.url}").model("{model.name}")({arguments})']
    return "\n".join(lines)


def _example(datatype: str, shape: Sequence[int]) -> list:
    count = 1
    for size in shape:
        count *= size
    value: Any = {"BYTES": "text", "BOOL": True}.get(datatype, 1 if "INT" in datatype else 0.5)
    return [value] * min(count, 1000)
