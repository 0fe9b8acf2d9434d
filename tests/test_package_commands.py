"""The Python package's commands, as somebody at a shell sees them."""
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from support import models
from support.push_server import PushServer
from support.server import ROOT, Server, binary, inherited
from tensord import DeployError, connect


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    made = {"add": models.add(), "echo": models.identity(), "text": models.identity("BYTES", ("batch",)),
            "long": models.identity(shape=("n",)), "pixels": models.identity("UINT8", ("height", "width", "channels"))}
    for name, model in made.items():
        models.save(model, folder / f"{name}.onnx")
    started = Server(folder, state=tmp_path_factory.mktemp("state"))
    for name in made:
        started.wait_ready(name)
    yield started
    started.stop()


@pytest.fixture
def pushes():
    started = PushServer()
    yield started
    started.stop()


def tensord(*arguments, url=None, cwd=None, **options):
    """Runs a command; returns what came of it."""
    environment = {**inherited(), "PYTHONPATH": str(ROOT / "python"), "PYTHONIOENCODING": "utf-8"}
    if url:
        environment["TENSORD_URL"] = url
    environment.update(options.pop("environment", {}))
    return subprocess.run([sys.executable, "-m", "tensord", *map(str, arguments)], capture_output=True, text=True,
                          encoding="utf-8", env=environment, cwd=cwd, **options)


def done(*arguments, **options):
    """The output of a command that succeeds."""
    ended = tensord(*arguments, **options)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def complaint(status, *arguments, **options):
    """What a command that fails says."""
    ended = tensord(*arguments, **options)
    assert ended.returncode == status and ended.stdout == "", ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stderr


# ---- run ----


def test_run_shows_the_answer(running):
    assert done("run", "echo", "1,2,3,4.5", url=running.url) == "OUTPUT FP32 [1, 4]\n[[1, 2, 3, 4.5]]\n"
    assert done("run", "text", "hällo", "--to", running.url) == "OUTPUT BYTES [1]\n[\"hällo\"]\n"
    assert done("run", "long", json.dumps(list(range(100))), url=running.url).endswith(
        "[0, 1, 2, 3, …, 96, 97, 98, 99]\n")


def test_run_for_programs(running):
    assert json.loads(done("run", "echo", "[[1, 2, 3, 4]]", "--json", url=running.url)) == {"OUTPUT": [[1, 2, 3, 4]]}
    assert json.loads(done("run", "add", "A=[[1,2,3,4]]", "B=[[1,1,1,1]]", "--json", url=running.url)) == {"SUM": [[2, 3, 4, 5]]}
    assert json.loads(done("run", "text", "a=b", "--json", url=running.url)) == {"OUTPUT": ["a=b"]}


def test_run_takes_files(running, tmp_path):
    x = np.arange(8, dtype=np.float64).reshape(2, 4)
    np.save(tmp_path / "x.npy", x)
    (tmp_path / "x.json").write_text(json.dumps(x.tolist()))
    (tmp_path / "x.csv").write_text("a,b,c,d\n0,1,2,3\n4,5,6,7\n")
    for name in ("x.npy", "x.json", "x.csv"):
        out = tmp_path / "out.npy"
        done("run", "echo", f"@{name}", "-o", out, url=running.url, cwd=tmp_path)
        np.testing.assert_array_equal(np.load(out), x.astype(np.float32))
    assert json.loads(done("run", "echo", "@-", "--json", url=running.url, input="[1,2,3,4]")) == {"OUTPUT": [[1, 2, 3, 4]]}
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    done("run", "pixels", "@image.png", "-o", "out.npy", url=running.url, cwd=tmp_path)
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), pixels)
    done("run", "text", "@image.png", "-o", "copy.png", url=running.url, cwd=tmp_path)
    assert (tmp_path / "copy.png").read_bytes() == (tmp_path / "image.png").read_bytes()


def test_run_works_without_numpy(running, tmp_path):
    np.save(tmp_path / "x.npy", np.arange(8, dtype=np.float32).reshape(2, 4))
    (tmp_path / "numpy.py").write_text("raise ImportError('not here')")
    there = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT / 'python'}"}
    done("run", "echo", "@x.npy", "-o", "out.npy", url=running.url, cwd=tmp_path, environment=there)
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), np.load(tmp_path / "x.npy"))
    Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(tmp_path / "image.png")
    assert "pip install numpy" in complaint(1, "run", "pixels", "@image.png", url=running.url, cwd=tmp_path, environment=there)


@pytest.mark.parametrize("arguments, sentence", [
    (["echo"], "it takes INPUT FP32 [any, 4]"),
    (["add", "1,2,3,4"], "names none of its inputs; it takes A FP32"),
    (["add", "A=1", "A=2"], "given twice"),
    (["echo", "hello"], "neither JSON nor a file (@FILE)"),
    (["echo", "@nothing.npy"], "nothing.npy: No such file"),
    (["echo", "@/dev/null"], "read as .npy, .json, .csv or an image"),
    (["echo", "[1,2]"], "Expected [-1,4], got [1,2]"),
    (["nobody", "1"], "unknown model: 'nobody'"),
    (["add", "A=[[1,2,3,4]]", "B=[[1,2,3,4]]", "-o", "/nowhere/x.npy"], "/nowhere/x.npy: No such file"),
])
def test_run_says_what_is_wrong(running, tmp_path, arguments, sentence):
    assert sentence in complaint(1, "run", *arguments, url=running.url, cwd=tmp_path)


# ---- the others ----


def test_ls(running):
    lines = done("ls", url=running.url).splitlines()
    assert lines[0].split() == ["MODEL", "VERSION", "STATE", "ENGINE", "NOTE"]
    assert [line.split()[0] for line in lines[1:]] == ["add", "echo", "long", "pixels", "text"]
    assert {one["name"] for one in json.loads(done("ls", "--json", url=running.url))} >= {"add", "echo"}


def test_push_shows_how_to_call(pushes, running, tmp_path):
    models.save(models.identity(), tmp_path / "mine.onnx")
    ended = tensord("push", tmp_path / "mine.onnx", "--no-wait", url=pushes.url)
    assert ended.returncode == 0 and "reading 1 file" in ended.stderr and "uploading 1 file" in ended.stderr
    assert f"mine version 1 is installed at {pushes.url}" in ended.stderr
    assert json.loads(done("push", tmp_path / "mine.onnx", "--json", "--name", "other", "--version", "2", "-r", "torch",
                           url=pushes.url)) == {"name": "other", "version": 2}
    assert pushes.models["other"]["files"][1]["path"] == "requirements.txt"


def test_how_to_call_works_as_written(running):
    script = ("from tensord.client.server import Server\nfrom tensord.commands.push import how_to_call\n"
              "import sys; server = Server(sys.argv[1])\nprint(how_to_call(server, server.model('add'), ''))")
    text = subprocess.run([sys.executable, "-c", script, running.url], capture_output=True, text=True, check=True,
                          env={"PYTHONPATH": str(ROOT / "python")}).stdout
    curl = next(line for line in text.splitlines() if "curl" in line)
    answer = subprocess.run(["sh", "-c", curl + " -s"], capture_output=True, text=True, check=True).stdout
    assert json.loads(answer)["outputs"][0]["data"] == [1, 1, 1, 1]
    assert "tensord run add A=VALUE B=VALUE" in text and '.model("add")(A=…, B=…)' in text


def test_push_pull_rm(pushes, tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"12345")
    done("push", "m.onnx", "--no-wait", url=pushes.url, cwd=tmp_path)
    done("pull", "m", "there", url=pushes.url, cwd=tmp_path)
    assert (tmp_path / "there" / "m.onnx").read_bytes() == b"12345"
    assert "is there already" in complaint(1, "pull", "m", "there", url=pushes.url, cwd=tmp_path)
    assert done("rm", "m", url=pushes.url) == "m is removed\n"
    assert "unknown model: 'm'" in complaint(1, "rm", "m", url=pushes.url)


def test_a_repository_of_models(pushes, tmp_path):
    for path in ("repository/a/1/model.onnx", "repository/a/config.pbtxt", "repository/b/model.yaml", "repository/.git/config"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("x")
    done("push", "repository", "--no-wait", url=pushes.url, cwd=tmp_path)
    assert {name: [one["path"] for one in model["files"]] for name, model in pushes.models.items()} == {
        "a": ["config.pbtxt", "1/model.onnx"], "b": ["model.yaml"]}
    assert "holds 2 models, which have their own names" in complaint_of(
        tensord("push", "repository", "--name", "x", url=pushes.url, cwd=tmp_path))
    with pytest.raises(DeployError, match="holds 2 models; push each of them: a, b"):
        connect(pushes.url).push(tmp_path / "repository")
    done("push", "repository/a", "--no-wait", url=pushes.url, cwd=tmp_path)


def test_sources_that_lie_elsewhere(pushes, tmp_path):
    import http.server
    import threading

    (tmp_path / "far.onnx").write_bytes(b"far away")
    handler = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), lambda *a: handler(*a, directory=str(tmp_path))) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        source = f"http://127.0.0.1:{web.server_port}/"
        done("push", source + "far.onnx", "--no-wait", url=pushes.url)
        assert "cannot be fetched: File not found" in complaint_of(tensord("push", source + "nothing.onnx", url=pushes.url))
        web.shutdown()
    assert pushes.models["far"]["files"][0]["size"] == 8
    for scheme, package in {"hf": "huggingface_hub", "s3": "s3fs", "gs": "gcsfs", "oci": "oras"}.items():
        (tmp_path / f"{package}.py").write_text("raise ImportError")
        said = complaint_of(tensord("push", f"{scheme}://a/b", url=pushes.url, environment={
            "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT / 'python'}"}))
        assert f"pip install {package}" in said


def complaint_of(ended):
    assert ended.returncode == 1 and "Traceback" not in ended.stderr, ended.stderr
    return ended.stderr


@pytest.mark.parametrize("arguments, sentence", [
    (["pus"], "did you mean 'push'?"),
    (["push"], "PATH; see tensord push --help"),
    (["push", "x", "--toke"], "unknown option '--toke', did you mean '--token'?"),
    (["push", "x", "y"], "'y' is one argument too many"),
    (["push", "x", "--version", "0"], "'0' is no version"),
])
def test_mistakes_are_told(arguments, sentence):
    assert sentence in complaint(2, *arguments)


def test_nobody_answers(tmp_path):
    assert "no server answers at http://127.0.0.1:1" in complaint(1, "ls", "--to", "127.0.0.1:1")
    assert "no file or folder 'nothing'" in complaint(1, "push", "nothing", cwd=tmp_path)
    assert "no file of requirements 'no.txt'" in complaint(1, "push", ROOT / "tests", "-r", "no.txt")


def test_help():
    overview = done("--help")
    for name in ("push", "run", "ls", "ps", "logs", "pull", "rm", "serve", "token", "config"):
        assert f"\n  {name} " in overview
    for name in ("push", "run", "ls", "ps", "logs", "pull", "rm"):
        assert f"usage: tensord {name}" in done(name, "--help") and done("help", name) == done(name, "--help")
    assert tensord().returncode == 2
    assert done("--version").startswith("tensord 0.")


def test_commands_of_the_server_program(tmp_path):
    """Those are done by the program on PATH; a script of the same name is none."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "tensord").write_text("#!/bin/sh\necho wrong\n")
    (tmp_path / "scripts" / "tensord").chmod(0o755)
    (tmp_path / "tensord").symlink_to(binary())
    path = {"PATH": f"{tmp_path / 'scripts'}{os.pathsep}{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    assert "/v2/models/{model}/infer" in done("routes", environment=path)
    none = {"PATH": str(tmp_path / "scripts")}
    assert "a command of the server program" in complaint(1, "serve", "x", environment=none)


def test_the_program_says_where_the_others_are():
    from tensord.commands.table import COMMANDS

    for name in set(COMMANDS) - {"ls"}:
        said = subprocess.run([binary(), name], capture_output=True, text=True)
        assert said.returncode == 2 and "is a command of the Python package: pip install tensord" in said.stderr


def test_the_table_of_server_commands_is_whole():
    """It is that of the program."""
    from tensord.commands.table import COMMANDS, SERVER_COMMANDS

    text = subprocess.run([binary(), "help"], capture_output=True, text=True, check=True).stdout
    section = text.split("\nCommands:\n")[1].split("\n\n")[0]
    listed = {line.split()[0] for line in section.splitlines() if line[2] != " "}
    assert listed - {"version"} - set(COMMANDS) == set(SERVER_COMMANDS)


def test_what_others_say_does_not_reach_the_terminal_raw(pushes, tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"x")
    pushes.refusal = (400, "no \x1b[2Jmodel\nat all")
    assert complaint(1, "push", tmp_path / "a.onnx", url=pushes.url).endswith("tensord push: no ?[2Jmodel\nat all\n")
