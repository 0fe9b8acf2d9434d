"""Engines: which are found, which are refused, and what they may write to the log."""
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from support import models
from support.processes import until
from support.repositories import index, request, tensor_config, write_config, write_model
from support.server import ROOT, binary

ENGINES = Path(binary()).parents[2] / "engines"


@pytest.fixture
def engines(tmp_path):
    """A folder of engines of our own."""
    folder = tmp_path / "engines"
    folder.mkdir()
    for name in ("identity", "chaos"):
        shutil.copy(ENGINES / f"{name}.so", folder)
    return folder


def reason(server, name):
    until(lambda: index(server).get((name, "1"), {}).get("state") == "UNAVAILABLE", 60)
    return index(server)[name, "1"]["reason"]


@pytest.mark.parametrize("name", ["nope", "../identity", "/tmp/identity", "identity.so", "-", "x" * 300, "id\u00e9"])
def test_an_unknown_engine_is_told_with_those_there_are(server, tmp_path, engines, name):
    folder = tmp_path / "models"
    write_config(folder, "m", backend=name, input=[tensor_config("x")], output=[tensor_config("y")])
    said = reason(server(folder, "--engine-dir", engines), "m")
    assert said.startswith("there is no engine '") and said.endswith("'; there are: chaos, identity")


def test_what_no_engine_knows_is_told_with_those_there_are(server, tmp_path, engines):
    models.save(models.constant(1), tmp_path / "models/m.onnx")
    running = server(tmp_path / "models", "--engine-dir", engines)
    assert reason(running, "m") == "no engine knows what this is; there are: chaos, identity"


def test_an_engine_of_ones_own_is_found_by_its_files_name(server, tmp_path, engines):
    (engines / "identity.so").rename(engines / "mine.so")
    running = server(write_model(tmp_path / "models", "m", "mine"), "--engine-dir", engines).wait_ready("m")
    status, body = running.infer("m", request([1, 2]))
    assert status == 200 and body["outputs"][0]["data"] == [1, 2]


def test_engines_that_others_may_change_are_not_loaded(server, tmp_path, engines):
    folder = write_model(tmp_path / "models", "good", "identity")
    write_model(folder, "bad", "chaos")
    (engines / "chaos.so").chmod(0o777)
    running = server(folder, "--engine-dir", engines).wait_ready("good")
    assert reason(running, "bad").startswith("'chaos.so' holds engines, which are code, and other users may change it")


def test_a_folder_of_engines_that_others_may_change_is_refused_at_the_start(tmp_path, engines):
    folder = write_model(tmp_path / "models", "m", "identity")
    engines.chmod(0o777)
    command = [binary(), "serve", folder, "--port", "0", "--engine-dir", engines]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert "'engines' holds engines, which are code, and other users may change it" in ended.stderr
    assert "chown, chmod go-w" in ended.stderr


def compile_c(source, library):
    compiler = ["cc", "-shared", "-fPIC", f"-I{ROOT / 'include'}", "-x", "c", "-", "-o", library]
    subprocess.run(compiler, input=source, text=True, check=True)


def test_a_library_that_gives_no_engine_is_told(server, tmp_path, engines):
    compile_c("#include <tensord/engine.h>\nconst struct tensord_engine *tensord_engine(void) { return 0; }\n",
              engines / "mine.so")
    running = server(write_model(tmp_path / "models", "m", "mine"), "--engine-dir", engines)
    assert reason(running, "m") == "engine 'mine.so' gives no engine"


def test_the_page_for_authors_is_true(server, tmp_path):
    """Followed from nothing but the header, the host for tests and what the page says."""
    for name in ("include/tensord/engine.h", "engines/identity.c", "engines/engine_try.c", "engines/engine_try.h"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    page = (ROOT / "docs/engines.md").read_text()
    [program] = re.findall(r"^```c\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    (tmp_path / "try.c").write_text(program)
    commands = [line.strip() for line in page.replace(program, "").splitlines() if line.startswith("    ")]
    in_server = commands.index("tensord serve models --engine-dir engines")
    assert len(commands) == in_server + 2
    done = subprocess.run(["sh", "-ec", "\n".join(commands[:in_server])], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == "1 2.5\n", done.stderr
    running = server(tmp_path / "models", "--engine-dir", tmp_path / "engines").wait_ready("m")
    [body] = re.findall("curl -d '(.*)' localhost", commands[-1])
    status, answer = running.infer("m", body.encode())
    assert status == 200 and answer["outputs"][0]["data"] == [1, 2.5]


def test_a_model_that_talks_too_much_does_not_fill_the_log(server, tmp_path):
    folder = write_model(tmp_path, "wild", "chaos", "INT32")
    write_model(folder, "calm", "identity")
    running = server(folder).wait_ready("wild").wait_ready("calm")
    for _ in range(3):
        status, body = running.infer("wild", request([1], datatype="INT32", log="2000"))
        assert status == 200, body

    def left_out():
        return int(re.search(r'limit="log_rate"\} (\d+)', running.fetch("/metrics")[2].decode())[1])

    until(lambda: left_out() > 1000, 60)  # what a worker says comes after its answers
    until(lambda: len(running.err.seen) > 100, 60)

    def told():
        running.infer("wild", request([1], datatype="INT32", log="1"))
        return [line for line in running.err.seen if "lines were left out" in line]

    until(told, 60)
    assert 100 < len([line for line in running.err.seen if "of many" in line]) < 1000
