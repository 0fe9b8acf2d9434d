"""docs/formats.md, followed by the letter: a tree with a new format, built and asked."""
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from support.frameworks import ROOT
from support.python_models import ask, needs_python, tensor
from support.server import Server

pytestmark = needs_python
PROGRAM, EXTENSION = "src/cmd/tensord", "engines/python/_channel.abi3.so"


def left_out(folder, names):
    """Of the names in a folder of the tree, those that are no part of it."""
    made = ("__pycache__",) if Path(folder) != ROOT else (".", "build", "dist", "__pycache__")
    return [name for name in names if name.startswith(made)]


def insert(path, after, line):
    text = path.read_text()
    assert after in text, path
    path.write_text(text.replace(after, f"{after}{line}", 1))


def test_the_page_leads_to_a_new_format(tmp_path, tmp_path_factory, monkeypatch):
    page = (ROOT / "docs/formats.md").read_text().partition("## A new format")[2]
    (python,), (row,) = (re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL) for language in ("python", "c"))
    tree = tmp_path / "tree"
    shutil.copytree(ROOT, tree, ignore=left_out)
    formats = tree / "python/tensord/formats"
    (formats / "thresholds.py").write_text(python)
    insert(formats / "__init__.py", "from tensord.formats.base import Format\n", "from tensord.formats.thresholds import Thresholds\n")
    insert(formats / "__init__.py", "FORMATS: tuple[Format, ...] = (\n", "    Thresholds(),\n")
    insert(tree / "src/repository/format.c", "static const struct format formats[] = {\n", row)
    build = tmp_path / "build"
    environment = {**os.environ, "CCACHE_BASEDIR": str(tree)}
    subprocess.run(["meson", "setup", "-Dtests=false", f"-Dllhttp={ROOT / '.deps/llhttp'}", build, tree], check=True,
                   stdout=subprocess.DEVNULL, env=environment)
    subprocess.run(["ninja", "-C", build, PROGRAM, EXTENSION], check=True, stdout=subprocess.DEVNULL, env=environment)
    monkeypatch.setenv("TENSORD_BINARY", str(build / PROGRAM))
    models = tmp_path / "models"
    models.mkdir()
    np.savetxt(models / "limits.thr", [1, 2, 3])
    served = Server(models, "--python", sys.executable, state=tmp_path_factory.mktemp("state"))
    try:
        served.wait_ready("limits", timeout_s=120)
        status, outputs = ask(served, "limits", tensor("input", "FP64", [2, 3], [0, 3, 3, 5, 1, 4]))
        assert status == 200, outputs
        assert outputs["predict"]["data"] == [False, True, False, True, False, True]
    finally:
        served.stop()
