"""The wheels of ./dev wheel, each installed into an empty environment by pip, without any index."""
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from support import models  # noqa: E402
from support.server import ROOT, Lines, inherited, onnxruntime  # noqa: E402

DIST = ROOT / "dist"
LARGEST_BYTES = 8_000_000


def wheel(kind):
    (found,) = DIST.glob(f"tensord-*-{kind}*.whl")
    return found


def installed(tmp_path, one):
    """The programs' folder of an environment that holds that wheel and nothing else."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    subprocess.run([tmp_path / "venv/bin/python", "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-index", one],
                   check=True)
    return tmp_path / "venv" / "bin"


def clean(**more):
    """What the environment is for somebody who has just installed it."""
    return {name: value for name, value in inherited().items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")} | more


def run(program, *arguments, **environment):
    return subprocess.run([program, *arguments], capture_output=True, text=True, cwd="/", env=clean(**environment))


@pytest.mark.parametrize("kind", ["py3-none-any", "py3-none-manylinux"])
def test_a_wheel_installs_into_an_empty_environment(tmp_path, kind):
    programs = installed(tmp_path, wheel(kind))
    helped = run(programs / "tensord", "--help")
    assert helped.returncode == 0 and "Commands that use a server:" in helped.stdout
    assert run(programs / "python", "-m", "tensord", "--version").stdout.startswith("tensord ")
    imported = run(programs / "python", "-c", "import tensord; print([getattr(tensord, n) for n in tensord.__all__] != [])")
    assert imported.stdout == "True\n", imported.stderr
    checked = run(programs / "python", "-m", "pip", "check")
    assert checked.returncode == 0, checked.stdout


def test_the_pure_wheel_says_where_to_serve(tmp_path):
    programs = installed(tmp_path, wheel("py3-none-any"))
    if os.path.exists("/usr/bin/tensord"):
        pytest.skip("there is a server on PATH")
    said = run(programs / "tensord", "serve", "x")
    assert said.returncode == 1 and "a command of the server program" in said.stderr


def test_the_wheel_for_linux_serves(tmp_path):
    """A model by an engine in C and one in Python, called and pushed to by the same install."""
    programs = installed(tmp_path, wheel("py3-none-manylinux"))
    folder = tmp_path / "models"
    models.save(models.identity(), folder / "echo.onnx")
    (folder / "hello.py").write_text("def hello(x: str) -> str:\n    return 'hello ' + x\n")
    environment = clean(XDG_STATE_HOME=str(tmp_path / "state"))
    served = subprocess.Popen(
        [programs / "tensord", "serve", folder, "--port", "0", "--grpc-port", "0", "--metrics-port", "0", "--onnxruntime",
         onnxruntime(), "--python", sys.executable], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    out, err = Lines(served.stdout), Lines(served.stderr)
    try:
        url = out.wait_for(r"tensord listening on (http://\S+)", 60).group(1)
        script = f"""
import sys, tensord
gpu = tensord.connect({url!r})
for name, x in (("echo", [1, 2, 3, 4]), ("hello", "you")):
    for event in tensord.client.push.events(gpu.transport, name): pass
    print(event["state"], gpu.model(name)(x))
"""
        called = run(programs / "python", "-c", script, **environment)
        assert called.stdout == "ready [1.0, 2.0, 3.0, 4.0]\nready hello you\n", called.stderr + err.text()
        (tmp_path / "twice.py").write_text("import six\ndef twice(x: str) -> str:\n    return 2 * six.ensure_str(x)\n")
        environment["TENSORD_URL"] = url
        pushed = run(programs / "tensord", "push", tmp_path / "twice.py", "-r", "six", **environment)
        assert pushed.returncode == 0, pushed.stderr
        answered = run(programs / "tensord", "run", "twice", "ab", **environment)
        assert "abab" in answered.stdout, answered.stderr
    finally:
        served.terminate()
        assert served.wait(30) == 0
        out.join()
        err.join()


def test_what_is_in_the_wheels():
    """Whole, small, and with nothing that does not belong there."""
    pure, linux = zipfile.ZipFile(wheel("py3-none-any")), zipfile.ZipFile(wheel("py3-none-manylinux"))
    assert pure.testzip() is None and linux.testzip() is None
    assert wheel("py3-none-manylinux").stat().st_size < LARGEST_BYTES
    names = set(linux.namelist())
    assert {"tensord/py.typed", "tensord/_server/bin/tensord", "tensord/_server/lib/tensord/engines/onnx.so",
            "tensord/_server/lib/tensord/engines/python/_channel.abi3.so",
            "tensord/_server/lib/tensord/engines/python/tensord/worker/start.py"} <= names
    assert not [name for name in names if "__pycache__" in name or "chaos" in name]
    assert not [name for name in pure.namelist() if "/_server/" in name]
    for name in names:
        assert str(ROOT).encode() not in linux.read(name), f"{name} holds a path of the builder's"


def test_the_tag_is_true():
    """What the programs link is the C library alone, in no newer version than the tag says."""
    from_tag = tuple(map(int, re.search(r"manylinux_(\d+)_(\d+)_", wheel("py3-none-manylinux").name).groups()))
    with zipfile.ZipFile(wheel("py3-none-manylinux")) as linux:
        for name in linux.namelist():
            data = linux.read(name)
            if data.startswith(b"\x7fELF"):
                needed = {tuple(map(int, pair)) for pair in re.findall(rb"GLIBC_(\d+)\.(\d+)", data)}
                assert max(needed) <= from_tag, name
                listed = subprocess.run(["readelf", "-d", "/dev/stdin"], input=data, capture_output=True).stdout.decode()
                libraries = set(re.findall(r"\(NEEDED\).*\[(.+?)\]", listed))
                allowed = {"libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2"}
                allowed |= {"libssl.so.3", "libcrypto.so.3"} if name.endswith("tensord-tls.so") else set()
                assert libraries <= allowed, (name, libraries)
