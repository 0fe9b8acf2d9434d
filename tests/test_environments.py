"""Models in Python with packages of their own, through the wire and from the real index."""
import json
import os
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from support.builder import FAKE_UV
from support.processes import cmdline, until
from support.server import is_sanitized
from support.python_models import ask, needs_python, tensor, write_python
from tensord.environments import pythons
from tensord.environments.errors import EnvironmentFault

pytestmark = needs_python

# Answers with the version of a package that it was given, and where it runs.
VERSION = """
    import importlib.metadata
    import numpy as np

    def predict(x: np.ndarray) -> np.ndarray:
        version = importlib.metadata.version("{package}")
        return np.array([int(part) for part in version.split(".")[:2]], dtype=np.float32)
"""


def version_of(served, model):
    """The first two numbers of the version that the model says."""
    status, outputs = ask(served, model, tensor("x", "FP32", [1], [0]))
    assert status == 200, outputs
    return tuple(int(part) for part in outputs["output"]["data"])


def write_version(folder, name, package, **files):
    return write_python(folder, name, VERSION.format(package=package), **files)


def state_of(served, model):
    """(state, reason) of the model in the index, or nothing."""
    status, _, body = served.fetch("/v2/repository/index", {})
    assert status == 200
    rows = [row for row in json.loads(body) if row["name"] == model]
    return (rows[0]["state"], rows[0].get("reason", "")) if rows else None


def wait_for(served, model, until, seconds=300):
    """Waits until the index says so; returns the reason."""
    end = time.monotonic() + seconds
    while True:
        state = state_of(served, model)
        if state and until(*state):
            return state[1]
        assert time.monotonic() < end, state
        time.sleep(0.1)


def failed(state, reason):
    return state == "UNAVAILABLE" and reason


def environments(served):
    """The environments that were made."""
    folder = served.state_dir / "environments"
    return sorted(path.name for path in folder.iterdir() if len(path.name) == 32)


@pytest.fixture
def fake_uv(tmp_path):
    """fake_uv(play) is a uv that installs nothing and does as it is told instead."""

    def make(play):
        path = tmp_path / "bin" / "uv"
        path.parent.mkdir(exist_ok=True)
        path.write_text(FAKE_UV.replace('os.environ.get("UV_PLAY", "")', repr(textwrap.dedent(play))))
        path.chmod(0o755)
        return path

    return make


def test_two_models_need_different_versions_of_numpy(server, tmp_path):
    write_version(tmp_path / "m", "old", "numpy", requirements__txt="numpy==1.26.4\n")
    write_version(tmp_path / "m", "new", "numpy", requirements__txt="numpy==2.2.6\n")
    served = server(tmp_path / "m")
    for name in ("old", "new"):
        served.wait_ready(name, timeout_s=300)
    assert version_of(served, "old") == (1, 26)
    assert version_of(served, "new") == (2, 2)
    assert version_of(served, "old") == (1, 26)
    assert len(environments(served)) == 2


def test_equal_needs_share_an_environment(server, tmp_path):
    write_version(tmp_path / "m", "one", "iniconfig", requirements__txt="iniconfig==2.0.0\n")
    metadata = '# /// script\n# dependencies = ["IniConfig == 2.0.0"]\n# ///\n'
    path = write_version(tmp_path / "m", "two", "iniconfig")
    (path / "model.py").write_text(metadata + (path / "model.py").read_text())
    served = server(tmp_path / "m")
    for name in ("one", "two"):
        served.wait_ready(name, timeout_s=300)
        assert version_of(served, name) == (2, 0)
    assert len(environments(served)) == 1


def test_a_version_has_needs_of_its_own(server, tmp_path):
    folder = tmp_path / "m" / "both"
    for number in (1, 2):
        write_version(folder, str(number), "iniconfig")
    (folder / "requirements.txt").write_text("iniconfig==1.1.1\n")
    (folder / "2" / "requirements.txt").write_text("iniconfig==2.0.0\n")
    served = server(tmp_path / "m")
    served.wait_ready("both/versions/1", timeout_s=300)
    served.wait_ready("both/versions/2", timeout_s=300)
    assert version_of(served, "both/versions/1") == (1, 1)
    assert version_of(served, "both/versions/2") == (2, 0)


def test_broken_requirements_name_the_line_and_are_read_again(server, tmp_path):
    path = write_version(tmp_path / "m", "broken", "iniconfig", requirements__txt="numpy\n\nnot one\n")
    served = server(tmp_path / "m", "--rescan-ms", "300")
    assert wait_for(served, "broken", failed) == "requirements.txt, line 3: 'not one' is no requirement"
    (path / "requirements.txt").write_text("iniconfig==2.0.0\n")
    served.wait_ready("broken", timeout_s=300)
    assert version_of(served, "broken") == (2, 0)


def test_a_package_that_does_not_exist(server, tmp_path):
    write_version(tmp_path / "m", "none", "x", requirements__txt="tensord-no-such-package==1\n")
    served = server(tmp_path / "m")
    reason = wait_for(served, "none", failed)
    assert reason.startswith("its environment could not be built: ")
    assert "tensord-no-such-package" in reason
    assert not environments(served)
    assert served.err.wait_for("building from requirements.txt", 60)


def test_an_import_error_after_the_build(server, tmp_path):
    write_python(tmp_path / "m", "wrong", "import iniconfigg\n", requirements__txt="iniconfig\n")
    served = server(tmp_path / "m")
    assert "No module named 'iniconfigg'" in wait_for(served, "wrong", failed)


def test_a_build_that_hangs_fails_and_others_go_on(server, tmp_path, fake_uv):
    write_python(tmp_path / "m", "hangs", "def predict(x: list) -> list: return x", requirements__txt="a\n")
    write_python(tmp_path / "m", "plain", "def predict(x: list) -> list: return x")
    served = server(tmp_path / "m", "--uv", fake_uv("time.sleep(1000)"), "--build-timeout-s", "10")
    served.wait_ready("plain")
    assert state_of(served, "hangs")[0] == "LOADING"
    assert "longer than 10 s" in wait_for(served, "hangs", failed)
    assert not environments(served)


def test_what_a_model_waits_for_is_said(server, tmp_path, fake_uv):
    """One build at a time: the other model says that it waits for its turn."""
    uv = fake_uv("""
        while not os.path.exists(os.environ["TMPDIR"] + "/../../gate"):
            time.sleep(0.05)
        print("error: not now")
        sys.exit(1)
    """)
    for name in ("one", "two"):
        write_python(tmp_path / "m", name, "def predict(x: int) -> int:\n    return x\n", requirements__txt=f"no-such-{name}\n")
    served = server(tmp_path / "m", "--uv", uv, "--builds", "1")
    for name in ("one", "two"):
        wait_for(served, name, lambda state, reason: state == "LOADING" and "its environment" in reason)
    until(lambda: sorted(state_of(served, name)[1].split(":")[0] for name in ("one", "two")) ==
          ["building its environment", "waits for its environment to be built"], 60, "one of each")
    (served.state_dir / "environments" / "gate").touch()
    for name in ("one", "two"):
        assert "not now" in wait_for(served, name, failed)


def test_the_old_files_serve_while_the_new_environment_is_built(server, tmp_path, fake_uv):
    path = write_python(tmp_path / "m", "double", """
        import numpy as np
        def predict(x: np.ndarray) -> np.ndarray:
            return x * 2
    """)
    uv = fake_uv("print('error: not now'); sys.exit(1)")
    served = server(tmp_path / "m", "--rescan-ms", "300", "--uv", uv).wait_ready("double")
    (path / "requirements.txt").write_text("iniconfig\n")
    assert "not now" in wait_for(served, "double", lambda state, reason: "newer files failed" in reason)
    status, outputs = ask(served, "double", tensor("x", "FP32", [1], [4]))
    assert status == 200 and outputs["output"]["data"] == [8]


def test_what_a_builder_may_not_do(server, tmp_path, fake_uv):
    secret = tmp_path / "m" / "caged" / "secret"
    play = f"""
    import ctypes, socket
    def tried(name, call):
        try: call()
        except OSError as error: print(name, "refused")
        else: print(name, "allowed")
    state = target.split("/environments/")[0]
    tried("model", lambda: open({str(secret)!r}))
    tried("token", lambda: open(state + "/admin-token"))
    tried("state", lambda: os.listdir(state))
    tried("write", lambda: open(state + "/environments/x", "w"))
    tried("home", lambda: os.listdir(os.environ["HOME"]))
    tried("ptrace", lambda: open("/proc/%d/mem" % os.getppid()))
    libc = ctypes.CDLL(None, use_errno=True)
    def called(result):
        if result < 0: raise OSError(ctypes.get_errno(), "refused")
    tried("unshare", lambda: called(libc.unshare(0x10000000)))
    listening = socket.socket()
    tried("listen", lambda: (listening.bind(("127.0.0.1", 0)), listening.listen()))
    print("TOKEN" if "SECRET_TOKEN" in os.environ else "no token")
    print("index", os.environ.get("UV_INDEX_URL"))
    sys.exit(1)
    """
    write_python(tmp_path / "m", "caged", "x = 1", requirements__txt="a\n", secret="x")
    served = server(tmp_path / "m", "--uv", fake_uv(play),
                    environment={"SECRET_TOKEN": "1", "UV_INDEX_URL": "https://index.invalid/"})
    wait_for(served, "caged", failed)
    served.stop()
    said = served.err.text()
    for name in ("model", "token", "state", "write", "home", "ptrace", "unshare", "listen"):
        assert f'"{name} refused"' in said, name
    assert '"no token"' in said and '"index https://index.invalid/"' in said


@pytest.mark.skipif(is_sanitized(), reason="sanitizers' builds are slow to watch")
def test_a_packages_setup_neither_sees_others_nor_takes_all(server, tmp_path, fake_uv):
    """A package that is built runs code: it is alone, and what it starts is bounded."""
    beside = socket.socket(socket.AF_UNIX)  # as a container's runtime has one, open to the server's user
    beside.bind(str(tmp_path / "runtime.sock"))
    beside.listen()
    play = f"""
    import ctypes, functools, socket
    print = functools.partial(print, flush=True)  # it will be killed
    def tried(name, call):
        try: call()
        except OSError as error: print(name, "refused")
        else: print(name, "allowed")
    tried("socket", lambda: socket.socket(socket.AF_UNIX).connect({str(tmp_path / "runtime.sock")!r}))
    tried("server", lambda: os.kill(SERVER, 0))
    tried("shadow", lambda: open("/etc/shadow"))
    tried("shadow by init", lambda: open("/proc/1/root/etc/shadow"))
    tried("device", lambda: open("/dev/mem"))
    tried("package", lambda: open(os.__file__, "a"))
    tried("mount", lambda: (_ for _ in ()).throw(OSError()) if ctypes.CDLL(None).mount(b"x", b"/tmp", b"tmpfs", 0, 0) else None)
    def reachable(pid):
        try: os.kill(pid, 0)
        except OSError: return False
        return True
    print("reaches", sum(reachable(pid) for pid in range(1, 40000)) < 10)
    while True:
        if os.fork() == 0: time.sleep(1000)
        time.sleep(0.001)
    """
    write_python(tmp_path / "m", "caged", "x = 1", requirements__txt="a\n")
    uv = fake_uv(play)
    served = server(tmp_path / "m", "--load", "explicit", "--uv", uv)
    uv.write_text(uv.read_text().replace("SERVER", str(served.pid)))
    wait_for(served, "caged", lambda state, reason: True)
    served.fetch("/v2/repository/models/caged/load", {}, timeout_s=600)
    reason = wait_for(served, "caged", lambda state, reason: "limit" in reason or "built" in reason)
    assert "its limit is 1024: set sandbox.pids" in reason
    until(lambda: not builders(served), 60, "the end of the build")
    served.stop()
    said = served.err.text()
    for name in ("socket", "server", "shadow", "shadow by init", "device", "package", "mount"):
        assert f'"{name} refused"' in said, name
    assert '"reaches True"' in said


def test_a_worker_cannot_change_its_environment(server, tmp_path):
    write_python(tmp_path / "m", "writes", """
        import iniconfig, numpy as np, os
        def predict(x: np.ndarray) -> np.ndarray:
            refused = 0
            folder = os.path.dirname(iniconfig.__file__)
            for change in (lambda: open(folder + "/x", "w"), lambda: os.unlink(iniconfig.__file__)):
                try: change()
                except OSError: refused += 1
            return np.array([refused], dtype=np.float32)
    """, requirements__txt="iniconfig==2.0.0\n")
    served = server(tmp_path / "m").wait_ready("writes", timeout_s=300)
    status, outputs = ask(served, "writes", tensor("x", "FP32", [1], [4]))
    assert status == 200 and outputs["output"]["data"] == [2]


def builders(served):
    """The processes that build."""
    return [one for one in served.descendants() if any("build.py" in word for word in cmdline(one))]


def test_a_builder_that_is_killed_is_tried_again(server, tmp_path, fake_uv):
    uv = fake_uv("print('half', flush=True); time.sleep(1000)")
    write_python(tmp_path / "m", "again", "def predict(x: list) -> list: return x", requirements__txt="a\n")
    served = server(tmp_path / "m", "--uv", uv)
    assert served.err.wait_for("half", 60)
    fake_uv("")
    (builder,) = builders(served)
    builder.kill()
    assert served.err.wait_for("built in", 60)
    assert len(environments(served)) == 1
    left = [path.name for path in (served.state_dir / "environments").iterdir()]
    assert not [name for name in left if name.endswith(".tmp")]


def test_the_server_ends_while_it_builds(server, tmp_path, fake_uv):
    uv = fake_uv("subprocess.Popen(['sleep', '1000']); print('half', flush=True); time.sleep(1000)")
    write_python(tmp_path / "m", "never", "x = 1", requirements__txt="a\n")
    served = server(tmp_path / "m", "--uv", uv)
    assert served.err.wait_for("half", 60)
    served.stop()
    assert not environments(served)


PYTHON = """
    import sys
    import numpy as np

    def predict(x: np.ndarray) -> np.ndarray:
        return np.array(sys.version_info[:2], dtype=np.float32)
"""


def python_of(served, model):
    """The first two numbers of the Python that the model runs on."""
    status, outputs = ask(served, model, tensor("x", "FP32", [1], [0]))
    assert status == 200, outputs
    return tuple(int(number) for number in outputs["output"]["data"])


def test_a_second_python_beside_the_servers(server, tmp_path):
    others = []
    for minor in (11, 12, 13, 14):
        try:
            if minor != sys.version_info[1]:
                others.append((minor, pythons.find(f"==3.{minor}.*")))
        except EnvironmentFault:
            continue
    if not others:
        pytest.skip("there is no other Python here")
    minor = others[0][0]
    write_python(tmp_path / "m", "other", PYTHON, config=f"python: '3.{minor}'\n")
    write_python(tmp_path / "m", "own", PYTHON)
    served = server(tmp_path / "m").wait_ready("own").wait_ready("other", timeout_s=300)
    assert python_of(served, "own") == sys.version_info[:2]
    assert python_of(served, "other") == (3, minor)


def test_an_environment_that_is_there_is_named(server, tmp_path):
    """A venv of another prefix, made by hand, with a package that the server's own has not got."""
    made = tmp_path / "by-hand"
    subprocess.run([sys._base_executable, "-m", "venv", "--without-pip", made], check=True)
    packages = next(made.glob("lib/python3*/site-packages"))
    (packages / "made_by_hand.py").write_text("NUMBER = 7\n")
    (packages / "numpy").symlink_to(Path(np.__file__).parent.resolve())
    libraries = Path(np.__file__).parents[1].resolve() / "numpy.libs"
    (packages / "numpy.libs").symlink_to(libraries)
    write_python(tmp_path / "m", "named", """
        import made_by_hand
        import numpy as np

        def predict(x: np.ndarray) -> np.ndarray:
            return x * made_by_hand.NUMBER
    """, config=f"python:\n  interpreter: {made}\n", requirements__txt="not read at all\n")
    served = server(tmp_path / "m").wait_ready("named")
    status, outputs = ask(served, "named", tensor("x", "FP32", [1], [6]))
    assert status == 200 and outputs["output"]["data"] == [42]


@pytest.mark.parametrize(
    "config, says",
    [
        ("python: {interpreter: /nonexistent/python}", "there is no program at that path"),
        ("python: {interpreter: python3}", "must be an absolute path"),
        ("python: {interpreter: /usr/bin/python3, version: '3'}", "excludes"),
        ("python: {versoin: '3'}", "did you mean 'version'?"),
        ("python: '3.99'", "no Python ==3.99.*"),
    ],
)
def test_a_wrong_section(server, tmp_path, config, says):
    write_python(tmp_path / "m", "wrong", PYTHON, config=config)
    served = server(tmp_path / "m")
    assert says in wait_for(served, "wrong", failed)


def test_an_interpreter_that_leads_to_the_servers_secrets(server, tmp_path, tmp_path_factory):
    state = tmp_path / "state"
    program = state / "tensord" / "bin" / "python"
    program.parent.mkdir(parents=True)
    program.symlink_to(os.path.realpath(sys.executable))
    write_python(tmp_path / "m", "thief", f"""
        import numpy as np
        SECRET = open({str(state / "tensord" / "admin-token")!r}).read()
        def predict(x: np.ndarray) -> np.ndarray:
            return x
    """, config=f"python: {{interpreter: {program}}}\n")
    served = server(tmp_path / "m", environment={"XDG_STATE_HOME": str(state)})
    assert "holds the server's own" in wait_for(served, "thief", failed)


# ---- what there is, and removing it ----


def test_environments_are_listed_and_removed(server, tmp_path):
    """Those that no model uses, alone or all of them; by the client, for whom may do everything."""
    from support.tokens import create
    from tensord import Error, connect

    for name, needs in (("one", "iniconfig\n"), ("other", "iniconfig\n"), ("third", "six\n")):
        write_python(tmp_path / "m", name, "def predict(x: int) -> int:\n    return x\n", requirements__txt=needs)
    served = server(tmp_path / "m").wait_ready("one").wait_ready("other").wait_ready("third")
    mine = connect(served.url, token=served.admin_token)
    rows = {tuple(row["models"]): row for row in mine.environments()}
    assert set(rows) == {("one", "other"), ("third",)} and all(row["bytes"] > 0 and row["used"] > 0 for row in rows.values())
    shared, single = rows["one", "other"]["hash"], rows["third",]["hash"]
    assert sorted([shared, single]) == environments(served)
    with pytest.raises(Error, match="is used by one, other"):
        mine.remove_environments(shared)
    with pytest.raises(Error, match="there is no environment"):
        mine.remove_environments("../environments")
    assert mine.remove_environments() == []
    mine.remove("third")
    until(lambda: [row["models"] for row in mine.environments() if row["hash"] == single] == [[]], 60, "nobody to use it")
    assert mine.remove_environments(single) == [single]
    assert environments(served) == [shared]
    mine.remove("one")
    mine.remove("other")
    until(lambda: mine.remove_environments() == [shared], 60, "the last one to go")
    assert mine.environments() == [] and environments(served) == []
    limited = connect(served.url, token=create(served.state_dir, scope="code,infer"))
    until(lambda: served.fetch("/v2", headers={"Authorization": f"Bearer {limited.transport.token}"})[0] == 200, 30, "the token")
    with pytest.raises(Error, match="scope 'admin'"):
        limited.environments()
    until(lambda: served.err.text().count("remove environment") >= 5, 30, "each removal, refused ones too, in the audit log")


def test_the_command_lists_and_removes(server, tmp_path):
    write_python(tmp_path / "m", "one", "def predict(x: int) -> int:\n    return x\n", requirements__txt="iniconfig\n")
    served = server(tmp_path / "m").wait_ready("one")

    def tensord(*words):
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "python"), "TENSORD_TOKEN": served.admin_token}
        return subprocess.run([sys.executable, "-m", "tensord", "environments", *words, "--to", served.url], capture_output=True,
                              text=True, env=environment, timeout=120)
    name, = environments(served)
    listed = tensord()
    assert listed.returncode == 0 and name in listed.stdout and "one" in listed.stdout, listed
    assert json.loads(tensord("--json").stdout)["environments"][0]["hash"] == name
    refused = tensord("rm", name)
    assert refused.returncode == 1 and "is used by one" in refused.stderr
    assert tensord("rm").returncode == 2 and tensord("prune").stdout == ""
