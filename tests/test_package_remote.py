"""The Python package deploying to the real server, with tokens as somebody on another machine has them."""
from __future__ import annotations

import asyncio
import datetime
import enum
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from typing import Optional

import numpy as np
import pytest
from PIL import Image

import tensord
from support import models
from support.python_models import needs_python
from support.processes import until
from support.server import ROOT, Server, binary, fetch, inherited
from tensord.client.progress import Progress


@pytest.fixture(scope="module")
def remote(tmp_path_factory):
    """A server that knows nobody without a token, and serves what is pushed to it."""
    started = Server(None, "--anonymous", "none", "--python", sys.executable, state=tmp_path_factory.mktemp("state"))
    started.tokens = {scope: subprocess.run(
        [binary(), "token", "create", "--scope", f"infer,{scope}", "--state-dir", started.state_dir],
        capture_output=True, text=True, check=True, env=inherited()).stdout.strip() for scope in ("deploy", "code")}
    for token in started.tokens.values():  # the server takes them in when it hears of them
        until(lambda: fetch(started.url + "/v2", headers={"Authorization": f"Bearer {token}"})[0] == 200, 30, "known")
    yield started
    started.stop()


@pytest.fixture
def gpu(remote, monkeypatch):
    monkeypatch.setattr("tensord.client.deploy.choose", Progress)
    with tensord.connect(remote.url, remote.tokens["code"]) as connected:
        yield connected


# ---- files and folders ----


def test_a_file_is_pushed_called_pulled_and_removed(gpu, tmp_path):
    models.save(models.matmul(), tmp_path / "matmul.onnx")
    matmul = gpu.push(tmp_path / "matmul.onnx")
    x = np.ones((2, 4), np.float32)
    np.testing.assert_allclose(matmul(x), x @ models.weights(), rtol=1e-5)
    pulled = gpu.pull("matmul", tmp_path / "pulled")
    (file,) = [path for path in pulled.rglob("*") if path.is_file()]
    assert file.read_bytes() == (tmp_path / "matmul.onnx").read_bytes()
    gpu.remove("matmul")
    with pytest.raises(tensord.ModelNotFound):
        gpu.model("matmul")(x)


def test_a_new_push_takes_over(gpu, tmp_path):
    for value in (1, 2):
        models.save(models.constant(value), tmp_path / "constant.onnx")
        assert gpu.push(tmp_path / "constant.onnx")([0.0]) == [value]


def test_triton_s_layout(gpu, tmp_path):
    for version in (1, 3):
        models.save(models.constant(version), tmp_path / "versioned" / str(version) / "model.onnx")
    versioned = gpu.push(tmp_path / "versioned")
    assert versioned([0.0]) == [3] and gpu.model("versioned", 1)([0.0]) == [1]


@needs_python
def test_a_folder_of_python(gpu, tmp_path):
    folder = tmp_path / "greet"
    folder.mkdir()
    (folder / "words.txt").write_text("hello")
    (folder / "model.py").write_text("from pathlib import Path\nWORD = (Path(__file__).parent / 'words.txt').read_text()\n"
                                     "def greet(name: str) -> str:\n    return f'{WORD} {name}'\n")
    assert gpu.push(folder)("you") == "hello you"


@needs_python
def test_what_a_token_may_not_do(remote, tmp_path):
    only_data = tensord.connect(remote.url, remote.tokens["deploy"])
    (tmp_path / "code.py").write_text("def code(x: str) -> str: return x\n")
    with pytest.raises(tensord.Unauthorized, match="code"):
        only_data.push(tmp_path / "code.py", progress=Progress())
    with pytest.raises(tensord.Unauthorized, match="TENSORD_TOKEN"):
        tensord.connect(remote.url).push(tmp_path / "code.py", progress=Progress())


@needs_python
def test_a_model_that_cannot_be_loaded(gpu, tmp_path):
    (tmp_path / "wrong.py").write_text("import nothing_of_that_name\ndef wrong(x: str) -> str: return x\n")
    with pytest.raises(tensord.DeployError, match="nothing_of_that_name"):
        gpu.push(tmp_path / "wrong.py")
    models.save(models.missing_operator(), tmp_path / "odd.onnx")
    with pytest.raises(tensord.DeployError, match="cannot be loaded: .*NoSuchOperator"):
        gpu.push(tmp_path / "odd.onnx")


# ---- functions ----


@dataclass
class Point:
    x: float
    name: str
    note: Optional[str] = None


SCALE = np.array([1, 10], np.float32)


def lengths(texts: list[str]) -> np.ndarray:
    return np.array([len(text) for text in texts], np.float32)


def scaled(x: np.ndarray, by: float = 2.0) -> np.ndarray:
    return x * SCALE * by


def number(x: int) -> int:
    return x + 1


def text(x: str, times: int = 2) -> str:
    return x * times


def raw(x: bytes) -> bytes:
    return x[::-1]


def total(x: list[float]) -> float:
    return sum(x)


def document(x: dict) -> dict:
    return {"got": x}


def moved(p: Point) -> Point:
    return Point(p.x + 1, p.name + "!", p.note)


def mirrored(points: list[Point]) -> list[Point]:
    return [Point(-p.x, p.name) for p in points]


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


def other(color: Color) -> Color:
    return Color.BLUE if color is Color.RED else Color.RED


def next_day(day: datetime.date) -> datetime.date:
    return day + datetime.timedelta(days=1)


def named(pair: tuple[str, int]) -> dict[str, Point]:
    return {pair[0]: Point(pair[1], "")}


def nothing(x: float) -> None:
    pass


def both(x: np.ndarray) -> tuple[np.ndarray, str]:
    return x, "and this"


def turned(image: Image.Image) -> Image.Image:
    return image.transpose(Image.Transpose.ROTATE_90)


async def later(x: str) -> list[str]:
    return [x, x]


class Counter:
    def __init__(self) -> None:
        self.count = 0

    def predict(self, step: int) -> int:
        self.count += step
        return self.count


def raises(x: str) -> str:
    raise KeyError(x)


@needs_python
@pytest.mark.parametrize("function, arguments", [
    (lengths, (["hello", "world!"],)), (scaled, (np.ones((3, 2), np.float32),)), (scaled, (np.ones(2, np.float32), 3.0)),
    (number, (41,)), (text, ("ab",)), (text, ("ab", 3)), (raw, (b"\xffab",)), (total, ([1, 2, 3.5],)),
    (document, ({"k": [1, "z", None]},)), (moved, (Point(1.5, "q", "n"),)),
    (mirrored, ([Point(1, "a"), Point(2, "b", "n")],)), (other, (Color.RED,)), (next_day, (datetime.date(2024, 2, 28),)),
    (named, (("a", 3),)), (nothing, (1.0,)), (both, (np.ones(3, np.float32),)),
], ids=lambda one: getattr(one, "__name__", ""))
def test_a_function_gives_there_what_it_gives_here(gpu, function, arguments):
    there, here = gpu.deploy(function)(*arguments), function(*arguments)
    assert type(there) is type(here)
    if isinstance(here, (np.ndarray, tuple)):
        for one, other in zip(*((there, here) if isinstance(here, tuple) else ([there], [here]))):
            np.testing.assert_array_equal(one, other)
    else:
        assert there == here


@needs_python
def test_images_async_functions_and_classes(gpu):
    image = Image.fromarray(np.arange(24, dtype=np.uint8).reshape(2, 4, 3))
    np.testing.assert_array_equal(np.asarray(gpu.deploy(turned)(image)), np.asarray(turned(image)))
    deployed = gpu.deploy(later)
    assert deployed("a") == ["a", "a"] == asyncio.run(deployed.aio("a"))
    counter = gpu.deploy(Counter)
    assert [counter(2), counter(3)] == [2, 5]


@needs_python
def test_a_function_is_called_as_it_is_here(gpu):
    deployed = gpu.deploy(text)
    assert deployed(x="ab", times=1) == "ab" and deployed.__doc__ == text.__doc__ and deployed.__name__ == "text"
    with pytest.raises(TypeError, match="missing a required argument: 'x'"):
        deployed()
    with pytest.raises(TypeError, match="unexpected keyword argument 'y'"):
        deployed("a", y=1)


@needs_python
def test_what_a_function_raises_names_the_model(gpu):
    deployed = gpu.deploy(raises, name="careless")
    with pytest.raises(tensord.ModelError, match="model 'careless': KeyError: 'boom'") as raised:
        deployed("boom")
    assert raised.value.model == "careless"


@needs_python
def test_a_function_is_deployed_again(gpu):
    for factor in (2, 3):
        @gpu.deploy(name="times")
        def times(x: int) -> int:
            return x * factor

        assert times(5) == 5 * factor


# ---- as written ----


@needs_python
def test_the_lines_of_the_readme(remote, tmp_path):
    """A laptop that deploys a function and a folder: the very lines."""
    section = (ROOT / "README.md").read_text().split("\n## From a laptop\n")[1].split("\n## ")[0]
    (lines,) = re.findall(r"```python\n(.*?)```", section, re.S)
    assert 0 < len([line for line in lines.splitlines() if line.strip()]) < 10
    models.save(models.identity(), tmp_path / "models" / "iris" / "model.onnx")
    (tmp_path / "laptop.py").write_text(lines + "\nprint(_ := lengths(['hello', 'world!']), iris([[1, 2, 3, 4]]))\n")
    environment = {**inherited(), "PYTHONPATH": str(ROOT / "python"), "TENSORD_URL": remote.url,
                   "TENSORD_TOKEN": remote.tokens["code"]}
    ran = subprocess.run([sys.executable, "laptop.py"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.endswith("[5. 6.] [[1.0, 2.0, 3.0, 4.0]]\n")
    assert f"lengths version 1 is ready at {remote.url}" in ran.stderr and "iris version 1 is ready" in ran.stderr


def test_the_commands(remote, tmp_path):
    models.save(models.identity(), tmp_path / "shell.onnx")
    environment = {**inherited(), "PYTHONPATH": str(ROOT / "python"), "TENSORD_URL": remote.url,
                   "TENSORD_TOKEN": remote.tokens["code"]}

    def command(line):
        ran = subprocess.run([sys.executable, "-m", "tensord", *line.split()], cwd=tmp_path, env=environment,
                             capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    pushed = command("push shell.onnx")
    assert "INPUT FP32 [any, 4] → OUTPUT FP32 [any, 4]" in pushed
    curl = next(line for line in pushed.splitlines() if "curl" in line)
    answer = subprocess.run(["sh", "-c", curl + " -s"], capture_output=True, text=True, env={**os.environ, **environment}).stdout
    assert '"data":[0.5,0.5,0.5,0.5]' in answer
    assert "[[1, 2, 3, 4]]" in command("run shell 1,2,3,4")
    assert any(line.split()[:3] == ["shell", "1", "ready"] for line in command("ps").splitlines())
    assert any(line.split()[:3] == ["shell", "1", "READY"] for line in command("ls").splitlines())
    command("logs shell")
    command("pull shell here")
    assert (tmp_path / "here").is_dir()
    assert command("rm shell") == "shell is removed\n"
